"""The board as a pure fold: compared with a naive model that checks every line each time, and with a reader that only
has frames."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.acting import act
from ticker.board import RESERVE, TOMBSTONES, Board
from ticker.channel import Channel
from ticker.errors import Conflict
from ticker.fanout.frames import board_object, line_object
from ticker.line import Cursor, Event, Line, NewLine, Patch, amend, begin, checked

START = 1_763_892_000_000
MAX_LINES = 3


def a_channel(max_lines: int = MAX_LINES, tombstones_for: int = 12) -> Channel:
    return Channel(
        slug="en",
        title="English",
        language="en",
        direction="ltr",
        label="Breaking",
        max_lines=max_lines,
        expires_in=None,
        tombstones_for=tombstones_for,
    )


class Desk:
    """An editor whose clock stands where the test puts it. Remembers every line, and works none of it out."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.lines: dict[str, Line] = {}
        self.cursor = Cursor(START, 0)
        self.prev: str | None = None

    @property
    def now(self) -> datetime:
        return self.cursor.time

    def wait(self, seconds: int) -> None:
        self.cursor = Cursor(self.cursor.ms + seconds * 1_000, 0)

    def publish(self, **fields: Any) -> Event:
        self._number()
        return self._event(begin(checked(NewLine(text="Rain", **fields)), self.channel, self.cursor))

    def amend(self, line_id: str, **fields: Any) -> Event | None:
        """None where the line's life cycle says no, or nothing would change."""
        self._number()
        before = self.lines[line_id]
        try:
            after = amend(before, checked(Patch(**fields)), self.cursor)
        except Conflict:
            return None
        return None if after is before else self._event(after)

    def _number(self) -> None:
        self.cursor = Cursor(self.cursor.ms, self.cursor.n + 1)

    def _event(self, line: Line) -> Event:
        self.lines[line.id] = line
        event = Event(channel="en", cursor=str(self.cursor), prev=self.prev, line=line, act=act("test"))
        self.prev = event.cursor
        return event


def should_show(desk: Desk) -> list[Line]:
    """Rules 1 to 3 of the board, word by word, over every line that there ever was."""
    public = [line.public(desk.channel.tombstones_for) for line in desk.lines.values()]
    standing = [line for line in public if line.expires is None or line.expires > desk.now]
    ordered = sorted(standing, key=lambda line: (line.pinned, Cursor.parse(line.id)), reverse=True)
    usable = [line.id for line in ordered if line.status == "usable"][: desk.channel.max_lines]
    withdrawn = [line.id for line in ordered if line.status != "usable"][:TOMBSTONES]
    return [line for line in ordered if line.id in {*usable, *withdrawn}]


class HeldByReader:
    """What a banner holds, from frames alone, as the protocol tells it to."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.lines: dict[str, dict[str, Any]] = {}
        self.max_lines = 0

    def take_board(self, frame: dict[str, Any]) -> None:
        self.cursor, self.max_lines = frame["cursor"], frame["max_lines"]
        self.lines = {line["id"]: line for line in frame["lines"]}

    def take_line(self, frame: dict[str, Any]) -> None:
        assert frame["prev"] == self.cursor, "a gap"
        self.cursor = frame["cursor"]
        self.lines[frame["line"]["id"]] = frame["line"]

    def shown(self, now: datetime) -> list[dict[str, Any]]:
        standing = [
            x for x in self.lines.values() if x["expires"] is None or datetime.fromisoformat(x["expires"]) > now
        ]
        standing.sort(key=lambda line: (line["pinned"], Cursor.parse(line["id"])), reverse=True)
        usable = [line["id"] for line in standing if line["status"] == "usable"][: self.max_lines]
        standing = [line for line in standing if line["status"] != "usable" or line["id"] in usable]
        self.lines = {line["id"]: line for line in standing}
        return standing


def as_sent(content: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(content))


def ids(lines: Any) -> list[str]:
    return [line.id for line in lines]


Step = tuple[str, int, dict[str, Any]]
EXPIRES = st.sampled_from([{}, {"expires_in": 1}, {"expires_in": 5}, {"expires_in": 9}])
CHANGES = st.sampled_from(
    [
        *({"status": "withheld"}, {"status": "usable"}, {"status": "usable", "expires": None}, {"status": "canceled"}),
        *({"text": "Snow"}, {"text": "Hail"}, {"pinned": True}, {"pinned": False}),
        *({"expires": None}, {"expires_in": 2}),
    ]
)
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(st.just("wait"), st.integers(1, 6), st.just({}))
    | st.tuples(st.just("publish"), st.just(0), st.builds(lambda a, b: a | {"pinned": b}, EXPIRES, st.booleans()))
    | st.tuples(st.just("amend"), st.integers(0, 11), CHANGES),
    max_size=40,
)


def played(desk: Desk, steps: list[Step]) -> Iterator[Event | None]:
    """Each step's event; None where time passed or nothing changed."""
    for what, number, fields in steps:
        match what:
            case "wait":
                desk.wait(number)
                yield None
            case "publish":
                yield desk.publish(**fields)
            case "amend" if desk.lines:
                yield desk.amend(list(desk.lines)[-1 - number % len(desk.lines)], **fields)


