"""Who listens to which channel, and the one loop that writes to them all. Knows bytes; knows no lines.

Rule 1: there is no `await` between reading a board and joining, nor inside a broadcast, so that nobody
        can join or leave in the middle and every reader sees the whole chain of events.
Rule 2: writing never waits. A reader whose buffer is full is taken out; once it has drained it gets a
        board and is let back in; one that stays full is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from ticker.fanout.frames import Encoding, Frame

BUFFER_MAX = 65_536  # bytes waiting for one reader; some sixty lines, a board several times over
STALLED_MAX = 30.0  # seconds a full reader is kept; a phone that changes networks is back before
CLOSE_AT_ONCE = 200  # readers a slice when draining, so that the loop goes on serving

TRY_ELSEWHERE = 1012  # close code: the service restarts; come back, to any node (IANA, RFC 6455 registry)
REFUSED = 1008  # close code: policy violation; don't come back like this (RFC 6455, 7.4.1)

log = logging.getLogger("ticker.fanout")


class Reader(Protocol):
    """One open connection. `write` takes bytes in the reader's encoding and never blocks."""

    encoding: Encoding
    channels: tuple[str, ...]
    stalled_at: float | None

    @property
    def write(self) -> Callable[[bytes], None]: ...

    def close(self, code: int, reason: str) -> None:
        """Say goodbye with a WebSocket close code (SSE: end the response), as soon as what waits is out."""

    def abort(self) -> None:
        """Drop the connection now, and what waits with it."""


class _Audience:
    """A channel's readers, by encoding; each with its bound `write`, so that the loop makes no lookup."""

    __slots__ = ("socket", "stream", "text")

    def __init__(self) -> None:
        self.text: dict[Reader, Callable[[bytes], None]] = {}
        self.socket: dict[Reader, Callable[[bytes], None]] = {}
        self.stream: dict[Reader, Callable[[bytes], None]] = {}


class Hub:
    """The readers of this node. `greet` gives a channel's board as it is now."""

    def __init__(self, channels: Iterable[str], greet: Callable[[str], Frame]) -> None:
        self._audiences = {slug: _Audience() for slug in channels}
        self._greet = greet
        self._readers: set[Reader] = set()
        self.draining = False

    def __len__(self) -> int:
        return len(self._readers)

    def readers(self) -> dict[str, int]:
        """How many listen to each channel, stalled ones included."""
        counts = dict.fromkeys(self._audiences, 0)
        for reader in self._readers:
            for slug in reader.channels:
                counts[slug] += 1
        return counts

    def join(self, reader: Reader) -> None:
        self._readers.add(reader)
        self._admit(reader)

    def leave(self, reader: Reader) -> None:
        """Forget a reader. Harmless where it is gone already."""
        self._readers.discard(reader)
        self._take_out(reader)

    def broadcast(self, channel: str, frame: Frame) -> None:
        """One frame to every reader of a channel."""
        audience = self._audiences[channel]
        # A copy: `write` may call `stalled`, which takes the reader out of the very dictionary.
        for write in list(audience.socket.values()):
            write(frame.socket)
        for write in list(audience.stream.values()):
            write(frame.stream)
        for write in list(audience.text.values()):
            write(frame.text)

    def stalled(self, reader: Reader) -> None:
        """The reader's buffer is full."""
        if reader in self._readers:
            reader.stalled_at = asyncio.get_running_loop().time()
            self._take_out(reader)

    def drained(self, reader: Reader) -> None:
        """Its buffer is empty again: what it missed is in the board."""
        if reader in self._readers and reader.stalled_at is not None:
            reader.stalled_at = None
            for slug in reader.channels:
                reader.write(getattr(self._greet(slug), reader.encoding))
            if reader.stalled_at is None:  # the boards alone may fill it again
                self._admit(reader)

    def drop_stalled(self) -> None:
        """Drop those that have been full for too long."""
        limit = asyncio.get_running_loop().time() - STALLED_MAX
        for reader in [r for r in self._readers if r.stalled_at is not None and r.stalled_at < limit]:
            self.leave(reader)
            reader.abort()

    async def drain(self, seconds: float) -> None:
        """Send every reader elsewhere, in slices spread over `seconds`, so that they don't all come at once."""
        self.draining = True
        slices = max(1, -(-len(self._readers) // CLOSE_AT_ONCE))
        while self._readers:
            for reader in list(self._readers)[:CLOSE_AT_ONCE]:
                self.leave(reader)
                reader.close(TRY_ELSEWHERE, "This node restarts")
            await asyncio.sleep(seconds / slices if self._readers else 0)

    def _admit(self, reader: Reader) -> None:
        for slug in reader.channels:
            getattr(self._audiences[slug], reader.encoding)[reader] = reader.write

    def _take_out(self, reader: Reader) -> None:
        for slug in reader.channels:
            getattr(self._audiences[slug], reader.encoding).pop(reader, None)
