"""The hub and its frames, without a server: who gets which bytes, when, and who is let go."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from websockets.frames import Close, Opcode
from websockets.frames import Frame as SocketFrame
from websockets.protocol import OPEN, Protocol, Side

from tests.senders import SENDERS
from ticker.fanout import hub as hub_module
from ticker.fanout.calls import Calls
from ticker.fanout.frames import PING, BeatObject, Encoding, Frame, close_frame, frame, socket_frame
from ticker.fanout.hub import (
    BEAT_SLICES,
    BUFFER_MAX,
    CLOSE_AT_ONCE,
    CLOSE_EVERY,
    NOTICE,
    SLICE,
    TRY_ELSEWHERE,
    Hub,
)
from ticker.fanout.sender import Handle

HALF_PAST_FOUR = datetime(2026, 5, 4, 16, 30, tzinfo=UTC)


def both(data: bytes) -> Frame:
    """The same in each encoding."""
    return Frame(data, data)


GREETINGS = {slug: both(f"{slug} board".encode()) for slug in ("en", "ar")}


@dataclass(eq=False)
class MemoryReader:
    """A reader whose connection is a list. One that `reads` has nothing waiting; else `waiting` does, until `take`."""

    hub: Hub
    channels: tuple[str, ...] = ("en",)
    encoding: Encoding = "stream"
    reads: bool = True
    alive: bool = True
    handle: Handle | None = None
    room: int = 0
    waiting: list[bytes] = field(default_factory=list)
    goodbyes: list[tuple[float, int]] = field(default_factory=list)  # when, and with which code
    aborted: bool = False
    on_write: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        """It is in the hub from the first, and has read its greeting."""
        reads, self.reads = self.reads, True
        self.hub.join(self, [b"hello"])
        self.waiting.clear()
        self.hub.drained(self)
        self.reads = reads

    def write(self, data: bytes) -> None:
        self.waiting.append(data)
        self.on_write()

    def take(self) -> list[bytes]:
        """What a browser does that reads on: everything that waits."""
        taken, self.waiting = self.waiting, []
        self.hub.drained(self)
        return taken

    def buffered(self) -> int:
        return 0 if self.reads else sum(map(len, self.waiting))

    def answered(self) -> bool:
        return self.alive

    def close(self, code: int, reason: str) -> None:
        self.goodbyes.append((asyncio.get_running_loop().time(), code))

    def abort(self) -> None:
        self.aborted = True


class PipeReader(MemoryReader):
    """A reader whose connection is a socket, which the hub writes to itself; what the socket won't take waits."""

    def __post_init__(self) -> None:
        self.encoding = "socket"
        self.reads = False
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.far.setblocking(False)
        self.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        self.handle = self.own = self.hub.sender.handle(self.near)
        self.hub.join(self, [])

    def write(self, data: bytes) -> None:
        super().write(data)
        self.handle = None
        self.hub.waits(self)

    def received(self) -> bytes:
        """All that comes, while what waits is sent on; until nothing waits any more."""
        told = b""
        while True:
            with contextlib.suppress(BlockingIOError):
                while data := self.far.recv(65_536):
                    told += data
            if self.handle is not None:
                return told
            rest = b"".join(self.waiting)
            sent = self.near.send(rest)
            self.waiting = [rest[sent:]] if sent < len(rest) else []
            if not self.waiting:
                self.handle = self.own
                self.hub.drained(self)

    def end(self) -> None:
        self.hub.sender.release(self.own)
        self.near.close()
        self.far.close()


@pytest.fixture
def pipes(hub: Hub) -> Iterator[list[PipeReader]]:
    pipes = [PipeReader(hub) for _ in range(3)]
    yield pipes
    for pipe in pipes:
        pipe.end()


@pytest.fixture(params=SENDERS)
def hub(request: pytest.FixtureRequest) -> Hub:
    return Hub(GREETINGS, lambda slug: GREETINGS[slug], request.param())


