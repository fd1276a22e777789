"""Drafts go out when they are due. Knows the newswire and its clock; knows no desk, no reader.

Every node runs this. The newswire releases a draft once, however many nodes ask, so nodes need no leader.
Rule 1: nothing is polled: it sleeps until the next draft is due, and wakes when a draft or a lock has changed.
Rule 2: what is due first goes out first; of two that are due at once, the older one.
Rule 3: a draft that can't be released now (the desk is locked, the newswire is away) holds up no other channel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from ticker.channel import Channel
from ticker.draft import Draft, NotDue
from ticker.errors import Locked, NewswireUnavailable, NotFound
from ticker.newswire import Due, Newswire
from ticker.newswire.trouble import Trouble

AT_ONCE = 200  # drafts that are looked at together
SOON = 0.02  # seconds until it looks again at what seemed due
TRY_AGAIN = 1.0  # seconds until a locked channel, or a newswire that is away, is tried again

# The newswire's clock may be set while a node sleeps, and is not this machine's: the nearer the time, the more often it
# looks. (seconds left, most seconds to sleep)
_CAPS = ((0.5, 0.02), (10.0, 0.25), (3_600.0, 1.0))
_CAP = 60.0

log = logging.getLogger("ticker.drafts")


class Releasing:
    """Releases what is due on these channels. `run` goes on until it is canceled."""

    def __init__(self, newswire: Newswire, channels: Mapping[str, Channel]) -> None:
        self._newswire = newswire
        self._channels = channels
        self._changed = asyncio.Event()
        self._away = Trouble(log, "Drafts that are due can be released again")
        self._waiting: dict[str, float] = {}  # channels that can't release now, and until when they are left alone
        newswire.on_desk_change(self._wake)

    def _wake(self, channel: str) -> None:
        self._waiting.pop(channel, None)
        self._changed.set()

    async def run(self) -> None:
        while True:
            self._changed.clear()
            try:
                pause = await self._release_due()
                self._away.ends()
            except NewswireUnavailable as error:
                self._away.begins(f"Drafts that are due can't be released: {error.detail}")
                pause = TRY_AGAIN
            except Exception:  # a bug, which must not stop what is due from going out
                log.exception("Releasing drafts has failed. It is tried again in %g s.", TRY_AGAIN)
                pause = TRY_AGAIN
            await self._sleep(pause)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _release_due(self) -> float:
        """Release what is due; in how many seconds to look again."""
        loop = asyncio.get_running_loop()
        self._waiting = {slug: until for slug, until in self._waiting.items() if until > loop.time()}
        channels = [slug for slug in self._channels if slug not in self._waiting]
        upcoming = await self._newswire.upcoming(channels, AT_ONCE)
        released = False
        for due in upcoming:
            if due.channel in self._waiting:
                continue
            if (left := self._seconds_until(due)) > 0:
                return min(_capped(left), TRY_AGAIN if self._waiting else _CAP)
            if (settled := await self._release(due)) is None:
                return SOON
            released = settled or released
        if len(upcoming) == AT_ONCE and released:
            return 0
        return TRY_AGAIN if self._waiting else _CAP

    def _seconds_until(self, due: Due) -> float:
        return (datetime.fromtimestamp(due.ms / 1000, UTC) - self._newswire.now()).total_seconds()

    async def _release(self, due: Due) -> bool | None:
        """Whether it was settled; None if it is not due after all: another node was first, somebody has changed it, or
        the clock was put back."""
        try:
            settled = await self._newswire.settle(self._channels[due.channel], due.draft, _as_it_stands)
        except NotFound:
            return True
        except NotDue:
            return None
        except Locked:
            self._waiting[due.channel] = asyncio.get_running_loop().time() + TRY_AGAIN
            return False
        if settled.draft.state == "missed":
            log.warning(
                "The draft %s of %s was due at %s and was not released: no node was up, or the desk was locked, for "
                "longer than late_after. An editor has to decide.",
                settled.draft.id,
                due.channel,
                datetime.fromtimestamp(due.ms / 1000, UTC).isoformat(timespec="milliseconds"),
            )
        return True


def _as_it_stands(draft: Draft, now: datetime) -> Draft:
    return draft


def _capped(seconds: float) -> float:
    return min(seconds, next((cap for left, cap in _CAPS if seconds <= left), _CAP))
