"""What may stand in words that the public reads. Knows Unicode; knows nothing of lines.

A rule takes what an editor typed or pasted and gives what will stand, or raises ValueError with one sentence
that says what to do. Characters are counted as people see them: extended grapheme clusters (UAX #29).

Rule 1: the length of what came is judged before anything else is done with it.
Rule 2: every step is linear: twice the input takes twice the time. No pattern has two unbounded runs.
Rule 3: docs/publish.md has the table of what becomes of each character. The desk follows the same table.
"""

from __future__ import annotations

import unicodedata

import regex

TEXT_MAX = 280  # characters; fits a phone's banner without hiding the rest of the page
NOTE_MAX = 280  # characters; a reason is no longer than what it explains
SOURCE_MAX = 80  # characters; "Agence France-Presse" is 20
SLUG_MAX = 64  # characters
LANGUAGE_MAX = 35  # characters; what RFC 5646, section 4.4.1, wants every buffer to hold
BYTES_PER_CHARACTER = 24  # a family emoji has 25 bytes, so a text of nothing else is cut at 268 of them
MARKS_MAX = 30  # combining marks in a row: the Stream-Safe Text Format (UAX #15), far above any script
ECHO_MAX = 64  # characters of what was sent that an error repeats

# What becomes of each character, as sets for a pattern. U+2800 is a braille cell without dots.
_SPACES = r"\t\v\f\x1c-\x20\x85\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u2800\u3000"
_MEANINGLESS = (  # invisible, and no language is spelled with it: pastes bring them along
    r"\u00ad\u115f\u1160\u17b4\u17b5\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufff8\ufffc"
    r"\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e001f\U000e0080-\U000e00ff\U000e01f0-\U000e0fff"
)
_SELECTORS = r"\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"  # variation selectors
_DIACRITICS = r"\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f\u302a-\u302f\u3099\u309a"

_VISIBLE_END = rf"[^{_SPACES}{_MEANINGLESS}\n\r]"
_FIRST = regex.compile(_VISIBLE_END)
_LAST = regex.compile(f"(?r){_VISIBLE_END}")
_REFUSED = regex.compile(
    r"(?P<line_break>[\n\r])|(?P<control>[\p{Cc}--[\t\n\v\f\r\x1c-\x1f\x85]])|(?P<override>[\u202d\u202e])"
    r"|(?P<annotation>[\ufff9-\ufffb])|(?P<surrogate>\p{Cs})|(?P<noncharacter>\p{Noncharacter_Code_Point})",
    regex.V1,
)
_WHY = {
    "line_break": "a line break ({}). This is one line: publish each line on its own.",
    "control": "a control character ({}). Delete it, or type the words there again.",
    "override": "a bidi override ({}), which can show words in another order than they are written. "
    "Use isolates (U+2066 to U+2069) or no mark at all.",
    "annotation": "an interlinear annotation mark ({}), which readers don't see. Put the reading in brackets instead.",
    "surrogate": "half a character (a lone surrogate, {}). Type it again.",
    "noncharacter": "no character ({}). Delete it, or type the words there again.",
}

