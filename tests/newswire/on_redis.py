"""What the tests of several nodes on one Redis share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tests.acting import act
from tests.patience import WITHIN
from tests.redis_servers import RedisServer
from ticker.channel import Channel
from ticker.errors import NewswireUnavailable
from ticker.line import Cursor, Event, NewLine, checked
from ticker.newswire import Outcome
from ticker.newswire.redis import RedisNewswire, publishing
from ticker.newswire.redis.topology import connection

EN, ES, AR = (
    Channel(slug=slug, title=slug, language=slug, direction="ltr", label="Breaking", expires_in=None)
    for slug in ("en", "es", "ar")
)
CHANNELS = {channel.slug: channel for channel in (EN, ES, AR)}
CHANGE_WITHIN, COMMAND_WITHIN = publishing.ANSWER_WITHIN, connection.ANSWER_WITHIN
IN_TIME = 10 * CHANGE_WITHIN  # seconds; for a busy machine, and half of what twenty in turn would take


Opened = Callable[..., Awaitable[RedisNewswire]]


async def publish(wire: RedisNewswire, text: str = "Rain", *, to: Channel = EN, **given: Any) -> Outcome:
    once = given.pop("once", None)
    return await wire.publish(to, checked(NewLine(text=text, **given)), act=act(), once=once)


async def history(wire: RedisNewswire, channel: str = "en") -> list[Event]:
    """Asked for again where the machine was too busy to answer in time."""
    async with asyncio.timeout(WITHIN):
        while True:
            with contextlib.suppress(NewswireUnavailable):
                page = await wire.events(channel, None, 10_000)
                assert not page.more
                return page.events


def assert_chain(events: list[Event]) -> None:
    assert [event.prev for event in events] == [None, *(event.cursor for event in events[:-1])]
    cursors = [Cursor.parse(event.cursor) for event in events]
    assert cursors == sorted(set(cursors))


def listening(server: RedisServer) -> list[tuple[str, str]]:
    """The connections that are subscribed: their names, and to how many channels."""
    return sorted((client["name"], client["sub"]) for client in server.clients(flags="P"))


def with_history(seconds: int) -> dict[str, Channel]:
    return {slug: msgspec.structs.replace(channel, history_for=seconds) for slug, channel in CHANNELS.items()}
