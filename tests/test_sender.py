"""The same bytes to many sockets: by io_uring and by send(2), on real sockets."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import RunningNode
from tests.patience import WITHIN
from tests.readers import Follower
from tests.senders import SENDERS
from ticker.fanout.sender import AT_ONCE, Sender

FORBID = """
import ctypes, logging, struct, sys
# seccomp(2): of all system calls one is answered with EPERM, as by the profile that a container runs under.
load, equal, refuse, allow = (0x20, 0, 0, 0), (0x15, 0, 1, int(sys.argv[1])), (6, 0, 0, 0x50001), (6, 0, 0, 0x7FFF0000)
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in (load, equal, refuse, allow)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, struct.pack("HxxxxxxQ", 4, ctypes.addressof(program)), 0, 0) == 0, ctypes.get_errno()
logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stdout)
from ticker.fanout.sender import open_sender
print(type(open_sender()).__name__)
"""


class Wires:
    """Pairs of sockets, and what a sender takes for the near ends."""

    def __init__(self, sender: Sender, count: int) -> None:
        pairs = [socket.socketpair() for _ in range(count)]
        self._sender = sender
        self.near = [near for near, _ in pairs]
        self.far = [far for _, far in pairs]
        for each in (*self.near, *self.far):
            each.setblocking(False)
        self.handles = [sender.handle(near) for near in self.near]

    def send(self, data: bytes) -> list[int]:
        return self._sender.send(self.handles, data)

    def received(self) -> list[bytes]:
        return [drained(far) for far in self.far]

    def close(self) -> None:
        for handle in self.handles:
            self._sender.release(handle)
        for each in (*self.near, *self.far):
            each.close()


def drained(sock: socket.socket) -> bytes:
    told = b""
    with contextlib.suppress(BlockingIOError):
        while data := sock.recv(1_048_576):
            told += data
    return told


@pytest.fixture(params=SENDERS)
def sender(request: pytest.FixtureRequest) -> Sender:
    made: Sender = request.param()
    return made


@pytest.fixture
def wires(sender: Sender) -> Iterator[Callable[[int], Wires]]:
    made: list[Wires] = []

    def wires(count: int) -> Wires:
        made.append(Wires(sender, count))
        return made[-1]

    yield wires
    for each in made:
        each.close()


@pytest.mark.parametrize("count", [1, 7, 90])
def test_each_socket_gets_all_of_it_in_order(wires: Callable[[int], Wires], count: int) -> None:
    to = wires(count)
    told = b""
    for size in (1, 482, 3, 2_000, 100, 1, 900):  # more than there are slots, by a count that doesn't divide them
        data = os.urandom(size)
        assert to.send(data) == [size] * count
        told += data
    assert to.received() == [told] * count


def test_a_whole_slice(wires: Callable[[int], Wires], sender: Sender) -> None:
    to = wires(2)
    turns = AT_ONCE // 2
    for _ in range(3):
        assert sender.send(to.handles * turns, b"ticker") == [6] * AT_ONCE
        assert to.received() == [b"ticker" * turns] * 2


def test_what_a_full_socket_took_is_told_and_the_others_get_all(wires: Callable[[int], Wires]) -> None:
    to = wires(5)
    to.near[2].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    data = os.urandom(60_000)
    sent = to.send(data)
    assert sent[:2] + sent[3:] == [60_000] * 4
    assert 0 < sent[2] < 60_000
    again = to.send(b"more")
    assert again[2] == 0
    assert [told == data + b"more" for told in to.received()] == [True, True, False, True, True]
    assert to.send(b"and on") == [6] * 5


def test_more_than_any_socket_takes(wires: Callable[[int], Wires]) -> None:
    """A board may be larger than anything that was sent before."""
    to = wires(3)
    data = os.urandom(3_000_000)
    sent = to.send(data)
    assert all(0 < count < 3_000_000 for count in sent)
    assert to.received() == [data[:count] for count in sent]
    assert to.send(b"small") == [5] * 3
    assert to.received() == [b"small"] * 3


def test_a_broken_socket_takes_nothing_and_stops_nobody(wires: Callable[[int], Wires]) -> None:
    to = wires(4)
    to.far[1].close()
    assert to.send(b"ticker") == [6, 0, 6, 6]
    assert [drained(to.far[index]) for index in (0, 2, 3)] == [b"ticker"] * 3


def test_nobody_is_no_error(sender: Sender) -> None:
    assert sender.send([], b"ticker") == []


@pytest.mark.parametrize("number", [425, 426], ids=["io_uring_setup", "io_uring_enter"])
def test_where_a_container_forbids_io_uring_lines_go_out_by_send(number: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FORBID, str(number)], capture_output=True, text=True, check=False, timeout=WITHIN
    )
    log, kind = ran.stdout.splitlines()
    assert log.startswith("Lines go out by send(2), there is no io_uring: ")
    assert kind == "Calls", ran.stderr


async def test_an_operator_can_have_it_off(start_node: Callable[..., RunningNode]) -> None:
    node = start_node("--no-io-uring")
    async with Follower(node.url, "en") as reader:
        node.publish("en", "By the old way")
        await reader.until(lambda: reader.texts("en") == ["By the old way"])
    assert "Lines go out by send(2), as asked" in node.log