_DROPPED = regex.compile(f"[{_MEANINGLESS}]+")
# Tags are invisible letters. They spell the place in the flag of a part of a country, and are nothing elsewhere.
_TAGS = regex.compile(
    "(\U0001f3f4[\U000e0061-\U000e007a]{2}[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,4}\U000e007f)"
    "|[\U000e0020-\U000e007f]+"
)
_BIDI_MARKS = regex.compile(r"[\u200e\u200f\u061c]+")
_REPEATED_BIDI_MARK = regex.compile(r"([\u200e\u200f\u061c])\1+")
# Unicode's blocks for scripts that run from right to left, without ALM.
_RIGHT_TO_LEFT = regex.compile(
    r"[\u0590-\u061b\u061d-\u08ff\ufb1d-\ufdff\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
# ZWJ and ZWNJ change a neighbour: a letter or mark of a script that joins or stacks, or an emoji.
_JOINABLE = (
    r"[[\p{L}\p{M}\p{Extended_Pictographic}\U0001f3fb-\U0001f3ff]--[\p{Script=Latin}\p{Script=Greek}"
    r"\p{Script=Cyrillic}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}"
    rf"{_DIACRITICS}\u034f{_SELECTORS}]]"
)
_ITS_MARKS = rf"\p{{M}}{{0,{MARKS_MAX}}}"  # of any script: NFC sorts them
_IDLE_JOINERS = regex.compile(rf"(?<!{_JOINABLE}{_ITS_MARKS})[\u200c\u200d](?!{_ITS_MARKS}{_JOINABLE})", regex.V1)
# A variation selector changes the character before it. No Latin, Greek or Cyrillic letter has variants.
_VARIABLE = r"[[\p{L}\p{N}\p{P}\p{S}]--[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\u2800]]"
_IDLE_SELECTORS = regex.compile(rf"(?<!{_VARIABLE})[{_SELECTORS}]", regex.V1)
_IDLE_OTHERS = regex.compile(  # CGJ keeps two marks apart; MVS stands after a Mongolian letter
    rf"\u034f(?![\p{{M}}--[\u034f{_SELECTORS}]])|(?<![\p{{Script=Mongolian}}&&\p{{L}}])\u180e", regex.V1
)

_HIEROGLYPH = regex.compile("[\U00013000-\U0001342f]")
_HIEROGLYPH_CONTROLS = regex.compile("[\U00013430-\U0001343f]+")  # place one sign beside another

_EMBEDDINGS = "\u202a\u202b"  # LRE, RLE: closed by PDF
_ISOLATES = "\u2066\u2067\u2068"  # LRI, RLI, FSI: closed by PDI
_PDF, _PDI = "\u202c", "\u2069"
_BIDI_PAIRS = regex.compile(f"[{_EMBEDDINGS}{_ISOLATES}{_PDF}{_PDI}]")

_SPACE_RUN = regex.compile(f"[{_SPACES}]+")
# Spaces that mean something alone: French puts a no-break space before ":", Japanese an ideographic one.
_KEPT_ALONE = {"\u00a0", "\u202f", "\u3000"}
_MARKS = regex.compile(rf"\p{{M}}{{{MARKS_MAX + 1}}}")
# Default_Ignorable takes the invisible ones out that count as letters.
_READABLE = regex.compile(r"[\p{L}\p{N}\p{P}\p{S}--\p{Default_Ignorable_Code_Point}--\u2800]", regex.V1)

# What any step above might change or refuse, if NFC leaves the text as it is. Most texts have nothing of it.
_UNUSUAL = regex.compile(
    rf"[[{_SPACES}]--\x20]|[{_MEANINGLESS}{_SELECTORS}\n\r\p{{M}}\p{{Cc}}\p{{Cf}}\p{{Cs}}\p{{Noncharacter_Code_Point}}]"
    r"|\x20\x20|\A\x20|\x20\Z",
    regex.V1,
)

_GRAPHEME = regex.compile(r"\X")
_FLAG = regex.compile("[\U0001f1e6-\U0001f1ff]{2}")
_SLUG = regex.compile(rf"(?!-)[a-z0-9-]{{1,{SLUG_MAX}}}(?<!-)")
# RFC 5646, section 2.1, as far as newsrooms need it: language, script, region, variants, extensions.
_LANGUAGE = regex.compile(
    r"[A-Za-z]{2,3}(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*(?:-[0-9A-WY-Za-wy-z](?:-[A-Za-z0-9]{2,8})+)*"
)


def count(text: str) -> int:
    """How many characters a reader would count (extended grapheme clusters, UAX #29)."""
    # In a row of flags \X looks back to the row's start each time. Any letter is a cluster as a flag is.
    return sum(1 for _ in _GRAPHEME.finditer(_FLAG.sub("x", text)))


def shown(value: str) -> str:
    """What was sent, as an error may repeat it: at most 64 characters, all of them visible."""
    cut = value if len(value) <= ECHO_MAX else value[: ECHO_MAX - 1] + "…"
    return "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in cut)


def one_line(text: str, limit: int) -> str:
    """One line of public words: what is invisible and means nothing is taken out, white space folded, NFC.

    Raises ValueError: empty, longer than `limit` characters, or it holds what can't stand in a line (`_REFUSED`).
    """
    return text if _is_ordinary(text, limit) else _put_right(text, limit)


def _is_ordinary(text: str, limit: int) -> bool:
    """Whether the text stays as it is: a quick look, which takes some that do for others."""
    return (
        len(text) <= limit  # and so are its characters, and its bytes
        and not _UNUSUAL.search(text)
        and unicodedata.is_normalized("NFC", text)
        and _READABLE.search(text) is not None
    )


def _put_right(text: str, limit: int) -> str:
    """What `one_line` gives and raises."""
    _within_bytes(text, limit)
    first, last = _FIRST.search(text), _LAST.search(text)
    if first is None or last is None:
        raise ValueError("It contains no visible text.")
    if found := _REFUSED.search(text, first.start(), last.end()):
        raise ValueError(f"{_place(text, found)} {_WHY[str(found.lastgroup)].format(f'U+{ord(found[0]):04X}')}")
    text = _composed(_without_the_idle(_composed(_DROPPED.sub("", text))))
    text = _SPACE_RUN.sub(_folded, text).strip()
    if not _READABLE.search(text):
        raise ValueError("It contains no visible text.")
    if (length := count(text)) > limit:
        raise ValueError(f"It has {length} characters; {limit} is the most. Cut {length - limit}.")
    _within_bytes(text, limit)
    return text


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
    if len(value) > LANGUAGE_MAX or not _LANGUAGE.fullmatch(value):
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


def _within_bytes(text: str, limit: int) -> None:
    """Raises ValueError. A character takes a byte at least, so the longest are refused without a look at them."""
    most = limit * BYTES_PER_CHARACTER
    if len(text) > most or len(text.encode("utf-8", "surrogatepass")) > most:
        raise ValueError(f"It is far too long: the maximum is {limit} characters and {most} bytes. Shorten it.")


def _place(text: str, found: regex.Match[str]) -> str:
    """Where it stands, in words for the eye: by number, and by the words before it."""
    before = text[: found.start()]
    seen = (c if c.isprintable() or c in "\u200c\u200d" else " " if c.isspace() else "" for c in before[-40:])
    words = " ".join("".join(seen).split())[-20:].strip()
    return f"Character {count(before) + 1}, after “{words}”, is" if words else f"Character {count(before) + 1} is"


def _without_the_idle(text: str) -> str:
    """The text without characters that are invisible and have no meaning in their place."""
    text = _TAGS.sub(r"\1", _without_stray(text))
    for idle in (_IDLE_SELECTORS, _IDLE_OTHERS, _IDLE_JOINERS):
        text = idle.sub("", text)
    if not _HIEROGLYPH.search(text):
        text = _HIEROGLYPH_CONTROLS.sub("", text)
    if _RIGHT_TO_LEFT.search(text):
        return _REPEATED_BIDI_MARK.sub(r"\1", text)
    return _BIDI_MARKS.sub("", text)  # LRM, RLM and ALM sort out words of two directions: here is one


def _without_stray(text: str) -> str:
    """The text without embeddings and isolates that are never closed, and without what closes none (UAX #9, BD9)."""
    opened: list[tuple[int, str]] = []
    isolates = 0
    stray: set[int] = set()
    for found in _BIDI_PAIRS.finditer(text):
        at, character = found.start(), found[0]
        if character in _EMBEDDINGS:
            opened.append((at, _PDF))
        elif character in _ISOLATES:
            opened.append((at, _PDI))
            isolates += 1
        elif character == _PDI and isolates:
            while opened[-1][1] != _PDI:
                stray.add(opened.pop()[0])
            opened.pop()
            isolates -= 1
        elif character == _PDF and opened and opened[-1][1] == _PDF:
            opened.pop()
        else:
            stray.add(at)
    stray.update(at for at, _ in opened)
    return "".join(c for at, c in enumerate(text) if at not in stray) if stray else text


def _composed(text: str) -> str:
    """NFC. Raises ValueError: it sorts the marks of a row, which takes the square of their number."""
    if found := _MARKS.search(text):
        at = max(count(text[: found.start()]), 1)
        raise ValueError(f"More than {MARKS_MAX} combining marks are on character {at}. Type it again.")
    return unicodedata.normalize("NFC", text)


def _folded(match: regex.Match[str]) -> str:
    return match[0] if match[0] in _KEPT_ALONE else " "
