"""How Redis is reached: one server, behind Sentinel, or a Cluster. Knows servers and connections; knows no lines.

`url` says which way it is, `single`, `sentinel` and `cluster` are the ways, each over `connection`; `check` says
before anything else whether a newswire can live there.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from redis.asyncio import Redis

from ticker.newswire.redis.topology import connection
from ticker.newswire.redis.topology.connection import Command, Server, Subscription

POOL = 32  # connections a node; editors and programs share them, readers need none
WAIT_WITHIN = 1_000  # milliseconds for replicas to confirm


class NotReplicated(Exception):
    """A change is kept, but not by as many replicas as were asked for."""


class Topology(ABC):
    """A way to Redis: commands go by connections of a pool, subscriptions have connections of their own."""

    publish_command: ClassVar[str] = "PUBLISH"
    oldest: ClassVar[tuple[int, int]] = (6, 2)  # XTRIM MINID, and GETDEL
    advice: ClassVar[str] = "Start it, or correct the newswire's URL."

    def __init__(self, servers: list[Server], options: dict[str, Any], prefix: str, wait_replicas: int) -> None:
        self.servers = servers
        self.prefix = prefix
        self.wait_replicas = wait_replicas
        self._options = options
        self._places = asyncio.Semaphore(POOL)

    @abstractmethod
    async def open(self) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def listen(self, names: list[str]) -> list[Subscription]:
        """Ears for all these channels, subscribed; each knows which are its own."""

    @abstractmethod
    async def look(self) -> None:
        """Raises ConnectionError where the subscriptions listen to servers that have been replaced."""

    @abstractmethod
    async def infos(self) -> list[tuple[str, dict[str, Any]]]:
        """What each server that we write to says of itself, and its address."""

    @abstractmethod
    async def _ask(self, commands: list[Command]) -> list[Any]:
        """Commands on one connection to the server that the first one's key lives on. Errors are among the answers."""

    async def send(self, *command: Any) -> Any:
        """One command, to whichever server its key lives on."""
        (answer,) = await self._in_turn([command])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def send_and_wait(self, *command: Any) -> Any:
        """One command, and then WAIT on the same connection. Raises NotReplicated."""
        if not self.wait_replicas:
            return await self.send(*command)
        answer, replicas = await self._in_turn([command, ("WAIT", self.wait_replicas, WAIT_WITHIN)])
        if isinstance(answer, Exception):
            raise answer
        if isinstance(replicas, Exception) or replicas < self.wait_replicas:
            raise NotReplicated
        return answer

    async def _in_turn(self, commands: list[Command]) -> list[Any]:
        """Whoever comes when every connection is taken waits: redis-py's pools refuse."""
        async with asyncio.timeout(connection.ANSWER_WITHIN):
            await self._places.acquire()
        try:
            return await self._ask(commands)
        finally:
            self._places.release()

    def _pool(self, server: Server) -> Redis:
        return connection.connect(server, POOL, self._options)

    async def _subscription(self, server: Server, names: list[str], *, sharded: bool = False) -> Subscription:
        return await Subscription(connection.connect(server, 1, self._options), names, sharded).open()