def numbered(number: int) -> Frame:
    return Frame(f"socket {number};".encode(), f"stream {number};".encode())


async def turns(number: int = 20) -> None:
    """Turns of the loop: every pass over a small audience is through after them."""
    for _ in range(number):
        await asyncio.sleep(0)


async def send(hub: Hub, number: int, channel: str = "en") -> None:
    hub.broadcast(channel, numbered(number))
    await turns()


async def test_every_reader_gets_every_frame_in_order_in_its_own_encoding(hub: Hub) -> None:
    encodings: tuple[Encoding, ...] = ("socket", "stream")
    readers = [MemoryReader(hub, encoding=encoding) for encoding in encodings * 3]
    for number in range(20):
        await send(hub, number)
    for reader in readers:
        assert reader.waiting == [f"{reader.encoding} {number};".encode() for number in range(20)]


async def test_what_has_begun_is_with_the_first_readers(hub: Hub) -> None:
    """An editor's answer waits for that, and for no more: not for those who come last, nor for later frames."""
    readers = [MemoryReader(hub) for _ in range(3 * SLICE)]
    for number in range(2):
        hub.broadcast("en", numbered(number))
        await hub.begun("en")
        told = sum(bool(reader.waiting) and reader.waiting[-1].endswith(b"%d;" % number) for reader in readers)
        assert told >= 1
        hub.broadcast("en", numbered(7))
    await turns()
    await hub.begun("en")
    assert all(b"".join(reader.waiting) == b"stream 0;stream 7;stream 1;stream 7;" for reader in readers)


async def test_a_greeting_comes_first_and_in_one_piece(hub: Hub) -> None:
    reader = MemoryReader(hub, ("en", "ar"), "socket")
    hub.leave(reader)
    hub.join(reader, [b"en board, ", b"ar board, "])
    await send(hub, 1)
    assert reader.waiting == [b"en board, ar board, ", b"socket 1;"]


async def test_a_frame_stays_in_its_channel(hub: Hub) -> None:
    english, arabic, both = MemoryReader(hub), MemoryReader(hub, ("ar",)), MemoryReader(hub, ("en", "ar"))
    await send(hub, 1, "en")
    await send(hub, 2, "ar")
    assert (english.waiting, arabic.waiting, both.waiting) == (
        [b"stream 1;"],
        [b"stream 2;"],
        [b"stream 1;", b"stream 2;"],
    )
    assert hub.readers() == {"en": 2, "ar": 2}


async def test_a_burst_is_one_write_a_reader(hub: Hub) -> None:
    reader = MemoryReader(hub, encoding="socket")
    for number in range(100):
        hub.broadcast("en", numbered(number))
    await turns()
    assert reader.waiting == [b"".join(f"socket {number};".encode() for number in range(100))]


async def test_a_reader_that_left_gets_nothing_and_may_leave_twice(hub: Hub) -> None:
    reader = MemoryReader(hub, ("en", "ar"))
    assert len(hub) == 1
    hub.broadcast("en", numbered(1))
    hub.leave(reader)
    hub.leave(reader)
    await send(hub, 2)
    assert (len(hub), reader.waiting, hub.readers()) == (0, [], {"en": 0, "ar": 0})


async def test_readers_may_leave_in_the_middle_of_a_pass(hub: Hub) -> None:
    readers = [MemoryReader(hub) for _ in range(9)]

    def leave() -> None:
        for reader in readers[2:6]:
            hub.leave(reader)

    readers[3].on_write = leave
    await send(hub, 1)
    stayed = readers[:2] + readers[6:]
    assert [reader.waiting for reader in stayed] == [[b"stream 1;"]] * 5
    await send(hub, 2)
    assert [reader.waiting[1:] for reader in readers[2:6]] == [[]] * 4
    assert [reader.waiting[1:] for reader in stayed] == [[b"stream 2;"]] * 5


# A pass in several slices


