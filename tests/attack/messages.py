"""Requests and frames, as bytes. Knows the wire; knows no connection."""

from __future__ import annotations

import json

from tests.attack import CHANNEL

LIVE = f"/v1/live?channel={CHANNEL}"
LINES = f"/v1/channels/{CHANNEL}/lines"
EVENTS = f"/v1/channels/{CHANNEL}/events?limit=1000"
SESSION = "/desk/session"


def request(target: str, *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    """A whole request; its Content-Length is added if it has a body."""
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *fields, *length, "\r\n"]).encode() + body


def chunked(target: str, *fields: str, method: str = "POST") -> bytes:
    """The head of a request whose body comes in chunks."""
    return request(target, "Transfer-Encoding: chunked", *fields, method=method)


def asked_for(length: int, target: str = SESSION) -> bytes:
    """The head of a request whose body is to come."""
    return request(target, "Content-Type: application/json", f"Content-Length: {length}", method="POST")


def sign_in(key: str) -> bytes:
    return request(SESSION, "Content-Type: application/json", method="POST", body=json.dumps({"key": key}).encode())


def handshake(target: str = LIVE) -> bytes:
    return request(
        target,
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )


def stream(target: str = LIVE, *fields: str) -> bytes:
    return request(target, "Accept: text/event-stream", *fields)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """As a client sends it (RFC 6455, 5.2), masked with nothing: that costs the receiver the same."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes(((0x80 if fin else 0) | opcode,)) + length + bytes(4) + payload
