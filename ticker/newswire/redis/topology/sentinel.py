"""`redis+sentinel://`: whichever server Sentinel says is the primary. Knows sentinels; elects nobody.

One that hung while another took its place wakes up as a primary, for a moment, and what it acknowledges then
is lost. So not one connection to it is kept: redis-py's own pool keeps those that wait for an answer. Nor
does its own way of asking sentinels say why one didn't answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis import exceptions as failure
from redis.asyncio import Redis

from ticker.newswire.redis.topology import Topology, connection
from ticker.newswire.redis.topology.connection import Command, Server, Subscription, ask, connect


class BehindSentinel(Topology):
    advice = "Start the sentinels, or correct the newswire's URL: redis+sentinel://HOST:26379,HOST:26379/SERVICE."

    def __init__(self, servers: list[Server], service: str, sentinel: dict[str, Any], *given: Any) -> None:
        super().__init__(servers, *given)
        self._service = service
        self._sentinel_options = sentinel

    async def open(self) -> None:
        self._sentinels = [connect(server, 2, self._sentinel_options) for server in self.servers]
        self._primary: Server | None = None
        self._client: Redis | None = None
        self._listened_to: Server | None = None
        self._doubted = False
        self._asking = asyncio.Lock()

    async def close(self) -> None:
        clients = [*self._sentinels, *([self._client] if self._client else [])]
        await asyncio.gather(*(client.aclose() for client in clients), return_exceptions=True)

    async def listen(self, names: list[str]) -> list[Subscription]:
        await self._find()
        assert self._primary
        self._listened_to = self._primary
        return [await self._subscription(self._primary, names)]

    async def look(self) -> None:
        await self._find()
        if self._primary != self._listened_to:
            raise failure.ConnectionError("another server is the primary now")

    async def infos(self) -> list[tuple[str, dict[str, Any]]]:
        client = await self._find()
        assert self._primary
        return [("{}:{}".format(*self._primary), await client.info())]

    async def _ask(self, commands: list[Command]) -> list[Any]:
        client = self._client
        if client is None or self._doubted:
            client = await self._find()
        try:
            answers = await ask(client, commands)
        except (failure.RedisError, OSError):
            self._doubted = True
            raise
        if isinstance(answers[0], failure.ReadOnlyError):
            self._doubted = True
            raise failure.ConnectionError("this server is a replica now")
        return answers

    async def _find(self) -> Redis:
        """The primary's client. Where it is another than before, connections to that one are closed, used or not."""
        async with asyncio.timeout(connection.ANSWER_WITHIN), self._asking:
            primary = await self._discover()
            self._doubted = False
            if self._client is None or primary != self._primary:
                before, self._client, self._primary = self._client, self._pool(primary), primary
                if before:
                    await before.aclose()
            return self._client

    async def _discover(self) -> Server:
        """The primary's address, from the first sentinel that knows it; that one is asked first from then on."""
        problem: Exception = failure.ConnectionError(f"no sentinel knows a service {self._service!r}")
        for place, sentinel in enumerate(self._sentinels):
            try:
                (found,) = await ask(sentinel, [("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)])
                if isinstance(found, Exception):
                    raise found
            except (failure.RedisError, OSError) as error:
                problem = error
                continue
            if found:
                self._sentinels.insert(0, self._sentinels.pop(place))
                return found[0].decode(), int(found[1])
        raise problem
