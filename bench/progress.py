"""How far the run is, and how long it will take yet. Knows the terminal; knows nothing of what is measured."""

from __future__ import annotations

import sys
import time
from types import TracebackType


class Progress:
    """A bar on a terminal, a line for each step elsewhere; to standard error.

    `expected` is how many seconds the steps may take, all together; what is left is put right by those done.
    """

    WIDTH = 30

    def __init__(self, expected: float) -> None:
        self._expected = expected
        self._done = 0.0
        self._label = ""
        self._started = time.monotonic()
        self._bar = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar:
            sys.stderr.write("\n")

    def at(self, label: str) -> None:
        """This is what begins now."""
        self._label = label
        self._draw()

    def done(self, seconds: float) -> None:
        """A step of so many expected seconds is over."""
        self._done += seconds
        if self._bar:
            self._draw()

    def say(self, sentence: str) -> None:
        sys.stderr.write(f"\r\033[K{sentence}\n" if self._bar else f"{sentence}\n")

    def _draw(self) -> None:
        passed = time.monotonic() - self._started
        pace = passed / self._done if self._done > 10 else 1.0  # the first steps say little
        left = max(0.0, self._expected - self._done) * pace
        share = min(1.0, self._done / self._expected)
        times = f"{share:4.0%}  {_clock(passed)} passed, {_clock(left)} to go  {self._label}"
        if self._bar:
            filled = round(self.WIDTH * share)
            sys.stderr.write(f"\r\033[K{'█' * filled}{'░' * (self.WIDTH - filled)} {times}")
        else:
            sys.stderr.write(f"{times}\n")
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
