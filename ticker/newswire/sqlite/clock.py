"""The newswire's clock, which is this machine's. Knows times; knows nothing that happens at them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ticker.newswire import CLOCK_OFF


class MachineClock:
    """`seconds` gives seconds since 1970."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.seconds = seconds
        self._newest = 0  # milliseconds of the newest event that we know of

    def milliseconds(self) -> int:
        return int(self.seconds() * 1000)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds(), UTC)

    def note(self, milliseconds: int) -> None:
        """There is an event of this time."""
        self._newest = max(self._newest, milliseconds)

    def is_off(self) -> str | None:
        """This machine's clock is the newswire's; only a line that was kept can tell that it was put back."""
        ahead = self._newest / 1000 - self.seconds()
        if ahead <= CLOCK_OFF:
            return None
        return (
            f"The newest line is {ahead:.0f} s ahead of this machine's clock. Set the clock (NTP), "
            "or new lines carry the old one's time until it is reached."
        )
