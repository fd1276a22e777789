"""Logs a problem once when it begins and once when it is over. Knows only the log."""

from __future__ import annotations

import logging
import time


class Trouble:
    """One thing that can go wrong for a while. `over` is what is logged when it doesn't any more."""

    def __init__(self, log: logging.Logger, over: str) -> None:
        self._log = log
        self._over = over
        self._kind: str | None = None
        self._since = 0.0

    @property
    def stands(self) -> bool:
        return self._kind is not None

    def begins(self, sentence: str, kind: str = "", level: int = logging.WARNING) -> None:
        """It is so, now. Logged the first time, and again when it is of another kind."""
        if self._kind is None:
            self._since = time.monotonic()
        if self._kind != kind:
            self._log.log(level, "%s", sentence)
        self._kind = kind

    def ends(self) -> None:
        """It isn't so, now."""
        if self._kind is not None:
            self._kind = None
            self._log.info("%s, after %.1f s", self._over, time.monotonic() - self._since)
