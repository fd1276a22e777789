"""Whether the file is ours and whole. Knows every page; mends none."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import msgspec

from ticker.channel import Channel
from ticker.errors import Misconfigured, NewswireUnavailable
from ticker.newswire import Inspection
from ticker.newswire.schema import of_another_version
from ticker.newswire.sqlite.clock import MachineClock
from ticker.newswire.sqlite.errors import code, damaged, sentence
from ticker.newswire.sqlite.file import MAGIC, Header, inspect
from ticker.newswire.sqlite.migrations import APPLICATION_ID, SCHEMA
from ticker.newswire.sqlite.reading import Reading, decode_line
from ticker.newswire.sqlite.transactions import Transactions, known_header

AGAIN_AFTER = 1.0  # seconds until a file that was moved away is looked at again
NEWEST = 100  # events a channel that are read at start; the whole file is checked afterwards

log = logging.getLogger("ticker.newswire")


class Checking:
    def __init__(self, transactions: Transactions, clock: MachineClock, reading: Reading) -> None:
        self._transactions = transactions
        self._path = transactions.path
        self._clock = clock
        self._reading = reading
        self._thread = ThreadPoolExecutor(1, "newswire-check")
        self._connection: sqlite3.Connection | None = None
        self._closing = False
        self._damage: str | None = None

    # Before it is opened

    def inspect(self, channels: Mapping[str, Channel]) -> Inspection:
        header = inspect(self._path)
        if header is None:
            return Inspection(f"{self._path} is not there yet; the first start makes it", None)
        changes = Path(f"{self._path}-wal")
        has_changes = changes.exists() and changes.stat().st_size > 0
        if not (has_changes and header.magic == MAGIC and header.application == 0):  # all of it is still among them
            self._check_header(header)
        if has_changes:  # to read them, SQLite would have to write
            return Inspection(f"{self._path} can be written; its next start folds in {changes}", None)
        address = f"file:{quote(str(self._path.absolute()))}?immutable=1"
        try:
            with contextlib.closing(sqlite3.connect(address, uri=True)) as db:
                self._check_all_of(db)
                for slug in channels:
                    self._note_head(db, slug)
        except sqlite3.Error as error:
            raise Misconfigured(sentence(self._path, error)) from error
        return Inspection(f"{self._path} is whole and can be written", self._clock.is_off())

    # When it is opened

    def schema(self, db: sqlite3.Connection) -> int:
        """The number of the file's schema; 0 if it is new. Writes nothing: it may be another program's."""
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        header = known_header(db)
        if tables == 0 and header.application == 0:
            return 0
        return self._check_header(header)

    def _check_header(self, header: Header) -> int:
        """The number of the file's schema. Raises Misconfigured if it isn't ours."""
        if header.magic != MAGIC:
            raise Misconfigured(damaged(self._path, "file is not a database"))
        if header.application != APPLICATION_ID:
            raise Misconfigured(f"{self._path} is another program's database. Name another file.")
        if not 1 <= header.version <= SCHEMA:
            raise of_another_version(str(self._path), header.version, SCHEMA, "name another file")
        return header.version

    def newest(self, db: sqlite3.Connection, channels: Mapping[str, Channel]) -> None:
        """A part that is read in no time: keys, heads, boards and the newest events. Raises Misconfigured."""
        for table in ("channel", "key", "secret"):
            self._check(db, table)
        try:
            for channel in channels.values():
                self._note_head(db, channel.slug)
                self._reading.snapshot_in(db, channel)
                newest = "SELECT body FROM event WHERE channel = ? ORDER BY ms DESC, n DESC LIMIT ?"
                for (body,) in db.execute(newest, (channel.slug, NEWEST)):
                    decode_line(body)
        except msgspec.DecodeError as error:
            raise Misconfigured(damaged(self._path, str(error))) from error

    def _check_all_of(self, db: sqlite3.Connection) -> None:
        """Table by table, so that none keeps the log of changes from being folded in for long. Raises Misconfigured."""
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if not self._closing:
                self._check(db, table)

    def _check(self, db: sqlite3.Connection, table: str) -> None:
        (found,) = db.execute(f"PRAGMA integrity_check({table})").fetchone()
        if found != "ok":
            raise Misconfigured(damaged(self._path, found))

    def _note_head(self, db: sqlite3.Connection, slug: str) -> None:
        row = db.execute("SELECT ms FROM channel WHERE slug = ?", (slug,)).fetchone()
        self._clock.note(row[0] if row else 0)

    # While the node is on

    async def go_on(self) -> None:
        """Look at every page of the file, while the node is on: at start, and when somebody else has written to it."""
        loop = asyncio.get_running_loop()
        due = self._transactions.check_due
        due.set()
        while True:
            await due.wait()
            due.clear()
            began = time.monotonic()
            try:
                checked = await loop.run_in_executor(self._thread, self._check_in_background)
            except Misconfigured as found:
                self._damage = found.detail
                log.error("%s", found.detail)
                continue
            if not checked:
                await asyncio.sleep(AGAIN_AFTER)
                due.set()
            else:
                self._damage = None
                log.info("All of %s was checked in the background in %.1f s", self._path, time.monotonic() - began)

    def _check_in_background(self) -> bool:
        """Whether it could be: while the file is moved away, or another is in its place, nobody opens it."""
        if self._transactions.is_lost():
            return False
        try:
            with contextlib.closing(self._transactions.connect(True)) as self._connection:
                self._check_all_of(self._connection)
        except sqlite3.Error as error:
            if self._transactions.is_lost():  # since
                return False
            if code(error) != sqlite3.SQLITE_INTERRUPT:
                raise Misconfigured(sentence(self._path, error)) from error
        finally:
            self._connection = None
        return True

    def expect_whole(self) -> None:
        if self._damage:
            raise NewswireUnavailable("The newswire's file is damaged. The node's log has the details.")

    def interrupt(self) -> None:
        self._closing = True
        with contextlib.suppress(sqlite3.Error):  # it has just been closed
            if checking := self._connection:
                checking.interrupt()

    def close(self) -> None:
        self._thread.shutdown()
