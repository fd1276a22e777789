"""Errors as answers: problem details for HTTP APIs (RFC 9457). One place, whatever broke."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Route

from ticker.errors import Invalid, TickerError, Unauthorized

TYPE = "urn:ticker:problem:"


def problem(
    status: int,
    slug: str,
    title: str,
    detail: str,
    *,
    errors: object = None,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, object] | None = None,
) -> Response:
    """An `application/problem+json` answer; `errors` names the fields at fault, `members` are more (RFC 9457, 3.2)."""
    body: dict[str, object] = {"type": TYPE + slug, "title": title, "status": status, "detail": detail}
    body |= members or {}
    if errors:
        body["errors"] = errors
    return Response(
        msgspec.json.encode(body),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        media_type="application/problem+json",
    )


def problem_of(error: TickerError) -> Response:
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    errors = error.errors if isinstance(error, Invalid) else None
    return problem(
        error.status, error.slug, error.title, error.detail, errors=errors, headers=headers, members=error.members
    )


async def answer(connection: HTTPConnection, error: Exception) -> Response:
    """The one handler: for our own errors, for the framework's, and for what nobody foresaw."""
    match error:
        case TickerError():
            return problem_of(error)
        case HTTPException(status_code=404) if address := _without_slash(connection):
            return RedirectResponse(address, 308)
        case HTTPException():
            status = HTTPStatus(error.status_code)
            detail = error.detail if error.detail != status.phrase else _DETAILS.get(status, f"{status.phrase}.")
            slug = status.phrase.lower().replace(" ", "-")
            headers = dict(error.headers or {})
            if status == HTTPStatus.METHOD_NOT_ALLOWED:
                headers["Allow"] = ", ".join(sorted(_methods_at(connection)))
            return problem(status, slug, status.phrase, detail, headers=headers)
        case ClientDisconnect():  # in the midst of its request: nobody reads the answer, and nothing is to be mended
            return problem(400, "malformed", "Malformed request", "The request came only in part.")
        case _:  # the server logs the traceback
            detail = "This is our fault. Nothing more is known here; the node's log has the rest."
            return problem(500, TickerError.slug, TickerError.title, detail)


def _without_slash(connection: HTTPConnection) -> str | None:
    """Where a page is that was asked for with a slash at its end. The path alone: no Host says where that leads."""
    path = connection.scope["path"].rstrip("/")
    if connection.scope["method"] not in ("GET", "HEAD") or path == connection.scope["path"] or path.startswith("/v1/"):
        return None
    there = {**connection.scope, "path": path}
    if not any(route.matches(there)[0] is Match.FULL for route in connection.app.routes):
        return None
    query = connection.scope["query_string"].decode("latin-1")
    return quote(path) + (f"?{quote(query, safe=_QUERY)}" if query else "")


_QUERY = "!$&'()*+,/:;=?@%-._~"  # RFC 3986, 3.4


def _methods_at(connection: HTTPConnection) -> set[str]:
    """What the address takes, over all its routes: the router asks only the first of them."""
    routes = [route for route in connection.app.routes if isinstance(route, Route)]
    return {
        method
        for route in routes
        if route.matches(connection.scope)[0] is Match.PARTIAL
        for method in route.methods or ()
    }


_DETAILS = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address. The channels are at /v1/channels.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address doesn't take that method; the Allow header says which it takes.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than any line needs to be.",
}
