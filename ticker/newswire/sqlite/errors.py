"""What SQLite's errors mean to an operator. Knows codes and sentences; knows no table."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ticker.newswire.sqlite.file import locked


def code(error: sqlite3.Error) -> int:
    """The primary result code; 0 where the error is Python's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def sentence(path: Path, error: sqlite3.Error) -> str:
    """What an operator should know and do."""
    match code(error):
        case sqlite3.SQLITE_FULL:
            return f"The disk that holds {path} is full. Make room on it."
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return locked(path)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return f"{path} can't be written. Give this user the right to write it and its folder."
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return damaged(path, str(error))
        case _:
            return f"{path} can't be read or written: {error}. Look at its disk."


def damaged(path: Path, found: str) -> str:
    return (
        f"{path} is damaged or no newswire at all ({found}). Move it away and restore a back-up, "
        "or start with an empty file."
    )