# What holds for any history


@settings(max_examples=300)
@given(STEPS, st.booleans())
def test_a_board_shows_what_a_look_at_every_line_would_show(steps: list[Step], looked_at: bool) -> None:
    desk = Desk(a_channel())
    board = Board(desk.channel)
    for event in played(desk, steps):
        if event:
            assert board.follows(event)
            board.apply(event)
        if looked_at:  # a look drops what has expired; one look at the end must come to the same
            assert list(board.lines(desk.now)) == should_show(desk)
    assert list(board.lines(desk.now)) == should_show(desk)
    assert board.cursor == desk.prev


@settings(max_examples=300)
@given(STEPS, st.integers(0, 20))
def test_a_reader_of_frames_shows_the_board_where_it_gets_a_board_for_each_refill(
    steps: list[Step], joins: int
) -> None:
    desk = Desk(a_channel())
    board, reader = Board(desk.channel), HeldByReader()

    def take_board() -> None:
        reader.take_board(as_sent(board_object(board.channel, board.cursor, board.lines(desk.now), desk.now)))

    take_board()
    before = board.lines(desk.now)
    for number, event in enumerate(played(desk, steps)):
        brought = set(ids(before))
        if event:
            board.apply(event)
            reader.take_line(as_sent(line_object(event, desk.channel)))
            brought.add(event.line.id)
        before = board.lines(desk.now)
        if number == joins or not brought.issuperset(ids(before)):
            take_board()
        assert reader.shown(desk.now) == as_sent(before)
        assert reader.cursor == board.cursor


@given(STEPS)
def test_a_board_made_from_a_snapshot_is_the_board_that_was_folded(steps: list[Step]) -> None:
    desk = Desk(a_channel())
    folded = Board(desk.channel)
    for event in played(desk, steps):
        if event:
            folded.apply(event)
    loaded = Board(desk.channel, desk.prev, desk.lines.values())
    assert loaded.lines(desk.now) == folded.lines(desk.now)
    assert loaded.cursor == folded.cursor


@given(STEPS)
def test_a_board_changes_with_time_only_when_it_says_so(steps: list[Step]) -> None:
    desk = Desk(a_channel())
    board = Board(desk.channel)
    for event in played(desk, steps):
        if event:
            board.apply(event)
    while (change := board.changes_at(desk.now)) is not None:
        before = should_show(desk)
        assert change > desk.now
        assert change == min(line.expires for line in before if line.expires)
        desk.cursor = Cursor(int(change.timestamp() * 1_000) - 1, 0)
        assert should_show(desk) == before == list(board.lines(desk.now))
        desk.cursor = Cursor(int(change.timestamp() * 1_000), 0)
        assert list(board.lines(desk.now)) == should_show(desk) != before


# The rules, one by one


@pytest.fixture
def desk() -> Desk:
    return Desk(a_channel())


@pytest.fixture
def board(desk: Desk) -> Board:
    return Board(desk.channel)


def published(desk: Desk, board: Board, count: int, **fields: Any) -> list[str]:
    events = [desk.publish(**fields) for _ in range(count)]
    for event in events:
        board.apply(event)
    return [event.line.id for event in events]


def apply(board: Board, event: Event | None) -> None:
    assert event
    board.apply(event)


def test_an_empty_board_has_no_cursor_and_no_lines(desk: Desk, board: Board) -> None:
    assert board.cursor is None
    assert board.lines(desk.now) == ()
    assert board.changes_at(desk.now) is None


def test_the_newest_stands_first_also_within_one_millisecond(desk: Desk, board: Board) -> None:
    desk.cursor = Cursor(START, 8)  # 10 comes after 9, not after 1
    made = published(desk, board, 3)
    assert ids(board.lines(desk.now)) == made[::-1]


def test_a_pinned_line_stands_before_newer_ones_and_keeps_its_place_on_the_board(desk: Desk, board: Board) -> None:
    [pinned] = published(desk, board, 1, pinned=True)
    newer = published(desk, board, 5)
    assert ids(board.lines(desk.now)) == [pinned, newer[4], newer[3]]
    apply(board, desk.amend(pinned, pinned=False))
    assert ids(board.lines(desk.now)) == newer[:1:-1]


