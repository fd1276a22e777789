"""The hub and its frames, without a server: who gets which bytes, when, and who is let go."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from websockets.frames import Close, Opcode
from websockets.frames import Frame as SocketFrame
from websockets.protocol import OPEN, Protocol, Side

from ticker.fanout import hub as hub_module
from ticker.fanout.frames import BeatObject, Encoding, Frame, close_frame, frame, socket_frame
from ticker.fanout.hub import BEAT_SLICES, BUFFER_MAX, CLOSE_AT_ONCE, SLICE, STALLED_MAX, TRY_ELSEWHERE, Hub

HALF_PAST_FOUR = datetime(2026, 5, 4, 16, 30, tzinfo=UTC)
GREETINGS = {slug: Frame(f"{slug} board".encode(), b"", b"") for slug in ("en", "ar")}


@dataclass(eq=False)
class MemoryReader:
    """A reader whose connection is a list. What is in `waiting` has been written and not yet taken."""

    hub: Hub
    channels: tuple[str, ...] = ("en",)
    encoding: Encoding = "text"
    room: int = 100_000  # bytes until it is full
    stalled_at: float | None = None
    waiting: list[bytes] = field(default_factory=list)
    goodbyes: list[tuple[float, int]] = field(default_factory=list)  # when, and with which code
    aborted: bool = False
    on_write: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        """It is in the hub from the first, and has read its greeting."""
        room, self.room = self.room, 100_000
        self.hub.join(self, [b"hello"])
        self.waiting.clear()
        self.room = room

    def write(self, data: bytes) -> None:
        self.waiting.append(data)
        self.on_write()
        if sum(map(len, self.waiting)) > self.room:
            self.hub.stalled(self)

    def take(self) -> list[bytes]:
        """What a browser does that reads on: everything that waits."""
        taken, self.waiting = self.waiting, []
        self.hub.drained(self)
        return taken

    def buffered(self) -> int:
        return sum(map(len, self.waiting))

    def close(self, code: int, reason: str) -> None:
        self.goodbyes.append((asyncio.get_running_loop().time(), code))

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def hub() -> Hub:
    return Hub(GREETINGS, lambda slug: GREETINGS[slug])


def numbered(number: int) -> Frame:
    return Frame(f"text {number};".encode(), f"socket {number};".encode(), f"stream {number};".encode())


async def turns(number: int = 20) -> None:
    """Turns of the loop: every pass over a small audience is through after them."""
    for _ in range(number):
        await asyncio.sleep(0)


async def send(hub: Hub, number: int, channel: str = "en") -> None:
    hub.broadcast(channel, numbered(number))
    await turns()


async def test_every_reader_gets_every_frame_in_order_in_its_own_encoding(hub: Hub) -> None:
    encodings: tuple[Encoding, ...] = ("text", "socket", "stream")
    readers = [MemoryReader(hub, encoding=encoding) for encoding in encodings * 3]
    for number in range(20):
        await send(hub, number)
    for reader in readers:
        assert reader.waiting == [f"{reader.encoding} {number};".encode() for number in range(20)]


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
    assert (english.waiting, arabic.waiting, both.waiting) == ([b"text 1;"], [b"text 2;"], [b"text 1;", b"text 2;"])
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
    readers[3].on_write = lambda: [hub.leave(reader) for reader in readers[2:6]]
    await send(hub, 1)
    stayed = readers[:2] + readers[6:]
    assert [reader.waiting for reader in stayed] == [[b"text 1;"]] * 5
    await send(hub, 2)
    assert [reader.waiting[1:] for reader in readers[2:6]] == [[]] * 4
    assert [reader.waiting[1:] for reader in stayed] == [[b"text 2;"]] * 5


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
    frames = [f"text {number};".encode() for number in range(6)]
    assert late.waiting == frames[3:]
    assert all(reader.waiting == frames for reader in readers)


@pytest.mark.parametrize("after", range(8))
async def test_who_stalls_and_drains_between_two_slices_has_one_chain_too(hub: Hub, after: int) -> None:
    readers = [MemoryReader(hub) for _ in range(2 * SLICE + 100)]
    hub.broadcast("en", numbered(0))
    await turns(after)
    hub.broadcast("en", numbered(1))
    for reader in readers:
        hub.stalled(reader)
        reader.take()
    hub.broadcast("en", numbered(2))
    await turns()
    for reader in readers:
        chain = b"".join(reader.waiting)
        # After its last board it has what followed, once: the board of that moment held 0 and 1.
        assert chain.rpartition(b"en board")[2] == b"text 2;"


async def test_a_beat_does_not_overtake_a_line(hub: Hub) -> None:
    reader = MemoryReader(hub, ("en", "ar"))
    beats = Frame(b"beat;", b"beat;", b"beat;")
    hub.broadcast("en", numbered(1))
    for index in range(BEAT_SLICES):
        hub.beat(index, lambda slug: beats)
    assert reader.waiting == [b"beat;"]  # of ar alone
    await turns()
    for index in range(BEAT_SLICES):
        hub.beat(index, lambda slug: beats)
    assert reader.waiting == [b"beat;", b"text 1;", b"beat;", b"beat;"]


# Slow readers


async def test_a_full_reader_is_taken_out_and_the_others_miss_nothing(hub: Hub) -> None:
    slow, quick = MemoryReader(hub, room=30), MemoryReader(hub)
    for number in range(100):
        await send(hub, number)
    assert sum(map(len, slow.waiting)) <= 30 + len(b"text 100;")  # one frame over, whatever comes after
    assert slow.stalled_at is not None
    assert len(quick.waiting) == 100
    assert (len(hub), hub.readers()["en"]) == (2, 2)


async def test_a_drained_reader_gets_the_boards_and_then_what_follows(hub: Hub) -> None:
    slow = MemoryReader(hub, ("en", "ar"), room=5)
    await send(hub, 1)
    await send(hub, 2, "ar")
    slow.room = 1_000
    assert slow.take() == [b"text 1;"]
    assert slow.stalled_at is None
    await send(hub, 3, "ar")
    assert slow.take() == [b"en board", b"ar board", b"text 3;"]


async def test_a_reader_whom_the_boards_alone_fill_gets_them_once_and_then_what_follows(hub: Hub) -> None:
    slow = MemoryReader(hub, room=5)
    await send(hub, 1)
    assert slow.take() == [b"text 1;"]
    assert slow.stalled_at is not None  # the board has filled it again
    assert slow.take() == [b"en board"]
    assert slow.stalled_at is None
    slow.room = 1_000
    await send(hub, 2)
    assert slow.take() == [b"text 2;"]


async def test_news_while_the_boards_are_taken_follow_them(hub: Hub) -> None:
    slow = MemoryReader(hub, room=5)
    await send(hub, 1)
    slow.take()
    await send(hub, 2)
    assert slow.take() == [b"en board", b"text 2;"]
    assert slow.stalled_at is None


async def test_a_reader_whom_its_greeting_fills_is_out_once_as_much_waits_behind_it_as_may_wait(hub: Hub) -> None:
    slow = MemoryReader(hub)
    hub.leave(slow)
    slow.room = 5
    hub.join(slow, [b"a long greeting"])
    assert slow.stalled_at is not None
    large = Frame(b"x" * 1_000, b"", b"")
    for _ in range(200):
        hub.broadcast("en", large)
        await turns()
    assert BUFFER_MAX < slow.buffered() < BUFFER_MAX + 3_000
    slow.room = 1_000_000
    assert slow.take()[0] == b"a long greeting"
    assert slow.take() == [b"en board"]


async def test_a_reader_that_drains_without_having_been_full_is_told_nothing(hub: Hub) -> None:
    reader = MemoryReader(hub)
    hub.drained(reader)
    assert reader.waiting == []


async def test_a_reader_that_has_left_is_neither_stalled_nor_let_back_in(hub: Hub) -> None:
    reader = MemoryReader(hub)
    hub.stalled(reader)
    hub.leave(reader)
    hub.drained(reader)
    hub.stalled(reader)
    await send(hub, 1)
    assert (len(hub), reader.waiting) == (0, [])


async def test_one_that_stays_full_is_dropped_and_only_that_one(hub: Hub) -> None:
    gone, late, well = MemoryReader(hub, room=0), MemoryReader(hub, room=0), MemoryReader(hub)
    await send(hub, 1)
    assert gone.stalled_at is not None
    assert late.stalled_at is not None
    gone.stalled_at -= STALLED_MAX + 1  # as if it had been full for so long
    late.stalled_at -= STALLED_MAX - 5
    hub.drop_stalled()
    assert [reader.aborted for reader in (gone, late, well)] == [True, False, False]
    assert len(hub) == 2


async def test_of_too_many_full_readers_the_first_goes(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "STALLED_READERS_MAX", 3)
    readers = [MemoryReader(hub) for _ in range(5)]
    for reader in readers:
        hub.stalled(reader)
    assert [reader.aborted for reader in readers] == [True, True, False, False, False]
    assert len(hub) == 3


# Draining


async def test_draining_sends_everyone_elsewhere_in_slices(hub: Hub) -> None:
    readers = [MemoryReader(hub) for _ in range(2 * CLOSE_AT_ONCE + 50)]
    await hub.drain(0.3)
    times = sorted(at for reader in readers for at, _ in reader.goodbyes)
    pauses = [after - before for before, after in itertools.pairwise(times)]
    long = [number for number, pause in enumerate(pauses, 1) if pause > 0.09]
    assert len(hub) == 0
    assert hub.draining
    assert len(times) == len(readers)
    assert long == [CLOSE_AT_ONCE, 2 * CLOSE_AT_ONCE]


async def test_full_readers_are_sent_elsewhere_too_with_the_code_that_says_come_back(hub: Hub) -> None:
    stalled, well = MemoryReader(hub, room=0), MemoryReader(hub)
    await send(hub, 1)
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
    assert json.loads(told.text) == expected
    assert json.loads(parsed(told.socket)[0].data) == expected
    assert told.stream == b"event: beat\nid: 1763892000000-0\ndata: " + told.text + b"\n\n"


def test_an_object_without_a_cursor_has_no_event_id() -> None:
    told = frame(BeatObject(channel="ar", cursor=None, now=HALF_PAST_FOUR))
    assert told.stream == b"event: beat\ndata: " + told.text + b"\n\n"
