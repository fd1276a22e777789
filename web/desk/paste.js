/**
 * What the desk does with words, which is what the server does: space-like characters become a space, invisible ones
 * that mean nothing where they stand are taken out and named, and what is refused is shown where it stands.
 * Pure; knows no page. The same table as the server's (ticker/text.py), whose word is the last.
 */

const SPACES = "\\t\\v\\f\\x1C-\\x20\\x85\\xA0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u2800\\u3000";
const KEPT_ALONE = "\u00A0\u202F\u3000"; // French puts a no-break space before ":", Japanese an ideographic one
const RUN = new RegExp(`[\\n\\r${SPACES}]+`, "gu"); // line breaks too: what is pasted from rows becomes one line
const TYPED = new RegExp(`^[ ${KEPT_ALONE}]+$`, "u"); // runs that stay as they are until the line is sent

/** Invisible, and no language is spelled with it: pastes bring them along. */
const MEANINGLESS = new RegExp("[\\u00AD\\u115F\\u1160\\u17B4\\u17B5\\u200B\\u2060-\\u2065\\u206A-\\u206F\\u3164\\uFEFF\\uFFA0\\uFFF0-\\uFFF8\\uFFFC"
  + "\\u{1BCA0}-\\u{1BCA3}\\u{1D159}\\u{1D173}-\\u{1D17A}\\u{E0000}-\\u{E001F}\\u{E0080}-\\u{E00FF}\\u{E01F0}-\\u{E0FFF}]", "gu");

/** Invisible letters: in the flag of a part of a country they say which, elsewhere they are nothing. */
const TAGS = /(\u{1F3F4}[\u{E0061}-\u{E007A}]{2}[\u{E0030}-\u{E0039}\u{E0061}-\u{E007A}]{1,4}\u{E007F})|[\u{E0020}-\u{E007F}]+/gu;

const SELECTORS = "\\u180B-\\u180D\\u180F\\uFE00-\\uFE0F\\u{E0100}-\\u{E01EF}";
const DIACRITICS = "\\u0300-\\u036F\\u1AB0-\\u1AFF\\u1DC0-\\u1DFF\\u20D0-\\u20FF\\uFE20-\\uFE2F\\u302A-\\u302F\\u3099\\u309A";
const EUROPEAN = "\\p{Script=Latin}\\p{Script=Greek}\\p{Script=Cyrillic}";
const EAST_ASIAN = "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Hangul}";
/** What a joiner changes: a letter or mark of a script that joins or stacks, or an emoji. */
const JOINABLE = `(?![${EUROPEAN}${EAST_ASIAN}${DIACRITICS}\\u034F${SELECTORS}])[\\p{L}\\p{M}\\p{Extended_Pictographic}\\u{1F3FB}-\\u{1F3FF}]`;
/** What a variation selector changes. */
const VARIABLE = `(?![${EUROPEAN}\\u2800])[\\p{L}\\p{N}\\p{P}\\p{S}]`;
/** Characters that have a meaning only beside certain others, in places without those. */
const IDLE = [
  new RegExp(`(?<!${VARIABLE})[${SELECTORS}]`, "gu"),
  new RegExp(`\\u034F(?!(?![\\u034F${SELECTORS}])\\p{M})|(?<!(?=\\p{L})\\p{Script=Mongolian})\\u180E`, "gu"),
  new RegExp(`(?<!${JOINABLE}\\p{M}{0,30})[\\u200C\\u200D](?!\\p{M}{0,30}${JOINABLE})`, "gu"),
];

const HIEROGLYPH = /[\u{13000}-\u{1342F}]/u;
const HIEROGLYPH_CONTROLS = /[\u{13430}-\u{1343F}]/gu; // they place one sign beside another

/** LRM, RLM and ALM sort out words of two directions; where there is one, they do nothing. */
const BIDI_MARKS = /[\u200E\u200F\u061C]/gu;
const REPEATED_BIDI_MARK = /(?<=([\u200E\u200F\u061C]))\1/gu;
const RIGHT_TO_LEFT = /[\u0590-\u061B\u061D-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFE\u{10800}-\u{10FFF}\u{1E800}-\u{1EFFF}]/u;

const [PDF, PDI] = ["\u202C", "\u2069"];
/** What opens a run in another direction, and what closes it (UAX #9). */
const CLOSED_BY = new Map([["\u202A", PDF], ["\u202B", PDF], ["\u2066", PDI], ["\u2067", PDI], ["\u2068", PDI]]);
const BIDI_PAIRS = /[\u202A-\u202C\u2066-\u2069]/gu;

/** What the server takes in no line. UAX #15 allows 30 marks in a row. */
const REFUSED = new RegExp(`(?![\\n\\r${SPACES}])\\p{Cc}|[\\u202D\\u202E\\uFFF9-\\uFFFB]|\\p{Cs}|\\p{Noncharacter_Code_Point}|\\p{M}{31,}`, "gu");

