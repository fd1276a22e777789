"""What each node says of itself, for the others to compare. Knows words and how old they are; compares nothing."""

from __future__ import annotations

import time

from ticker.newswire.redis.asking import Asking
from ticker.newswire.redis.clock import ServerClock
from ticker.newswire.stores import PRESENCE_FOR

SAY_EVERY = 5.0  # seconds between two looks at the others; PRESENCE_FOR is three of them
KEPT_FOR = int(PRESENCE_FOR) * 4  # seconds that Redis keeps what no node says any more


class Roll:
    """A hash: what each node says, and when it said so."""

    def __init__(self, asking: Asking, name: str, node: str, clock: ServerClock) -> None:
        self._asking = asking
        self._key = f"{asking.keys_key}:{name}"
        self._node = node
        self._clock = clock
        self._called_at = -SAY_EVERY

    def is_due(self) -> bool:
        return time.monotonic() - self._called_at >= SAY_EVERY

    async def call(self, said: str) -> dict[str, str]:
        """Say it, and hear what the other nodes say that run now."""
        now = self._clock.milliseconds()
        await self._asking.do("HSET", self._key, self._node, f"{said}@{now}")
        await self._asking.do("EXPIRE", self._key, KEPT_FOR)
        others = {}
        for node, record in dict(await self._asking.do("HGETALL", self._key)).items():
            theirs, _, at = record.decode().rpartition("@")
            if int(at) <= now - int(PRESENCE_FOR * 1000):
                await self._asking.do("HDEL", self._key, node)
            elif node.decode() != self._node:
                others[node.decode()] = theirs
        self._called_at = time.monotonic()
        return others

    async def leave(self) -> None:
        await self._asking.do("HDEL", self._key, self._node)
