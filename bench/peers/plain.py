"""Starlette as its documentation shows it: `await send_text()` to each reader in turn. Knows sockets; no lines."""

from __future__ import annotations

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

BACKLOG = 4_096
readers: set[WebSocket] = set()


async def live(reader: WebSocket) -> None:
    await reader.accept()
    readers.add(reader)
    try:
        while True:
            await reader.receive_text()
    except WebSocketDisconnect:
        readers.discard(reader)


async def publish(request: Request) -> Response:
    text = (await request.body()).decode()
    for reader in list(readers):
        try:
            await reader.send_text(text)
        except (WebSocketDisconnect, RuntimeError):
            readers.discard(reader)
    return Response()


app = Starlette(routes=[Route("/publish", publish, methods=["POST"]), WebSocketRoute("/live", live)])
uvicorn.run(
    app,
    host="127.0.0.1",
    port=int(sys.argv[1]),
    ws="websockets-sansio",
    http="httptools",
    loop="asyncio",
    ws_per_message_deflate=False,
    ws_ping_interval=None,
    access_log=False,
    log_level="error",
    backlog=BACKLOG,
)
