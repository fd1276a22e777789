"""Editors' keys, and secrets that are kept for a while. Knows how Redis keeps them; knows no line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from ticker.identity import Key
from ticker.newswire.redis.asking import Asking, Script

_decode = msgspec.json.Decoder(Key).decode
_encode = msgspec.json.encode


class Keys:
    """A hash of keys, by their ids."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._first = Script.named("first.lua")
        self._swap = Script.named("swap.lua")

    async def keep(self, key: Key) -> Key:
        await self._asking.do("HSETNX", self._asking.keys_key, key.id, _encode(key))
        return await self.get(key.id) or key

    async def keep_first(self, key: Key) -> bool:
        return bool(await self._asking.run(self._first, [self._asking.keys_key], [key.id, _encode(key)]))

    async def get(self, key_id: str) -> Key | None:
        body = await self._asking.do("HGET", self._asking.keys_key, key_id)
        return _decode(body) if body else None

    async def all(self) -> list[Key]:
        bodies = await self._asking.do("HVALS", self._asking.keys_key)
        return sorted((_decode(body) for body in bodies), key=lambda key: (key.created, key.id))

    async def touch(self, key_id: str, used: datetime) -> None:
        await self._replace(key_id, lambda key: msgspec.structs.replace(key, last_used=used))

    async def revoke(self, key_id: str, when: datetime) -> Key | None:
        def revoke(key: Key) -> Key:
            return key if key.revoked else msgspec.structs.replace(key, revoked=when)

        return await self._replace(key_id, revoke)

    async def _replace(self, key_id: str, change: Callable[[Key], Key]) -> Key | None:
        """Put another in a key's place, unless somebody else has done so meanwhile: then look again."""
        while True:
            body = await self._asking.do("HGET", self._asking.keys_key, key_id)
            if body is None:
                return None
            key = change(_decode(body))
            if await self._asking.run(self._swap, [self._asking.keys_key], [key_id, body, _encode(key)]):
                return key


class Secrets:
    """Each a key of its own, which Redis lets expire."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def keep(self, name: str, secret: bytes, seconds: int) -> None:
        await self._asking.do("SET", self._key(name), secret, "EX", seconds)

    async def get(self, name: str) -> bytes | None:
        secret: bytes | None = await self._asking.do("GET", self._key(name))
        return secret

    async def take(self, name: str) -> bytes | None:
        secret: bytes | None = await self._asking.do("GETDEL", self._key(name))
        return secret

    def _key(self, name: str) -> str:
        return f"{self._asking.keys_key}:secret:{name}"
