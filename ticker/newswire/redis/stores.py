"""People, keys, sessions, and secrets that are kept for a while. Knows how Redis keeps them; knows no line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from ticker.identity import Key, Person
from ticker.newswire.redis.asking import Asking, Script
from ticker.newswire.redis.clock import ServerClock
from ticker.session import Session, superfluous

T = TypeVar("T", Key, Person, Session)

_encode = msgspec.json.encode


class _Hash(Generic[T]):
    """A hash of records, by their ids."""

    def __init__(self, asking: Asking, key: str, kind: type[T]) -> None:
        self._asking = asking
        self._key = key
        self._decode: Callable[[bytes], T] = msgspec.json.Decoder(kind).decode
        self._swap = Script.named("swap.lua")

    async def get(self, record_id: str) -> T | None:
        body = await self._asking.do("HGET", self._key, record_id)
        return self._decode(body) if body else None

    async def all(self) -> list[T]:
        """By age."""
        bodies = await self._asking.do("HVALS", self._key)
        return sorted((self._decode(body) for body in bodies), key=lambda record: (record.created, record.id))

    async def change(self, record_id: str, change: Callable[[T], T]) -> T | None:
        """Put another in a record's place, unless somebody else has done so meanwhile: then look again."""
        while True:
            body = await self._asking.do("HGET", self._key, record_id)
            if body is None:
                return None
            before = self._decode(body)
            if (after := change(before)) is before:
                return before
            if await self._asking.run(self._swap, [self._key], [record_id, body, _encode(after)]):
                return after

    async def _keep(self, record: T) -> T:
        """Unless there is one of this id: that one then."""
        await self._asking.do("HSETNX", self._key, record.id, _encode(record))
        return await self.get(record.id) or record


class Keys(_Hash[Key]):
    def __init__(self, asking: Asking) -> None:
        super().__init__(asking, asking.keys_key, Key)
        self._first = Script.named("first.lua")

    async def keep(self, key: Key) -> Key:
        return await self._keep(key)

    async def keep_first(self, key: Key) -> bool:
        return bool(await self._asking.run(self._first, [self._key], [key.id, _encode(key)]))

    async def touch(self, key_id: str, used: datetime) -> None:
        await self.change(key_id, lambda key: replace(key, last_used=used))

    async def revoke(self, key_id: str, when: datetime) -> Key | None:
        return await self.change(key_id, lambda key: key if key.revoked else replace(key, revoked=when))


class People(_Hash[Person]):
    def __init__(self, asking: Asking) -> None:
        super().__init__(asking, f"{asking.keys_key}:people", Person)

    async def keep(self, person: Person) -> Person:
        return await self._keep(person)


class Sessions(_Hash[Session]):
    def __init__(self, asking: Asking, clock: ServerClock) -> None:
        super().__init__(asking, f"{asking.keys_key}:sessions", Session)
        self._clock = clock

    async def keep(self, session: Session) -> None:
        if ended := superfluous(await self.all(), session, self._clock.now()):
            await self._asking.do("HDEL", self._key, *(each.id for each in ended))
        await self._asking.do("HSET", self._key, session.id, _encode(session))

    async def end(self, session_id: str) -> Session | None:
        session = await self.get(session_id)
        return session if session and await self._asking.do("HDEL", self._key, session_id) else None


class Secrets:
    """Each a key of its own, which Redis lets expire."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def keep(self, name: str, secret: bytes, seconds: int) -> None:
        await self._asking.do("SET", self._key(name), secret, "EX", seconds)

    async def keep_first(self, name: str, secret: bytes, seconds: int) -> bool:
        return bool(await self._asking.do("SET", self._key(name), secret, "NX", "EX", seconds))

    async def get(self, name: str) -> bytes | None:
        secret: bytes | None = await self._asking.do("GET", self._key(name))
        return secret

    async def take(self, name: str) -> bytes | None:
        secret: bytes | None = await self._asking.do("GETDEL", self._key(name))
        return secret

    def _key(self, name: str) -> str:
        return f"{self._asking.keys_key}:secret:{name}"