@pytest.mark.parametrize("after", range(8))
async def test_who_joins_between_two_slices_misses_nothing_and_gets_nothing_twice(hub: Hub, after: int) -> None:
    readers = [MemoryReader(hub) for _ in range(2 * SLICE + 100)]
    for number in range(3):
        hub.broadcast("en", numbered(number))
    await turns(after)
    late = MemoryReader(hub)  # and its greeting held what was broadcast until now
    for number in range(3, 6):
        hub.broadcast("en", numbered(number))
        await asyncio.sleep(0)
    await turns()
    frames = [f"stream {number};".encode() for number in range(6)]
    assert b"".join(late.waiting) == b"".join(frames[3:])
    assert all(b"".join(reader.waiting) == b"".join(frames) for reader in readers)


@pytest.mark.parametrize("after", range(8))
async def test_who_is_taken_out_and_drains_between_two_slices_has_one_chain_too(hub: Hub, after: int) -> None:
    readers = [MemoryReader(hub, ("en", "ar"), reads=False) for _ in range(2 * SLICE + 100)]
    hub.broadcast("en", numbered(0))
    await turns(after)
    hub.broadcast("en", numbered(1))
    hub.broadcast("ar", both(b"x" * (BUFFER_MAX + 1)))  # too much for all of them, in the other channel
    for _ in range(20):
        for reader in readers:
            if reader.buffered() > BUFFER_MAX:
                reader.waiting = []
                hub.drained(reader)
        await asyncio.sleep(0)
    hub.broadcast("en", numbered(2))
    await turns()
    for reader in readers:
        chain = b"".join(reader.waiting)
        # After its last board it has what followed, once: the board of that moment held what it hadn't been sent.
        assert chain.rpartition(b"en board")[2].rpartition(b"ar board")[2] in (b"stream 2;", b"stream 1;stream 2;")


async def test_a_beat_does_not_overtake_a_line(hub: Hub) -> None:
    reader = MemoryReader(hub, ("en", "ar"))
    beats = both(b"beat;")
    hub.broadcast("en", numbered(1))
    for index in range(BEAT_SLICES):
        hub.beat(index, lambda slug: beats)
    assert reader.waiting == [b"beat;"]  # of ar alone
    await turns()
    for index in range(BEAT_SLICES):
        hub.beat(index, lambda slug: beats)
    assert reader.waiting == [b"beat;", b"stream 1;", b"beat;beat;"]


# The everyday path: straight to the socket


async def test_what_the_socket_takes_in_part_follows_in_order(hub: Hub, pipes: list[PipeReader]) -> None:
    frames = [both(f"{number:06};".encode() * 300) for number in range(20)]
    told = [b""] * len(pipes)
    for each in frames:
        hub.broadcast("en", each)
        await turns(3)
    assert any(pipe.handle is None for pipe in pipes), "this test can't tell: the socket took it all"
    for _ in range(3):
        told = [before + pipe.received() for before, pipe in zip(told, pipes, strict=True)]
        await turns()
    assert told == [b"".join(frame.socket for frame in frames)] * len(pipes)


async def test_a_broken_socket_does_not_keep_the_others_from_their_lines(hub: Hub, pipes: list[PipeReader]) -> None:
    pipes[1].far.close()
    await send(hub, 1)
    await send(hub, 2)
    assert [pipes[0].received(), pipes[2].received()] == [b"socket 1;socket 2;"] * 2


async def test_a_socket_that_takes_nothing_is_out_at_last_and_gets_the_board(hub: Hub, pipes: list[PipeReader]) -> None:
    large = both(b"x" * 10_000)
    for _ in range(100):
        hub.broadcast("en", large)
        await turns(3)
        assert pipes[1].received() + pipes[2].received() == large.socket * 2
    assert BUFFER_MAX < pipes[0].buffered() <= BUFFER_MAX + len(large.socket)
    assert hub.readers()["en"] == 3
    pipes[0].received()
    await send(hub, 1)
    assert pipes[0].received().endswith(b"socket 1;")


