"""Every connection that is no reader's, or not yet: how many there may be, and how long. Knows no request.

Rule 1: each has a deadline. Once a second, those that are late are closed.
Rule 2: there is a limit to their number. At the limit the one goes whose client has kept us waiting longest:
        first of those that have had no request under way for a second, then of those that have owed a body, or not read
        their answer, for as long; then of those that are new, the one that came first.
        Requests that we are working on stay, and so do editors' connections, between two requests too. If there is
        nothing but those, the newcomer goes.
Rule 3: so it is with the bytes that are kept for them: of requests that are not whole, of answers that are not read.

So silent or slow clients can't keep an editor out, and can't take the open files that the newswire needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import struct
from collections import OrderedDict
from typing import Literal, Protocol

from ticker.readers.handover import UNACKNOWLEDGED_MAX

KEPT_MAX = 16 * 1_048_576  # bytes of theirs, here and in the kernel: hundreds of the largest, thousands of usual ones
SMALL_MAX = 2_048  # bytes that each may keep beside: to make room for a large one, thousands of small ones would go
UNWRITTEN_MAX = 16_384  # bytes of an answer that wait here before its maker waits too
# Bytes that the kernel takes of what a client sends before we read it: until its request has begun, and then. Of
# thousands that send at once it may have to keep them for a second, and needs 2 for 1. A buffer that is made smaller
# later stops the client for 0.2 s at a time.
UNREAD_MAX = 4_096
BODY_UNREAD_MAX = 16_384
UNSENT_MAX = 32_768  # bytes of an answer that the kernel takes for a client that doesn't read; by itself, megabytes
IDLE_FROM = 1.0  # seconds until a connection counts as idle, or as slow: what a new one sends is on its way
EXPIRE_AT_ONCE = 32  # connections that are ended before others get their turn
SWEEP = 1.0  # seconds between two looks at who is late

_TCP_CLOSE = 7  # <linux/tcp_states.h>
SO_MEMINFO = 55  # <asm-generic/socket.h>: what the kernel keeps for a socket
_memory = struct.Struct("=9I")  # SK_MEMINFO_… of <linux/sock_diag.h>

Turn = Literal["idle", "owing", "ours"]
"""Whose turn it is: no request is under way; one is, and the client owes some of it or doesn't read; or it is ours."""

log = logging.getLogger("ticker")


class Connection(Protocol):
    """One of those that are minded."""

    deadline: float
    """Until when the client has time for what it does now, by the loop's clock."""

    def expire(self) -> None:
        """The deadline has passed."""

    def give_way(self) -> None:
        """End now: the room is needed."""

    def weight(self) -> int:
        """Bytes that are kept for it now."""


