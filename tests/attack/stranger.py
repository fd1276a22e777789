"""What a stranger can do with connections: flood them, hold them, leave them. Knows no attack."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import repeat

NARROW = 4_096  # bytes of a receive buffer: what isn't read waits at the node's end


class Wire(asyncio.Protocol):
    """One connection. Unless it is deaf it reads, and forgets what it reads."""

    def __init__(self, deaf: bool) -> None:
        self._deaf = deaf
        self._may_write = asyncio.Event()
        self._may_write.set()
        self.received = 0
        self.answered = asyncio.Event()
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._deaf:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self.answered.set()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self.answered.set()
        self._may_write.set()

    async def send(self, data: bytes) -> None:
        self.transport.write(data)
        await self._may_write.wait()


class Stranger:
    """Attacks one port of 127.0.0.1 for so many seconds."""

    def __init__(self, port: int, seconds: float) -> None:
        self._port = port
        self._until = asyncio.get_running_loop().time() + seconds
        self._kept: list[asyncio.Task[None]] = []
        self.connections = 0
        self.sent = 0
        self.received = 0

    @property
    def done(self) -> dict[str, int]:
        """Connections, those of them that are kept beyond the time, bytes sent and received."""
        return {
            "connections": self.connections,
            "kept": len(self._kept),
            "sent": self.sent,
            "received": self.received,
        }

    @property
    def left(self) -> float:
        """Seconds."""
        return self._until - asyncio.get_running_loop().time()

    @contextlib.asynccontextmanager
    async def connected(self, *, deaf: bool = False) -> AsyncIterator[Wire]:
        sock = socket.socket()
        sock.setblocking(False)
        if deaf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_000)  # loopback's are 64 kB, no buffer's size
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(sock, ("127.0.0.1", self._port))
        except BaseException:
            sock.close()
            raise
        _, wire = await loop.create_connection(lambda: Wire(deaf), sock=sock)
        self.connections += 1
        try:
            yield wire
        finally:
            self.received += wire.received
            wire.transport.abort()

    async def flood(
        self,
        pieces: bytes | Iterator[bytes],
        *,
        opening: bytes = b"",
        connections: int = 1,
        rate: float = 0,
        patient: bool = False,
    ) -> None:
        """Send the pieces without pause, or `rate` bytes a second on all connections, which come back when closed.

        If `patient`, each piece waits for some of an answer to the one before.
        """
        each = repeat(pieces) if isinstance(pieces, bytes) else pieces
        await self._at_once(connections, lambda: self._flood(each, opening, rate / connections, patient))

    async def _flood(self, pieces: Iterator[bytes], opening: bytes, rate: float, patient: bool) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with self.connected() as wire:
            if opening:
                await self._send(wire, opening)
                await wire.answered.wait()
            while not wire.gone.is_set():
                wire.answered.clear()
                piece = next(pieces)
                await self._send(wire, piece)
                if patient:
                    await wire.answered.wait()
                due = max(due + len(piece) / rate, loop.time() - 0.5) if rate else 0
                await asyncio.sleep(max(0, due - loop.time()))

    async def leave(self, opening: bytes, *, connections: int = 20, reset: bool = True, after_answer: bool) -> None:
        """Connect, send and leave, again and again."""

        async def once() -> None:
            async with self.connected() as wire:
                if reset:
                    linger = struct.pack("ii", 1, 0)
                    wire.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                await self._send(wire, opening)
                if after_answer:
                    await wire.answered.wait()

        await self._at_once(connections, once)

    async def hold(
        self,
        opening: bytes,
        drip: bytes = b"",
        *,
        connections: int,
        every: float = 1.0,
        deaf: bool = False,
        half_closed: bool = False,
    ) -> None:
        """Open so many, and keep each for as long as it is let: beyond the attack's own time, until the run's end."""

        async def held() -> None:
            with contextlib.suppress(OSError):
                async with self.connected(deaf=deaf) as wire:
                    await self._send(wire, opening)
                    if half_closed:
                        wire.transport.write_eof()
                    while not wire.gone.is_set():
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(wire.gone.wait(), every)
                        if drip and not wire.gone.is_set():
                            await self._send(wire, drip)

        for number in range(connections):
            self._kept.append(asyncio.create_task(held()))
            if number % 50 == 49:
                await asyncio.sleep(0.01)
        await asyncio.sleep(max(0, self.left))

    async def burst(self, data: bytes, *, connections: int) -> None:
        """Open so many; once all are there, send on all of them in the same moment. Over and over."""
        while self.left > 0:
            async with contextlib.AsyncExitStack() as stack:
                wires = []
                for number in range(connections):
                    with contextlib.suppress(OSError):
                        wires.append(await stack.enter_async_context(self.connected()))
                    if number % 50 == 49:
                        await asyncio.sleep(0.01)
                for wire in wires:
                    self.sent += len(data)
                    wire.transport.write(data)
                await asyncio.sleep(max(0, min(1.0, self.left)))

    async def _send(self, wire: Wire, data: bytes) -> None:
        self.sent += len(data)
        await wire.send(data)

    async def _at_once(self, connections: int, once: Callable[[], Awaitable[None]]) -> None:
        """Do it on so many connections, over and over until the time is up."""

        async def again() -> None:
            while True:
                with contextlib.suppress(OSError):
                    await once()

        tasks = [asyncio.create_task(again()) for _ in range(connections)]
        await asyncio.sleep(max(0, self.left))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
