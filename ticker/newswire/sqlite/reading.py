"""Boards, lines and history, as SQLite keeps them. Knows what is read; changes nothing."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Mapping

import msgspec

from ticker.board import RESERVE, TOMBSTONES
from ticker.channel import Channel
from ticker.errors import NotFound
from ticker.identity import Actor
from ticker.line import Act, Cursor, Event, Line
from ticker.newswire import Page, Snapshot, no_event, no_line, no_versions
from ticker.newswire.sqlite.clock import MachineClock
from ticker.newswire.sqlite.transactions import Transactions

decode_line = msgspec.json.Decoder(Line).decode
_decode_act = msgspec.json.Decoder(Act).decode
_EVENT = "ms, n, prev, by, body, act"


class Reading:
    """What ends in `_in` is read within a transaction that is open."""

    def __init__(self, transactions: Transactions, clock: MachineClock, channels: Mapping[str, Channel]) -> None:
        self._transactions = transactions
        self._clock = clock
        self._channels = channels

    async def heads(self) -> dict[str, str | None]:
        rows: list[tuple[str, int, int]] = await self._transactions.read(
            lambda db: db.execute("SELECT slug, ms, n FROM channel").fetchall()
        )
        heads = {slug: str(Cursor(ms, n)) for slug, ms, n in rows}
        return {slug: heads.get(slug) for slug in self._channels}

    def head_in(self, db: sqlite3.Connection, slug: str) -> Cursor | None:
        row = db.execute("SELECT ms, n FROM channel WHERE slug = ?", (slug,)).fetchone()
        return None if row is None else Cursor(*row)

    async def snapshot(self, channel: Channel) -> Snapshot:
        return await self._transactions.read(self.snapshot_in, channel)

    def snapshot_in(self, db: sqlite3.Connection, channel: Channel) -> Snapshot:
        now = self._clock.milliseconds()
        head = self.head_in(db, channel.slug)
        newest = "ORDER BY pinned DESC, ms DESC, n DESC LIMIT ?"
        usable = db.execute(
            "SELECT body FROM line WHERE channel = ? AND status = 'usable' "
            f"AND (expires IS NULL OR expires > ?) {newest}",
            (channel.slug, now, RESERVE),
        ).fetchall()
        tombstones = db.execute(
            f"SELECT body FROM line WHERE channel = ? AND status IN ('withheld', 'canceled') AND updated > ? {newest}",
            (channel.slug, now - channel.tombstones_for * 1000, TOMBSTONES),
        ).fetchall()
        return Snapshot(None if head is None else str(head), [decode_line(body) for (body,) in usable + tombstones])

    async def line(self, channel: str, line_id: str) -> Line:
        return await self._transactions.read(self.line_in, channel, line_id)

    def line_in(self, db: sqlite3.Connection, channel: str, line_id: str) -> Line:
        first = Cursor.of_line(line_id)
        row = db.execute(
            "SELECT body FROM line WHERE channel = ? AND ms = ? AND n = ?", (channel, first.ms, first.n)
        ).fetchone()
        if row is None:
            raise no_line(channel, line_id)
        return decode_line(row[0])

    async def lines(self, channel: str, ids: Collection[str]) -> dict[str, Line]:
        """In one transaction."""

        def look(db: sqlite3.Connection) -> dict[str, Line]:
            found = {}
            for line_id in ids:
                with contextlib.suppress(NotFound):
                    found[line_id] = self.line_in(db, channel, line_id)
            return found

        return await self._transactions.read(look)

    async def versions(self, channel: str, line_id: str) -> list[Event]:
        return await self._transactions.read(self._versions, channel, line_id)

    def _versions(self, db: sqlite3.Connection, channel: str, line_id: str) -> list[Event]:
        first = Cursor.of_line(line_id)
        rows = db.execute(
            f"SELECT {_EVENT} FROM event WHERE channel = ? AND line_ms = ? AND line_n = ? ORDER BY ms, n",
            (channel, first.ms, first.n),
        ).fetchall()
        if not rows:
            raise no_versions(channel, line_id)
        return [_event(channel, *row) for row in rows]

    async def recent(self, channel: str, since: int, limit: int) -> list[Event]:
        """The newest events from `since` on, in milliseconds; newest first."""
        found = f"SELECT {_EVENT} FROM event WHERE channel = ? AND ms >= ? ORDER BY ms DESC, n DESC LIMIT ?"
        return await self._transactions.read(
            lambda db: [_event(channel, *row) for row in db.execute(found, (channel, since, limit))]
        )

    async def events(self, channel: str, after: str | None, limit: int) -> Page:
        return await self._transactions.read(self._events, channel, after, limit)

    def _events(self, db: sqlite3.Connection, channel: str, after: str | None, limit: int) -> Page:
        start = Cursor(-1, 0) if after is None else Cursor.parse(after)
        if after is not None:
            known = db.execute(
                "SELECT 1 FROM event WHERE channel = ?1 AND ms = ?2 AND n = ?3 "
                "UNION SELECT 1 FROM channel WHERE slug = ?1 AND ms = ?2 AND n = ?3",
                (channel, start.ms, start.n),
            ).fetchone()
            if not known:
                raise no_event(channel, after)
        rows = db.execute(
            "SELECT e.ms, e.n, e.prev, e.by, e.body, e.act, coalesce(l.status, 'canceled') FROM event e "
            "LEFT JOIN line l ON l.channel = e.channel AND l.ms = e.line_ms AND l.n = e.line_n "
            "WHERE e.channel = ? AND (e.ms, e.n) > (?, ?) ORDER BY e.ms, e.n LIMIT ?",
            (channel, start.ms, start.n, limit + 1),
        ).fetchall()
        events = [_event(channel, *row[:6]) for row in rows[:limit]]
        withdrawn = {event.line.id: row[6] for event, row in zip(events, rows, strict=False) if row[6] != "usable"}
        return Page(events, withdrawn, more=len(rows) > limit)


def _event(channel: str, ms: int, n: int, prev: str | None, by: str, body: bytes, act: bytes | None) -> Event:
    how = Act(by=Actor(None, by)) if act is None else _decode_act(act)
    return Event(channel=channel, cursor=str(Cursor(ms, n)), prev=prev, line=decode_line(body), act=how)
