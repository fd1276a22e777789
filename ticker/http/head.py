"""What the head of a request may be: RFC 9112 in its strictest reading, and our limits. Pure: bytes in, a Head out.

Every request passes here before anything else looks at it, a reader's and an editor's alike, so that there is one
opinion on where it begins and ends. What another server might read in another way is refused: a bare line feed, a
folded field, two lengths, a length beside chunks. What is passed on is written anew (`Head.canonical`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote

HEAD_MAX = 65_536  # bytes of a head; a news site's cookies come along, and they are large
TARGET_MAX = 8_192  # bytes; RFC 9112, section 3, wants 8,000 at least
EMPTY_LINES_MAX = 8  # before a request; some clients send one, and each costs a copy of what follows it
FIELDS_MAX = 256  # fields of a head; browsers and proxies together send some 40, and each costs us 3 µs
BODY_MAX = 65_536  # bytes of a body; the longest line in the most wasteful encoding is a tenth of it

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # RFC 9110, 5.6.2
_IN_VALUES = bytes({*b"\t", *range(0x20, 0x7F), *range(0x80, 0x100)})  # RFC 9110, 5.5
_IN_FIELDS = _IN_VALUES + b"\r\n"
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#]*)(.*)", re.S)  # RFC 9112, 3.2.2
# A host as RFC 3986, 3.2.2, has it, and a port.
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2}){1,255})(?::[0-9]{0,5})?"
)
_LENGTH = re.compile(rb"[0-9]{1,15}")

# Fields that mean one thing, so that two of them mean nothing.
_SINGLE = frozenset(
    b"content-length content-type expect host idempotency-key last-event-id origin "
    b"sec-fetch-site sec-websocket-key sec-websocket-version transfer-encoding".split()
)

_NO_FIELD = "A header field is not one of HTTP/1.1 (RFC 9112, section 5)."


class BadHead(Exception):
    """The request is refused before it is a request. `detail` says why, in one sentence."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Head(NamedTuple):
    """A request's line and fields. Names are in lower case; values have no white space around them."""

    method: bytes
    path: str
    """Percent-decoded, as the router sees it."""
    target: bytes
    """In origin-form, whatever form it came in."""
    version: bytes
    fields: list[tuple[bytes, bytes]]
    named: dict[bytes, bytes]
    """The same; several of one name are one list (RFC 9110, 5.3)."""
    length: int | None
    """Bytes of body to come; None where they come in chunks."""

    @property
    def query(self) -> str:
        return self.target.partition(b"?")[2].decode("latin-1")

    def tokens(self, name: bytes) -> Iterator[bytes]:
        """The members of a field that is a list, in lower case."""
        return (token.strip() for token in self.named.get(name, b"").lower().split(b","))

    def canonical(self) -> bytes:
        """The head, in the one way to write it."""
        fields = b"".join(b"%s: %s\r\n" % field for field in self.fields)
        return b"%s %s HTTP/%s\r\n%s\r\n" % (self.method, self.target, self.version, fields)


def past_empty_lines(data: bytes, before: int) -> tuple[bytes, int]:
    """The data without the empty lines that it begins with (RFC 9112, 2.2), and how many there were with those before.

    Raises BadHead if there are too many.
    """
    while data.startswith(b"\r\n"):
        data = data[2:]
        before += 1
        if before > EMPTY_LINES_MAX:
            raise BadHead(HTTPStatus.BAD_REQUEST, f"More than {EMPTY_LINES_MAX} empty lines before a request.")
    return data, before


