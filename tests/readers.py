"""Readers for tests: one that does what the contract tells readers to do, and two that speak on the wire by hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVarTuple, cast
from urllib.parse import urlencode

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from tests.patience import AT_LEISURE, NO_BEATS, WITHIN
from ticker.app import Node
from ticker.serving.door import Door
from ticker.serving.entrance import Entrance
from ticker.settings import Settings, read_channels

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA

Object = dict[str, Any]
Given = TypeVarTuple("Given")


class Gap(Exception):
    """A frame came that doesn't follow what the reader holds."""


class Fold:
    """One channel as a reader holds it."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.max_lines = 0
        self.ahead = timedelta()  # the node's clock before ours
        self._lines: dict[str, Object] = {}

    def take(self, frame: Object) -> None:
        """Raises Gap where a new board must be had."""
        match frame["type"]:
            case "board":
                self._lines = {line["id"]: line for line in frame["lines"]}
                assert len(self._lines) == len(frame["lines"]), "a line stands twice on a board"
                self.cursor, self.max_lines = frame["cursor"], frame["max_lines"]
                self.ahead = datetime.fromisoformat(frame["now"]) - datetime.now(UTC)
            case "line" if frame["cursor"] == self.cursor:
                pass
            case "line" if frame["prev"] == self.cursor:
                self._lines[frame["line"]["id"]] = frame["line"]
                self.cursor = frame["cursor"]
            case "beat" if frame["cursor"] == self.cursor:
                pass
            case _:
                raise Gap(f"{frame} doesn't follow {self.cursor}")

    @property
    def lines(self) -> list[Object]:
        """What it shows now: pinned first, then newest; tombstones in their places."""
        now = datetime.now(UTC) + self.ahead
        alive = [x for x in self._lines.values() if not x["expires"] or datetime.fromisoformat(x["expires"]) > now]
        shown, usable = [], 0
        for line in sorted(alive, key=lambda line: (line["pinned"], numbers(line["id"])), reverse=True):
            usable += line["status"] == "usable"
            if line["status"] != "usable" or usable <= self.max_lines:
                shown.append(line)
        return shown


def numbers(cursor: str) -> tuple[int, int]:
    ms, _, n = cursor.partition("-")
    return int(ms), int(n)


class Follower:
    """A WebSocket reader for as long as it takes: comes back with its cursors, heals its gaps, stops when told to."""

    def __init__(self, url: str, *channels: str) -> None:
        self.url = url.replace("http", "ws", 1)
        self.folds = {slug: Fold() for slug in channels}
        self.frames: list[Object] = []
        self.closed_with: list[int] = []
        self.refused: list[int] = []  # with which status
        self.connections = 0
        self.gaps = 0
        self._socket: ClientConnection | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        await self.until(lambda: all(any(f["channel"] == slug for f in self.frames) for slug in self.folds))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def lines(self, channel: str) -> list[Object]:
        return self.folds[channel].lines

    def texts(self, channel: str) -> list[str]:
        """The words of each line event that came, in order of arrival."""
        return [f["line"].get("text") for f in self.frames if f["type"] == "line" and f["channel"] == channel]

    def cut(self) -> None:
        """What a phone in a tunnel does: the connection is gone, without goodbye."""
        assert self._socket
        self._socket.transport.abort()

    async def until(self, holds: Callable[[*Given], object], *given: *Given, within: float = WITHIN) -> None:
        """Wait for a condition of what is given, looked at after each frame."""
        deadline = asyncio.get_running_loop().time() + within
        while not holds(*given):
            self._changed.clear()
            left = deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                raise AssertionError(f"it did not come; closed with {self.closed_with}, {self.frames[-3:]}") from None
            if self._task.done():
                self._task.result()

    async def until_at(self, channel: str, cursor: str | None, within: float = WITHIN) -> None:
        await self.until(lambda: self.folds[channel].cursor == cursor, within=within)

    async def _follow(self) -> None:
        tries = 0
        while True:
            try:
                async with connect(self._address(), compression=None, proxy=None, max_size=None) as self._socket:
                    self.connections += 1
                    while True:
                        frame = json.loads(await self._socket.recv())
                        tries = 0
                        self.frames.append(frame)
                        self.folds[frame["channel"]].take(frame)
                        self._changed.set()
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                self.closed_with.append(code)
                self._changed.set()
                if code == 1008 or 4400 <= code <= 4499:
                    return
            except InvalidStatus as refused:
                self.refused.append(refused.response.status_code)
                if refused.response.status_code != 503:
                    raise
            except Gap:
                self.gaps += 1
                for fold in self.folds.values():
                    fold.cursor = None
            except (InvalidHandshake, OSError, TimeoutError, EOFError):
                pass
            tries += 1
            await asyncio.sleep(random.uniform(0, min(0.5, 0.02 * 2**tries)))

    def _address(self) -> str:
        held = [("cursor", f"{slug}:{fold.cursor}") for slug, fold in self.folds.items() if fold.cursor]
        return f"{self.url}/v1/live?{urlencode([*(('channel', slug) for slug in self.folds), *held])}"


async def until_all_at(followers: Iterable[Follower], channel: str, cursor: str | None) -> None:
    """Wait for the slowest: of nodes, too, each has its own moment."""
    for follower in followers:
        await follower.until_at(channel, cursor)


# Server-Sent Events


class Sent(NamedTuple):
    """One event of a stream, in the words of WHATWG HTML, 9.2."""

    event: str
    id: str | None
    data: Object


class Stream:
    """A Server-Sent Events reader."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.retry: int | None = None
        self._lines = response.aiter_lines()

    async def event(self, within: float = WITHIN) -> Sent:
        """The next event. Raises EOFError where the stream has ended."""
        async with asyncio.timeout(within):
            fields: dict[str, str] = {}
            async for line in self._lines:
                if line:
                    name, colon, value = line.partition(": ")
                    assert colon, f"{line!r} is no field"
                    assert name not in fields, f"{name} stands twice in one event"
                    fields[name] = value
                elif set(fields) == {"retry"}:
                    self.retry = int(fields.pop("retry"))
                else:
                    assert {"event", "data"} <= set(fields) <= {"event", "data", "id"}, fields
                    return Sent(fields["event"], fields.get("id"), json.loads(fields["data"]))
            raise EOFError


