"""websockets.broadcast: the library's own fan-out, in one asyncio process. Knows sockets; knows no lines."""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve

BACKLOG = 4_096
readers: set[ServerConnection] = set()


async def read(reader: ServerConnection) -> None:
    readers.add(reader)
    try:
        await reader.wait_closed()
    finally:
        readers.discard(reader)


async def publish(requests: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
    """Just enough HTTP to receive what to send: the library answers GET alone."""
    try:
        while True:
            head = await requests.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            broadcast(readers, (await requests.readexactly(length)).decode())
            answers.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        answers.close()


async def main(port: int, publish_port: int) -> None:
    publishing = await asyncio.start_server(publish, "127.0.0.1", publish_port)
    serving = serve(read, "127.0.0.1", port, compression=None, ping_interval=None, backlog=BACKLOG)
    async with publishing, serving:
        await asyncio.get_running_loop().create_future()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
