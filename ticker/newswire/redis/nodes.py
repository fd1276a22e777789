"""Which versions of Ticker share this Redis. Knows nodes and numbers; knows no reader."""

from __future__ import annotations

import logging
import time

from ticker import __version__
from ticker.newswire.redis.asking import Asking
from ticker.newswire.redis.clock import ServerClock
from ticker.newswire.redis.migrations import MIGRATIONS
from ticker.newswire.stores import PRESENCE_FOR
from ticker.newswire.trouble import Trouble

SAY_EVERY = 5.0  # seconds between two looks at the others; PRESENCE_FOR is three of them

log = logging.getLogger("ticker.newswire")


class Nodes:
    """A hash: each node's version and schema, and when it said so."""

    def __init__(self, asking: Asking, node: str, clock: ServerClock) -> None:
        self._asking = asking
        self._node = node
        self._clock = clock
        self._said_at = -SAY_EVERY
        self._mixed: str | None = None
        self._mixing = Trouble(log, "All nodes run one version again")

    def mixed(self) -> str | None:
        """In a sentence, which versions there are, if they differ."""
        return self._mixed

    async def say(self) -> None:
        """Say what this node runs, and see what the others do. Version 0.1.0 says nothing."""
        if time.monotonic() - self._said_at < SAY_EVERY:
            return
        now = self._clock.milliseconds()
        ours = f"{__version__} (schema {len(MIGRATIONS)})"
        await self._asking.do("HSET", self._key, self._node, f"{ours}@{now}")
        await self._asking.do("EXPIRE", self._key, int(PRESENCE_FOR) * 4)
        running = {ours}
        for node, said in dict(await self._asking.do("HGETALL", self._key)).items():
            theirs, _, at = said.decode().rpartition("@")
            if int(at) > now - int(PRESENCE_FOR * 1000):
                running.add(theirs)
            else:
                await self._asking.do("HDEL", self._key, node)
        self._said_at = time.monotonic()
        self._note(sorted(running))

    def _note(self, running: list[str]) -> None:
        if len(running) > 1:
            self._mixed = (
                f"Nodes of different versions share this Redis: {', '.join(running)}. Bring them all to the newest."
            )
            self._mixing.begins(self._mixed, self._mixed)
        else:
            self._mixed = None
            self._mixing.ends()

    async def leave(self) -> None:
        await self._asking.do("HDEL", self._key, self._node)

    @property
    def _key(self) -> str:
        return f"{self._asking.keys_key}:nodes"
