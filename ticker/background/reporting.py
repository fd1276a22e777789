"""Presence: tells the other nodes how many readers there are here. Knows numbers; knows nobody."""

from __future__ import annotations

import asyncio
import logging

from ticker.errors import NewswireUnavailable
from ticker.fanout.hub import Hub
from ticker.newswire.stores import PresenceStore

PRESENCE_EVERY = 2.0  # seconds; editors see a number that is a few seconds old at most

log = logging.getLogger("ticker")


async def report_presence(presence: PresenceStore, hub: Hub) -> None:
    """Report until canceled. Nothing is reported while the newswire is unreachable; it drops old reports by itself."""
    while True:
        try:
            await presence.report(hub.readers())
        except NewswireUnavailable as error:
            log.debug("Presence is not reported: %s", error.detail)
        await asyncio.sleep(PRESENCE_EVERY)
