"""The node that is attacked, in a process of its own, with the limits that it is shipped with."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tests.acting import act
from tests.attack import ADMIN_KEY, CHANNEL, CONFIG
from tests.patience import WITHIN
from tests.ports import free_port
from ticker.line import NewLine, checked
from ticker.newswire import open_newswire
from ticker.settings import read_channels


class Node:
    def __init__(self, port: int, process: subprocess.Popen[str], log: Path) -> None:
        self.port = port
        self.pid = process.pid
        self._process = process
        self._log = log

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")


@contextlib.asynccontextmanager
async def running(folder: Path, history: int, files: int | None = None) -> AsyncIterator[Node]:
    """A node with so many lines behind it, which may open so many files."""
    folder.mkdir()
    declared = folder / "ticker.toml"
    declared.write_text(CONFIG)
    await _fill(folder / "ticker.db", declared, history)
    port = free_port()
    command = ["-m", "ticker", "serve", "--port", str(port), "--drain", "0", "--newswire", "sqlite:///ticker.db"]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TICKER_")}

    def limit() -> None:
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env={**ours, "TICKER_ADMIN_KEY": ADMIN_KEY},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            preexec_fn=limit,
        )
    assert process.stdout
    try:
        await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), WITHIN)
        node = Node(port, process, folder / "log.txt")
        deadline = time.monotonic() + WITHIN
        while not await _listens(port):
            assert node.is_alive, node.log
            assert time.monotonic() < deadline, node.log
            await asyncio.sleep(0.05)
        yield node
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def _fill(file: Path, declared: Path, lines: int) -> None:
    channels = read_channels(declared)
    newswire = open_newswire(f"sqlite:///{file}", "history")
    await newswire.open(channels)
    try:
        for number in range(lines):
            words = checked(NewLine(text=f"What was said before, {number}: {200 * 'x'}"))
            await newswire.publish(channels[CHANNEL], words, act=act("history"))
    finally:
        await newswire.close()


async def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False
