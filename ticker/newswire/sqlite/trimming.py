"""Letting go of what is too old, a small transaction at a time; editors come in between. Knows ages."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Mapping

from ticker.board import RESERVE
from ticker.channel import Channel
from ticker.draft import ENDED, KEPT_FOR
from ticker.errors import NewswireUnavailable
from ticker.newswire import IDEMPOTENCY_FOR
from ticker.newswire.sqlite.clock import MachineClock
from ticker.newswire.sqlite.transactions import Transactions
from ticker.newswire.trouble import Trouble

HOUSEKEEPING = 3_600.0  # seconds between two trimmings of the history
TRIM_AT_ONCE = 300  # rows a transaction; a publish waits for one such step at most

log = logging.getLogger("ticker.newswire")


class Trimming:
    def __init__(self, transactions: Transactions, clock: MachineClock, channels: Mapping[str, Channel]) -> None:
        self._transactions = transactions
        self._clock = clock
        self._channels = channels
        self._untrimmed = Trouble(log, "The history can be trimmed again")

    async def go_on(self) -> None:
        """Trim now and then, for ever."""
        while True:
            try:
                await self.trim()
                self._untrimmed.ends()
            except NewswireUnavailable as error:
                self._untrimmed.begins(f"The history could not be trimmed: {error.detail}")
            await asyncio.sleep(HOUSEKEEPING)

    async def trim(self) -> None:
        """Trim the history to what each channel keeps."""
        read, write = self._transactions.read, self._transactions.write
        trimmed = 0
        for channel in self._channels.values():
            while count := await write(self._trim_events, channel):
                trimmed += count
            while count := await write(self._trim_corrections, channel):
                trimmed += count
            while old := await read(self._old_lines, channel):
                trimmed += await write(self._trim_lines, channel, old)
            while count := await write(self._trim_drafts, channel):
                trimmed += count
        while count := await write(self._trim_outcomes):
            trimmed += count
        if trimmed:  # the log of changes still holds the pages as they were
            await self._transactions.fold_in()

    def _trim_events(self, db: sqlite3.Connection, channel: Channel) -> int:
        # Row by row, not by time: a clock that stepped back gives many events one millisecond.
        oldest_kept = self._clock.milliseconds() - channel.history_for * 1000
        return db.execute(
            "DELETE FROM event WHERE (channel, ms, n) IN "
            "(SELECT channel, ms, n FROM event WHERE channel = ? AND ms < ? ORDER BY ms, n LIMIT ?)",
            (channel.slug, oldest_kept, TRIM_AT_ONCE),
        ).rowcount

    def _trim_corrections(self, db: sqlite3.Connection, channel: Channel) -> int:
        return db.execute(
            "DELETE FROM correction WHERE (channel, ms, n) IN "
            "(SELECT channel, ms, n FROM correction WHERE channel = ? AND ms < ? ORDER BY ms, n LIMIT ?)",
            (channel.slug, self._clock.milliseconds() - channel.history_for * 1000, TRIM_AT_ONCE),
        ).rowcount

    def _old_lines(self, db: sqlite3.Connection, channel: Channel) -> list[tuple[int, int, int]]:
        """Some that can't show any more. Those that may still show stay, however old."""
        now = self._clock.milliseconds()
        return db.execute(
            "SELECT ms, n, updated FROM line WHERE channel = ?1 AND updated < ?2 AND ("
            "(status <> 'usable' AND updated <= ?5) OR (status = 'usable' AND (expires <= ?3 "
            "OR (ms, n) NOT IN (SELECT ms, n FROM line WHERE channel = ?1 AND status = 'usable' "
            "ORDER BY pinned DESC, ms DESC, n DESC LIMIT ?4)))) LIMIT ?6",
            (
                channel.slug,
                now - channel.history_for * 1000,
                now,
                RESERVE,
                now - channel.tombstones_for * 1000,
                TRIM_AT_ONCE,
            ),
        ).fetchall()

    def _trim_lines(self, db: sqlite3.Connection, channel: Channel, old: list[tuple[int, int, int]]) -> int:
        """Those of them that haven't changed meanwhile."""
        return db.executemany(
            "DELETE FROM line WHERE channel = ? AND ms = ? AND n = ? AND updated = ?",
            [(channel.slug, *line) for line in old],
        ).rowcount

    def _trim_drafts(self, db: sqlite3.Connection, channel: Channel) -> int:
        """Those that ended long ago."""
        marks = ", ".join("?" * len(ENDED))
        return db.execute(
            "DELETE FROM draft WHERE (channel, id) IN (SELECT channel, id FROM draft "
            f"WHERE channel = ? AND state IN ({marks}) AND updated < ? LIMIT ?)",
            (channel.slug, *ENDED, (self._clock.milliseconds() - KEPT_FOR * 1000) * 1000, TRIM_AT_ONCE),
        ).rowcount

    def _trim_outcomes(self, db: sqlite3.Connection) -> int:
        return db.execute(
            "DELETE FROM once WHERE key IN (SELECT key FROM once WHERE at < ? LIMIT ?)",
            (int(self._clock.seconds()) - IDEMPOTENCY_FOR, TRIM_AT_ONCE),
        ).rowcount
