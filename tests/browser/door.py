"""A door between browsers and a node: it does to their connections what proxies, nodes and networks do."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time


class Door:
    """Stands between browsers and a node. It serves one page of its own, at any path under /page/."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.refusing_sockets = False
        self.refusing_events = False
        self.holding_events = False
        self.refusing_polls = False
        self.answering_itself = False
        self.retry_after: int | None = None
        self.silent = False
        self.html = ""
        self.polled = 0
        self.asked: list[str] = []
        """How a live connection was asked for, each time: "socket" or "events"."""
        self.path = ""
        """Of the last one."""
        self.cookies: list[str] = []
        """The paths that one was sent to, by a script's own request."""
        self._live: set[socket.socket] = set()
        self._all: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def open(self) -> int:
        """Live connections now."""
        return len(self._live)

    def cut(self) -> None:
        """Every connection ends, without a goodbye."""
        for connection in list(self._all):
            _end(connection)

    def close(self) -> None:
        _end(self._listener)
        self._listener.close()
        self.cut()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._all.add(client)
        with contextlib.suppress(OSError), client:
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := client.recv(65_536)):
                    break
                head += data
            self._answer(client, head)
        self._live.discard(client)
        self._all.discard(client)

    def _answer(self, client: socket.socket, head: bytes) -> None:
        path = head.split(b" ", 2)[1].decode() if b" " in head else ""
        live = path.startswith("/v1/live")
        kind = "socket" if b"upgrade: websocket" in head.lower() else "events"
        if live:
            self.asked.append(kind)
            self.path = path
        if kind != "socket" and path.startswith("/v1/") and b"\r\ncookie:" in head.lower():
            self.cookies.append(path)
        poll = path.endswith("/lines")
        self.polled += poll
        if path.startswith("/page/") or (self.answering_itself and path.startswith("/v1/")):
            client.sendall(_response("200 OK", self.html, "Content-Type: text/html; charset=utf-8"))
        elif live and self.retry_after is not None:
            client.sendall(_response("503 Service Unavailable", "", f"Retry-After: {self.retry_after}"))
        elif (live and (self.refusing_sockets if kind == "socket" else self.refusing_events)) or (
            poll and self.refusing_polls
        ):
            client.sendall(_response("403 Forbidden", ""))
        elif head:
            with socket.create_connection(("127.0.0.1", self.target)) as node:
                self._all.add(node)
                if kind != "socket":
                    head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head)
                    head = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
                node.sendall(head)
                if live:
                    self._live.add(client)
                threading.Thread(target=self._pump, args=(client, node), daemon=True).start()
                self._pump(node, client, held=live and kind == "events")
                self._all.discard(node)

    def _pump(self, source: socket.socket, sink: socket.socket, held: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                while self.silent:
                    time.sleep(0.01)
                if not (held and self.holding_events):
                    sink.sendall(data)
        _end(source)
        _end(sink)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _response(status: str, body: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body.encode())}", "Connection: close", "", body]
    return "\r\n".join(lines).encode()
