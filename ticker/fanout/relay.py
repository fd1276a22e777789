"""From the newswire to the hub: folds events into boards, mends gaps, never gives up. Knows no reader.

Rule 1: an event is folded in only where its `prev` is the board's cursor; else the newswire is asked what
        came between, and where that can't be told, the board is loaded anew.
Rule 2: readers hold what deltas gave them. Where the board gains a line that no delta brought (the
        eleventh, when one of ten leaves), every reader gets the board.
Rule 3: no beat without the newswire. Silence makes banners say "delayed"; a false calm would not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from itertools import count
from typing import NamedTuple

from ticker.board import Board
from ticker.channel import Channel
from ticker.errors import Gone, Malformed, NewswireUnavailable
from ticker.fanout.frames import BeatObject, BoardObject, Frame, board_object, frame, line_object
from ticker.fanout.hub import BEAT_SLICES, Hub
from ticker.fanout.sending import Sender
from ticker.line import Cursor, Event, Line
from ticker.newswire import Newswire
from ticker.newswire.trouble import Trouble

BEAT = 20.0  # seconds; the contract promises 25, and many proxies cut a silent connection at 30
GREETING_FOR = 1.0  # seconds a framed board serves newcomers, so that a storm of them costs no JSON
RETRY_MIN = 0.05  # seconds until the first try to reach the newswire again: editors are refused meanwhile
RETRY_MAX = 2.0  # seconds between two tries
RECENT = 256  # cursors remembered per channel, for editors who wait to see their own line arrive
COMPARE_EVERY = 2.0  # seconds between two looks at the newswire's heads
CLOCK_STEP = 2.0  # seconds that the newswire's clock may seem to jump: an answer of its that took long, no more
CATCH_UP_MAX = 200  # events told one by one after a gap; beyond that a board is less for everybody
TIMER_MAX = 3_600.0  # seconds; a timer set further ahead would not notice that the clock was put right

log = logging.getLogger("ticker.fanout")


class _Greeting(NamedTuple):
    lines: tuple[Line, ...]
    cursor: str | None
    made: datetime
    frame: Frame


class Relay:
    """The boards of this node. `ready` only while they are known to be those of the newswire.

    `connection_age`: seconds after which a reader is sent elsewhere, on average.
    """

    def __init__(
        self,
        newswire: Newswire,
        channels: Mapping[str, Channel],
        sender: Sender,
        *,
        connection_age: float | None = None,
    ) -> None:
        self._connection_age = connection_age
        self._ready = asyncio.Event()
        self._cut_off = Trouble(log, "Readers get news again")
        self.channels = channels
        self._newswire = newswire
        self._boards = {slug: Board(channel) for slug, channel in channels.items()}
        self._greetings: dict[str, _Greeting] = {}
        self._refilled: dict[str, str | None] = {}
        self._refills: dict[str, tuple[str | None, int]] = {}
        self._told: dict[str, set[str]] = {slug: set() for slug in channels}
        self._looked: dict[str, float] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._turn = asyncio.Lock()
        self._recent: dict[str, deque[str]] = {slug: deque(maxlen=RECENT) for slug in channels}
        self._arrivals: defaultdict[tuple[str, str], asyncio.Event] = defaultdict(asyncio.Event)
        self.hub = Hub(channels, self.board_frame, sender)

    @property
    def ready(self) -> bool:
        return self._ready.is_set()

    async def until_ready(self) -> None:
        await self._ready.wait()

    # What readers are shown

    def board(self, slug: str) -> BoardObject:
        """The channel's board at this moment."""
        now = self._now()
        board = self._boards[slug]
        return board_object(board.channel, board.cursor, board.lines(now), now)

    def etag(self, slug: str) -> str:
        """The board's entity tag: its cursor, and a count where lines have come back since by themselves."""
        refills = self._refills.get(slug, (None, 0))
        cursor = self._boards[slug].cursor
        return f'"{cursor or 0}+{refills[1]}"' if refills[0] == cursor and refills[1] else f'"{cursor or 0}"'

    def board_frame(self, slug: str) -> Frame:
        now = self._now()
        board = self._boards[slug]
        lines = board.lines(now)
        held = self._greetings.get(slug)
        if (
            held is None
            or held.lines is not lines
            or held.cursor != board.cursor
            or abs((now - held.made).total_seconds()) > GREETING_FOR
        ):
            held = _Greeting(lines, board.cursor, now, frame(board_object(board.channel, board.cursor, lines, now)))
            self._greetings[slug] = held
        return held.frame

    def greeting(self, slug: str, cursors: Iterable[str]) -> Frame:
        """What a newcomer gets first: the board, or a beat where one of its cursors is where we stand."""
        cursor = self._boards[slug].cursor
        if cursor is not None and cursor in cursors and self._refilled.get(slug) != cursor:
            return self._beat_frame(slug)
        return self.board_frame(slug)

    async def abreast(self, slug: str, cursors: Iterable[str]) -> None:
        """Look at the newswire where a newcomer has seen more than this node has: a banner must not go back.

        It comes from a node that was ahead of us, or its line was lost in a rollback. Nothing else orders
        cursors; here it only saves a look. One look serves all who wait for it. Raises NewswireUnavailable.
        """
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        if not self.is_behind(slug, cursors):
            return
        async with self._turn:
            if self._looked.get(slug, 0.0) >= arrived or not self.is_behind(slug, cursors):
                return
            if not self.ready:
                raise NewswireUnavailable("This node has no news to give just now. Come back in a moment.")
            began = loop.time()
            await self._catch_up(slug)
            self._looked[slug] = began

    def is_behind(self, slug: str, cursors: Iterable[str]) -> bool:
        """Whether one of the cursors names what this node hasn't heard of."""
        board = self._boards[slug].cursor
        own = (-1, 0) if board is None else Cursor.parse(board)
        for cursor in cursors:
            with contextlib.suppress(Malformed):
                if Cursor.parse(cursor) > own:
                    return True
        return False

    # What comes from the newswire

    async def run(self) -> None:
        """Follow the newswire until canceled."""
        failures = 0
        while True:
            try:
                async with self._newswire.tail() as events:
                    for slug in self.channels:
                        await self._catch_up(slug)
                    self._ready.set()
                    self._cut_off.ends()
                    failures = 0
                    try:
                        await self._follow(events)
                    finally:
                        self._ready.clear()  # before the tail is closed: that may take a moment
            except NewswireUnavailable as error:
                self._cut_off.begins(f"Readers get no news: {error.detail}")
            except Exception:  # a fault of ours: its readers would be deaf until somebody restarts the node
                log.exception("The relay stumbled; it starts again")
            await asyncio.sleep(random.uniform(0, min(RETRY_MAX, RETRY_MIN * 2**failures)))
            failures = min(failures + 1, 10)

    async def _follow(self, events: AsyncIterator[Event]) -> None:
        """Take each event as it comes, and look at the heads now and then: an announcement may get lost."""
        tasks = {asyncio.create_task(self._hear(events)), asyncio.create_task(self._compare())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # neither ends but by failing
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hear(self, events: AsyncIterator[Event]) -> None:
        async for event in events:
            async with self._turn:
                await self._take(event)

    async def _compare(self) -> None:
        loop = asyncio.get_running_loop()
        clock = self._newswire.now().timestamp() - loop.time()
        while True:
            await asyncio.sleep(COMPARE_EVERY)
            before, clock = clock, self._newswire.now().timestamp() - loop.time()
            if abs(clock - before) > CLOCK_STEP:  # what has expired by one clock may stand by the other
                async with self._turn:
                    for slug in self.channels:
                        await self._load(slug)
            for slug, head in (await self._newswire.heads()).items():
                if head != self._boards[slug].cursor:
                    async with self._turn:
                        await self._catch_up(slug)

    async def beat(self) -> None:
        """Tell every reader that all is well, for as long as it is; until canceled."""
        for index in count():
            await asyncio.sleep(BEAT / BEAT_SLICES)
            if self.ready:
                self.hub.beat(index, self._beat_frame, BEAT / self._connection_age if self._connection_age else 0.0)
            self.hub.drop_stalled()

    async def arrived(self, slug: str, cursor: str, timeout: float) -> bool:
        """Wait until this node's readers are being sent the event, and the first of them were; False after `timeout`
        seconds."""
        try:
            async with asyncio.timeout(timeout):
                if cursor not in self._recent[slug]:
                    await self._arrivals[slug, cursor].wait()
                await self.hub.begun(slug)
        except TimeoutError:
            return False
        finally:
            self._arrivals.pop((slug, cursor), None)
        return True

    async def _take(self, event: Event) -> None:
        board = self._boards.get(event.channel)
        if board is None or event.cursor in self._recent[event.channel]:
            return
        if board.follows(event):
            self._apply(event)
        else:
            await self._catch_up(event.channel)

    def _apply(self, event: Event) -> None:
        """Fold the event in and send it to every reader."""
        slug = event.channel
        board = self._boards[slug]
        board.apply(event)
        self.hub.broadcast(slug, frame(line_object(event, board.channel)))
        self._refill(slug, event.line.id)
        self._set_timer(slug)
        self._recent[slug].append(event.cursor)
        if waiting := self._arrivals.get((slug, event.cursor)):
            waiting.set()

    async def _catch_up(self, slug: str) -> None:
        """Go on from the board's cursor, event by event; where that can't be done, load the board anew.

        It can't after a rollback, nor after more events than are worth telling one by one.
        """
        cursor = self._boards[slug].cursor
        if cursor is None:
            return await self._load(slug)
        try:
            page = await self._newswire.events(slug, cursor, CATCH_UP_MAX)
        except Gone:
            return await self._load(slug)
        for event in page.events:
            if page.withdrawn.get(event.line.id, event.line.status) != event.line.status:
                return await self._load(slug)  # withdrawn since, words and earlier notes: nobody is to see them now
            if not self._boards[slug].follows(event):
                return await self._load(slug)
            self._apply(event)
        if page.more:
            await self._load(slug)
        return None

    async def _load(self, slug: str) -> None:
        snapshot = await self._newswire.snapshot(self.channels[slug])
        before = self._boards[slug]
        if before.cursor is not None and snapshot.cursor != before.cursor:
            log.warning("The board of %s is loaded anew: %s, after %s", slug, snapshot.cursor, before.cursor)
        self._boards[slug] = Board(self.channels[slug], snapshot.cursor, snapshot.lines)
        self._recent[slug].clear()
        if snapshot.cursor is not None:
            self._recent[slug].append(snapshot.cursor)
        if snapshot.cursor != before.cursor:
            self._told[slug] = self._shown(slug)
            self.hub.broadcast(slug, self.board_frame(slug))
        else:
            self._refill(slug, None)
        self._refilled[slug] = snapshot.cursor  # whoever comes with it may hold less: we don't know what came before
        self._set_timer(slug)
        for (channel, _), waiting in self._arrivals.items():
            if channel == slug:
                waiting.set()

    def _refill(self, slug: str, brought: str | None) -> bool:
        """Send the board where it shows a line that readers may not hold; whether it does."""
        shown = self._shown(slug)
        unheld = bool(shown - self._told[slug] - {brought})
        if unheld:
            self._refilled[slug] = self._boards[slug].cursor
            self.hub.broadcast(slug, self.board_frame(slug))
        self._told[slug] = shown
        return unheld

    def _shown(self, slug: str) -> set[str]:
        return {line.id for line in self._boards[slug].lines(self._now())}

    def _set_timer(self, slug: str) -> None:
        """Look at the board again when its next line expires."""
        if timer := self._timers.pop(slug, None):
            timer.cancel()
        now = self._now()
        changes_at = self._boards[slug].changes_at(now)
        if changes_at is not None:
            delay = min(TIMER_MAX, (changes_at - now).total_seconds() + 0.005)
            self._timers[slug] = asyncio.get_running_loop().call_later(delay, self._expire, slug)

    def _expire(self, slug: str) -> None:
        if self._refill(slug, None):
            cursor = self._boards[slug].cursor
            of, count = self._refills.get(slug, (None, 0))
            self._refills[slug] = (cursor, count + 1 if of == cursor else 1)
        self._set_timer(slug)

    def _now(self) -> datetime:
        """The time that decides what shows: the newswire's, in its milliseconds."""
        now = self._newswire.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def _beat_frame(self, slug: str) -> Frame:
        return frame(BeatObject(channel=slug, cursor=self._boards[slug].cursor, now=self._now()))
