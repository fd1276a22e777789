"""Several worker processes behind one port, kept running. Knows processes; knows nothing of what they do.

Each worker binds the port itself (SO_REUSEPORT), so that the kernel spreads connections over them. None
outlives its parent, or the port would stay taken, in part, by what nobody can stop any more.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple

BACKOFF_MAX = 10.0  # seconds between two starts of a worker that keeps ending
STEADY = 5.0  # seconds after which a worker that ends is started again at once
STOP = (signal.SIGTERM, signal.SIGINT)
PR_SET_PDEATHSIG = 1  # linux/prctl.h

log = logging.getLogger("ticker")


def keep_running(count: int, work: Callable[[int], None]) -> int:
    """Run `work(index)` in `count` processes until SIGTERM or SIGINT, starting again those that end.

    A worker whose first start ends with status 2 can't be configured so: all are stopped. Later, it only
    means that the newswire is away. Returns the exit status.
    """
    return _Workers(count, work).run()


class _Worker(NamedTuple):
    place: int
    since: float
    again: bool


class _Workers:
    def __init__(self, count: int, work: Callable[[int], None]) -> None:
        self._count = count
        self._work = work
        self._running: dict[int, _Worker] = {}  # by process id
        self._waits = [0.0] * count
        self._stopping = False

    def run(self) -> int:
        for number in STOP:
            signal.signal(number, self._stop)
        for index in range(self._count):
            self._start(index)
        status = 0
        while self._running:
            process, ended = os.wait()
            worker = self._running.pop(process, None)
            if worker is None:
                continue  # an orphan: in a container we may be its init
            code = os.waitstatus_to_exitcode(ended)
            if self._stopping:
                status = status or max(code, 0)
            elif code == 2 and not worker.again:
                status = 2
                self._stop(signal.SIGTERM, None)
            else:
                log.error("Worker %d ended with status %d and is restarted", worker.place, code)
                steady = time.monotonic() - worker.since > STEADY
                wait = 0.0 if steady else min(BACKOFF_MAX, self._waits[worker.place] * 2 + 0.5)
                self._waits[worker.place] = wait
                self._start(worker.place, wait, again=True)
        return status

    def _start(self, index: int, wait: float = 0.0, *, again: bool = False) -> None:
        """Fork. It is the child who waits, so that the others are looked after meanwhile."""
        parent = os.getpid()
        # A signal between the fork and the book would miss the child, or find the parent's handler in it.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
        try:
            if self._stopping:
                return
            if process := os.fork():
                self._running[process] = _Worker(index, time.monotonic() + wait, again)
                return
            for number in STOP:
                signal.signal(number, signal.SIG_DFL)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)
        status = 1
        try:
            _end_with(parent)
            time.sleep(wait)
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

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        for process in self._running:
            with contextlib.suppress(ProcessLookupError):  # it has just ended, and isn't out of the book yet
                os.kill(process, signal.SIGTERM)


def _end_with(parent: int) -> None:
    """Get SIGTERM when the parent has gone, however it went; where the system can't (macOS), live on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(1)
