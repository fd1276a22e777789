"""Readers, in a process of their own: `python -m tests.attack.readers PORT COUNT`. Half by WebSocket, half by SSE.

Says `ready` once all are greeted; then for each line, once all have it, its number and when the last one got it, by
the clock that all processes share; and `lost` for each reader whose connection has ended.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections import Counter, deque
from functools import partial
from typing import cast

import uvloop

from tests.attack import WORD
from tests.attack.messages import handshake, stream

PING, PONG = b"\x89\x00", b"\x8a\x80\0\0\0\0"
NUMBER = re.compile(WORD.encode() + rb"([0-9]{8})")
AT_ONCE = 50  # that connect


class Readers:
    def __init__(self, count: int) -> None:
        self.count = count
        self.greeted = 0
        self.had: Counter[bytes] = Counter()

    def got(self, number: bytes) -> None:
        self.had[number] += 1
        if self.had[number] == self.count:
            del self.had[number]
            print(int(number), time.monotonic(), flush=True)


class Reader(asyncio.Protocol):
    def __init__(self, readers: Readers, *, over_websocket: bool) -> None:
        self._readers = readers
        self._over_websocket = over_websocket
        self._tail = b""
        self._recent: deque[bytes] = deque(maxlen=32)  # numbers: a board repeats some
        self.greeted = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(handshake() if self._over_websocket else stream())

    def data_received(self, data: bytes) -> None:
        data = self._tail + data
        for number in NUMBER.findall(data):
            if number not in self._recent:
                self._recent.append(number)
                self._readers.got(number)
        if self._over_websocket and PING in data:
            self._transport.write(PONG)
        self._tail = data[-len(WORD) - 7 :].rpartition(PING)[2]
        if b'"max_lines"' in data:
            self.greeted.set()

    def connection_lost(self, exc: Exception | None) -> None:
        print("lost", flush=True)


async def run(port: int, count: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    ended.add_done_callback(lambda _: os._exit(0))  # whoever has started this has gone
    readers = Readers(count)
    for begin in range(0, count, AT_ONCE):
        made = [
            await loop.create_connection(partial(Reader, readers, over_websocket=n % 2 == 0), "127.0.0.1", port)
            for n in range(begin, min(count, begin + AT_ONCE))
        ]
        for _, reader in made:
            await reader.greeted.wait()
    readers.had.clear()
    print("ready", flush=True)
    await ended


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), int(sys.argv[2])))
