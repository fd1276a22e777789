"""Who takes part: the node, its readers, its editor, and what is seen of them from outside. Knows no attack's bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.attack import HELD_MAX, node, watch
from tests.attack.attack import Attack, Way
from tests.patience import WITHIN
from tests.proxies import proxy

Process = asyncio.subprocess.Process

LOOK_EVERY = 0.5  # seconds
ARRIVES_WITHIN = 10.0  # seconds until a line counts as lost
NOBODY = "nobody"


class Life(NamedTuple):
    """Of a connection that is no reader's of ours."""

    attack: str
    since: float
    until: float
    unsent_since: float | None
    longest_unsent: float


class Figures(NamedTuple):
    """What one attack did."""

    attack: str
    late: list[float]
    """Seconds from the editor's request to the last reader, of each line."""
    missing: int
    """Lines that not all readers had."""
    longest: float
    """Seconds that an answer to the editor took."""
    core: float
    """The share of a core that the node took."""
    waited: float
    """The share of the time in which it had no core to run on."""
    done: dict[str, int]
    """By the attacker: connections, those of them that it keeps, bytes sent and received."""
    resident: int
    """Bytes of the node's memory, at their most."""
    kernel: int
    """Bytes that the kernel kept for its connections, at their most."""


class World:
    def __init__(
        self, running: node.Node, ways: dict[Way, int], readers: Process, editor: Process, served_within: float
    ) -> None:
        self.node = running
        self.lost = 0
        """Readers of ours whose connection has ended."""
        self.failures: list[str] = []
        """Requests of the editor that got no good answer, or late."""
        self.served = 0
        """Those that did."""
        self.lives: dict[int, Life] = {}
        self.resident_before = 0
        self.kernel_before = 0
        self.tcp_before = self.tcp_most = watch.tcp_memory()
        self._ways = ways
        self._readers = readers
        self._editor = editor
        self._served_within = served_within
        self._longest = 0.0
        self._sent: dict[int, float] = {}
        self._arrived: dict[int, float] = {}
        self._ours: set[int] = set()
        self._attackers: list[Process] = []
        self._now_attacking = NOBODY
        self._resident = self._kernel = 0

    async def hear_readers(self) -> None:
        """What they say, until canceled."""
        async for number, at in _rows(self._readers):
            if number == "lost":
                self.lost += 1
            else:
                self._arrived[int(number)] = float(at)

    async def hear_editor(self) -> None:
        """What he says, until canceled."""
        async for word, said in _rows(self._editor):
            value, _, rest = said.partition(" ")
            match word:
                case "sent":
                    self._sent[int(value)] = float(rest)
                case "served":
                    self.served += 1
                    self._longest = max(self._longest, float(value))
                    if float(value) > self._served_within:
                        self.failures.append(f"{rest} answered after {float(value):.1f} s")
                case _:
                    self.failures.append(said)

    async def look(self) -> None:
        """At the node, until canceled."""
        while True:
            self.look_once()
            await asyncio.sleep(LOOK_EVERY)

    def look_once(self) -> None:
        now = time.monotonic()
        kernel = 0
        for connection in watch.connections(self.node.port):
            kernel += connection.memory
            if connection.cookie in self._ours:
                continue
            life = self.lives.get(connection.cookie) or Life(self._now_attacking, now, now, None, 0.0)
            unsent_since = (life.unsent_since or now) if connection.unsent else None
            longest = max(life.longest_unsent, now - unsent_since if unsent_since else 0.0)
            self.lives[connection.cookie] = life._replace(until=now, unsent_since=unsent_since, longest_unsent=longest)
        self._kernel = max(self._kernel, kernel)
        self._resident = max(self._resident, watch.resident(self.node.pid))
        self.tcp_most = max(self.tcp_most, watch.tcp_memory())

    def begin(self) -> None:
        """From here on what is there grows, and whoever comes is a stranger."""
        self._ours = {connection.cookie for connection in watch.connections(self.node.port)}
        self.lives.clear()
        self._resident = self._kernel = 0
        self.look_once()
        self.resident_before, self.kernel_before = self._resident, self._kernel

    async def peace(self, seconds: float) -> Figures:
        """What nobody's attack looks like."""
        return await self._measured(NOBODY, asyncio.sleep(seconds, {}))

    async def suffer(self, attack: Attack, way: Way, seconds: float) -> Figures:
        """An attack, and what it did."""
        process = await _start("attacker", attack.name, self._ways[way], seconds)
        self._attackers.append(process)
        assert process.stdin
        assert process.stdout
        assert await process.stdout.readline() == b"ready\n"
        process.stdin.write(b"go\n")
        name = attack.name if way == "direct" else f"{attack.name}, through Caddy"
        figures = await self._measured(name, self._done(process))
        if not figures.done["kept"]:
            await _end(process)
        return figures

    @staticmethod
    async def _done(process: Process) -> dict[str, int]:
        assert process.stdout
        row = await process.stdout.readline()
        assert row, "the attacker has ended"
        return dict(json.loads(row))

    async def _measured(self, name: str, doing: Any) -> Figures:
        self._now_attacking = name
        self._resident = self._kernel = 0
        self._longest = 0.0
        began, ran, waited = time.monotonic(), watch.ran(self.node.pid), watch.waited(self.node.pid)
        done = await doing
        self.look_once()
        ended = time.monotonic()
        ran, waited = watch.ran(self.node.pid) - ran, watch.waited(self.node.pid) - waited
        numbers = [number for number, sent in self._sent.items() if began <= sent <= ended]
        while time.monotonic() < ended + ARRIVES_WITHIN and not all(number in self._arrived for number in numbers):
            await asyncio.sleep(0.02)
        late = [self._arrived[number] - self._sent[number] for number in numbers if number in self._arrived]
        passed = ended - began
        return Figures(
            name,
            sorted(late),
            len(numbers) - len(late),
            self._longest,
            ran / passed,
            waited / passed,
            done,
            self._resident,
            self._kernel,
        )

    async def until_let_go(self, readers_attacks: set[str], say: Any) -> None:
        """Until every connection that is held has gone, or should have."""
        self._now_attacking = NOBODY
        deadline = time.monotonic() + HELD_MAX + 2 * LOOK_EVERY
        said = None
        while time.monotonic() < deadline:
            self.look_once()
            now = time.monotonic()
            held = [
                life
                for life in self.lives.values()
                if life.until > now - 2 * LOOK_EVERY
                and life.attack != NOBODY
                and (life.attack not in readers_attacks or life.unsent_since is not None)
            ]
            if not held:
                return
            if (told := int(now - deadline) // 10) != said:
                said = told
                say(f"{len(held)} connections are still held, for {now - min(life.since for life in held):.0f} s")
            await asyncio.sleep(2 * LOOK_EVERY)

    async def close(self) -> None:
        for process in self._attackers:
            await _end(process)


async def _start(name: str, *arguments: object) -> Process:
    """One of this package's programs."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", f"tests.attack.{name}", *map(str, arguments)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def _rows(process: Process) -> AsyncIterator[tuple[str, str]]:
    """What it says, a row at a time: the first word, and the rest."""
    assert process.stdout
    while row := await process.stdout.readline():
        word, _, rest = row.decode().strip().partition(" ")
        yield word, rest


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


@contextlib.asynccontextmanager
async def world(
    folder: Path, *, readers: int, history: int, served_within: float, caddy: bool, files: int | None = None
) -> AsyncIterator[World]:
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(node.running(folder, history, files))
        ways: dict[Way, int] = {"direct": running.port}
        if caddy:
            ways["caddy"] = stack.enter_context(proxy("caddy", folder / "caddy", [running.port]))
        those = await _start("readers", running.port, readers)
        stack.push_async_callback(_end, those)
        assert those.stdout
        said = await asyncio.wait_for(those.stdout.readline(), WITHIN)
        assert said == b"ready\n", said
        editor = await _start("editor", running.port)
        stack.push_async_callback(_end, editor)
        here = World(running, ways, those, editor, served_within)
        stack.push_async_callback(here.close)
        tasks = [asyncio.create_task(work()) for work in (here.hear_readers, here.hear_editor, here.look)]
        try:
            yield here
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
