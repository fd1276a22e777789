"""The file's tables, made and brought up step by step. Knows every schema there has been; knows no line.

The steps lie beside this, one file each. One that has been released is never changed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

from ticker.errors import Misconfigured
from ticker.newswire.schema import read_migrations
from ticker.newswire.sqlite.file import PRIVATE

APPLICATION_ID = 0x5469636B  # "Tick": another program's file is refused, not written to
MIGRATIONS = read_migrations(__name__)
SCHEMA = len(MIGRATIONS)  # SQLite's user_version

log = logging.getLogger("ticker.newswire")


def migrate(db: sqlite3.Connection, path: Path, schema: int) -> None:
    """Bring a file up from its schema (0: it is new), in one transaction. A copy of an older one is kept beside it.

    Raises Misconfigured.
    """
    steps = MIGRATIONS[schema:]
    if not steps:
        return
    if schema:
        copy = Path(f"{path}-v{schema}-backup")
        _back_up(db, copy)
        log.warning(
            "%s is of an older version (schema %d) and is brought up to schema %d: %s "
            "An older version can't read it then; as it was, it is kept in %s",
            path,
            schema,
            SCHEMA,
            " ".join(step.what for step in steps),
            copy,
        )
    script = " ".join(step.script for step in steps)
    mark = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA};"
    db.executescript(f"BEGIN IMMEDIATE; {script} {mark} COMMIT;")


def _back_up(db: sqlite3.Connection, copy: Path) -> None:
    """A copy of the file, its log of changes folded in, that this user alone can read. Half a copy has another name."""
    part = copy.with_name(f"{copy.name}-part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
        with contextlib.closing(sqlite3.connect(part)) as target:
            db.backup(target)
        part.replace(copy)
    except (OSError, sqlite3.Error) as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise Misconfigured(
            f"The newswire's file is of an older version, and no copy of it could be kept in {copy} ({error}). "
            "Make room there, and start again."
        ) from error
