"""uvicorn's WebSocket protocol, with one ASGI extension: the connection can be handed over.

The endpoint decides and accepts as on any server, then takes the connection: the transport's protocol
becomes a slim reader, and task, scope and handshake parser go. Knows bytes; knows no lines.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN, Protocol, Side

from ticker.fanout.frames import Encoding, close_frame
from ticker.fanout.hub import BUFFER_MAX, REFUSED, Hub

EXTENSION = "ticker.handover"
INBOUND_MAX = 1_024  # bytes; a reader has nothing to say but close, ping and pong
UNACKNOWLEDGED_MAX = 40_000  # milliseconds; with a beat every 20 s a dead reader is gone within 60


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
        transport.set_protocol(self)

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

    def resume_writing(self) -> None:
        self._hub.drained(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hub.leave(self)


class HandoverProtocol(WebSocketsSansIOProtocol):
    """uvicorn's own protocol until the endpoint takes the connection over."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:  # the handshake stands, and the endpoint is about to run
            cast("dict[str, Any]", self.scope["extensions"])[EXTENSION] = {"take": self.hand_over}

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True  # refused with an answer: nothing is missing, nothing to log

    def hand_over(self, reader: SocketReader) -> bool:
        """Give the accepted connection to a reader; False where the client has left already."""
        transport = self.transport
        if self.disconnected or not self.handshake_complete or transport.is_closing():
            return False
        self.stop_keepalive()
        self.connections.discard(self)
        self.transport = cast("asyncio.Transport", _Departed())
        reader.take(transport)
        if self.read_paused:
            transport.resume_reading()
        return True


class _Departed:
    """What stays where a transport was: the server may close it, and nothing happens."""

    def close(self) -> None:
        pass

    def is_closing(self) -> bool:
        return True
