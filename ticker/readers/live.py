"""Live connections: WebSocket and Server-Sent Events at one URL. Knows who listens to what; knows no event.

Between the greeting and joining there is no `await`: what the board holds and what follows it is one chain.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from ticker.errors import FieldError, Invalid, NewswireUnavailable, NotFound
from ticker.fanout.frames import Encoding
from ticker.fanout.hub import BUFFER_MAX, REFUSED, Hub, Reader
from ticker.fanout.relay import Relay
from ticker.readers.handover import ABORT, HANDOVER, SocketReader

CHANNELS_MAX = 32  # channels one connection may listen to; a page shows a handful
RETRY = b"retry: 1000\n\n"  # milliseconds until an EventSource that we don't steer comes back

_STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


class Wanted:
    """What a reader asks for. Raises NotFound for an unknown channel, Invalid for none."""

    def __init__(self, query: QueryParams, headers: Mapping[str, str], relay: Relay) -> None:
        self.channels = tuple(dict.fromkeys(query.getlist("channel")))
        if not self.channels or len(self.channels) > CHANNELS_MAX:
            raise Invalid(FieldError("channel", f"Name 1 to {CHANNELS_MAX} channels, as in ?channel=en&channel=ar."))
        for slug in self.channels:
            if slug not in relay.channels:
                raise NotFound(f"There is no channel {slug[:64]!r}. The channels are at /v1/channels.")
        if not relay.ready or relay.hub.draining:
            raise NewswireUnavailable("This node has no news to give just now. Come back in a moment.")
        self._cursors = {tuple(given.split(":", 1)) for given in query.getlist("cursor") if ":" in given}
        # It doesn't say of which channel it is, and two channels may have the same.
        self._last_event = headers.get("last-event-id") if len(self.channels) == 1 else None

    async def be_abreast(self, relay: Relay) -> None:
        """See that this node knows what the reader has seen. Raises NewswireUnavailable."""
        for slug in self.channels:
            if cursors := self.cursors(slug):
                await relay.abreast(slug, cursors)

    def cursors(self, slug: str) -> list[str]:
        """The cursors that the reader may hold for a channel."""
        held = [cursor for of, cursor in self._cursors if of == slug]
        return [*held, self._last_event] if self._last_event else held


class Live:
    """`/v1/live`."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def routes(self) -> list[BaseRoute]:
        return [Route("/v1/live", self.stream), WebSocketRoute("/v1/live", self.socket)]

    async def socket(self, websocket: WebSocket) -> None:
        wanted = Wanted(websocket.query_params, websocket.headers, self._relay)
        await wanted.be_abreast(self._relay)
        await websocket.accept()
        if handover := websocket.scope.get("extensions", {}).get(HANDOVER):
            reader = SocketReader(self._relay.hub, wanted.channels)
            if head := handover["take"](reader):
                self._welcome(reader, wanted, head)
        else:
            await self._serve_socket(websocket, wanted)

    async def stream(self, request: Request) -> Response:
        accept = request.headers.get("accept", "*/*")
        if not any(kind in accept for kind in ("text/event-stream", "text/*", "*/*")):
            raise HTTPException(406, "This address speaks WebSocket, or text/event-stream.")
        wanted = Wanted(request.query_params, request.headers, self._relay)
        await wanted.be_abreast(self._relay)
        if request.method == "HEAD":
            return Response(headers=_STREAM_HEADERS)
        return _EventStream(self, wanted)

    def _welcome(self, reader: Reader, wanted: Wanted, *head: bytes) -> None:
        greetings = [self._relay.greeting(slug, wanted.cursors(slug)) for slug in wanted.channels]
        self._relay.hub.join(reader, [*head, *(getattr(greeting, reader.encoding) for greeting in greetings)])

    async def _serve_socket(self, websocket: WebSocket, wanted: Wanted) -> None:
        """The same over plain ASGI, where the server can't hand its connection over."""
        reader = QueueReader(self._relay.hub, "text", wanted.channels)

        async def listen() -> None:
            with suppress(WebSocketDisconnect):
                while True:
                    message = await websocket.receive()
                    if message["type"] == "websocket.disconnect":
                        break
                    reader.close(REFUSED, "Readers only listen here")
            reader.close(1000, "")

        self._welcome(reader, wanted)
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
            self._relay.hub.leave(reader)
            listening.cancel()

    async def serve_stream(self, wanted: Wanted, scope: Scope, receive: Receive, send: Send) -> None:
        reader = QueueReader(self._relay.hub, "stream", wanted.channels)
        if extension := scope.get("extensions", {}).get(ABORT):
            reader.abort = extension["abort"]

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            reader.close(1000, "")

        listening = asyncio.create_task(listen())
        try:
            self._welcome(reader, wanted)
            async for batch in reader.batches():
                await send({"type": "http.response.body", "body": b"".join(batch), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._relay.hub.leave(reader)
            listening.cancel()


class QueueReader:
    """A reader behind an ASGI `send`: what is written waits, up to `BUFFER_MAX` bytes, until it is sent."""

    def __init__(self, hub: Hub, encoding: Encoding, channels: tuple[str, ...]) -> None:
        self.encoding: Encoding = encoding
        self.channels = channels
        self.stalled_at: float | None = None
        self.goodbye: tuple[int, str] = (1000, "")
        self._hub = hub
        self._waiting: list[bytes] = []
        self._size = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.current_task()
        self.abort: Callable[[], None] = self._cancel

    def write(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        self._wake.set()
        if self._size > BUFFER_MAX:
            self._hub.stalled(self)

    def buffered(self) -> int:
        return self._size

    def close(self, code: int, reason: str) -> None:
        if not self._closing:
            self._closing, self.goodbye = True, (code, reason)
        self._wake.set()

    def _cancel(self) -> None:
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
        super().__init__(headers=_STREAM_HEADERS)
        del self.headers["content-length"]
        self._live = live
        self._wanted = wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": RETRY, "more_body": True})
        await self._live.serve_stream(self._wanted, scope, receive, send)
