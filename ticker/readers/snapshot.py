"""What stands, as JSON: channels, the board, one line, its versions, the history. Knows no connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ticker.channel import Channel, no_such_channel
from ticker.errors import FieldError, Invalid, NewswireUnavailable, NotFound
from ticker.fanout.frames import LineObject, line_object
from ticker.fanout.relay import Relay
from ticker.http.answers import json_answer
from ticker.http.fields import entity_tags, is_held
from ticker.line import Event, Status
from ticker.newswire import Newswire

EVENTS_MAX = 1_000  # events a page of history
EVENTS_USUAL = 100
EVENTS_AT_ONCE = 25  # events that are read and written at once: half a millisecond's work, 20 kB
HISTORY_AT_ONCE = 2  # requests for history that are worked on at once, of however many
HISTORY_REST = 3.0  # times as long as a slice took, until the next: history takes a quarter of a core at most

# A CDN may answer for a second by itself, and while we are away; a kill is through in the same second.
CACHED = "public, max-age=1, stale-while-revalidate=1, stale-if-error=300"


class Snapshots:
    """The readers' routes that answer once."""

    def __init__(self, newswire: Newswire, relay: Relay) -> None:
        self._newswire = newswire
        self._relay = relay
        self._history = asyncio.Semaphore(HISTORY_AT_ONCE)

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
        return json_answer({"channels": listed}, cache="public, max-age=60")

    async def board(self, request: Request) -> Response:
        """The board; its ETag is its cursor. What expires leaves by the reader's own clock."""
        slug = self._channel(request).slug
        if not self._relay.ready:
            raise NewswireUnavailable("This node can't hear the newswire, so it can't say what stands now.")
        held = entity_tags(request.headers.get("if-none-match", ""))
        await self._relay.catch_up(slug, [tag.strip('"').partition("+")[0] for tag in held])
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
        """A page of history, sent a slice at a time: a thousand events are more than anybody may have us hold."""
        channel = self._channel(request)
        limit = request.query_params.get("limit", str(EVENTS_USUAL))
        if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= EVENTS_MAX):
            raise Invalid(FieldError("limit", f"It is a number from 1 to {EVENTS_MAX}."))
        slices = self._slices(channel, request.query_params.get("after") or None, int(limit))
        first = await anext(slices)  # what is wrong with the request, or with the newswire, shows here
        return StreamingResponse(
            _chain(first, slices), headers={"Cache-Control": "no-cache"}, media_type="application/json"
        )

    async def _slices(self, channel: Channel, after: str | None, limit: int) -> AsyncIterator[bytes]:
        """The JSON of a page. Between two slices others have their turn: editors, and readers' lines, go first."""
        left, separator = limit, b'{"events":['
        more = True
        while more and left > 0:
            piece, count, after, more = await self._slice(channel, after, min(left, EVENTS_AT_ONCE), separator)
            yield piece  # not while others wait: this client may not read
            left -= count
            separator = b","
        yield b'],"more":%s}' % (b"true" if more else b"false")

    async def _slice(
        self, channel: Channel, after: str | None, limit: int, separator: bytes
    ) -> tuple[bytes, int, str | None, bool]:
        """The JSON of some events after a separator, how many, the last one's cursor and whether there are more.

        By itself, so that nothing but the bytes is kept for a client that doesn't read: events are five times as large.
        """
        loop = asyncio.get_running_loop()
        async with self._history:
            began = loop.time()
            page = await self._newswire.events(channel.slug, after, limit)
            events = [_since(event, channel, page.withdrawn.get(event.line.id, "usable")) for event in page.events]
            piece = separator + msgspec.json.encode(events)[1:-1]
            if page.more:
                await asyncio.sleep(HISTORY_REST * (loop.time() - began))
        return piece, len(events), events[-1].cursor if events else after, page.more

    def _channel(self, request: Request) -> Channel:
        slug = request.path_params["channel"]
        if channel := self._relay.channels.get(slug):
            return channel
        raise NotFound(no_such_channel(slug))


def _since(event: Event, channel: Channel, status: Status) -> LineObject:
    """The event as it may be told of, now that its line has this status."""
    return msgspec.structs.replace(
        line_object(event, channel), line=event.line.public_since(channel.tombstones_for, status)
    )


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for each in rest:
        yield each


def _unless_held(request: Request, etag: str, content: object) -> Response:
    """The content, or 304 if the client has it already (If-None-Match, RFC 9110, 13.1.2)."""
    if is_held(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": CACHED})
    return json_answer(content, cache=CACHED, headers={"ETag": etag})
