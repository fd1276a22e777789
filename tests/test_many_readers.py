"""Two thousand readers of one node, all of them heard out: every line, once, in order."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.patience import WITHIN
from tests.readers import TEXT, ServerFrames, handshake

READERS = 2_000
LINES = 50
AT_ONCE = 100  # handshakes under way; a page view is no storm


class Listener(asyncio.Protocol):
    """A reader that costs little: it checks each frame and notes which line came when."""

    def __init__(self, welcomed: asyncio.Semaphore, ended: list[str]) -> None:
        self.objects: list[bytes] = []
        self.times: list[float] = []
        self._head = bytearray()
        self._frames: ServerFrames | None = None
        self._welcomed = welcomed
        self._ended = ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(handshake("channel=en"))

    def data_received(self, data: bytes) -> None:
        if self._frames is None:
            self._head += data
            head, end, rest = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            data = bytes(rest)
            assert head.startswith(b"HTTP/1.1 101 "), head
            self._frames = ServerFrames()
        for opcode, payload in self._frames.feed(data):
            assert opcode == TEXT, (opcode, payload)
            if payload.startswith(b'{"type":"beat"'):
                continue
            if not self.objects:
                self._welcomed.release()
            self.objects.append(payload)
            self.times.append(time.perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.append(f"{exc}")


@pytest.fixture
async def listeners() -> AsyncIterator[list[Listener]]:
    """Every reader disconnects when the test is over."""
    listeners: list[Listener] = []
    yield listeners
    for listener in listeners:
        listener.transport.abort()
    await asyncio.sleep(0)  # in which the sockets are closed


@pytest.fixture
def many_files() -> Iterator[None]:
    """A connection is a file here as well."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = READERS + 500
    if soft < need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(need, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory_of(process: int) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.usefixtures("many_files")
async def test_two_thousand_readers_get_every_line_once_and_in_order(node: Any, listeners: list[Listener]) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(node.publish, "en", "The board that they find")
    before = memory_of(node.pid)
    welcomed = asyncio.Semaphore(0)
    ended: list[str] = []
    started = time.perf_counter()
    for number in range(READERS):
        _, listener = await loop.create_connection(lambda: Listener(welcomed, ended), "127.0.0.1", node.port)
        listeners.append(listener)
        if number >= AT_ONCE:
            await asyncio.wait_for(welcomed.acquire(), WITHIN)
    for _ in range(AT_ONCE):
        await asyncio.wait_for(welcomed.acquire(), WITHIN)
    connected = time.perf_counter() - started
    memory = (memory_of(node.pid) - before) / READERS

    published = []
    sent_at = []
    for number in range(LINES):
        sent_at.append(time.perf_counter())
        published.append(await asyncio.to_thread(node.publish, "en", f"Line {number} of the run"))
    async with asyncio.timeout(WITHIN):
        while any(len(listener.objects) < LINES + 1 for listener in listeners):
            await asyncio.sleep(0.01)

    assert ended == []
    # All got the same bytes, so it is enough to read those of one.
    assert len({tuple(listener.objects[1:]) for listener in listeners}) == 1
    told = [json.loads(payload) for payload in listeners[0].objects[1:]]
    assert [frame["type"] for frame in told] == ["line"] * LINES
    assert [frame["line"] for frame in told] == published
    board = json.loads(listeners[0].objects[0])
    assert [frame["prev"] for frame in told] == [board["cursor"], *(line["id"] for line in published[:-1])]
    assert all(json.loads(listener.objects[0])["cursor"] == board["cursor"] for listener in listeners)

    last = sorted(max(x.times[n + 1] for x in listeners) - sent_at[n] for n in range(LINES))
    print(
        f"\n{READERS} readers in {connected:.1f} s ({connected / READERS * 1e3:.2f} ms each, both ends), "
        f"{memory / 1e3:.1f} kB of the node's memory each; publish to last reader: "
        f"{last[LINES // 2] * 1e3:.0f} ms (median), {last[-1] * 1e3:.0f} ms (worst)"
    )
