"""How Redis is asked: a command or a script, and what it means if no answer comes. Knows keys; knows no line."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable
from importlib.resources import files
from typing import Any, TypeVar

from redis import exceptions as failure

from ticker.errors import NewswireFull, NewswireUnavailable
from ticker.newswire.redis.topology import NotReplicated, Topology
from ticker.newswire.redis.topology.connection import reason, refusal
from ticker.newswire.trouble import Trouble

T = TypeVar("T")
log = logging.getLogger("ticker.newswire")


class Script:
    """A Lua script, by its hash; sent whole where the server doesn't know it (NOSCRIPT)."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def named(cls, name: str) -> Script:
        return cls((files("ticker.newswire.redis") / "scripts" / name).read_text("utf-8"))


class Refused(NewswireUnavailable):
    """Redis has said that it keeps nothing now: to ask again at once is of no use. `kind`: its word for it."""

    def __init__(self, why: str, kind: str) -> None:
        super().__init__(f"{why} Nothing was published.")
        self.why = why
        self.kind = kind


class NotYetReplicated(NewswireUnavailable):
    """Kept and announced, but not yet by as many replicas as the operator asked for."""


class Asking:
    """Commands and scripts, on whichever server their keys live."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._unreplicated = Trouble(log, "Enough replicas confirm changes again")

    def key(self, slug: str, part: str) -> str:
        """One hash tag a channel, so that a script reaches all its keys on one server."""
        return f"{self.topology.prefix}:{{{slug}}}:{part}"

    @property
    def keys_key(self) -> str:
        """The hash of the editors' keys. What belongs to no channel has its tag, too."""
        return f"{self.topology.prefix}:{{keys}}"

    async def do(self, *command: Any) -> Any:
        return await self.asked(self.topology.send(*command))

    async def do_and_wait(self, *command: Any) -> Any:
        """The same, once as many replicas have it as were asked for."""
        return await self.asked(self.topology.send_and_wait(*command))

    async def run(self, script: Script, keys: list[str], arguments: list[Any], *, wait: bool = False) -> Any:
        rest = (len(keys), *keys, *arguments)

        async def send(*command: Any) -> Any:
            if wait:
                return await self.topology.send_and_wait(*command)
            return await self.topology.send(*command)

        async def ask() -> Any:
            try:
                return await send("EVALSHA", script.sha, *rest)
            except failure.NoScriptError:
                return await send("EVAL", script.source, *rest)

        answer = await self.asked(ask())
        if wait:
            self._unreplicated.ends()
        return answer

    async def asked(self, answer: Awaitable[T]) -> T:
        """The answer. Raises NewswireUnavailable for whatever kept Redis from giving one."""
        task = asyncio.current_task()
        assert task
        canceled = task.cancelling()
        try:
            return await answer
        except NotReplicated as error:
            self._unreplicated.begins(
                f"Changes are on air, and fewer than {self.topology.wait_replicas} replicas confirm them. Start them."
            )
            raise NotYetReplicated(
                f"The change is on air, but fewer than {self.topology.wait_replicas} replicas have it yet. "
                "Repeat it with the same Idempotency-Key to hear when they do."
            ) from error
        except (failure.RedisError, OSError) as error:
            kind, why = refusal(error) or ("", "")
            if kind == "OOM":
                raise NewswireFull(why) from error
            if kind:
                raise Refused(why, kind) from error
            raise NewswireUnavailable(
                f"Redis did not answer as it should ({reason(error)}). If this was a change, it may "
                "have gone through: repeat it with the same Idempotency-Key, or look at the board."
            ) from error
        finally:
            # `asyncio.wait_for` of Python 3.11, which redis-py uses, swallows one that comes together with the answer.
            if task.cancelling() > canceled:
                raise asyncio.CancelledError


async def end(*tasks: asyncio.Task[None]) -> None:
    """Cancel the tasks until they have ended: redis-py swallows a cancellation that meets it connecting."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.2)
    await asyncio.gather(*tasks, return_exceptions=True)
