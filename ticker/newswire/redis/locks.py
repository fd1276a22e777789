"""The desk's lock, one a channel, beside what it holds up. Knows no line."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ticker.lock import Lock, over
from ticker.newswire.redis.asking import Asking, Script
from ticker.newswire.redis.records import decode_lock, encode


class Locks:
    """`changed` is called with each channel whose lock this node has changed."""

    def __init__(self, asking: Asking, changed: Callable[[str], None]) -> None:
        self._asking = asking
        self._changed = changed
        self._put_on = Script.named("lock.lua")
        self._take_off = Script.named("unlock.lua")

    async def all(self, channels: Iterable[str]) -> dict[str, Lock]:
        bodies = {slug: await self._asking.do("GET", self._asking.key(slug, "lock")) for slug in channels}
        return {slug: decode_lock(body) for slug, body in bodies.items() if body}

    async def put_on(self, slug: str, lock: Lock) -> None:
        while True:
            known: bytes | None = await self._asking.do("GET", self._asking.key(slug, "lock"))
            upon = over(decode_lock(known) if known else None, lock)
            if await self._run(self._put_on, slug, upon, known or b""):
                return

    async def take_off(self, slug: str, lock: Lock) -> None:
        await self._run(self._take_off, slug, lock)

    async def _run(self, script: Script, slug: str, lock: Lock, *more: bytes) -> object:
        key = self._asking.key
        publish = self._asking.topology.publish_command
        arguments = [encode(lock), publish, key(slug, "desk"), *more]
        done: object = await self._asking.run(script, [key(slug, "lock")], arguments, wait=True)
        self._changed(slug)
        return done
