"""Keeping and numbering a change: event, line and Idempotency-Key in one transaction. Knows no reader of it."""

from __future__ import annotations

import sqlite3

import msgspec

from ticker.channel import Channel
from ticker.errors import KeyReused
from ticker.line import Cursor, Event, Line, NewLine, Patch, amend, begin, expect
from ticker.newswire import IDEMPOTENCY_FOR, KEY_REUSED, IdempotencyKey, Outcome, cursor_after
from ticker.newswire.sqlite.clock import MachineClock
from ticker.newswire.sqlite.reading import Reading, decode_line
from ticker.newswire.sqlite.transactions import Transactions

_encode = msgspec.json.encode


class Writing:
    def __init__(self, transactions: Transactions, clock: MachineClock, reading: Reading) -> None:
        self._transactions = transactions
        self._clock = clock
        self._reading = reading

    async def publish(self, channel: Channel, new_line: NewLine, by: str, once: IdempotencyKey | None) -> Outcome:
        return await self._transactions.write(self._publish, channel, new_line, by, once)

    def _publish(
        self, db: sqlite3.Connection, channel: Channel, new_line: NewLine, by: str, once: IdempotencyKey | None
    ) -> Outcome:
        if outcome := self._remembered(db, once):
            return outcome
        last = self._reading.head_in(db, channel.slug)
        cursor = cursor_after(last, self._clock.milliseconds())
        return self._keep(db, begin(new_line, channel, cursor), last, cursor, by, once)

    async def amend(
        self, channel: Channel, line_id: str, patch: Patch, by: str, if_match: str | None, once: IdempotencyKey | None
    ) -> Outcome:
        return await self._transactions.write(self._amend, channel, line_id, patch, by, if_match, once)

    def _amend(
        self,
        db: sqlite3.Connection,
        channel: Channel,
        line_id: str,
        patch: Patch,
        by: str,
        if_match: str | None,
        once: IdempotencyKey | None,
    ) -> Outcome:
        if outcome := self._remembered(db, once):
            return outcome
        before = self._reading.line_in(db, channel.slug, line_id)
        expect(before, if_match)
        last = self._reading.head_in(db, channel.slug)
        cursor = cursor_after(last, self._clock.milliseconds())
        after = amend(before, patch, cursor)
        if after is before:
            self._remember(db, once, before)
            return Outcome(before, None)
        return self._keep(db, after, last, cursor, by, once)

    def _keep(
        self,
        db: sqlite3.Connection,
        line: Line,
        last: Cursor | None,
        cursor: Cursor,
        by: str,
        once: IdempotencyKey | None,
    ) -> Outcome:
        body = _encode(line)
        first = Cursor.parse(line.id)
        prev = None if last is None else str(last)
        expires = None if line.expires is None else int(line.expires.timestamp() * 1000)
        db.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (line.channel, cursor.ms, cursor.n, prev, first.ms, first.n, by, body),
        )
        db.execute(
            "INSERT OR REPLACE INTO line VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (line.channel, first.ms, first.n, line.status, line.pinned, expires, cursor.ms, body),
        )
        db.execute("INSERT OR REPLACE INTO channel VALUES (?, ?, ?)", (line.channel, cursor.ms, cursor.n))
        self._remember(db, once, line)
        self._clock.note(cursor.ms)
        return Outcome(line, Event(channel=line.channel, cursor=str(cursor), prev=prev, line=line, by=by))

    def _remembered(self, db: sqlite3.Connection, once: IdempotencyKey | None) -> Outcome | None:
        """The outcome that this Idempotency-Key has had. Raises KeyReused where the body was another."""
        if once is None:
            return None
        row = db.execute("SELECT fingerprint, at, body FROM once WHERE key = ?", (once.key,)).fetchone()
        if row is None or row[1] < self._clock.seconds() - IDEMPOTENCY_FOR:
            return None
        if row[0] != once.fingerprint:
            raise KeyReused(KEY_REUSED)
        return Outcome(decode_line(row[2]), None, replayed=True)

    def _remember(self, db: sqlite3.Connection, once: IdempotencyKey | None, line: Line) -> None:
        if once:
            db.execute(
                "INSERT OR REPLACE INTO once VALUES (?, ?, ?, ?)",
                (once.key, once.fingerprint, int(self._clock.seconds()), _encode(line)),
            )
