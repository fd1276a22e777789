"""The node as the kernel sees it: its memory, its connections and what they take. Knows /proc and sock_diag(7)."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import NamedTuple

PAGE = os.sysconf("SC_PAGE_SIZE")

# <linux/sock_diag.h>, <linux/inet_diag.h>
_SOCK_DIAG, _BY_FAMILY, _DUMP, _DONE, _ERROR = 4, 20, 0x301, 3, 2
_MEMORY = 7  # INET_DIAG_SKMEMINFO
_LISTEN, _TIME_WAIT = 10, 6  # states
_message = struct.Struct("=IHHII")
_wanted = struct.Struct("=BBBBI")
_sizes = struct.Struct("=5I")  # expires, bytes not read, bytes not acknowledged, user, inode


class Connection(NamedTuple):
    """One of the node's, closed ones that the kernel still sends from included."""

    cookie: int
    """Its own, as long as the machine runs."""
    unsent: int
    """Bytes that the other end has not taken."""
    memory: int
    """Bytes the kernel keeps for it."""


def connections(port: int) -> list[Connection]:
    """Those that came to a port."""
    states = 0xFFF & ~(1 << _LISTEN | 1 << _TIME_WAIT)
    asked = _wanted.pack(socket.AF_INET, socket.IPPROTO_TCP, 1 << _MEMORY - 1, 0, states)
    asked += struct.pack(">H", port) + bytes(2 + 36) + 8 * b"\xff"
    found: list[Connection] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG) as kernel:
        kernel.send(_message.pack(_message.size + len(asked), _BY_FAMILY, _DUMP, 1, 0) + asked)
        while True:
            data = memoryview(kernel.recv(1_048_576))
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == _DONE:
                    return found
                if kind == _ERROR:
                    raise OSError(-struct.unpack_from("=i", data, _message.size)[0], "sock_diag")
                if connection := _connection(data[_message.size : length]):
                    found.append(connection)
                data = data[length + 3 & ~3 :]


def _connection(data: memoryview) -> Connection | None:
    """None if the node has closed it and the kernel keeps its name alone."""
    (cookie,) = struct.unpack_from("=Q", data, 44)
    _, _, unsent, _, _ = _sizes.unpack_from(data, 52)
    at, memory = 72, None
    while at < len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if kind == _MEMORY:
            received, _, _, _, reserved, queued, options, backlog, *_ = struct.unpack_from("=9I", data, at + 4)
            memory = received + reserved + queued + options + backlog
        at += length + 3 & ~3
    return None if memory is None else Connection(cookie, unsent, memory)


def resident(pid: int) -> int:
    """Bytes of a process' memory that are in the machine's."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def tcp_memory() -> int:
    """Bytes that TCP takes on this machine, everybody's together."""
    for row in Path("/proc/net/sockstat").read_text().splitlines():
        if row.startswith("TCP:"):
            return int(row.split()[-1]) * PAGE
    return 0


def waited(pid: int) -> float:
    """Seconds a process could have run and had no core to run on."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def ran(pid: int) -> float:
    """Seconds a process has run."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
