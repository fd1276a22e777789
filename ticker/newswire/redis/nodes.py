"""Which versions of Ticker share this Redis. Knows nodes and numbers; knows no reader."""

from __future__ import annotations

import logging

from ticker import __version__
from ticker.newswire.redis.asking import Asking
from ticker.newswire.redis.clock import ServerClock
from ticker.newswire.redis.migrations import MIGRATIONS
from ticker.newswire.redis.roll import Roll
from ticker.newswire.trouble import Trouble

log = logging.getLogger("ticker.newswire")


class Nodes:
    """Each node's version and schema. Version 0.1.0 says nothing."""

    def __init__(self, asking: Asking, node: str, clock: ServerClock) -> None:
        self._roll = Roll(asking, "nodes", node, clock)
        self._mixed: str | None = None
        self._mixing = Trouble(log, "All nodes run one version again")

    def mixed(self) -> str | None:
        """In a sentence, which versions there are, if they differ."""
        return self._mixed

    async def say(self) -> None:
        """Say what this node runs, and see what the others do."""
        if not self._roll.is_due():
            return
        ours = f"{__version__} (schema {len(MIGRATIONS)})"
        others = await self._roll.call(ours)
        self._note(sorted({ours, *others.values()}))

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
        await self._roll.leave()