@contextlib.asynccontextmanager
async def open_stream(url: str, *channels: str, **headers: str) -> AsyncIterator[Stream]:
    query = urlencode([("channel", slug) for slug in channels])
    sent = {"Accept": "text/event-stream", **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with (
        httpx.AsyncClient(trust_env=False, verify=False) as client,
        client.stream("GET", f"{url}/v1/live?{query}", headers=sent) as response,
    ):
        yield Stream(response)


# WebSocket by hand


def client_frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True) -> bytes:
    """A frame as a client sends it (RFC 6455, 5.2), or as it must not."""
    size = len(payload)
    head = bytes(((0x80 if fin else 0) | opcode,))
    mark = 0x80 if masked else 0
    if size < 126:
        head += bytes((mark | size,))
    elif size < 65_536:
        head += bytes((mark | 126,)) + size.to_bytes(2, "big")
    else:
        head += bytes((mark | 127,)) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def close_code(payload: bytes) -> int:
    return int.from_bytes(payload[:2], "big")


class ServerFrames:
    """A strict parser of what a server may send: final, unmasked, no extension, the shortest length that fits."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterable[tuple[int, bytes]]:
        self._buffer += data
        start = 0
        frames = []
        while (frame := self._frame(start)) is not None:
            opcode, head, size = frame
            frames.append((opcode, bytes(self._buffer[start + head : start + head + size])))
            start += head + size
        del self._buffer[:start]
        return frames

    def _frame(self, at: int) -> tuple[int, int, int] | None:
        buffer = self._buffer
        if len(buffer) < at + 2:
            return None
        first, second = buffer[at], buffer[at + 1]
        assert first & 0xF0 == 0x80, f"fragmented, or with extension bits: {first:#x}"
        assert not second & 0x80, "a server's frame is masked"
        wide = {126: 2, 127: 8}.get(second, 0)
        head = 2 + wide
        if len(buffer) < at + head:
            return None
        size = int.from_bytes(buffer[at + 2 : at + head], "big") if wide else second
        assert not wide or size >= {2: 126, 8: 65_536}[wide], "a length that is longer than needed"
        return (first & 0x0F, head, size) if len(buffer) >= at + head + size else None


def handshake(query: str) -> bytes:
    return (
        f"GET /v1/live?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def narrow_socket(receive_buffer: int) -> socket.socket:
    """A socket that holds little at either end: with loopback's segments of 64 kB the kernel would take megabytes."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_000)
    return sock


