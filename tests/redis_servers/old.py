"""A stand-in for a server that is too old to install."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def old_redis(version: str) -> Iterator[int]:
    """A stand-in for a server that is too old to install: it answers INFO with this version, and OK to all else."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError), connection.makefile("rwb") as stream:
            while head := stream.readline():
                words = []
                for _ in range(int(head[1:])):
                    size = int(stream.readline()[1:])
                    words.append(stream.read(size + 2)[:-2].upper())
                if words[0] == b"INFO":
                    info = f"# Server\r\nredis_version:{version}\r\nrole:master\r\n".encode()
                    stream.write(b"$%d\r\n%b\r\n" % (len(info), info))
                else:
                    stream.write(b"+OK\r\n")
                stream.flush()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        ended.set()
        listener.close()