@pytest.mark.parametrize("seed", range(5))
async def test_one_chain_whoever_comes_goes_or_waits_in_the_middle_of_a_pass(
    hub: Hub, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "SLICE", 2)
    chance = random.Random(seed)
    frames: list[bytes] = []
    here: list[PipeReader] = []
    told: dict[PipeReader, bytes] = {}
    joined: dict[PipeReader, int] = {}
    for _ in range(600):
        match chance.choices(("frame", "turn", "read", "make room", "join", "leave"), (30, 50, 20, 10, 3, 3))[0]:
            case "frame":
                frames.append(f"{len(frames):06};".encode() * 100)
                hub.broadcast("en", both(frames[-1]))
            case "turn":
                await asyncio.sleep(0)
            case "read" if here:
                reader = chance.choice(here)
                told[reader] += reader.received()
            case "make room" if here:  # and what waits is still to come
                reader = chance.choice(here)
                with contextlib.suppress(BlockingIOError):
                    told[reader] += reader.far.recv(65_536)
            case "join" if len(here) < 9:
                here.append(PipeReader(hub))
                told[here[-1]], joined[here[-1]] = b"", len(frames)
            case "leave" if len(here) > 3:
                reader = here.pop(chance.randrange(len(here)))
                hub.leave(reader)
                told[reader] += reader.received()
                await turns()
                assert reader.received() == b"", "it was written to after it had left"
                assert b"".join(frames[joined[reader] :]).startswith(told[reader])
                reader.end()
    for _ in range(3):
        await turns(100)
        for reader in here:
            told[reader] += reader.received()
    assert len(here) >= 3
    for reader in here:
        assert told[reader] == b"".join(frames[joined[reader] :])
        reader.end()


# Slow readers


async def test_a_full_reader_is_taken_out_and_the_others_miss_nothing(hub: Hub) -> None:
    slow, quick = MemoryReader(hub, reads=False), MemoryReader(hub)
    large = both(b"x" * 1_000)
    for _ in range(200):
        hub.broadcast("en", large)
        await turns(3)
    assert BUFFER_MAX < slow.buffered() <= BUFFER_MAX + 1_000  # one frame over, whatever comes after
    assert len(quick.waiting) == 200
    assert (len(hub), hub.readers()["en"]) == (2, 2)


async def fill(hub: Hub, *readers: MemoryReader, channel: str = "en") -> None:
    """Take these readers out, with one frame that is too much."""
    hub.broadcast(channel, both(b"x" * (BUFFER_MAX + 1)))
    await turns()
    assert all(reader.buffered() > BUFFER_MAX for reader in readers)


async def test_a_drained_reader_gets_the_boards_and_then_what_follows(hub: Hub) -> None:
    slow = MemoryReader(hub, ("en", "ar"), reads=False)
    await fill(hub, slow)
    await send(hub, 2, "ar")
    assert len(slow.take()) == 1
    await send(hub, 3, "ar")
    assert slow.take() == [b"en boardar board", b"stream 3;"]


async def test_a_reader_whose_boards_are_larger_than_its_buffer_gets_them_and_then_what_follows() -> None:
    board = both(b"b" * (2 * BUFFER_MAX))
    hub = Hub(["en"], lambda slug: board, Calls())
    slow = MemoryReader(hub, reads=False)
    await fill(hub, slow)
    slow.take()
    await send(hub, 1)
    assert slow.take() == [board.stream, b"stream 1;"]


async def test_a_reader_whom_its_greeting_fills_is_out_once_as_much_waits_behind_it_as_may_wait(hub: Hub) -> None:
    slow = MemoryReader(hub)
    hub.leave(slow)
    slow.reads = False
    greeting = b"g" * (3 * BUFFER_MAX)
    hub.join(slow, [greeting])
    large = both(b"x" * 1_000)
    for _ in range(200):
        hub.broadcast("en", large)
        await turns(3)
    assert BUFFER_MAX < slow.buffered() - len(greeting) <= BUFFER_MAX + 1_000
    assert slow.take()[0] == greeting
    assert slow.take() == [b"en board"]


