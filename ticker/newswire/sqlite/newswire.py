"""The newswire in one file, opened and closed. Knows its rooms; does nothing that one of them does."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path

from ticker.channel import Channel
from ticker.draft import Draft, Place, State
from ticker.line import Act, Event, Line, NewLine, Patch
from ticker.lock import Lock
from ticker.newswire import DraftPage, Due, IdempotencyKey, Inspection, Outcome, Page, Settlement, Snapshot
from ticker.newswire.sqlite.checking import Checking
from ticker.newswire.sqlite.clock import MachineClock
from ticker.newswire.sqlite.corrections import Corrections
from ticker.newswire.sqlite.drafts import Drafts
from ticker.newswire.sqlite.following import Following
from ticker.newswire.sqlite.migrations import migrate
from ticker.newswire.sqlite.reading import Reading
from ticker.newswire.sqlite.stores import Keys, People, Readers, Secrets, Sessions
from ticker.newswire.sqlite.transactions import Transactions
from ticker.newswire.sqlite.trimming import Trimming
from ticker.newswire.sqlite.writing import Writing

log = logging.getLogger("ticker.newswire")


class SqliteNewswire:
    """A newswire in one file. `clock` gives seconds since 1970."""

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self._channels: dict[str, Channel] = {}  # shared with the rooms; `open` says which
        self._clock = MachineClock(clock)
        self._following = Following()
        self._transactions = Transactions(self.path)
        self._reading = Reading(self._transactions, self._clock, self._channels)
        self._writing = Writing(self._transactions, self._clock, self._reading, self._following.announce)
        self._checking = Checking(self._transactions, self._clock, self._reading)
        self._drafts = Drafts(
            self._transactions, self._clock, self._reading, self._writing, self._following.desk_changed
        )
        self._trimming = Trimming(self._transactions, self._clock, self._channels)
        self.keys = Keys(self._transactions)
        self.people = People(self._transactions)
        self.sessions = Sessions(self._transactions, self._clock)
        self.secrets = Secrets(self._transactions, self._clock)
        self.presence = Readers(self._clock)
        self.corrections = Corrections(self._transactions)
        self._tasks: list[asyncio.Task[None]] = []

    # Opening and closing

    async def open(self, channels: Mapping[str, Channel]) -> None:
        self._channels.update(channels)
        try:
            await self._transactions.open(self._prepare)
        except BaseException:
            await self.close()
            raise
        if sentence := self.clock_is_off():
            log.warning("%s", sentence)
        ever = self._trimming.go_on, self._transactions.watch, self._checking.go_on
        self._tasks = [asyncio.create_task(work()) for work in ever]

    def _prepare(self, db: sqlite3.Connection) -> None:
        schema = self._checking.schema(db)
        db.execute("PRAGMA secure_delete = ON")  # what is deleted, canceled words too, is overwritten
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        if schema:
            self._checking.newest(db, self._channels)
        migrate(db, self.path, schema)

    async def close(self) -> None:
        self._checking.interrupt()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._checking.close()
        await self._transactions.close()

    async def inspect(self, channels: Mapping[str, Channel]) -> Inspection:
        return await asyncio.to_thread(self._checking.inspect, channels)

    async def trim(self) -> None:
        await self._trimming.trim()

    # What the rooms do

    def now(self) -> datetime:
        return self._clock.now()

    def clock_is_off(self) -> str | None:
        return self._clock.is_off()

    def versions_are_mixed(self) -> str | None:
        return None  # one file serves one node

    def settings_differ(self) -> str | None:
        return None

    async def publish(
        self, channel: Channel, new_line: NewLine, *, act: Act, once: IdempotencyKey | None = None
    ) -> Outcome:
        return await self._writing.publish(channel, new_line, act, once)

    async def amend(
        self,
        channel: Channel,
        line_id: str,
        patch: Patch,
        *,
        act: Act,
        if_match: str | None = None,
        once: IdempotencyKey | None = None,
    ) -> Outcome:
        return await self._writing.amend(channel, line_id, patch, act, if_match, once)

    async def remembered(self, channel: str, once: IdempotencyKey) -> Outcome | Draft | None:
        answered = await self._writing.remembered(once)
        return await self._drafts.get(channel, answered) if isinstance(answered, str) else answered

    async def keep_draft(self, draft: Draft, *, once: IdempotencyKey | None = None) -> Draft:
        return await self._drafts.keep(draft, once)

    async def draft(self, channel: str, draft_id: str) -> Draft:
        return await self._drafts.get(channel, draft_id)

    async def drafts(
        self, channel: str, states: Collection[State], limit: int, after: Place | None = None
    ) -> DraftPage:
        return await self._drafts.page(channel, states, limit, after)

    async def change_draft(self, channel: str, draft_id: str, change: Callable[[Draft], Draft]) -> Draft:
        return await self._drafts.change(channel, draft_id, change)

    async def settle(self, channel: Channel, draft_id: str, prepare: Callable[[Draft, datetime], Draft]) -> Settlement:
        return await self._drafts.settle(channel, draft_id, prepare)

    async def upcoming(self, channels: Collection[str], limit: int) -> list[Due]:
        return await self._drafts.upcoming(channels, limit)

    async def locks(self) -> dict[str, Lock]:
        locks = await self._drafts.locks()
        return {slug: lock for slug, lock in locks.items() if slug in self._channels}

    async def lock(self, channel: str, lock: Lock) -> None:
        await self._drafts.lock(channel, lock)

    async def unlock(self, channel: str, lock: Lock) -> None:
        await self._drafts.unlock(channel, lock)

    def on_desk_change(self, heard: Callable[[str], None]) -> None:
        self._following.at_the_desk.append(heard)

    async def recent(self, channel: str, since: datetime, limit: int) -> list[Event]:
        return await self._reading.recent(channel, int(since.timestamp() * 1000), limit)

    async def snapshot(self, channel: Channel) -> Snapshot:
        return await self._reading.snapshot(channel)

    async def line(self, channel: str, line_id: str) -> Line:
        return await self._reading.line(channel, line_id)

    async def lines(self, channel: str, ids: Collection[str]) -> dict[str, Line]:
        return await self._reading.lines(channel, ids)

    async def versions(self, channel: str, line_id: str) -> list[Event]:
        return await self._reading.versions(channel, line_id)

    async def events(self, channel: str, after: str | None, limit: int) -> Page:
        return await self._reading.events(channel, after, limit)

    async def heads(self) -> dict[str, str | None]:
        return await self._reading.heads()

    def tail(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        return self._following.tail()

    async def probe(self) -> None:
        await self._transactions.probe()
        self._checking.expect_whole()
