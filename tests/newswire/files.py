"""What the tests of SQLite's file do to it."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest

from tests.newswire.wires import (
    BOTH,
    publish,
)
from tests.patience import WITHIN, environment
from ticker.errors import (
    Misconfigured,
)
from ticker.newswire.sqlite import SqliteNewswire


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteNewswire]:
    wire = SqliteNewswire(path)
    await wire.open(BOTH)
    try:
        yield wire
    finally:
        await wire.close()


async def refusal(path: Path) -> str:
    """The sentence with which a newswire on this file refuses to open."""
    with pytest.raises(Misconfigured) as refused:
        await SqliteNewswire(path).open(BOTH)
    return refused.value.detail


async def fill(path: Path, count: int = 100) -> None:
    async with opened(path) as wire:
        await asyncio.gather(*(publish(wire, f"Line {n} " + "x" * 200) for n in range(count)))


def ran(path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command on this file, in a process of its own, which has ended."""
    command = (sys.executable, "-m", "ticker", *command, "--newswire", f"sqlite:///{path}")
    env = environment(path.parent / "constants")
    return subprocess.run(
        command, cwd=path.parent, env=env, capture_output=True, text=True, timeout=WITHIN, check=False
    )


async def told(words: str, caplog: pytest.LogCaptureFixture) -> bool:
    return words in caplog.text


@contextmanager
def no_page_left(wire: SqliteNewswire) -> Iterator[None]:
    """SQLite's own limit of the file's size, which only its own connection can set: the error of a full disk."""
    db = wire._transactions.writing
    assert db
    db.execute("PRAGMA max_page_count = 1")  # the file is larger: so, no larger than it is
    yield
    db.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """What a careless back-up does."""
    with closing(sqlite3.connect(path, timeout=WITHIN, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")
