"""How far the run is. Knows the terminal; knows nothing of what is measured."""

from __future__ import annotations

import sys
import time
from types import TracebackType


class Progress:
    """A bar on a terminal, a line for each step elsewhere; to standard error."""

    WIDTH = 30

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._taken = 0
        self._label = ""
        self._started = time.monotonic()
        self._bar = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar:
            sys.stderr.write("\n")

    def at(self, label: str) -> None:
        self._label = label
        if self._bar:
            self._draw()
        else:
            sys.stderr.write(f"[{self._taken}/{self._steps}] {self._passed()}  {label}\n")

    def done(self) -> None:
        self._taken += 1
        if self._bar:
            self._draw()

    def say(self, sentence: str) -> None:
        sys.stderr.write(f"\r\033[K{sentence}\n" if self._bar else f"{sentence}\n")

    def _draw(self) -> None:
        filled = self.WIDTH * self._taken // self._steps
        bar = "█" * filled + "░" * (self.WIDTH - filled)
        sys.stderr.write(f"\r\033[K{bar} {self._taken}/{self._steps}  {self._passed()}{self._left()}  {self._label}")
        sys.stderr.flush()

    def _passed(self) -> str:
        return _clock(time.monotonic() - self._started)

    def _left(self) -> str:
        if not self._taken:
            return ""
        each = (time.monotonic() - self._started) / self._taken
        return f", {_clock(each * (self._steps - self._taken))} to go"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
