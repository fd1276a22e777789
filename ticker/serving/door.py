"""One connection: reads the head of each request and decides who gets it, a reader's protocol or uvicorn. No lines.

    waiting ──first byte──▶ head ──a reader's──▶ checking ──▶ handed over: a reader (readers/handover.py)
       ▲                     │                      (only if it has seen more than this node)
       │                     └──any other──▶ queued ──▶ exchange ──answered, and all of it was read──┐
       └───────────────────────────────────────────────────────────────────────────────────────────┘
    refused, answered before all of the request came, or the last one ──▶ ending ──▶ closed

Rule 1: there is one reading of a request's head (http/head.py), and one decision, for the first request of a
        connection and for every later one.
Rule 2: what follows a request that was not read to its end is never a request. It is thrown away.
Rule 3: each phase has a deadline that no byte puts off. A request has one for all of it: head, body, answer.
Rule 4: a reader is let in in one write, without a task: what ASGI, middleware and a second parser cost is two
        thirds of a handshake (docs/adr/0003).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import socket
from collections.abc import Mapping
from enum import Enum
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from ticker.errors import Busy, TickerError
from ticker.http.fields import accepts
from ticker.http.head import BadHead, Head, end_of_head, read_head
from ticker.problems import problem, problem_of
from ticker.readers.admission import Wanted
from ticker.readers.handover import INBOUND_MAX, UNACKNOWLEDGED_MAX, SocketReader, StreamReader
from ticker.readers.live import PATH, RETRY, STREAM, STREAM_HEADERS, Live
from ticker.security import ANSWERS
from ticker.serving.connections import Connections, Turn
from ticker.serving.exchange import Exchange
from ticker.serving.turns import Turns

HEAD_WITHIN = 10.0  # seconds for a request's head to come, from its first byte
REQUEST_WITHIN = 30.0  # seconds for all of a request, from its first byte until its answer has left us
KEEP_ALIVE = 20.0  # seconds a connection may be idle between two requests
EMPTY_LINES_MAX = 8  # before a request; some clients send one, and each costs a copy of what follows it
UNWRITTEN_MAX = 16_384  # bytes of an answer that wait here before its maker waits too
EXCHANGE_COST = 16_384  # bytes that a request takes beside its own, until it is answered
LINGER = 2.0  # seconds in which a client may take note of an answer that came before it had sent all
THROWN_AWAY_MAX = 1_048_576  # bytes it may still send meanwhile
CHECKS_MAX = 1_024  # readers who wait until this node knows what they have seen; beyond, they come back later
UNSENT_MAX = 32_768  # bytes of an answer that the kernel takes for a client that doesn't read; by itself, megabytes

_ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


SESSION = "/desk/session"  # to see it needs a good key, too
CHANGES = frozenset((b"POST", b"PATCH", b"PUT", b"DELETE"))  # under /v1/, these need a key


class Phase(Enum):
    WAITING = "nothing of a request is there"
    HEAD = "some of a head is there"
    CHECKING = "a reader waits until this node knows what it has seen"
    QUEUED = "a request's head is there, and its turn is to come"
    EXCHANGE = "uvicorn has the request; its body or its answer may be under way"
    ENDING = "the last answer is written, and what still comes is thrown away"


class Entrance:
    """What uvicorn calls for each new connection (its `http=` option). `keep_alive` is in seconds."""

    def __init__(self, live: Live, *, keep_alive: float = KEEP_ALIVE) -> None:
        self.live = live
        self.keep_alive = keep_alive
        self.connections = Connections(live.room.connections)
        self.turns = Turns()
        self.checking = 0  # readers who wait until this node knows what they have seen

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> asyncio.Protocol:
        return Door(self, config, server_state, app_state)

    @property
    def is_checking_enough(self) -> bool:
        return self.checking >= min(CHECKS_MAX, self.connections.most // 2)


class Door(asyncio.Protocol):
    """One connection, until it is a reader's or closed."""

    __slots__ = (
        "_answer_by",
        "_app_state",
        "_at_end",
        "_config",
        "_credential",
        "_data",
        "_empty_lines",
        "_entrance",
        "_exchange",
        "_kept",
        "_loop",
        "_phase",
        "_seen",
        "_state",
        "_stopping",
        "_thrown_away",
        "_transport",
        "_turn",
        "_used",
        "deadline",
    )

    def __init__(self, entrance: Entrance, config: Config, state: ServerState, app_state: dict[str, Any]) -> None:
        self._entrance = entrance
        self._config = config
        self._state = state
        self._app_state = app_state
        self._loop = asyncio.get_running_loop()
        self._phase = Phase.WAITING
        self._turn: Turn = "idle"
        self._data = b""  # of a request that is to come
        self._empty_lines = 0  # before it
        self._seen = 0  # bytes of it that hold no end of a head
        self._exchange: Exchange | None = None
        self._kept = 0  # bytes
        self._answer_by = 0.0
        self._credential = b""  # of a request that changes something
        self._used = False  # whether there has been a request
        self._at_end = False  # whether the client sends nothing more
        self._stopping = False
        self._thrown_away = 0
        self.deadline = self._loop.time() + HEAD_WITHIN

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._state.connections.add(cast("Any", self))
        self._entrance.connections.enter(self)

    def data_received(self, data: bytes) -> None:
        match self._phase:
            case Phase.WAITING | Phase.HEAD:
                self._data = self._data + data if self._data else data
                self._look()
            case Phase.EXCHANGE:
                self._more(data)
            case Phase.QUEUED:
                self._data += data
                self._keep(self._kept + len(data))
                self.pause_reading()  # the rest when its turn comes
            case Phase.CHECKING:
                self._data += data
                if len(self._data) > INBOUND_MAX:
                    self._transport.abort()  # its answer is under way, and it has nothing more to say
            case Phase.ENDING:
                self._thrown_away += len(data)
                if self._thrown_away > THROWN_AWAY_MAX:
                    self._transport.abort()

    def eof_received(self) -> bool:
        """The client sends nothing more. What it has sent whole is answered; then the connection ends."""
        self._at_end = True
        if self._phase is Phase.QUEUED:
            return True
        return self._phase is Phase.EXCHANGE and self._exchange is not None and self._exchange.conn.is_read

    def pause_writing(self) -> None:
        if self._exchange:
            self._exchange.pause_writing()
            self._set_turn("owing")
            self._keep(len(self._data) + EXCHANGE_COST)

    def resume_writing(self) -> None:
        if self._exchange:
            self._exchange.resume_writing()
            if self._phase is Phase.WAITING:
                self._set_turn("idle")
            elif self._phase is Phase.EXCHANGE and self._exchange.conn.is_read:
                self._set_turn("ours")

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._phase = Phase.ENDING
        if exchange := self._let_go():
            exchange.connection_lost(exc)

    # What uvicorn takes for a transport

    def write(self, data: bytes) -> None:
        if data and self._phase is Phase.EXCHANGE:
            self._transport.write(data)

    def close(self) -> None:
        """uvicorn's application has failed in the middle of an answer, or the answer was the last one."""
        if self._phase is Phase.EXCHANGE and self._exchange and not self._exchange.is_answered:
            self._transport.abort()  # what there is of it must not look whole

    def is_closing(self) -> bool:
        return self._phase is not Phase.EXCHANGE or self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    # One request after another

    def _look(self) -> None:
        """Whether a head is there, and what becomes of its request."""
        if self._phase is Phase.WAITING:
            while self._data.startswith(b"\r\n"):  # RFC 9112, 2.2
                self._data = self._data[2:]
                self._empty_lines += 1
                if self._empty_lines > EMPTY_LINES_MAX:
                    self.refuse(HTTPStatus.BAD_REQUEST, f"More than {EMPTY_LINES_MAX} empty lines before a request.")
                    return
            if self._data in (b"", b"\r"):
                return
            self._phase = Phase.HEAD
            self._empty_lines = 0
            begun = self._loop.time()
            self.deadline = begun + HEAD_WITHIN
            self._answer_by = begun + REQUEST_WITHIN
        data = self._data
        try:
            if not (end := end_of_head(data, self._seen)):
                self._seen = len(data)
                self._keep(len(data))
                return
            head = read_head(data[:end])
        except BadHead as bad:
            self.refuse(bad.status, bad.detail)
            return
        self._data, self._seen = data[end:], 0
        self._used = True
        if head.path != PATH or head.method != b"GET" or not self._is_readers(head):
            self._queue(head, len(data))

    def _queue(self, head: Head, size: int) -> None:
        """Give the request to uvicorn, when its turn comes. `size` is what is here of it, in bytes."""
        self._phase = Phase.QUEUED
        self.deadline = self._answer_by
        self._set_turn("owing")
        named = head.named
        credential = named.get(b"authorization") or named.get(b"cookie", b"")
        needs_one = head.method in CHANGES and head.path.startswith("/v1/")
        is_session = head.path == SESSION
        self._credential = credential if needs_one or (is_session and head.method == b"GET") else b""
        self._keep(size + EXCHANGE_COST)
        if self._phase is Phase.QUEUED:
            signs_in = is_session and head.length is not None and len(self._data) >= head.length
            self._entrance.turns.take(partial(self._begin, head), credential, signs_in=signs_in)

    def _begin(self, head: Head) -> None:
        if self._phase is not Phase.QUEUED or self._transport.is_closing():
            return
        self._phase = Phase.EXCHANGE
        exchange = self._exchange
        if exchange is None:
            exchange = self._exchange = Exchange(self, self._config, self._state, self._app_state)
            exchange.connection_made(cast("asyncio.Transport", self))
            self._transport.set_write_buffer_limits(high=UNWRITTEN_MAX)
            _bound(self._transport.get_extra_info("socket"))
        exchange.begin(head)
        data, self._data = self._data, b""
        if data or exchange.conn.is_read:
            self._more(data)
        if self._is_incomplete:
            if self._at_end:
                self._transport.abort()  # the rest won't come
            else:
                self.resume_reading()

    def _more(self, data: bytes) -> None:
        """Some of a request's body, and perhaps of what follows it."""
        exchange = self._exchange
        assert exchange
        if not exchange.conn.is_read:
            self._keep(self._kept + len(data))
            try:
                data = exchange.feed(data) if self._phase is Phase.EXCHANGE else b""
            except BadHead as bad:
                self.refuse(bad.status, bad.detail)
            if self._phase is not Phase.EXCHANGE:
                return
        if exchange.conn.is_read:
            if self._turn == "owing" and not exchange.flow.write_paused:  # or it doesn't read the answer before
                self._set_turn("ours")
            if data:
                self._data += data
                self.pause_reading()  # the next request waits until this one is answered

    def answered(self) -> None:
        """The request's answer is written. On to the next one, if there may be one."""
        exchange = self._exchange
        if self._phase is not Phase.EXCHANGE or exchange is None:
            return
        if self._credential and exchange.conn.is_granted:
            self._entrance.turns.trust(self._credential)
        if exchange.ends or self._at_end or self._stopping or not exchange.conn.is_read:
            self._end()
            return
        self._phase = Phase.WAITING
        self._set_turn("idle")
        self._keep(len(self._data))
        if self._phase is not Phase.WAITING:
            return
        self.deadline = self._loop.time() + self._entrance.keep_alive
        if self._data:
            self._loop.call_soon(self._go_on)
        else:
            self.resume_reading()

    def is_leaving(self) -> bool:
        """Whether this node is about to stop, so that an answer is the last one on this connection."""
        return self._stopping or self._entrance.live.hub.draining

    def _go_on(self) -> None:
        """The next request, from what came with the one before. Only if that isn't all of it, more is read."""
        if self._phase is Phase.WAITING and not self._transport.is_closing():
            self._look()
            if self._is_incomplete:
                self.resume_reading()

    @property
    def _is_incomplete(self) -> bool:
        """Whether more of the request is to come before it is answered."""
        if self._phase is Phase.EXCHANGE and self._exchange:
            return not self._exchange.conn.is_read
        return self._phase in (Phase.WAITING, Phase.HEAD)

    # Readers

    def _is_readers(self, head: Head) -> bool:
        """Whether a reader asks; then it is let in, or told why not."""
        named = head.named
        upgrade = b"websocket" in head.tokens(b"upgrade") and b"upgrade" in head.tokens(b"connection")
        if not upgrade and b"sec-websocket-key" in named:  # a proxy has lost the upgrade: no stream was asked for
            self.refuse(HTTPStatus.UPGRADE_REQUIRED, "The handshake has lost its Upgrade on the way, to a proxy maybe.")
            return True
        if not upgrade and not accepts(named.get(b"accept", b"*/*").decode("latin-1"), STREAM):
            return False
        if head.length != 0:
            self.refuse(HTTPStatus.BAD_REQUEST, "A reader's request has no body.")
            return True
        if upgrade and (flaw := _flaw(head)):
            self.refuse(*flaw)
            return True
        accept = _switching(named[b"sec-websocket-key"]) if upgrade else None
        live = self._entrance.live
        try:
            wanted = live.admit(head.query, named.get(b"last-event-id", b"").decode("latin-1"))
            if live.is_abreast(wanted):
                self._let_in(wanted, accept)
                return True
            if self._entrance.is_checking_enough:
                raise Busy("Too many readers come at once. Come back in a moment.")
        except TickerError as error:
            self._explain(error)
            return True
        self._phase = Phase.CHECKING
        self._set_turn("ours")
        self.deadline = self._answer_by
        self._entrance.checking += 1
        task = self._loop.create_task(self._let_in_later(wanted, accept))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)
        return True

    async def _let_in_later(self, wanted: Wanted, accept: bytes | None) -> None:
        """Once this node knows what the reader has seen."""
        try:
            await self._entrance.live.be_abreast(wanted)
            if self._phase is Phase.CHECKING and not self._transport.is_closing():
                self._let_in(wanted, accept)
        except TickerError as error:
            self._explain(error)
        finally:
            self._entrance.checking -= 1

    def _let_in(self, wanted: Wanted, accept: bytes | None) -> None:
        """As a WebSocket, with what accepts it, or as a stream."""
        self._leave()
        live = self._entrance.live
        if self._let_go():
            self.resume_reading()
        if accept:
            reader = SocketReader(live.hub, wanted.channels, self._transport)
            live.welcome(reader, wanted, accept)
        else:
            reader = StreamReader(live.hub, wanted.channels, self._transport)
            live.welcome(reader, wanted, _STREAMING)
        if self._data:
            reader.data_received(self._data)

    # The end

    def refuse(self, status: HTTPStatus, detail: str) -> None:
        """Say no, and end. If an answer is under way already, it is broken off."""
        if self._phase is Phase.EXCHANGE and self._exchange and not self._exchange.give_up():
            self._transport.abort()
            return
        headers = _TO_WEBSOCKET if status == HTTPStatus.UPGRADE_REQUIRED else {}
        response = problem(status, status.phrase.lower().replace(" ", "-"), status.phrase, detail)
        self._answer(status, {**response.headers, **ANSWERS, **headers}, bytes(response.body))

    def _explain(self, error: TickerError) -> None:
        response = problem_of(error)
        self._answer(HTTPStatus(response.status_code), {**response.headers, **ANSWERS}, bytes(response.body))

    def _answer(self, status: HTTPStatus, headers: Mapping[str, str], body: bytes) -> None:
        if self._phase is Phase.ENDING or self._transport.is_closing():
            return
        if self._data.startswith(b"HEAD "):
            body = b""
        self._transport.write(_head(status, headers) + body)
        self._end()

    def _end(self) -> None:
        """End once all is written. If more may come, wait for that: closing at once would take the answer back."""
        exchange = self._exchange
        all_is_read = (
            self._phase is Phase.EXCHANGE and exchange is not None and exchange.conn.is_read and not self._data
        )
        self._phase = Phase.ENDING
        self._data = b""
        self._set_turn("owing")
        self._keep(0)
        self.deadline = self._loop.time() + LINGER
        self._answer_by = max(self._answer_by, self.deadline)
        if all_is_read or self._at_end:
            self._transport.close()
        elif not self._transport.is_closing():
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self.resume_reading()

    def expire(self) -> None:
        """The deadline has passed."""
        if self._transport.get_write_buffer_size() and self._loop.time() < self._answer_by:
            self.deadline = self._answer_by  # it reads, and may have its time for that
        elif self._phase is Phase.ENDING:
            self._transport.abort()
        elif self._phase is Phase.HEAD or not self._used:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, f"The request's head did not come within {HEAD_WITHIN:g} s.")
        elif self._phase is Phase.QUEUED:
            self._explain(Busy("Too much is asked of this node at once. Come back in a moment."))
        elif self._phase is Phase.EXCHANGE and self._exchange and not self._exchange.conn.is_read:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, f"The request did not come within {REQUEST_WITHIN:g} s.")
        else:
            self._transport.abort()

    def give_way(self) -> None:
        """The room is needed by somebody else."""
        self._leave()  # first: what it keeps no longer counts, and nothing below asks anybody else to go
        unread = self._transport.get_write_buffer_size() > 0
        if not unread and (self._phase in (Phase.HEAD, Phase.QUEUED) or not self._used):
            self._transport.write(_NO_ROOM)
        if self._exchange:
            self._exchange.give_up()
        self._phase = Phase.ENDING
        if unread:
            self._transport.abort()
        else:
            self._transport.close()

    def shutdown(self) -> None:
        """uvicorn's word for all that it knows of when it stops."""
        self._stopping = True
        if self._phase is Phase.WAITING and self._used:
            self._transport.close()
        elif self._phase in (Phase.WAITING, Phase.HEAD, Phase.QUEUED, Phase.CHECKING):
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "This node is stopping. Come back, to any node.")

    def _keep(self, size: int) -> None:
        """So many bytes are here of a request, beside what there is of an answer that isn't read."""
        self._kept = size
        unread = self._transport.get_write_buffer_size()
        kept = size + unread + UNSENT_MAX if unread else size
        self._entrance.connections.keep(self, self._turn, kept)

    def _set_turn(self, turn: Turn) -> None:
        self._entrance.connections.turn(self, self._turn, turn)
        self._turn = turn

    def _let_go(self) -> Exchange | None:
        """The exchange, which is not needed again. It knows this door: kept, they would be a cycle."""
        exchange, self._exchange = self._exchange, None
        return exchange

    def _leave(self) -> None:
        self._entrance.connections.leave(self, self._turn)
        self._state.connections.discard(cast("Any", self))


