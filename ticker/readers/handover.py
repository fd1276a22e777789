"""uvicorn's HTTP protocol, and what becomes of a connection that asks for a WebSocket. Knows bytes; knows no lines.

The endpoint decides and accepts as on any ASGI server, then takes the connection over (an extension of ours):
the transport's protocol becomes a slim reader, and task, scope and request go. The handshake works on the
request as httptools has parsed it; uvicorn's own would write it out and parse it again, in Python.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from ticker.fanout.frames import Encoding, close_frame
from ticker.fanout.hub import BUFFER_MAX, REFUSED, Hub

HANDOVER = "ticker.handover"
ABORT = "ticker.abort"
INBOUND_MAX = 1_024  # bytes; a reader has nothing to say but close, ping and pong
UNACKNOWLEDGED_MAX = 40_000  # milliseconds; with a beat every 20 s a dead reader is gone within 60
UNSENT_MAX = 262_144  # bytes the kernel takes for a reader that doesn't read; by itself it takes megabytes
HEAD_MAX = 65_536  # bytes of a request's head; a news site's cookies come along, and they are large
HEAD_WITHIN = 10.0  # seconds for a request's head to come; who drips it costs no more than that

_ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3

log = logging.getLogger("ticker.readers")


class SocketReader(asyncio.Protocol):
    """A WebSocket after its handshake: a transport, and what it listens to."""

    __slots__ = ("_hub", "_parser", "channels", "encoding", "stalled_at", "transport", "write")

    encoding: Encoding
    write: Callable[[bytes], None]

    def __init__(self, hub: Hub, channels: tuple[str, ...]) -> None:
        self._hub = hub
        self._parser: Protocol | None = None
        self.encoding = "socket"
        self.channels = channels
        self.stalled_at: float | None = None

    def take(self, transport: asyncio.Transport) -> None:
        """Own the transport from here on."""
        self.transport = transport
        self.write = transport.write
        transport.set_write_buffer_limits(high=BUFFER_MAX)
        sock = transport.get_extra_info("socket")
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MAX)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_MAX)
        transport.set_protocol(self)

    def buffered(self) -> int:
        return self.transport.get_write_buffer_size()

    def close(self, code: int, reason: str) -> None:
        self.transport.write(close_frame(code, reason))
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = Protocol(Side.SERVER, state=OPEN, max_size=INBOUND_MAX)
        parser = self._parser
        parser.receive_data(data)
        for event in parser.events_received():
            if cast("Frame", event).opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT) and parser.state is OPEN:
                parser.fail(REFUSED, "Readers only listen here")
        for answer in parser.data_to_send():
            if answer:
                self.transport.write(answer)
        if parser.state is not OPEN:
            self._hub.leave(self)
            self.transport.close()

    def pause_writing(self) -> None:
        self._hub.stalled(self)
        self.transport.pause_reading()  # or its pings would fill the buffer with pongs

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()
        self._hub.drained(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hub.leave(self)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's own, with a limit to a request's head, in bytes and in time; a WebSocket goes on as `Handshake`."""

    _head_timer: asyncio.TimerHandle | None = None
    _head_size = 0
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_WITHIN, self._refuse_head, HTTPStatus.REQUEST_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_size += len(data)
        super().data_received(data)
        if self._in_head and self._head_size > HEAD_MAX:
            self._refuse_head(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        # How a stream's reader is dropped that takes nothing: closing would wait for it.
        cast("dict[str, Any]", self.scope)["extensions"] = {ABORT: {"abort": self.transport.abort}}
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_WITHIN, self._refuse_head, HTTPStatus.REQUEST_TIMEOUT)

    def on_headers_complete(self) -> None:
        self._end_head()
        if sum(len(name) + len(value) for name, value in self.headers) > HEAD_MAX:
            self._refuse_head(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            raise httptools.HttpParserCallbackError  # there is nothing more to parse
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        self.connections.discard(self)
        Handshake(self).begin(self)

    def _end_head(self) -> None:
        self._in_head, self._head_size = False, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_head(self, status: HTTPStatus) -> None:
        self._end_head()
        self.transport.write(_answer(status, [(b"connection", b"close")]))
        self.transport.close()


class Handshake(asyncio.Protocol):
    """One WebSocket handshake (RFC 6455, 4.2), between the request and the reader that takes it over."""

    def __init__(self, http: HttpProtocol) -> None:
        self._app = http.app
        self._loop = http.loop
        self._state = http.server_state
        self._transport = http.transport
        self._accept = b""
        self._head = b""
        self._early = b""
        self._answering: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._asked = False
        self._over = False
        self._left: asyncio.Future[None] | None = None

    def begin(self, http: HttpProtocol) -> None:
        headers = http.headers
        named = dict(headers)
        key = named.get(b"sec-websocket-key", b"")
        if named.get(b"sec-websocket-version") != b"13":
            return self._refuse(HTTPStatus.UPGRADE_REQUIRED, [(b"sec-websocket-version", b"13")])
        if http.scope["method"] != "GET" or http.scope["http_version"] != "1.1" or not _is_nonce(key):
            return self._refuse(HTTPStatus.BAD_REQUEST, [])
        digest = hashlib.sha1(key + _ACCEPT_SALT, usedforsecurity=False).digest()
        self._accept = base64.b64encode(digest)
        url = httptools.parse_url(http.url)
        path = url.path.decode("ascii")
        scope = {
            "type": "websocket",
            "asgi": {"version": http.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if http.scheme == "https" else "ws",
            "server": http.server,
            "client": http.client,
            "root_path": http.root_path,
            "path": http.root_path + (unquote(path) if "%" in path else path),
            "raw_path": url.path,
            "query_string": url.query or b"",
            "headers": headers,
            "subprotocols": [],
            "state": http.app_state.copy(),
            "extensions": {"websocket.http.response": {}, HANDOVER: {"take": self.hand_over}},
        }
        self._transport.set_protocol(self)
        self._state.connections.add(cast("Any", self))
        task = self._loop.create_task(self._run(scope))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)
        return None

    def hand_over(self, reader: SocketReader) -> bytes | None:
        """Give the accepted connection to a reader. What is to be written first; None where the client has left."""
        if self._over or not self._head or self._transport.is_closing():
            return None
        self._end()
        reader.take(self._transport)
        if self._early:
            self._loop.call_soon(reader.data_received, self._early)
        return self._head

    # ASGI

    async def _run(self, scope: dict[str, Any]) -> None:
        try:
            await self._app(cast("Any", scope), cast("Any", self.receive), cast("Any", self.send))
        except Exception:
            log.exception("Unforeseen, in a handshake")
        if not self._over:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, [])

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "websocket.connect"}
        if not self._over:
            self._left = self._loop.create_future()
            await self._left
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "websocket.accept":
                # Not written yet: it leaves with the reader's first frames, in one piece.
                headers = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
                headers += [(b"sec-websocket-accept", self._accept), *message.get("headers", [])]
                self._head = _head(HTTPStatus.SWITCHING_PROTOCOLS, headers)
            case "websocket.http.response.start":
                self._answering = (message["status"], list(message.get("headers", [])))
            case "websocket.http.response.body" if self._answering:
                status, headers = self._answering
                self._refuse(HTTPStatus(status), headers, message.get("body", b""))
            case "websocket.close" if not self._head:
                self._refuse(HTTPStatus.FORBIDDEN, [])
            case unknown:
                raise RuntimeError(f"{unknown} after accept: this server hands accepted connections over")

    def _refuse(self, status: HTTPStatus, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> None:
        self._end()
        if not self._transport.is_closing():
            self._transport.write(_answer(status, [*headers, (b"connection", b"close")], body))
            self._transport.close()

    def _end(self) -> None:
        self._over = True
        self._state.connections.discard(cast("Any", self))
        if self._left and not self._left.done():
            self._left.set_result(None)

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > INBOUND_MAX:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def shutdown(self) -> None:
        """uvicorn's word for all that it knows of when it stops."""
        self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, [])


def _is_nonce(key: bytes) -> bool:
    """16 bytes in base64 (RFC 6455, 4.1)."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _head(status: HTTPStatus, headers: list[tuple[bytes, bytes]]) -> bytes:
    lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode()), *(b"%s: %s" % header for header in headers)]
    return b"\r\n".join([*lines, b"\r\n"])


def _answer(status: HTTPStatus, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> bytes:
    if not any(name == b"content-length" for name, _ in headers):
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    return _head(status, headers) + body
