"""One channel on this node: its board, and what its readers hold of it. Knows no newswire and no reader.

Rule 1: readers only have what deltas brought them. If the board gains a line that no delta brought (the eleventh, when
        one of ten leaves), every reader gets the board.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple

from ticker.board import Board
from ticker.channel import Channel
from ticker.errors import Malformed
from ticker.fanout.frames import BeatObject, BoardObject, Frame, board_object, frame, line_object
from ticker.line import Cursor, Event, Line
from ticker.newswire import Snapshot

GREETING_FOR = 1.0  # seconds for which an encoded board is used for new readers, so that many at once cost no JSON
RECENT = 256  # cursors remembered per channel, for editors who wait to see their own line arrive
TIMER_MAX = 3_600.0  # seconds; a timer set further ahead would not notice a correction of the clock

log = logging.getLogger("ticker.fanout")


class _Greeting(NamedTuple):
    lines: tuple[Line, ...]
    cursor: str | None
    made: datetime
    frame: Frame


class RelayedChannel:
    """`broadcast` sends a frame to the channel's readers; `now` is the time that decides what shows."""

    def __init__(self, channel: Channel, broadcast: Callable[[str, Frame], None], now: Callable[[], datetime]) -> None:
        self.channel = channel
        self.looked = 0.0
        """When the newswire was asked last for the sake of a newcomer, by the loop's clock."""
        self._broadcast = broadcast
        self._now = now
        self._board = Board(channel)
        self._greeting: _Greeting | None = None
        self._told: set[str] = set()  # ids of the lines that readers hold
        self._refilled: str | None = None  # where the board stood when it was sent whole last
        self._refills: tuple[str | None, int] = (None, 0)  # how often lines have come back by themselves, and where
        self._timer: asyncio.TimerHandle | None = None
        self._recent: deque[str] = deque(maxlen=RECENT)
        self._arrivals: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    @property
    def cursor(self) -> str | None:
        return self._board.cursor

    # What readers are shown

    def board(self) -> BoardObject:
        """The board at this moment."""
        now = self._now()
        return board_object(self.channel, self.cursor, self._board.lines(now), now)

    def etag(self) -> str:
        """The board's entity tag: its cursor, and a count if lines have since come back by themselves."""
        at, refills = self._refills
        return f'"{self.cursor or 0}+{refills}"' if at == self.cursor and refills else f'"{self.cursor or 0}"'

    def board_frame(self) -> Frame:
        now = self._now()
        lines = self._board.lines(now)
        held = self._greeting
        if (
            held is None
            or held.lines is not lines
            or held.cursor != self.cursor
            or abs((now - held.made).total_seconds()) > GREETING_FOR
        ):
            board = board_object(self.channel, self.cursor, lines, now)
            held = self._greeting = _Greeting(lines, self.cursor, now, frame(board))
        return held.frame

    def beat_frame(self) -> Frame:
        return frame(BeatObject(channel=self.channel.slug, cursor=self.cursor, now=self._now()))

    def greeting(self, cursors: Iterable[str]) -> Frame:
        """What a new reader gets first: the board, or a beat if one of its cursors is the board's."""
        if self.cursor is not None and self.cursor in cursors and self._refilled != self.cursor:
            return self.beat_frame()
        return self.board_frame()

    def is_behind(self, cursors: Iterable[str]) -> bool:
        """Whether one of the cursors names an event that this node doesn't know."""
        own = (-1, 0) if self.cursor is None else Cursor.parse(self.cursor)
        for cursor in cursors:
            with contextlib.suppress(Malformed):
                if Cursor.parse(cursor) > own:
                    return True
        return False

    # What comes from the newswire

    def knows(self, event: Event) -> bool:
        """Whether the event is in the board already."""
        return event.cursor in self._recent

    def follows(self, event: Event) -> bool:
        """Whether the event is the one after this board, so that it can be folded in."""
        return self._board.follows(event)

    def apply(self, event: Event) -> None:
        """Fold the event in and send it to every reader."""
        self._board.apply(event)
        self._broadcast(self.channel.slug, frame(line_object(event, self.channel)))
        self._refill(event.line.id)
        self._set_timer()
        self._recent.append(event.cursor)
        if waiting := self._arrivals.get(event.cursor):
            waiting.set()

    def load(self, snapshot: Snapshot) -> None:
        """Reload the board from the newswire, and send it to every reader if it has changed."""
        before = self.cursor
        if before is not None and snapshot.cursor != before:
            log.warning("The board of %s is reloaded: %s, after %s", self.channel.slug, snapshot.cursor, before)
        self._board = Board(self.channel, snapshot.cursor, snapshot.lines)
        self._recent.clear()
        if snapshot.cursor is not None:
            self._recent.append(snapshot.cursor)
        if snapshot.cursor != before:
            self._told = self._shown()
            self._broadcast(self.channel.slug, self.board_frame())
        else:
            self._refill(None)
        # a reader with this cursor may have fewer lines: we don't know what came before
        self._refilled = snapshot.cursor
        self._set_timer()
        for waiting in self._arrivals.values():
            waiting.set()

    async def arrival(self, cursor: str) -> None:
        """Wait until the event is folded in, or the board is reloaded."""
        try:
            if cursor not in self._recent:
                await self._arrivals[cursor].wait()
        finally:
            self._arrivals.pop(cursor, None)

    # What changes by itself

    def _refill(self, brought: str | None) -> bool:
        """Send the board if it shows a line that readers may not have. Returns whether it was sent."""
        shown = self._shown()
        unheld = bool(shown - self._told - {brought})
        if unheld:
            self._refilled = self.cursor
            self._broadcast(self.channel.slug, self.board_frame())
        self._told = shown
        return unheld

    def _shown(self) -> set[str]:
        return {line.id for line in self._board.lines(self._now())}

    def _set_timer(self) -> None:
        """Look at the board again when its next line expires."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        now = self._now()
        changes_at = self._board.changes_at(now)
        if changes_at is not None:
            delay = min(TIMER_MAX, (changes_at - now).total_seconds() + 0.005)
            self._timer = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        if self._refill(None):
            at, count = self._refills
            self._refills = (self.cursor, count + 1 if at == self.cursor else 1)
        self._set_timer()