class RawSocket:
    """A TCP connection after a WebSocket handshake. It reads only when asked to, and sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._parser = ServerFrames()
        self._frames: list[tuple[int, bytes]] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, port: int, query: str = "channel=en", *, early: bytes = b"", receive_buffer: int | None = None
    ) -> AsyncIterator[Self]:
        sock = narrow_socket(receive_buffer) if receive_buffer else socket.socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=receive_buffer or 65_536)
        try:
            writer.write(handshake(query) + early)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN)
            assert head.startswith(b"HTTP/1.1 101 "), head
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self, within: float = WITHIN) -> tuple[int, bytes]:
        """The next frame: opcode and payload. Raises EOFError where the connection has ended."""
        async with asyncio.timeout(within):
            while not self._frames:
                data = await self.reader.read(65_536)
                if not data:
                    raise EOFError
                self._frames.extend(self._parser.feed(data))
        return self._frames.pop(0)

    async def object(self, within: float = WITHIN) -> Object:
        opcode, payload = await self.frame(within)
        assert opcode == TEXT, (opcode, payload)
        said: Object = json.loads(payload)
        return said

    async def closed(self, within: float = WITHIN) -> int:
        """Its close code, once the server has closed the connection too."""
        code = 0
        try:
            while True:
                opcode, payload = await self.frame(within)
                if opcode == CLOSE:
                    code = close_code(payload)
        except (EOFError, ConnectionError):
            return code


# A node in the test's own process

ADMIN_KEY = "an-admin-key-for-tests-of-at-least-32-characters"
THREE_CHANNELS = "[channels.en]\n[channels.ar]\nlanguage = 'ar'\n[channels.es]\nlanguage = 'es'\n"


def node_in(folder: Path, config: str = THREE_CHANNELS) -> Node:
    """A node whose file is in the folder; not running yet."""
    declared = folder / "ticker.toml"
    declared.write_text(config, "utf-8")
    return Node(
        Settings(
            channels=read_channels(declared),
            newswire=f"sqlite:///{folder / 'ticker.db'}",
            public_url="http://127.0.0.1",
            admin_key=ADMIN_KEY,
        )
    )


class NodeHere:
    """A node under uvicorn in this event loop, so that its hub can be seen."""

    def __init__(self, node: Node, entrance: Entrance, port: int) -> None:
        self.node = node
        self.entrance = entrance
        self.relay = node.relay
        self.hub = node.relay.hub
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    async def readers(self, number: int) -> None:
        """Wait until there are so many."""
        async with asyncio.timeout(WITHIN):
            while len(self.hub) != number:
                await asyncio.sleep(0.005)

    async def publish(self, channel: str, text: str, **fields: Any) -> Object:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, verify=False) as client:
            answer = await client.post(
                f"/v1/channels/{channel}/lines",
                json={"text": text, "confirm": ["script"], **fields},
                headers={"Authorization": f"Bearer {ADMIN_KEY}"},
            )
        assert answer.status_code == 201, answer.text
        published: Object = answer.json()
        return published


@contextlib.contextmanager
def without_beats() -> Iterator[None]:
    """In this process none comes between two frames of which a test says what they are; and all may take long."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (AT_LEISURE | NO_BEATS).items():
            patch.setattr(name, value)
        yield


@contextlib.asynccontextmanager
async def serving_here(folder: Path, *, config: str = THREE_CHANNELS) -> AsyncIterator[NodeHere]:
    with without_beats():
        async with _serving_here(folder, config) as here:
            yield here


@contextlib.asynccontextmanager
async def _serving_here(folder: Path, config: str) -> AsyncIterator[NodeHere]:
    node = node_in(folder, config)
    listener = socket.create_server(("127.0.0.1", 0))
    entrance = Entrance(node.live)
    server = uvicorn.Server(
        uvicorn.Config(
            node.app,
            http=cast("Any", partial(Door, entrance)),  # a factory of protocols: uvicorn names their class
            ws="none",
            lifespan="on",
            log_config=None,
            timeout_graceful_shutdown=int(WITHIN),
        )
    )
    serving = asyncio.create_task(server.serve([listener]))
    async with asyncio.timeout(WITHIN):
        while not server.started:
            if serving.done():
                serving.result()
            await asyncio.sleep(0.005)
        await node.relay.until_ready()
    try:
        yield NodeHere(node, entrance, listener.getsockname()[1])
    finally:
        await node.relay.hub.drain(0)
        server.should_exit = True
        await serving
