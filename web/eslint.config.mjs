/** ESLint over all scripts in web/: `make check`. */

import { createRequire } from "node:module";

const require = createRequire(new URL("../.venv/node/", import.meta.url));
const js = require("@eslint/js");
const globals = require("globals");

export default [
  { ignores: ["ticker.js", "ticker.classic.js", "ticker.extras.js", "released/**"] }, // built
  js.configs.recommended,
  {
    languageOptions: { globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-implied-eval": "error",
      "no-eval": "error",
      "no-unused-vars": ["error", { ignoreRestSiblings: true, argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "no-empty": ["error", { allowEmptyCatch: true }],
      // What comes over the wire is text (textContent), never markup; and a Content-Security-Policy forbids styles.
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Write textContent." },
        { property: "outerHTML", message: "Write textContent." },
        { property: "insertAdjacentHTML", message: "Use append()." },
        { object: "document", property: "write" },
        { object: "document", property: "cookie", message: "We set none." },
      ],
    },
  },
  {
    files: ["widget/**"],
    languageOptions: { globals: { EXTRAS_INTEGRITY: "readonly" } }, // the build's
    rules: { "max-lines": ["error", 400], "max-lines-per-function": ["error", 60] },
  },
  { files: ["desk/broken.js"], rules: { "no-var": "off" } }, // for browsers in which nothing else of the desk runs
  { files: ["desk/paste.js"], rules: { "no-misleading-character-class": "off" } }, // it is about combining marks
  { files: ["*.mjs"], languageOptions: { globals: globals.node } },
];
