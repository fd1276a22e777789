"""Editors' keys, secrets that are kept for a while, and presence. Knows how the file keeps them; knows no line."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime

import msgspec

from ticker.identity import Key
from ticker.newswire.sqlite.clock import MachineClock
from ticker.newswire.sqlite.transactions import Transactions
from ticker.newswire.stores import PRESENCE_FOR, Presence

_decode = msgspec.json.Decoder(Key).decode


class Keys:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def keep(self, key: Key) -> Key:
        def keep(db: sqlite3.Connection) -> Key:
            if (before := _get(db, key.id)) is None:
                _put(db, key)
            return before or key

        return await self._transactions.write(keep)

    async def keep_first(self, key: Key) -> bool:
        def keep(db: sqlite3.Connection) -> bool:
            is_first = db.execute("SELECT 1 FROM key").fetchone() is None
            if is_first:
                _put(db, key)
            return is_first

        return await self._transactions.write(keep)

    async def get(self, key_id: str) -> Key | None:
        return await self._transactions.read(lambda db: _get(db, key_id))

    async def all(self) -> list[Key]:
        rows: list[tuple[bytes]] = await self._transactions.read(
            lambda db: db.execute("SELECT body FROM key").fetchall()
        )
        return sorted((_decode(body) for (body,) in rows), key=lambda key: (key.created, key.id))

    async def touch(self, key_id: str, used: datetime) -> None:
        def touch(db: sqlite3.Connection) -> None:
            if key := _get(db, key_id):
                _put(db, msgspec.structs.replace(key, last_used=used))

        await self._transactions.write(touch)

    async def revoke(self, key_id: str, when: datetime) -> Key | None:
        def revoke(db: sqlite3.Connection) -> Key | None:
            key = _get(db, key_id)
            if key and key.revoked is None:
                key = msgspec.structs.replace(key, revoked=when)
                _put(db, key)
            return key

        return await self._transactions.write(revoke)


def _get(db: sqlite3.Connection, key_id: str) -> Key | None:
    row = db.execute("SELECT body FROM key WHERE id = ?", (key_id,)).fetchone()
    return _decode(row[0]) if row else None


def _put(db: sqlite3.Connection, key: Key) -> None:
    db.execute("INSERT OR REPLACE INTO key VALUES (?, ?)", (key.id, msgspec.json.encode(key)))


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