const NAMES = new Map([
  [0x00AD, "soft hyphen"], [0x200B, "zero-width space"], [0x200C, "zero-width non-joiner"], [0x200D, "zero-width joiner"],
  [0x200E, "left-to-right mark"], [0x200F, "right-to-left mark"], [0x061C, "Arabic letter mark"], [0x2060, "word joiner"],
  [0xFEFF, "byte order mark"], [0xFFFC, "placeholder of an object"], [0x202D, "direction override"], [0x202E, "direction override"],
]);

/** @typedef {Map<string, number>} Taken what was taken out, by name, and how often */

/**
 * What stands in a field after this was pasted into it. Spaces stay as many as were typed: `folded` is for sending.
 * @param {string} words
 * @param {{typing?: boolean}} how `typing`: what means nothing yet may mean something with the next character
 * @returns {{text: string, taken: Taken}}
 */
export function cleaned(words, { typing = false } = {}) {
  const taken = new Map();
  let text = words.replace(MEANINGLESS, noting(taken));
  if (!typing) text = withoutIdle(text.normalize("NFC"), taken).normalize("NFC");
  return { text: text.replace(RUN, (run) => (TYPED.test(run) ? run : " ")), taken };
}

/** As the server will keep it: cleaned, NFC, trimmed, white space folded. @param {string} typed */
export function folded(typed) {
  const taken = new Map();
  return withoutIdle(typed.replace(MEANINGLESS, "").normalize("NFC"), taken).normalize("NFC")
    .replace(RUN, (run) => (run.length === 1 && KEPT_ALONE.includes(run) ? run : " ")).trim();
}

/** What the server will refuse in it, and where. @param {string} text @returns {{at: number, length: number, name: string}[]} */
export function refused(text) {
  return [...text.matchAll(REFUSED)].map(({ index, 0: found }) => {
    const count = [...found].length;
    return { at: index, length: found.length, name: count > 1 ? `${count} marks on one character` : nameOf(found) };
  });
}

/** "zero-width space (U+200B) 2 times, byte order mark (U+FEFF)". @param {Taken} taken */
export function listed(taken) {
  return [...taken].map(([name, times]) => (times > 1 ? `${name} ${times} times` : name)).join(", ");
}

/** @param {string} text @param {Taken} taken */
function withoutIdle(text, taken) {
  const note = noting(taken);
  text = withoutStray(text, note).replace(TAGS, (found, flag) => flag ?? note(found));
  for (const idle of IDLE) text = text.replace(idle, note);
  if (!HIEROGLYPH.test(text)) text = text.replace(HIEROGLYPH_CONTROLS, note);
  return text.replace(RIGHT_TO_LEFT.test(text) ? REPEATED_BIDI_MARK : BIDI_MARKS, note);
}

/** Without embeddings and isolates that are not closed, and what closes none (UAX #9, BD9, BD11). */
function withoutStray(text, note) {
  /** @type {Set<number>} */ const strays = new Set();
  /** @type {[number, string][]} */ const open = [];
  let isolates = 0;
  for (const { index: at, 0: mark } of text.matchAll(BIDI_PAIRS)) {
    const close = CLOSED_BY.get(mark);
    if (close !== undefined) {
      open.push([at, close]);
      if (close === PDI) isolates += 1;
    } else if (mark === PDI && isolates > 0) {
      while (open.at(-1)[1] !== PDI) strays.add(open.pop()[0]);
      open.pop();
      isolates -= 1;
    } else if (open.at(-1)?.[1] === mark) {
      open.pop();
    } else {
      strays.add(at);
    }
  }
  for (const [at] of open) strays.add(at);
  return text.replace(BIDI_PAIRS, (mark, at) => (strays.has(at) ? note(mark) : mark));
}

/** @param {Taken} taken @returns {(found: string) => string} */
function noting(taken) {
  return (found) => {
    for (const character of found) {
      const name = nameOf(character);
      taken.set(name, (taken.get(name) ?? 0) + 1);
    }
    return "";
  };
}

/** @param {string} character */
function nameOf(character) {
  const code = character.codePointAt(0);
  const number = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  return `${NAMES.get(code) ?? kindOf(character)} (${number})`;
}

/** @param {string} character */
function kindOf(character) {
  if (/[\u202A-\u202E\u2066-\u2069]/u.test(character)) return "stray direction mark";
  if (/[\uFFF9-\uFFFB]/u.test(character)) return "annotation mark";
  if (/[\u{E0000}-\u{E007F}]/u.test(character)) return "tag character";
  if (/\p{Cc}/u.test(character)) return "control character";
  return "invisible character";
}
