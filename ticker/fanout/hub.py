"""Who listens to which channel, and the one loop that writes to them all. Knows bytes; knows no lines.

Rule 1: there is no `await` between reading a board and joining, nor inside a slice of a pass, so that nobody
        can join or leave in the middle of it.
Rule 2: frames of a channel are numbered, and a reader takes those from the number at which it joined on: the
        board it was greeted with holds all before. So every reader sees one unbroken chain of events.
Rule 3: what comes while a pass runs goes out together in the next: one write a reader, however long the burst.
Rule 4: writing never waits. A reader for whom too much waits is taken out; once nothing waits any more it gets
        a board and is let back in; one for whom something waits for long is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Protocol

from ticker.fanout.frames import ENCODINGS, PING, Encoding, Frame
from ticker.fanout.sender import AT_ONCE, Handle, Sender

BUFFER_MAX = 65_536  # bytes waiting for one reader; some sixty lines, a board several times over
WAITING_MAX = 32 * 1_048_576  # bytes waiting for all readers; beyond, those go who have had something waiting longest
STALLED_MAX = 30.0  # seconds something may wait for a reader; a phone that changes networks is back before
PASS_MAX = 32_768  # bytes a pass; what one write may add to a reader that is about to be full
SLICE = AT_ONCE  # readers written to before others get their turn
CLOSE_AT_ONCE = 200  # readers that are sent elsewhere before others get their turn
CLOSE_EVERY = 0.02  # seconds between two looks at how many are due to leave
BEAT_SLICES = 20  # a beat to all at once would be a burst without news
NOTICE = 1.5  # seconds between "not ready" and the first goodbye: a load balancer looks once a second

TRY_ELSEWHERE = 1012  # close code: the service restarts; come back, to any node (IANA, RFC 6455 registry)
REFUSED = 1008  # close code: policy violation; don't come back like this (RFC 6455, 7.4.1)

log = logging.getLogger("ticker.fanout")


class Reader(Protocol):
    """One open connection."""

    encoding: Encoding
    channels: tuple[str, ...]
    room: int
    """How many bytes may wait for it."""

    @property
    def handle(self) -> Handle | None:
        """What the hub's sender takes for its socket, while nothing waits before; None where `write` must.

        `Hub.waits` is told when it becomes None.
        """

    def write(self, data: bytes) -> None:
        """Take bytes in the reader's encoding; never blocks."""

    def buffered(self) -> int:
        """How many bytes wait for it on our side."""

    def answered(self) -> bool:
        """Whether it has given a sign of life since this was asked last; true where it has no way to."""

    def close(self, code: int, reason: str) -> None:
        """Say goodbye with a WebSocket close code (SSE: end the response), as soon as what waits is out."""

    def abort(self) -> None:
        """Drop the connection now, and what waits with it."""


class _Audience:
    """A channel's readers in one encoding, and what is on its way to them."""

    def __init__(self) -> None:
        self.readers: dict[Reader, int] = {}  # and the number of the first frame that each takes
        self.number = 0  # of the next frame
        self.waiting: list[bytes] = []  # frames for the next pass
        self.passing: list[bytes] = []  # in the pass that runs
        self.whole = b""  # the same, in one piece
        self.first = 0  # number of the first frame in it
        self.turns: list[Reader] = []
        self.handles: Sequence[Handle] = ()  # theirs
        self.steady = False  # whether these are all readers there are, and nothing waits for any of them
        self.offset = 0
        self.slices: list[tuple[int, int]] = []  # of the pass that runs, the next one last

    @property
    def idle(self) -> bool:
        """Whether every reader has been written all there is."""
        return not self.passing and not self.waiting

    def unsettle(self) -> None:
        """Somebody came or went, or is to be written to the long way."""
        self.steady = False
        if not self.passing:
            self.turns, self.handles = [], ()  # or those who left would be kept until the next line


