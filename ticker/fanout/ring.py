"""io_uring(7): one system call for a whole slice of readers (docs/adr/0008). Knows its tables; knows no reader.

The numbers are those of <linux/io_uring.h>, and the same on the machines named here.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import mmap
import os
import platform
import socket
import struct
import sys
import weakref
from array import array
from collections.abc import Sequence
from typing import Any, Literal

from ticker.fanout.sender import AT_ONCE, Handle

log = logging.getLogger("ticker.fanout")

_MACHINES = ("x86_64", "aarch64")
_SETUP, _ENTER = 425, 426  # system calls
_SINGLE_MMAP, _NODROP = 1, 2  # features: both queues in one mapping (Linux 5.4); no answer gets lost (5.5)
_OFFSET_OF_ENTRIES = 0x10000000
_SEND = 26  # Linux 5.6
_GETEVENTS = 1

_entry = struct.Struct("=BxxxiQQIIQ24x")  # struct io_uring_sqe: opcode, fd, off, addr, len, msg_flags, user_data


def _structure(name: str, *fields: tuple[str, Any]) -> type[ctypes.Structure]:
    return type(name, (ctypes.Structure,), {"_fields_": fields})


def _uint32s(names: str) -> list[tuple[str, Any]]:
    return [(name, ctypes.c_uint32) for name in names.split()]


_SubmissionOffsets = _structure(
    "_SubmissionOffsets", *_uint32s("head tail mask entries flags dropped array _"), ("address", ctypes.c_uint64)
)
_CompletionOffsets = _structure(
    "_CompletionOffsets", *_uint32s("head tail mask entries overflow entry flags _"), ("address", ctypes.c_uint64)
)
_Parameters = _structure(
    "_Parameters",
    *_uint32s("submissions completions flags thread_cpu thread_idle features wq_fd _0 _1 _2"),
    ("submission", _SubmissionOffsets),
    ("completion", _CompletionOffsets),
)


def _system_call(number: int, *arguments: Any) -> int:
    """Raises OSError. Other threads run meanwhile."""
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class Ring:
    """io_uring(7), of which this uses the least: sends that are over when the call is, and nothing in between.

    The entries are written once; a call fills in two of their columns, the socket's number and the length. The
    kernel touches both queues within our call and this thread alone (no polling thread, nothing that may wait:
    MSG_DONTWAIT), so what we read and write there needs no barriers.

    Raises OSError if this isn't available.
    """

    def __init__(self) -> None:
        if sys.platform != "linux" or platform.machine() not in _MACHINES:
            raise OSError(errno.ENOSYS, "not on this kind of machine")
        made: Any = _Parameters()
        self._fd = _system_call(_SETUP, ctypes.c_uint(AT_ONCE), ctypes.byref(made))
        weakref.finalize(self, os.close, self._fd)
        if not (made.features & _SINGLE_MMAP and made.features & _NODROP):
            raise OSError(errno.ENOSYS, "the kernel is too old")
        asked, answered = made.submission, made.completion
        queues = memoryview(
            mmap.mmap(
                self._fd,
                max(asked.array + made.submissions * 4, answered.entry + made.completions * 16),
                mmap.MAP_SHARED | mmap.MAP_POPULATE,
            )
        )
        entries = memoryview(
            mmap.mmap(
                self._fd,
                made.submissions * _entry.size,
                mmap.MAP_SHARED | mmap.MAP_POPULATE,
                offset=_OFFSET_OF_ENTRIES,
            )
        )
        self._slots: int = made.submissions
        self._answers: int = made.completions
        self._head, self._tail, self._read, self._written = (
            queues[offset : offset + 4].cast("I") for offset in (asked.head, asked.tail, answered.head, answered.tail)
        )
        slots = queues[asked.array : asked.array + self._slots * 4].cast("I")
        for slot in range(self._slots):
            slots[slot] = slot
            _entry.pack_into(
                entries, slot * _entry.size, _SEND, 0, 0, 0, 0, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL, slot
            )
        completions = queues[answered.entry : answered.entry + self._answers * 16]
        self._fds = _column(entries, _entry.size, 4, "i")
        self._addresses = _column(entries, _entry.size, 16, "Q")
        self._lengths = _column(entries, _entry.size, 24, "I")
        self._tags = _column(completions, 16, 0, "Q")  # struct io_uring_cqe: the entry's user_data
        self._results = _column(completions, 16, 8, "i")
        self._make_room(65_536)
        self._try()

    def handle(self, sock: socket.socket) -> Handle:
        return sock.fileno()

    def release(self, handle: Handle) -> None:
        pass

    def row(self, handles: list[Handle]) -> Sequence[Handle]:
        return array("i", handles)

    def send(self, handles: Sequence[Handle], data: bytes) -> list[int]:
        count, size = len(handles), len(data)
        if size > len(self._data):
            self._make_room(size)
        self._data[:size] = data
        head = self._head[0]  # start fresh, even if an earlier call has left something
        self._read[0] = self._written[0]
        first = head % self._slots
        _fill(self._fds, first, array("i", handles))
        _fill(self._lengths, first, array("I", [size]) * count)
        self._tail[0] = (head + count) & 0xFFFFFFFF
        try:
            _system_call(_ENTER, self._fd, count, count, _GETEVENTS, None, 0)
        except OSError as error:  # short of memory, or interrupted: nobody got it, so the transports take it
            log.debug("io_uring took nothing: %s", error.strerror)
        read = self._read[0]
        begin, answers = read % self._answers, (self._written[0] - read) & 0xFFFFFFFF
        sent = _slice(self._results, begin, answers)
        if sent.count(size) == count:
            return sent
        by_slot = dict(zip(_slice(self._tags, begin, answers), sent, strict=True))
        return [max(0, by_slot.get((first + index) % self._slots, 0)) for index in range(count)]

    def _make_room(self, size: int) -> None:
        """For the data of a call, at one place that all entries name."""
        buffer = ctypes.create_string_buffer(size)
        self._data = memoryview(buffer).cast("B")
        self._addresses[:] = array("Q", [ctypes.addressof(buffer)]) * self._slots

    def _try(self) -> None:
        """A container's profile may allow the ring and forbid what goes through it."""
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            if self.send([near.fileno()], b"ticker") != [6] or far.recv(6) != b"ticker":
                raise OSError(errno.ENOSYS, "it doesn't send")


_libc = ctypes.CDLL(None, use_errno=True)


def _column(table: memoryview, row: int, offset: int, kind: Literal["i", "I", "Q"]) -> memoryview:
    """One field of all rows."""
    size = struct.calcsize(kind)
    return table.cast(kind)[offset // size :: row // size]


def _fill(column: memoryview, first: int, values: array[int]) -> None:
    """Write from a row on, and round the end."""
    room = len(column) - first
    if room >= len(values):
        column[first : first + len(values)] = memoryview(values)
    else:
        column[first:] = memoryview(values)[:room]
        column[: len(values) - room] = memoryview(values)[room:]


def _slice(column: memoryview, first: int, count: int) -> list[int]:
    """Read from a row on, and round the end."""
    values = column[first : first + count].tolist()
    return values + column[: count - len(values)].tolist() if len(values) < count else values