async def test_a_reader_that_drains_without_having_been_full_is_told_nothing(hub: Hub) -> None:
    reader = MemoryReader(hub, reads=False)
    await send(hub, 1)
    assert reader.take() == [b"stream 1;"]
    assert reader.waiting == []


async def test_a_reader_that_has_left_is_not_let_back_in(hub: Hub) -> None:
    reader = MemoryReader(hub, reads=False)
    await fill(hub, reader)
    hub.leave(reader)
    reader.take()
    await send(hub, 1)
    assert (len(hub), reader.waiting) == (0, [])


async def test_one_for_whom_something_waits_too_long_is_dropped_and_only_that_one(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, well = MemoryReader(hub, reads=False), MemoryReader(hub)
    await send(hub, 1)
    hub.drop_stalled()
    assert [reader.aborted for reader in (gone, well)] == [False, False]
    monkeypatch.setattr(hub_module, "STALLED_MAX", -1.0)
    late = MemoryReader(hub, reads=False)
    hub.drop_stalled()
    assert [reader.aborted for reader in (gone, late, well)] == [True, False, False]
    assert len(hub) == 2


async def test_when_too_much_waits_for_all_the_one_goes_who_has_waited_longest(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "WAITING_MAX", 30)
    readers = []
    for _ in range(5):
        readers.append(MemoryReader(hub, reads=False))
        await send(hub, 1)
        if len(readers) == 2:
            readers[0].take()  # it has caught up since, and nothing waits
    assert sum(reader.buffered() for reader in readers if not reader.aborted) <= 30
    assert readers[1].aborted
    assert not readers[4].aborted


async def test_who_does_not_answer_a_ping_is_gone_by_the_next(hub: Hub) -> None:
    beats = both(b"beat;")
    dead, well = MemoryReader(hub, encoding="socket", alive=False), MemoryReader(hub, encoding="socket")
    for index in range(BEAT_SLICES):
        hub.beat(index, lambda slug: beats)
    assert (dead.aborted, well.aborted, len(hub)) == (True, False, 1)
    assert well.waiting == [b"beat;" + PING]


async def test_connections_end_by_lot_where_they_are_to_have_an_age(hub: Hub) -> None:
    readers = [MemoryReader(hub) for _ in range(1_000)]
    beats = both(b"beat;")
    for index in range(BEAT_SLICES):
        hub.beat(index, lambda slug: beats, leaving=0.5)
    left = [reader for reader in readers if reader.goodbyes]
    assert 400 < len(left) < 600
    assert {code for reader in left for _, code in reader.goodbyes} == {TRY_ELSEWHERE}
    assert len(hub) == 1_000 - len(left)


# Draining


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Clock:
    """The hub's time, which passes while it sleeps and at no other moment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        turn = asyncio.sleep

        async def sleep(seconds: float) -> None:
            self.now += seconds
            await turn(0)

        monkeypatch.setattr(asyncio, "sleep", sleep)
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)


@pytest.mark.parametrize("number", [1, 2, 7, 100, 450, 20_000])
async def test_goodbyes_are_spread_evenly_over_the_time_however_few_or_many_the_readers(
    hub: Hub, clock: Clock, number: int
) -> None:
    readers = [MemoryReader(hub) for _ in range(number)]
    await hub.drain(5.0)
    assert hub.draining
    assert len(hub) == 0
    assert [len(reader.goodbyes) for reader in readers] == [1] * number
    left = sorted(when for reader in readers for when, _ in reader.goodbyes)
    for index, when in enumerate(left):
        due = NOTICE + index * (5.0 - NOTICE) / number
        assert due - 1e-6 < when < due + CLOSE_EVERY + 1e-6, f"reader {index} of {number}"
    assert clock.now == left[-1], "and when the last one has left there is nothing to wait for"


@pytest.mark.parametrize("seconds", [0.0, 0.1])
async def test_without_time_everyone_leaves_all_the_same_and_others_get_their_turns(
    hub: Hub, clock: Clock, seconds: float
) -> None:
    readers = [MemoryReader(hub) for _ in range(4 * CLOSE_AT_ONCE + 50)]
    seen: list[int] = []

    async def look() -> None:
        """How many are left, whenever others have their turn."""
        while True:
            seen.append(len(hub))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    await hub.drain(seconds)
    looking.cancel()
    assert [len(reader.goodbyes) for reader in readers] == [1] * len(readers)
    assert clock.now < seconds + CLOSE_EVERY
    assert max(before - after for before, after in itertools.pairwise([*seen, 0])) <= CLOSE_AT_ONCE


async def test_a_slow_turn_makes_nobody_stay_longer(hub: Hub, clock: Clock) -> None:
    """The loop was busy with something else: those who should have left meanwhile leave next."""
    readers = [MemoryReader(hub) for _ in range(100)]
    readers[30].close = lambda code, reason: setattr(clock, "now", clock.now + 1.0)  # type: ignore[method-assign]
    await hub.drain(5.0)
    assert clock.now < 5.0


async def test_with_no_reader_there_is_nothing_to_wait_for(hub: Hub, clock: Clock) -> None:
    await hub.drain(5.0)
    assert (clock.now, hub.draining) == (0.0, True)


async def test_full_readers_are_sent_elsewhere_too_with_the_code_that_says_come_back(hub: Hub) -> None:
    stalled, well = MemoryReader(hub, reads=False), MemoryReader(hub)
    await fill(hub, stalled)
    await hub.drain(0)
    assert [code for _, code in stalled.goodbyes + well.goodbyes] == [TRY_ELSEWHERE, TRY_ELSEWHERE] == [1012, 1012]


# Frames


def parsed(data: bytes) -> list[SocketFrame]:
    """What a WebSocket library makes of the bytes."""
    client = Protocol(Side.CLIENT, state=OPEN, max_size=None)
    client.receive_data(data)
    assert client.parser_exc is None, client.parser_exc
    return client.events_received()  # type: ignore[return-value]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_websocket_frame_holds_its_payload_whatever_its_length(size: int) -> None:
    payload = (b"0123456789" * 7_000)[:size]
    (told,) = parsed(socket_frame(payload))
    assert (told.opcode, told.data, told.fin) == (Opcode.TEXT, payload, True)
    width = 2 if size < 126 else 4 if size < 65_536 else 10
    assert len(socket_frame(payload)) == width + size


def test_frames_that_stand_back_to_back_are_told_apart() -> None:
    payloads = [b"x" * size for size in (1, 126, 65_536, 0, 125)]
    assert [told.data for told in parsed(b"".join(map(socket_frame, payloads)))] == payloads


def test_a_close_frame_says_its_code_and_as_much_of_the_reason_as_fits() -> None:
    assert Close.parse(parsed(close_frame(1012, "This node restarts"))[0].data) == Close(1012, "This node restarts")
    assert Close.parse(parsed(close_frame(1012, "x" * 200))[0].data) == Close(1012, "x" * 123)
    assert Close.parse(parsed(close_frame(1012, "é" * 100))[0].data) == Close(1012, "é" * 61)  # 123 bytes end in one


def test_one_object_is_the_same_in_every_encoding() -> None:
    told = frame(BeatObject(channel="ar", cursor="1763892000000-0", now=HALF_PAST_FOUR))
    expected = {"type": "beat", "channel": "ar", "cursor": "1763892000000-0", "now": "2026-05-04T16:30:00Z"}
    text = bytes(parsed(told.socket)[0].data)
    assert json.loads(text) == expected
    assert told.stream == b"event: beat\nid: 1763892000000-0\ndata: " + text + b"\n\n"


def test_an_object_without_a_cursor_has_no_event_id() -> None:
    told = frame(BeatObject(channel="ar", cursor=None, now=HALF_PAST_FOUR))
    assert told.stream == b"event: beat\ndata: " + parsed(told.socket)[0].data + b"\n\n"
