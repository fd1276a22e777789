"""A flood of requests: what it may cost, and who is not kept waiting by it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from tests.attack import watch
from tests.patience import WITHIN
from tests.readers import ADMIN_KEY, NodeHere, narrow_socket, serving_here
from ticker.http.head import EMPTY_LINES_MAX
from ticker.serving import connections, dozing, turns
from ticker.serving.door import Door
from ticker.serving.turns import TRUSTED_MAX, Turns

HEALTHY = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
KEY = f"Bearer {ADMIN_KEY}".encode()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[NodeHere]:
    async with serving_here(tmp_path) as here:
        yield here


async def said(here: NodeHere, data: bytes, until: bytes = b"\r\n\r\n") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    with contextlib.closing(writer):
        writer.write(data)
        async with asyncio.timeout(WITHIN):
            return await (reader.readuntil(until) if until else reader.read())


async def test_a_few_empty_lines_before_a_request_are_passed_over_and_a_flood_of_them_is_refused(
    here: NodeHere,
) -> None:
    assert (await said(here, EMPTY_LINES_MAX * b"\r\n" + HEALTHY)).startswith(b"HTTP/1.1 200 ")
    assert (await said(here, 100_000 * b"\r\n" + HEALTHY)).startswith(b"HTTP/1.1 400 ")


async def test_empty_lines_are_counted_for_each_request_anew(here: NodeHere) -> None:
    lines = (EMPTY_LINES_MAX - 1) * b"\r\n"
    last = HEALTHY.replace(b"Host", b"Connection: close\r\nHost")
    answers = await said(here, 3 * (lines + HEALTHY) + lines + last, until=b"")
    assert answers.count(b"HTTP/1.1 200 ") == 4


async def test_of_requests_sent_ahead_no_more_is_read_than_is_worked_on(here: NodeHere) -> None:
    """A client that sends without pause had all of it kept in memory: 100 MB a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    most = answered = 0
    with contextlib.closing(writer):
        writer.write(200_000 * HEALTHY)
        async with asyncio.timeout(WITHIN):
            while answered < 300:
                answered += (await reader.readuntil(b'"ok"}')).count(b"HTTP/1.1 200")
                (door,) = (each for turn in here.entrance.connections._by_turn.values() for each in turn)
                assert isinstance(door, Door)
                most = max(most, len(door._data))
        writer.transport.abort()  # it would send the rest first
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    assert 0 < most <= 2 * 262_144  # a read or two of the event loop


async def test_nor_is_more_read_while_many_wait_for_their_turns(here: NodeHere) -> None:
    """Each request of those sent ahead let some more be read: 2 MB each of 20 clients, and others had to go for it."""
    opened = [await asyncio.open_connection("127.0.0.1", here.port) for _ in range(3)]
    most = answered = 0
    for _, writer in opened:
        writer.write(100_000 * HEALTHY)
    async with asyncio.timeout(WITHIN):
        while answered < 100:
            for reader, _ in opened:
                answered += (await reader.readuntil(b'"ok"}')).count(b"HTTP/1.1 200")
            for door in [each for turn in here.entrance.connections._by_turn.values() for each in turn]:
                assert isinstance(door, Door)
                most = max(most, len(door._data))
    for _, writer in opened:
        writer.transport.abort()  # it would send the rest first
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    assert 0 < most <= 2 * 262_144  # a read or two of the event loop


async def test_a_request_cut_anywhere_goes_on_when_one_came_before_it(here: NodeHere) -> None:
    """Reading stops while a request is worked on, and goes on for the rest of the next."""
    head = b"POST /desk/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n"
    posted = head + b'{"key": "x"}'
    for second in (HEALTHY, posted):
        for at in (1, 20, len(second) - 1):
            reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
            with contextlib.closing(writer):
                writer.write(HEALTHY + second[:at])
                async with asyncio.timeout(WITHIN):
                    assert (await reader.readuntil(b'"ok"}')).startswith(b"HTTP/1.1 200 ")
                    writer.write(second[at:])
                    assert (await reader.readline()).startswith(b"HTTP/1.1 ")


