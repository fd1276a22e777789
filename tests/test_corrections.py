"""What the public ledger says of a line, whatever became of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.acting import act
from tests.newswire.wires import EN
from ticker.corrections import Entry, corrections_of, entry
from ticker.errors import Conflict
from ticker.line import Cursor, Event, NewLine, Patch, amend, begin, checked

WITHHOLD, REINSTATE, CANCEL = {"status": "withheld"}, {"status": "usable"}, {"status": "canceled"}
Change = dict[str, Any]


def versions(*changes: Change, text: str = "A") -> list[Event]:
    """The events of one line: it is published with a text, then changed. What isn't allowed changes nothing."""
    line = begin(checked(NewLine(text=text)), EN, Cursor(1_000, 0))
    events = [Event(channel="en", cursor="1000-0", prev=None, line=line, act=act())]
    for number, change in enumerate(changes, 1):
        cursor = Cursor(1_000 + number // 2, number)  # two in a millisecond, now and then
        try:
            after = amend(line, checked(Patch(**change)), cursor)
        except Conflict:
            continue
        if after is not line:
            refile = bool(change.get("refile"))
            events.append(
                Event(channel="en", cursor=str(cursor), prev=None, line=after, act=replace(act(), refile=refile))
            )
            line = after
    return events


def ledger(events: list[Event], *, repeat_canceled: bool = False) -> list[Entry]:
    line = events[-1].line
    return [entry(each, line, repeat_canceled=repeat_canceled) for each in corrections_of(events)]


def told(*changes: Change, repeat_canceled: bool = False) -> list[tuple[str, str | None, str | None, str | None]]:
    return [
        (each.kind, each.said, each.says, each.note)
        for each in ledger(versions(*changes), repeat_canceled=repeat_canceled)
    ]


@pytest.mark.parametrize(
    ("changes", "entries"),
    [
        ([], []),
        ([{"text": "B", "note": "why"}], [("correction", "A", "B", "why")]),
        ([{"text": "B", "refile": True}], []),
        ([{"urgency": "flash", "pinned": True, "note": "x"}], []),
        ([{"url": "https://a.example"}, {"source": "S"}], []),
        ([{"text": "B"}, {"text": "C"}], [("correction", "A", "C", None), ("correction", "B", "C", None)]),
        ([{"text": "B", "refile": True}, {"text": "C"}], [("correction", "B", "C", None)]),
        ([WITHHOLD | {"note": "checking"}], [("withheld", None, None, "checking")]),
        ([WITHHOLD | {"note": "checking"}, REINSTATE], [("withheld", "A", "A", "checking")]),
        (
            [{"text": "B", "note": "n"}, WITHHOLD | {"note": "checking"}],
            [("correction", None, None, None), ("withheld", None, None, "checking")],
        ),
        # What was written while it was off the air was never seen.
        (
            [WITHHOLD, {"text": "B"}, {"text": "C"}, REINSTATE | {"note": "why"}],
            [("withheld", "A", "C", None), ("correction", "A", "C", "why")],
        ),
        ([WITHHOLD, {"text": "B"}, {"text": "A"}, REINSTATE], [("withheld", "A", "A", None)]),
        ([WITHHOLD, {"text": "B", "refile": True}, REINSTATE], [("withheld", "A", "B", None)]),
        ([WITHHOLD | {"text": "B"}, REINSTATE], [("withheld", "A", "B", None), ("correction", "A", "B", None)]),
        ([WITHHOLD, REINSTATE | {"text": "B"}], [("withheld", "A", "B", None), ("correction", "A", "B", None)]),
        ([CANCEL | {"note": "never happened"}], [("canceled", None, None, "never happened")]),
        (
            [{"text": "B", "note": "n"}, CANCEL | {"note": "never happened"}],
            [("correction", None, None, None), ("canceled", None, None, "never happened")],
        ),
        (
            [WITHHOLD | {"note": "checking"}, {"text": "B"}, CANCEL],
            [("withheld", None, None, None), ("canceled", None, None, None)],
        ),
    ],
)
def test_what_an_entry_says(
    changes: list[Change], entries: list[tuple[str, str | None, str | None, str | None]]
) -> None:
    assert told(*changes) == entries


def test_a_channel_may_repeat_what_canceled_lines_said_and_never_what_is_withheld() -> None:
    changes = [{"text": "B", "note": "n"}, WITHHOLD | {"note": "checking"}, {"text": "C"}]
    assert told(*changes, repeat_canceled=True) == [
        ("correction", None, None, None),
        ("withheld", None, None, "checking"),
    ]
    assert told(*changes, CANCEL, repeat_canceled=True) == [
        ("correction", "A", None, "n"),
        ("withheld", "B", None, "checking"),
        ("canceled", "B", None, None),
    ]


def test_a_line_that_is_not_kept_any_more_has_no_words() -> None:
    (kept,) = corrections_of(versions({"text": "B", "note": "n"}))
    gone = entry(kept, None, repeat_canceled=True)
    assert (gone.said, gone.says, gone.note, gone.status, gone.language) == (None, None, None, "canceled", None)


def test_of_a_history_that_was_trimmed_the_first_event_makes_no_entry() -> None:
    events = versions({"text": "B"}, WITHHOLD, {"text": "C"}, REINSTATE)
    assert [each.kind for each in corrections_of(events)] == ["correction", "withheld", "correction"]
    assert [(each.kind, each.said) for each in corrections_of(events[1:])] == [("withheld", "B"), ("correction", "B")]
    assert corrections_of(events[2:]) == []  # what it said before is not known


CHANGES = st.lists(
    st.one_of(
        st.builds(
            lambda text, note, refile: {"text": text, "note": note, "refile": refile},
            st.sampled_from("ABCDEF"),
            st.sampled_from(["n1", "n2", None]),
            st.booleans(),
        ),
        st.sampled_from([WITHHOLD, REINSTATE, WITHHOLD | {"text": "X"}, REINSTATE | {"text": "Y"}, {"pinned": True}]),
        st.just(CANCEL),
    ),
    max_size=12,
)


@given(CHANGES, st.booleans())
def test_only_words_that_were_seen_are_in_it_and_none_that_are_off_the_air(
    changes: list[Change], repeat_canceled: bool
) -> None:
    events = versions(*changes)
    last = events[-1].line
    entries = ledger(events, repeat_canceled=repeat_canceled)
    on_air = [event.line.text for event in events if event.line.status == "usable"]
    assert all(each.said in on_air for each in entries if each.said is not None)
    words = {each.said for each in entries} | {each.says for each in entries}
    match last.status:
        case "usable":
            assert words <= {*on_air, None}
            assert all(each.says == last.text for each in entries)
        case "withheld":
            assert words <= {None}
        case "canceled":
            assert {each.says for each in entries} <= {None}
            assert repeat_canceled or words <= {None}
    taken_off = [e.kind for e in entries if e.kind != "correction"]
    before = [events[0].line, *(event.line for event in events)]
    assert taken_off == [
        event.line.status
        for event, was in zip(events, before, strict=False)
        if event.line.status != "usable" and event.line.status != was.status
    ]
