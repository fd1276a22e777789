"""How many readers each node has. Knows counts and how old they are; knows no reader."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from ticker.errors import NewswireUnavailable
from ticker.newswire.redis.asking import Asking
from ticker.newswire.redis.clock import ServerClock
from ticker.newswire.redis.histories import Histories
from ticker.newswire.redis.nodes import Nodes
from ticker.newswire.redis.settings import SharedSettings
from ticker.newswire.stores import PRESENCE_FOR, Presence


class Readers:
    """One hash for each channel: each node's count, and when it was reported."""

    def __init__(
        self,
        asking: Asking,
        node: str,
        clock: ServerClock,
        histories: Histories,
        agreements: Sequence[Nodes | SharedSettings],
    ) -> None:
        self._asking = asking
        self._node = node
        self._clock = clock
        self._histories = histories
        self._agreements = agreements

    async def report(self, readers: Mapping[str, int]) -> None:
        await self._clock.ask()  # nodes that publish nothing must agree on the time, too
        await self._histories.say()
        for agreement in self._agreements:
            await agreement.say()
        for slug, count in readers.items():
            key = self._key(slug)
            await self._asking.do("HSET", key, self._node, f"{count}@{self._clock.milliseconds()}")
            await self._asking.do("EXPIRE", key, int(PRESENCE_FOR) * 4)

    async def of(self, channel: str) -> Presence:
        oldest = self._clock.milliseconds() - int(PRESENCE_FOR * 1000)
        counts = [count for count, at in (await self._told(channel)).values() if at > oldest]
        return Presence(sum(counts), len(counts))

    async def leave(self, channels: Mapping[str, object]) -> None:
        """This node has no readers any more. It doesn't wait long for an answer."""
        try:
            for slug in channels:
                await asyncio.wait_for(self._asking.do("HDEL", self._key(slug), self._node), 1)
            for agreement in self._agreements:
                await asyncio.wait_for(agreement.leave(), 1)
        except (NewswireUnavailable, TimeoutError):
            pass  # what we told expires by itself

    async def forget(self, channel: str, before: int) -> None:
        """Let go of the counts of nodes that were killed, and could not say so."""
        for node, (_, at) in (await self._told(channel)).items():
            if at < before:
                await self._asking.do("HDEL", self._key(channel), node)

    async def _told(self, channel: str) -> dict[bytes, tuple[int, int]]:
        """By node: how many, and when in milliseconds."""
        reports = dict(await self._asking.do("HGETALL", self._key(channel)))
        parted = {node: report.decode().split("@") for node, report in reports.items()}
        return {node: (int(count), int(at)) for node, (count, at) in parted.items()}

    def _key(self, slug: str) -> str:
        return self._asking.key(slug, "presence")
