"""Which script a language is written in, and a text's letters are of. Knows Unicode; knows nothing of lines."""

from __future__ import annotations

from typing import Final

import regex

_ARABIC = "ar azb ckb fa ks prs ps sd ug ur"
_CYRILLIC = "av ba be bg ce cv kk kv ky mk mn os ru sah tg tt tyv udm uk"
_DEVANAGARI = "bho hi kok mai mr ne new sa"
_BY_LANGUAGE: Final = {
    **dict.fromkeys(_ARABIC.split(), "Arabic"),
    **dict.fromkeys(_CYRILLIC.split(), "Cyrillic"),
    **dict.fromkeys(_DEVANAGARI.split(), "Devanagari"),
    **dict.fromkeys(("am", "ti"), "Ethiopic"),
    **dict.fromkeys(("as", "bn"), "Bengali"),
    **dict.fromkeys(("bo", "dz"), "Tibetan"),
    **dict.fromkeys(("he", "yi"), "Hebrew"),
    **dict.fromkeys(("my", "shn"), "Myanmar"),
    "chr": "Cherokee",
    "dv": "Thaana",
    "el": "Greek",
    "gu": "Gujarati",
    "hy": "Armenian",
    "iu": "Canadian_Aboriginal",
    "ja": "Japanese",
    "ka": "Georgian",
    "km": "Khmer",
    "kn": "Kannada",
    "ko": "Korean",
    "lo": "Lao",
    "ml": "Malayalam",
    "or": "Oriya",
    "pa": "Gurmukhi",
    "sat": "Ol_Chiki",
    "si": "Sinhala",
    "ta": "Tamil",
    "te": "Telugu",
    "th": "Thai",
    "yue": "Han",
    "zh": "Han",
}
"""Languages (BCP 47) that are not written in Latin letters."""

# ISO 15924, as a tag may name it. Only what a newsroom is likely to name; another one is not judged.
_BY_SUBTAG: Final = {
    "arab": "Arabic",
    "cyrl": "Cyrillic",
    "deva": "Devanagari",
    "grek": "Greek",
    "guru": "Gurmukhi",
    "hans": "Han",
    "hant": "Han",
    "hebr": "Hebrew",
    "jpan": "Japanese",
    "kore": "Korean",
    "latn": "Latin",
}
_WRITTEN_IN_BOTH: Final = frozenset({"az", "bs", "ha", "ku", "pa", "sr", "tk", "uz"})  # unless the tag says which

_LETTER: Final = regex.compile(r"[\p{L}--[\p{Script=Common}\p{Script=Inherited}]]", regex.V1)
_TOGETHER: Final = {
    "Japanese": ("Han", "Hiragana", "Katakana"),
    "Korean": ("Hangul", "Han"),
    "Han": ("Han", "Bopomofo"),
}


def _letters_of(script: str) -> regex.Pattern[str]:
    each = "".join(rf"\p{{Script={name}}}" for name in _TOGETHER.get(script, (script,)))
    return regex.compile(rf"[\p{{L}}&&[{each}]]", regex.V1)


_OF: Final = {script: _letters_of(script) for script in {"Latin", *_BY_LANGUAGE.values(), *_BY_SUBTAG.values()}}


def script_of(language: str) -> str | None:
    """The script of a language (BCP 47); None if it is written in more than one, or its tag names one that is not in
    our table."""
    primary, *rest = language.lower().split("-")
    if subtag := next((each for each in rest[:1] if len(each) == 4 and each.isalpha()), None):
        return _BY_SUBTAG.get(subtag)
    return None if primary in _WRITTEN_IN_BOTH else _BY_LANGUAGE.get(primary, "Latin")


def is_mostly_foreign(text: str, language: str) -> bool:
    """Whether more than half of the text's letters belong to another script than the language's."""
    script = script_of(language)
    if script is None or (script == "Latin" and text.isascii()):
        return False
    letters = len(_LETTER.findall(text))
    return letters > 2 * len(_OF[script].findall(text))
