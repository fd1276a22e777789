"""The embedded newswire: one file, one node. Knows SQLite; the only file that does.

One thread writes, one reads; the event loop never waits for the disk. A change is one transaction
(event + line + idempotency key), synced to disk before anyone is told (WAL, synchronous=FULL).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import msgspec

from ticker.board import RESERVE, TOMBSTONES
from ticker.channel import Channel
from ticker.errors import Gone, KeyReused, Misconfigured, NewswireFull, NewswireUnavailable, NotFound
from ticker.key import Key
from ticker.line import Cursor, Draft, Event, Line, Patch, amend, begin, expect
from ticker.newswire import (
    CLOCK_OFF,
    KEY_REUSED,
    ONCE_FOR,
    PRESENCE_FOR,
    Inspection,
    Once,
    Page,
    Presence,
    Receipt,
    Snapshot,
)
from ticker.newswire.file import MAGIC, Header, OwnFile, inspect, locked
from ticker.newswire.trouble import Trouble

APPLICATION_ID = 0x5469636B  # "Tick": another program's file is refused, not written to
SCHEMA_VERSION = 2
BUSY_TIMEOUT = 2.0  # seconds; a back-up may hold the file for a moment, an editor waits no longer
HOUSEKEEPING = 3_600.0  # seconds between two trimmings of the history
TRIM_AT_ONCE = 300  # rows a transaction; a publish waits for one such step at most
WATCH_EVERY = 2.0  # seconds between two looks whether the file is still the one
PROBE_EVERY = 1.0  # seconds; whoever asks more often whether it can be written gets the last answer
NEWEST = 100  # events a channel that are read at start; the whole file is checked afterwards

_SCHEMA = """
CREATE TABLE channel (
    slug TEXT PRIMARY KEY,
    ms INTEGER NOT NULL, n INTEGER NOT NULL             -- its last event; outlives trimming
) WITHOUT ROWID;
CREATE TABLE event (
    channel TEXT NOT NULL, ms INTEGER NOT NULL, n INTEGER NOT NULL,
    prev TEXT, line_ms INTEGER NOT NULL, line_n INTEGER NOT NULL,
    by TEXT NOT NULL, body BLOB NOT NULL,               -- the whole line, as this event left it
    PRIMARY KEY (channel, ms, n)
) WITHOUT ROWID;
CREATE INDEX event_line ON event (channel, line_ms, line_n);
CREATE TABLE line (
    channel TEXT NOT NULL, ms INTEGER NOT NULL, n INTEGER NOT NULL,
    status TEXT NOT NULL, pinned INTEGER NOT NULL,
    expires INTEGER, updated INTEGER NOT NULL,          -- milliseconds since 1970
    body BLOB NOT NULL,
    PRIMARY KEY (channel, ms, n)
) WITHOUT ROWID;
CREATE INDEX line_board ON line (channel, status, pinned, ms, n);
CREATE INDEX line_age ON line (channel, updated);
CREATE TABLE once (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL,
    at INTEGER NOT NULL, body BLOB NOT NULL             -- seconds since 1970; the line as answered
) WITHOUT ROWID;
CREATE INDEX once_at ON once (at);
CREATE TABLE secret (name TEXT PRIMARY KEY, until INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE key (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
"""

_UPGRADES = {  # from each version to the next
    1: "CREATE INDEX line_age ON line (channel, updated);",  # so that trimming finds nothing without a search
}

_decode_line = msgspec.json.Decoder(Line).decode
_decode_key = msgspec.json.Decoder(Key).decode
_encode = msgspec.json.encode

T = TypeVar("T")
log = logging.getLogger("ticker.newswire")


class SqliteNewswire:
    """A newswire in one file. `clock` gives seconds since 1970."""

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self._clock = clock
        self._file = OwnFile(self.path)
        self._write_thread = ThreadPoolExecutor(1, "newswire-write")
        self._read_thread = ThreadPoolExecutor(1, "newswire-read")
        self._check_thread = ThreadPoolExecutor(1, "newswire-check")
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._checking: sqlite3.Connection | None = None
        self._closing = False
        self._damage: str | None = None
        self._kept_at = -PROBE_EVERY
        self._check_due = asyncio.Event()
        self._refusing = Trouble(log, f"{self.path} takes changes again")
        self._unreadable = Trouble(log, f"{self.path} can be read again")
        self._untrimmed = Trouble(log, "The history can be trimmed again")
        self._newest = 0  # milliseconds of the newest event that we know of
        self._readers: dict[str, tuple[int, float]] = {}  # by channel: how many, and until when that stands
        self._taps: set[asyncio.Queue[Event]] = set()
        self._channels: dict[str, Channel] = {}
        self._tasks: list[asyncio.Task[None]] = []

    # Opening and closing

    async def open(self, channels: Mapping[str, Channel]) -> None:
        self._channels = dict(channels)
        self._loop = asyncio.get_running_loop()
        try:
            self._writing = await self._loop.run_in_executor(self._write_thread, self._prepare)
            self._reading = await self._loop.run_in_executor(self._read_thread, self._connect, True)
            await self._loop.run_in_executor(self._write_thread, self._file.remember)
        except BaseException:
            await self.close()
            raise
        if sentence := self.clock_is_off():
            log.warning("%s", sentence)
        self._check_due.set()
        self._tasks = [asyncio.create_task(work()) for work in (self._keep_house, self._watch, self._check_it_all)]

    async def close(self) -> None:
        self._closing = True
        with contextlib.suppress(sqlite3.Error):  # it has just been closed
            if checking := self._checking:
                checking.interrupt()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for thread, connection in ((self._write_thread, self._writing), (self._read_thread, self._reading)):
            if connection:
                await asyncio.get_running_loop().run_in_executor(thread, connection.close)
        self._writing = self._reading = None
        for thread in (self._write_thread, self._read_thread, self._check_thread):
            thread.shutdown()
        self._file.close()

    async def inspect(self, channels: Mapping[str, Channel]) -> Inspection:
        return await asyncio.to_thread(self._inspect, channels)

    def _inspect(self, channels: Mapping[str, Channel]) -> Inspection:
        header = inspect(self.path)
        if header is None:
            return Inspection(f"{self.path} is not there yet; the first start makes it", None)
        changes = Path(f"{self.path}-wal")
        has_changes = changes.exists() and changes.stat().st_size > 0
        if not (has_changes and header.magic == MAGIC and header.application == 0):  # all of it is still among them
            self._check_header(header)
        if has_changes:  # to read them, SQLite would have to write
            return Inspection(f"{self.path} can be written; its next start folds in {changes}", None)
        address = f"file:{quote(str(self.path.absolute()))}?immutable=1"
        try:
            with contextlib.closing(sqlite3.connect(address, uri=True)) as db:
                self._check_all_of(db)
                for slug in channels:
                    self._note_head(db, slug)
        except sqlite3.Error as error:
            raise Misconfigured(self._sentence(error)) from error
        return Inspection(f"{self.path} is whole and can be written", self.clock_is_off())

    def _prepare(self) -> sqlite3.Connection:
        self._file.take()
        try:
            connection = self._connect(False)
            try:
                version = self._check_owner(connection)
                connection.execute("PRAGMA secure_delete = ON")  # what is deleted, canceled words too, is overwritten
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                if version is None:
                    self._create(connection)
                else:
                    self._check_newest(connection)
                    self._upgrade(connection, version)
            except BaseException:
                connection.close()
                raise
            return connection
        except sqlite3.Error as error:
            raise Misconfigured(self._sentence(error)) from error

    def _connect(self, read_only: bool) -> sqlite3.Connection:
        # autocommit: every transaction is begun and ended in so many words
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        if read_only:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens the file, and keeps it open
        return connection

    def _check_owner(self, connection: sqlite3.Connection) -> int | None:
        """The version of the file's tables; None if the file is new. Writes nothing: it may be another program's."""
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        header = self._known_header(connection)
        if tables == 0 and header.application == 0:
            return None
        return self._check_header(header)

    def _check_header(self, header: Header) -> int:
        """The version of the file's tables. Raises Misconfigured if they aren't ours."""
        if header.magic != MAGIC:
            raise Misconfigured(self._damaged("file is not a database"))
        if header.application != APPLICATION_ID:
            raise Misconfigured(f"{self.path} is another program's database. Name another file.")
        if not 1 <= header.version <= SCHEMA_VERSION:
            raise Misconfigured(
                f"{self.path} was written by another version of Ticker (schema {header.version}, this one reads "
                f"{SCHEMA_VERSION}). Start that version, or name another file."
            )
        return header.version

    def _known_header(self, db: sqlite3.Connection) -> Header:
        """The file's header as this connection knows it, whether it has got into the file or not."""
        names = "page_count", "freelist_count", "schema_version", "user_version", "application_id"
        pages, free, schema, version, application = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
        return Header(MAGIC, 0, pages, free, schema, version, application)

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.executescript(
            f"BEGIN; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )

    def _upgrade(self, connection: sqlite3.Connection, version: int) -> None:
        if steps := "".join(_UPGRADES[step] for step in range(version, SCHEMA_VERSION)):
            log.info("%s gets the tables of this version; an older one will not read it then", self.path)
            connection.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

    # Whether it is whole, and still the one

    def _check_newest(self, db: sqlite3.Connection) -> None:
        """A part that is read in no time: keys, heads, boards and the newest events. Raises Misconfigured."""
        for table in ("channel", "key", "secret"):
            self._check(db, table)
        try:
            for channel in self._channels.values():
                self._note_head(db, channel.slug)
                self._snapshot(db, channel)
                newest = "SELECT body FROM event WHERE channel = ? ORDER BY ms DESC, n DESC LIMIT ?"
                for (body,) in db.execute(newest, (channel.slug, NEWEST)):
                    _decode_line(body)
        except msgspec.DecodeError as error:
            raise Misconfigured(self._damaged(str(error))) from error

    def _check_all_of(self, db: sqlite3.Connection) -> None:
        """Table by table, so that none keeps the log of changes from being folded in for long. Raises Misconfigured."""
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if not self._closing:
                self._check(db, table)

    def _check(self, db: sqlite3.Connection, table: str) -> None:
        (found,) = db.execute(f"PRAGMA integrity_check({table})").fetchone()
        if found != "ok":
            raise Misconfigured(self._damaged(found))

    def _note_head(self, db: sqlite3.Connection, slug: str) -> None:
        row = db.execute("SELECT ms FROM channel WHERE slug = ?", (slug,)).fetchone()
        self._newest = max(self._newest, row[0] if row else 0)

    async def _check_it_all(self) -> None:
        """Look at every page of the file, while the node is on: at start, and when somebody else has written to it."""
        while True:
            await self._check_due.wait()
            self._check_due.clear()
            began = time.monotonic()
            try:
                await self._loop.run_in_executor(self._check_thread, self._check_in_background)
            except Misconfigured as found:
                self._damage = found.detail
                log.error("%s", found.detail)
            else:
                self._damage = None
                log.info("All of %s was checked in the background in %.1f s", self.path, time.monotonic() - began)

    def _check_in_background(self) -> None:
        try:
            with contextlib.closing(self._connect(True)) as self._checking:
                self._check_all_of(self._checking)
        except sqlite3.Error as error:
            if _code(error) != sqlite3.SQLITE_INTERRUPT:
                raise Misconfigured(self._sentence(error)) from error
        finally:
            self._checking = None

    async def _watch(self) -> None:
        """So that the log tells of a file that is gone, and of the end of a trouble, even if nobody publishes."""
        while True:
            with contextlib.suppress(NewswireUnavailable):
                if self._refusing.stands:
                    await self._write(self._probe)
                else:
                    await self._run(self._write_thread, self._writing, self._look, ())
            await asyncio.sleep(WATCH_EVERY)

    def _look(self, db: sqlite3.Connection) -> None:
        try:
            self._expect_our_file(db)
        except _Lost as error:
            self._refusing.begins(error.sentence, "lost", logging.ERROR)
        except sqlite3.Error:
            pass  # whoever writes next says it better

    def _expect_our_file(self, db: sqlite3.Connection) -> None:
        """Raises _Lost if what is committed now would not be in the file of this name."""
        if (sentence := self._file.lost()) is not None:
            raise _Lost(sentence)
        if self._file.is_written_by_others():
            if (sentence := self._file.overwritten(self._known_header(db))) is not None:
                raise _Lost(sentence)
            self._file.remember()  # somebody has folded our changes in
            self._loop.call_soon_threadsafe(self._check_due.set)

    # The clock

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def clock_is_off(self) -> str | None:
        """This machine's clock is the newswire's; only a line that was kept can tell that it was put back."""
        ahead = self._newest / 1000 - self._clock()
        if ahead <= CLOCK_OFF:
            return None
        return (
            f"The newest line is {ahead:.0f} s ahead of this machine's clock. Set the clock (NTP), "
            "or new lines carry the old one's time until it is reached."
        )

    # Publishing

    async def publish(self, channel: Channel, draft: Draft, *, by: str, once: Once | None = None) -> Receipt:
        return await self._write(self._publish, channel, draft, by, once)

    def _publish(self, db: sqlite3.Connection, channel: Channel, draft: Draft, by: str, once: Once | None) -> Receipt:
        if receipt := self._remembered(db, once):
            return receipt
        prev, cursor = self._next_cursor(db, channel.slug)
        return self._keep(db, begin(draft, channel, cursor), prev, cursor, by, once)

    async def amend(
        self,
        channel: Channel,
        line_id: str,
        patch: Patch,
        *,
        by: str,
        if_match: str | None = None,
        once: Once | None = None,
    ) -> Receipt:
        return await self._write(self._amend, channel, line_id, patch, by, if_match, once)

    def _amend(
        self,
        db: sqlite3.Connection,
        channel: Channel,
        line_id: str,
        patch: Patch,
        by: str,
        if_match: str | None,
        once: Once | None,
    ) -> Receipt:
        if receipt := self._remembered(db, once):
            return receipt
        before = self._line(db, channel.slug, line_id)
        expect(before, if_match)
        prev, cursor = self._next_cursor(db, channel.slug)
        after = amend(before, patch, cursor)
        if after is before:
            self._remember(db, once, before)
            return Receipt(before, None)
        return self._keep(db, after, prev, cursor, by, once)

    def _keep(
        self, db: sqlite3.Connection, line: Line, prev: str | None, cursor: Cursor, by: str, once: Once | None
    ) -> Receipt:
        body = _encode(line)
        first = Cursor.parse(line.id)
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
        self._newest = max(self._newest, cursor.ms)
        return Receipt(line, Event(channel=line.channel, cursor=str(cursor), prev=prev, line=line, by=by))

    def _next_cursor(self, db: sqlite3.Connection, channel: str) -> tuple[str | None, Cursor]:
        """The channel's last cursor, and one after it whatever the clock says."""
        now = int(self._clock() * 1000)
        row = db.execute("SELECT ms, n FROM channel WHERE slug = ?", (channel,)).fetchone()
        if row is None:
            return None, Cursor(now, 0)
        last = Cursor(*row)
        return str(last), Cursor(now, 0) if now > last.ms else Cursor(last.ms, last.n + 1)

    def _remembered(self, db: sqlite3.Connection, once: Once | None) -> Receipt | None:
        """The receipt that this Idempotency-Key has had. Raises KeyReused where the body was another."""
        if once is None:
            return None
        row = db.execute("SELECT fingerprint, at, body FROM once WHERE key = ?", (once.key,)).fetchone()
        if row is None or row[1] < self._clock() - ONCE_FOR:
            return None
        if row[0] != once.fingerprint:
            raise KeyReused(KEY_REUSED)
        return Receipt(_decode_line(row[2]), None, replayed=True)

    def _remember(self, db: sqlite3.Connection, once: Once | None, line: Line) -> None:
        if once:
            db.execute(
                "INSERT OR REPLACE INTO once VALUES (?, ?, ?, ?)",
                (once.key, once.fingerprint, int(self._clock()), _encode(line)),
            )

    # Reading

    async def snapshot(self, channel: Channel) -> Snapshot:
        return await self._read(self._snapshot, channel)

    def _snapshot(self, db: sqlite3.Connection, channel: Channel) -> Snapshot:
        now = int(self._clock() * 1000)
        row = db.execute("SELECT ms, n FROM channel WHERE slug = ?", (channel.slug,)).fetchone()
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
        return Snapshot(
            None if row is None else str(Cursor(*row)), [_decode_line(body) for (body,) in usable + tombstones]
        )

    async def line(self, channel: str, line_id: str) -> Line:
        return await self._read(self._line, channel, line_id)

    def _line(self, db: sqlite3.Connection, channel: str, line_id: str) -> Line:
        first = Cursor.of_line(line_id)
        row = db.execute(
            "SELECT body FROM line WHERE channel = ? AND ms = ? AND n = ?", (channel, first.ms, first.n)
        ).fetchone()
        if row is None:
            raise NotFound(f"There is no line {line_id} in the channel {channel}.")
        return _decode_line(row[0])

    async def versions(self, channel: str, line_id: str) -> list[Event]:
        return await self._read(self._versions, channel, line_id)

    def _versions(self, db: sqlite3.Connection, channel: str, line_id: str) -> list[Event]:
        first = Cursor.of_line(line_id)
        rows = db.execute(
            "SELECT ms, n, prev, by, body FROM event WHERE channel = ? AND line_ms = ? AND line_n = ? ORDER BY ms, n",
            (channel, first.ms, first.n),
        ).fetchall()
        if not rows:
            raise NotFound(f"There is no line {line_id} in the channel {channel}, or its history has been trimmed.")
        return [_event(channel, *row) for row in rows]

    async def events(self, channel: str, after: str | None, limit: int) -> Page:
        return await self._read(self._events, channel, after, limit)

    def _events(self, db: sqlite3.Connection, channel: str, after: str | None, limit: int) -> Page:
        start = Cursor(-1, 0) if after is None else Cursor.parse(after)
        if after is not None:
            known = db.execute(
                "SELECT 1 FROM event WHERE channel = ?1 AND ms = ?2 AND n = ?3 "
                "UNION SELECT 1 FROM channel WHERE slug = ?1 AND ms = ?2 AND n = ?3",
                (channel, start.ms, start.n),
            ).fetchone()
            if not known:
                raise Gone(
                    f"The event {after} is not in the history of {channel}. Take the board, then go on from its cursor."
                )
        rows = db.execute(
            "SELECT e.ms, e.n, e.prev, e.by, e.body, coalesce(l.status, 'canceled') FROM event e "
            "LEFT JOIN line l ON l.channel = e.channel AND l.ms = e.line_ms AND l.n = e.line_n "
            "WHERE e.channel = ? AND (e.ms, e.n) > (?, ?) ORDER BY e.ms, e.n LIMIT ?",
            (channel, start.ms, start.n, limit + 1),
        ).fetchall()
        events = [_event(channel, *row[:5]) for row in rows[:limit]]
        withdrawn = {event.line.id: row[5] for event, row in zip(events, rows, strict=False) if row[5] != "usable"}
        return Page(events, withdrawn, more=len(rows) > limit)

    @contextlib.asynccontextmanager
    async def tail(self) -> AsyncIterator[AsyncIterator[Event]]:
        tap: asyncio.Queue[Event] = asyncio.Queue()

        async def events() -> AsyncIterator[Event]:
            while True:
                yield await tap.get()

        self._taps.add(tap)
        try:
            yield events()
        finally:
            self._taps.discard(tap)

    def _announce(self, event: Event) -> None:
        for tap in self._taps:
            tap.put_nowait(event)

    async def heads(self) -> dict[str, str | None]:
        rows: list[tuple[str, int, int]] = await self._read(
            lambda db: db.execute("SELECT slug, ms, n FROM channel").fetchall()
        )
        heads = {slug: str(Cursor(ms, n)) for slug, ms, n in rows}
        return {slug: heads.get(slug) for slug in self._channels}

    async def probe(self) -> None:
        try:
            await self._write(self._probe)
        except NewswireFull as error:
            raise NewswireUnavailable(error.detail) from error
        if self._damage:
            raise NewswireUnavailable("The newswire's file is damaged; the node's log has the rest.")

    def _probe(self, db: sqlite3.Connection) -> bool:
        """Write what stands there already, unless something has just been written; whether it was."""
        is_due = self._refusing.stands or time.monotonic() - self._kept_at > PROBE_EVERY
        if is_due:
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        return is_due

    async def report(self, readers: Mapping[str, int]) -> None:
        until = self._clock() + PRESENCE_FOR
        self._readers |= {slug: (count, until) for slug, count in readers.items()}

    async def presence(self, channel: str) -> Presence:
        count, until = self._readers.get(channel, (0, 0.0))
        return Presence(count, 1) if self._clock() < until else Presence(0, 0)

    # Keys, and what is kept for a while

    async def keep_secret(self, name: str, secret: bytes, seconds: int) -> None:
        def keep(db: sqlite3.Connection) -> None:
            now = int(self._clock())
            db.execute("DELETE FROM secret WHERE until < ?", (now,))
            db.execute("INSERT OR REPLACE INTO secret VALUES (?, ?, ?)", (name, now + seconds, secret))

        await self._write(keep)

    async def secret(self, name: str) -> bytes | None:
        def look(db: sqlite3.Connection) -> bytes | None:
            found = "SELECT body FROM secret WHERE name = ? AND until >= ?"
            row = db.execute(found, (name, int(self._clock()))).fetchone()
            return row[0] if row else None

        return await self._read(look)

    async def take_secret(self, name: str) -> bytes | None:
        def take(db: sqlite3.Connection) -> bytes | None:
            db.execute("DELETE FROM secret WHERE until < ?", (int(self._clock()),))
            row = db.execute("DELETE FROM secret WHERE name = ? RETURNING body", (name,)).fetchone()
            return row[0] if row else None

        return await self._write(take)

    async def keep_key(self, key: Key) -> None:
        await self._write(lambda db: _put_key(db, key))

    async def keep_first_key(self, key: Key) -> bool:
        def keep(db: sqlite3.Connection) -> bool:
            is_first = db.execute("SELECT 1 FROM key").fetchone() is None
            if is_first:
                _put_key(db, key)
            return is_first

        return await self._write(keep)

    async def key(self, key_id: str) -> Key | None:
        return await self._read(lambda db: _get_key(db, key_id))

    async def keys(self) -> list[Key]:
        rows: list[tuple[bytes]] = await self._read(lambda db: db.execute("SELECT body FROM key").fetchall())
        return sorted((_decode_key(body) for (body,) in rows), key=lambda key: (key.created, key.id))

    async def touch_key(self, key_id: str, used: datetime) -> None:
        def touch(db: sqlite3.Connection) -> None:
            if key := _get_key(db, key_id):
                _put_key(db, msgspec.structs.replace(key, last_used=used))

        await self._write(touch)

    async def revoke_key(self, key_id: str, when: datetime) -> Key | None:
        def revoke(db: sqlite3.Connection) -> Key | None:
            key = _get_key(db, key_id)
            if key and key.revoked is None:
                key = msgspec.structs.replace(key, revoked=when)
                _put_key(db, key)
            return key

        return await self._write(revoke)

    # Housekeeping

    async def _keep_house(self) -> None:
        while True:
            try:
                await self.trim()
                self._untrimmed.ends()
            except NewswireUnavailable as error:
                self._untrimmed.begins(f"The history could not be trimmed: {error.detail}")
            await asyncio.sleep(HOUSEKEEPING)

    async def trim(self) -> None:
        """Trim the history to what each channel keeps, a small transaction at a time; editors come in between."""
        trimmed = 0
        for channel in self._channels.values():
            while count := await self._write(self._trim_events, channel):
                trimmed += count
            while old := await self._read(self._old_lines, channel):
                trimmed += await self._write(self._trim_lines, channel, old)
        while count := await self._write(self._trim_receipts):
            trimmed += count
        if trimmed:  # the log of changes still holds the pages as they were
            with contextlib.suppress(sqlite3.Error):  # it is being read: the next time will do
                await self._loop.run_in_executor(self._write_thread, self._fold_in)

    def _trim_events(self, db: sqlite3.Connection, channel: Channel) -> int:
        # Row by row, not by time: a clock that stepped back gives many events one millisecond.
        oldest_kept = int(self._clock() * 1000) - channel.history_for * 1000
        return db.execute(
            "DELETE FROM event WHERE (channel, ms, n) IN "
            "(SELECT channel, ms, n FROM event WHERE channel = ? AND ms < ? ORDER BY ms, n LIMIT ?)",
            (channel.slug, oldest_kept, TRIM_AT_ONCE),
        ).rowcount

    def _old_lines(self, db: sqlite3.Connection, channel: Channel) -> list[tuple[int, int, int]]:
        """Some that can't show any more. Those that may still show stay, however old."""
        now = int(self._clock() * 1000)
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

    def _trim_receipts(self, db: sqlite3.Connection) -> int:
        return db.execute(
            "DELETE FROM once WHERE key IN (SELECT key FROM once WHERE at < ? LIMIT ?)",
            (int(self._clock()) - ONCE_FOR, TRIM_AT_ONCE),
        ).rowcount

    def _fold_in(self) -> None:
        """Empty the log of changes into the file, without waiting for anybody."""
        if db := self._writing:
            db.execute("PRAGMA busy_timeout = 0")
            try:
                self._expect_our_file(db)
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._file.remember()
            except _Lost:
                pass  # the next change says so
            finally:
                db.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}")

    # Transactions

    async def _write(self, work: Callable[..., T], *args: object) -> T:
        return await self._run(self._write_thread, self._writing, self._write_transaction, (work, args))

    async def _read(self, work: Callable[..., T], *args: object) -> T:
        return await self._run(self._read_thread, self._reading, self._read_transaction, (work, args))

    async def _run(
        self,
        thread: ThreadPoolExecutor,
        db: sqlite3.Connection | None,
        transaction: Callable[..., T],
        args: tuple[object, ...],
    ) -> T:
        if db is None:
            raise NewswireUnavailable("The newswire is closed: this node is stopping.")
        return await self._loop.run_in_executor(thread, transaction, db, *args)

    def _write_transaction(self, db: sqlite3.Connection, work: Callable[..., T], args: tuple[object, ...]) -> T:
        def careful(db: sqlite3.Connection, *args: object) -> T:
            self._expect_our_file(db)
            result = work(db, *args)
            if db.total_changes > before and (sentence := self._file.lost()) is not None:
                raise _Lost(sentence)
            return result

        before = db.total_changes
        result = self._transaction(db, "BEGIN IMMEDIATE", careful, args, self._refusing)
        if db.total_changes > before or (work == self._probe and result):
            self._kept_at = time.monotonic()
            self._file.remember()
            self._refusing.ends()
        if isinstance(result, Receipt) and result.event:
            # From the writing thread, so that events are announced in the order in which they were kept.
            self._loop.call_soon_threadsafe(self._announce, result.event)
        return result

    def _read_transaction(self, db: sqlite3.Connection, work: Callable[..., T], args: tuple[object, ...]) -> T:
        result = self._transaction(db, "BEGIN", work, args, self._unreadable)
        self._unreadable.ends()
        return result

    def _transaction(
        self, db: sqlite3.Connection, begin: str, work: Callable[..., T], args: tuple[object, ...], trouble: Trouble
    ) -> T:
        try:
            db.execute(begin)
            try:
                result = work(db, *args)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # a full disk may have rolled back by itself
                    with contextlib.suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                raise
        except _Lost as error:
            trouble.begins(error.sentence, "lost", logging.ERROR)
            raise NewswireUnavailable(
                "The newswire's file was deleted or replaced while the node runs; the node's log says what to do. "
                "Nothing was published."
            ) from error
        except sqlite3.Error as error:
            trouble.begins(f"{self._sentence(error)} ({error})", str(_code(error)), logging.ERROR)
            kind = NewswireFull if _code(error) == sqlite3.SQLITE_FULL else NewswireUnavailable
            # The log names the file; whoever asks over HTTP needn't know where it lies.
            said = self._sentence(error).replace(str(self.path), "the newswire's file")
            raise kind(f"{said[0].upper()}{said[1:]} Nothing was published.") from error
        return result

    def _sentence(self, error: sqlite3.Error) -> str:
        """What an operator should know and do."""
        match _code(error):
            case sqlite3.SQLITE_FULL:
                return f"The disk that holds {self.path} is full. Make room on it."
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return locked(self.path)
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
                return f"{self.path} can't be written. Give this user the right to write it and its folder."
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return self._damaged(str(error))
            case _:
                return f"{self.path} can't be read or written: {error}. Look at its disk."

    def _damaged(self, found: str) -> str:
        return (
            f"{self.path} is damaged or no newswire at all ({found}). Move it away and restore a back-up, "
            "or start with an empty file."
        )


class _Lost(Exception):
    """The file that is open is not the one of that name. `sentence`: what an operator should know and do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 where the error is Python's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _event(channel: str, ms: int, n: int, prev: str | None, by: str, body: bytes) -> Event:
    return Event(channel=channel, cursor=str(Cursor(ms, n)), prev=prev, line=_decode_line(body), by=by)


def _get_key(db: sqlite3.Connection, key_id: str) -> Key | None:
    row = db.execute("SELECT body FROM key WHERE id = ?", (key_id,)).fetchone()
    return _decode_key(row[0]) if row else None


def _put_key(db: sqlite3.Connection, key: Key) -> None:
    db.execute("INSERT OR REPLACE INTO key VALUES (?, ?)", (key.id, _encode(key)))
