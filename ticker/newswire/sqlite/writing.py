"""Keeping and numbering a change: event, line and Idempotency-Key in one transaction. Knows no reader of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec

from ticker.channel import Channel
from ticker.errors import KeyReused, Locked
from ticker.line import Act, Cursor, Event, Line, NewLine, Patch, amend, begin, expect, withholds
from ticker.lock import Lock
from ticker.newswire import IDEMPOTENCY_FOR, KEY_REUSED, IdempotencyKey, Outcome, cursor_after
from ticker.newswire.sqlite.clock import MachineClock
from ticker.newswire.sqlite.reading import Reading, decode_line
from ticker.newswire.sqlite.transactions import Transactions

_encode = msgspec.json.encode
_decode_lock = msgspec.json.Decoder(Lock).decode


class Writing:
    """`announce` is called with each event that was kept, in that order."""

    def __init__(
        self, transactions: Transactions, clock: MachineClock, reading: Reading, announce: Callable[[Event], None]
    ) -> None:
        self._transactions = transactions
        self._clock = clock
        self._reading = reading
        self._announce = announce

    async def publish(self, channel: Channel, new_line: NewLine, act: Act, once: IdempotencyKey | None) -> Outcome:
        return await self._transactions.write(self._publish, channel, new_line, act, once)

    def _publish(
        self, db: sqlite3.Connection, channel: Channel, new_line: NewLine, act: Act, once: IdempotencyKey | None
    ) -> Outcome:
        if outcome := self._remembered(db, once):
            return outcome
        last = self._reading.head_in(db, channel.slug)
        cursor = cursor_after(last, self._clock.milliseconds())
        line = begin(new_line, channel, cursor)
        self.expect_unlocked(db, channel.slug)
        return self.keep(db, line, last, cursor, act, once)

    async def amend(
        self, channel: Channel, line_id: str, patch: Patch, act: Act, if_match: str | None, once: IdempotencyKey | None
    ) -> Outcome:
        return await self._transactions.write(self._amend, channel, line_id, patch, act, if_match, once)

    def _amend(
        self,
        db: sqlite3.Connection,
        channel: Channel,
        line_id: str,
        patch: Patch,
        act: Act,
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
        if not withholds(before, patch):
            self.expect_unlocked(db, channel.slug)
        return self.keep(db, after, last, cursor, act, once)

    def keep(
        self,
        db: sqlite3.Connection,
        line: Line,
        last: Cursor | None,
        cursor: Cursor,
        act: Act,
        once: IdempotencyKey | None,
    ) -> Outcome:
        """In the transaction that is open."""
        body = _encode(line)
        first = Cursor.parse(line.id)
        prev = None if last is None else str(last)
        expires = None if line.expires is None else int(line.expires.timestamp() * 1000)
        db.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (line.channel, cursor.ms, cursor.n, prev, first.ms, first.n, act.by.name, body, _encode(act)),
        )
        db.execute(
            "INSERT OR REPLACE INTO line VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (line.channel, first.ms, first.n, line.status, line.pinned, expires, cursor.ms, body),
        )
        db.execute("INSERT OR REPLACE INTO channel VALUES (?, ?, ?)", (line.channel, cursor.ms, cursor.n))
        self._remember(db, once, line)
        self._clock.note(cursor.ms)
        event = Event(channel=line.channel, cursor=str(cursor), prev=prev, line=line, act=act)
        self._transactions.then(self._announce, event)
        return Outcome(line, event)

    def expect_unlocked(self, db: sqlite3.Connection, channel: str) -> None:
        """Raises Locked. In the transaction that is open."""
        if row := db.execute("SELECT body FROM lock WHERE channel = ?", (channel,)).fetchone():
            lock = _decode_lock(row[0])
            raise Locked(channel, lock.reason, lock.by.name)

    async def remembered(self, once: IdempotencyKey) -> Outcome | str | None:
        """What was answered under this key: an outcome, or the id of a draft. Raises KeyReused."""
        return await self._transactions.read(self._answered, once)

    def _answered(self, db: sqlite3.Connection, once: IdempotencyKey) -> Outcome | str | None:
        row = db.execute("SELECT fingerprint, at, body, draft FROM once WHERE key = ?", (once.key,)).fetchone()
        if row is None or row[1] < self._clock.seconds() - IDEMPOTENCY_FOR:
            return None
        if row[0] != once.fingerprint:
            raise KeyReused(KEY_REUSED)
        return str(row[3]) if row[3] else Outcome(decode_line(row[2]), None, replayed=True)

    def draft_remembered(self, db: sqlite3.Connection, once: IdempotencyKey) -> str | None:
        """The id of the draft that this request has become before. In the transaction that is open. Raises KeyReused
        if it has become a line."""
        answered = self._answered(db, once)
        if isinstance(answered, Outcome):
            raise KeyReused(KEY_REUSED)
        return answered

    def remember_draft(self, db: sqlite3.Connection, once: IdempotencyKey, draft_id: str) -> None:
        """In the transaction that is open."""
        db.execute(
            "INSERT OR REPLACE INTO once VALUES (?, ?, ?, ?, ?)",
            (once.key, once.fingerprint, int(self._clock.seconds()), b"", draft_id),
        )

    def _remembered(self, db: sqlite3.Connection, once: IdempotencyKey | None) -> Outcome | None:
        """The outcome that this Idempotency-Key has had. Raises KeyReused if the body was different."""
        answered = None if once is None else self._answered(db, once)
        if isinstance(answered, str):  # a draft: what the request asks for has changed its way since
            raise KeyReused(KEY_REUSED)
        return answered

    def _remember(self, db: sqlite3.Connection, once: IdempotencyKey | None, line: Line) -> None:
        if once:
            db.execute(
                "INSERT OR REPLACE INTO once VALUES (?, ?, ?, ?, NULL)",
                (once.key, once.fingerprint, int(self._clock.seconds()), _encode(line)),
            )
