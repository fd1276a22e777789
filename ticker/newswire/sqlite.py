"""The embedded newswire: one file, one node. Knows SQLite; the only file that does.

One thread writes, one reads; the event loop never waits for the disk. A change is one transaction
(event + line + idempotency key), synced to disk before anyone is told (WAL, synchronous=FULL).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from ticker.board import RESERVE, TOMBSTONES
from ticker.channel import Channel
from ticker.errors import Gone, KeyReused, Misconfigured, NewswireFull, NewswireUnavailable, NotFound
from ticker.key import Key
from ticker.line import Cursor, Draft, Event, Line, Patch, amend, begin, expect
from ticker.newswire import ONCE_FOR, Once, Page, Presence, Receipt, Snapshot

APPLICATION_ID = 0x5469636B  # "Tick": another program's file is refused, not written to
SCHEMA_VERSION = 1
BUSY_TIMEOUT = 2.0  # seconds; a back-up may hold the file for a moment, an editor waits no longer
HOUSEKEEPING = 3_600.0  # seconds between two trimmings of the history
TRIM_AT_ONCE = 2_000  # rows a transaction; a publish waits for one such step at most

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
CREATE TABLE once (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL,
    at INTEGER NOT NULL, body BLOB NOT NULL             -- seconds since 1970; the line as answered
) WITHOUT ROWID;
CREATE INDEX once_at ON once (at);
CREATE TABLE secret (name TEXT PRIMARY KEY, until INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE key (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
"""

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
        self._lock: IO[bytes] | None = None
        self._write_thread = ThreadPoolExecutor(1, "newswire-write")
        self._read_thread = ThreadPoolExecutor(1, "newswire-read")
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._readers: dict[str, int] = {}
        self._taps: set[asyncio.Queue[Event]] = set()
        self._channels: dict[str, Channel] = {}
        self._housekeeping: asyncio.Task[None] | None = None

    # Opening and closing

    async def open(self, channels: Mapping[str, Channel]) -> None:
        self._channels = dict(channels)
        self._loop = asyncio.get_running_loop()
        try:
            self._writing = await self._loop.run_in_executor(self._write_thread, self._prepare)
            self._reading = await self._loop.run_in_executor(self._read_thread, self._connect, True)
        except BaseException:
            await self.close()
            raise
        self._housekeeping = asyncio.create_task(self._keep_house())

    async def close(self) -> None:
        if self._housekeeping:
            self._housekeeping.cancel()
            await asyncio.gather(self._housekeeping, return_exceptions=True)
        for thread, connection in ((self._write_thread, self._writing), (self._read_thread, self._reading)):
            if connection:
                await asyncio.get_running_loop().run_in_executor(thread, connection.close)
            thread.shutdown()
        self._writing = self._reading = None
        if self._lock:
            self._lock.close()  # the lock goes with it
            self._lock = None

    def _prepare(self) -> sqlite3.Connection:
        self._take_lock()
        try:
            connection = self._connect(False)
            try:
                is_new = self._check_owner(connection)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                if is_new:
                    self._create(connection)
                else:
                    self._check_integrity(connection)
            except BaseException:
                connection.close()
                raise
            return connection
        except sqlite3.Error as error:
            raise Misconfigured(self._sentence(error)) from error

    def _take_lock(self) -> None:
        """One process a file. The kernel drops the lock with the process, also after kill -9."""
        try:
            self._lock = open(f"{self.path}-lock", "ab")  # noqa: SIM115 - held as long as the newswire is open
        except OSError as error:
            raise Misconfigured(
                f"The newswire's file {self.path} can't be opened: {error.strerror}. "
                "Name a folder that this user may write to."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Misconfigured(
                f"Another process has {self.path} open. One file serves one node; "
                "several nodes share a newswire on Redis (--newswire redis://HOST)."
            ) from error

    def _connect(self, read_only: bool) -> sqlite3.Connection:
        # autocommit: every transaction is begun and ended in so many words
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        return connection

    def _check_owner(self, connection: sqlite3.Connection) -> bool:
        """Whether the file is new. Writes nothing: it may be another program's."""
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables == 0 and application == 0:
            return True
        if application != APPLICATION_ID:
            raise Misconfigured(f"{self.path} is another program's database. Name another file.")
        if version != SCHEMA_VERSION:
            raise Misconfigured(
                f"{self.path} was written by another version of Ticker (schema {version}, this one reads "
                f"{SCHEMA_VERSION}). Start that version, or name another file."
            )
        return False

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.executescript(
            f"BEGIN; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )

    def _check_integrity(self, connection: sqlite3.Connection) -> None:
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise Misconfigured(self._damaged(found))

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
            raise KeyReused("This Idempotency-Key came with another request before. Take a new key for a new request.")
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
        first = Cursor.parse(line_id, "line's id")
        row = db.execute(
            "SELECT body FROM line WHERE channel = ? AND ms = ? AND n = ?", (channel, first.ms, first.n)
        ).fetchone()
        if row is None:
            raise NotFound(f"There is no line {line_id} in the channel {channel}.")
        return _decode_line(row[0])

    async def versions(self, channel: str, line_id: str) -> list[Event]:
        return await self._read(self._versions, channel, line_id)

    def _versions(self, db: sqlite3.Connection, channel: str, line_id: str) -> list[Event]:
        first = Cursor.parse(line_id, "line's id")
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
            "SELECT e.ms, e.n, e.prev, e.by, e.body, l.status IS NOT 'usable' FROM event e "
            "LEFT JOIN line l ON l.channel = e.channel AND l.ms = e.line_ms AND l.n = e.line_n "
            "WHERE e.channel = ? AND (e.ms, e.n) > (?, ?) ORDER BY e.ms, e.n LIMIT ?",
            (channel, start.ms, start.n, limit + 1),
        ).fetchall()
        events = [_event(channel, *row[:5]) for row in rows[:limit]]
        withdrawn = frozenset(event.line.id for event, row in zip(events, rows, strict=False) if row[5])
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
        await self._write(lambda db: None)  # takes the write lock and gives it back

    async def report(self, readers: Mapping[str, int]) -> None:
        self._readers = dict(readers)

    async def presence(self, channel: str) -> Presence:
        return Presence(self._readers.get(channel, 0), 1)

    # Keys, and what is kept for a while

    async def keep_secret(self, name: str, secret: bytes, seconds: int) -> None:
        until = int(self._clock()) + seconds
        await self._write(
            lambda db: db.execute("INSERT OR REPLACE INTO secret VALUES (?, ?, ?)", (name, until, secret)) and None
        )

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
        return sorted((_decode_key(body) for (body,) in rows), key=lambda key: key.created)

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
        """Trim the history to what each channel keeps, a small transaction at a time."""
        while True:
            try:
                for channel in self._channels.values():
                    while await self._write(self._trim, channel):
                        pass
            except NewswireUnavailable as error:
                log.warning("The history could not be trimmed: %s", error.detail)
            await asyncio.sleep(HOUSEKEEPING)

    def _trim(self, db: sqlite3.Connection, channel: Channel) -> bool:
        """One step; whether there is more to trim. Lines that may still show stay, however old."""
        now = int(self._clock() * 1000)
        oldest_kept = now - channel.history_for * 1000
        # Row by row, not by time: a clock that stepped back gives many events one millisecond.
        rows = db.execute(
            "DELETE FROM event WHERE (channel, ms, n) IN "
            "(SELECT channel, ms, n FROM event WHERE channel = ? AND ms < ? ORDER BY ms, n LIMIT ?) RETURNING ms",
            (channel.slug, oldest_kept, TRIM_AT_ONCE),
        ).fetchall()
        if len(rows) == TRIM_AT_ONCE:
            return True
        db.execute(
            "DELETE FROM line WHERE channel = ?1 AND updated < ?2 AND ("
            "(status <> 'usable' AND updated <= ?5) OR (status = 'usable' AND (expires <= ?3 "
            "OR (ms, n) NOT IN (SELECT ms, n FROM line WHERE channel = ?1 AND status = 'usable' "
            "ORDER BY pinned DESC, ms DESC, n DESC LIMIT ?4))))",
            (channel.slug, oldest_kept, now, RESERVE, now - channel.tombstones_for * 1000),
        )
        db.execute("DELETE FROM once WHERE at < ?", (now // 1000 - ONCE_FOR,))
        return False

    # Transactions

    async def _write(self, work: Callable[..., T], *args: object) -> T:
        return await self._run(self._write_thread, self._writing, "BEGIN IMMEDIATE", work, args)

    async def _read(self, work: Callable[..., T], *args: object) -> T:
        return await self._run(self._read_thread, self._reading, "BEGIN", work, args)

    async def _run(
        self,
        thread: ThreadPoolExecutor,
        db: sqlite3.Connection | None,
        begin: str,
        work: Callable[..., T],
        args: tuple[object, ...],
    ) -> T:
        if db is None:
            raise NewswireUnavailable("The newswire is closed: this node is stopping.")
        return await self._loop.run_in_executor(thread, self._transaction, db, begin, work, args)

    def _transaction(self, db: sqlite3.Connection, begin: str, work: Callable[..., T], args: tuple[object, ...]) -> T:
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
        except sqlite3.Error as error:
            log.error("%s (%s)", self._sentence(error), error)
            kind = NewswireFull if _code(error) == sqlite3.SQLITE_FULL else NewswireUnavailable
            # The log names the file; whoever asks over HTTP needn't know where it lies.
            said = self._sentence(error).replace(str(self.path), "the newswire's file")
            raise kind(f"{said[0].upper()}{said[1:]} Nothing was published.") from error
        if isinstance(result, Receipt) and result.event:
            # From the writing thread, so that events are announced in the order in which they were kept.
            self._loop.call_soon_threadsafe(self._announce, result.event)
        return result

    def _sentence(self, error: sqlite3.Error) -> str:
        """What an operator should know and do."""
        match _code(error):
            case sqlite3.SQLITE_FULL:
                return f"The disk that holds {self.path} is full. Make room on it."
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return f"Another program keeps {self.path} locked. Stop it, or wait until it is done."
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
