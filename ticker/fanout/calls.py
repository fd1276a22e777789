"""send(2), a system call for each reader: for where there is no io_uring. Knows sockets; knows no reader."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from itertools import repeat

from ticker.fanout.sender import Handle


class Calls:
    """send(2), in a loop that is C: between two system calls the less is touched, the better."""

    def handle(self, sock: socket.socket) -> Handle:
        return socket.socket(sock.family, socket.SOCK_STREAM, fileno=sock.fileno())

    def release(self, handle: Handle) -> None:
        handle.detach()

    def row(self, handles: list[Handle]) -> Sequence[Handle]:
        return handles

    def send(self, handles: Sequence[Handle], data: bytes) -> list[int]:
        sent: list[int] = []
        sends = map(socket.socket.send, handles, repeat(data))
        while len(sent) < len(handles):
            try:
                sent.extend(sends)
            except OSError:
                sent.append(0)
        return sent
