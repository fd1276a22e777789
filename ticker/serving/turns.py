"""Whose request is begun next. Knows no connection, and no request's content.

Rule 1: requests are begun one a turn of the event loop, first come, first served. However many ask at once, a turn is
        as short as one answer, and readers' lines go between two of them.
Rule 2: whoever has changed something here before, with a credential that was good, is not kept waiting. So a flood
        of what anybody may ask for, or of wrong keys, is no queue for editors.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable

TRUSTED_MAX = 1_024  # credentials that are remembered; a newsroom has a few hundred people


class Turns:
    """The queue of one node."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._going = False
        self._trusted: dict[bytes, None] = {}  # by digest, the one used last is the last

    def take(self, begin: Callable[[], None], credential: bytes) -> None:
        """Call `begin` when it is its turn: at once, if nobody waits."""
        if credential and (digest := _digest(credential)) in self._trusted:
            self._remember(digest)
            begin()
        elif self._going:
            self._waiting.append(begin)
        else:
            self._going = True
            asyncio.get_running_loop().call_soon(self._next)
            begin()

    def trust(self, credential: bytes) -> None:
        """Something was changed with this credential."""
        self._remember(_digest(credential))
        if len(self._trusted) > TRUSTED_MAX:
            del self._trusted[next(iter(self._trusted))]

    def _remember(self, digest: bytes) -> None:
        self._trusted.pop(digest, None)
        self._trusted[digest] = None

    def _next(self) -> None:
        if not self._waiting:
            self._going = False
            return
        asyncio.get_running_loop().call_soon(self._next)
        self._waiting.popleft()()


def _digest(credential: bytes) -> bytes:
    return hashlib.blake2b(credential, digest_size=16).digest()
