"""Drafts and the desk's lock: kept, changed, and released in the transaction that publishes. Knows no clock but the
newswire's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from datetime import datetime

import msgspec

from ticker.channel import Channel
from ticker.draft import LIVING, LIVING_MAX, Draft, NotDue, Place, State, act_of, microseconds, settle
from ticker.errors import NotFound, Refused
from ticker.line import Cursor, Line
from ticker.lock import Lock, over
from ticker.newswire import (
    TOO_MANY_DRAFTS,
    DraftPage,
    Due,
    IdempotencyKey,
    Outcome,
    Settlement,
    cursor_after,
    no_draft,
)
from ticker.newswire.sqlite.clock import MachineClock
from ticker.newswire.sqlite.reading import Reading
from ticker.newswire.sqlite.transactions import Transactions
from ticker.newswire.sqlite.writing import Writing

_decode = msgspec.json.Decoder(Draft).decode
_decode_lock = msgspec.json.Decoder(Lock).decode
_encode = msgspec.json.encode


class Drafts:
    """`changed` is called with each channel whose drafts or lock have changed, as soon as that is kept."""

    def __init__(
        self,
        transactions: Transactions,
        clock: MachineClock,
        reading: Reading,
        writing: Writing,
        changed: Callable[[str], None],
    ) -> None:
        self._transactions = transactions
        self._clock = clock
        self._reading = reading
        self._writing = writing
        self._changed = changed

    # Reading

    async def get(self, channel: str, draft_id: str) -> Draft:
        return await self._transactions.read(self._get, channel, draft_id)

    def _get(self, db: sqlite3.Connection, channel: str, draft_id: str) -> Draft:
        row = db.execute("SELECT body FROM draft WHERE channel = ? AND id = ?", (channel, draft_id)).fetchone()
        if row is None:
            raise no_draft(channel, draft_id)
        return _decode(row[0])

    async def page(self, channel: str, states: Collection[State], limit: int, after: Place | None) -> DraftPage:
        return await self._transactions.read(self._page, channel, states, limit, after)

    def _page(
        self, db: sqlite3.Connection, channel: str, states: Collection[State], limit: int, after: Place | None
    ) -> DraftPage:
        last = after or Place(2**62, "")
        rows: list[tuple[int, str, bytes]] = []
        for state in set(states):  # one after the other, so that the index has each in its order
            rows += db.execute(
                "SELECT updated, id, body FROM draft WHERE channel = ? AND state = ? AND (updated, id) < (?, ?) "
                "ORDER BY updated DESC, id DESC LIMIT ?",
                (channel, state, *last, limit + 1),
            ).fetchall()
        rows.sort(reverse=True)
        return DraftPage([_decode(body) for _, _, body in rows[:limit]], more=len(rows) > limit)

    async def upcoming(self, channels: Collection[str], limit: int) -> list[Due]:
        marks = ", ".join("?" * len(channels))
        found = (  # "+": by the index of what is due, which has them in this order, and not by the channels
            f"SELECT channel, id, due FROM draft WHERE due IS NOT NULL AND +channel IN ({marks}) "
            "ORDER BY due, created, id LIMIT ?"
        )
        return await self._transactions.read(lambda db: [Due(*row) for row in db.execute(found, (*channels, limit))])

    # Changing

    async def keep(self, draft: Draft, once: IdempotencyKey | None) -> Draft:
        return await self._transactions.write(self._keep_new, draft, once)

    def _keep_new(self, db: sqlite3.Connection, draft: Draft, once: IdempotencyKey | None) -> Draft:
        if once and (kept := self._writing.draft_remembered(db, once)):
            return self._get(db, draft.channel, kept)
        marks = ", ".join("?" * len(LIVING))
        living = f"SELECT count(*) FROM draft WHERE channel = ? AND state IN ({marks})"
        if db.execute(living, (draft.channel, *LIVING)).fetchone()[0] >= LIVING_MAX:
            raise Refused(TOO_MANY_DRAFTS.format(LIVING_MAX))
        if once:
            self._writing.remember_draft(db, once, draft.id)
        self._keep(db, draft)
        return draft

    async def change(self, channel: str, draft_id: str, change: Callable[[Draft], Draft]) -> Draft:
        return await self._transactions.write(self._change, channel, draft_id, change)

    def _change(self, db: sqlite3.Connection, channel: str, draft_id: str, change: Callable[[Draft], Draft]) -> Draft:
        before = self._get(db, channel, draft_id)
        after = change(before)
        if after is not before:
            self._keep(db, after)
        return after

    async def settle(self, channel: Channel, draft_id: str, prepare: Callable[[Draft, datetime], Draft]) -> Settlement:
        return await self._transactions.write(self._settle, channel, draft_id, prepare)

    def _settle(
        self,
        db: sqlite3.Connection,
        channel: Channel,
        draft_id: str,
        prepare: Callable[[Draft, datetime], Draft],
    ) -> Settlement:
        last = self._reading.head_in(db, channel.slug)
        clock = Cursor(self._clock.milliseconds(), 0)
        cursor, now = cursor_after(last, clock.ms), clock.time  # the cursor is ahead of a clock that was put back
        kept = self._get(db, channel.slug, draft_id)
        draft = prepare(kept, now)
        if draft.due is None or draft.due > now:
            if draft is kept:
                raise NotDue("The draft is not due.")
            self._keep(db, draft)
            return Settlement(draft, None)
        self._writing.expect_unlocked(db, channel.slug)
        settled = settle(draft, self._line(db, channel.slug, draft), channel, cursor, now)
        self._keep(db, settled.draft)
        if settled.line is None:
            return Settlement(settled.draft, None)
        if not settled.is_change:
            return Settlement(settled.draft, Outcome(settled.line, None))
        outcome = self._writing.keep(db, settled.line, last, cursor, act_of(draft), None)
        return Settlement(settled.draft, outcome)

    def _line(self, db: sqlite3.Connection, slug: str, draft: Draft) -> Line | None:
        if draft.line is None:
            return None
        try:
            return self._reading.line_in(db, slug, draft.line)
        except NotFound:
            return None

    def _keep(self, db: sqlite3.Connection, draft: Draft) -> None:
        due = None if draft.due is None else microseconds(draft.due) // 1000
        db.execute(
            "INSERT OR REPLACE INTO draft VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                draft.channel,
                draft.id,
                draft.state,
                microseconds(draft.created),
                microseconds(draft.updated),
                due,
                _encode(draft),
            ),
        )
        self._transactions.then(self._changed, draft.channel)

    # The desk's lock

    async def locks(self) -> dict[str, Lock]:
        rows: list[tuple[str, bytes]] = await self._transactions.read(
            lambda db: db.execute("SELECT channel, body FROM lock").fetchall()
        )
        return {channel: _decode_lock(body) for channel, body in rows}

    async def lock(self, channel: str, lock: Lock) -> None:
        await self._transactions.write(self._lock, channel, lock)

    def _lock(self, db: sqlite3.Connection, channel: str, lock: Lock) -> None:
        row = db.execute("SELECT body FROM lock WHERE channel = ?", (channel,)).fetchone()
        upon = over(_decode_lock(row[0]) if row else None, lock)
        self._set_lock(db, "INSERT OR REPLACE INTO lock VALUES (?, ?)", channel, _encode(upon))

    async def unlock(self, channel: str, lock: Lock) -> None:
        await self._transactions.write(
            self._set_lock, "DELETE FROM lock WHERE channel = ? AND body = ?", channel, _encode(lock)
        )

    def _set_lock(self, db: sqlite3.Connection, how: str, channel: str, body: bytes) -> None:
        if db.execute(how, (channel, body)).rowcount:
            self._transactions.then(self._changed, channel)
