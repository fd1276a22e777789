"""What may stand in public words: every rule of text.py, with what editors really paste."""

from __future__ import annotations

import re
import unicodedata

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from ticker import text as rules
from ticker.text import (
    BYTES_PER_CHARACTER,
    MARKS_MAX,
    SLUG_MAX,
    TEXT_MAX,
    count,
    is_right_to_left,
    language_tag,
    one_line,
    shown,
    slug,
)

FAMILY = "👩‍👩‍👧‍👦"
FLAG = "🇯🇴"
DEVANAGARI = "क्षि"  # four code points, one character on paper
COMBINED = "x\u0323\u0302"  # no precomposed form: three code points stay three
LRI, RLI, FSI, PDI = "\u2066", "\u2067", "\u2068", "\u2069"
LRE, RLE, PDF = "\u202a", "\u202b", "\u202c"
LRO, RLO = "\u202d", "\u202e"

# What hypothesis should try often: everything that a rule is about.
TRICKY = st.sampled_from(
    f" \t\n\r\v\x00\x1c\x1f\x85\u00a0\u202f\u3000\u2028\u2029\ufeff\u200b\u200c\u200d\u200e\u200f\u061c\u0301\u0338"
    f"\u034f\u2060\ufffc\ufe0f\U000e0100\U000e0067\U000e0062\U000e007f\U0001f3f4\u05d0\u0627\u064b\u304b\u3099\u0915\u094d\u1100\u1161\u11a8\u212b\u3164{LRI}{RLI}{FSI}{PDI}{LRE}{RLE}{PDF}{LRO}{RLO}🇯🇴👩👧\U0001f3fdaß1."
)
WORDS = st.text(TRICKY | st.characters(exclude_categories=["Cs"]), max_size=60)


def lined(text: str) -> str:
    return one_line(text, TEXT_MAX)


# What is put right


def test_words_are_kept_in_composed_form() -> None:
    assert lined("Cafe\u0301") == "Caf\u00e9"


def test_the_ends_are_trimmed() -> None:
    assert lined(" \t\u00a0\u3000Rain\r\n\u2028") == "Rain"


def test_white_space_inside_is_folded() -> None:
    assert lined("Rain \t  and\u2003\u2009wind") == "Rain and wind"


@pytest.mark.parametrize("space", ["\u00a0", "\u202f", "\u3000"], ids=["NBSP", "NNBSP", "ideographic"])
def test_a_space_with_a_meaning_is_kept_where_it_stands_alone(space: str) -> None:
    assert lined(f"Pluie{space}: alerte") == f"Pluie{space}: alerte"
    assert lined(f"Pluie{space}{space}: alerte") == "Pluie : alerte"


@pytest.mark.parametrize("text", ["\ufeffRain", "Rain\ufeff", " \ufeff Rain \ufeff ", "\ufeff \ufeffRain"])
def test_a_byte_order_mark_at_an_end_is_taken_off(text: str) -> None:
    assert lined(text) == "Rain"


SPACE_LIKE = "\t\v\f\x1c\x1d\x1e\x1f\x85\u1680\u2000\u2003\u2009\u200a\u2028\u2029\u205f\u2800"
INVISIBLE = (
    "\u00ad\u115f\u1160\u17b4\u17b5\u200b\u2060\u2061\u2062\u2063\u2064\u2065\u206a\u206b\u206c\u206d\u206e\u206f"
    "\u3164\ufeff\uffa0\ufff0\ufffc\U0001bca0\U0001d173\U0001d17a\U000e0001\U000e0020\U000e0041\U000e007f\U000e0080"
    "\U000e01f0\u034f\u180e\u200c\u200d\u200e\u200f\u061c\ufe00\ufe0f\U000e0100\u180b\U0001d159\U00013430\U0001343f"
)


def number(character: str) -> str:
    return f"U+{ord(character):04X}"


@pytest.mark.parametrize("space", SPACE_LIKE, ids=number)
def test_what_a_paste_has_for_a_space_becomes_one(space: str) -> None:
    assert lined(f"{space}Rain{space}and {space}wind{space}") == "Rain and wind"


@pytest.mark.parametrize("invisible", INVISIBLE, ids=number)
def test_what_is_invisible_and_means_nothing_is_taken_out(invisible: str) -> None:
    assert lined(f"{invisible}Ra{invisible}in {invisible} a{invisible}{invisible}nd{invisible}") == "Rain and"


