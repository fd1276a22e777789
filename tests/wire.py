"""HTTP/1.1 by the letter, for tests: where requests and responses begin and end. Knows RFC 9112; knows nothing of ours.

Written apart from the product's own reading, byte by byte and without a regular expression, so that the two can be
compared. It takes less than the RFC allows wherever two servers might differ (`Unclear`).
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.patience import WITHIN

TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
DIGITS = frozenset(b"0123456789")
HEX = frozenset(b"0123456789abcdefABCDEF")


class Unclear(Exception):
    """No request begins here, or not for everybody."""


class Cut(Exception):
    """More is needed."""


class Request(NamedTuple):
    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes
    size: int
    """All of its bytes."""

    def all(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.fields if each == name]

    @property
    def closes(self) -> bool:
        return any(b"close" in [t.strip() for t in value.lower().split(b",")] for value in self.all(b"connection"))


def requests(data: bytes) -> tuple[list[Request], Exception | None]:
    """The requests that the bytes begin with, up to one that closes; and why there are no more."""
    found: list[Request] = []
    while data:
        while data.startswith(b"\r\n"):
            data = data[2:]
        if not data:
            break
        try:
            one = request(data)
        except (Unclear, Cut) as error:
            return found, error
        found.append(one)
        if one.closes:
            break
        data = data[one.size :]
    return found, None


def request(data: bytes) -> Request:
    """The first one. Raises Unclear or Cut."""
    line, at = _line(data, 0)
    parts = line.split(b" ")
    if len(parts) != 3:
        raise Unclear("the request line has not three parts")
    method, target, version = parts
    if not method or not TOKEN.issuperset(method):
        raise Unclear("no method")
    if not target or any(not 0x21 <= byte <= 0x7E for byte in target) or b"#" in target:
        raise Unclear("no target")
    if version != b"HTTP/1.1":
        raise Unclear("another version")
    fields: list[tuple[bytes, bytes]] = []
    while True:
        line, at = _line(data, at)
        if not line:
            break
        name, colon, value = line.partition(b":")
        if not colon or not name or not TOKEN.issuperset(name):
            raise Unclear("no field")
        if any((byte < 0x20 and byte != 0x09) or byte == 0x7F for byte in value):
            raise Unclear("a control character")
        fields.append((name.lower(), value.strip(b" \t")))
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) != 1:
        raise Unclear("not one host")
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise Unclear("two lengths")
    if codings:
        if codings[0].lower() != b"chunked":
            raise Unclear("an unknown coding")
        body, at = _chunks(data, at)
    else:
        length = lengths[0] if lengths else b"0"
        if not length or not DIGITS.issuperset(length):
            raise Unclear("no length")
        end = at + int(length)
        if end > len(data):
            raise Cut
        body, at = data[at:end], end
    return Request(method, target, fields, body, at)


def _line(data: bytes, at: int) -> tuple[bytes, int]:
    """Up to CRLF; a lone CR or LF before it is unclear."""
    for index in range(at, len(data)):
        if data[index] == 0x0A:
            if index == at or data[index - 1] != 0x0D:
                raise Unclear("a bare line feed")
            line = data[at : index - 1]
            if b"\r" in line:
                raise Unclear("a bare carriage return")
            return line, index + 1
    raise Cut


def _chunks(data: bytes, at: int) -> tuple[bytes, int]:
    body = b""
    while True:
        line, at = _line(data, at)
        size = line.partition(b";")[0].rstrip(b" \t")
        if not size or not HEX.issuperset(size) or len(size) > 16:
            raise Unclear("no chunk size")
        count = int(size, 16)
        if count == 0:
            break
        if at + count + 2 > len(data):
            raise Cut
        body += data[at : at + count]
        if data[at + count : at + count + 2] != b"\r\n":
            raise Unclear("a chunk without its end")
        at += count + 2
    while True:
        line, at = _line(data, at)
        if not line:
            return body, at
        name, colon, _ = line.partition(b":")
        if not colon or not name or not TOKEN.issuperset(name):
            raise Unclear("no trailer")


class Response(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes


def responses(data: bytes, methods: Iterable[bytes] = ()) -> list[Response]:
    """All of them; what is left over, or cut short, is a fault. `methods` are those that were asked with."""
    found: list[Response] = []
    asked = list(methods)
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        assert end, f"this is no response: {data[:200]!r}"
        line, *rows = head.decode("latin-1").split("\r\n")
        version, status, *_ = line.split(" ")
        assert version == "HTTP/1.1", f"this is no response: {data[:200]!r}"
        fields = {name.lower(): value for name, value in (row.split(": ", 1) for row in rows)}
        if int(status) == 100:
            data = rest
            continue
        method = asked[len(found)] if len(found) < len(asked) else b""
        if method == b"HEAD" or status in ("204", "304"):
            body, data = b"", rest
        elif fields.get("transfer-encoding") == "chunked":
            body, at = _chunks(rest, 0)
            data = rest[at:]
        elif "content-length" in fields:
            length = int(fields["content-length"])
            assert length <= len(rest), f"cut short: {data[:300]!r}"
            body, data = rest[:length], rest[length:]
        else:
            body, data = rest, b""
        found.append(Response(int(status), fields, body))
    return found


def exchanged(port: int, pieces: Sequence[bytes], *, half_close: bool = False) -> bytes:
    """All that comes back for these pieces, each a segment of its own, until the other side ends the connection."""
    with connected(port) as connection:
        said = b""
        with contextlib.suppress(OSError):  # it has ended by itself
            for piece in pieces:
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while got := connection.recv(65_536):
                said += got
        return said


def connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), WITHIN)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def cut(data: bytes, at: Iterable[int]) -> list[bytes]:
    """The data in pieces, cut at these places."""
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[start:end] for start, end in itertools.pairwise(places)]
