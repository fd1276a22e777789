"""`redis+cluster://`: sharded pub/sub, one subscription for each shard with a channel of ours. Knows slots; moves none.

Which server has which slots is kept here, and asked again when a server points elsewhere or fails. redis-py's
cluster client sends ASKING on one connection and the command on another, and repeats on its own what may
have been done; it also keeps WAIT apart from what it is to wait for.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from typing import Any, NamedTuple

from redis import exceptions as failure
from redis.asyncio import Redis
from redis.crc import key_slot

from ticker.newswire.redis.topology import Topology, connection
from ticker.newswire.redis.topology.connection import Command, Server, Subscription, ask

TRY_AGAIN_AFTER = 0.05  # seconds, while a slot is between two servers

_ELSEWHERE = (failure.MovedError, failure.AskError, failure.TryAgainError, failure.ClusterDownError)


class _Shard(NamedTuple):
    """Some of the cluster's slots, and the primary that has them."""

    first: int
    last: int
    server: Server


class Clustered(Topology):
    publish_command = "SPUBLISH"
    oldest = (7, 0)  # sharded pub/sub
    advice = "Start the cluster, or correct the newswire's URL: redis+cluster://HOST:PORT,HOST:PORT."

    async def open(self) -> None:
        self._clients: dict[Server, Redis] = {}
        self._shards: list[_Shard] = []
        self._suspect: Server | None = None  # the last that failed, asked last
        self._reading = asyncio.Lock()

    async def close(self) -> None:
        await asyncio.gather(*(client.aclose() for client in self._clients.values()), return_exceptions=True)

    async def listen(self, names: list[str]) -> list[Subscription]:
        await self._read_shards(self._shards)  # a subscription may have ended because a slot has moved
        by_server: dict[Server, list[str]] = defaultdict(list)
        for name in names:
            by_server[await self._owner(key_slot(name.encode()))].append(name)
        subscriptions: list[Subscription] = []
        try:
            for server, own in by_server.items():
                subscriptions.append(await self._subscription(server, own, sharded=True))
        except BaseException:
            for subscription in subscriptions:
                await subscription.close()
            raise
        return subscriptions

    async def look(self) -> None:
        pass  # a server that has been replaced says so: it ends the subscription, or the connection

    async def infos(self) -> list[tuple[str, dict[str, Any]]]:
        await self._read_shards(self._shards)
        servers = dict.fromkeys(shard.server for shard in self._shards)
        return [(f"{host}:{port}", await self._client((host, port)).info()) for host, port in servers]

    async def _ask(self, commands: list[Command]) -> list[Any]:
        slot = key_slot(_key_of(commands[0]).encode())
        give_up = time.monotonic() + connection.ANSWER_WITHIN
        server, asking = await self._owner(slot), False
        while True:
            try:
                answers = await ask(self._client(server), [("ASKING",), *commands] if asking else commands)
            except (failure.RedisError, OSError):
                # Perhaps it has failed over. Whether the command may be repeated isn't known here.
                self._shards, self._suspect = [], server
                raise
            answers = answers[asking:]
            if not isinstance(answers[0], _ELSEWHERE) or time.monotonic() > give_up:
                return answers
            match answers[0]:
                case failure.MovedError() as moved:
                    self._shards = []
                    server, asking = (moved.host or server[0], moved.port), False
                case failure.AskError() as there:
                    server, asking = (there.host or server[0], there.port), True
                case _:  # between two servers: try again from the start
                    await asyncio.sleep(TRY_AGAIN_AFTER)
                    server, asking = await self._owner(slot), False

    async def _owner(self, slot: int) -> Server:
        if not self._shards:
            await self._read_shards(self._shards)
        for shard in self._shards:
            if shard.first <= slot <= shard.last:
                return shard.server
        self._shards = []
        raise failure.ConnectionError(f"no server of the cluster has slot {slot}")

    async def _read_shards(self, stale: list[_Shard]) -> None:
        """Ask any server that answers who has which slots."""
        async with self._reading:
            if self._shards and self._shards is not stale:
                return  # somebody else has just asked
            problem: Exception = failure.ConnectionError("no server was named")
            known = dict.fromkeys([*random.sample([*self._clients], len(self._clients)), *self.servers])
            for server in sorted(known, key=lambda server: server == self._suspect):
                try:
                    (found,) = await ask(self._client(server), [("CLUSTER", "SLOTS")])
                    if isinstance(found, Exception):
                        raise found
                except (failure.RedisError, OSError) as error:
                    problem = error
                    continue
                self._shards = [
                    _Shard(first, last, (primary[0].decode() or server[0], primary[1]))
                    for first, last, primary, *_ in found
                ]
                await self._leave_others()
                return
            raise problem

    async def _leave_others(self) -> None:
        """Close connections to servers that aren't primaries now, used or not, for the reason that Sentinel has."""
        for server in self._clients.keys() - {shard.server for shard in self._shards}:
            await self._clients.pop(server).aclose()

    def _client(self, server: Server) -> Redis:
        if server not in self._clients:
            self._clients[server] = self._pool(server)
        return self._clients[server]


def _key_of(command: Command) -> str:
    """The first key of a command, which says where in a cluster it goes. Without one, all nodes ask one server."""
    if command[0] in ("EVAL", "EVALSHA"):
        return str(command[3])
    return str(command[1]) if len(command) > 1 else ""
