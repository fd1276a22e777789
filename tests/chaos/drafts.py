"""Drafts that are due while everything breaks: each goes out once or not at all, as its history says, and never early.

    python -m tests.chaos.drafts [--newswire sqlite|redis] [--drafts 1000] [--seconds 20] [--seed N]

Nodes are killed and started, Redis too, the newswire's clock is put 3 s ahead and back, and editors move, rewrite,
recall and approve what is about to go out. Exit status: 0 all held, 1 something did not; the seed is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.chaos import ADMIN_KEY
from tests.chaos.node import Node
from tests.redis_servers import AOF, RedisServer
from tests.redis_servers.server import _stepped_clock
from ticker.line import Cursor

Object = dict[str, Any]

CHANNELS = ("en", "es")
CONFIG = "".join(
    f'[channels.{slug}]\nlanguage = "{slug}"\napprove = ["flash"]\nexpires_in = "1d"\n' for slug in CHANNELS
)
PATIENCE = 60.0  # seconds in which everything that is due must have gone out when the last fault is over
RECOVERED = 3.0  # seconds after a fault in which a draft may be late because of it
LATE = 0.1  # seconds, at the 99th percentile, while a node runs undisturbed
SHARES = (0.5, 0.95, 0.99)
STEP = 3.0  # seconds that the clock is put off


class Desk:
    """Editors who ask whichever node answers."""

    def __init__(self, nodes: list[Node], rng: random.Random) -> None:
        self._nodes = nodes
        self._rng = rng
        self._http = httpx.AsyncClient(timeout=5, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
        self.tokens: list[str] = [ADMIN_KEY]

    async def ask(self, method: str, path: str, body: object = None, who: int = 0, once: str = "") -> httpx.Response:
        """Asked again until a node has said what became of it."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} | ({"Idempotency-Key": once} if once else {})
        while True:
            node = self._rng.choice(self._nodes)
            try:
                answer = await self._http.request(method, f"{node.url}{path}", json=body, headers=headers)
                if answer.status_code < 500:
                    return answer
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        await self._http.aclose()


