"""What a reader's connection becomes once it is let in: a transport and little else. Knows no lines.

One of these per reader and nothing more: no task, no scope, no queue. The hub sends on its socket.
"""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from ticker.fanout.frames import Encoding, close_frame
from ticker.fanout.hub import BUFFER_MAX, REFUSED, Hub
from ticker.fanout.sender import Handle

INBOUND_MAX = 1_024  # what a reader may say between two beats (`SocketReader._spend`): answers, and a ping now and then
MESSAGE_COST = 32  # what each piece and each frame counts beside its bytes; each costs us 20 µs, however small
INBOUND_EVERY = 20.0  # seconds; a beat
CLOSE_WITHIN = 10.0  # seconds in which a reader may take what waits for it when its connection is closed
UNACKNOWLEDGED_MAX = 40_000  # milliseconds; with a beat every 20 s a dead reader is gone within 60
UNSENT_MAX = 131_072  # bytes the kernel takes for a reader that doesn't read; with 32 kB, bursts were half as fast


class SocketReader(asyncio.Protocol):
    """A WebSocket after its handshake: a transport, and what it listens to."""

    __slots__ = (
        "_answered",
        "_handle",
        "_hub",
        "_parser",
        "_since",
        "_spent",
        "_transport",
        "channels",
        "handle",
        "room",
    )

    encoding: Encoding = "socket"

    def __init__(self, hub: Hub, channels: tuple[str, ...], transport: asyncio.Transport) -> None:
        self._hub = hub
        self._parser: Protocol | None = None
        self._answered = True
        self._spent = 0  # of INBOUND_MAX
        self._since = 0.0
        self._transport = transport
        self.channels = channels
        self.room = BUFFER_MAX
        sock = transport.get_extra_info("socket")
        self._handle = hub.sender.handle(sock)
        self.handle: Handle | None = self._handle
        transport.set_write_buffer_limits(high=0)  # `pause_writing` as soon as anything waits
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MAX)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_MAX)
        transport.set_protocol(self)

    # What the hub does with it

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    def answered(self) -> bool:
        answered, self._answered = self._answered, False
        return answered

    def close(self, code: int, reason: str) -> None:
        self._transport.write(close_frame(code, reason))
        self._close()

    def abort(self) -> None:
        self._transport.abort()

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        if not self._spend(len(data)):
            self._hub.leave(self)
            self.close(REFUSED, "Readers only listen here")
            return
        self._answered = True
        if len(data) == 6 and data[:2] == b"\x8a\x80":  # the answer to our ping (RFC 6455, 5.5.3)
            return
        if self._parser is None:
            self._parser = Protocol(Side.SERVER, state=OPEN, max_size=INBOUND_MAX)
        parser = self._parser
        parser.receive_data(data)
        for event in parser.events_received():
            is_message = cast("Frame", event).opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
            if parser.state is OPEN and (is_message or not self._spend(0)):
                parser.fail(REFUSED, "Readers only listen here")
        for answer in parser.data_to_send():
            if answer:
                self._transport.write(answer)
        if parser.state is not OPEN:
            self._hub.leave(self)
            self._close()

    def _spend(self, size: int) -> bool:
        """Whether the reader may say this much more; of what is beyond its share, nothing is even looked at."""
        self._spent += size + MESSAGE_COST
        if self._spent > INBOUND_MAX:
            now = asyncio.get_running_loop().time()
            if now - self._since < INBOUND_EVERY:
                return False
            self._since, self._spent = now, size + MESSAGE_COST
        return self._spent <= INBOUND_MAX

    def _close(self) -> None:
        """Once what waits is written; but not for ever."""
        self._transport.close()
        if self._transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(CLOSE_WITHIN, self._transport.abort)

    def pause_writing(self) -> None:
        self.handle = None
        self._hub.waits(self)
        self._transport.pause_reading()  # or its pings would fill the buffer with pongs

    def resume_writing(self) -> None:
        if not self._transport.is_closing():
            self.handle = self._handle
            self._transport.resume_reading()
            self._hub.drained(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hub.leave(self)
        self._hub.sender.release(self._handle)


class StreamReader(SocketReader):
    """A response of Server-Sent Events that ends with its connection (RFC 9112, 6.3): no chunks, no task."""

    __slots__ = ()

    encoding: Encoding = "stream"

    def answered(self) -> bool:
        return True

    def close(self, code: int, reason: str) -> None:
        self._close()

    def data_received(self, data: bytes) -> None:
        """A second request on this connection has nobody to answer it, and a flood nobody to read it."""
        self._spent += len(data)
        if self._spent > INBOUND_MAX:
            self._hub.leave(self)
            self._transport.abort()