class Hub:
    """The readers of this node. `greet` gives a channel's board as it is now."""

    def __init__(self, channels: Iterable[str], greet: Callable[[str], Frame], sender: Sender) -> None:
        self.sender = sender
        self._audiences = {(slug, encoding): _Audience() for slug in channels for encoding in ENCODINGS}
        self._channels = tuple(channels)
        self._greet = greet
        self._readers: dict[Reader, int] = {}  # and the slice in which each gets its beats
        self._slices: list[set[Reader]] = [set() for _ in range(BEAT_SLICES)]
        self._waiting: dict[Reader, float] = {}  # those for whom something waits, and since when
        self._waiting_bytes = 0  # at most, for all of them; counted anew now and then
        self._out: set[Reader] = set()  # those of them who have missed something
        self._joined = 0
        self.draining = False

    def __len__(self) -> int:
        return len(self._readers)

    @property
    def idle(self) -> bool:
        """Whether every reader has been written all that was broadcast."""
        return all(audience.idle for audience in self._audiences.values())

    def readers(self) -> dict[str, int]:
        """How many listen to each channel, those who are out included."""
        counts = dict.fromkeys(self._channels, 0)
        for (slug, _), audience in self._audiences.items():
            counts[slug] += len(audience.readers)
        for reader in self._out:
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
            self._waiting.pop(reader, None)
            self._out.discard(reader)
            self._take_out(reader)

    def broadcast(self, channel: str, frame: Frame) -> None:
        """One frame to every reader of a channel, with whatever else comes until the loop turns."""
        for encoding in ENCODINGS:
            audience = self._audiences[channel, encoding]
            audience.number += 1
            if not audience.readers:
                continue
            if audience.idle:
                asyncio.get_running_loop().call_soon(self._begin, audience)
            audience.waiting.append(getattr(frame, encoding))

    async def begun(self, channel: str) -> None:
        """Wait until all that was broadcast before is in a pass, so that the first of its readers have been sent it."""
        audiences = [self._audiences[channel, encoding] for encoding in ENCODINGS]
        wanted = [audience.number for audience in audiences]
        pairs = list(zip(audiences, wanted, strict=True))
        while any(each.number - len(each.waiting) < number for each, number in pairs):  # noqa: ASYNC110 - a turn or two
            await asyncio.sleep(0)

    def _begin(self, audience: _Audience) -> None:
        """Start a pass with what waits, up to `PASS_MAX`. Each starts at another reader: nobody is always last."""
        audience.first = audience.number - len(audience.waiting)
        size = taken = 0
        for frame in audience.waiting:
            taken += 1
            size += len(frame)
            if size > PASS_MAX:
                break
        audience.passing, audience.waiting = audience.waiting[:taken], audience.waiting[taken:]
        audience.whole = b"".join(audience.passing)
        if not audience.steady:
            audience.turns = list(audience.readers)
            handles = [reader.handle for reader in audience.turns]
            if None not in handles and max(audience.readers.values(), default=0) <= audience.first:
                audience.handles = self.sender.row(handles)
                audience.steady = True
        count = len(audience.turns)
        start = audience.offset = (audience.offset + 7_919) % max(1, count)  # a prime: nobody is often near the start
        slices = [
            (begin, min(begin + SLICE, end))
            for first, end in ((start, count), (0, start))
            for begin in range(first, end, SLICE)
        ]
        audience.slices = slices[::-1]
        self._step(audience)

    def _step(self, audience: _Audience) -> None:
        """One slice of a pass; the next when others have had their turn."""
        if audience.slices:
            self._send(audience, *audience.slices.pop())
        loop = asyncio.get_running_loop()
        if audience.slices:
            loop.call_soon(self._step, audience)
            return
        audience.passing = []
        audience.whole = b""
        if not audience.steady:
            audience.unsettle()
        if audience.waiting:
            loop.call_soon(self._begin, audience)

    def _send(self, audience: _Audience, begin: int, end: int) -> None:
        """Send on sockets, past the transports (docs/adr/0008): nothing waits in those, so order is kept.

        What a socket doesn't take, the transport does. While all is steady no reader is even looked at.
        """
        whole, size, first, never = audience.whole, len(audience.whole), audience.first, audience.number + 1
        joined_at = audience.readers.get
        others: Iterable[Reader] = ()
        if audience.steady:
            sent = self.sender.send(audience.handles[begin:end], whole)
            if sent.count(size) == len(sent):
                return
            everyday = audience.turns[begin:end]
        else:
            turns = audience.turns[begin:end]
            everyday = [reader for reader in turns if reader.handle is not None and joined_at(reader, never) <= first]
            if len(everyday) < len(turns):
                others = set(turns).difference(everyday)
            sent = self.sender.send([reader.handle for reader in everyday], whole)
        for reader, count in zip(everyday, sent, strict=True):
            if count < size:
                self._write(reader, [whole[count:]])
        for reader in others:
            since = joined_at(reader)
            if since is not None:  # or it has left, or is out
                self._write(reader, audience.passing[max(0, since - first) :])

    def _write(self, reader: Reader, frames: Sequence[bytes]) -> None:
        """The long way: whatever the reader's encoding, and whether or not something waits for it."""
        if frames:
            reader.write(b"".join(frames))
        waiting = reader.buffered()
        if not waiting or reader not in self._readers:
            return
        if reader not in self._waiting:
            self._waiting[reader] = asyncio.get_running_loop().time()
        if waiting > reader.room:
            self._out.add(reader)
            self._take_out(reader)
        self._waiting_bytes += sum(map(len, frames))
        if self._waiting_bytes > WAITING_MAX:
            self._count_waiting()

    def _tell(self, reader: Reader, boards: list[bytes]) -> None:
        """Write the boards, and let the reader in. However large they are, `BUFFER_MAX` may wait behind them."""
        reader.room = sum(map(len, boards)) + BUFFER_MAX
        self._write(reader, boards)
        for slug in reader.channels:
            audience = self._audiences[slug, reader.encoding]
            audience.readers[reader] = audience.number
            audience.unsettle()

    def _take_out(self, reader: Reader) -> None:
        for slug in reader.channels:
            audience = self._audiences[slug, reader.encoding]
            audience.readers.pop(reader, None)
            audience.unsettle()

    def waits(self, reader: Reader) -> None:
        """Something waits for the reader, so that it has no handle until `drained`."""
        for slug in reader.channels:
            self._audiences[slug, reader.encoding].unsettle()

    def drained(self, reader: Reader) -> None:
        """Nothing waits for the reader any more. Where it has missed something, that is in the board."""
        self._waiting.pop(reader, None)
        reader.room = BUFFER_MAX
        if reader in self._out:
            self._out.discard(reader)
            self._tell(reader, [getattr(self._greet(slug), reader.encoding) for slug in reader.channels])

    def beat(self, index: int, frames: Callable[[str], Frame], leaving: float = 0.0) -> None:
        """A beat to one of `BEAT_SLICES` slices of the readers, and a ping: who didn't answer the last is gone.

        None on a channel that has frames on their way: a beat must not tell of an event before it is there.
        `leaving` is the share of the readers that are sent elsewhere instead, drawn by lot.
        """
        busy = {slug for (slug, _), audience in self._audiences.items() if not audience.idle}
        beats = {slug: frames(slug) for slug in self._channels if slug not in busy}
        for reader in list(self._slices[index % BEAT_SLICES]):
            if reader in self._waiting:
                continue  # it reads, or it will be dropped
            if not reader.answered():
                self._drop(reader)
            elif leaving and random.random() < leaving:
                self._send_elsewhere(reader, "Come back, to any node")
            else:
                told = [getattr(beats[slug], reader.encoding) for slug in reader.channels if slug in beats]
                self._write(reader, [*told, PING] if reader.encoding == "socket" else told)

    def drop_stalled(self) -> None:
        """Drop those for whom something has been waiting for too long."""
        limit = asyncio.get_running_loop().time() - STALLED_MAX
        for reader in [reader for reader, since in self._waiting.items() if since < limit]:
            self._drop(reader)
        self._count_waiting()

    def _count_waiting(self) -> None:
        """See what really waits; while it is too much, the one goes for whom something has waited longest."""
        self._waiting_bytes = sum(reader.buffered() for reader in self._waiting)
        while self._waiting_bytes > WAITING_MAX:
            reader = next(iter(self._waiting))
            self._waiting_bytes -= reader.buffered()
            self._drop(reader)

    def _drop(self, reader: Reader) -> None:
        self.leave(reader)
        reader.abort()

    async def drain(self, seconds: float, *, watched: bool = False) -> None:
        """Take nobody more, then send every reader elsewhere, evenly over what is left of `seconds`.

        Between the two is a pause, so that they are not sent back here by a load balancer that hasn't noticed. One that
        is `watched` by such gives it notice without readers, too: of two nodes the other may have them all.
        """
        self.draining = True
        if not self._readers and not watched:
            return
        notice = min(NOTICE, seconds / 2)
        await asyncio.sleep(notice)
        clock = asyncio.get_running_loop().time
        began, left = clock(), 0
        pace = (seconds - notice) / max(1, len(self._readers))  # seconds from one goodbye to the next
        while self._readers:
            late = clock() - began - left * pace
            due = min(CLOSE_AT_ONCE, 1 + int(late / pace)) if pace else CLOSE_AT_ONCE
            for reader in list(islice(self._readers, due)):
                self._send_elsewhere(reader, "This node restarts")
            left += due
            wait = began + left * pace - clock() if self._readers else 0
            await asyncio.sleep(max(CLOSE_EVERY, wait) if wait > 0 else 0)

    def _send_elsewhere(self, reader: Reader, reason: str) -> None:
        self.leave(reader)
        reader.close(TRY_ELSEWHERE, reason)
