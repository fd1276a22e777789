"""A line's fields, limits and life cycle: from new to its last version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ticker.channel import HOUR, Channel
from ticker.errors import Conflict, Invalid, Malformed, Stale
from ticker.line import EXPIRES_IN_MAX, Cursor, Input, Line, NewLine, Patch, amend, begin, checked, expect, withholds

EN = Channel(slug="en", title="English", language="en", direction="ltr", label="Breaking")
AR = Channel(slug="ar", title="العربية", language="ar", direction="rtl", label="عاجل")
MS = 1_763_892_000_123
START = Cursor(MS, 0)
NOW = START.time
LATER = Cursor(MS + 60_000, 0)
STATUSES = ["usable", "withheld", "canceled"]


def a_line(status: str = "usable", channel: Channel = EN, **fields: Any) -> Line:
    line = begin(checked(NewLine(**{"text": "Rain", **fields})), channel, START)
    return line if status == "usable" else amended(line, at=START, status=status)


def amended(line: Line, at: Cursor = LATER, **fields: Any) -> Line:
    return amend(line, checked(Patch(**fields)), at)


def faults(kind: type[Input], **fields: Any) -> list[str]:
    with pytest.raises(Invalid) as refused:
        checked(kind(**fields))
    return [error.field for error in refused.value.errors]


# Cursors


@given(st.integers(0, 10**14), st.integers(0, 10**14))
def test_a_cursor_reads_what_it_writes(ms: int, n: int) -> None:
    assert Cursor.parse(str(Cursor(ms, n))) == Cursor(ms, n)


@pytest.mark.parametrize(
    "value", ["", "1", "-", "1-", "-1", "1-2-3", "a-b", " 1-2", "1-2 ", "١-٢", "+1-2", f"{10**15}-0"]
)
def test_what_is_no_cursor_is_malformed(value: str) -> None:
    with pytest.raises(Malformed, match="is not a cursor"):
        Cursor.parse(value)


def test_the_id_of_a_line_is_the_cursor_of_its_first_event() -> None:
    assert Cursor.of_line(a_line().id) == START
    with pytest.raises(Malformed, match=r"^'1-' is not the id of a line, which looks like"):
        Cursor.of_line("1-")


def test_a_cursor_tells_its_time_to_the_millisecond() -> None:
    assert Cursor(MS, 7).time == datetime(2025, 11, 23, 10, 0, 0, 123_000, UTC)


# A new line


def test_a_new_line_is_usable_and_counts_its_versions_from_one() -> None:
    line = a_line()
    assert (line.id, line.channel, line.status, line.version) == (str(START), "en", "usable", 1)
    assert line.published == line.updated == NOW
    assert (line.urgency, line.pinned, line.corrected) == ("urgent", False, None)
    assert (line.url, line.source, line.story, line.note) == (None, None, None, None)


@pytest.mark.parametrize("field", ["text", "source", "note"])
@pytest.mark.parametrize("kind", [NewLine, Patch])
def test_a_paste_is_put_right_by_one_rule_in_a_draft_and_in_a_correction(kind: Any, field: str) -> None:
    pasted = {"text": "Rain", field: "\ufeffSnow\vand\u00ad\u2028 \u200bwind\ufffc\n"}
    assert getattr(checked(kind(**pasted)), field) == "Snow and wind"
    with pytest.raises(Invalid, match=r"Character 5, after “Snow”, is a line break \(U\+000A\)"):
        checked(kind(**{"text": "Rain", field: "Snow\nand wind"}))


def test_a_line_stands_in_the_words_of_the_rules() -> None:
    new_line = checked(
        NewLine(text=" Cafe\u0301  closed ", source=" Harbour  office", note="\tWhy", url=" https://a.example ")
    )
    assert new_line.text == "Caf\u00e9 closed"
    assert (new_line.source, new_line.note, new_line.url) == ("Harbour office", "Why", "https://a.example")


@pytest.mark.parametrize("kind", [NewLine, Patch])
def test_every_field_at_fault_is_named_at_once(kind: Any) -> None:
    wrong = {
        "text": "",
        "url": "x",
        "source": "\n.\n.",
        "story": "No slug",
        "note": "a\x00b",
        "language": "?",
        "expires_in": 0,
    }
    assert sorted(faults(kind, **wrong)) == sorted(wrong)


@pytest.mark.parametrize(("field", "limit"), [("text", 280), ("note", 280), ("source", 80)])
def test_each_field_of_words_has_its_own_limit(field: str, limit: int) -> None:
    fits: dict[str, Any] = {field: "é" * limit}
    assert checked(Patch(**fits))
    assert faults(Patch, **{field: "é" * (limit + 1)}) == [field]


# Language and direction


@pytest.mark.parametrize(
    ("channel", "given", "stands"),
    [
        (EN, {}, ("en", "ltr")),
        (AR, {}, ("ar", "rtl")),
        (EN, {"language": "he"}, ("he", "rtl")),
        (AR, {"language": "fr"}, ("fr", "ltr")),
        (AR, {"direction": "ltr"}, ("ar", "ltr")),
        (EN, {"language": "he", "direction": "ltr"}, ("he", "ltr")),
    ],
)
def test_direction_follows_language_unless_it_is_given(channel: Channel, given: dict[str, Any], stands: Any) -> None:
    line = a_line(channel=channel, **given)
    assert (line.language, line.direction) == stands


def test_a_corrected_language_turns_the_line_around() -> None:
    assert amended(a_line(), language="ar").direction == "rtl"
    assert amended(a_line(), language="ar", direction="ltr").direction == "ltr"
    assert amended(a_line(direction="rtl"), text="Snow").direction == "rtl"


# Expiry


@pytest.mark.parametrize(
    ("given", "expires"),
    [
        ({}, NOW + timedelta(seconds=2 * HOUR)),
        ({"expires": None}, None),
        ({"expires_in": 90}, NOW + timedelta(seconds=90)),
        ({"expires_in": EXPIRES_IN_MAX}, NOW + timedelta(seconds=EXPIRES_IN_MAX)),
        ({"expires": NOW + timedelta(milliseconds=1)}, NOW + timedelta(milliseconds=1)),
    ],
)
def test_a_line_expires_as_it_says_or_as_its_channel_does(given: dict[str, Any], expires: datetime | None) -> None:
    assert a_line(**given).expires == expires


def test_a_channel_may_keep_its_lines_for_ever() -> None:
    never = Channel(slug="x", title="X", language="en", direction="ltr", label="Breaking", expires_in=None)
    assert a_line(channel=never).expires is None
    assert a_line(channel=never, expires_in=5).expires == NOW + timedelta(seconds=5)


def test_an_offset_is_turned_into_utc() -> None:
    there = datetime(2026, 1, 1, 3, 0, tzinfo=timezone(timedelta(hours=3)))
    expires = a_line(expires=there).expires
    assert expires is not None
    assert (expires.isoformat(), expires.tzinfo) == ("2026-01-01T00:00:00+00:00", UTC)


@pytest.mark.parametrize("passed", [timedelta(0), timedelta(seconds=1), timedelta(days=9_000)])
def test_a_line_that_would_be_over_before_it_starts_is_refused(passed: timedelta) -> None:
    with pytest.raises(Invalid) as refused:
        a_line(expires=NOW - passed)
    assert [error.field for error in refused.value.errors] == ["expires"]


@pytest.mark.parametrize("seconds", [0, -1, EXPIRES_IN_MAX + 1])
def test_expires_in_has_bounds(seconds: int) -> None:
    assert faults(NewLine, text="Rain", expires_in=seconds) == ["expires_in"]


def test_only_one_of_expires_and_expires_in_is_taken() -> None:
    assert faults(NewLine, text="Rain", expires=None, expires_in=60) == ["expires_in"]


def test_a_time_without_offset_is_refused() -> None:
    assert faults(NewLine, text="Rain", expires=datetime(2030, 1, 1)) == ["expires"]


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
def test_a_time_that_no_calendar_has_in_utc_is_refused(time: str) -> None:
    expires = datetime.fromisoformat(time)
    with pytest.raises(Invalid) as refused:
        a_line(expires=expires)
    assert [error.field for error in refused.value.errors] == ["expires"]


def test_an_amended_expiry_counts_from_the_amendment() -> None:
    assert amended(a_line(), expires_in=60).expires == LATER.time + timedelta(seconds=60)
    assert amended(a_line(), expires=None).expires is None
    assert amended(a_line(expires_in=90), text="Snow").expires == NOW + timedelta(seconds=90)


# The life cycle


@pytest.mark.parametrize("to", STATUSES)
@pytest.mark.parametrize("status", STATUSES)
def test_the_life_cycle(status: str, to: str) -> None:
    line = a_line(status)
    if status == "canceled" and to != "canceled":
        with pytest.raises(Conflict, match="for good"):
            amended(line, status=to)
    elif status == to:
        assert amended(line, status=to) is line
    else:
        after = amended(line, status=to)
        assert (after.status, after.version, after.updated) == (to, line.version + 1, LATER.time)


@pytest.mark.parametrize(
    "patch", [{}, {"text": "Snow"}, {"note": "Why"}, {"pinned": True}, {"expires": None}, {"text": "Rain"}]
)
def test_nothing_of_a_canceled_line_can_be_changed(patch: dict[str, Any]) -> None:
    with pytest.raises(Conflict):
        amended(a_line("canceled"), **patch)


def test_a_released_line_has_its_words_again() -> None:
    line = a_line(url="https://a.example", source="AP")
    back = amended(amended(line, status="withheld"), status="usable")
    assert (back.text, back.url, back.source, back.version) == ("Rain", "https://a.example", "AP", 3)
    assert (back.id, back.published) == (line.id, line.published)


def test_a_line_that_expired_while_held_is_released_only_with_a_new_end() -> None:
    held = amended(a_line(expires_in=60), at=START, status="withheld")
    with pytest.raises(Conflict, match="expired"):
        amended(held, status="usable")
    with pytest.raises(Conflict, match="expired"):
        amended(held, status="usable", expires=LATER.time)
    assert amended(held, status="usable", expires_in=60).expires == LATER.time + timedelta(seconds=60)
    assert amended(held, status="usable", expires=None).expires is None


def test_a_held_line_can_be_corrected_and_stays_held() -> None:
    held = amended(a_line("withheld"), text="Snow")
    assert (held.status, held.text, held.corrected) == ("withheld", "Snow", LATER.time)


# Versions


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"text": "Rain"},
        {"text": " Rain "},
        {"note": None, "url": None},
        {"status": "usable", "urgency": "urgent", "pinned": False},
        {"language": "en", "direction": "ltr", "expires": NOW + timedelta(seconds=2 * HOUR)},
    ],
)
def test_a_change_that_changes_nothing_makes_no_version(same: dict[str, Any]) -> None:
    line = a_line()
    assert amended(line, **same) is line


@pytest.mark.parametrize(
    "change",
    [
        {"text": "Snow"},
        {"urgency": "flash"},
        {"url": "https://a.example"},
        {"source": "AP"},
        {"story": "storm"},
        {"note": "Why"},
        {"pinned": True},
        {"language": "fr"},
        {"direction": "rtl"},
        {"expires": None},
        {"status": "withheld"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_change_makes_one_version_and_a_new_tag(change: dict[str, Any]) -> None:
    line = a_line()
    after = amended(line, **change)
    assert (after.version, after.updated, after.published) == (2, LATER.time, line.published)
    assert after.etag != line.etag
    for field, value in change.items():
        assert getattr(after, field) == value


@pytest.mark.parametrize("field", ["url", "source", "story", "note"])
def test_null_takes_an_optional_field_away(field: str) -> None:
    full = a_line(url="https://a.example", source="AP", story="storm", note="Why")
    nothing: dict[str, Any] = {field: None}
    assert getattr(amended(full, **nothing), field) is None


def test_corrected_is_when_the_words_last_changed() -> None:
    corrected = amended(a_line(), text="Snow")
    assert corrected.corrected == LATER.time
    pinned = amended(corrected, at=Cursor(LATER.ms + 1, 0), pinned=True)
    assert pinned.corrected == LATER.time
    assert amended(a_line(), pinned=True).corrected is None


# Notes


@pytest.mark.parametrize("change", [{"text": "Snow"}, {"status": "withheld"}, {"status": "canceled"}])
def test_a_change_of_words_or_status_without_a_note_clears_the_note(change: dict[str, Any]) -> None:
    assert amended(a_line(note="Old reason"), **change).note is None


@pytest.mark.parametrize("change", [{"text": "Snow"}, {"status": "withheld"}, {"status": "canceled"}])
@pytest.mark.parametrize("note", ["Old reason", "New reason"])
def test_a_note_that_comes_with_a_change_is_kept(change: dict[str, Any], note: str) -> None:
    assert amended(a_line(note="Old reason"), **change, note=note).note == note


@pytest.mark.parametrize(
    "change", [{"urgency": "flash"}, {"pinned": True}, {"expires": None}, {"url": "https://a.example"}]
)
def test_a_change_of_anything_else_leaves_the_note(change: dict[str, Any]) -> None:
    assert amended(a_line(note="Old reason"), **change).note == "Old reason"


# What the public sees


def test_a_usable_line_is_public_as_it_is() -> None:
    line = a_line()
    assert line.public(HOUR) is line


@pytest.mark.parametrize("status", ["withheld", "canceled"])
def test_a_tombstone_has_no_words_and_an_end_of_its_own(status: str) -> None:
    line = a_line(url="https://a.example", source="AP", story="storm", expires=None)
    tombstone = amended(line, status=status, note="Why").public(HOUR)
    assert (tombstone.text, tombstone.url, tombstone.source) == (UNSET, UNSET, UNSET)
    assert (tombstone.status, tombstone.note) == (status, "Why")
    assert tombstone.story == ("storm" if status == "withheld" else None)
    assert tombstone.expires == LATER.time + timedelta(seconds=HOUR)
    assert (tombstone.id, tombstone.published, tombstone.version) == (line.id, line.published, 2)


@pytest.mark.parametrize(("by_now", "story"), [("withheld", "storm"), ("canceled", None)])
def test_what_a_line_said_before_it_was_withdrawn_is_gone_with_its_notes(by_now: Any, story: str | None) -> None:
    line = a_line(url="https://example.org/", source="AP", story="storm", note="What it said")
    before = line.public_since(HOUR, by_now)
    assert (before.text, before.url, before.source, before.note) == (UNSET, UNSET, UNSET, None)
    assert before.story == story
    kept = ("id", "status", "version", "urgency", "published", "updated", "expires", "language")
    assert [getattr(before, name) for name in kept] == [getattr(line, name) for name in kept]


def test_a_version_of_a_line_that_stands_is_as_it_was() -> None:
    line = a_line(note="Why")
    assert line.public_since(HOUR, "usable") is line
    held = amended(line, status="withheld", note="Being checked")
    assert held.public_since(HOUR, "usable") == held.public(HOUR)


@pytest.mark.parametrize("status", ["withheld", "canceled"])
def test_the_version_that_withdrew_a_line_says_why(status: Any) -> None:
    gone = amended(a_line(), status=status, note="Why")
    assert gone.public_since(HOUR, status) == gone.public(HOUR)
    assert gone.public_since(HOUR, status).note == "Why"


# If-Match


@pytest.mark.parametrize("header", [None, "*", " * ", "{}", " {} ", "W/{}", '"0-0", {}', '"0-0",W/{}, "1-1"'])
def test_a_change_of_the_version_that_was_read_passes(header: str | None) -> None:
    line = a_line()
    expect(line, header and header.format(line.etag))


@pytest.mark.parametrize("weak", ["", "W/"])
@pytest.mark.parametrize(
    "suffix", ["-gzip", "-br", "-zstd", "-deflate", "--gzip", ";gzip", ";br", "-GZIP", "-br-gzip", "-x-gzip"]
)
def test_a_tag_behind_which_a_proxy_wrote_its_encoding_names_the_same_version(weak: str, suffix: str) -> None:
    line = a_line()
    version = line.etag[1:-1]
    expect(line, f'{weak}"{version}{suffix}"')
    expect(line, f'"0-0-gzip", {weak}{line.etag}{suffix}')
    for other in (f'{weak}"{version}0{suffix}"', f'"0-0{suffix}"', f'"{suffix}"', f"{version}{suffix}"):
        with pytest.raises(Stale):
            expect(line, other)


@pytest.mark.parametrize(
    "header",
    ["", '"1"', "1-0", '"0-0", "1-1"', 'W/"1"', "{}x", "nonsense", '{}"', "w/{}", "{}-", '"{}"', "{}-gzip-br-gzip"],
)
def test_a_change_of_any_other_version_is_stale(header: str) -> None:
    line = a_line()
    with pytest.raises(Stale, match="version 1 now"):
        expect(line, header.format(line.etag))


@pytest.mark.parametrize("header", ["," * 60_000, '"' * 60_000, '"1-1",' * 9_000, "W/" * 30_000])
def test_a_list_of_tags_without_end_is_refused_unread(header: str) -> None:
    with pytest.raises(Malformed, match="4096"):
        expect(a_line(), header)


def test_the_tag_of_the_version_before_is_stale() -> None:
    line = a_line()
    with pytest.raises(Stale):
        expect(amended(line, text="Snow"), line.etag)


# What nothing holds up


@pytest.mark.parametrize(
    ("fields", "does"),
    [
        ({"status": "withheld"}, True),
        ({"status": "withheld", "note": "Checking"}, True),
        ({"status": "withheld", "note": None}, True),
        ({"status": "withheld", "text": "Snow"}, False),
        ({"status": "withheld", "pinned": False}, False),
        ({"status": "withheld", "expires": None}, False),
        ({"status": "withheld", "expires_in": 60}, False),
        ({"status": "withheld", "refile": True}, False),
        ({"status": "canceled"}, False),
        ({"status": "usable"}, False),
        ({"note": "Checking"}, False),
        ({}, False),
    ],
)
def test_a_change_that_withholds_and_does_nothing_else_is_told_from_others(fields: dict[str, Any], does: bool) -> None:
    line = begin(checked(NewLine(text="Rain")), EN, START)
    assert withholds(line, Patch(**fields)) == does
    held = amend(line, Patch(status="withheld", note="Being checked"), LATER)
    assert not withholds(held, Patch(**fields)), "another note of a line that is withheld already is words"
