"""What a channel shows now: events folded into ordered lines. Pure: the caller passes the time.

Rule 1: pinned first, then newest first; at most `max_lines` usable lines.
Rule 2: nothing shows from its `expires` on. Expiry is computed when the board is read, never announced.
Rule 3: tombstones keep their line's place and don't count as usable lines.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from datetime import datetime

from ticker.channel import Channel
from ticker.line import Cursor, Event, Line

RESERVE = 1_000  # lines kept behind those shown, to fill up when one leaves; also bounds memory per channel
TOMBSTONES = 100  # the newest so many are shown; a desk that retracts more in a day has other troubles

_Place = tuple[bool, Cursor]  # pinned, then newest: greatest first


class Board:
    """The fold of one channel's events. `cursor` names the last one folded in; None before the first."""

    def __init__(self, channel: Channel, cursor: str | None = None, lines: Iterable[Line] = ()) -> None:
        self.channel = channel
        self.cursor = cursor
        self._lines: dict[str, Line] = {}
        self._withdrawn: set[str] = set()
        self._order: list[_Place] = []
        self._shown: tuple[Line, ...] | None = None
        self._shown_until: datetime | None = None
        for line in lines:
            self._put(line)

    def follows(self, event: Event) -> bool:
        """Whether the event is the one after this board, so that it can be folded in."""
        return event.prev == self.cursor

    def apply(self, event: Event) -> None:
        """Fold one event in. Only if `follows` is true; otherwise the board must be reloaded."""
        self.cursor = event.cursor
        self._put(event.line)

    def lines(self, now: datetime) -> tuple[Line, ...]:
        """What shows at `now`, in order, as the public may see it."""
        if self._shown is None or (self._shown_until is not None and now >= self._shown_until):
            self._show(now)
        assert self._shown is not None
        return self._shown

    def changes_at(self, now: datetime) -> datetime | None:
        """When the next of the lines shown expires; None if none of them expires."""
        self.lines(now)
        return self._shown_until

    def _put(self, line: Line) -> None:
        self._shown = None
        if before := self._lines.get(line.id):
            self._drop(_place(before))
        self._lines[line.id] = line
        insort(self._order, _place(line))
        if line.status != "usable":
            self._withdrawn.add(line.id)
        if len(self._order) > RESERVE + TOMBSTONES:
            self._drop(self._order[0])

    def _drop(self, place: _Place) -> None:
        del self._order[bisect_left(self._order, place)]
        line_id = str(place[1])
        del self._lines[line_id]
        self._withdrawn.discard(line_id)

    def _show(self, now: datetime) -> None:
        shown: list[Line] = []
        usable = tombstones = 0
        expired: list[_Place] = []
        for place in reversed(self._order):
            if usable >= self.channel.max_lines and tombstones >= min(TOMBSTONES, len(self._withdrawn)):
                break
            line = self._lines[str(place[1])].public(self.channel.tombstones_for)
            if line.expires is not None and line.expires <= now:
                expired.append(place)
            elif line.status == "usable":
                usable += 1
                if usable <= self.channel.max_lines:
                    shown.append(line)
            else:
                tombstones += 1
                if tombstones <= TOMBSTONES:
                    shown.append(line)
        for place in expired:
            self._drop(place)
        self._shown = tuple(shown)
        self._shown_until = min((line.expires for line in shown if line.expires is not None), default=None)


def _place(line: Line) -> _Place:
    return line.pinned, Cursor.parse(line.id)
