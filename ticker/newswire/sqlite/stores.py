"""People, keys, sessions, secrets that are kept for a while, and presence. Knows how the file keeps them, no line."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from ticker.identity import Key, Person
from ticker.newswire.sqlite.clock import MachineClock
from ticker.newswire.sqlite.transactions import Transactions
from ticker.newswire.stores import PRESENCE_FOR, Presence
from ticker.session import Session, superfluous

T = TypeVar("T", Key, Person, Session)


class _Table(Generic[T]):
    """A table of records, by their ids."""

    def __init__(self, transactions: Transactions, name: str, kind: type[T]) -> None:
        self._transactions = transactions
        self._name = name
        self._decode: Callable[[bytes], T] = msgspec.json.Decoder(kind).decode

    async def get(self, record_id: str) -> T | None:
        return await self._transactions.read(lambda db: self._get(db, record_id))

    async def all(self) -> list[T]:
        """By age."""
        return await self._transactions.read(self._all)

    async def change(self, record_id: str, change: Callable[[T], T]) -> T | None:
        def work(db: sqlite3.Connection) -> T | None:
            if (before := self._get(db, record_id)) is None:
                return None
            if (after := change(before)) is not before:
                self._put(db, after)
            return after

        return await self._transactions.write(work)

    async def _keep(self, record: T) -> T:
        """Unless there is one of this id: that one then."""

        def keep(db: sqlite3.Connection) -> T:
            if (before := self._get(db, record.id)) is None:
                self._put(db, record)
            return before or record

        return await self._transactions.write(keep)

    def _get(self, db: sqlite3.Connection, record_id: str) -> T | None:
        row = db.execute(f"SELECT body FROM {self._name} WHERE id = ?", (record_id,)).fetchone()
        return self._decode(row[0]) if row else None

    def _all(self, db: sqlite3.Connection) -> list[T]:
        rows = db.execute(f"SELECT body FROM {self._name}").fetchall()
        return sorted((self._decode(body) for (body,) in rows), key=lambda record: (record.created, record.id))

    def _put(self, db: sqlite3.Connection, record: T) -> None:
        db.execute(f"INSERT OR REPLACE INTO {self._name} VALUES (?, ?)", (record.id, msgspec.json.encode(record)))


class Keys(_Table[Key]):
    def __init__(self, transactions: Transactions) -> None:
        super().__init__(transactions, "key", Key)

    async def keep(self, key: Key) -> Key:
        return await self._keep(key)

    async def keep_first(self, key: Key) -> bool:
        def keep(db: sqlite3.Connection) -> bool:
            is_first = db.execute("SELECT 1 FROM key").fetchone() is None
            if is_first:
                self._put(db, key)
            return is_first

        return await self._transactions.write(keep)

    async def touch(self, key_id: str, used: datetime) -> None:
        await self.change(key_id, lambda key: replace(key, last_used=used))

    async def revoke(self, key_id: str, when: datetime) -> Key | None:
        return await self.change(key_id, lambda key: key if key.revoked else replace(key, revoked=when))


class People(_Table[Person]):
    def __init__(self, transactions: Transactions) -> None:
        super().__init__(transactions, "person", Person)

    async def keep(self, person: Person) -> Person:
        return await self._keep(person)


class Sessions(_Table[Session]):
    def __init__(self, transactions: Transactions, clock: MachineClock) -> None:
        super().__init__(transactions, "session", Session)
        self._clock = clock

    async def keep(self, session: Session) -> None:
        def keep(db: sqlite3.Connection) -> None:
            for each in superfluous(self._all(db), session, self._clock.now()):
                db.execute("DELETE FROM session WHERE id = ?", (each.id,))
            self._put(db, session)

        await self._transactions.write(keep)

    async def end(self, session_id: str) -> Session | None:
        def end(db: sqlite3.Connection) -> Session | None:
            row = db.execute("DELETE FROM session WHERE id = ? RETURNING body", (session_id,)).fetchone()
            return self._decode(row[0]) if row else None

        return await self._transactions.write(end)


class Secrets:
    def __init__(self, transactions: Transactions, clock: MachineClock) -> None:
        self._transactions = transactions
        self._clock = clock

    async def keep(self, name: str, secret: bytes, seconds: int) -> None:
        def keep(db: sqlite3.Connection) -> None:
            now = int(self._clock.seconds())
            db.execute("DELETE FROM secret WHERE until < ?", (now,))
            db.execute("INSERT OR REPLACE INTO secret VALUES (?, ?, ?)", (name, now + seconds, secret))

        await self._transactions.write(keep)

    async def keep_first(self, name: str, secret: bytes, seconds: int) -> bool:
        def keep(db: sqlite3.Connection) -> bool:
            now = int(self._clock.seconds())
            db.execute("DELETE FROM secret WHERE until < ?", (now,))
            kept = db.execute("INSERT OR IGNORE INTO secret VALUES (?, ?, ?)", (name, now + seconds, secret))
            return kept.rowcount == 1

        return await self._transactions.write(keep)

    async def get(self, name: str) -> bytes | None:
        def look(db: sqlite3.Connection) -> bytes | None:
            found = "SELECT body FROM secret WHERE name = ? AND until >= ?"
            row = db.execute(found, (name, int(self._clock.seconds()))).fetchone()
            return row[0] if row else None

        return await self._transactions.read(look)

    async def take(self, name: str) -> bytes | None:
        def take(db: sqlite3.Connection) -> bytes | None:
            db.execute("DELETE FROM secret WHERE until < ?", (int(self._clock.seconds()),))
            row = db.execute("DELETE FROM secret WHERE name = ? RETURNING body", (name,)).fetchone()
            return row[0] if row else None

        return await self._transactions.write(take)


class Readers:
    """Of this one node, so it is kept in no file."""

    def __init__(self, clock: MachineClock) -> None:
        self._clock = clock
        self._counts: dict[str, tuple[int, float]] = {}  # by channel: how many, and until when that stands

    async def report(self, readers: Mapping[str, int]) -> None:
        until = self._clock.seconds() + PRESENCE_FOR
        self._counts |= {slug: (count, until) for slug, count in readers.items()}

    async def of(self, channel: str) -> Presence:
        count, until = self._counts.get(channel, (0, 0.0))
        return Presence(count, 1) if self._clock.seconds() < until else Presence(0, 0)