async def test_who_has_changed_something_is_trusted_and_nobody_else(here: NodeHere) -> None:
    queue = here.entrance.turns
    lines = b"POST /v1/channels/en/lines HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
    lines += b"Content-Length: 5\r\n%s\r\nWords"
    for asked in (
        HEALTHY.replace(b"Host", b"Authorization: Bearer wrong\r\nHost"),
        lines % b"Authorization: Bearer wrong\r\n",
        b"OPTIONS /v1/channels/en/lines HTTP/1.1\r\nHost: x\r\nOrigin: https://x\r\nAuthorization: Bearer wrong\r\n"
        b"Access-Control-Request-Method: GET\r\n\r\n",
        b"DELETE /desk/session HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\n",
    ):
        await said(here, asked)
    assert not queue._trusted
    assert (await said(here, lines % b"Authorization: %s\r\n" % KEY)).startswith(b"HTTP/1.1 201 ")
    assert len(queue._trusted) == 1


async def test_of_too_many_bytes_that_wait_the_oldest_go(here: NodeHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "KEPT_MAX", 200_000)
    head = b"POST /v1/channels/en/lines HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n" % ADMIN_KEY.encode()
    head += b"Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
    opened = []
    for _ in range(6):
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        opened.append((reader, writer))
        writer.write(head + 50_000 * b" ")
    async with asyncio.timeout(WITHIN):
        for reader, writer in opened[:3]:
            await reader.read()  # to its end
            writer.close()
        assert 0 < here.entrance.connections._kept_bytes <= 200_000
        reader, writer = opened[-1]
        writer.write(10_000 * b" ")
        assert (await reader.readline()).startswith(b"HTTP/1.1 4")
    for _, writer in opened:
        writer.close()
    async with asyncio.timeout(WITHIN):
        while len(here.entrance.connections):
            await asyncio.sleep(0.005)
    assert here.entrance.connections._kept_bytes == 0


# The queue by itself


async def test_one_is_begun_a_turn_and_who_is_trusted_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "REST", 0.0)
    queue = Turns()
    begun: list[int | str] = []
    queue.trust(b"good")
    for number in range(3):
        queue.take(partial(begun.append, number), b"wrong")
    queue.take(lambda: begun.append("trusted"), b"good")
    assert begun == [0, "trusted"]
    for so_far in ([0, "trusted", 1], [0, "trusted", 1, 2]):
        await asyncio.sleep(0)
        assert begun == so_far


async def test_sign_ins_have_every_second_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "REST", 0.0)
    queue = Turns()
    begun: list[int | str] = []
    for number in range(6):
        queue.take(partial(begun.append, number), b"")
    queue.take(lambda: begun.append("sign-in"), b"", signs_in=True)
    for _ in range(3):
        await asyncio.sleep(0)
    assert "sign-in" in begun[:3]


async def test_while_some_wait_there_is_a_rest_after_what_took_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "REST", WITHIN)
    queue = Turns()
    begun: list[int | str] = []
    loop = asyncio.get_running_loop()

    def long() -> None:
        begun.append("long")
        until = loop.time() + 0.01
        while loop.time() < until:
            pass

    queue.take(long, b"")
    queue.take(lambda: begun.append("next"), b"")
    for _ in range(20):
        await asyncio.sleep(0)
    assert begun == ["long"]


def test_trust_is_bounded() -> None:
    queue = Turns()
    for number in range(2 * TRUSTED_MAX):
        queue.trust(b"%d" % number)
    assert len(queue._trusted) == TRUSTED_MAX


