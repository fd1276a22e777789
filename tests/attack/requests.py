"""Requests that are large, many-membered, or come in crumbs."""

from __future__ import annotations

from itertools import count

from tests.attack.attack import BOTH_WAYS, attack
from tests.attack.messages import LINES, SESSION, chunked, handshake, request
from tests.attack.stranger import Stranger


@attack("empty lines without end", quick=True)
async def empty_lines(stranger: Stranger) -> None:
    await stranger.flood(b"\r\n" * 131_072, connections=4)


@attack("chunks of one byte", ways=BOTH_WAYS, quick=True)
async def chunk_bomb(stranger: Stranger) -> None:
    await stranger.flood(chunked(SESSION) + 20_000 * b"1\r\nx\r\n", connections=8)


@attack("chunks with extensions")
async def extensions(stranger: Stranger) -> None:
    chunk = b"1;" + 1_500 * b"x" + b"\r\nx\r\n"
    await stranger.flood(chunked(SESSION) + 100 * chunk, connections=8)


@attack("trailers of 5 MB", ways=BOTH_WAYS, quick=True)
async def trailer_bomb(stranger: Stranger) -> None:
    await stranger.flood(chunked(SESSION) + b"2\r\n{}\r\n0\r\n" + 1_000_000 * b"a: b\n"[:5], connections=8)


@attack("trailers of 5 MB, well formed")
async def trailers(stranger: Stranger) -> None:
    await stranger.flood(chunked(SESSION) + b"2\r\n{}\r\n0\r\n" + 800_000 * b"a: b\r\n", connections=8)


@attack("bodies of 64 kB, for nobody", ways=BOTH_WAYS)
async def bodies(stranger: Stranger) -> None:
    body = b'{"text": "' + 60_000 * b" " + b'"}'
    await stranger.flood(request(LINES, "Content-Type: application/json", method="POST", body=body), connections=8)


@attack("bodies said to be larger than any")
async def too_large(stranger: Stranger) -> None:
    head = request(SESSION, "Content-Length: 10000000", method="POST")
    await stranger.flood(head + bytes(1_000_000), connections=8)


@attack("heads of 64 kB, one field", quick=True)
async def large_field(stranger: Stranger) -> None:
    await stranger.flood(request("/healthz", "X: " + 65_000 * "x"), connections=8)


@attack("heads of more than 64 kB, without end", ways=BOTH_WAYS)
async def endless_head(stranger: Stranger) -> None:
    await stranger.flood(request("/healthz", "X: " + 1_000_000 * "x"), connections=8)


@attack("heads of 256 fields")
async def many_fields(stranger: Stranger) -> None:
    await stranger.flood(request("/healthz", *(f"X-{n}: {200 * 'x'}" for n in range(254))), connections=8)


@attack("heads of 256 fields of one name")
async def one_name(stranger: Stranger) -> None:
    await stranger.flood(request("/healthz", *("X: " + 240 * "x" for _ in range(254))), connections=8)


@attack("heads of 16,000 fields", ways=BOTH_WAYS)
async def too_many_fields(stranger: Stranger) -> None:
    await stranger.flood(request("/healthz", *("a:" for _ in range(16_000))), connections=8)


@attack("heads in crumbs")
async def crumbs(stranger: Stranger) -> None:
    """A segment a byte, as fast as they go: each is looked at."""
    head = request("/healthz", "X: " + 60_000 * "x")
    await stranger.flood((head[at % len(head) :][:1] for at in count()), connections=8)


@attack("requests that can't be read")
async def unreadable(stranger: Stranger) -> None:
    await stranger.flood((b"GET /%d HTTP/1.1\r\nHost: x\r\nX\r\n\r\n" % n for n in count()), connections=20)


@attack("a connection, and no word on it")
async def only_connect(stranger: Stranger) -> None:
    await stranger.leave(b"", after_answer=False)


@attack("half a head, and gone")
async def half_and_gone(stranger: Stranger) -> None:
    await stranger.leave(b"GET / HTTP/1.1\r\nHost:", after_answer=False)


@attack("half a body, and gone", quick=True)
async def half_a_body(stranger: Stranger) -> None:
    head = request(SESSION, "Content-Type: application/json", "Content-Length: 1000", method="POST")
    await stranger.leave(head + b"{", after_answer=False)


@attack("a whole request, and gone")
async def whole_and_gone(stranger: Stranger) -> None:
    await stranger.leave(request("/channels/en"), after_answer=False)


@attack("readers that come and leave", ways=BOTH_WAYS, quick=True)
async def come_and_leave(stranger: Stranger) -> None:
    await stranger.leave(handshake(), after_answer=True)


@attack("readers that come and are gone before they are greeted")
async def not_waiting(stranger: Stranger) -> None:
    await stranger.leave(handshake(), after_answer=False)
