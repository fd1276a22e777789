"""Editors, by way of programs that repeat each request until it is answered."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx

from tests.chaos import ADMIN_KEY, CHANNELS, Object
from tests.chaos.node import Node

LINES_A_SECOND = 5.0
ANSWER_WITHIN = 12.0  # seconds a program waits for one answer


@dataclass
class Request:
    token: str
    """Stands in the note of the event that the request makes, as long as its line isn't withdrawn later."""
    channel: str
    method: str
    path: str
    body: Object
    began: float = 0.0
    answered: float = 0.0
    status: int = 0
    tries: int = 0
    ids: set[str] = field(default_factory=set)
    """Every line that it was answered with."""
    versions: set[tuple[str, int]] = field(default_factory=set)
    """The same lines, each with the version that the answer showed."""


class Editors:
    """Send about so many changes a second, and see each one answered."""

    def __init__(self, nodes: list[Node], seed: int) -> None:
        self.requests: list[Request] = []
        self.surprises: list[str] = []
        self._nodes = nodes
        self._chance = random.Random(f"{seed}-editors")
        self._known: dict[str, list[str]] = defaultdict(list)
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def acknowledged(self) -> list[Request]:
        return [request for request in self.requests if request.status in (200, 201)]

    @property
    def pending(self) -> int:
        return len(self._under_way)

    async def run(self) -> None:
        async with self._client() as client:
            following = asyncio.get_running_loop().time()
            try:
                while True:
                    request = self._next()
                    self.requests.append(request)
                    task = asyncio.create_task(self._send(client, request))
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)
                    following += self._chance.expovariate(LINES_A_SECOND)
                    await asyncio.sleep(following - asyncio.get_running_loop().time())
            except asyncio.CancelledError:
                while self._under_way:  # what was begun is to be answered
                    await asyncio.sleep(0.02)

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=20, keepalive_expiry=2)
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        async with httpx.AsyncClient(headers=headers, limits=limits, timeout=ANSWER_WITHIN, trust_env=False) as client:
            yield client

    def _next(self) -> Request:
        number = len(self.requests)
        token = f"token-{number}"
        channel = self._chance.choice(CHANNELS)
        at = f"/v1/channels/{channel}/lines"
        kind = self._chance.choices(("publish", "correct", "hold", "release", "cancel", "pin"), (50, 20, 8, 10, 9, 3))[
            0
        ]
        known = self._known[channel][-15:]
        if kind == "publish" or not known:
            body: Object = {"text": f"Line {number}", "note": token, "pinned": self._chance.random() < 0.03}
            if self._chance.random() < 0.15:
                body["expires_in"] = self._chance.randint(5, 60)
            return Request(token, channel, "POST", at, body)
        path = f"{at}/{self._chance.choice(known)}"
        match kind:
            case "correct":
                return Request(token, channel, "PATCH", path, {"text": f"Corrected {number}", "note": token})
            case "hold":
                return Request(token, channel, "PATCH", path, {"status": "withheld", "note": token})
            case "release":
                return Request(token, channel, "PATCH", path, {"status": "usable", "note": token})
            case "pin":
                return Request(token, channel, "PATCH", path, {"pinned": self._chance.random() < 0.3, "note": token})
            case _:
                return Request(token, channel, "DELETE", path, {"note": token})

    async def _send(self, client: httpx.AsyncClient, request: Request) -> None:
        request.began = time.monotonic()
        twice = self._chance.random() < 0.05
        while not request.status:
            nodes = self._chance.sample(self._nodes, 2 if twice else 1)
            await asyncio.gather(*(self._try(client, request, node) for node in nodes))
            if not request.status:
                await asyncio.sleep(self._chance.uniform(0.1, 0.6))

    async def _try(self, client: httpx.AsyncClient, request: Request, node: Node) -> None:
        request.tries += 1
        try:
            answer = await client.request(
                request.method,
                f"{node.url}{request.path}",
                json=request.body,
                headers={"Idempotency-Key": request.token},
            )
        except httpx.HTTPError:
            return
        if answer.status_code in (503, 507):
            if "retry-after" not in answer.headers:
                self.surprises.append(f"{request.token}: {answer.status_code} without Retry-After")
            return
        request.answered = time.monotonic()
        if answer.status_code in (200, 201):
            line = answer.json()
            if request.method == "POST" and line["id"] not in self._known[request.channel]:
                self._known[request.channel].append(line["id"])
            request.ids.add(line["id"])
            request.versions.add((line["id"], line["version"]))
        elif answer.status_code not in (404, 409):
            self.surprises.append(f"{request.token}: {answer.status_code} {answer.text}")
        if request.status not in (200, 201):
            request.status = answer.status_code
