"""A proxy that breaks what runs through it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Self

from tests.patience import WITHIN
from tests.ports import stop_listening
from tests.redis_servers.server import until


class _Way:
    """One direction of one connection."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.delay = 0.0


class TcpProxy:
    """Stands between a node and Redis, in a thread of its own, and breaks what runs through it.

    `up` is towards the server, `down` is towards the client.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.refusing = False
        self._stalled = {"up": False, "down": False}
        self._delay = 0.0
        self._ways: list[tuple[str, _Way]] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait(WITHIN)

    # What a test does

    def cut(self) -> None:
        """Every connection is reset; new ones are taken."""
        self._call(self._cut)

    def refuse(self) -> None:
        """Every connection is reset, and so are new ones."""
        self.refusing = True
        self.cut()

    def stall(self, *, up: bool = True, down: bool = True, newcomers: bool = True) -> None:
        """Nothing passes any more in these directions, and neither side notices. It waits, and passes when healed."""
        self._call(lambda: self._stall(up, down, newcomers))

    def slow(self, seconds: float) -> None:
        """Delay everything that passes by this much."""
        self._delay = seconds

    def heal(self) -> None:
        self.refusing = False
        self._delay = 0.0
        self._call(self._heal)

    def connections(self) -> int:
        return len(self._ways) // 2

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    # How

    def _call(self, work: Callable[[], None]) -> None:
        done = threading.Event()

        def run() -> None:
            work()
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(WITHIN)

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def _stall(self, up: bool, down: bool, newcomers: bool) -> None:
        for name, wanted in (("up", up), ("down", down)):
            self._stalled[name] = wanted and newcomers
            for direction, way in self._ways:
                if direction == name and wanted:
                    way.open.clear()

    def _heal(self) -> None:
        self._stalled = {"up": False, "down": False}
        for _, way in self._ways:
            way.open.set()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(self._loop), return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            beyond, onward = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, onward}
        if self.refusing:  # asked only now: it may have begun meanwhile
            for end in both:
                end.transport.abort()
            return
        self._writers |= both
        up, down = self._way("up"), self._way("down")
        pumps = [
            asyncio.create_task(self._pump(reader, onward, up)),
            asyncio.create_task(self._pump(beyond, writer, down)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._writers -= both
            self._ways.remove(("up", up))
            self._ways.remove(("down", down))
            for end in both:
                end.transport.abort()

    def _way(self, direction: str) -> _Way:
        way = _Way()
        if self._stalled[direction]:
            way.open.clear()
        self._ways.append((direction, way))
        return way

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: _Way) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await way.open.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(data)
                await writer.drain()
            await way.open.wait()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(stop_listening(self._server), self._loop).result(WITHIN)
        self.refuse()
        self.heal()  # what waits is sent on, although nobody receives it
        until(lambda: not self._ways)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WITHIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
