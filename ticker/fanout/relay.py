"""From the newswire to the hub: gives events to their channels, mends gaps, never gives up. Knows no reader.

Rule 1: an event is folded in only where its `prev` is the board's cursor; else the newswire is asked what
        came between, and where that can't be told, the board is loaded anew.
Rule 2: no beat without the newswire. Silence makes banners say "delayed"; a false calm would not.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from itertools import count

from ticker.channel import Channel
from ticker.errors import Gone, NewswireUnavailable
from ticker.fanout.frames import BoardObject, Frame
from ticker.fanout.hub import BEAT_SLICES, Hub
from ticker.fanout.relayed import RelayedChannel
from ticker.fanout.sender import Sender
from ticker.line import Event
from ticker.newswire import Newswire
from ticker.newswire.trouble import Trouble

BEAT = 20.0  # seconds; the contract promises 25, and many proxies cut a silent connection at 30
RETRY_MIN = 0.05  # seconds until the first try to reach the newswire again: editors are refused meanwhile
RETRY_MAX = 2.0  # seconds between two tries
COMPARE_EVERY = 2.0  # seconds between two looks at the newswire's heads
CLOCK_STEP = 2.0  # seconds that the newswire's clock may seem to jump: an answer of its that took long, no more
CATCH_UP_MAX = 200  # events told one by one after a gap; beyond that a board is less for everybody

log = logging.getLogger("ticker.fanout")


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
        self._turn = asyncio.Lock()
        self.hub = Hub(channels, self.board_frame, sender)
        self._relayed = {
            slug: RelayedChannel(channel, self.hub.broadcast, self._now) for slug, channel in channels.items()
        }

    @property
    def ready(self) -> bool:
        return self._ready.is_set()

    async def until_ready(self) -> None:
        await self._ready.wait()

    # What readers are shown

    def board(self, slug: str) -> BoardObject:
        """The channel's board at this moment."""
        return self._relayed[slug].board()

    def etag(self, slug: str) -> str:
        """The board's entity tag: its cursor, and a count where lines have come back since by themselves."""
        return self._relayed[slug].etag()

    def board_frame(self, slug: str) -> Frame:
        return self._relayed[slug].board_frame()

    def greeting(self, slug: str, cursors: Iterable[str]) -> Frame:
        """What a newcomer gets first: the board, or a beat where one of its cursors is where we stand."""
        return self._relayed[slug].greeting(cursors)

    def is_behind(self, slug: str, cursors: Iterable[str]) -> bool:
        """Whether one of the cursors names what this node hasn't heard of."""
        return self._relayed[slug].is_behind(cursors)

    async def catch_up(self, slug: str, cursors: Iterable[str]) -> None:
        """Look at the newswire where a newcomer has seen more than this node has: a banner must not go back.

        It comes from a node that was ahead of us, or its line was lost in a rollback. Nothing else orders
        cursors; here it only saves a look. One look serves all who wait for it. Raises NewswireUnavailable.
        """
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        relayed = self._relayed[slug]
        if not relayed.is_behind(cursors):
            return
        async with self._turn:
            if relayed.looked >= arrived or not relayed.is_behind(cursors):
                return
            if not self.ready:
                raise NewswireUnavailable("This node has no news to give just now. Come back in a moment.")
            began = loop.time()
            await self._catch_up(relayed)
            relayed.looked = began

    # What comes from the newswire

    async def run(self) -> None:
        """Follow the newswire until canceled."""
        failures = 0
        while True:
            try:
                async with self._newswire.tail() as events:
                    for relayed in self._relayed.values():
                        await self._catch_up(relayed)
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
                    for relayed in self._relayed.values():
                        await self._load(relayed)
            for slug, head in (await self._newswire.heads()).items():
                if head != self._relayed[slug].cursor:
                    async with self._turn:
                        await self._catch_up(self._relayed[slug])

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
                await self._relayed[slug].arrival(cursor)
                await self.hub.begun(slug)
        except TimeoutError:
            return False
        return True

    async def _take(self, event: Event) -> None:
        relayed = self._relayed.get(event.channel)
        if relayed is None or relayed.knows(event):
            return
        if relayed.follows(event):
            relayed.apply(event)
        else:
            await self._catch_up(relayed)

    async def _catch_up(self, relayed: RelayedChannel) -> None:
        """Go on from the board's cursor, event by event; where that can't be done, load the board anew.

        It can't after a rollback, nor after more events than are worth telling one by one.
        """
        if relayed.cursor is None:
            return await self._load(relayed)
        try:
            page = await self._newswire.events(relayed.channel.slug, relayed.cursor, CATCH_UP_MAX)
        except Gone:
            return await self._load(relayed)
        for event in page.events:
            if page.withdrawn.get(event.line.id, event.line.status) != event.line.status:
                return await self._load(relayed)  # withdrawn since, words and earlier notes: nobody is to see them now
            if not relayed.follows(event):
                return await self._load(relayed)
            relayed.apply(event)
        if page.more:
            await self._load(relayed)
        return None

    async def _load(self, relayed: RelayedChannel) -> None:
        relayed.load(await self._newswire.snapshot(relayed.channel))

    def _now(self) -> datetime:
        """The time that decides what shows: the newswire's, in its milliseconds."""
        now = self._newswire.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def _beat_frame(self, slug: str) -> Frame:
        return self._relayed[slug].beat_frame()
