"""What lines, frames and drafts look like at a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from ticker import terminal

LINE = {"id": "1-0", "updated": "2026-01-01T10:00:00.5Z", "urgency": "flash", "status": "usable", "text": "Rain"}


def a_draft(state: str, **given: Any) -> dict[str, Any]:
    return {
        "id": "d_1",
        "channel": "en",
        "state": state,
        "line": "1-0",
        "needs_approval": False,
        "history": [],
        **given,
    }


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (
            {"type": "board", "channel": "en", "cursor": "1-0", "lines": [LINE]},
            "── en · 1 line · 1-0\n   2026-01-01 10:00:00Z  1-0  flash     Rain",
        ),
        ({"type": "board", "channel": "en", "cursor": None, "lines": []}, "── en · 0 lines · nothing yet"),
        ({"type": "line", "channel": "en", "line": LINE}, "en  2026-01-01 10:00:00Z  1-0  flash     Rain"),
        ({"type": "beat", "channel": "en", "now": "2026-01-01T10:00:00Z"}, "en  ♥ 2026-01-01T10:00:00Z"),
        ({"type": "of a newer node"}, "  of a newer node"),
    ],
)
def test_a_frame_is_told_in_rows(frame: dict[str, Any], told: str) -> None:
    assert terminal.frame(frame) == told


@pytest.mark.parametrize(
    ("draft", "words"),
    [
        (a_draft("open"), "ticker draft submit -c en d_1"),
        (a_draft("submitted"), "ticker draft publish -c en d_1"),
        (a_draft("submitted", needs_approval=True), "ticker draft approve -c en d_1"),
        (a_draft("released"), "on the air as 1-0"),
        (a_draft("missed"), "ticker draft publish -c en d_1"),
        (a_draft("conflict", history=[{"note": "It was withheld."}]), "in conflict. It was withheld. Read the line"),
        (a_draft("conflict", history=[{}]), "in conflict. Its line has changed since it was written. Read"),
        (a_draft("discarded"), "won't go out"),
        (a_draft("of a newer node"), "It is of a newer node."),
    ],
    ids=lambda given: given["state"] if isinstance(given, dict) else "",
)
def test_a_draft_says_what_it_waits_for_and_the_command_that_goes_on(draft: dict[str, Any], words: str) -> None:
    assert words in terminal.waits(draft)


def test_a_check_names_the_channels_that_have_no_line_of_the_story() -> None:
    reach = {"channels": [{"channel": "en", "readers": 1}, {"channel": "ar", "readers": 2}], "lacking": ["ar", "es"]}
    warning = {"blocking": False, "code": "refile", "detail": "The story is on the air."}
    assert terminal.check({"warnings": [warning], "similar": [LINE], "reach": reach}).split("\n") == [
        "advice  refile: The story is on the air.",
        "similar  2026-01-01 10:00:00Z  1-0  flash     Rain",
        "reach    en: 1 open banner",
        "reach    ar: 2 open banners",
        "lacking  no line of this story yet on ar, es",
    ]


def test_a_whole_draft_has_a_row_for_each_field_and_for_each_step() -> None:
    ada = {"id": "ada", "name": "Ada"}
    steps = [
        {"at": "2026-01-01T10:00:00Z", "did": "created", "by": ada},
        {"at": "2026-01-01T10:05:00Z", "did": "missed", "by": None, "note": "No node was up."},
    ]
    due = {"newsroom": "2026-01-01T11:05:00+01:00", "timezone": "Europe/Madrid", "in": 90_061}
    told = terminal.whole_draft(a_draft("missed", by=ada, due=due, source=None, pinned=True, history=steps))
    rows = dict(row.split(maxsplit=1) for row in told.split("\n") if row[0] not in " h")
    assert rows["by"] == "Ada"
    assert rows["due"] == "2026-01-01 11:05:00+01:00 (Europe/Madrid), in 1 d 1 h"
    assert (rows["source"], rows["pinned"], rows["needs_approval"]) == ("–", "yes", "no")
    assert told.split("\n")[-3:] == [
        "history",
        "  2026-01-01 10:00:00Z  created by Ada",
        "  2026-01-01 10:05:00Z  missed: No node was up.",
    ]


def test_less_than_half_a_second_is_a_moment() -> None:
    due = {"newsroom": "2026-01-01T11:05:00+01:00", "timezone": "Europe/Madrid", "in": 0.2}
    assert "in a moment." in terminal.waits(a_draft("scheduled", due=due))