@pytest.mark.parametrize("status", ["withheld", "canceled"])
def test_the_eleventh_line_comes_back_when_one_of_ten_is_withdrawn(status: str) -> None:
    desk = Desk(a_channel(max_lines=10))
    board = Board(desk.channel)
    eleventh, *ten = published(desk, board, 11)
    assert ids(board.lines(desk.now)) == ten[::-1]
    apply(board, desk.amend(ten[4], status=status))
    shown = board.lines(desk.now)
    assert ids(shown) == [*ten[::-1], eleventh]
    assert [line.id for line in shown if line.status == status] == [ten[4]]


def test_the_eleventh_line_comes_back_when_one_of_ten_expires() -> None:
    desk = Desk(a_channel(max_lines=10))
    board = Board(desk.channel)
    eleventh, *nine = published(desk, board, 10)
    [tenth] = published(desk, board, 1, expires_in=5)
    assert ids(board.lines(desk.now)) == [tenth, *nine[::-1]]
    desk.wait(5)
    assert ids(board.lines(desk.now)) == [*nine[::-1], eleventh]


def test_a_line_shows_until_the_moment_it_expires(desk: Desk, board: Board) -> None:
    [made] = published(desk, board, 1, expires_in=5)
    expires = desk.lines[made].expires
    assert expires
    assert board.changes_at(desk.now) == expires
    desk.cursor = Cursor(int(expires.timestamp() * 1_000) - 1, 0)
    assert ids(board.lines(desk.now)) == [made]
    desk.cursor = Cursor(int(expires.timestamp() * 1_000), 0)
    assert ids(board.lines(desk.now)) == []


def test_an_expired_line_with_a_new_end_stands_in_its_old_place(desk: Desk, board: Board) -> None:
    [old] = published(desk, board, 1, expires_in=1)
    [newer] = published(desk, board, 1)
    desk.wait(2)
    assert ids(board.lines(desk.now)) == [newer]
    apply(board, desk.amend(old, expires_in=60))
    assert ids(board.lines(desk.now)) == [newer, old]


def test_a_tombstone_goes_when_its_time_is_over_and_not_when_the_line_would_have(desk: Desk, board: Board) -> None:
    [made] = published(desk, board, 1, expires_in=5)
    apply(board, desk.amend(made, status="canceled"))
    desk.wait(desk.channel.tombstones_for - 1)
    [tombstone] = board.lines(desk.now)
    assert tombstone.text is msgspec.UNSET
    desk.wait(1)
    assert board.lines(desk.now) == ()


def test_tombstones_take_no_lines_place(desk: Desk, board: Board) -> None:
    gone = published(desk, board, 4)
    standing = published(desk, board, 3)
    for line_id in gone:
        apply(board, desk.amend(line_id, status="canceled"))
    assert ids(board.lines(desk.now)) == [*standing[::-1], *gone[::-1]]


def test_only_the_newest_tombstones_are_shown(desk: Desk, board: Board) -> None:
    gone = published(desk, board, TOMBSTONES + 5)
    for line_id in gone:
        apply(board, desk.amend(line_id, status="canceled"))
    assert ids(board.lines(desk.now)) == gone[: -TOMBSTONES - 1 : -1]


def test_a_long_day_leaves_a_bounded_board_that_still_shows_the_pinned_and_the_newest(desk: Desk, board: Board) -> None:
    [pinned] = published(desk, board, 1, pinned=True)
    made = published(desk, board, RESERVE + TOMBSTONES + 200)
    assert ids(board.lines(desk.now)) == [pinned, made[-1], made[-2]]
    for line_id in made[-50:]:
        apply(board, desk.amend(line_id, status="canceled"))
    assert list(board.lines(desk.now)) == should_show(desk)


def test_a_look_at_the_board_ends_once_it_is_full(desk: Desk, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines behind those shown, up to a thousand, cost nothing then; nor does one that is no tombstone any more."""
    made = published(desk, board, 100)
    apply(board, desk.amend(made[-2], status="canceled"))
    for status in ("withheld", "usable"):
        apply(board, desk.amend(made[-1], status=status))
    looked_at = []
    public = Line.public

    def watched(line: Line, tombstones_for: int) -> Line:
        looked_at.append(line.id)
        return public(line, tombstones_for)

    monkeypatch.setattr(Line, "public", watched)
    board.lines(desk.now)
    assert looked_at == made[: -MAX_LINES - 2 : -1]


def test_an_event_after_another_than_the_last_does_not_follow(desk: Desk, board: Board) -> None:
    first, second, third = desk.publish(), desk.publish(), desk.publish()
    assert board.follows(first)
    assert not board.follows(second)
    board.apply(first)
    assert board.follows(second)
    assert not board.follows(third)
    assert not board.follows(first)
