"""The first protocol of every connection: who is let in as a reader, and who goes on to uvicorn. Knows no lines.

A reader of `/v1/live` is let in as soon as its request's head is there, in one write and without a task: what
ASGI, middleware and a second parser cost is two thirds of a handshake (docs/adr/0003). Whatever else comes
goes on as uvicorn's own HTTP protocol, with nothing lost.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from ticker.errors import Busy, TickerError
from ticker.problems import problem_of
from ticker.readers.handover import INBOUND_MAX, SocketReader, StreamReader
from ticker.readers.live import RETRY, STREAM_HEADERS, Live, Wanted, takes_stream
from ticker.security import ANSWERS

HEAD_MAX = 65_536  # bytes of a request's head; a news site's cookies come along, and they are large
HEAD_WITHIN = 10.0  # seconds for a request's head to come; who drips it costs no more than that
SWEEP = 1.0  # seconds between two looks at who is late
DOORS_MAX = 4_096  # connections whose head is awaited; beyond, the one goes that has taken longest
CHECKS_MAX = 1_024  # readers who wait until this node knows what they have seen; beyond, they come back later

_START = b"GET /v1/live"
_ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class Entrance:
    """What uvicorn calls for each new connection (its `http=` option): makes doors, and minds those who dawdle."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.checking = 0  # readers who wait until this node knows what they have seen
        self._doors: dict[Door, float] = {}  # and until when each has time, the first first
        self._sweeping = False

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> asyncio.Protocol:
        return Door(self, partial(HttpProtocol, config, server_state, app_state), server_state)

    def expect(self, door: Door) -> None:
        """A connection is there, and its head is to come."""
        loop = asyncio.get_running_loop()
        self._doors[door] = loop.time() + HEAD_WITHIN
        if len(self._doors) > DOORS_MAX:
            next(iter(self._doors)).refuse(HTTPStatus.REQUEST_TIMEOUT)
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(SWEEP, self._sweep)

    def passed(self, door: Door) -> None:
        """The door's head is there, or its client has left. Harmless where that is known."""
        self._doors.pop(door, None)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for door in [door for door, until in self._doors.items() if until <= now]:
            door.refuse(HTTPStatus.REQUEST_TIMEOUT)
        self._sweeping = bool(self._doors)
        if self._sweeping:
            loop.call_later(SWEEP, self._sweep)


