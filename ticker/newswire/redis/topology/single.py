"""`redis://` and `rediss://`: one server. Whatever answers at its address is the one."""

from __future__ import annotations

from typing import Any

from ticker.newswire.redis.topology import Topology
from ticker.newswire.redis.topology.connection import Command, Subscription, ask


class Single(Topology):
    async def open(self) -> None:
        self._client = self._pool(self.servers[0])

    async def close(self) -> None:
        await self._client.aclose()

    async def listen(self, names: list[str]) -> list[Subscription]:
        return [await self._subscription(self.servers[0], names)]

    async def look(self) -> None:
        pass  # it can't have been replaced by another

    async def infos(self) -> list[tuple[str, dict[str, Any]]]:
        host, port = self.servers[0]
        return [(f"{host}:{port}", await self._client.info())]

    async def _ask(self, commands: list[Command]) -> list[Any]:
        return await ask(self._client, commands)