async def test_who_does_not_read_makes_room_however_much_is_asked_for(here: NodeHere) -> None:
    """The next of its requests looked like one that we are working on, so that newcomers were turned away."""
    here.entrance.connections.most = 3
    opened = []
    for _ in range(3):
        sock = narrow_socket(4_096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", here.port))
        await loop.sock_sendall(sock, 40 * b"GET /ticker.js HTTP/1.1\r\nHost: x\r\n\r\n")
        opened.append(sock)
    async with asyncio.timeout(WITHIN):
        while len(here.entrance.connections._by_turn["owing"]) < 3:
            await asyncio.sleep(0.005)
    assert (await said(here, HEALTHY)).startswith(b"HTTP/1.1 200 ")
    for sock in opened:
        sock.close()


async def test_a_refused_connection_that_lingers_makes_room_without_another_word(
    here: NodeHere, caplog: pytest.LogCaptureFixture
) -> None:
    """Its end was sent already, so a second refusal broke the newcomer: no deadline held for that one, and no limit."""
    here.entrance.connections.most = 1
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    with contextlib.closing(writer):
        writer.write(b"GET / HTTP/9.9\r\n\r\n")
        async with asyncio.timeout(WITHIN):
            refused = await reader.read()
            assert refused.count(b"HTTP/1.1 ") == 1
            assert (await said(here, HEALTHY)).startswith(b"HTTP/1.1 200 ")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


class Waiting:
    """A connection that only notes that it had to go."""

    deadline = math.inf

    def __init__(self, here: connections.Connections | None = None) -> None:
        self.is_gone = False
        self.size = 0
        self._here = here

    def expire(self) -> None:
        raise AssertionError("it was not late")

    def give_way(self) -> None:
        self.is_gone = True
        if self._here:
            self._here.leave(self, "idle")

    def weight(self) -> int:
        """A client may have read on since it was counted."""
        return self.size


@pytest.mark.parametrize(
    ("idle_for", "owing_for", "goes"),
    [
        (9.0, 9.0, "idle"),
        (0.0, 9.0, "owing"),
        (9.0, 0.0, "idle"),
        (0.0, 0.5, "owing"),
        (0.5, 0.0, "idle"),
        (None, 0.0, "owing"),
    ],
)
async def test_at_the_limit_the_one_goes_that_has_kept_us_waiting(
    idle_for: float | None, owing_for: float, goes: str
) -> None:
    """What has just come is not taken for idle: its request is on its way. Nor is what has just begun to send."""
    here = connections.Connections(2 if idle_for is not None else 1)
    idle, owing, newcomer = Waiting(), Waiting(), Waiting()
    here.enter(owing)
    here.turn(owing, "idle", "owing")
    here._by_turn["owing"][owing] -= owing_for
    if idle_for is not None:
        here.enter(idle)
        here._by_turn["idle"][idle] -= idle_for
    here.enter(newcomer)
    assert {"idle": idle.is_gone, "owing": owing.is_gone} == {"idle": goes == "idle", "owing": goes == "owing"}
    assert not newcomer.is_gone


async def test_small_ones_do_not_go_to_make_room_for_a_large_one() -> None:
    """Thousands went in one turn of the loop, each for some bytes: lines were 140 ms late."""
    here = connections.Connections(2_000)
    small = [Waiting(here) for _ in range(1_000)]
    for each in small:
        here.enter(each)
        each.size = connections.SMALL_MAX
        here.keep(each, "idle", each.size)
    large = [Waiting(here) for _ in range(3)]
    for each in large:
        here.enter(each)
        each.size = connections.KEPT_MAX // 2
        here.keep(each, "idle", each.size)
    assert [each.is_gone for each in large] == [True, False, False]
    assert not any(each.is_gone for each in small)
    large[1].size = connections.SMALL_MAX
    here.keep(large[1], "idle", large[1].size)
    assert here._kept_bytes == large[2].size


async def test_who_has_gone_waits_for_no_turn(here: NodeHere) -> None:
    """What they had sent was kept until their turn came: 80 MB of 4,000 who had been turned away."""
    queue, opened = here.entrance.turns, []
    queue._going = True  # somebody's request, whose turn takes very long
    for _ in range(6):
        _, writer = await asyncio.open_connection("127.0.0.1", here.port)
        linger = struct.pack("ii", 1, 0)  # closing resets it: a client that only ends its side may wait for its answer
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        opened.append(writer)
        writer.write(HEALTHY)
    async with asyncio.timeout(WITHIN):
        while len(queue._waiting) < 6:
            await asyncio.sleep(0.005)
        opened[0].transport.abort()
        while len(queue._waiting) > 5:
            await asyncio.sleep(0.005)
        here.entrance.connections.most = 3
        opened.append((await asyncio.open_connection("127.0.0.1", here.port))[1])
        while len(queue._waiting) > 4:
            await asyncio.sleep(0.005)
        for each in opened:
            each.transport.abort()
        while queue._waiting:
            await asyncio.sleep(0.005)
        for each in opened:
            with contextlib.suppress(OSError):
                await each.wait_closed()


async def test_who_waits_for_a_turn_when_the_node_stops_is_told_to_come_back(here: NodeHere) -> None:
    here.entrance.turns._going = True  # somebody's request, whose turn takes very long
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    with contextlib.closing(writer):
        writer.write(HEALTHY)
        async with asyncio.timeout(WITHIN):
            while not here.entrance.turns._waiting:
                await asyncio.sleep(0.005)
            (door,) = (each for turn in here.entrance.connections._by_turn.values() for each in turn)
            assert isinstance(door, Door)
            door.shutdown()
            head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in head


async def test_of_many_who_begin_to_send_in_the_same_moment_few_are_read_in_a_turn(
    here: NodeHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop reads up to 1,024 in one, and refusing each took 0.2 ms: lines were 255 ms late, and 754 ms."""
    loop, many = asyncio.get_running_loop(), 4 * dozing.NEW_MAX
    turn, read = 0, Counter[int]()

    def next_turn() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(next_turn)

    received = Door.data_received

    def counted(door: Door, data: bytes) -> None:
        read[turn] += 1
        received(door, data)

    monkeypatch.setattr(Door, "data_received", counted)
    clients = []
    for _ in range(many):
        client = socket.create_connection(("127.0.0.1", here.port))
        clients.append(client)
    async with asyncio.timeout(WITHIN):
        while len(here.entrance.dozing._asleep) < many - dozing.NEW_MAX:
            await asyncio.sleep(0.005)
        next_turn()
        for client in clients:  # the loop sees nothing of it until all have sent
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        while read.total() < many:
            await asyncio.sleep(0.005)
        assert max(read.values()) <= dozing.NEW_MAX + dozing.WAKE_AT_ONCE
        for client in clients:
            client.sendall(b"\r\n")
            client.setblocking(False)
        for client in clients:
            assert (await loop.sock_recv(client, 64)).startswith(b"HTTP/1.1 ")
            client.close()
        while len(here.entrance.connections):
            await asyncio.sleep(0.005)
        assert not here.entrance.dozing._asleep


async def test_who_leaves_without_a_word_is_missed(here: NodeHere) -> None:
    """Also if nothing was read from the connection any more."""
    clients = [socket.create_connection(("127.0.0.1", here.port)) for _ in range(dozing.NEW_MAX + 20)]
    async with asyncio.timeout(WITHIN):
        while len(here.entrance.dozing._asleep) < 20:
            await asyncio.sleep(0.005)
        for client in clients[:20]:
            client.close()
        while len(here.entrance.connections) > dozing.NEW_MAX:
            await asyncio.sleep(0.005)
        assert not here.entrance.dozing._asleep
    for client in clients:
        client.close()


async def test_nobody_goes_for_an_answer_that_has_been_read_meanwhile() -> None:
    here = connections.Connections(9)
    reading, deaf = Waiting(here), Waiting(here)
    for each in (reading, deaf):
        here.enter(each)
        each.size = connections.KEPT_MAX // 2
        here.keep(each, "idle", each.size)
    reading.size = 0
    newcomer = Waiting(here)
    here.enter(newcomer)
    for more, gone in ((0, []), (1, [deaf])):
        newcomer.size = connections.KEPT_MAX // 2 + more
        here.keep(newcomer, "idle", newcomer.size)
        assert [each for each in (reading, deaf, newcomer) if each.is_gone] == gone


@pytest.mark.parametrize("half_closed", [False, True])
@pytest.mark.parametrize("ending", ["", "Connection: close\r\n"])
async def test_the_kernel_forgets_an_answer_that_nobody_reads(
    here: NodeHere, ending: str, half_closed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would keep it for a closed connection until its own limit has passed, and count that nowhere."""
    monkeypatch.setattr(connections, "KEPT_MAX", 300_000)
    asked = f"GET /ticker.js HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\n{ending}\r\n".encode()
    deaf: list[socket.socket] = []
    try:
        for _ in range(40):
            client = socket.socket()
            deaf.append(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", here.port))
            await loop.sock_sendall(client, asked)
            await until_answered(client)
            if half_closed:
                with contextlib.suppress(OSError):  # it was cut
                    client.shutdown(socket.SHUT_WR)
        kept = [each.memory for each in watch.connections(here.port)]
        assert sum(kept) < 500_000, kept
    finally:
        for client in deaf:
            client.close()


async def until_answered(client: socket.socket) -> None:
    """Until the first bytes of an answer are there, unread; or the connection was closed."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(client, readable.set)
    try:
        await asyncio.wait_for(readable.wait(), WITHIN)
    finally:
        loop.remove_reader(client)
