"""What makes an editor look again before words go out. Pure: knows lines and events; knows no newswire, no HTTP.

A brake blocks until it is confirmed by its name. Advice doesn't block. docs/publish.md has the table of both.

Rule 1: taking words off the air passes no brake.
Rule 2: nothing here costs more than some milliseconds for a day's lines.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Final, Literal

import regex
from msgspec import UNSET, Struct
from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from ticker.channel import Brake, Channel
from ticker.line import Event, Line, NewLine
from ticker.script import is_mostly_foreign

BrakeName = Literal["marker", "script", "flash-brake", "burst", "refile"]
AdviceName = Literal["duplicate", "no-source", "link", "spaces", "invisible", "direction", "long"]

REFILE_MAX = 3  # characters put in, left out or replaced; "teh" for "the" takes two
LONG = 120  # characters; longer lines wrap on a phone, and are read out to the end by nobody
ALIKE = 82  # of 100 (rapidfuzz); found by trying it on a day's lines: two versions of one headline have 85 and more
ALIKE_IF_TIED = 60  # the same for lines of one story
SIMILAR_MAX = 5  # lines that are shown beside a new one
LOOKED_BACK = 86_400  # seconds in which a line like this one counts as the same news


class Warning(Struct, frozen=True):
    """Why to look again. A blocking one is confirmed by its `code`."""

    code: BrakeName | AdviceName
    field: str
    detail: str
    blocking: bool


# Brakes


def marker(text: str, channel: Channel, field: str = "text") -> Warning | None:
    """Words that say that a text, a source or a note isn't meant for the public, or one that is nothing but a test."""
    found = _pattern(channel.markers).search(text) if channel.markers else None
    if found is None and not _is_a_test(text):
        return None
    said = "is nothing but a test" if found is None else f"has “{found[0]}” in it"
    return Warning("marker", field, f"The {field} {said}, so it doesn't seem to be meant for the public.", True)


def script(text: str, channel: Channel) -> Warning | None:
    """Letters of another script than the channel's language has. Not for a line that names a language of its own."""
    if not is_mostly_foreign(text, channel.language):
        return None
    detail = (
        f"Most letters of the text belong to another script than the language of the channel {channel.slug} "
        f"({channel.language}). Is it the right channel? A line in another language names it in the field language."
    )
    return Warning("script", "text", detail, True)


def refile(before: str, after: str) -> Warning | None:
    """More than a slip of the pen: readers must learn that it was corrected."""
    if _digits(before) != _digits(after):
        detail = "A digit changes. Readers must learn of that: send it as a correction, without refile."
    elif (changed := Levenshtein.distance(before, after, score_cutoff=REFILE_MAX)) > REFILE_MAX:
        detail = (
            f"More than {REFILE_MAX} characters change, which is more than a slip of the pen. Readers must learn of "
            "that: send it as a correction, without refile."
        )
    else:
        assert changed <= REFILE_MAX
        return None
    return Warning("refile", "text", detail, True)


def flash_brake(brake: Brake, flashes: int, *, more: bool = False) -> Warning | None:
    """Too many flashes in a short time: the next one is a slip, or a programme that has run wild. `more`: there may be
    more than were counted."""
    if flashes < brake.most and more:
        return Warning("flash-brake", "urgency", _UNCOUNTED.format("flashes", _span(brake)), True)
    if flashes < brake.most:
        return None
    detail = f"This would be flash number {flashes + 1} within {_span(brake)}. A flash is rare."
    return Warning("flash-brake", "urgency", detail, True)


def burst(brake: Brake, lines: int, *, more: bool = False) -> Warning | None:
    """Too many lines by one key in a short time. `more`: there may be more than were counted."""
    if lines < brake.most and more:
        return Warning("burst", "text", _UNCOUNTED.format("lines of this key", _span(brake)), True)
    if lines < brake.most:
        return None
    return Warning("burst", "text", f"This would be line number {lines + 1} of one key within {_span(brake)}.", True)


def lines_by(key_id: str, events: Iterable[Event], since: datetime) -> set[str]:
    """The new lines that one key has put on the air since then, by their ids; drafts of others too."""
    new = (event for event in events if event.line.version == 1 and event.line.published > since)
    return {event.line.id for event in new if (event.act.released_by or event.act.by).id == key_id}


def became_flash(events: Iterable[Event], since: datetime) -> bool:
    """Whether a line has become a flash since then. `events`: all of the line's, oldest first."""
    before = None
    for event in events:
        urgency = event.line.urgency
        if urgency == "flash" != before and event.line.updated > since:
            return True
        before = urgency
    return False


_UNCOUNTED: Final = "So much has changed or is scheduled here that the {} within {} can't be counted."


def _span(brake: Brake) -> str:
    minutes, seconds = divmod(brake.seconds, 60)
    return f"{brake.seconds} s" if seconds or not minutes else f"{minutes} min"


