"""Several worker processes behind one port, kept running. Knows processes; knows nothing of what they do.

Each worker binds the port itself (SO_REUSEPORT), so that the kernel spreads connections over them.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

BACKOFF_MAX = 10.0  # seconds between two starts of a worker that keeps ending
STEADY = 5.0  # seconds after which a worker that ends is started again at once

log = logging.getLogger("ticker")


def keep_running(count: int, work: Callable[[int], None]) -> int:
    """Run `work(index)` in `count` processes until SIGTERM or SIGINT, starting again those that end.

    A worker that ends with status 2 can't be configured so: all are stopped. Returns the exit status.
    """
    return _Workers(count, work).run()


class _Workers:
    def __init__(self, count: int, work: Callable[[int], None]) -> None:
        self._count = count
        self._work = work
        self._running: dict[int, tuple[int, float]] = {}  # process id: (index, when it was started)
        self._waits = [0.0] * count
        self._stopping = False

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for index in range(self._count):
            self._start(index)
        status = 0
        while self._running:
            try:
                process, ended = os.wait()
            except InterruptedError:
                continue
            index, started = self._running.pop(process)
            code = os.waitstatus_to_exitcode(ended)
            if self._stopping:
                status = status or max(code, 0)
            elif code == 2:
                status = 2
                self._stop(signal.SIGTERM, None)
            else:
                log.error("Worker %d ended with status %d; it is started again", index, code)
                steady = time.monotonic() - started > STEADY
                self._waits[index] = 0.0 if steady else min(BACKOFF_MAX, self._waits[index] * 2 + 0.5)
                time.sleep(self._waits[index])
                if not self._stopping:
                    self._start(index)
        return status

    def _start(self, index: int) -> None:
        process = os.fork()
        if process == 0:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            status = 1
            try:
                self._work(index)
                status = 0
            except SystemExit as leaving:
                status = leaving.code if isinstance(leaving.code, int) else 1
            except BaseException:
                log.exception("Worker %d broke", index)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        self._running[process] = (index, time.monotonic())

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        for process in self._running:
            os.kill(process, signal.SIGTERM)
