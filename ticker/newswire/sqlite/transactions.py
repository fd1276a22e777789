"""Work on the file: one thread writes, one reads. Knows connections; knows no table.

The event loop never waits for the disk. What one call changes is one transaction, synced to disk before it is
acknowledged (WAL, synchronous=FULL).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from ticker.errors import Misconfigured, NewswireFull, NewswireUnavailable
from ticker.newswire.sqlite.errors import code, sentence
from ticker.newswire.sqlite.file import MAGIC, Header, OwnFile
from ticker.newswire.trouble import Trouble

BUSY_TIMEOUT = 2.0  # seconds; a back-up may hold the file for a moment, an editor waits no longer
WATCH_EVERY = 2.0  # seconds between two looks whether the file is still the one
PROBE_EVERY = 1.0  # seconds; more frequent checks of whether it can be written get the last answer

T = TypeVar("T")
log = logging.getLogger("ticker.newswire")


class Lost(Exception):
    """The file that is open is not the one of that name. `sentence`: what an operator should know and do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Transactions:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._then: list[tuple[Callable[[Any], None], object]] = []
        self._file = OwnFile(path)
        self._write_thread = ThreadPoolExecutor(1, "newswire-write")
        self._read_thread = ThreadPoolExecutor(1, "newswire-read")
        self.writing: sqlite3.Connection | None = None
        self.reading: sqlite3.Connection | None = None
        self.kept_at = -PROBE_EVERY
        self.check_due = asyncio.Event()  # somebody else has written to the file
        self._refusing = Trouble(log, f"{path} takes changes again")
        self._unreadable = Trouble(log, f"{path} can be read again")

    # Opening and closing

    async def open(self, prepare: Callable[[sqlite3.Connection], None]) -> None:
        """Take the file; `prepare` sees to it before anything else. Raises Misconfigured."""
        self._loop = asyncio.get_running_loop()
        self.writing = await self._loop.run_in_executor(self._write_thread, self._prepare, prepare)
        self.reading = await self._loop.run_in_executor(self._read_thread, self.connect, True)
        await self._loop.run_in_executor(self._write_thread, self._file.remember)

    def _prepare(self, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
        self._file.take()
        try:
            connection = self.connect(False)
            try:
                prepare(connection)
            except BaseException:
                connection.close()
                raise
            return connection
        except sqlite3.Error as error:
            raise Misconfigured(sentence(self.path, error)) from error

    def connect(self, read_only: bool) -> sqlite3.Connection:
        # autocommit: every transaction begins and ends explicitly
        # mode=rw: if the file has been moved away, SQLite would make an empty one, and delete the log of changes beside
        # it, which has lines that are not in the file yet.
        address = f"file:{quote(os.fsencode(self.path.absolute()))}?mode=rw"
        connection = sqlite3.connect(
            address, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        if read_only:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens the file, and keeps it open
        return connection

    def is_lost(self) -> bool:
        """Whether the file isn't any more the one of this name."""
        return self._file.lost() is not None

    async def close(self) -> None:
        """Only when nobody else of this process has the file open."""
        for thread, connection in ((self._write_thread, self.writing), (self._read_thread, self.reading)):
            if connection:
                await asyncio.get_running_loop().run_in_executor(thread, connection.close)
        self.writing = self.reading = None
        for thread in (self._write_thread, self._read_thread):
            thread.shutdown()
        self._file.close()

    # Work

    async def write(self, work: Callable[..., T], *args: object) -> T:
        return await self._run(self._write_thread, self.writing, self._write_transaction, (work, args))

    async def read(self, work: Callable[..., T], *args: object) -> T:
        return await self._run(self._read_thread, self.reading, self._read_transaction, (work, args))

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
            if db.total_changes > before and (lost := self._file.lost()) is not None:
                raise Lost(lost)
            return result

        before = db.total_changes
        self._then.clear()
        result = self._transaction(db, "BEGIN IMMEDIATE", careful, args, self._refusing)
        if db.total_changes > before or (work == self._probe and result):
            self.kept_at = time.monotonic()
            self._file.remember()
            self._refusing.ends()
        # From the writing thread: in the order in which changes were kept, and also if the caller was canceled.
        for call, what in self._then:
            self._loop.call_soon_threadsafe(call, what)
        return result

    def then(self, call: Callable[[T], None], what: T) -> None:
        """In the transaction that is open: call it in the loop's thread as soon as the changes are kept."""
        self._then.append((call, what))

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
        except Lost as error:
            trouble.begins(error.sentence, "lost", logging.ERROR)
            raise NewswireUnavailable(
                "The newswire's file was deleted or replaced while the node runs; the node's log says what to do. "
                "Nothing was published."
            ) from error
        except sqlite3.Error as error:
            trouble.begins(f"{sentence(self.path, error)} ({error})", str(code(error)), logging.ERROR)
            kind = NewswireFull if code(error) == sqlite3.SQLITE_FULL else NewswireUnavailable
            # The log names the file; clients over HTTP needn't know its path.
            said = sentence(self.path, error).replace(str(self.path), "the newswire's file")
            raise kind(f"{said[0].upper()}{said[1:]} Nothing was published.") from error
        return result

    # Whether a change would be kept

    async def probe(self) -> None:
        try:
            await self.write(self._probe)
        except NewswireFull as error:
            raise NewswireUnavailable(error.detail) from error

    def _probe(self, db: sqlite3.Connection) -> bool:
        """Write what stands there already, unless something has just been written; whether it was."""
        is_due = self._refusing.stands or time.monotonic() - self.kept_at > PROBE_EVERY
        if is_due:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            db.execute(f"PRAGMA user_version = {version}")
        return is_due

    async def watch(self) -> None:
        """So that the log reports a file that is gone, and the end of a problem, even if nobody publishes."""
        while True:
            with contextlib.suppress(NewswireUnavailable):
                if self._refusing.stands:
                    await self.write(self._probe)
                else:
                    await self._run(self._write_thread, self.writing, self._look, ())
            await asyncio.sleep(WATCH_EVERY)

    def _look(self, db: sqlite3.Connection) -> None:
        try:
            self._expect_our_file(db)
        except Lost as error:
            self._refusing.begins(error.sentence, "lost", logging.ERROR)
        except sqlite3.Error:
            pass  # the next write reports it better

    def _expect_our_file(self, db: sqlite3.Connection) -> None:
        """Raises Lost if what is committed now would not be in the file of this name."""
        if (lost := self._file.lost()) is not None:
            raise Lost(lost)
        if self._file.is_written_by_others():
            if (lost := self._file.overwritten(known_header(db))) is not None:
                raise Lost(lost)
            self._file.remember()  # somebody has folded our changes in
            self._loop.call_soon_threadsafe(self.check_due.set)

    # The log of changes

    async def fold_in(self) -> None:
        """Empty the log of changes into the file, unless it is being read: the next time will do."""
        with contextlib.suppress(sqlite3.Error):
            await self._loop.run_in_executor(self._write_thread, self._fold_in)

    def _fold_in(self) -> None:
        """Without waiting for anybody."""
        if db := self.writing:
            db.execute("PRAGMA busy_timeout = 0")
            try:
                self._expect_our_file(db)
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._file.remember()
            except Lost:
                pass  # the next change says so
            finally:
                db.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}")


def known_header(db: sqlite3.Connection) -> Header:
    """The file's header as this connection knows it, whether it has got into the file or not."""
    names = "page_count", "freelist_count", "schema_version", "user_version", "application_id"
    pages, free, schema, version, application = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return Header(MAGIC, 0, pages, free, schema, version, application)