def _bound(sock: socket.socket) -> None:
    """What the kernel keeps for a client that doesn't read, in bytes and in time."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MAX)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_MAX)


def _flaw(head: Head) -> tuple[HTTPStatus, str] | None:
    """What is wrong with a handshake (RFC 6455, 4.2.1)."""
    named = head.named
    if named.get(b"sec-websocket-version") != b"13":
        return HTTPStatus.UPGRADE_REQUIRED, "The version of WebSocket that is spoken here is 13."
    if head.version != b"1.1" or not _is_nonce(named.get(b"sec-websocket-key", b"")):
        return HTTPStatus.BAD_REQUEST, "A handshake is HTTP/1.1, with a Sec-WebSocket-Key of 16 bytes in base64."
    return None


def _is_nonce(key: bytes) -> bool:
    """16 bytes in base64 (RFC 6455, 4.1)."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _switching(key: bytes) -> bytes:
    digest = hashlib.sha1(key + _ACCEPT_SALT, usedforsecurity=False).digest()
    return _SWITCHING % base64.b64encode(digest)


def _head(status: HTTPStatus, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "connection: close", "\r\n"]).encode("latin-1")


def _written(error: TickerError) -> bytes:
    """A refusal, whole. Under a flood thousands get the same."""
    response = problem_of(error)
    headers = {**response.headers, **ANSWERS}
    return _head(HTTPStatus(response.status_code), headers) + bytes(response.body)


_NO_ROOM = _written(Busy("There are more connections than there is room for. Come back in a moment."))

# With 426: what to upgrade to, RFC 9110, 15.5.22; which version, RFC 6455, 4.4.
_TO_WEBSOCKET = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13"}

# Not in chunks: the response ends when the connection does (RFC 9112, 6.3), so its bytes are the same for all.
_STREAMING = _head(HTTPStatus.OK, {**STREAM_HEADERS, **ANSWERS}) + RETRY
_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
)
