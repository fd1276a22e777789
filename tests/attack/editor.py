"""An editor, in a process of its own: `python -m tests.attack.editor PORT`.

Publishes and corrects steadily, opens the desk, signs in; each request has a connection of its own. Says `sent`, a
number and when, for each line and each correction, by the clock that all processes share; then `served` and the
seconds that it took, or `failed` and what was wrong. It ends at the end of its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from itertools import count
from typing import Any

from tests.attack import ADMIN_KEY, WORD
from tests.attack.messages import LINES, SESSION, request, sign_in

CHANGES_EVERY = 0.125  # seconds between two lines
LOOKS_EVERY = 0.4  # seconds between two looks at the desk
GIVES_UP_AFTER = 20.0  # seconds

Object = dict[str, Any]


class Editor:
    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers = count(1)
        self._last: str | None = None
        self._key = ADMIN_KEY
        self._under_way: set[asyncio.Task[None]] = set()

    async def arrive(self) -> None:
        """Get a key: an editor's, which is looked up each time."""
        asked = json.dumps({"name": "Attacked", "role": "editor"}).encode()
        status, _, made = await self._ask(self._authorized("/v1/keys", "POST", asked))
        assert status == 201, made
        self._key = json.loads(made)["key"]

    async def run(self) -> None:
        await asyncio.gather(self._steadily(CHANGES_EVERY, self._change), self._steadily(LOOKS_EVERY, self._look))

    async def _steadily(self, every: float, do: Any) -> None:
        due = time.monotonic()
        while True:
            task = asyncio.create_task(do())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            due += every
            await asyncio.sleep(due - time.monotonic())

    async def _change(self) -> None:
        number = next(self._numbers)
        words = json.dumps({"text": f"A line under attack, {WORD}{number:08}"}).encode()
        line, self._last = self._last, None
        asked = self._authorized(f"{LINES}/{line}" if line else LINES, "PATCH" if line else "POST", words)
        print("sent", number, time.monotonic(), flush=True)
        if (answer := await self._served("a change", asked, 200 if line else 201)) and not line:
            self._last = json.loads(answer[1])["id"]

    async def _look(self) -> None:
        answer = await self._served("sign-in", sign_in(self._key).replace(b"Host", b"Connection: close\r\nHost"), 204)
        if answer:
            cookie = answer[0].partition(b"set-cookie: ")[2].partition(b";")[0].decode()
            await self._served("the session", request(SESSION, f"Cookie: {cookie}", "Connection: close"), 200)
            await self._served("the desk", request("/desk", f"Cookie: {cookie}", "Connection: close"), 200)

    async def _served(self, what: str, asked: bytes, expected: int) -> tuple[bytes, bytes] | None:
        """The answer's head and body."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(GIVES_UP_AFTER):
                status, head, body = await self._ask(asked)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            print(f"failed {what}: {type(error).__name__} {error} after {time.monotonic() - began:.1f} s", flush=True)
            return None
        if status != expected:
            print(f"failed {what}: {status} {body[:200].decode()}", flush=True)
            return None
        print("served", time.monotonic() - began, what, flush=True)
        return head, body

    async def _ask(self, asked: bytes) -> tuple[int, bytes, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.closing(writer):
            writer.write(asked)
            head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        return int(head[9:12]), head, body

    def _authorized(self, target: str, method: str, body: bytes) -> bytes:
        fields = (f"Authorization: Bearer {self._key}", "Content-Type: application/json", "Connection: close")
        return request(target, *fields, method=method, body=body)


async def run(port: int) -> None:
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    ended.add_done_callback(lambda _: os._exit(0))  # the process that started this has ended
    editor = Editor(port)
    await editor.arrive()
    await editor.run()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1])))
