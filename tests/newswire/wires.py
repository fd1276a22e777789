"""What the tests of both newswires share: channels, a clock, places to keep things in, and what is done to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tests.acting import act
from tests.patience import WITHIN
from tests.redis_servers import RedisStore
from ticker.channel import Channel
from ticker.line import Cursor, Event, NewLine, Patch, checked
from ticker.newswire import IdempotencyKey, Newswire, Outcome
from ticker.newswire.sqlite import SqliteNewswire

START = 1_763_892_000.0
MOMENT = 60.0  # seconds; a server's clock goes on by itself between the test's setting it and the server's looking
Channels = Mapping[str, Channel]


def a_channel(slug: str = "en", **given: Any) -> Channel:
    return Channel(slug=slug, title=slug, language=slug, direction="ltr", label="Breaking", **given)


EN, ES = a_channel("en"), a_channel("es")
BOTH = {"en": EN, "es": ES}


class Clock:
    """Seconds since 1970, where the test puts them."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Store(Protocol):
    """Where a newswire keeps things. Each `open` is a new newswire over the same things; the one before is closed."""

    async def open(self, channels: Channels = BOTH, clock: Callable[[], float] = time.time) -> Newswire: ...

    async def close(self) -> None: ...


class SqliteStore:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "ticker.db"
        self._open: Newswire | None = None

    async def open(self, channels: Channels = BOTH, clock: Callable[[], float] = time.time) -> Newswire:
        await self.close()
        wire = SqliteNewswire(self.path, clock)
        await wire.open(channels)
        self._open = wire
        return wire

    async def close(self) -> None:
        if self._open:
            await self._open.close()
        self._open = None


STORES: dict[str, Callable[[Path], Store]] = {"sqlite": SqliteStore, "redis": lambda _: RedisStore(BOTH)}


async def publish(
    wire: Newswire, text: str = "Rain", *, to: Channel = EN, once: IdempotencyKey | None = None, **more: Any
) -> Event:
    outcome = await wire.publish(to, checked(NewLine(text=text, **more)), act=act(), once=once)
    assert outcome.event
    return outcome.event


async def amend(
    wire: Newswire, line_id: str, *, of: Channel = EN, if_match: str | None = None, **fields: Any
) -> Outcome:
    return await wire.amend(of, line_id, checked(Patch(**fields)), act=act("Bob"), if_match=if_match)


async def amended(wire: Newswire, line_id: str, **fields: Any) -> Event:
    outcome = await amend(wire, line_id, **fields)
    assert outcome.event
    return outcome.event


async def history(wire: Newswire, channel: str = "en", limit: int = 1_000) -> list[Event]:
    """All of it, page by page."""
    events: list[Event] = []
    more, after = True, None
    while more:
        page = await wire.events(channel, after, limit)
        events += page.events
        more, after = page.more, events[-1].cursor if events else None
    return events


async def heard(tail: AsyncIterator[Event], count: int) -> list[Event]:
    return [await asyncio.wait_for(anext(tail), WITHIN) for _ in range(count)]


def assert_chain(events: list[Event], first_prev: str | None = None) -> None:
    """Each names the one before, and cursors grow strictly."""
    assert [event.prev for event in events] == [first_prev, *(event.cursor for event in events[:-1])]
    cursors = [Cursor.parse(event.cursor) for event in events]
    assert cursors == sorted(set(cursors))


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = WITHIN) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)
