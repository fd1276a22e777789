"""Who listens to which channel, and the one loop that writes to them all. Knows bytes; knows no lines.

Rule 1: there is no `await` between reading a board and joining, nor inside a slice of a pass, so that nobody
        can join or leave in the middle of it.
Rule 2: frames of a channel are numbered, and a reader takes those from the number at which it joined on: the
        board it was greeted with holds all before. So every reader sees one unbroken chain of events.
Rule 3: what comes while a pass runs goes out together in the next: one write a reader, however long the burst.
Rule 4: writing never waits. A reader whose buffer is full is taken out; once it has drained it gets a
        board and is let back in; one that stays full is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol

from ticker.fanout.frames import Encoding, Frame

BUFFER_MAX = 65_536  # bytes waiting for one reader; some sixty lines, a board several times over
STALLED_MAX = 30.0  # seconds a full reader is kept; a phone that changes networks is back before
PASS_MAX = 32_768  # bytes a pass; what one write may add to a reader that is about to be full
SLICE = 500  # readers written to before others get their turn: some 5 ms
CLOSE_AT_ONCE = 200  # readers a slice when draining, so that the loop goes on serving
BEAT_SLICES = 20  # a beat to all at once would be a burst without news
STALLED_READERS_MAX = 2_048  # full readers kept at a time: with BUFFER_MAX, 128 MiB; beyond, the first goes

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

    def buffered(self) -> int:
        """How many bytes wait for it on our side."""

    def close(self, code: int, reason: str) -> None:
        """Say goodbye with a WebSocket close code (SSE: end the response), as soon as what waits is out."""

    def abort(self) -> None:
        """Drop the connection now, and what waits with it."""


class _Audience:
    """A channel's readers, and what is on its way to them."""

    def __init__(self) -> None:
        self.readers: dict[Reader, int] = {}  # and the number of the first frame that each takes
        self.number = 0  # of the next frame
        self.waiting: list[Frame] = []  # for the next pass
        self.passing: list[Frame] = []  # in the pass that runs
        self.first = 0  # number of the first frame in it
        self.turns: Iterable[Reader] = ()
        self.offset = 0

    @property
    def idle(self) -> bool:
        """Whether every reader has been written all there is."""
        return not self.passing and not self.waiting


