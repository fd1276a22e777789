"""The ledger of corrections: kept up with the history, which it is made from. Knows the newswire; knows no reader.

Each node looks at the history by a cursor of its own, beginning at the one that is kept. Two that look at the same
events find the same, which is kept once. So nothing is added to the step that publishes, and what older nodes or a lost
connection have left out is found by the next look.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable

from ticker.corrections import Correction, corrections_of
from ticker.errors import Gone, NewswireUnavailable, NotFound
from ticker.line import Event
from ticker.newswire import Newswire

LOOK_EVERY = 3_600.0  # seconds, if nobody asks: what nobody has looked at must not be trimmed before
AT_ONCE = 100  # events that are looked at before others get their turn
REST = 3.0  # times as long as that took, until the next: an old history of a hundred thousand is no hurry

log = logging.getLogger("ticker")


class Ledger:
    """That of all channels."""

    def __init__(self, newswire: Newswire, channels: Iterable[str]) -> None:
        self._newswire = newswire
        self._channels = tuple(channels)
        self._upto: dict[str, str | None] = {}
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self) -> None:
        """Look at what is new, now and then, until canceled."""
        while True:
            for channel in self._channels:
                try:
                    await self.catch_up(channel)
                except NewswireUnavailable as error:
                    log.debug("The corrections of %s are not up to date: %s", channel, error.detail)
                except Exception:  # a bug must not end it: what is trimmed meanwhile would be in no ledger
                    log.exception("The corrections of %s could not be gathered", channel)
            await asyncio.sleep(LOOK_EVERY)

    async def catch_up(self, channel: str, head: str | None = None) -> None:
        """Look at all events there are; at none, if the last that was looked at is `head`. Raises NewswireUnavailable.

        Of many who ask at once, one looks.
        """
        if head is not None and self._upto.get(channel) == head:
            return
        loop = asyncio.get_running_loop()
        async with self._turns[channel]:
            if head is not None and self._upto.get(channel) == head:
                return
            if channel not in self._upto:
                self._upto[channel] = await self._newswire.corrections.upto(channel)
            more = True
            while more:
                began = loop.time()
                more = await self._look(channel)
                if more:
                    await asyncio.sleep(REST * (loop.time() - began))

    async def _look(self, channel: str) -> bool:
        """Whether there is more to look at."""
        after = self._upto[channel]
        try:
            page = await self._newswire.events(channel, after, AT_ONCE)
        except Gone:  # trimmed, or lost in a rollback
            kept = await self._newswire.corrections.upto(channel)
            if kept == after:
                await self._newswire.corrections.reset(channel)
                kept = None
            self._upto[channel] = kept
            return True
        if not page.events:
            return False
        upto = page.events[-1].cursor
        await self._newswire.corrections.keep(channel, await self._found(channel, page.events), upto)
        self._upto[channel] = upto
        return page.more

    async def _found(self, channel: str, events: list[Event]) -> list[Correction]:
        cursors = {event.cursor for event in events}
        found: list[Correction] = []
        for line_id in dict.fromkeys(event.line.id for event in events if event.line.version > 1):
            try:
                versions = await self._newswire.versions(channel, line_id)
            except NotFound:  # trimmed meanwhile
                continue
            found += [each for each in corrections_of(versions) if each.cursor in cursors]
        return found
