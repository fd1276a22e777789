"""How a reader asks to be let in, and the bytes that say so: WebSocket (RFC 6455) or a stream. Knows no connection."""

from __future__ import annotations

import base64
import binascii
import hashlib
from http import HTTPStatus

from ticker.http.fields import accepts
from ticker.http.head import BadHead, Head
from ticker.http.security import ANSWERS
from ticker.readers.live import PATH, RETRY, STREAM, STREAM_HEADERS
from ticker.serving.refusals import head_of

# Not in chunks: the response ends when the connection does (RFC 9112, 6.3), so its bytes are the same for all.
STREAMING = head_of(HTTPStatus.OK, {**STREAM_HEADERS, **ANSWERS}) + RETRY

_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
)
_ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


def opening_of(head: Head) -> bytes | None:
    """What lets a reader in: `STREAMING`, or what accepts its WebSocket. None where no reader asks. Raises BadHead."""
    if head.path != PATH or head.method != b"GET":
        return None
    named = head.named
    upgrade = b"websocket" in head.tokens(b"upgrade") and b"upgrade" in head.tokens(b"connection")
    if not upgrade and b"sec-websocket-key" in named:  # a proxy has lost the upgrade: no stream was asked for
        detail = "The handshake has lost its Upgrade on the way, to a proxy maybe."
        raise BadHead(HTTPStatus.UPGRADE_REQUIRED, detail)
    if not upgrade and not accepts(named.get(b"accept", b"*/*").decode("latin-1"), STREAM):
        return None
    if head.length != 0:
        raise BadHead(HTTPStatus.BAD_REQUEST, "A reader's request has no body.")
    return _accepting(head) if upgrade else STREAMING


def _accepting(head: Head) -> bytes:
    """Raises BadHead for a handshake that is none (RFC 6455, 4.2.1)."""
    key = head.named.get(b"sec-websocket-key", b"")
    if head.named.get(b"sec-websocket-version") != b"13":
        raise BadHead(HTTPStatus.UPGRADE_REQUIRED, "The version of WebSocket that is spoken here is 13.")
    if head.version != b"1.1" or not _is_nonce(key):
        detail = "A handshake is HTTP/1.1, with a Sec-WebSocket-Key of 16 bytes in base64."
        raise BadHead(HTTPStatus.BAD_REQUEST, detail)
    return _SWITCHING % base64.b64encode(hashlib.sha1(key + _ACCEPT_SALT, usedforsecurity=False).digest())


def _is_nonce(key: bytes) -> bool:
    """16 bytes in base64 (RFC 6455, 4.1)."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False