def end_of_head(data: bytes | bytearray, seen: int) -> int:
    """Where the head ends that `data` begins with, or 0 where it doesn't yet. `seen` bytes were looked at before.

    Raises BadHead as soon as it can't become one.
    """
    end = data.find(b"\r\n\r\n", max(0, seen - 3)) + 4
    head_size = end if end > 3 else len(data)
    if head_size > HEAD_MAX:
        raise BadHead(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The request's head has more than {HEAD_MAX} bytes.")
    if end > 3:
        return end  # whether its lines are lines, `read_head` sees
    if _BARE_LINE_FEED.search(data, max(0, seen - 1)):
        raise BadHead(HTTPStatus.BAD_REQUEST, "A line of the request's head ends without a carriage return.")
    return 0


def read_head(data: bytes) -> Head:
    """A whole head, to its empty line. Raises BadHead."""
    line, _, block = data.partition(b"\r\n")
    if not (found := _REQUEST_LINE.fullmatch(line)):
        raise BadHead(HTTPStatus.BAD_REQUEST, "The request line is not one of HTTP/1.1 (RFC 9112, section 3).")
    method, target, major, minor = found.groups()
    if major != b"1":
        raise BadHead(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "This server speaks HTTP/1.1.")
    version = b"1.0" if minor == b"0" else b"1.1"
    if len(target) > TARGET_MAX:
        raise BadHead(HTTPStatus.REQUEST_URI_TOO_LONG, f"The address has more than {TARGET_MAX} bytes.")
    fields, named = _fields(block)
    target = _origin_form(method, target, fields, named)
    host = named.get(b"host")
    if host is None and version != b"1.0":
        raise BadHead(HTTPStatus.BAD_REQUEST, "The request names no Host (RFC 9112, section 3.2).")
    if host is not None and not _HOST.fullmatch(host):
        raise BadHead(HTTPStatus.BAD_REQUEST, "The request's Host is not a host's name (RFC 9112, section 3.2).")
    if named.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise BadHead(HTTPStatus.EXPECTATION_FAILED, "The one expectation that is met here is 100-continue.")
    path = target.partition(b"?")[0].decode("ascii")
    if "%" in path:
        path = unquote(path)
    return Head(method, path, target, version, fields, named, _length(version, named))


def _fields(block: bytes) -> tuple[list[tuple[bytes, bytes]], dict[bytes, bytes]]:
    if block.count(b"\n") > FIELDS_MAX + 1:
        detail = f"The request has more than {FIELDS_MAX} header fields."
        raise BadHead(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
    # One field a line, no folding, and no line that only some would take for one.
    if block.translate(None, _IN_FIELDS) or not block.count(b"\r\n") == block.count(b"\r") == block.count(b"\n"):
        raise BadHead(HTTPStatus.BAD_REQUEST, _NO_FIELD)
    fields: list[tuple[bytes, bytes]] = []
    named: dict[bytes, bytes] = {}
    for line in block[:-4].split(b"\r\n") if len(block) > 2 else ():
        name, colon, value = line.partition(b":")
        if not colon or not name or name.translate(None, _TOKEN):
            raise BadHead(HTTPStatus.BAD_REQUEST, _NO_FIELD)
        name, value = name.lower(), value.strip(b" \t")
        fields.append((name, value))
        if name not in named:
            named[name] = value
        elif name in _SINGLE:
            raise BadHead(HTTPStatus.BAD_REQUEST, f"The request has more than one field {name.decode()}.")
        else:
            named[name] += b", " + value
    return fields, named


def is_field(line: bytes) -> bool:
    """Whether this is a field's line (RFC 9112, section 5), whole with its end."""
    name, colon, value = line.partition(b":")
    return bool(
        colon
        and name
        and not name.translate(None, _TOKEN)
        and value.endswith(b"\r\n")
        and not value[:-2].translate(None, _IN_VALUES)
    )


def _origin_form(method: bytes, target: bytes, fields: list[tuple[bytes, bytes]], named: dict[bytes, bytes]) -> bytes:
    """The target as an origin server takes it. The host of an absolute one takes Host's place (RFC 9112, 3.2.2)."""
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        if b"#" in target:
            raise BadHead(HTTPStatus.BAD_REQUEST, "An address on the wire holds no fragment.")
        return target
    if not (found := _ABSOLUTE.fullmatch(target)) or b"#" in target:
        raise BadHead(HTTPStatus.BAD_REQUEST, "The address starts neither with a slash nor with http://.")
    host, rest = found.groups()
    fields[:] = [(b"host", host), *((name, value) for name, value in fields if name != b"host")]
    named[b"host"] = host
    return rest if rest.startswith(b"/") else b"/" + rest


def _length(version: bytes, named: dict[bytes, bytes]) -> int | None:
    """How the body is framed (RFC 9112, section 6.3): there is one way to read it, or it is refused."""
    length, coding = named.get(b"content-length"), named.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise BadHead(HTTPStatus.BAD_REQUEST, "The request has a Content-Length beside Transfer-Encoding.")
        if version == b"1.0":
            raise BadHead(HTTPStatus.BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding.")
        if coding.lower() != b"chunked":
            raise BadHead(HTTPStatus.NOT_IMPLEMENTED, "The one transfer coding that is read here is chunked.")
        return None
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise BadHead(HTTPStatus.BAD_REQUEST, "Content-Length is not a number of bytes.")
    if int(length) > BODY_MAX:
        detail = f"The body has more than {BODY_MAX} bytes. A line needs a hundredth of that."
        raise BadHead(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
    return int(length)