def test_every_invisible_character_of_unicode_is_taken_out_of_plain_words() -> None:
    unicode = "".join(map(chr, range(0x110000)))
    invisible = regex.findall(r"\p{Default_Ignorable_Code_Point}", unicode)
    assert len(invisible) > 4_000
    for character in invisible:
        assert accepted(f"a{character}b", 9) in ("ab", None), number(character)


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cخواهم",
        "كتابً\u200cها",
        "١٤٤٥ ه\u200d",  # joined to nothing: how the year of the Hijra is marked
        "क्\u200dष",
        "क्\u200cष",
        "ශ්\u200dරී",
        *("👩\u200d🚒", "❤\ufe0f\u200d🔥", "🏳\ufe0f\u200d🌈", "👩🏽\u200d🚒", "1\ufe0f\u20e3"),
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "葛\U000e0100飾区",
        "𓀀\U00013430𓀁",
        "ᠰᠠᠢᠨ\u180eᠠ",
        "ᠭ\u180b",
        "שבע\u05b0\u034f\u05bc",
        *("ב-C++\u200e!", "א\u061c1"),
    ],
)
def test_what_is_spelling_is_kept(text: str) -> None:
    assert lined(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("text", "stands"),
    [
        ("Hi\U000e0068\U000e0069", "Hi"),  # words that only programs see
        ("\U0001f3f4\U000e0067\U000e0062", "\U0001f3f4"),
        ("\U0001f3f4" + "\U000e0061" * 12 + "\U000e007f", "\U0001f3f4"),
        ("😀" + "\ufe0f\U000e0101\U000e0102", "😀\ufe0f"),
        ("א\u200f\u200f\u200fב", "א\u200fב"),
        ("Rain\u200e", "Rain"),
        ("日\u200d本", "日本"),
        ("مي \u200c خواهم", "مي خواهم"),
    ],
)
def test_what_is_spelling_elsewhere_is_taken_out(text: str, stands: str) -> None:
    assert lined(text) == stands


@pytest.mark.parametrize(
    "mark",
    ["\u200e", "\u200f", "\u061c", "\u200d", "\u200c"],
    ids=["LRM", "RLM", "ALM", "ZWJ", "ZWNJ"],
)
def test_marks_that_are_spelling_are_kept(mark: str) -> None:
    assert lined(f"می{mark}خواهم") == f"می{mark}خواهم"


# What is refused


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("One\ntwo", "Character 4, after “One”, is a line break (U+000A)."),
        ("One\rtwo", "Character 4, after “One”, is a line break (U+000D)."),
        ("One\r\ntwo", "Character 4, after “One”, is a line break (U+000D)."),
        ("  One 👩‍👩‍👧‍👦 é \n\n two", "Character 11, after “One 👩‍👩‍👧‍👦 é”, is a line break (U+000A)."),
        ("\nOne\ntwo", "Character 5, after “One”, is a line break (U+000A)."),
        (f"{'word ' * 20}\ntwo", "Character 101, after “word word word word”, is a line break (U+000A)."),
        ("On\u202be\x07", "Character 5, after “One”, is a control character (U+0007)."),
    ],
)
def test_a_line_break_is_refused_and_shown_where_it_stands(text: str, where: str) -> None:
    with pytest.raises(ValueError, match=re.escape(where)):
        lined(text)


@pytest.mark.parametrize(
    "control",
    [chr(code) for code in (*range(0x1C), 0x7F, *range(0x80, 0xA0)) if chr(code) not in "\t\n\r\v\f\x85"],
    ids=lambda value: f"U+{ord(value):04X}",
)
def test_a_control_character_is_refused_by_its_number(control: str) -> None:
    with pytest.raises(ValueError, match=rf"control character \(U\+{ord(control):04X}\)"):
        lined(f"One{control}two")


@pytest.mark.parametrize("override", [LRO, RLO], ids=["LRO", "RLO"])
def test_a_bidi_override_is_refused_also_where_it_is_closed(override: str) -> None:
    with pytest.raises(ValueError, match="bidi override"):
        lined(f"Pay {override}100{PDF} now")


