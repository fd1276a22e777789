"""Letting go of what is too old. Knows ages; knows no node but by the history it asks for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from ticker.board import RESERVE, TOMBSTONES
from ticker.channel import Channel
from ticker.errors import NewswireUnavailable
from ticker.line import Cursor
from ticker.newswire.redis.asking import Asking, Script
from ticker.newswire.redis.clock import ServerClock
from ticker.newswire.redis.corrections import Corrections
from ticker.newswire.redis.drafts import Drafts
from ticker.newswire.redis.histories import Histories
from ticker.newswire.redis.presence import Readers
from ticker.newswire.redis.reading import PINNED_PLACE, Reading
from ticker.newswire.redis.records import decode_line
from ticker.newswire.trouble import Trouble

HOUSEKEEPING = 3_600.0  # seconds between two trimmings of lines that can't show any more

log = logging.getLogger("ticker.newswire")


class Trimming:
    def __init__(
        self,
        asking: Asking,
        clock: ServerClock,
        channels: Mapping[str, Channel],
        reading: Reading,
        histories: Histories,
        readers: Readers,
        drafts: Drafts,
        corrections: Corrections,
    ) -> None:
        self._asking = asking
        self._clock = clock
        self._channels = channels
        self._reading = reading
        self._histories = histories
        self._readers = readers
        self._drafts = drafts
        self._corrections = corrections
        self._forget = Script.named("forget.lua")
        self._untrimmed = Trouble(log, "Old lines can be trimmed again")

    async def go_on(self) -> None:
        """Trim now and then, for ever."""
        while True:
            try:
                await self.trim()
                self._untrimmed.ends()
            except NewswireUnavailable as error:
                self._untrimmed.begins(f"Old lines could not be trimmed: {error.detail}")
            except Exception:  # a bug must not end trimming: Redis would fill until somebody restarts the node
                log.exception("Old lines could not be trimmed")
            await asyncio.sleep(HOUSEKEEPING)

    async def trim(self) -> None:
        """Delete what is too old. The stream also trims itself as it grows."""
        await self._histories.say()
        for channel in self._channels.values():
            await self._trim(channel)
            await self._drafts.trim(channel.slug)

    async def _trim(self, channel: Channel) -> None:
        slug, do = channel.slug, self._asking.do
        index, lines = self._asking.key(slug, "index"), self._asking.key(slug, "lines")
        history_for, tombstones_for = await self._histories.longest(channel)
        now = self._clock.milliseconds()
        await do("XTRIM", self._asking.key(slug, "events"), "MINID", f"{max(0, now - history_for * 1000)}-0")
        await self._readers.forget(slug, now - int(HOUSEKEEPING * 1000))
        oldest = await self._reading.range(slug, "-", "+", 1)
        oldest_kept = Cursor.parse(oldest[0].cursor).ms if oldest else now - history_for * 1000
        await self._corrections.trim(slug, max(0, oldest_kept))
        old = set(await do("ZRANGEBYSCORE", index, "-inf", f"({oldest_kept}"))
        pinned = PINNED_PLACE, f"({PINNED_PLACE + oldest_kept}"
        old |= set(await do("ZRANGEBYSCORE", index, *pinned))
        beyond = set(await do("ZREVRANGE", index, RESERVE + TOMBSTONES, -1))
        for line_id in old | beyond:
            body = await do("HGET", lines, line_id)
            line = decode_line(body) if body else None
            if line and line.updated.timestamp() * 1000 >= oldest_kept:
                continue
            until = line and line.public(tombstones_for).expires
            if line is None or line_id in beyond or (until and until.timestamp() * 1000 <= now):
                await self._asking.run(self._forget, [lines, index], [line_id, body or b""])