class Connections:
    """At most `most` connections."""

    def __init__(self, most: int) -> None:
        self.most = most
        # Each with when its turn began. The one that has waited longest is first. Three dictionaries instead of one, so
        # that no search is needed.
        self._by_turn: dict[Turn, OrderedDict[Connection, float]] = {
            "idle": OrderedDict(),
            "owing": OrderedDict(),
            "ours": OrderedDict(),
        }
        self._kept: OrderedDict[Connection, int] = OrderedDict()
        self._kept_bytes = 0
        self._sweeping = False
        self._short_of_files = False

    def __len__(self) -> int:
        return sum(map(len, self._by_turn.values()))

    def enter(self, connection: Connection) -> None:
        """A connection is there, and its first request is to come."""
        if len(self) >= self.most:
            self._make_room(connection)
        loop = asyncio.get_running_loop()
        self._by_turn["idle"][connection] = loop.time()
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(SWEEP, self._sweep)

    def turn(self, connection: Connection, before: Turn, now: Turn) -> None:
        """It is another's turn. Harmless if the connection has left."""
        if connection in self._by_turn[before]:
            del self._by_turn[before][connection]
            self._by_turn[now][connection] = asyncio.get_running_loop().time()

    def leave(self, connection: Connection, turn: Turn) -> None:
        """The connection is a reader's now, or closed. Harmless if that is known."""
        self._by_turn[turn].pop(connection, None)
        self._kept_bytes -= self._kept.pop(connection, 0)

    def keep(self, connection: Connection, turn: Turn, size: int) -> None:
        """So many bytes are kept for it. If those that keep more than a little have too many together, the one of them
        that has kept us waiting longest is closed."""
        if connection not in self._by_turn[turn]:
            return
        self._count(connection, size)
        ours = self._by_turn["ours"]
        while self._kept_bytes > KEPT_MAX:
            if (oldest := next((each for each in self._kept if each not in ours), None)) is None:
                return  # all of it is being worked on
            counted = self._kept[oldest]
            if (now := oldest.weight()) < counted:  # it has read on since it was counted
                del self._kept[oldest]
                self._kept_bytes -= counted
                self._count(oldest, now)
            else:
                oldest.give_way()

    def _count(self, connection: Connection, size: int) -> None:
        self._kept_bytes += (size if size > SMALL_MAX else 0) - self._kept.get(connection, 0)
        if size > SMALL_MAX:
            self._kept[connection] = size  # in its place: the connection that has had bytes here longest is first
        else:
            self._kept.pop(connection, None)

    def _make_room(self, newcomer: Connection) -> None:
        now = asyncio.get_running_loop().time()
        firsts = [next(iter(self._by_turn[turn].items())) for turn in ("idle", "owing") if self._by_turn[turn]]
        waited = [connection for connection, since in firsts if now - since >= IDLE_FROM]
        if waited:
            waited[0].give_way()
        else:
            goes, _ = min(firsts, key=lambda first: first[1], default=(newcomer, now))
            goes.give_way()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        late = [each for connections in self._by_turn.values() for each in connections if each.deadline <= now]
        self._look_at_files()
        self._expire(late)

    def _expire(self, late: list[Connection]) -> None:
        """Some at a time: thousands that came together are late together, and each costs 0.1 ms."""
        loop = asyncio.get_running_loop()
        for connection in late[:EXPIRE_AT_ONCE]:
            is_here = any(connection in each for each in self._by_turn.values())  # or it is a reader's since
            if is_here and connection.deadline <= loop.time():
                connection.expire()
        if rest := late[EXPIRE_AT_ONCE:]:
            loop.call_soon(self._expire, rest)
        else:
            loop.call_later(SWEEP, self._sweep)

    def _look_at_files(self) -> None:
        """Say once if no file is left: the event loop turns newcomers away then without a word."""
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE) and not self._short_of_files:
                self._short_of_files = True
                log.error(
                    "This process can't open more files, so new connections are refused. Raise the limit "
                    "(ulimit -n, LimitNOFILE), or find out what else has files open. %d connections are not readers'.",
                    len(self),
                )
        else:
            if self._short_of_files:
                log.info("Files can be opened again: new connections are accepted")
            self._short_of_files = False


def bound(transport: asyncio.Transport) -> None:
    """Bound what is kept for a client whose request has begun, here and in the kernel, in bytes and in time."""
    transport.set_write_buffer_limits(high=UNWRITTEN_MAX)
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BODY_UNREAD_MAX)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MAX)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_MAX)


def unread(transport: asyncio.Transport) -> int:
    """Bytes that are kept of answers that the client hasn't taken, here and in the kernel, which needs 2 kB for 1."""
    here = transport.get_write_buffer_size()
    try:
        found = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _memory.size)
    except OSError:  # it is closed
        return here
    received, _, _, _, reserved, queued, *_ = _memory.unpack(found)
    if here:
        return here + max(UNSENT_MAX, int(queued))
    return int(received + reserved + queued) if queued else 0


def is_gone(transport: asyncio.Transport) -> bool:
    """Whether the connection was reset by its client, as far as the kernel knows."""
    sock = transport.get_extra_info("socket")
    try:
        return sock.family != socket.AF_UNIX and bool(
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE
        )
    except OSError:
        return True


def cut(transport: asyncio.Transport) -> None:
    """Close at once, and have the kernel forget what the client hasn't read: it would keep that for minutes."""
    sock = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it is closed
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
