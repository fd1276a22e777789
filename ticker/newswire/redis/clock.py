"""The newswire's clock, which is the server's. Knows times; knows nothing that happens at them."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from ticker.newswire import CLOCK_OFF
from ticker.newswire.redis.asking import Asking
from ticker.newswire.trouble import Trouble

log = logging.getLogger("ticker.newswire")


class ServerClock:
    """What Redis' clock shows, without asking it every time."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self.offset = 0.0  # seconds that the server's clock is ahead of our monotonic one
        self._wrong = Trouble(log, "This machine's clock agrees with Redis' again")

    def milliseconds(self) -> int:
        return int((time.monotonic() + self.offset) * 1000)

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.monotonic() + self.offset, UTC)

    def is_off(self) -> str | None:
        ahead = time.time() - self.milliseconds() / 1000
        if abs(ahead) <= CLOCK_OFF:
            return None
        return (
            f"This machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} Redis'. "
            "Lines show and expire by Redis' clock; set the one that is wrong (NTP)."
        )

    async def ask(self) -> None:
        asked_at = time.monotonic()
        seconds, microseconds = await self._asking.do("TIME")
        self.follow(int(seconds) * 1_000_000 + int(microseconds), asked_at)
        if sentence := self.is_off():
            self._wrong.begins(sentence)
        else:
            self._wrong.ends()

    def follow(self, now: int, asked_at: float) -> None:
        """Follow the server's clock; it is the newswire's clock, even if this machine's differs. It was `now`
        (microseconds) between the asking and the answer, so what we took it for stands if that allows it: a slow answer
        is no step of the clock."""
        most, least = now / 1e6 - asked_at, now / 1e6 - time.monotonic()
        self.offset = min(max(self.offset, least), most)
