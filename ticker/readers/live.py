"""Live connections: WebSocket and Server-Sent Events at one URL. Knows who listens to what; knows no event.

`admit` decides, `welcome` greets; both serve the door (door.py) and the ASGI endpoints here.

Between the greeting and joining there is no `await`: what the board holds and what follows it is one chain.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from ticker.errors import Busy, FieldError, Invalid, NewswireUnavailable, NotFound
from ticker.fanout.frames import Encoding
from ticker.fanout.hub import BUFFER_MAX, REFUSED, Hub, Reader
from ticker.fanout.relay import Relay

CHANNELS_MAX = 32  # channels one connection may listen to; a page shows a handful
FILES_KEPT = 256  # open files that readers leave to editors, the newswire and the log
RETRY = b"retry: 1000\n\n"  # milliseconds until an EventSource that we don't steer comes back

STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


class Wanted(NamedTuple):
    """What a reader asks for."""

    channels: tuple[str, ...]
    cursors: tuple[tuple[str, ...], ...]
    """Those it may hold, for each channel in turn."""


@lru_cache(maxsize=1_024)  # in a storm most readers ask for the same: 9 us saved each
def _wanted(query: str, last_event_id: str) -> Wanted:
    asked = QueryParams(query)
    channels = tuple(dict.fromkeys(asked.getlist("channel")))
    given = [tuple(cursor.split(":", 1)) for cursor in asked.getlist("cursor") if ":" in cursor]
    cursors = [tuple(cursor for of, cursor in given if of == slug) for slug in channels]
    if last_event_id and len(channels) == 1:  # it doesn't say of which channel it is, and two may have the same
        cursors[0] += (last_event_id,)
    return Wanted(channels, tuple(cursors))


def takes_stream(accept: str) -> bool:
    """Whether an Accept header (RFC 9110, 12.5.1) allows Server-Sent Events."""
    return any(kind in accept for kind in ("text/event-stream", "text/*", "*/*"))


class Live:
    """`/v1/live`. A reader is an open file, so this process may have as many as the system lets it open."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.hub = relay.hub
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self._readers_max = sys.maxsize if files == resource.RLIM_INFINITY else files - FILES_KEPT

    def routes(self) -> list[BaseRoute]:
        return [Route("/v1/live", self.stream), WebSocketRoute("/v1/live", self.socket)]

    def admit(self, query: str, last_event_id: str = "") -> Wanted:
        """What a reader asks for. Raises Invalid, NotFound, Busy or NewswireUnavailable where it can't have it."""
        wanted = _wanted(query, last_event_id)
        if not 0 < len(wanted.channels) <= CHANNELS_MAX:
            raise Invalid(FieldError("channel", f"Name 1 to {CHANNELS_MAX} channels, as in ?channel=en&channel=ar."))
        for slug in wanted.channels:
            if slug not in self._relay.channels:
                raise NotFound(f"There is no channel {slug[:64]!r}. The channels are at /v1/channels.")
        if not self._relay.ready or self.hub.draining:
            raise NewswireUnavailable("This node has no news to give just now. Come back in a moment.")
        if len(self.hub) >= self._readers_max:
            raise Busy(f"This node has {len(self.hub)} readers and no room for more. Come back in a moment.")
        return wanted

    def is_abreast(self, wanted: Wanted) -> bool:
        """Whether this node knows what the reader has seen, so that it may be welcomed."""
        return not any(map(self._relay.is_behind, wanted.channels, wanted.cursors))

    async def be_abreast(self, wanted: Wanted) -> None:
        """See to that. Raises NewswireUnavailable."""
        for slug, cursors in zip(wanted.channels, wanted.cursors, strict=True):
            await self._relay.abreast(slug, cursors)

    def welcome(self, reader: Reader, wanted: Wanted, *head: bytes) -> None:
        """Greet the reader, with `head` before, and let it join."""
        greetings = map(self._relay.greeting, wanted.channels, wanted.cursors)
        self.hub.join(reader, [*head, *(getattr(greeting, reader.encoding) for greeting in greetings)])

    # Over plain ASGI. Under `ticker serve` the door lets readers in (door.py).

    async def socket(self, websocket: WebSocket) -> None:
        wanted = self.admit(websocket.url.query)
        await self.be_abreast(wanted)
        await websocket.accept()
        await self._serve_socket(websocket, wanted)

    async def stream(self, request: Request) -> Response:
        if not takes_stream(request.headers.get("accept", "*/*")):
            raise HTTPException(406, "This address speaks WebSocket, or text/event-stream.")
        wanted = self.admit(request.url.query, request.headers.get("last-event-id", ""))
        await self.be_abreast(wanted)
        if request.method == "HEAD":
            return Response(headers=STREAM_HEADERS)
        return _EventStream(self, wanted)

    async def _serve_socket(self, websocket: WebSocket, wanted: Wanted) -> None:
        """The same over plain ASGI, where the server can't hand its connection over."""
        reader = QueueReader(self.hub, "text", wanted.channels)

        async def listen() -> None:
            with suppress(WebSocketDisconnect):
                while True:
                    message = await websocket.receive()
                    if message["type"] == "websocket.disconnect":
                        break
                    reader.close(REFUSED, "Readers only listen here")
            reader.close(1000, "")

        self.welcome(reader, wanted)
        listening = asyncio.create_task(listen())
        try:
            async for batch in reader.batches():
                for text in batch:
                    await websocket.send_text(text.decode())
            if not listening.done():
                await websocket.close(*reader.goodbye)
        except WebSocketDisconnect:
            pass
        finally:
            self.hub.leave(reader)
            listening.cancel()

    async def serve_stream(self, wanted: Wanted, scope: Scope, receive: Receive, send: Send) -> None:
        reader = QueueReader(self.hub, "stream", wanted.channels)

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            reader.close(1000, "")

        listening = asyncio.create_task(listen())
        try:
            self.welcome(reader, wanted)
            async for batch in reader.batches():
                await send({"type": "http.response.body", "body": b"".join(batch), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self.hub.leave(reader)
            listening.cancel()


class QueueReader:
    """A reader behind an ASGI `send`: what is written waits until it is sent."""

    handle = None

    def __init__(self, hub: Hub, encoding: Encoding, channels: tuple[str, ...]) -> None:
        self.encoding: Encoding = encoding
        self.channels = channels
        self.room = BUFFER_MAX
        self.goodbye: tuple[int, str] = (1000, "")
        self._hub = hub
        self._waiting: list[bytes] = []
        self._size = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.current_task()

    def write(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        self._wake.set()

    def buffered(self) -> int:
        return self._size

    def answered(self) -> bool:
        return True

    def close(self, code: int, reason: str) -> None:
        if not self._closing:
            self._closing, self.goodbye = True, (code, reason)
        self._wake.set()

    def abort(self) -> None:
        if self._task:
            self._task.cancel("This reader took nothing for too long")

    async def batches(self) -> AsyncIterator[list[bytes]]:
        """What waits, each time there is something; ends once the reader is closed and nothing waits."""
        while self._waiting or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting, self._size = self._waiting, [], 0
            if batch:
                yield batch
            if not self._waiting:
                self._hub.drained(self)


class _EventStream(Response):
    """The response that stays open (Server-Sent Events, WHATWG HTML 9.2)."""

    def __init__(self, live: Live, wanted: Wanted) -> None:
        super().__init__(headers=STREAM_HEADERS)
        del self.headers["content-length"]
        self._live = live
        self._wanted = wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": RETRY, "more_body": True})
        await self._live.serve_stream(self._wanted, scope, receive, send)