@pytest.mark.parametrize(
    "text",
    [
        f"{LRI}a{PDI} b",
        f"{RLI}a{PDI} b",
        f"{FSI}a{PDI} b",
        f"{LRE}a{PDF} b",
        f"{RLE}a{PDF} b",
        f"{RLI}a {LRE}b{PDF} {FSI}c{PDI} d{PDI}",
    ],
)
def test_closed_isolates_and_embeddings_are_kept(text: str) -> None:
    assert lined(text) == text


@pytest.mark.parametrize(
    ("text", "stands"),
    [
        *((f"{LRI}a", "a"), (f"{FSI}a", "a"), (f"{RLE}a", "a"), (f"a{PDI}", "a"), (f"a{PDF}", "a")),
        *((f"{LRI}a{PDF}", "a"), (f"{RLE}a{PDI}", "a"), (f"a{PDI}b{RLI}c", "abc")),
        (f"{LRI}a{LRE}b{PDI}c{PDF}", f"{LRI}ab{PDI}c"),  # the isolate's end ends the embedding in it
        (f"{RLI}{RLI}a{PDI}", f"{RLI}a{PDI}"),
        (f"{LRI}{PDF}a{PDI}", f"{LRI}a{PDI}"),
    ],
)
def test_isolates_and_embeddings_that_are_not_closed_are_taken_out(text: str, stands: str) -> None:
    assert lined(text) == stands


@pytest.mark.parametrize(
    ("character", "why"),
    [
        *((chr(code), "annotation mark") for code in range(0xFFF9, 0xFFFC)),
        *((character, "no character") for character in ("\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0010ffff")),
    ],
    ids=lambda value: f"U+{ord(value):04X}" if len(value) == 1 else value,
)
def test_what_would_change_the_words_if_it_were_taken_out_is_refused(character: str, why: str) -> None:
    with pytest.raises(ValueError, match=rf"Character 4, after “One”, is .*{why}.* \(U\+{ord(character):04X}\)"):
        lined(f"One{character}two")


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "\u00a0\u3000", "\ufeff", "\u200b", "\u200e\u200f\u061c", "\u200d\u200c", f"{LRI}{PDI}", "\u2060"),
        *("\u00ad", "\u034f", "\ufe0f", "\u0301", "\u115f\u1160", "\u3164", "\uffa0", "\u2800", "\U000e0041"),
    ],
    ids=lambda value: "-".join(f"U+{ord(c):04X}" for c in value) or "nothing",
)
def test_words_that_nobody_can_see_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no visible text"):
        lined(text)


def test_a_mark_for_each_character_passes_and_a_tower_of_them_is_refused() -> None:
    tower = "Z" + "\u0335" * MARKS_MAX  # a stroke, which composes with no letter
    assert lined(tower) == tower
    with pytest.raises(ValueError, match="combining marks"):
        lined(tower + "\u0335")


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        lined("One \ud800 two")


# How it is counted


@pytest.mark.parametrize(
    "character",
    [
        "a",
        "ش",
        "é",
        "e\u0301",
        COMBINED,
        FLAG,
        DEVANAGARI,
        "각",
        "👍🏽",
        "1\ufe0f\u20e3",
        "\U0001f3f4\u200d\u2620\ufe0f",
    ],
)
def test_280_characters_pass_and_281_are_too_many(character: str) -> None:
    assert count(lined(character * TEXT_MAX)) == TEXT_MAX
    with pytest.raises(ValueError, match=r"It has 281 characters; 280 is the most\. Cut 1\."):
        lined(character * (TEXT_MAX + 1))


def test_a_family_is_one_character_and_a_text_of_families_ends_at_its_bytes() -> None:
    most = TEXT_MAX * BYTES_PER_CHARACTER // len(FAMILY.encode())
    assert count(FAMILY) == 1
    assert lined(FAMILY * most)
    with pytest.raises(ValueError, match="bytes"):
        lined(FAMILY * (most + 1))


def test_characters_are_counted_after_the_white_space_is_folded() -> None:
    assert lined("a" * 139 + " " * 50 + "b" * 140 + " " * 50) == "a" * 139 + " " + "b" * 140


def test_the_limit_is_the_callers() -> None:
    assert one_line("abcd", 4) == "abcd"
    with pytest.raises(ValueError, match="4 is the most"):
        one_line("abcde", 4)


# What holds for any words


def accepted(text: str, limit: int) -> str | None:
    try:
        return one_line(text, limit)
    except ValueError:
        return None


