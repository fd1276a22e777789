"""The newswire's file as the system sees it: whose it is, and whether it is still the one. Knows no table.

What SQLite keeps goes into the file that it has open, whatever has become of the name: a file that is deleted,
or replaced by a back-up, is written to in vain. So the file is looked at before each change is committed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from ticker.errors import Misconfigured

PRIVATE = 0o600  # it holds the words of canceled lines and hashes of keys
LOCK_BYTE = 1 << 40  # beyond every file, and beyond the bytes that SQLite locks
SQLITE_LOCKS, SQLITE_BYTES = 0x40000000, 512  # https://www.sqlite.org/src/file/src/os.h
MAGIC = b"SQLite format 3\x00"

log = logging.getLogger("ticker.newswire")


class Header(NamedTuple):
    """What the first hundred bytes say (https://www.sqlite.org/fileformat2.html#the_database_header)."""

    magic: bytes
    changes: int
    pages: int
    free: int
    schema: int
    version: int
    application: int

    @classmethod
    def of(cls, head: bytes) -> Self:
        def number(place: int) -> int:
            return int.from_bytes(head[place : place + 4], "big")

        return cls(head[:16], number(24), number(28), number(36), number(40), number(60), number(68))


class OwnFile:
    """A file that this process alone serves, from `take` to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._file: int | None = None
        self._beside: dict[str, int] = {}
        self._written: tuple[int, int] | None = None
        self._changes = 0

    # Whose it is

    def take(self) -> None:
        """Make the file if there is none, and keep other processes from it. Raises Misconfigured.

        The kernel drops both locks with the process, also after kill -9. The file beside it keeps another
        newswire of this process out; the byte holds when that file has been deleted.
        """
        try:
            self._lock = os.open(f"{self.path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
            self._lock_byte()
        except BlockingIOError as error:
            raise Misconfigured(taken(self.path)) from error
        except OSError as error:
            raise Misconfigured(cannot_open(self.path, error)) from error
        if os.fstat(self._file).st_mode & stat.S_IROTH:
            log.warning("Every user of this machine can read %s. Take the right from them: chmod o-rwx", self.path)

    def _lock_byte(self) -> None:
        assert self._file is not None
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, LOCK_BYTE)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise BlockingIOError from error

    def close(self) -> None:
        """Only after SQLite has closed it: closing any file of this name drops all the locks that SQLite has on it."""
        for opened in (self._file, self._lock):
            if opened is not None:
                os.close(opened)
        self._file = self._lock = None

    # Whether it is still the one

    def remember(self) -> None:
        """Note how the file was left. Call it when SQLite has it open, and after each commit."""
        written = self._state()
        if written == self._written:
            return
        if self._written is None:
            self._lock_byte()  # SQLite gives up all locks of a file where it gives up its last
            for suffix in ("-wal", "-shm"):
                with contextlib.suppress(OSError):
                    self._beside[suffix] = os.stat(f"{self.path}{suffix}").st_ino
        self._written = written
        self._changes = self.header().changes

    def is_written_by_others(self) -> bool:
        """Whether somebody else has written to the file since `remember`: to fold changes in, or to copy over it."""
        return self._written is not None and self._state() != self._written

    def lost(self) -> str | None:
        """What is wrong, in a sentence, if the file isn't any more the one of this name."""
        assert self._file is not None
        ours = os.fstat(self._file)
        try:
            named = os.stat(self.path)
            for suffix, number in self._beside.items():
                if os.stat(f"{self.path}{suffix}").st_ino != number:
                    return self._sentence(f"{self.path}{suffix} was replaced")
        except OSError as error:
            return self._sentence(f"{error.filename} was deleted")
        if (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino):
            return self._sentence(f"{self.path} was replaced")
        return None

    def overwritten(self, known: Header) -> str | None:
        """The same, if another file was copied into this one. `known`: what our connection knows of it."""
        found = self.header()
        if found._replace(changes=0) != known._replace(changes=0) or found.changes < self._changes:
            return self._sentence(f"{self.path} was written over")
        return None

    def header(self) -> Header:
        assert self._file is not None
        return Header.of(os.pread(self._file, 100, 0))

    def _state(self) -> tuple[int, int]:
        assert self._file is not None
        found = os.fstat(self._file)
        return found.st_mtime_ns, found.st_size

    def _sentence(self, what: str) -> str:
        return (
            f"{what} while this node runs, so nothing can be kept. Stop the node, put the file in place that is to be "
            f"served, remove {self.path}-wal and {self.path}-shm if they are not that file's own, and start the node."
        )


def taken(path: Path) -> str:
    return (
        f"Another process has {path} open. One file serves one node; "
        "several nodes share a newswire on Redis (--newswire redis://HOST)."
    )


def locked(path: Path) -> str:
    return f"Another program keeps {path} locked. Stop it, or wait until it is done."


def cannot_open(path: Path, error: OSError) -> str:
    return f"The newswire's file {path} can't be opened: {error.strerror}. Name a folder that this user may write to."


def inspect(path: Path) -> Header | None:
    """The file's header; None if there is no file yet. Makes nothing, and leaves nothing. Raises Misconfigured."""
    try:
        with contextlib.suppress(FileNotFoundError), _opened(f"{path}-lock", os.O_RDONLY) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with _opened(str(path), os.O_RDWR) as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, LOCK_BYTE)
            try:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, SQLITE_BYTES, SQLITE_LOCKS)
            except BlockingIOError as error:
                raise Misconfigured(locked(path)) from error
            head = os.pread(file, 100, 0)
            return Header.of(head) if head else None
    except FileNotFoundError as error:
        if not path.parent.is_dir():
            raise Misconfigured(cannot_open(path, error)) from error
        if not os.access(path.parent, os.W_OK | os.X_OK):
            denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            raise Misconfigured(cannot_open(path, denied)) from error
        return None
    except BlockingIOError as error:
        raise Misconfigured(taken(path)) from error
    except OSError as error:
        raise Misconfigured(cannot_open(path, error)) from error


@contextlib.contextmanager
def _opened(name: str, flags: int) -> Iterator[int]:
    file = os.open(name, flags | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)
