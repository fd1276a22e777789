"""Connections whose client is to send something, and which of them are read next. Knows no request.

Rule 1: while a client is waited for, its connection is not in the event loop's own poll, which would read all that are
        ready in one turn, up to 1,024 (libuv). It is in a poll of ours, of which a few are woken in each turn. So a
        turn is short, however many thousands begin to send in the same moment.
Rule 2: the newest connections are awake, since most send with their first packets. Those that don't go to sleep.
Rule 3: the kernel forgets a connection here when it is closed. An event of one that is awake by now is nobody's.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from typing import Protocol

WAKE_AT_ONCE = 8  # connections woken in a turn; each costs up to 0.3 ms, to close another for it included
REST = 0.002  # seconds until the next, while more are waiting: the thread that keeps a line for an editor needs them
LOOKS = 8  # how often a turn looks for more if those that it found were gone: they cost little
NEW_MAX = 64  # new connections that are awake

_ONCE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT


class Sleeper(Protocol):
    """A connection that is waited for."""

    def doze_if_silent(self) -> None:
        """It is no longer one of the newest."""

    def wake(self) -> None:
        """There is something to read, or its client has ended its side."""

    def lose(self) -> None:
        """Its client has gone, and nothing can be sent to it any more."""


class Dozing:
    """Those of one node."""

    def __init__(self) -> None:
        self._poll: select.epoll | None = None
        self._asleep: dict[int, Sleeper] = {}  # by file descriptor
        self._new: deque[Sleeper] = deque()

    def enter(self, sleeper: Sleeper) -> None:
        """A new connection, which is awake."""
        self._new.append(sleeper)
        if len(self._new) > NEW_MAX:
            self._new.popleft().doze_if_silent()

    def doze(self, file: int, sleeper: Sleeper) -> None:
        """Call `wake` once there is something to read and it is its turn. The caller has stopped reading."""
        poll = self._poll
        if poll is None:
            poll = self._poll = select.epoll()
            self._watch(poll)
        self._asleep[file] = sleeper
        try:
            poll.modify(file, _ONCE)
        except FileNotFoundError:
            poll.register(file, _ONCE)

    def awake(self, file: int, sleeper: Sleeper) -> None:
        """Don't call `wake`. Harmless if it is awake or closed."""
        if self._asleep.get(file) is sleeper:
            del self._asleep[file]

    def _watch(self, poll: select.epoll) -> None:
        asyncio.get_running_loop().add_reader(poll.fileno(), self._wake, poll)

    def _wake(self, poll: select.epoll) -> None:
        left = WAKE_AT_ONCE
        for _ in range(LOOKS):
            ready = poll.poll(0, left)
            for file, events in ready:
                if (sleeper := self._asleep.pop(file, None)) is None:
                    continue
                if events & select.EPOLLERR:  # reset
                    sleeper.lose()
                else:
                    sleeper.wake()
                    left -= 1
            if not ready or not left:
                break
        else:
            left = 0
        if not left:
            loop = asyncio.get_running_loop()
            loop.remove_reader(poll.fileno())
            loop.call_later(REST, self._watch, poll)
