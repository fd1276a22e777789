"""Answers that need no application: refusals, each the last answer on its connection. Written whole; knows no state."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from ticker.errors import Busy, TickerError
from ticker.http.problems import problem, problem_of
from ticker.http.security import ANSWERS

# With 426: what to upgrade to, RFC 9110, 15.5.22; which version, RFC 6455, 4.4.
_TO_WEBSOCKET = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13"}


_HEADERS: Final[Mapping[HTTPStatus, Mapping[str, str]]] = {
    HTTPStatus.UPGRADE_REQUIRED: _TO_WEBSOCKET,
    HTTPStatus.SERVICE_UNAVAILABLE: {"retry-after": "1"},  # seconds; other nodes are there, or this one comes back
}


def refusal(status: HTTPStatus, detail: str, *, body: bool = True) -> bytes:
    """What is said to a request that can't be one. `body`: whether a body may follow; with HEAD it may not."""
    return _written(
        problem(status, status.phrase.lower().replace(" ", "-"), status.phrase, detail), _HEADERS.get(status), body=body
    )


def explanation(error: TickerError) -> bytes:
    """What is said to a request that can't be served."""
    return _written(problem_of(error))


def head_of(status: HTTPStatus, headers: Mapping[str, str]) -> bytes:
    """An answer's head, to its empty line. The connection ends with the answer."""
    lines = [f"HTTP/1.1 {status} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "connection: close", "\r\n"]).encode("latin-1")


def _written(response: Response, headers: Mapping[str, str] | None = None, *, body: bool = True) -> bytes:
    head = head_of(HTTPStatus(response.status_code), {**response.headers, **ANSWERS, **(headers or {})})
    return head + bytes(response.body) if body else head


# Under a flood thousands get the same.
NO_ROOM = explanation(Busy("There are more connections than there is room for. Come back in a moment."))
