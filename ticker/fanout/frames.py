"""Events to bytes, once for all readers. Knows the wire formats; knows no reader.

A server's WebSocket frames are not masked (RFC 6455, 5.1), so the same bytes serve every reader.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple, get_args

import msgspec
from msgspec import Struct

from ticker.channel import Channel, Direction
from ticker.line import Event, Line

Encoding = Literal["socket", "stream"]
"""How a reader takes its frames: a WebSocket text frame, a Server-Sent Event."""

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)


class Frame(NamedTuple):
    """One object in every encoding."""

    socket: bytes
    stream: bytes


class BoardObject(Struct, frozen=True, kw_only=True, tag_field="type", tag="board"):
    """What a channel shows; also the body of `GET …/lines`."""

    channel: str
    cursor: str | None
    now: datetime
    lines: tuple[Line, ...]
    title: str
    label: str
    language: str
    direction: Direction
    max_lines: int


class LineObject(Struct, frozen=True, kw_only=True, tag_field="type", tag="line"):
    """One event: upsert `line` by its id."""

    channel: str
    cursor: str
    prev: str | None
    line: Line


class BeatObject(Struct, frozen=True, kw_only=True, tag_field="type", tag="beat"):
    """All is well, and this is where the channel stands."""

    channel: str
    cursor: str | None
    now: datetime


_encode = msgspec.json.Encoder().encode


def board_object(channel: Channel, cursor: str | None, lines: tuple[Line, ...], now: datetime) -> BoardObject:
    return BoardObject(
        channel=channel.slug,
        cursor=cursor,
        now=now,
        lines=lines,
        title=channel.title,
        label=channel.label,
        language=channel.language,
        direction=channel.direction,
        max_lines=channel.max_lines,
    )


def line_object(event: Event, channel: Channel) -> LineObject:
    return LineObject(
        channel=event.channel,
        cursor=event.cursor,
        prev=event.prev,
        line=event.line.public(channel.tombstones_for),
    )


def frame(payload: BoardObject | LineObject | BeatObject) -> Frame:
    text = _encode(payload)
    kind = payload.__struct_config__.tag
    # Without a cursor there is nothing to resume from, and an empty id would reset Last-Event-ID.
    event_id = f"id: {payload.cursor}\n" if payload.cursor else ""
    return Frame(socket_frame(text), f"event: {kind}\n{event_id}data: ".encode() + text + b"\n\n")


def socket_frame(payload: bytes, opcode: int = 0x1) -> bytes:
    """An unmasked, final WebSocket frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")
    return head + payload


PING = socket_frame(b"", opcode=0x9)  # a browser answers by itself (RFC 6455, 5.5.2)


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame (RFC 6455, 5.5.1); the reason is cut at the 123 bytes that fit, and never inside a character."""
    fits = reason.encode()[:123].decode(errors="ignore").encode()
    return socket_frame(code.to_bytes(2, "big") + fits, opcode=0x8)
