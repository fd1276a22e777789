"""A body in chunks (RFC 9112, section 7.1), in its strictest reading, and our limits. Pure: bytes in, bytes out.

h11 would do, but it takes a bare line feed for the end of a line there, and other servers don't: who disagrees on where
a body ends disagrees on where the next request begins. So h11 is given what is rewritten here. Trailers are dropped:
what they say comes after everything was decided.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from ticker.http.head import BODY_MAX, BadHead, is_field

CHUNKS_MAX = 256  # chunks a body: 64 kB in pieces of 256 bytes; each costs us 15 µs
LINE_MAX = 1_024  # bytes of the line before a chunk; its extensions mean nothing to anybody we know
TRAILERS_MAX = 2_048  # bytes

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*+)?\r\n")
_END = b"0\r\n\r\n"


class Chunks:
    """One body, piece by piece."""

    def __init__(self) -> None:
        self._line = b""  # the beginning of one
        self._left = 0  # bytes of the chunk that are to come
        self._is_ending = False  # whether the chunk's own line end is next
        self._in_trailers = False
        self._chunks = self._size = self._trailers = 0

    def take(self, data: bytes) -> tuple[bytes, bytes | None]:
        """What the data says, in chunks of ours, and what follows the body: None while it isn't over.

        Raises BadHead.
        """
        out: list[bytes] = []
        at = 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                self._is_ending = not self._left
                out.append(b"%x\r\n%s\r\n" % (len(piece), piece))
                continue
            end = data.find(b"\n", at) + 1
            self._line += data[at:end] if end else data[at:]
            at = end or len(data)
            if end and self._is_last(self._line):
                return b"".join(out) + _END, data[at:]
            if end:
                self._line = b""
            elif len(self._line) > (TRAILERS_MAX if self._in_trailers else LINE_MAX):
                raise _bad("A line between the chunks of its body has no end.")
        return b"".join(out), None

    def _is_last(self, line: bytes) -> bool:
        if self._is_ending:
            if line != b"\r\n":
                raise _bad("A chunk of its body is longer than it says.")
            self._is_ending = False
            return False
        if self._in_trailers:
            self._trailers += len(line)
            if self._trailers > TRAILERS_MAX:
                raise BadHead(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"Its trailers have more than {TRAILERS_MAX} bytes."
                )
            if line != b"\r\n" and not is_field(line):
                raise _bad("What follows its body is no trailer.")
            return line == b"\r\n"
        if len(line) > LINE_MAX or not (found := _SIZE.fullmatch(line)):
            raise _bad("A chunk of its body has no size.")
        self._left = int(found[1], 16)
        self._in_trailers = not self._left
        self._chunks += 1
        self._size += self._left
        if self._chunks > CHUNKS_MAX:
            raise _bad(f"Its body comes in more than {CHUNKS_MAX} chunks.")
        if self._size > BODY_MAX:
            raise BadHead(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has more than {BODY_MAX} bytes.")
        return False


def _bad(detail: str) -> BadHead:
    return BadHead(HTTPStatus.BAD_REQUEST, f"The request can't be read. {detail}")
