"""A node's API from the command line. Knows HTTP; knows no terminal.

A change is sent with an Idempotency-Key and tried again while the node can't be reached or says 503, so
that a script's line goes out once, or the script learns that it did not.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from ticker import __version__
from ticker.redacting import without_secrets

TIMEOUT = 10.0  # seconds for one request
RECONNECT = 0.2, 5.0  # seconds between two tries to hear frames: first, most
RETRY_STATUS = frozenset({502, 503, 504})


class ServerRefused(Exception):
    """The node answered, and said no. `problem` is its problem document."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        errors = problem.get("errors") or []
        detail = "; ".join(f"{e['field']}: {e['detail']}" for e in errors) or problem.get("detail") or f"HTTP {status}"
        super().__init__(detail)
        self.status = status


class Unreachable(Exception):
    """No answer, or none that settles it, for as long as we tried."""


class Client:
    """Speaks to one node. `retry_for`: seconds a change is tried again."""

    def __init__(self, url: str, key: str | None, retry_for: float = 10.0) -> None:
        headers = {"User-Agent": f"ticker/{__version__}"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._url = url.rstrip("/")
        self._shown_url = without_secrets(self._url)
        self._http = httpx.Client(base_url=self._url, headers=headers, timeout=TIMEOUT)
        self._retry_for = retry_for

    def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> Any:
        """The answer's JSON. Raises ServerRefused, Unreachable."""
        sent = {"Idempotency-Key": str(uuid.uuid4()), **(headers or {})}
        give_up = time.monotonic() + self._retry_for
        wait = 0.2
        while True:
            try:
                answer = self._http.request(method, path, json=body, headers=sent)
            except httpx.HTTPError as error:
                said = f"{self._shown_url} can't be reached: {error}"
            else:
                if answer.is_success:
                    return answer.json() if answer.content else None
                if answer.status_code not in RETRY_STATUS:
                    raise ServerRefused(answer.status_code, _problem(answer))
                why = _problem(answer).get("detail", answer.reason_phrase)
                said = f"{self._shown_url} says {answer.status_code}: {why}"
            if time.monotonic() + wait > give_up:
                raise Unreachable(said)
            time.sleep(wait)
            wait = min(wait * 2, 2.0)

    async def frames(self, channels: list[str]) -> AsyncIterator[dict[str, Any]]:
        """Every frame of some channels, reconnecting as often as it takes.

        Raises ServerRefused, and Unreachable where no frame came for `retry_for` seconds of trying.
        """
        query = urlencode([("channel", slug) for slug in channels])
        url = f"{self._url.replace('http', 'ws', 1)}/v1/live?{query}"
        agent = f"ticker/{__version__}"
        give_up, wait = time.monotonic() + self._retry_for, RECONNECT[0]
        while True:
            try:
                async with connect(url, user_agent_header=agent, compression=None, proxy=None) as socket:
                    async for message in socket:
                        yield json.loads(message)
                        give_up, wait = time.monotonic() + self._retry_for, RECONNECT[0]
                said = "it closed the connection"
            except InvalidStatus as error:
                status, problem = error.response.status_code, _parsed(error.response.body or b"")
                if status not in RETRY_STATUS:
                    raise ServerRefused(status, problem) from error
                said = f"it says {status}: {problem.get('detail', '')}"
            except (OSError, TimeoutError, WebSocketException) as error:
                said = str(error)
            if time.monotonic() + wait > give_up:
                raise Unreachable(f"{self._shown_url} gives no frames: {said}")
            await asyncio.sleep(random.uniform(wait / 2, wait))
            wait = min(wait * 2, RECONNECT[1])


def _problem(answer: httpx.Response) -> dict[str, Any]:
    return _parsed(answer.content)


def _parsed(body: bytes | bytearray) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
