/**
 * Builds what is served of the widget, out of widget/: `make widget` (or `node web/build.mjs FOLDER`).
 *
 *     ticker.js           the module that pages load
 *     ticker.extras.js    what few banners need; ticker.js loads it, by its hash
 *     ticker.classic.js   all of it as a classic script
 *
 * esbuild bundles, and makes the style small; terser then saves another 3 % (ADR 12). The same source gives the same
 * bytes on every machine: the versions of both are exact, and a test builds them again.
 */

import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

// Not in web/: that is packaged whole.
const { build, transform } = createRequire(new URL("../.venv/node/", import.meta.url))("esbuild");
const { minify } = createRequire(new URL("../.venv/node/", import.meta.url))("terser");

const SOURCE = fileURLToPath(new URL("widget/", import.meta.url));
const TARGET = "es2022"; // older than what the style asks for: light-dark(), of 2024

/** `import style from "./style.css"` gives the text of the style. */
const styles = {
  name: "styles",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const style = await readFile(path, "utf8");
      const { code } = await transform(style, { loader: "css", minify: true, charset: "utf8" });
      return { loader: "text", contents: code.trim() };
    }),
};

/** The classic script has in it what the module loads. */
const withExtras = {
  name: "with extras",
  setup: ({ onResolve }) => onResolve({ filter: /load-extras\.js$/ }, () => ({ path: SOURCE + "bundle-extras.js" })),
};

const bundled = async (entry, options) => {
  const { outputFiles } = await build({
    entryPoints: [SOURCE + entry],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: TARGET,
    charset: "utf8",
    plugins: [styles],
    ...options,
  });
  const { code } = await minify(outputFiles[0].text, {
    module: true, // the classic script is a function: it has no names at the top level either
    compress: { passes: 3, keep_fargs: false },
    ecma: 2022,
  });
  return code + "\n";
};

const extras = await bundled("extras.js");
const integrity = "sha256-" + createHash("sha256").update(extras).digest("base64");
const files = {
  "ticker.js": await bundled("index.js", { define: { EXTRAS_INTEGRITY: JSON.stringify(integrity) } }),
  "ticker.extras.js": extras,
  "ticker.classic.js": await bundled("classic.js", {
    format: "iife",
    plugins: [styles, withExtras],
    define: { "import.meta.url": "scriptUrl" },
    inject: [SOURCE + "script-url.js"],
  }),
};

const folder = process.argv[2] ?? fileURLToPath(new URL(".", import.meta.url));
for (const [name, code] of Object.entries(files)) await writeFile(`${folder}/${name}`, code);
