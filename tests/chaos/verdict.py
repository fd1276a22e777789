"""What must be true after any fault."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.chaos import CHANNELS, MAX_LINES, TOMBSTONES, Object, numbers
from tests.chaos.world import World

CONVERGE_WITHIN = 10.0  # seconds after the last fault, as promised; longer where the machine is known to be busy


class Verdict:
    """
    1. Every acknowledged change is in the history once, and nothing is there twice.
    2. The history is one chain, in one order.
    3. Everything that a reader was sent is in the history, in the same order, and no reader went back.
    4. Every reader shows the fold of the history, and so does every node, within 10 s of the last fault.
    5. No request was answered with a surprise.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.violations: list[str] = []
        self.history: dict[str, list[Object]] = {}
        self.took = 0.0

    def _broken(self, *words: object) -> None:
        self.violations.append(" ".join(map(str, words)))

    async def reach(self, since: float, within: float) -> None:
        """Wait until all agree."""
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            while True:
                different = await self._differences(client)
                self.took = time.monotonic() - since
                if not different or self.took > within:
                    break
                await asyncio.sleep(0.1)
            for words in different[:10]:
                self._broken(f"after {self.took:.1f} s:", words)

    async def _differences(self, client: httpx.AsyncClient) -> list[str]:
        different = []
        for slug in CHANNELS:
            try:
                boards = [(await client.get(f"{node.url}/v1/channels/{slug}/lines")) for node in self.world.nodes]
                self.history[slug] = await self._read(client, slug)
            except (httpx.HTTPError, KeyError, ValueError) as error:
                return [f"a node doesn't answer: {error!r}"]
            if any(board.status_code != 200 for board in boards):
                return [f"boards of {slug}: {[board.status_code for board in boards]}"]
            head = self.history[slug][-1]["cursor"] if self.history[slug] else None
            folded = fold(self.history[slug])
            for node, board in zip(self.world.nodes, boards, strict=True):
                if board.json()["cursor"] != head or essence(board.json()["lines"]) != folded:
                    different.append(f"{node.name} shows {slug} at {board.json()['cursor']}, not {head}, or otherwise")
            for reader in self.world.readers:
                held = reader.folds[slug]
                if held.cursor != head:
                    different.append(
                        f"reader {reader.number} ({reader.connected_to}) is at {slug} {held.cursor}, not {head}"
                    )
                elif [x for x in essence(held.shown()) if x[2] == "usable"] != [x for x in folded if x[2] == "usable"]:
                    different.append(
                        f"reader {reader.number} ({reader.connected_to}) shows other lines of {slug} at {head}"
                    )
                elif not {x for x in folded if x[2] != "usable"} <= set(essence(held.shown())):
                    different.append(f"reader {reader.number} misses that a line of {slug} was withdrawn")
        return different

    async def _read(self, client: httpx.AsyncClient, slug: str) -> list[Object]:
        events: list[Object] = list(self.history.get(slug, ()))  # read before; what comes after it is new
        more = True
        while more:
            query: Object = {"limit": 1000} | ({"after": events[-1]["cursor"]} if events else {})
            page = (await client.get(f"{self.world.nodes[0].url}/v1/channels/{slug}/events", params=query)).json()
            events += page["events"]
            more = page["more"]
        return events

    def judge(self) -> None:
        for slug in CHANNELS:
            self._judge_chain(slug)
        self._judge_acknowledged()
        self._judge_sightings()
        self._judge_trails()
        for reader in self.world.readers:
            for words in reader.broken:
                self._broken(f"reader {reader.number}:", words)
        for words in self.world.editors.surprises:
            self._broken("editor:", words)
        for node in self.world.nodes:
            for trace in re.findall(r"Traceback.*?\n\w[^\n]*", node.log, re.DOTALL):
                self._broken(f"{node.name}: {trace}")

    def _judge_chain(self, slug: str) -> None:
        events = self.history[slug]
        prev = None
        for event in events:
            if event["prev"] != prev:
                self._broken(f"{slug}: {event['cursor']} follows {event['prev']}, not {prev}")
            if prev and numbers(event["cursor"]) <= numbers(prev):
                self._broken(f"{slug}: {event['cursor']} is not after {prev}")
            prev = event["cursor"]

    def _judge_acknowledged(self) -> None:
        made: dict[str, list[Object]] = defaultdict(list)
        unsigned: dict[tuple[str, int], Object] = {}  # a line that is withdrawn takes the notes of its earlier events
        claimed: dict[tuple[str, int], list[str]] = defaultdict(list)
        canceled = set()
        for slug in CHANNELS:
            for event in self.history[slug]:
                line = event["line"]
                if line["note"] is None:
                    unsigned[line["id"], line["version"]] = event
                else:
                    made[line["note"]].append(event)
                if line["status"] == "canceled":
                    canceled.add(("DELETE", line["id"]))
        for request in self.world.editors.requests:
            events = made.pop(request.token, [])
            if not events:
                for version in request.versions & unsigned.keys():
                    events.append(unsigned[version])
                    claimed[version].append(request.token)
            if len(events) > 1:
                self._broken(f"{request.token} made {len(events)} events")
            if request.status not in (200, 201):
                if events and not self.world.lost:
                    self._broken(f"{request.token} was refused with {request.status}, and made an event")
                continue
            perhaps_lost = any(request.began < end and request.answered > start for start, end in self.world.lost)
            if not events:
                # To cancel what is canceled changes nothing, and is answered so.
                if not perhaps_lost and (request.method, request.path.rpartition("/")[2]) not in canceled:
                    self._broken(f"{request} was acknowledged and is not in the history")
                continue
            if request.ids != {events[0]["line"]["id"]} and not perhaps_lost:
                self._broken(f"{request} was acknowledged, and is {events[0]}")
        for token in made:
            self._broken(f"nobody sent {token}, and it is in the history")
        for version in unsigned.keys() - claimed.keys():
            self._broken(f"nobody sent {version}, and it is in the history")
        for version, tokens in claimed.items():
            if len(tokens) > 1 and not self.world.lost:
                self._broken(f"{' and '.join(tokens)} were all answered with {version}")

    def _judge_sightings(self) -> None:
        standing: dict[tuple[str, str], dict[str, tuple[int, str]]] = {}
        told = set()
        for slug in CHANNELS:
            lines: dict[str, tuple[int, str]] = {}
            for event in self.history[slug]:
                line = event["line"]
                lines = {**lines, line["id"]: (line["version"], line["status"])}
                standing[slug, event["cursor"]] = lines
                told.add((slug, event["cursor"], event["prev"], line["id"], line["version"], self._status(event)))
        for sighting in self.world.sightings.lines - told:
            if not self.world.lost or (sighting[0], sighting[1]) in standing:
                self._broken(f"a reader was sent {sighting}, and the history has no such event")
        for slug, cursor, shown in self.world.sightings.boards:
            if cursor is None or (slug, cursor) not in standing:
                if not self.world.lost and (cursor or shown):
                    self._broken(f"a reader was sent a board of {slug} at {cursor}, which never was")
                continue
            wrong = [x for x in shown if standing[slug, cursor].get(x[0]) != x[1:]]
            if wrong:
                self._broken(f"a board of {slug} at {cursor} had {wrong[:3]}")

    @staticmethod
    def _status(event: Object) -> str:
        return str(event["line"]["status"])

    def _judge_trails(self) -> None:
        for slug in CHANNELS:
            place = {event["cursor"]: number for number, event in enumerate(self.history[slug])}
            for reader in self.world.readers:
                last = -1
                for cursor in reader.folds[slug].trail:
                    if cursor not in place:
                        continue  # lost in a rollback; else the sightings tell
                    if place[cursor] < last and not self.world.lost:
                        before = self.history[slug][last]["cursor"]
                        self._broken(f"reader {reader.number} went back from {slug} {before} to {cursor}")
                    last = place[cursor]


def fold(events: list[Object]) -> list[tuple[Any, ...]]:
    """The board that a history makes, written down apart from the code that is tested."""
    lines = {event["line"]["id"]: event["line"] for event in events}
    now = datetime.now(UTC)
    alive = [x for x in lines.values() if not x["expires"] or datetime.fromisoformat(x["expires"]) > now]
    shown, usable, tombstones = [], 0, 0
    for line in sorted(alive, key=lambda x: (x["pinned"], numbers(x["id"])), reverse=True):
        if line["status"] == "usable":
            usable += 1
            if usable <= MAX_LINES:
                shown.append(line)
        else:
            tombstones += 1
            if tombstones <= TOMBSTONES:
                shown.append(line)
    return essence(shown)


def essence(lines: list[Object]) -> list[tuple[Any, ...]]:
    return [(line["id"], line["version"], line["status"], line.get("text")) for line in lines]
