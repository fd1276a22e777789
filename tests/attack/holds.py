"""Connections that cost the client nothing to keep open."""

from __future__ import annotations

from tests.attack.attack import BOTH_WAYS, attack
from tests.attack.messages import EVENTS, LINES, SESSION, asked_for, chunked, handshake, request, stream
from tests.attack.stranger import Stranger

SOME = 60  # connections an attack


@attack("silence", ways=BOTH_WAYS, quick=True)
async def silence(stranger: Stranger) -> None:
    await stranger.hold(b"", connections=SOME)


@attack("a head, a byte a second", ways=BOTH_WAYS, quick=True)
async def slow_head(stranger: Stranger) -> None:
    await stranger.hold(b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"x", connections=SOME)


@attack("a head that stops")
async def half_a_head(stranger: Stranger) -> None:
    await stranger.hold(request("/healthz", "X: " + 60_000 * "x")[:-2], connections=SOME)


@attack("a head that stops, half closed")
async def half_closed(stranger: Stranger) -> None:
    await stranger.hold(b"GET / HTTP/1.1\r\n", connections=SOME, half_closed=True)


@attack("empty lines before a request")
async def empty_lines(stranger: Stranger) -> None:
    await stranger.hold(b"\r\n", b"\r\n", connections=SOME)


@attack("a body that never comes", ways=BOTH_WAYS, quick=True)
async def no_body(stranger: Stranger) -> None:
    await stranger.hold(asked_for(1_000), connections=SOME)


@attack("a body that never comes, after 100-continue", ways=BOTH_WAYS)
async def continued(stranger: Stranger) -> None:
    await stranger.hold(asked_for(1_000).replace(b"Host", b"Expect: 100-continue\r\nHost"), connections=SOME)


@attack("a body, a byte a second", ways=BOTH_WAYS, quick=True)
async def slow_body(stranger: Stranger) -> None:
    await stranger.hold(asked_for(1_000), b" ", connections=SOME)


@attack("a body, a byte a second, after its answer", ways=BOTH_WAYS, quick=True)
async def body_after_refusal(stranger: Stranger) -> None:
    await stranger.hold(asked_for(1_000, LINES) + b"{", b" ", connections=SOME)


@attack("chunks, one a second", ways=BOTH_WAYS)
async def slow_chunks(stranger: Stranger) -> None:
    await stranger.hold(chunked(SESSION), b"1\r\nx\r\n", connections=SOME)


@attack("a chunk's extension that never ends")
async def extension(stranger: Stranger) -> None:
    await stranger.hold(chunked(SESSION) + b"1;", b"x", connections=SOME)


@attack("trailers that never end", ways=BOTH_WAYS, quick=True)
async def slow_trailers(stranger: Stranger) -> None:
    await stranger.hold(chunked(SESSION) + b"2\r\n{}\r\n0\r\n", b"a: b\r\n", connections=SOME)


@attack("empty lines after an answer", quick=True)
async def crlf_after_answer(stranger: Stranger) -> None:
    await stranger.hold(request("/healthz"), b"\r\n", connections=SOME)


@attack("half a request after an answer")
async def second_half(stranger: Stranger) -> None:
    await stranger.hold(request("/healthz") + b"GET / HT", b"x", connections=SOME)


@attack("more after a refused request", ways=BOTH_WAYS)
async def after_refusal(stranger: Stranger) -> None:
    await stranger.hold(b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"x", connections=SOME)


@attack("answers that nobody reads: the widget", quick=True)
async def unread_widget(stranger: Stranger) -> None:
    await stranger.hold(200 * request("/ticker.js"), connections=SOME, deaf=True)


@attack("answers that nobody reads: history", quick=True)
async def unread_history(stranger: Stranger) -> None:
    await stranger.hold(50 * request(EVENTS), connections=SOME, deaf=True)


@attack("answers that nobody reads, and drips")
async def unread_and_dripping(stranger: Stranger) -> None:
    asked = request("/ticker.js", "Accept-Encoding: identity")
    await stranger.hold(20 * asked, asked, connections=SOME, deaf=True)


@attack("answers that nobody reads, through a proxy", ways=("caddy",))
async def unread_behind_a_proxy(stranger: Stranger) -> None:
    await stranger.hold(request(EVENTS), connections=SOME, deaf=True)


@attack("answers that nobody reads, half closed")
async def unread_half_closed(stranger: Stranger) -> None:
    await stranger.hold(request(EVENTS), connections=SOME, deaf=True, half_closed=True)


@attack("readers over SSE that never read", quick=True, readers=True)
async def deaf_streams(stranger: Stranger) -> None:
    await stranger.hold(stream(), connections=SOME, deaf=True)


@attack("readers over WebSocket that never read, and ping", readers=True)
async def deaf_sockets(stranger: Stranger) -> None:
    await stranger.hold(handshake(), b"\x89\x80\0\0\0\0", connections=SOME, deaf=True)


@attack("handshakes that nobody reads, refused")
async def refused_unread(stranger: Stranger) -> None:
    await stranger.hold(handshake("/v1/live?channel=none"), connections=SOME, deaf=True)
