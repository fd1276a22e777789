"""The widget's board as a pure fold of frames, in Node: no page, no socket."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from tests.conftest import ROOT
from tests.frames import board_frame, event, line_of

# For each line that it reads, frames and what the machine's clock says: writes what a new board makes of them.
FOLDS = """
import { createInterface } from "node:readline";
import { Board } from "./board.js";

for await (const given of createInterface({ input: process.stdin })) {
  const { frames, clock } = JSON.parse(given);
  Date.now = () => clock * 1000;
  const board = new Board();
  const results = frames.map((frame) => {
    const changes = board[frame.type](frame);
    return Array.isArray(changes) ? changes.map(({ kind, line }) => `${kind} ${line.id}`) : changes ?? null;
  });
  console.log(JSON.stringify({ ids: board.lines.map(({ id }) => id),
    texts: board.lines.map(({ text }) => text ?? null), results, cursor: board.cursor ?? null }));
}
"""


class Fold(Protocol):
    def __call__(self, *frames: dict[str, Any], clock: int = 0) -> dict[str, Any]:
        """Fold frames into a board on a machine whose clock says `clock` (seconds since 1970)."""


@pytest.fixture(scope="module")
def fold() -> Iterator[Fold]:
    """One Node for all."""
    command = ["node", "--input-type=module", "--eval", FOLDS]
    source = ROOT / "web" / "widget"
    with subprocess.Popen(command, cwd=source, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as node:

        def fold(*frames: dict[str, Any], clock: int = 0) -> dict[str, Any]:
            assert node.stdin
            assert node.stdout
            print(json.dumps({"frames": frames, "clock": clock}), file=node.stdin, flush=True)
            answer = node.stdout.readline()
            assert answer, "Node has ended: what it said is above"
            board: dict[str, Any] = json.loads(answer)
            return board

        yield fold


def test_the_fold_orders_by_pin_and_number_and_keeps_the_newest(fold: Fold) -> None:
    lines = [line_of("2-0", pinned=True), line_of("10-0"), line_of("9-1"), line_of("9-3"), line_of("9-2")]
    assert fold(board_frame(lines))["ids"] == ["2-0", "10-0", "9-3"]


def test_the_fold_gives_tombstones_their_place_and_no_words(fold: Fold) -> None:
    lines = [line_of("4-0"), line_of("3-0"), line_of("2-0")]
    killed = line_of("3-0", status="canceled", version=2)  # with words that should not have come
    folded = fold(board_frame(lines), event("10-0", "9-0", killed), event("11-0", "10-0", line_of("11-0")))
    assert folded["ids"] == ["11-0", "4-0", "3-0", "2-0"]
    assert folded["texts"][2] is None
    assert folded["results"] == [[], ["cancel 3-0"], ["line 11-0"]]
    older = event("10-0", "9-0", line_of("1-0", status="canceled", version=2))  # whose line the board had no room for
    assert fold(board_frame(lines), older)["results"] == [[], ["cancel 1-0"]]


def test_the_fold_knows_what_it_has_and_what_it_misses(fold: Fold) -> None:
    first = event("10-0", "9-0", line_of("10-0"))
    folded = fold(board_frame([]), first, first, event("12-0", "11-0", line_of("12-0")))
    assert folded["results"] == [[], ["line 10-0"], [], None]
    assert folded["ids"] == ["10-0"]
    assert folded["cursor"] is None


def test_the_fold_waits_for_its_first_board(fold: Fold) -> None:
    folded = fold(event("9-0", "8-0", line_of("9-0")), board_frame([line_of("9-0")]))
    assert folded["results"] == [None, []]
    assert folded["ids"] == ["9-0"]


def test_a_beat_that_names_another_event_is_a_gap(fold: Fold) -> None:
    beat = {"type": "beat", "channel": "en", "cursor": "9-0", "now": "2030-01-01T12:00:20.000Z"}
    assert fold(board_frame([]), beat)["cursor"] == "9-0"
    assert fold(board_frame([]), beat, beat | {"cursor": "10-0"})["cursor"] is None


def test_a_board_after_an_absence_tells_what_happened_meanwhile(fold: Fold) -> None:
    later = [
        line_of("6-0"),
        line_of("4-0", status="canceled", version=2),
        line_of("3-0", text="Better words", corrected="2030-01-01T12:01:00.000Z", version=2),
        line_of("1-0"),  # an older one that moved up: no news
    ]
    folded = fold(board_frame([line_of("4-0"), line_of("3-0"), line_of("2-0")]), board_frame(later))
    assert folded["results"][1] == ["correction 3-0", "cancel 4-0", "line 6-0"]


def test_expiry_follows_the_clock_of_the_server(fold: Fold) -> None:
    lines = [line_of("2-0", expires="2030-01-01T12:00:01.000Z"), line_of("1-0", expires="2030-01-01T11:59:59.000Z")]
    for wrong in (1_000_000, 4_000_000_000):  # the reader's clock is decades behind, or ahead
        assert fold(board_frame(lines), clock=wrong)["ids"] == ["2-0"]
    beat = {"type": "beat", "channel": "en", "cursor": "9-0", "now": "2030-01-01T12:00:20.000Z"}
    cached = board_frame(lines, now="2030-01-01T11:59:00.000Z")
    assert fold(board_frame(lines), beat, cached)["ids"] == []  # time doesn't go back