class Trial:
    def __init__(self, folder: Path, newswire: str, drafts: int, seconds: float, seed: int) -> None:
        self._rng = random.Random(seed)
        self._seconds = seconds
        self._count = drafts
        self._clock = folder / "clock"
        self._server: RedisServer | None = None
        if newswire == "redis":
            self._server = RedisServer(folder / "redis", *AOF, clock=True)
            self._nodes = [Node(f"node{n}", folder, self._server.url, CONFIG) for n in range(3)]
        else:
            self._put_clock(0)
            env = {"LD_PRELOAD": str(_stepped_clock(folder)), "STEPPED_CLOCK": str(self._clock)}
            self._nodes = [Node("node", folder, f"sqlite:///{folder}/ticker.db", CONFIG, env)]
        self._desk = Desk(self._nodes, random.Random(seed + 1))
        self._drafts: dict[str, Object] = {}
        self._disturbed: list[tuple[datetime, datetime]] = []
        self._deeds: Counter[str] = Counter()
        self._rewritten: set[str] = set()

    # The newswire's clock

    def _put_clock(self, seconds: float) -> None:
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(struct.pack("d", seconds))

    async def _step(self, seconds: float) -> None:
        if self._server:
            with contextlib.suppress(Exception):  # it is being started
                await asyncio.to_thread(self._server.step, seconds)
        else:
            self._put_clock(seconds)

    async def _now(self) -> datetime:
        answer = await self._desk.ask("GET", "/v1/channels/en/lines")
        return _moment(answer.json()["now"])

    # What happens

    async def run(self) -> list[str]:
        tasks = [asyncio.create_task(node.run()) for node in self._nodes]
        try:
            await self._until(self._ready, 60)
            for name in ("Ed", "Flo"):
                made = await self._desk.ask("POST", "/v1/keys", {"name": name, "role": "editor"})
                self._desk.tokens.append(made.json()["key"])
            await self._write()
            await asyncio.gather(self._break(), self._edit())
            await self._step(0)
            await asyncio.sleep(0.1)
            await self._until(self._settled, PATIENCE)
            return await self._judge()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._desk.close()
            if self._server:
                self._server.close()

    async def _ready(self) -> bool:
        answers = [await self._desk._http.get(f"{node.url}/readyz") for node in self._nodes]
        return all(answer.status_code == 200 for answer in answers)

    async def _until(self, holds: Callable[[], Awaitable[bool]], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if await holds():
                    return
            await asyncio.sleep(0.1)

    async def _write(self) -> None:
        """All drafts, due at random moments of the seconds that follow."""
        self._begin = await self._now() + timedelta(seconds=2 + self._count / 120)
        gate = asyncio.Semaphore(8)

        async def write(number: int) -> None:
            due = self._begin + timedelta(milliseconds=self._rng.randrange(round(self._seconds * 1000)))
            needs_approval = number % 10 == 0
            body = {
                "text": f"Draft {number}",
                "publish_at": due.isoformat(),
                "urgency": "flash" if needs_approval else "urgent",
            }
            async with gate:
                path = f"/v1/channels/{CHANNELS[number % 2]}/lines"
                answer = await self._desk.ask("POST", path, body, who=1, once=f"draft-{number}")
            assert answer.status_code == 202, answer.text
            self._drafts[answer.json()["id"]] = answer.json()

        await asyncio.gather(*(write(number) for number in range(self._count)))
        late = (await self._now() - self._begin).total_seconds()
        assert late < 0, f"the drafts were written {late:.1f} s too slowly"
        await asyncio.sleep(-late)

    async def _break(self) -> None:
        """One fault after another; none in the second half, to see how late drafts are when nothing is wrong."""
        end = time.monotonic() + self._seconds / 2
        while time.monotonic() < end:
            await asyncio.sleep(self._rng.uniform(0.2, max(0.3, self._seconds / 16)))
            faults = ["kill a node", "clock"] + (["kill Redis", "restart Redis", "kill all"] if self._server else [])
            fault = self._rng.choice(faults)
            began = datetime.now(UTC)
            self._deeds[fault] += 1
            match fault:
                case "kill a node":
                    self._rng.choice(self._nodes).signal(signal.SIGKILL)
                case "kill all":
                    for node in self._nodes:
                        node.signal(signal.SIGKILL)
                case "kill Redis" | "restart Redis":
                    assert self._server
                    await asyncio.to_thread(self._server.kill if fault == "kill Redis" else self._server.stop)
                    await asyncio.sleep(self._rng.uniform(0, 0.5))
                    await asyncio.to_thread(self._server.start)
                case "clock":
                    await self._step(self._rng.choice((-STEP, STEP)))
                    await asyncio.sleep(self._rng.uniform(0.5, 2))
                    await self._step(0)
            off = timedelta(seconds=STEP if fault == "clock" else 0)
            self._disturbed.append((began - off, datetime.now(UTC) + off + timedelta(seconds=RECOVERED)))

    async def _edit(self) -> None:
        """Editors move, rewrite, recall and approve, some of it in the last moment."""
        end = time.monotonic() + self._seconds
        waiting = sorted(self._drafts.values(), key=lambda draft: draft["publish_at"])
        for draft in waiting:
            if time.monotonic() > end:
                return
            is_due_in = (_moment(draft["publish_at"]) - datetime.now(UTC)).total_seconds()
            if draft["needs_approval"]:
                await self._do("approve", "POST", draft, "/approve", {}, who=2)
                continue
            if self._rng.random() > 0.25:
                continue
            await asyncio.sleep(max(0.0, min(is_due_in - self._rng.uniform(0, 0.2), end - time.monotonic())))
            deed = self._rng.choice(("recall", "rewrite", "move"))
            match deed:
                case "recall":
                    await self._do(deed, "DELETE", draft, "", None, who=2)
                case "rewrite":
                    self._rewritten.add(draft["id"])
                    await self._do(deed, "PATCH", draft, "", {"text": f"{draft['text']}, rewritten"}, who=1)
                case "move":
                    self._rewritten.add(draft["id"])
                    await self._do(deed, "PATCH", draft, "", {"publish_in": self._rng.uniform(0.05, 1)}, who=1)

    async def _do(self, deed: str, method: str, draft: Object, action: str, body: object, who: int) -> None:
        path = f"/v1/channels/{draft['channel']}/drafts/{draft['id']}{action}"
        answer = await self._desk.ask(method, path, body, who)
        self._deeds[f"{deed}: {'done' if answer.status_code == 200 else 'too late'}"] += 1

    async def _settled(self) -> bool:
        """Whether nothing is due any more."""
        return not any([True async for draft in self._every("scheduled") if draft["due"]["in"] < 5])

    async def _every(self, states: str) -> AsyncIterator[Object]:
        for channel in CHANNELS:
            after = ""
            while True:
                path = f"/v1/channels/{channel}/drafts?state={states}&limit=200{after}"
                page = (await self._desk.ask("GET", path)).json()
                for draft in page["drafts"]:
                    yield draft
                if page["next"] is None:
                    break
                after = f"&after={page['next']}"

    # What must hold

    async def _judge(self) -> list[str]:
        states = "open,submitted,scheduled,released,missed,conflict,discarded"
        drafts = {draft["id"]: draft async for draft in self._every(states)}
        events: list[Object] = []
        for channel in CHANNELS:
            after = ""
            while True:
                page = (await self._desk.ask("GET", f"/v1/channels/{channel}/events?limit=1000{after}")).json()
                events += page["events"]
                if not page["more"]:
                    break
                after = f"&after={page['events'][-1]['cursor']}"
        lines = {(event["channel"], event["line"]["id"]): event["line"] for event in events}
        wrong = [f"{len(drafts)} drafts are kept of {self._count}"] if len(drafts) != self._count else []
        wrong += [f"{len(events)} events have {len(lines)} lines"] if len(events) != len(lines) else []
        texts = Counter(line["text"].partition(",")[0] for line in lines.values())
        lateness: list[float] = []
        for draft in drafts.values():
            said = texts[draft["text"].partition(",")[0]]
            if said != (draft["state"] == "released"):
                wrong.append(f"{draft['text']} is {draft['state']} and went out {said} times")
            if draft["state"] not in ("released", "discarded") and not draft["needs_approval"]:
                wrong.append(f"{draft['text']} is {draft['state']}: {draft['history'][-1]}")
            if draft["state"] != "released":
                continue
            if draft["needs_approval"] and draft["approved_by"] is None:
                wrong.append(f"{draft['text']} went out without a second person")
            line, due = lines[draft["channel"], draft["line"]], _moment(draft["publish_at"])
            if line["text"] != draft["text"]:
                wrong.append(f"{draft['text']} went out as {line['text']!r}")
            late = (_moment(line["published"]) - due).total_seconds()
            if late < 0:
                wrong.append(f"{draft['text']} went out {-late:.3f} s early")
            if not any(begin <= due <= end for begin, end in self._disturbed):
                lateness.append(late)
        wrong += self._in_order(drafts)
        self._tell(Counter(draft["state"] for draft in drafts.values()), lateness)
        if lateness and (p99 := _percentile(lateness, 0.99)) > LATE:
            wrong.append(f"undisturbed, one in a hundred is {1000 * p99:.0f} ms late")
        return wrong

    def _in_order(self, drafts: dict[str, Object]) -> list[str]:
        """By due time, then by creation; of those that nobody touched."""
        wrong = []
        for channel in CHANNELS:
            out = sorted(
                (Cursor.of_line(draft["line"]), _moment(draft["publish_at"]), _moment(draft["created"]), draft["text"])
                for draft in drafts.values()
                if draft["state"] == "released"
                and draft["channel"] == channel
                and draft["id"] not in self._rewritten
                and not draft["needs_approval"]
            )
            for (_, *before, first), (_, *after, second) in itertools.pairwise(out):
                if before > after:
                    wrong.append(f"{second} went out after {first}, and was due before it")
        return wrong

    def _tell(self, states: Counter[str], lateness: list[float]) -> None:
        print("faults and deeds:", ", ".join(f"{deed} {count}" for deed, count in sorted(self._deeds.items())))
        print("drafts:", ", ".join(f"{state} {count}" for state, count in sorted(states.items())))
        if lateness:
            shares = ", ".join(f"p{100 * share:.0f} {1000 * _percentile(lateness, share):.0f}" for share in SHARES)
            print(f"lateness of {len(lateness)} that no fault touched, in ms: {shares}, max {1000 * max(lateness):.0f}")


def _moment(time: str) -> datetime:
    return datetime.fromisoformat(time)


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def run(newswire: str, drafts: int, seconds: float, seed: int) -> list[str]:
    """What did not hold."""
    folder = Path(tempfile.mkdtemp(prefix="ticker-drafts-"))
    try:
        return asyncio.run(Trial(folder, newswire, drafts, seconds, seed).run())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.drafts", description=__doc__.splitlines()[0])
    parser.add_argument("--newswire", choices=["sqlite", "redis"], help="one of them; both without it")
    parser.add_argument("--drafts", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="in which they are due")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    given = parser.parse_args()
    held = True
    for newswire in [given.newswire] if given.newswire else ["sqlite", "redis"]:
        print(f"{newswire}, seed {given.seed}: {given.drafts} drafts due within {given.seconds:g} s", flush=True)
        wrong = run(newswire, given.drafts, given.seconds, given.seed)
        for each in wrong[:40]:
            print("FAULT ", each)
        held = held and not wrong
    print("Everything held." if held else "Something did not hold.")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
