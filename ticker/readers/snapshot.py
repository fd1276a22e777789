"""What stands, as JSON: channels, the board, one line, its versions, the history. Knows no connection."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker.channel import Channel
from ticker.errors import FieldError, Invalid, NewswireUnavailable, NotFound
from ticker.fanout.frames import line_object
from ticker.fanout.relay import Relay
from ticker.newswire import Newswire

EVENTS_MAX = 1_000  # events a page of history
EVENTS_USUAL = 100

# A CDN may answer for a second by itself, and while we are away; a kill is through in the same second.
CACHED = "public, max-age=1, stale-while-revalidate=1, stale-if-error=300"


class Snapshots:
    """The readers' routes that answer once."""

    def __init__(self, newswire: Newswire, relay: Relay) -> None:
        self._newswire = newswire
        self._relay = relay

    def routes(self) -> list[Route]:
        channel = "/v1/channels/{channel}"
        return [
            Route("/v1/channels", self.channels),
            Route(f"{channel}/lines", self.board),
            Route(f"{channel}/lines/{{line_id}}", self.line),
            Route(f"{channel}/lines/{{line_id}}/versions", self.versions),
            Route(f"{channel}/events", self.events),
        ]

    async def channels(self, request: Request) -> Response:
        listed = [
            {
                "slug": channel.slug,
                "title": channel.title,
                "language": channel.language,
                "direction": channel.direction,
                "label": channel.label,
            }
            for channel in self._relay.channels.values()
        ]
        return _json({"channels": listed}, "public, max-age=60")

    async def board(self, request: Request) -> Response:
        """The board; its ETag is its cursor. What expires leaves by the reader's own clock."""
        slug = self._channel(request).slug
        if not self._relay.ready:
            raise NewswireUnavailable("This node can't hear the newswire, so it can't say what stands now.")
        held = request.headers.get("if-none-match", "")
        await self._relay.abreast(slug, [tag.partition("+")[0] for tag in held.split('"')])
        board = self._relay.board(slug)
        return _unless_held(request, self._relay.etag(slug), board)

    async def line(self, request: Request) -> Response:
        channel = self._channel(request)
        line = await self._newswire.line(channel.slug, request.path_params["line_id"])
        return _unless_held(request, line.etag, line.public(channel.tombstones_for))

    async def versions(self, request: Request) -> Response:
        channel = self._channel(request)
        events = await self._newswire.versions(channel.slug, request.path_params["line_id"])
        status = events[-1].line.status
        versions = [event.line.public_since(channel.tombstones_for, status) for event in events]
        return _unless_held(request, events[-1].line.etag, {"versions": versions})

    async def events(self, request: Request) -> Response:
        channel = self._channel(request)
        limit = request.query_params.get("limit", str(EVENTS_USUAL))
        if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= EVENTS_MAX):
            raise Invalid(FieldError("limit", f"It is a number from 1 to {EVENTS_MAX}."))
        page = await self._newswire.events(channel.slug, request.query_params.get("after") or None, int(limit))
        events = [
            msgspec.structs.replace(
                line_object(event, channel),
                line=event.line.public_since(channel.tombstones_for, page.withdrawn.get(event.line.id, "usable")),
            )
            for event in page.events
        ]
        return _json({"events": events, "more": page.more}, "no-cache")

    def _channel(self, request: Request) -> Channel:
        slug = request.path_params["channel"]
        if channel := self._relay.channels.get(slug):
            return channel
        raise NotFound(f"There is no channel {slug[:64]!r}. The channels are at /v1/channels.")


def _unless_held(request: Request, etag: str, content: object) -> Response:
    """The content, or 304 where the client has it already (If-None-Match, RFC 9110, 13.1.2)."""
    held = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in held or "*" in held:
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": CACHED})
    return _json(content, CACHED, {"ETag": etag})


def _json(content: object, cache: str, headers: dict[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(content), headers={"Cache-Control": cache, **(headers or {})}, media_type="application/json"
    )
