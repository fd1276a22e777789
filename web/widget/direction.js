/** Which way words in a language run. The same table as the server's, in ticker/text.py: a test compares them. */

/** ISO 15924 codes of right-to-left scripts, and the languages written in one unless the tag says otherwise. */
const SCRIPTS = "adlm arab aran armi hebr mand mend nbat nkoo phnx rohg samr syrc syre syrj syrn thaa";
const LANGUAGES = "ar arc arz azb bal bqi ckb dv fa glk he iw ji khw ks lrc mzn nqo pnb ps rhg sd sdh skr syr ug ur yi";

/** @param {string} tag BCP 47 @returns {"ltr"|"rtl"} */
export const directionOf = (tag) => {
  const [language, script] = tag.toLowerCase().split("-");
  const isRightToLeft = /^[a-z]{4}$/.test(script)
    ? SCRIPTS.includes(script)
    : LANGUAGES.split(" ").includes(language);
  return isRightToLeft ? "rtl" : "ltr";
};
