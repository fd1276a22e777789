"""What a WebSocket reader may send, too much of it."""

from __future__ import annotations

from tests.attack.attack import BOTH_WAYS, attack
from tests.attack.messages import frame, handshake, stream
from tests.attack.stranger import Stranger

RATE = 4_000_000  # bytes a second
PIECE = 16_384  # bytes, about

TEXT, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x0, 0x8, 0x9, 0xA

KINDS = {
    "empty pings": frame(PING),
    "pings of 125 bytes": frame(PING, bytes(125)),
    "pongs": frame(PONG),
    "text": frame(TEXT, b'{"type":"shown"}'),
    "fragments": frame(TEXT, fin=False) + 30 * frame(CONTINUATION, fin=False),
    "frames of 64 kB": frame(TEXT, bytes(60_000)),
    "goodbyes": frame(CLOSE, b"\x03\xe8"),
    "rubbish": bytes(range(256)),
}


def _flood_of(name: str, data: bytes) -> None:
    piece = data * max(1, PIECE // len(data))
    common = name in ("empty pings", "text")

    @attack(f"{name}, on one WebSocket", ways=BOTH_WAYS if common else ("direct",), quick=name == "empty pings")
    async def on_one(stranger: Stranger) -> None:
        await stranger.flood(piece, opening=handshake(), rate=RATE)

    @attack(f"{name}, on 50 WebSockets", ways=BOTH_WAYS if common else ("direct",), quick=name == "pongs")
    async def on_many(stranger: Stranger) -> None:
        await stranger.flood(piece, opening=handshake(), connections=50, rate=RATE)


for _name, _data in KINDS.items():
    _flood_of(_name, _data)


@attack("one ping at a time, 500 WebSockets, as many as are borne", readers=True)
async def borne(stranger: Stranger) -> None:
    """Each may send some 30 small frames between two beats."""
    await stranger.flood(frame(PING), opening=handshake(), connections=500, rate=500 * 1.4 * 6)


@attack("a byte at a time, 50 WebSockets")
async def bytewise(stranger: Stranger) -> None:
    await stranger.flood(b"\x89", opening=handshake(), connections=50, rate=5_000)


@attack("pings in the handshake's own segment")
async def early(stranger: Stranger) -> None:
    await stranger.flood(handshake() + 30 * frame(PING), connections=20, patient=True)


@attack("requests on an event stream")
async def after_a_stream(stranger: Stranger) -> None:
    await stranger.flood(stream() * 50, opening=stream(), connections=20, rate=RATE)