@given(WORDS)
@example("\ufeff \ufeffRain")
def test_what_stands_would_stand_again_unchanged(text: str) -> None:
    if (once := accepted(text, 40)) is not None:
        assert one_line(once, 40) == once


@given(WORDS)
def test_what_stands_is_one_composed_line_within_its_limit(text: str) -> None:
    if (line := accepted(text, 40)) is not None:
        assert unicodedata.is_normalized("NFC", line)
        assert line == line.strip() != ""
        assert len(line.splitlines()) == 1
        assert not regex.search(r"[\p{Cc}\p{Zl}\p{Zp}\u202D\u202E]|\s\s", line)
        assert len(regex.findall(r"\X", line)) <= 40


@given(WORDS)
def test_a_quick_look_lets_nothing_by_that_would_change(text: str) -> None:
    if rules._is_ordinary(text, TEXT_MAX):
        assert rules._put_right(text, TEXT_MAX) == text


def test_a_quick_look_lets_no_character_by_that_would_change() -> None:
    """Most scripts whole, and the large ones of which all characters are alike by samples."""
    ordinary = 0
    for code in (*range(0x3400), *range(0xD7A0, 0x20000, 3), *range(0xE0000, 0xE1000), *range(0x3400, 0x110000, 211)):
        for text in (f"a{chr(code)}b", chr(code), f"a {chr(code)}{chr(code)}"):
            if rules._is_ordinary(text, TEXT_MAX):
                assert rules._put_right(text, TEXT_MAX) == text, f"U+{code:04X}"
                ordinary += 1
    assert ordinary > 50_000
    assert all(rules._is_ordinary(text, TEXT_MAX) for text in ("Rain in Wales", "مطر في الجنوب", "北京下雨", "Дождь"))
    assert not rules._is_ordinary("a" * (TEXT_MAX + 1), TEXT_MAX)
    assert not rules._is_ordinary("", TEXT_MAX)


@given(st.text(st.characters(categories=("L", "N", "P", "Sc", "Sm")), min_size=1, max_size=40))
def test_plain_words_are_never_refused(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    visible = unicodedata.normalize("NFC", regex.sub(r"\p{Default_Ignorable_Code_Point}", "", composed))
    if visible:
        assert one_line(text, 80) == visible


# Slugs and languages


@pytest.mark.parametrize("value", ["a", "7", "en", "election-2026", "a--b", "x" * SLUG_MAX])
def test_a_slug_is_kept(value: str) -> None:
    assert slug(value) == value


@pytest.mark.parametrize(
    "value", ["", "-a", "a-", "A", "ä", "a_b", "a b", "a/b", "..", "a\n", "١", "x" * (SLUG_MAX + 1)]
)
def test_what_is_no_slug_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="slug"):
        slug(value)


@pytest.mark.parametrize(
    "tag", ["en", "ar", "AR", "pt-BR", "es-419", "zh-Hant", "zh-Hant-HK", "de-1996", "sl-rozaj", "ckb", "en-u-hc-h23"]
)
def test_a_language_tag_is_kept(tag: str) -> None:
    assert language_tag(tag) == tag


@pytest.mark.parametrize(
    "tag", ["", "e", "english", "en_GB", "en-", "-en", "en-GB-", "en GB", "ar\n", "ع", "en-" + "a" * 40]
)
def test_what_is_no_language_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="BCP 47"):
        language_tag(tag)


@pytest.mark.parametrize(
    "tag", ["ar", "AR", "ar-EG", "he", "iw", "fa-IR", "ur", "ps", "yi", "ckb", "dv", "uz-Arab", "az-arab-IR"]
)
def test_languages_that_run_from_right_to_left(tag: str) -> None:
    assert is_right_to_left(tag)


@pytest.mark.parametrize(
    "tag", ["en", "es", "ku", "az", "ms", "ha", "ar-Latn", "he-Latn-IL", "ks-Deva", "pa-Guru", "arn", "fan"]
)
def test_languages_that_run_from_left_to_right(tag: str) -> None:
    assert not is_right_to_left(tag)


# What an error repeats of what was sent


def test_an_error_repeats_at_most_64_characters_and_all_of_them_to_be_seen() -> None:
    assert shown("Rain") == "Rain"
    assert shown("x" * 64) == "x" * 64
    assert shown("x" * 65) == "x" * 63 + "…"
    assert shown("a\u202eb\n\u200bc\U000e0041") == "aU+202EbU+000AU+200BcU+E0041"
