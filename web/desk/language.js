/** Which way words in a language run. Pure; the same rule as the server's, in ticker/text.py. */

/** ISO 15924 codes of right-to-left scripts, and the languages written in one unless the tag says otherwise. */
const SCRIPTS = new Set("adlm arab aran armi hebr mand mend nbat nkoo phnx rohg samr syrc syre syrj syrn thaa".split(" "));
const LANGUAGES = new Set(
  "ar arc arz azb bal bqi ckb dv fa glk he iw ji khw ks lrc mzn nqo pnb ps rhg sd sdh skr syr ug ur yi".split(" "),
);

/** @param {string} language a BCP 47 tag @returns {"ltr"|"rtl"} */
export function directionOf(language) {
  const [primary, script] = language.toLowerCase().split("-");
  const rightToLeft = /^[a-z]{4}$/u.test(script ?? "") ? SCRIPTS.has(script) : LANGUAGES.has(primary);
  return rightToLeft ? "rtl" : "ltr";
}
