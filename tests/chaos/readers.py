"""Readers that do what the contract asks of readers, and note what they were sent."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from tests.chaos import CHANNELS, MAX_LINES, Object, numbers
from tests.chaos.node import Node

STAYS = 40.0  # seconds a reader stays with a node, on average: phones change networks, balancers their minds
SILENT_MAX = 30.0  # seconds without a frame until a reader doubts its connection


@dataclass
class Sightings:
    """What any reader was ever sent, each once: the history says afterwards whether it was right."""

    lines: set[tuple[str, str, str | None, str, int, str]] = field(default_factory=set)
    """(channel, cursor, prev, id, version, status)"""
    boards: set[tuple[str, str | None, frozenset[tuple[str, int, str]]]] = field(default_factory=set)
    frames: int = 0


class Fold:
    """One channel as a reader holds it."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.loaded = False
        self.lines: dict[str, Object] = {}
        self.ahead = timedelta()
        self.trail: list[str | None] = []
        """Every cursor that it stood at, one after the other."""

    def shown(self) -> list[Object]:
        now = datetime.now(UTC) + self.ahead
        alive = [x for x in self.lines.values() if not x["expires"] or datetime.fromisoformat(x["expires"]) > now]
        usable = 0
        shown = []
        for line in sorted(alive, key=lambda x: (x["pinned"], numbers(x["id"])), reverse=True):
            usable += line["status"] == "usable"
            if line["status"] != "usable" or usable <= MAX_LINES:
                shown.append(line)
        return shown


class Reader:
    def __init__(self, number: int, nodes: list[Node], sightings: Sightings, seed: int) -> None:
        self.number = number
        self.folds = {slug: Fold() for slug in CHANNELS}
        self.connected_to: str | None = None
        self.connections = 0
        self.broken: list[str] = []
        self._nodes = nodes
        self._sightings = sightings
        self._chance = random.Random(f"{seed}-reader-{number}")
        self._socket: Any = None

    async def run(self) -> None:
        tries = 0
        while True:
            node = self._chance.choice(self._nodes)
            held = [("cursor", f"{slug}:{fold.cursor}") for slug, fold in self.folds.items() if fold.cursor]
            query = urlencode([*(("channel", slug) for slug in CHANNELS), *held])
            try:
                url = f"ws://127.0.0.1:{node.port}/v1/live?{query}"
                async with connect(
                    url,
                    compression=None,
                    proxy=None,
                    max_size=None,
                    ping_interval=None,
                    open_timeout=5,
                    close_timeout=0.2,
                ) as self._socket:
                    self.connected_to = node.name
                    self.connections += 1
                    loop = asyncio.get_running_loop()
                    leaves = loop.time() + self._chance.expovariate(1 / STAYS)
                    while True:
                        async with asyncio.timeout_at(min(leaves, loop.time() + SILENT_MAX)):
                            data = await self._socket.recv(decode=False)
                        self._take(msgspec.json.decode(data))
                        tries = 0
            except InvalidStatus as refused:
                if refused.response.status_code != 503:
                    self.broken.append(f"refused with {refused.response.status_code} by {node.name}")
            except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError, EOFError):
                pass
            finally:
                self.connected_to = None
            tries += 1
            await asyncio.sleep(self._chance.uniform(0, min(2.0, 0.1 * 2**tries)))

    def cut(self) -> None:
        if self.connected_to and self._socket:
            self._socket.transport.abort()

    def _take(self, frame: Object) -> None:
        slug, cursor = frame["channel"], frame["cursor"]
        fold = self.folds[slug]
        self._sightings.frames += 1
        match frame["type"]:
            case "board":
                lines = {line["id"]: line for line in frame["lines"]}
                if len(lines) != len(frame["lines"]):
                    self.broken.append(f"a line stands twice on the board of {slug} at {cursor}")
                fold.lines, fold.loaded = lines, True
                fold.ahead = datetime.fromisoformat(frame["now"]) - datetime.now(UTC)
                shown = frozenset((x["id"], x["version"], x["status"]) for x in frame["lines"])
                self._sightings.boards.add((slug, cursor, shown))
            case "line" if fold.loaded and cursor == fold.cursor:
                self.broken.append(f"the event {slug} {cursor} came twice")
                return
            case "line" if fold.loaded and frame["prev"] == fold.cursor:
                line = frame["line"]
                fold.lines[line["id"]] = line
                self._sightings.lines.add((slug, cursor, frame["prev"], line["id"], line["version"], line["status"]))
            case "beat" if cursor == fold.cursor:
                return
            case kind:
                self.broken.append(
                    f"a {kind} of {slug} at {cursor} (prev {frame.get('prev')}) came after {fold.cursor}"
                )
                fold.cursor, fold.loaded = None, False
                self.cut()
                return
        fold.cursor = cursor
        if not fold.trail or fold.trail[-1] != cursor:
            fold.trail.append(cursor)
