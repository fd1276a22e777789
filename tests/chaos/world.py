"""Everything that can be broken."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.chaos import NODES
from tests.chaos.editors import Editors
from tests.chaos.node import Node
from tests.chaos.readers import Reader, Sightings
from tests.redis_servers import AOF, RedisServer, TcpProxy


class World:
    """One Redis, its proxies, the nodes, and who reads and writes."""

    def __init__(self, folder: Path, seed: int, readers: int) -> None:
        self.seed = seed
        self.server = RedisServer(folder / "redis", *AOF, clock=True)
        self.proxies = [TcpProxy(self.server.port) for _ in range(NODES)]
        self.nodes = [Node(f"node{n}", folder, proxy.url) for n, proxy in enumerate(self.proxies)]
        self.sightings = Sightings()
        self.readers = [Reader(n, self.nodes, self.sightings, seed) for n in range(readers)]
        self.editors = Editors(self.nodes, seed)
        self.lost: list[tuple[float, float]] = []
        """When a copy was taken, and when it was put in place: acknowledged between, and perhaps lost."""
        self.injected: Counter[str] = Counter()
        self._began = time.monotonic()

    def say(self, *words: object) -> None:
        print(f"{time.monotonic() - self._began:7.1f}", *words, flush=True)

    async def do(self, *command: Any) -> None:
        """A command to Redis; where it is away just now, there is nothing to do it to."""
        with contextlib.suppress(Exception):
            await asyncio.to_thread(self.server.do, *command)

    async def ready(self) -> list[bool]:
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:

            async def ask(node: Node) -> bool:
                try:
                    return (await client.get(f"{node.url}/readyz")).status_code == 200
                except httpx.HTTPError:
                    return False

            return await asyncio.gather(*(ask(node) for node in self.nodes))

    def close(self) -> None:
        for proxy in self.proxies:
            proxy.close()
        self.server.close()