class Door(asyncio.Protocol):
    """One connection until the head of its first request is there. `beyond` makes the protocol for all but readers."""

    __slots__ = ("_beyond", "_data", "_entrance", "_headers", "_state", "_transport", "_url")

    def __init__(self, entrance: Entrance, beyond: Callable[[], asyncio.Protocol], state: ServerState) -> None:
        self._entrance = entrance
        self._beyond = beyond
        self._state = state
        self._data = b""
        self._url = b""
        self._headers: dict[bytes, bytes] = {}

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._state.connections.add(cast("Any", self))
        self._entrance.expect(self)

    def data_received(self, data: bytes) -> None:
        seen = len(self._data)
        self._data = whole = self._data + data if seen else data
        if self._url:
            if len(whole) > HEAD_MAX + INBOUND_MAX:
                self._transport.abort()  # its answer is under way, and it has nothing more to say
        elif not whole.startswith(_START):
            if not _START.startswith(whole):
                self._pass_on()
        elif (end := whole.find(b"\r\n\r\n", max(0, seen - 3)) + 4) > 3:
            self._decide(whole[:end])
        elif len(whole) > HEAD_MAX:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    # httptools

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    # What becomes of it

    def _decide(self, head: bytes) -> None:
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            return self._pass_on()
        path, _, query = self._url.partition(b"?")
        named = self._headers
        if path != b"/v1/live" or b"content-length" in named or b"transfer-encoding" in named:
            return self._pass_on()
        upgrade = parser.should_upgrade() and named[b"upgrade"].lower() == b"websocket"
        if not upgrade and not takes_stream(named.get(b"accept", b"*/*").decode("latin-1")):
            return self._pass_on()
        if upgrade and (status := _flaw(parser, named)):
            return self.refuse(status)
        if not upgrade and b"sec-websocket-key" in named:  # a proxy has lost the upgrade: no stream was asked for
            return self.refuse(HTTPStatus.UPGRADE_REQUIRED)
        live = self._entrance.live
        try:
            wanted = live.admit(query.decode("latin-1"), named.get(b"last-event-id", b"").decode("latin-1"))
            if live.is_abreast(wanted):
                return self._let_in(wanted, upgrade, len(head))
            if self._entrance.checking >= CHECKS_MAX:
                raise Busy("Too many readers come at once. Come back in a moment.")
        except TickerError as error:
            return self._explain(error)
        self._entrance.passed(self)
        self._entrance.checking += 1
        task = asyncio.get_running_loop().create_task(self._let_in_later(wanted, upgrade, len(head)))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)
        return None

    async def _let_in_later(self, wanted: Wanted, upgrade: bool, size: int) -> None:
        """Once this node knows what the reader has seen."""
        try:
            await self._entrance.live.be_abreast(wanted)
            if not self._transport.is_closing():
                self._let_in(wanted, upgrade, size)
        except TickerError as error:
            self._explain(error)
        finally:
            self._entrance.checking -= 1

    def _let_in(self, wanted: Wanted, upgrade: bool, size: int) -> None:
        self._leave()
        live = self._entrance.live
        if upgrade:
            digest = hashlib.sha1(self._headers[b"sec-websocket-key"] + _ACCEPT_SALT, usedforsecurity=False).digest()
            reader = SocketReader(live.hub, wanted.channels, self._transport)
            live.welcome(reader, wanted, _SWITCHING % base64.b64encode(digest))
            if rest := self._data[size:]:
                reader.data_received(rest)
        else:
            live.welcome(StreamReader(live.hub, wanted.channels, self._transport), wanted, _STREAMING)

    def _pass_on(self) -> None:
        """Not for us: the request goes on, as it came, as one of uvicorn's own."""
        self._leave()
        http = self._beyond()
        http.connection_made(self._transport)
        self._transport.set_protocol(http)
        http.data_received(self._data)

    def refuse(self, status: HTTPStatus) -> None:
        """Say no, and hang up."""
        self._answer(status, _TO_WEBSOCKET if status == HTTPStatus.UPGRADE_REQUIRED else {})

    def shutdown(self) -> None:
        """uvicorn's word for all that it knows of when it stops."""
        self.refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def _explain(self, error: TickerError) -> None:
        response = problem_of(error)
        self._answer(HTTPStatus(response.status_code), {**response.headers, **ANSWERS}, bytes(response.body))

    def _answer(self, status: HTTPStatus, headers: Mapping[str, str], body: bytes = b"") -> None:
        self._leave()
        if not self._transport.is_closing():
            self._transport.write(_head(status, {"content-length": str(len(body)), **headers}) + body)
            self._transport.close()

    def _leave(self) -> None:
        self._entrance.passed(self)
        self._state.connections.discard(cast("Any", self))


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's own, with a limit to a request's head, in bytes and in time. It upgrades nothing."""

    _head_timer: asyncio.TimerHandle | None = None
    _head_size = 0
    _in_head = True
    _answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_WITHIN, self._refuse_head, HTTPStatus.REQUEST_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        if self._answering:  # uvicorn tells the newest of pipelined requests alone, and the others write to nobody
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_size += len(data)
        super().data_received(data)
        if self._in_head and self._head_size > HEAD_MAX:
            self._refuse_head(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_WITHIN, self._refuse_head, HTTPStatus.REQUEST_TIMEOUT)

    def on_headers_complete(self) -> None:
        self._end_head()
        if sum(len(name) + len(value) for name, value in self.headers) > HEAD_MAX:
            self._refuse_head(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            raise httptools.HttpParserCallbackError  # there is nothing more to parse
        super().on_headers_complete()

    def _end_head(self) -> None:
        self._in_head, self._head_size = False, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_head(self, status: HTTPStatus) -> None:
        self._end_head()
        self.transport.write(_head(status, {"content-length": "0"}))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Whoever asks for another protocol is answered in this one (RFC 9110, 7.8); the log needs no word of it."""


def _flaw(parser: httptools.HttpRequestParser, named: Mapping[bytes, bytes]) -> HTTPStatus | None:
    """What is wrong with a handshake (RFC 6455, 4.2.1)."""
    if named.get(b"sec-websocket-version") != b"13":
        return HTTPStatus.UPGRADE_REQUIRED
    if parser.get_http_version() != "1.1" or not _is_nonce(named.get(b"sec-websocket-key", b"")):
        return HTTPStatus.BAD_REQUEST
    return None


def _is_nonce(key: bytes) -> bool:
    """16 bytes in base64 (RFC 6455, 4.1)."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _head(status: HTTPStatus, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "connection: close", "\r\n"]).encode("latin-1")


# With 426: what to upgrade to, RFC 9110, 15.5.22; which version, RFC 6455, 4.4.
_TO_WEBSOCKET = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13"}

# Not in chunks: the response ends when the connection does (RFC 9112, 6.3), so its bytes are the same for all.
_STREAMING = _head(HTTPStatus.OK, {**STREAM_HEADERS, **ANSWERS}) + RETRY
_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
)
