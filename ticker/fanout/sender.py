"""The same bytes to many sockets. Knows what is asked of a sender; knows no reader and no channel.

`Ring` is io_uring(7): one system call for a whole slice of readers. `Calls` is send(2) for each of them, where the
kernel, a container's seccomp profile or the operator says no to that. What they do is the same (docs/adr/0008).
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from typing import Any, Protocol

AT_ONCE = 500  # sockets a call of `send`: some 4 ms

Handle = Any
"""What a sender takes for a socket."""

log = logging.getLogger("ticker.fanout")


class Sender(Protocol):
    """Sends on sockets that don't block. It owns none of them."""

    def handle(self, sock: socket.socket) -> Handle:
        """What to give to `send` for a socket, for as long as that is open."""

    def release(self, handle: Handle) -> None:
        """Let go of a socket that is about to be closed by its owner."""

    def row(self, handles: list[Handle]) -> Sequence[Handle]:
        """The same, to be kept and given to `send` in slices."""

    def send(self, handles: Sequence[Handle], data: bytes) -> list[int]:
        """Send the data on each, at most `AT_ONCE` of them: how many bytes each took, or none. Never blocks."""


def open_sender(*, io_uring: bool = True) -> Sender:
    """The one that costs least, of what this system has."""
    from ticker.fanout.calls import Calls
    from ticker.fanout.ring import Ring

    why = "as asked"
    if io_uring:
        try:
            ring = Ring()
        except OSError as error:
            why = f"there is no io_uring: {error.strerror}"
        else:
            log.info("Lines go out by io_uring")
            return ring
    log.info("Lines go out by send(2), %s", why)
    return Calls()
