"""What a node owes editors and readers when something breaks: kill -9, SIGTERM, cut lines, readers that don't read."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import resource
import socket
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.patience import NO_BEATS, WITHIN
from tests.readers import (
    PING,
    Fold,
    Follower,
    RawSocket,
    client_frame,
    handshake,
    narrow_socket,
    numbers,
    open_stream,
)
from ticker.fanout.hub import BUFFER_MAX

Object = dict[str, Any]

# A line as long as any may be: 268 families of 25 bytes, and a link.
LONG = {
    "text": "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466" * 268,
    "url": "https://example.org/" + "a" * 2_000,
}
LONG_BYTES = 9_000


class Newsroom:
    """Editors who publish without pause, each on a connection of its own, and note what was acknowledged."""

    def __init__(self, node: Any, editors: int) -> None:
        self.acknowledged: list[Object] = []
        self.refused: list[int] = []
        self._node = node
        self._stop = threading.Event()
        self._enough = threading.Condition()
        self._editors = [threading.Thread(target=self._publish, args=(name,)) for name in range(editors)]

    def __enter__(self) -> Newsroom:
        for editor in self._editors:
            editor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for editor in self._editors:
            editor.join(WITHIN)
            assert not editor.is_alive()

    def wait_for(self, lines: int) -> None:
        with self._enough:
            assert self._enough.wait_for(lambda: len(self.acknowledged) >= lines, WITHIN)

    def _publish(self, editor: int) -> None:
        headers = {"Authorization": f"Bearer {self._node.key}"}
        with httpx.Client(base_url=self._node.url, headers=headers, timeout=WITHIN, trust_env=False) as http:
            for number in itertools.count():
                if self._stop.is_set():
                    return
                try:
                    answer = http.post("/v1/channels/en/lines", json={"text": f"Editor {editor}, line {number}"})
                except httpx.HTTPError:
                    return  # the node is gone; whether it kept this one, nobody was told
                with self._enough:
                    if answer.status_code == 201:
                        self.acknowledged.append({"by": editor, **answer.json()})
                    else:
                        self.refused.append(answer.status_code)
                    self._enough.notify_all()


def history(node: Any, channel: str) -> list[Object]:
    """Every event that the node tells programs, oldest first."""
    events: list[Object] = []
    while True:
        after = f"&after={events[-1]['cursor']}" if events else ""
        page = node.get(f"/v1/channels/{channel}/events?limit=100{after}")
        events += page["events"]
        if not page["more"]:
            return events


def check_chain(events: list[Object]) -> None:
    assert [event["prev"] for event in events] == [None, *(event["cursor"] for event in events[:-1])]
    cursors = [numbers(event["cursor"]) for event in events]
    assert cursors == sorted(set(cursors))


def without_editor(line: Object) -> Object:
    return {name: value for name, value in line.items() if name != "by"}


@contextlib.asynccontextmanager
async def followers(node: Any, number: int) -> AsyncIterator[list[Follower]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Follower(node.url, "en", "ar")) for _ in range(number)]


async def eventually(holds: Callable[[], Any], within: float = WITHIN) -> None:
    """Wait for something that no frame announces."""
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.01)


# kill -9


@pytest.mark.parametrize("lines", [7, 40, 91])
async def test_every_acknowledged_line_outlives_kill_9_and_readers_agree(node: Any, lines: int) -> None:
    canceled = node.cancel("ar", node.publish("ar", "This line is taken back")["id"], "Told too early")
    async with followers(node, 5) as readers:
        with Newsroom(node, editors=4) as newsroom:
            await asyncio.to_thread(newsroom.wait_for, lines)
            node.kill()
        await asyncio.to_thread(node.start)
        later = node.publish("en", "After the restart")

        assert newsroom.refused == []
        events = history(node, "en")
        check_chain(events)
        kept = {event["line"]["id"]: event["line"] for event in events}
        assert len(kept) == len(events)
        acknowledged = [without_editor(line) for line in newsroom.acknowledged]
        assert len(acknowledged) >= lines
        assert [kept.get(line["id"]) for line in acknowledged] == acknowledged
        for editor in range(4):
            theirs = [numbers(line["id"]) for line in newsroom.acknowledged if line["by"] == editor]
            assert theirs == sorted(theirs)
        # No more than one line an editor was kept without their being told.
        assert len(events) - 1 - len(acknowledged) <= 4
        assert node.board("ar") == [canceled]

        async with Follower(node.url, "en", "ar") as fresh:
            await fresh.until_at("en", later["id"])
            assert fresh.lines("en") == node.board("en")
            for reader in readers:
                await reader.until_at("en", later["id"])
                assert reader.closed_with == [1006]
                assert reader.lines("en") == fresh.lines("en")
                assert reader.lines("ar") == fresh.lines("ar")
    assert " ERROR " not in node.log


async def test_a_line_that_is_told_and_then_lost_with_the_disk_leaves_every_reader(start_node: Any) -> None:
    """A restored back-up knows less than readers do: they show what it knows."""
    node = start_node()
    node.publish("en", "In the back-up")
    assert node.stop() == 0
    back_up = (node.folder / "ticker.db").read_bytes()
    node.start()
    async with followers(node, 2) as readers:
        lost = node.publish("en", "Not in the back-up")
        for reader in readers:
            await reader.until_at("en", lost["id"])
        node.kill()
        for file in node.folder.glob("ticker.db*"):
            file.unlink()
        (node.folder / "ticker.db").write_bytes(back_up)
        await asyncio.to_thread(node.start)
        for reader in readers:
            await reader.until(lambda reader: [x["text"] for x in reader.lines("en")] == ["In the back-up"], reader)
            assert reader.lines("en") == node.board("en")


# SIGTERM


async def test_sigterm_sends_readers_elsewhere_and_leaves_a_whole_file(node: Any) -> None:
    line = node.publish("en", "Said before the stop")
    async with (
        followers(node, 3) as readers,
        open_stream(node.url, "en") as stream,
        RawSocket.open(node.port) as raw,
    ):
        await stream.event()
        await raw.object()
        assert await asyncio.to_thread(node.stop) == 0
        assert await raw.closed() == 1012
        with pytest.raises(EOFError):
            await stream.event()
        for reader in readers:
            await reader.until(lambda reader: reader.closed_with == [1012], reader)
    assert " ERROR " not in node.log
    assert "Traceback" not in node.log
    with contextlib.closing(sqlite3.connect(node.folder / "ticker.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM event").fetchone() == (1,)
    await asyncio.to_thread(node.start)
    assert node.board("en") == [line]


@pytest.mark.parametrize("lines", [5, 30])
async def test_a_publish_under_way_at_sigterm_is_acknowledged_and_kept_or_neither(node: Any, lines: int) -> None:
    with Newsroom(node, editors=4) as newsroom:
        await asyncio.to_thread(newsroom.wait_for, lines)
        assert await asyncio.to_thread(node.stop) == 0
    await asyncio.to_thread(node.start)
    events = history(node, "en")
    check_chain(events)
    acknowledged = sorted(
        (without_editor(line) for line in newsroom.acknowledged), key=lambda line: numbers(line["id"])
    )
    assert [event["line"] for event in events] == acknowledged
    assert set(newsroom.refused) <= {503}
    assert " ERROR " not in node.log


async def test_readers_that_come_while_a_node_drains_are_told_when_to_come_back(start_node: Any) -> None:
    """With more than one slice of readers there is a while in which the node still answers."""
    node = start_node("--drain", str(4 * WITHIN))  # of which half is between the two slices
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(250):
            await stack.enter_async_context(RawSocket.open(node.port))
        stopping = asyncio.create_task(asyncio.to_thread(node.stop))
        await eventually(lambda: httpx.get(f"{node.url}/readyz").status_code == 503)
        assert httpx.get(f"{node.url}/readyz").json() == {"status": "draining"}
        assert node.publish("en", "Editors are served until the end")
        over_http = httpx.get(f"{node.url}/v1/live?channel=en")
        assert over_http.status_code == 503
        with pytest.raises(AssertionError, match="503 Service"):
            await stack.enter_async_context(RawSocket.open(node.port))
        assert int(over_http.headers["retry-after"]) > 0
        node.kill()  # all is seen
        await stopping


# Lines that are cut


async def test_a_reader_whose_connection_is_cut_comes_back_and_misses_nothing(node: Any) -> None:
    async with Follower(node.url, "en") as reader, Follower(node.url, "en") as steady:
        published = []
        for number in range(30):
            published.append(await asyncio.to_thread(node.publish, "en", f"Line {number}"))
            if number % 10 == 5:
                connections = reader.connections
                reader.cut()
                if number == 15:  # this time news comes before the reader is back
                    published.append(await asyncio.to_thread(node.publish, "en", "While one was in a tunnel"))
                await reader.until(lambda connections: reader.connections > connections, connections)
        await reader.until_at("en", published[-1]["id"])
        await steady.until_at("en", published[-1]["id"])
        assert reader.lines("en") == steady.lines("en") == node.board("en")
        assert steady.texts("en") == [line["text"] for line in published]
        assert (steady.connections, steady.gaps, reader.gaps) == (1, 0, 0)
        assert len(reader.texts("en")) == len(set(reader.texts("en")))


async def test_resets_of_all_kinds_trouble_nobody(node: Any) -> None:
    async with Follower(node.url, "en") as steady:
        for number in range(50):
            sock = socket.create_connection(("127.0.0.1", node.port))
            # At close, a reset instead of a goodbye
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            sock.sendall(handshake("channel=en")[: 40 + 4 * number])
            sock.close()
        for _ in range(50):
            async with RawSocket.open(node.port) as raw:
                raw.writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
                )
            await asyncio.to_thread(node.publish, "en", "All the same")
        await steady.until(lambda: len(steady.texts("en")) == 50)
        assert steady.connections == 1
    assert " ERROR " not in node.log
    assert "Traceback" not in node.log


# Readers that don't read


def memory_of(process: int) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


async def test_a_slow_reader_is_left_out_until_it_reads_again_and_the_others_miss_nothing(node: Any) -> None:
    async with Follower(node.url, "en") as quick, RawSocket.open(node.port, receive_buffer=4_096) as slow:
        published = [await asyncio.to_thread(node.publish, "en", **LONG) for _ in range(200)]
        await quick.until_at("en", published[-1]["id"])
        assert [f["cursor"] for f in quick.frames[1:]] == [line["id"] for line in published]
        assert quick.connections == 1

        fold, kinds = Fold(), []
        while fold.cursor != published[-1]["id"]:
            frame = await slow.object()
            kinds.append(frame["type"])
            fold.take(frame)  # no gap: what it missed is in a board
        assert kinds[0] == "board"
        assert "board" in kinds[1:]
        assert kinds.count("line") < 200
        assert fold.lines == node.board("en")
        after = await asyncio.to_thread(node.publish, "en", "It is one of the others again")
        while fold.cursor != after["id"]:
            fold.take(await slow.object())
        assert fold.lines == node.board("en")


async def test_readers_that_never_read_cost_a_bounded_memory(node: Any) -> None:
    readers = 30
    for _ in range(20):  # what the board itself costs is there before
        node.publish("en", **LONG)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(readers):
            await stack.enter_async_context(RawSocket.open(node.port, receive_buffer=4_096))
        before = memory_of(node.pid)
        for _ in range(200):
            await asyncio.to_thread(node.publish, "en", **LONG)
        grown = memory_of(node.pid) - before
    unbounded = readers * 200 * LONG_BYTES
    kept_lines = 200 * LONG_BYTES * 3
    assert kept_lines + readers * 2 * BUFFER_MAX < unbounded / 3, "this test can't tell"
    assert grown < unbounded / 3, f"{grown / 1e6:.1f} MB, of {unbounded / 1e6:.1f} MB that were for them"


async def test_a_reader_that_stalls_on_its_first_board_is_left_out_as_well(start_node: Any) -> None:
    """The greeting alone may fill the buffer: many channels, long boards."""
    slugs = [f"c{number}" for number in range(8)]
    node = start_node(config="".join(f"[channels.{slug}]\nmax_lines = 100\n" for slug in slugs))
    for slug in slugs:
        for _ in range(12):
            node.publish(slug, **LONG)
    query = "&".join(f"channel={slug}" for slug in slugs)
    async with RawSocket.open(node.port, query, receive_buffer=4_096) as slow:
        published = [await asyncio.to_thread(node.publish, "c0", **LONG) for _ in range(100)]
        fold, kinds = Fold(), []
        while fold.cursor != published[-1]["id"]:
            frame = await slow.object()
            if frame["channel"] == "c0":
                kinds.append(frame["type"])
                fold.take(frame)
        assert kinds.count("line") < 100, "every line was kept for a reader that took none"
        assert fold.lines == node.board("c0")


@pytest.mark.parametrize("transport", ["socket", "stream"])
async def test_a_board_that_is_larger_than_the_buffer_does_not_come_over_and_over(
    start_node: Any, transport: str
) -> None:
    """A reader that has stalled is let in again, though each board alone is more than `BUFFER_MAX`."""
    node = start_node(config="[channels.en]\nmax_lines = 100\n")
    for _ in range(30):
        node.publish("en", **LONG)
    async with contextlib.AsyncExitStack() as stack:
        if transport == "socket":
            raw = await stack.enter_async_context(RawSocket.open(node.port, receive_buffer=4_096))
            reader = raw.reader
        else:
            reader, _ = await stack.enter_async_context(stalled_stream(node.port))
        for _ in range(60):
            last = await asyncio.to_thread(node.publish, "en", **LONG)
        told = b""

        async def until(cursor: str) -> str:
            """Read on until a frame has this cursor; its type, and nothing of what came before."""
            nonlocal told
            async with asyncio.timeout(WITHIN):
                while not (
                    found := re.search(rb'\{"type":"(\w+)","channel":"en","cursor":"%s"' % cursor.encode(), told)
                ):
                    chunk = await reader.read(65_536)
                    assert chunk, "it was closed"
                    told = told[-100:] + chunk
            told = told[found.end() :]
            return found[1].decode()

        await until(last["id"])
        # It may have read the board before the node has noticed that it has; but not each time.
        kind = "board"
        async with asyncio.timeout(WITHIN):
            while kind == "board":
                kind = await until((await asyncio.to_thread(node.publish, "en", "Another line"))["id"])
        assert kind == "line"


async def test_a_reader_that_pings_and_never_reads_costs_a_bounded_memory(node: Any) -> None:
    pings = client_frame(PING, b"x" * 125) * 500
    before = memory_of(node.pid)
    with contextlib.closing(narrow_socket(4_096)) as sock:
        sock.connect(("127.0.0.1", node.port))
        sock.sendall(handshake("channel=en"))
        await eventually(lambda: sock.recv(1))
        sock.settimeout(1)
        sent = 0
        with contextlib.suppress(TimeoutError, ConnectionError):
            while sent < 40_000_000:
                sent += await asyncio.to_thread(sock.send, pings)
        grown = memory_of(node.pid) - before
    assert grown < 15_000_000, f"{grown / 1e6:.0f} MB for {sent / 1e6:.0f} MB of pings"


async def test_readers_that_stay_stalled_are_dropped_connection_and_all(start_node: Any) -> None:
    """On a node that has less patience than usual, and looks five times a second; nobody's pong is awaited."""
    looks = {"ticker.fanout.hub.BEAT_SLICES": 5 * 3_600}  # in the hour between two beats
    node = start_node(constants=NO_BEATS | looks | {"ticker.fanout.hub.STALLED_MAX": 0.3})
    async with (
        Follower(node.url, "en") as quick,
        RawSocket.open(node.port, receive_buffer=4_096) as over_socket,
        stalled_stream(node.port) as (_, over_sse),
    ):
        assert is_connected(node.port, over_socket.writer)
        assert is_connected(node.port, over_sse)
        for _ in range(100):
            await asyncio.to_thread(node.publish, "en", **LONG)
        # Gone without having read: no connection is left that waits for ever for its buffer to empty.
        await eventually(lambda: not is_connected(node.port, over_socket.writer))
        await eventually(lambda: not is_connected(node.port, over_sse))
        line = await asyncio.to_thread(node.publish, "en", "To the one that reads")
        await quick.until_at("en", line["id"])
        assert quick.connections == 1
    assert " ERROR " not in node.log
    assert "Traceback" not in node.log


@contextlib.asynccontextmanager
async def stalled_stream(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """An SSE reader that takes its first bytes and no more, until it is read."""
    sock = narrow_socket(4_096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4_096)
    try:
        writer.write(b"GET /v1/live?channel=en HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        yield reader, writer
    finally:
        writer.transport.abort()


def is_connected(port: int, client: asyncio.StreamWriter) -> bool:
    """Whether the node's side of a connection is established, as the kernel sees it."""
    ours = client.get_extra_info("sockname")[1]
    rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[1].endswith(f":{port:04X}") and row[2].endswith(f":{ours:04X}") and row[3] == "01" for row in rows)
