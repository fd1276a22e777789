"""How long each node keeps things: no node deletes what another one keeps. Knows spans; deletes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from ticker.channel import DAY, Channel
from ticker.newswire.redis.asking import Asking
from ticker.newswire.redis.clock import ServerClock

SAY_EVERY = 60.0  # seconds between two renewals of what this node's history asks for
SAID_FOR = DAY  # seconds that counts after the node was last seen: one that was away overnight finds its history


class Histories:
    def __init__(self, asking: Asking, node: str, clock: ServerClock, channels: Mapping[str, Channel]) -> None:
        self._asking = asking
        self._node = node
        self._clock = clock
        self._channels = channels
        self._said_at = 0  # milliseconds

    async def say(self) -> None:
        """Tell the other nodes how long this one keeps what."""
        now = self._clock.milliseconds()  # after a step of its clock, publish it again
        if abs(now - self._said_at) < SAY_EVERY * 1000:
            return
        for channel in self._channels.values():
            key = self._asking.key(channel.slug, "histories")
            said = f"{channel.history_for}:{channel.tombstones_for}@{now}"
            await self._asking.do("HSET", key, self._node, said)
            await self._asking.do("EXPIRE", key, 2 * SAID_FOR)
        self._said_at = now

    async def longest(self, channel: Channel) -> tuple[int, int]:
        """For how many seconds events and tombstones are kept: as long as the node asks for that keeps them longest."""
        key = self._asking.key(channel.slug, "histories")
        history, tombstones = channel.history_for, channel.tombstones_for
        for node, said in dict(await self._asking.do("HGETALL", key)).items():
            asked, _, at = said.decode().partition("@")
            if int(at) < self._clock.milliseconds() - SAID_FOR * 1000:
                await self._asking.do("HDEL", key, node)
                continue
            its_history, _, its_tombstones = asked.partition(":")
            history, tombstones = max(history, int(its_history)), max(tombstones, int(its_tombstones))
        return history, tombstones
