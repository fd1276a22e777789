"""Lines that are recalled while they are held: no reader ever sees one, even if nodes die.

    python -m tests.chaos.recalls [--newswire sqlite|redis] [--tries 500] [--readers 200] [--seed N]

Each try publishes a line with a short hold and recalls it at a random moment, mostly in the last milliseconds. Nodes
are stopped, continued, killed and started meanwhile. What was recalled must be seen by nobody; what was not must be
seen by everybody. Exit status: 0 all held, 1 something did not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.chaos import ADMIN_KEY
from tests.chaos.node import Node
from tests.redis_servers import AOF, RedisServer

CONFIG = '[channels.en]\nlanguage = "en"\nmax_lines = 100\n'
HOLD = 0.4  # seconds; shorter than a desk's three, so that many tries fit
PATIENCE = 60.0  # seconds until every reader has what went out


class Trial:
    def __init__(self, folder: Path, newswire: str, tries: int, readers: int, seed: int) -> None:
        self._rng = random.Random(seed)
        self._tries, self._readers = tries, readers
        self._server = RedisServer(folder / "redis", *AOF) if newswire == "redis" else None
        url = self._server.url if self._server else f"sqlite:///{folder}/ticker.db"
        self._nodes = [Node(f"node{n}", folder, url, CONFIG) for n in range(2 if self._server else 1)]
        self._seen: list[set[str]] = [set() for _ in range(readers)]
        self._http = httpx.AsyncClient(
            timeout=3,
            trust_env=False,
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._recalled: set[str] = set()
        self._out: set[str] = set()
        self._deeds: Counter[str] = Counter()

    async def run(self) -> list[str]:
        tasks = [asyncio.create_task(node.run()) for node in self._nodes]
        try:
            await self._ask("GET", "/v1/channels")
            tasks += [asyncio.create_task(self._read(number)) for number in range(self._readers)]
            faults = asyncio.create_task(self._break())
            gate = asyncio.Semaphore(10)
            await asyncio.gather(*(self._try(number, gate) for number in range(self._tries)))
            faults.cancel()
            for node in self._nodes:
                node.signal(signal.SIGCONT)
            deadline = asyncio.get_running_loop().time() + PATIENCE
            # A board has the newest hundred lines: who was away longer sees those.
            newest = set(sorted(self._out, key=lambda text: int(text.split()[1]))[-20:])
            while asyncio.get_running_loop().time() < deadline and not all(newest <= seen for seen in self._seen):
                await asyncio.sleep(0.1)
            return self._judge(newest)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._http.aclose()
            if self._server:
                self._server.close()

    async def _ask(self, method: str, path: str, body: object = None, once: str = "") -> httpx.Response:
        headers = {"Idempotency-Key": once} if once else {}
        while True:
            node = self._rng.choice(self._nodes)
            try:
                answer = await self._http.request(method, f"{node.url}{path}", json=body, headers=headers)
                if answer.status_code < 500:
                    return answer
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.02)

    async def _try(self, number: int, gate: asyncio.Semaphore) -> None:
        text = f"Line {number} is held"
        async with gate:
            body = {"text": text, "publish_in": HOLD}
            answer = await self._ask("POST", "/v1/channels/en/lines", body, once=f"recall-{number}")
            draft = f"/v1/channels/en/drafts/{answer.json()['id']}"
            await asyncio.sleep(max(0.0, min(HOLD, self._rng.gauss(HOLD - 0.03, 0.08))))
            recalled = await self._ask("DELETE", draft)
            match recalled.status_code:
                case 200:
                    self._recalled.add(text)
                case 409:
                    self._out.add(text)
                case other:
                    raise AssertionError(f"{other} {recalled.text}")

    async def _read(self, number: int) -> None:
        seen = self._seen[number]
        while True:
            node = self._nodes[number % len(self._nodes)]
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                url = f"{node.url.replace('http', 'ws', 1)}/v1/live?channel=en"
                async with connect(url, compression=None, open_timeout=5) as socket:
                    async for message in socket:
                        frame: dict[str, Any] = json.loads(message)
                        lines = frame.get("lines") or ([frame["line"]] if "line" in frame else [])
                        seen.update(line["text"] for line in lines if "text" in line)
            await asyncio.sleep(0.1)

    async def _break(self) -> None:
        while True:
            await asyncio.sleep(self._rng.uniform(0.2, 1.5))
            node = self._rng.choice(self._nodes)
            if self._rng.random() < 0.5:
                self._deeds["killed"] += 1
                node.signal(signal.SIGKILL)
            else:
                self._deeds["stalled"] += 1
                node.signal(signal.SIGSTOP)
                await asyncio.sleep(self._rng.uniform(0.05, 0.8))
                node.signal(signal.SIGCONT)

    def _judge(self, newest: set[str]) -> list[str]:
        seen = set().union(*self._seen)
        print(
            f"{len(self._recalled)} recalled, {len(self._out)} went out; nodes were "
            + ", ".join(f"{deed} {count} times" for deed, count in sorted(self._deeds.items()))
        )
        wrong = [f"{text!r} was recalled, and seen" for text in sorted(self._recalled & seen)]
        wrong += [f"{text!r} is seen, and nobody knows of it" for text in sorted(seen - self._out - self._recalled)]
        missed = sum(not newest <= each for each in self._seen)
        return wrong + ([f"{missed} readers lack what went out"] if missed else [])


def run(newswire: str, tries: int, readers: int, seed: int) -> list[str]:
    """What did not hold."""
    folder = Path(tempfile.mkdtemp(prefix="ticker-recalls-"))
    try:
        return asyncio.run(Trial(folder, newswire, tries, readers, seed).run())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.recalls", description=__doc__.splitlines()[0])
    parser.add_argument("--newswire", choices=["sqlite", "redis"], help="one of them; both without it")
    parser.add_argument("--tries", type=int, default=500)
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    given = parser.parse_args()
    held = True
    for newswire in [given.newswire] if given.newswire else ["sqlite", "redis"]:
        print(f"{newswire}, seed {given.seed}: {given.tries} tries, {given.readers} readers", flush=True)
        wrong = run(newswire, given.tries, given.readers, given.seed)
        for each in wrong[:40]:
            print("FAULT ", each)
        held = held and not wrong
    print("Everything held." if held else "Something did not hold.")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
