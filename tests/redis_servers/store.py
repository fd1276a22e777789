"""One server for all the tests of a run that break nothing, and newswires over a part of it."""

from __future__ import annotations

import atexit
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.redis_servers.server import RedisServer
from ticker.channel import Channel
from ticker.newswire.redis import RedisNewswire

_shared: RedisServer | None = None


def shared_server() -> RedisServer:
    """One server for all the tests of a run that break nothing; each has a prefix of its own."""
    global _shared
    if _shared is None:
        folder = tempfile.TemporaryDirectory(prefix="ticker-redis-")
        server = _shared = RedisServer(Path(folder.name), clock=True)

        def end() -> None:
            server.close()
            folder.cleanup()

        atexit.register(end)
    _shared.step(0)
    return _shared


class RedisStore:
    """Newswires over one part of the shared server. Given a clock, they make the server's clock go by it."""

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self.channels = channels
        self.server = shared_server()
        self.prefix = f"test-{uuid4().hex}"
        self.url = f"{self.server.url}?prefix={self.prefix}"
        self._open: RedisNewswire | None = None

    async def open(
        self, channels: Mapping[str, Channel] | None = None, clock: Callable[[], float] = time.time
    ) -> RedisNewswire:
        await self.close()
        # At once: by today's clock, the server would forget what was to be kept until some hour of the test's.
        self.server.step(clock() - time.time())
        wire = _ByTheTestsClock(self.url, self.server, clock)
        await wire.open(channels or self.channels)
        self._open = wire
        return wire

    async def close(self) -> None:
        if self._open:
            await self._open.close()
        self._open = None


class _ByTheTestsClock(RedisNewswire):
    def __init__(self, url: str, server: RedisServer, clock: Callable[[], float]) -> None:
        super().__init__(url, "test")
        in_turn = self._topology._in_turn

        async def by_the_tests_clock(commands: list[Any]) -> list[Any]:
            if clock is not time.time:
                server.step(clock() - time.time())
            return await in_turn(commands)

        self._topology._in_turn = by_the_tests_clock  # type: ignore[method-assign]
