"""A node in a process of its own, started again whenever it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.chaos import ADMIN_KEY, CHANNELS, MAX_LINES
from tests.ports import free_port

CONFIG = "".join(f"[channels.{slug}]\nlanguage = '{slug}'\nmax_lines = {MAX_LINES}\n" for slug in CHANNELS)


class Node:
    def __init__(
        self, name: str, folder: Path, newswire: str, config: str = CONFIG, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.held_down = False
        self.starts = 0
        self._folder = folder / name
        self._folder.mkdir()
        (self._folder / "ticker.toml").write_text(config)
        self._newswire = newswire
        self._env = env or {}
        self._process: asyncio.subprocess.Process | None = None
        self._log = (self._folder / "log.txt").open("wb")

    async def run(self) -> None:
        """As systemd runs it: restarted as soon as it ends. Until canceled."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("TICKER_")} | {
            "TICKER_ADMIN_KEY": ADMIN_KEY,
            **self._env,
        }
        command = ["-m", "ticker", "serve", "--port", str(self.port), "--newswire", self._newswire, "--drain", "1"]
        try:
            while True:
                while self.held_down:
                    await asyncio.sleep(0.02)
                self.starts += 1
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *command,
                    cwd=self._folder,
                    env=env,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=self._log,
                )
                await self._process.wait()
                await asyncio.sleep(0.3)
        finally:
            self.signal(signal.SIGKILL)
            if self._process:
                await self._process.wait()
            self._log.close()

    def signal(self, number: signal.Signals) -> None:
        if self._process and self._process.returncode is None:
            self._process.send_signal(number)

    @property
    def log(self) -> str:
        return (self._folder / "log.txt").read_text()
