"""Which request is started next. Knows no connection, and no request's content.

Rule 1: requests are begun one a turn of the event loop, first come, first served. However many ask at once, a turn is
        as short as one answer, and readers' lines go between two of them. While some wait, all of this takes a part
        of a core: the thread that keeps a line for an editor needs the rest.
Rule 2: clients that have changed something here before, with a valid credential, don't wait. So a flood of public
        requests, or of wrong keys, makes no queue for editors.
Rule 3: sign-ins have a line of their own, and every second turn.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable

TRUSTED_MAX = 1_024  # credentials that are remembered; a newsroom has a few hundred people

REST = 1.0  # times as long as what was begun took, until the next, while some wait
REST_MIN = 0.002  # seconds; the loop's timers count milliseconds


class Turns:
    """The queue of one node."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Callable[[], None], None] = OrderedDict()  # first come, first served
        self._signing_in: OrderedDict[Callable[[], None], None] = OrderedDict()
        self._odd = False  # whether sign-ins go first this time
        self._going = False
        self._began = 0.0
        self._owed = 0.0  # seconds of rest
        self._trusted: dict[bytes, None] = {}  # by digest, the one used last is the last

    def take(self, begin: Callable[[], None], credential: bytes, *, signs_in: bool = False) -> None:
        """Call `begin` when it is its turn: at once, if nobody waits."""
        if credential and (digest := _digest(credential)) in self._trusted:
            self._remember(digest)
            begin()
        elif self._going:
            (self._signing_in if signs_in else self._waiting)[begin] = None
        else:
            self._going = True
            self._owed = 0.0
            self._go(begin)

    def forget(self, begin: Callable[[], None]) -> None:
        """Its client has gone. Harmless if it was called."""
        self._waiting.pop(begin, None)
        self._signing_in.pop(begin, None)

    def trusts(self, credential: bytes) -> bool:
        """Whether something was changed with this credential."""
        return bool(credential) and _digest(credential) in self._trusted

    def trust(self, credential: bytes) -> None:
        """Something was changed with this credential."""
        self._remember(_digest(credential))
        if len(self._trusted) > TRUSTED_MAX:
            del self._trusted[next(iter(self._trusted))]

    def _remember(self, digest: bytes) -> None:
        self._trusted.pop(digest, None)
        self._trusted[digest] = None

    def _go(self, begin: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        loop.call_soon(self._next)
        begin()

    def _next(self) -> None:
        """A turn later."""
        loop = asyncio.get_running_loop()
        self._owed += REST * (loop.time() - self._began)
        if (self._waiting or self._signing_in) and self._owed > REST_MIN:
            loop.call_later(self._owed, self._rested)
            self._owed = 0.0
        else:
            self._rested()

    def _rested(self) -> None:
        self._odd = not self._odd
        first, second = (self._signing_in, self._waiting) if self._odd else (self._waiting, self._signing_in)
        if queue := first or second:
            self._go(queue.popitem(last=False)[0])
        else:
            self._going = False


def _digest(credential: bytes) -> bytes:
    return hashlib.blake2b(credential, digest_size=16).digest()