@lru_cache(maxsize=64)
def _pattern(markers: tuple[str, ...]) -> regex.Pattern[str]:
    """Each as words of its own, however its words are joined: `TKTK` and `tk-tk` are TK TK."""
    each = (r"[\s_-]{0,3}".join(map(regex.escape, marker.split())) for marker in markers)
    return regex.compile(rf"(?<![\p{{L}}\p{{N}}])(?:{'|'.join(each)})(?![\p{{L}}\p{{N}}])", regex.I)


# "Test", as editors of the languages that we have words for type it.
_TESTS: Final = frozenset(
    "test testing tests teste testi teszt prueba essai prova proba próba zkouška deneme prøve prov proef koe uji ujian "
    "tes percobaan jaribio thử тест тестов тестовый проба проверка перевірка δοκιμή τεστ اختبار تجربة تجربه تست آزمایش "
    "آزمایشی ٹیسٹ آزمائش בדיקה טסט מבחן परीक्षण टेस्ट পরীক্ষা টেস্ট テスト 試験 试验 測試 测试 테스트 시험 ทดสอบ".split()
)
_WORD: Final = regex.compile(r"[\p{L}\p{M}]+")
_TEST_PHRASES: Final = frozenset({"kiểm tra", "thử nghiệm", "this is a test", "just a test", "esto es una prueba"})

_TESTS_BEGIN: Final = _TESTS | {phrase.split()[0] for phrase in _TEST_PHRASES}


def _is_a_test(text: str) -> bool:
    first = _WORD.search(text[:200])
    if first is None or first[0].casefold() not in _TESTS_BEGIN:
        return False
    words = [word.casefold() for word in _WORD.findall(text[:200])]
    return " ".join(words) in _TEST_PHRASES or _TESTS.issuperset(words)


def _digits(text: str) -> list[str]:
    """What the text has of numbers, in any script: 三 is one too."""
    return [str(unicodedata.numeric(each)) for each in text if each.isnumeric()]


# Advice


def advice(raw: str, new_line: NewLine, channel: Channel) -> list[Warning]:
    """What doesn't block. `raw`: the text as it was sent; `new_line` as it would be published."""
    text, found = new_line.text, list[Warning]()
    if new_line.source is None:
        found.append(Warning("no-source", "source", "The line names no source.", False))
    if new_line.url is not None and not new_line.url.lower().startswith("https:"):
        found.append(Warning("link", "url", "The link is not https.", False))
    if _DOUBLE_SPACE.search(raw):
        found.append(Warning("spaces", "text", "Double spaces are in it. They are published as one.", False))
    if _INVISIBLE.search(raw):
        found.append(Warning("invisible", "text", "Invisible characters are in it, left by a paste.", False))
    direction = channel.direction if new_line.direction is UNSET else new_line.direction
    if (first := _first_strong(text)) is not None and first != direction:
        detail = f"Its first letter runs {_RUNS[first]}, and the line runs {_RUNS[direction]}."
        found.append(Warning("direction", "text", detail, False))
    if len(text) > LONG:
        found.append(
            Warning("long", "text", f"It has {len(text)} characters. Up to {LONG} are read at a glance.", False)
        )
    return found


_DOUBLE_SPACE: Final = regex.compile(r"\S[ \u00a0\u2000-\u200a\u3000]{2,}\S")
_INVISIBLE: Final = regex.compile(r"[\u00ad\u200b\u2060\ufeff\ufffc]")
_RUNS: Final = {"ltr": "from left to right", "rtl": "from right to left"}


def _first_strong(text: str) -> Literal["ltr", "rtl"] | None:
    for each in text:
        match unicodedata.bidirectional(each):
            case "L":
                return "ltr"
            case "R" | "AL":
                return "rtl"
    return None


def similar(new_line: NewLine, lines: Iterable[Line]) -> list[Line]:
    """Lines that say much the same, the most similar first. The lines have their texts."""
    wanted = plain(new_line.text)
    scored = []
    for line in lines:
        if not isinstance(line.text, str):
            continue
        score = fuzz.token_sort_ratio(wanted, plain(line.text))
        has_link = line.url is not None and line.url == new_line.url
        has_story = line.story is not None and line.story == new_line.story
        if has_link or score >= (ALIKE_IF_TIED if has_story else ALIKE):
            scored.append((score, line))
    scored.sort(key=lambda each: each[0], reverse=True)
    return [line for _, line in scored[:SIMILAR_MAX]]


_ARABIC_MARKS: Final = regex.compile(r"[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]")
_ARABIC_FORMS: Final = str.maketrans("أإآٱىةؤئیک", "اااايهوييك")
_NOT_WORDS: Final = regex.compile(r"[^\p{L}\p{M}\p{N}]+")


def plain(text: str) -> str:
    """The text as it is compared: no case, no marks of Arabic, one form of each letter, words alone."""
    folded = _ARABIC_MARKS.sub("", unicodedata.normalize("NFKC", text)).translate(_ARABIC_FORMS).casefold()
    return _NOT_WORDS.sub(" ", folded).strip()
