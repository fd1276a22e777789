"""Ports for servers that are given one, and the end of listening. Knows the kernel's rules for ports."""

from __future__ import annotations

import asyncio
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


async def stop_listening(server: asyncio.Server) -> None:
    """Close it, so that each connection that it accepted has reached its handler: asyncio of Python 3.11 never closes
    one that is accepted before the server closes and set up after it."""
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    for _ in range(5):  # turns from accepting one to its handler
        await asyncio.sleep(0)
    server.close()
