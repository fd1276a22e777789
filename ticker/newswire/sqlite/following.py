"""Handing on what was kept, within this process. Knows queues; knows no table."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from ticker.line import Event


class Following:
    def __init__(self) -> None:
        self.taps: set[asyncio.Queue[Event]] = set()
        self.at_the_desk: list[Callable[[str], None]] = []

    @contextlib.asynccontextmanager
    async def tail(self) -> AsyncIterator[AsyncIterator[Event]]:
        tap: asyncio.Queue[Event] = asyncio.Queue()

        async def events() -> AsyncIterator[Event]:
            while True:
                yield await tap.get()

        self.taps.add(tap)
        try:
            yield events()
        finally:
            self.taps.discard(tap)

    def announce(self, event: Event) -> None:
        for tap in self.taps:
            tap.put_nowait(event)

    def desk_changed(self, channel: str) -> None:
        for heard in self.at_the_desk:
            heard(channel)
