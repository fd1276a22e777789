"""Live connections: WebSocket and Server-Sent Events at one URL. Knows who listens to what; knows no event.

`admit` decides, `welcome` greets. The door lets readers in (serving/door.py); what reaches the ASGI application at
this address is no reader's request, or comes by a server that can't hand its connections over.

Between the greeting and joining there is no `await`: what the board holds and what follows it is one chain.
"""

from __future__ import annotations

import resource

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ticker.channel import no_such_channel
from ticker.errors import Busy, NewswireUnavailable, NotFound
from ticker.fanout.hub import Reader
from ticker.fanout.relay import Relay
from ticker.http.fields import accepts
from ticker.readers.admission import Room, Wanted, wanted

PATH = "/v1/live"
STREAM = "text/event-stream"
RETRY = b"retry: 1000\n\n"  # milliseconds until an EventSource that we don't steer comes back

STREAM_HEADERS = {
    "Content-Type": f"{STREAM}; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


class Live:
    """`/v1/live`. A reader is an open file, so this process may have as many as the system lets it open."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.hub = relay.hub
        self.room = Room.of(resource.getrlimit(resource.RLIMIT_NOFILE)[1])

    def routes(self) -> list[BaseRoute]:
        return [Route(PATH, self.elsewhere)]

    def admit(self, query: str, last_event_id: str = "") -> Wanted:
        """What a reader asks for. Raises Invalid, NotFound, Busy or NewswireUnavailable if it can't have it."""
        asked = wanted(query, last_event_id)
        for slug in asked.channels:
            if slug not in self._relay.channels:
                raise NotFound(no_such_channel(slug))
        if not self._relay.ready or self.hub.draining:
            raise NewswireUnavailable("This node has no news to give just now. Come back in a moment.")
        if len(self.hub) >= self.room.readers:
            raise Busy(f"This node has {len(self.hub)} readers and no room for more. Come back in a moment.")
        return asked

    def is_caught_up(self, asked: Wanted) -> bool:
        """Whether this node knows what the reader has seen, so that it may be welcomed."""
        return not any(map(self._relay.is_behind, asked.channels, asked.cursors))

    async def catch_up(self, asked: Wanted) -> None:
        """See to that. Raises NewswireUnavailable."""
        for slug, cursors in zip(asked.channels, asked.cursors, strict=True):
            await self._relay.catch_up(slug, cursors)

    def welcome(self, reader: Reader, asked: Wanted, *head: bytes) -> None:
        """Greet the reader, with `head` before, and let it join."""
        greetings = map(self._relay.greeting, asked.channels, asked.cursors)
        self.hub.join(reader, [*head, *(getattr(greeting, reader.encoding) for greeting in greetings)])

    async def elsewhere(self, request: Request) -> Response:
        """A request here that is no reader's."""
        if request.method == "HEAD":
            self.admit(request.url.query, request.headers.get("last-event-id", ""))
            return Response(headers=STREAM_HEADERS)
        if accepts(request.headers.get("accept", "*/*"), STREAM):
            raise HTTPException(501, "This server can't hand its connections over. Readers need `ticker serve`.")
        raise HTTPException(406, f"This address speaks WebSocket, or {STREAM}.")