class Hub:
    """The readers of this node. `greet` gives a channel's board as it is now."""

    def __init__(self, channels: Iterable[str], greet: Callable[[str], Frame]) -> None:
        self._audiences = {slug: _Audience() for slug in channels}
        self._greet = greet
        self._readers: dict[Reader, int] = {}  # and the slice in which each gets its beats
        self._slices: list[set[Reader]] = [set() for _ in range(BEAT_SLICES)]
        # And how many bytes may wait for each; None: it has missed something, and is out.
        self._stalled: dict[Reader, int | None] = {}
        self._telling: Reader | None = None
        self._joined = 0
        self.draining = False

    def __len__(self) -> int:
        return len(self._readers)

    @property
    def idle(self) -> bool:
        """Whether every reader has been written all that was broadcast."""
        return all(audience.idle for audience in self._audiences.values())

    def readers(self) -> dict[str, int]:
        """How many listen to each channel, stalled ones included."""
        counts = {slug: len(audience.readers) for slug, audience in self._audiences.items()}
        for reader in self._stalled:
            for slug in reader.channels:
                counts[slug] += 1
        return counts

    def join(self, reader: Reader, greetings: list[bytes]) -> None:
        """Greet the reader; it takes part from the next frame on. What came before is in the greetings."""
        self._joined += 1
        index = self._readers[reader] = self._joined % BEAT_SLICES
        self._slices[index].add(reader)
        self._tell(reader, greetings)

    def leave(self, reader: Reader) -> None:
        """Forget a reader. Harmless where it is gone already."""
        index = self._readers.pop(reader, None)
        if index is not None:
            self._slices[index].discard(reader)
            self._stalled.pop(reader, None)
            self._take_out(reader)

    def broadcast(self, channel: str, frame: Frame) -> None:
        """One frame to every reader of a channel, with whatever else comes until the loop turns."""
        audience = self._audiences[channel]
        audience.number += 1
        if audience.idle:
            asyncio.get_running_loop().call_soon(self._begin, audience)
        audience.waiting.append(frame)

    def _begin(self, audience: _Audience) -> None:
        """Start a pass with what waits, up to `PASS_MAX`. Each starts at another reader: nobody is always last."""
        audience.first = audience.number - len(audience.waiting)
        size = taken = 0
        for frame in audience.waiting:
            taken += 1
            size += len(frame.socket)
            if size > PASS_MAX:
                break
        audience.passing, audience.waiting = audience.waiting[:taken], audience.waiting[taken:]
        readers = list(audience.readers)
        if readers:
            audience.offset = (audience.offset + 7_919) % len(readers)  # a prime: no reader is near the start often
            readers = readers[audience.offset :] + readers[: audience.offset]
        audience.turns = iter(readers)
        self._step(audience)

    def _step(self, audience: _Audience) -> None:
        """One slice of a pass; the next when others have had their turn."""
        frames, first = audience.passing, audience.first
        sockets = b"".join(frame.socket for frame in frames)
        written = 0
        for reader in islice(audience.turns, SLICE):
            written += 1
            if reader.stalled_at is not None:
                self.stalled(reader)
            since = audience.readers.get(reader)
            if since is None:
                continue  # it has left, or is full
            if since <= first and reader.encoding == "socket":
                reader.write(sockets)
                continue
            for frame in frames[max(0, since - first) :]:
                reader.write(getattr(frame, reader.encoding))
                if reader not in audience.readers:
                    break  # that was one too many
        loop = asyncio.get_running_loop()
        if written == SLICE:
            loop.call_soon(self._step, audience)
            return
        audience.passing = []
        if audience.waiting:
            loop.call_soon(self._begin, audience)

    def beat(self, index: int, frames: Callable[[str], Frame]) -> None:
        """A beat to one of `BEAT_SLICES` slices of the readers.

        None on a channel that has frames on their way: a beat must not tell of an event before it is there.
        """
        beats = {slug: frames(slug) for slug, audience in self._audiences.items() if audience.idle}
        for reader in list(self._slices[index % BEAT_SLICES]):
            for slug in reader.channels:
                if slug in beats and reader.stalled_at is None:
                    reader.write(getattr(beats[slug], reader.encoding))

    def stalled(self, reader: Reader) -> None:
        """The reader's buffer is full. It is out, unless its board alone has filled it: then lines may follow."""
        if reader in self._readers:
            if reader.stalled_at is None:
                reader.stalled_at = asyncio.get_running_loop().time()
            allowance = self._stalled.get(reader)
            if reader is self._telling or (allowance is not None and reader.buffered() <= allowance):
                return
            self._stalled[reader] = None
            self._take_out(reader)
            if len(self._stalled) > STALLED_READERS_MAX:
                self._drop(next(iter(self._stalled)))

    def drained(self, reader: Reader) -> None:
        """Its buffer is empty again: what it missed is in the board."""
        reader.stalled_at = None
        if self._stalled.pop(reader, 0) is None:
            self._tell(reader, [getattr(self._greet(slug), reader.encoding) for slug in reader.channels])

    def _tell(self, reader: Reader, boards: list[bytes]) -> None:
        """Write the boards, and let the reader in. Where they alone fill it, so much and `BUFFER_MAX` may wait."""
        self._telling = reader
        if reader.encoding == "text":
            for board in boards:
                reader.write(board)
        elif boards:
            reader.write(b"".join(boards))
        self._telling = None
        if reader.stalled_at is not None:
            self._stalled[reader] = sum(map(len, boards)) + BUFFER_MAX
        self._admit(reader)

    def drop_stalled(self) -> None:
        """Drop those that have been full for too long."""
        limit = asyncio.get_running_loop().time() - STALLED_MAX
        for reader in [r for r in self._stalled if r.stalled_at is not None and r.stalled_at < limit]:
            self._drop(reader)

    def _drop(self, reader: Reader) -> None:
        self.leave(reader)
        reader.abort()

    async def drain(self, seconds: float) -> None:
        """Send every reader elsewhere, in slices spread over `seconds`, so that they don't all come at once."""
        self.draining = True
        slices = max(1, -(-len(self._readers) // CLOSE_AT_ONCE))
        while self._readers:
            for reader in list(islice(self._readers, CLOSE_AT_ONCE)):
                self.leave(reader)
                reader.close(TRY_ELSEWHERE, "This node restarts")
            await asyncio.sleep(seconds / slices if self._readers else 0)

    def _admit(self, reader: Reader) -> None:
        for slug in reader.channels:
            audience = self._audiences[slug]
            audience.readers[reader] = audience.number

    def _take_out(self, reader: Reader) -> None:
        for slug in reader.channels:
            self._audiences[slug].readers.pop(reader, None)
