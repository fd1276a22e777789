"""The ledger of corrections, as the file keeps it. Knows entries; decides on none."""

from __future__ import annotations

import sqlite3

import msgspec

from ticker.corrections import Correction
from ticker.line import Cursor
from ticker.newswire.sqlite.transactions import Transactions

_decode = msgspec.json.Decoder(Correction).decode
_LAST = Cursor(2**62, 0)


class Corrections:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def upto(self, channel: str) -> str | None:
        def look(db: sqlite3.Connection) -> str | None:
            row = db.execute("SELECT upto FROM ledger WHERE channel = ?", (channel,)).fetchone()
            return row[0] if row else None

        return await self._transactions.read(look)

    async def keep(self, channel: str, found: list[Correction], upto: str) -> None:
        def keep(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT OR IGNORE INTO correction VALUES (?, ?, ?, ?)",
                [(channel, *Cursor.parse(each.cursor), msgspec.json.encode(each)) for each in found],
            )
            db.execute("INSERT OR REPLACE INTO ledger VALUES (?, ?)", (channel, upto))

        await self._transactions.write(keep)

    async def page(self, channel: str, before: Cursor | None, limit: int) -> list[Correction]:
        rows: list[tuple[bytes]] = await self._transactions.read(
            lambda db: db.execute(
                "SELECT body FROM correction WHERE channel = ? AND (ms, n) < (?, ?) ORDER BY ms DESC, n DESC LIMIT ?",
                (channel, *(before or _LAST), limit),
            ).fetchall()
        )
        return [_decode(body) for (body,) in rows]

    async def reset(self, channel: str) -> None:
        def reset(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM correction WHERE channel = ?", (channel,))
            db.execute("DELETE FROM ledger WHERE channel = ?", (channel,))

        await self._transactions.write(reset)
