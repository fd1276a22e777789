"""Requests that uvicorn answers: its protocol on h11, given one request at a time. Knows no connection's limits.

h11 is the parser, because it follows the standard to the letter (docs/adr/0011-one-way-in.md). Its owner, the
door, decides when a request begins; here each has a parser of its own, so that nothing of one can reach the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from ticker.http.chunks import Chunks
from ticker.http.head import Head


class Owner(Protocol):
    """What an exchange asks of the connection it is on."""

    def answered(self) -> None:
        """An answer is written, whole."""

    def refuse(self, status: HTTPStatus, detail: str) -> None:
        """The bytes that arrived can't be understood."""

    def is_leaving(self) -> bool:
        """Whether this node is about to stop, so that the answer is the last one here."""


class Parser(h11.Connection):
    """h11's, for one request. Says whether all of it was read, and which answer is the last one."""

    def __init__(self, is_leaving: Callable[[], bool]) -> None:
        super().__init__(h11.SERVER)
        self._is_leaving = is_leaving
        self.is_granted = False
        """Whether the answer is that it was done."""
        self.error: h11.RemoteProtocolError | None = None
        self._head = b""  # of the answer, which waits for what follows it: one write in place of two

    @property
    def is_read(self) -> bool:
        """Whether the request is there to its last byte."""
        return self.their_state not in (h11.IDLE, h11.SEND_BODY, h11.ERROR)

    def next_event(self) -> Any:
        try:
            return super().next_event()
        except h11.RemoteProtocolError as error:
            self.error = error
            raise

    def send(self, event: Any) -> Any:
        """If the answer comes before the whole request has arrived, it says that the connection ends with it. So does
        an answer to a proxy that keeps connections to a node that stops."""
        if type(event) is h11.Response and (not self.is_read or self._is_leaving()):
            others = [(name, value) for name, value in event.headers.raw_items() if name.lower() != b"connection"]
            event = h11.Response(
                status_code=event.status_code, headers=[*others, (b"connection", b"close")], reason=event.reason
            )
        if type(event) is h11.Response:
            self.is_granted = 200 <= event.status_code < 300
            self._head = super().send(event)
            return b""
        data = super().send(event)
        if self._head and data is not None:
            data, self._head = self._head + data, b""
        return data


class Exchange(H11Protocol):
    """uvicorn's protocol, for one request after another on its owner's connection."""

    conn: Parser

    def __init__(self, owner: Owner, config: Config, state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, state, app_state)
        self._owner = owner
        self._chunks: Chunks | None = None  # of a body that comes in them

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.connections.discard(self)  # its owner stands there

    def begin(self, head: Head) -> None:
        """A request, from its head; its body follows by `feed`."""
        self.conn = Parser(self._owner.is_leaving)
        self._chunks = Chunks() if head.length is None else None
        self._feed(head.canonical())

    def feed(self, data: bytes) -> bytes:
        """What follows of the request. What is left over is the next one's. Raises BadHead."""
        if self._chunks is None:
            self._feed(data)
            return self.conn.trailing_data[0] if self.conn.is_read else b""
        body, rest = self._chunks.take(data)
        self._feed(body)
        return rest or b""

    def _feed(self, data: bytes) -> None:
        if data:  # nothing is h11's word for the end of the connection
            self.conn.receive_data(data)
            self.handle_events()

    @property
    def is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    @property
    def ends(self) -> bool:
        """Whether the connection is to end with the answer that was given last."""
        return self.conn.our_state is not h11.DONE

    def give_up(self) -> bool:
        """The application that works on the answer sees that its client is gone. False if some of the answer has left
        already."""
        if self.is_answered:
            return True
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        return not self.cycle.response_started

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls where h11 doesn't understand. Why, h11 has said."""
        error = self.conn.error or h11.RemoteProtocolError(msg)
        self._owner.refuse(HTTPStatus(error.error_status_hint), f"The request can't be read: {error}")

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        self._owner.answered()

    def _unsupported_upgrade_warning(self) -> None:
        """A request to upgrade to another protocol is answered in this one (RFC 9110, 7.8), and is not logged."""
