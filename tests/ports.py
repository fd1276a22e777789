"""Ports for servers that are given one. Knows the kernel's rules for ports; knows no server."""

from __future__ import annotations

import socket

_held: list[socket.socket] = []


def free_port() -> int:
    """A port of 127.0.0.1 that nobody else gets while this process lives, and that the process it is given to can bind.

    A socket stays bound to it without listening. With SO_REUSEADDR on both, which every server here sets, Linux lets
    another bind it too, and it never gives such a port to those who ask for any: not even while the server restarts.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    _held.append(holder)
    return int(holder.getsockname()[1])
