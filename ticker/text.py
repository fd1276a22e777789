"""What may stand in words that the public reads. Knows Unicode; knows nothing of lines.

A rule takes what an editor typed and gives what will stand, or raises ValueError with one sentence
that says what to do. Characters are counted as people see them: extended grapheme clusters (UAX #29).
"""

from __future__ import annotations

import unicodedata
from urllib.parse import urlsplit

import regex

TEXT_MAX = 280  # characters; fits a phone's banner without hiding the rest of the page
NOTE_MAX = 280  # characters; a reason is no longer than what it explains
SOURCE_MAX = 80  # characters; "Agence France-Presse" is 20
URL_MAX = 2_048  # characters; what every browser and proxy takes
SLUG_MAX = 64  # characters
BYTES_PER_CHARACTER = 24  # a family emoji has 25 bytes, so a text of nothing else is cut at 268 of them
MARKS_MAX = 30  # combining marks in a row: the Stream-Safe Text Format (UAX #15), far above any script

_GRAPHEME = regex.compile(r"\X")
_WHITE_SPACE = regex.compile(r"\s+")
_LINE_BREAK = regex.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_CONTROL = regex.compile(r"\p{Cc}|[\uFFFE\uFFFF]")
_OVERRIDE = regex.compile(r"[\u202D\u202E]")
_MARKS = regex.compile(rf"\p{{M}}{{{MARKS_MAX + 1},}}")
# Default_Ignorable takes Hangul fillers out, which count as letters; U+2800 is a braille cell without dots.
_READABLE = regex.compile(r"[\p{L}\p{N}\p{P}\p{S}--\p{Default_Ignorable_Code_Point}--\u2800]", regex.V1)
_ENDS = regex.compile(r"^[\s\x1c-\x1f\ufeff]+|[\s\x1c-\x1f\ufeff]+$")
_SLUG = regex.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
# RFC 5646, section 2.1, as far as newsrooms need it: language, script, region, variants, extensions.
_LANGUAGE = regex.compile(
    r"[A-Za-z]{2,3}(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*(?:-[0-9A-WY-Za-wy-z](?:-[A-Za-z0-9]{2,8})+)*"
)

# Spaces that mean something alone: French puts a no-break space before ":", Japanese an ideographic one.
_KEPT_ALONE = {"\u00a0", "\u202f", "\u3000"}
_EMBEDDINGS = {"\u202a", "\u202b"}  # LRE, RLE: closed by PDF
_ISOLATES = {"\u2066", "\u2067", "\u2068"}  # LRI, RLI, FSI: closed by PDI
_PDF, _PDI = "\u202c", "\u2069"


def count(text: str) -> int:
    """How many characters a reader would count (extended grapheme clusters, UAX #29)."""
    return sum(1 for _ in _GRAPHEME.finditer(text))


def one_line(text: str, limit: int) -> str:
    """One line of public words: NFC, trimmed, white space folded, at most `limit` characters.

    Raises ValueError: empty, too long, a line break, a control character, a bidi override, an embedding
    or isolate left open. LRM, RLM, ALM, ZWJ and ZWNJ are kept; they are spelling in many languages.
    """
    text = unicodedata.normalize("NFC", _ENDS.sub("", text))
    if _LINE_BREAK.search(text):
        raise ValueError("This is one line: it can't hold a line break. Publish each line on its own.")
    text = _WHITE_SPACE.sub(_folded, text)
    if found := _CONTROL.search(text):
        raise ValueError(f"There is a control character (U+{ord(found[0]):04X}) in it. Type it again without.")
    if found := _OVERRIDE.search(text):
        raise ValueError(
            f"There is a bidi override (U+{ord(found[0]):04X}) in it, which can show words in another "
            "order than they are written. Use isolates (U+2066 to U+2069) or no mark at all."
        )
    if not _balanced(text):
        raise ValueError("A bidi embedding or isolate in it is not closed. Close it, or leave the marks out.")
    if _MARKS.search(text):
        raise ValueError(f"More than {MARKS_MAX} combining marks stand on one character.")
    if not _READABLE.search(text):
        raise ValueError("There is nothing to read in it.")
    if (length := count(text)) > limit:
        raise ValueError(f"It has {length} characters; {limit} is the most. Cut {length - limit}.")
    if len(text.encode()) > limit * BYTES_PER_CHARACTER:
        raise ValueError(f"It takes more than {limit * BYTES_PER_CHARACTER} bytes. Shorten it.")
    return text


def link(url: str) -> str:
    """An absolute http or https URL that names its host in plain sight (RFC 3986)."""
    url = url.strip()
    if len(url) > URL_MAX:
        raise ValueError(f"The link has more than {URL_MAX} characters.")
    if regex.search(r"[\s\p{C}\"<>\\^`{|}]", url):
        raise ValueError("The link holds a character that must be percent-encoded.")
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        named = False
    else:
        if parts.scheme not in ("http", "https"):
            raise ValueError("The link must start with https:// or http://.")
        if "@" in parts.netloc:
            raise ValueError("The link holds a user name before its host, which can mislead readers. Leave it out.")
    if not named:
        raise ValueError("The link names no host that we can read.")
    return url


def slug(value: str) -> str:
    """Lower-case letters, digits and hyphens, as in a URL: `sports`, `election-2026`."""
    if len(value) > SLUG_MAX or not _SLUG.fullmatch(value):
        raise ValueError(
            f"A slug has 1 to {SLUG_MAX} lower-case letters a–z, digits and hyphens, "
            "and starts and ends with a letter or digit."
        )
    return value


def language_tag(value: str) -> str:
    """A BCP 47 language tag (RFC 5646): `en`, `ar`, `pt-BR`, `zh-Hant`."""
    if len(value) > 35 or not _LANGUAGE.fullmatch(value):
        raise ValueError("A language is a BCP 47 tag, such as en, ar, pt-BR or zh-Hant.")
    return value


# ISO 15924 codes of right-to-left scripts, and the languages written in one unless the tag says otherwise.
_RTL_SCRIPTS = frozenset("adlm arab aran armi hebr mand mend nbat nkoo phnx rohg samr syrc syre syrj syrn thaa".split())
_RTL_LANGUAGES = frozenset(
    "ar arc arz azb bal bqi ckb dv fa glk he iw ji khw ks lrc mzn nqo pnb ps rhg sd sdh skr syr ug ur yi".split()
)


def is_right_to_left(language: str) -> bool:
    """Whether words in this language (BCP 47) run from right to left."""
    primary, *rest = language.lower().split("-")
    if rest and len(rest[0]) == 4 and rest[0].isalpha():
        return rest[0] in _RTL_SCRIPTS
    return primary in _RTL_LANGUAGES


def _folded(match: regex.Match[str]) -> str:
    return match[0] if match[0] in _KEPT_ALONE else " "


def _balanced(text: str) -> bool:
    """Whether every embedding and isolate is closed, in order (UAX #9, X1 to X8)."""
    opened: list[str] = []
    for character in text:
        if character in _EMBEDDINGS:
            opened.append(_PDF)
        elif character in _ISOLATES:
            opened.append(_PDI)
        elif character in (_PDF, _PDI) and (not opened or opened.pop() != character):
            return False
    return not opened
