"""Requests that are well formed and cost more than they should: what stands in their queries, fields and bodies."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import count
from urllib.parse import quote

from tests.attack.attack import attack
from tests.attack.messages import EVENTS, LINES, SESSION, handshake, request, sign_in, stream
from tests.attack.stranger import Stranger

LONG = 60_000  # bytes of a field
FIT = 7_900  # bytes of an address that is still taken


def _fit(parameters: Iterable[str]) -> str:
    """So many of them as an address may hold."""
    return "&".join(parameters)[:FIT]


# Readers


@attack("thousands of channels and cursors", quick=True)
async def many_channels(stranger: Stranger) -> None:
    query = "&".join([*(f"channel=c{n}" for n in range(2_600)), *(f"cursor=c{n}:0-0" for n in range(3_500))])
    await stranger.flood(stream(f"/v1/live?{query}"), connections=8, patient=True)


@attack("as many channels and cursors as an address holds")
async def fitting_channels(stranger: Stranger) -> None:
    query = _fit([*(f"channel={n}" for n in range(32)), *(f"cursor={n % 32}:" for n in range(2_000))])
    await stranger.flood(stream(f"/v1/live?{query}"), connections=8, patient=True)


@attack("refused queries, each another, of 8 kB", quick=True)
async def refused_queries(stranger: Stranger) -> None:
    await stranger.flood((handshake(f"/v1/live?channel={n}-{FIT * 'x'}") for n in count()), connections=8, patient=True)


@attack("refused queries, each another, of 500 bytes")
async def short_queries(stranger: Stranger) -> None:
    await stranger.flood((handshake(f"/v1/live?channel={n}-{460 * 'x'}") for n in count()), connections=8, patient=True)


@attack("Last-Event-ID of 60 kB, each another")
async def last_event(stranger: Stranger) -> None:
    asked = (stream("/v1/live?channel=en", f"Last-Event-ID: {n}-{LONG * 'x'}") for n in count())
    await stranger.flood(asked, connections=8, patient=True)


@attack("cursors that this node hasn't seen, each another", quick=True, readers=True)
async def unseen(stranger: Stranger) -> None:
    asked = (handshake(f"/v1/live?channel=en&cursor=en:{9_999_999_999_999 + n}-0") for n in count())
    await stranger.flood(asked, connections=50, patient=True, rate=50 * 2_000)


# What is held, accepted, carried and asked for in part


@attack("If-None-Match of 65,000 quotes", quick=True)
async def quotes(stranger: Stranger) -> None:
    await stranger.flood(request(LINES, "If-None-Match: " + 65_000 * '"'), connections=8, patient=True)


@attack("If-None-Match with cursors that this node hasn't seen, each another")
async def unseen_tags(stranger: Stranger) -> None:
    tags = (", ".join(f'"{9_999_999_999_999 + n * 64 + at}-0"' for at in range(64)) for n in count())
    await stranger.flood((request(LINES, f"If-None-Match: {each}") for each in tags), connections=20, patient=True)


@attack("If-None-Match of a file, 60 kB")
async def held_file(stranger: Stranger) -> None:
    await stranger.flood(request("/ticker.js", "If-None-Match: " + 20_000 * 'W/"'), connections=8, patient=True)


@attack("Accept of 60 kB")
async def accept(stranger: Stranger) -> None:
    await stranger.flood(stream().replace(b"event-stream", 20_000 * b"x,;"), connections=8, patient=True)


@attack("Accept-Encoding of 60 kB")
async def encoding(stranger: Stranger) -> None:
    asked = request("/ticker.js", "Accept-Encoding: " + 15_000 * "q;q=")
    await stranger.flood(asked, connections=8, patient=True)


@attack("Cookie of 60 kB", quick=True)
async def cookie(stranger: Stranger) -> None:
    await stranger.flood(request(SESSION, "Cookie: " + 20_000 * "a=;"), connections=8, patient=True)


@attack("Cookie of 60 kB, quoted")
async def quoted_cookie(stranger: Stranger) -> None:
    await stranger.flood(request(SESSION, 'Cookie: a="' + LONG // 2 * "\\1"), connections=8, patient=True)


@attack("Connection and Upgrade of 30 kB")
async def upgrades(stranger: Stranger) -> None:
    asked = request("/v1/live?channel=en", "Connection: " + 15_000 * "x,", "Upgrade: " + 15_000 * "y,")
    await stranger.flood(asked, connections=8, patient=True)


@attack("thousands of ranges")
async def ranges(stranger: Stranger) -> None:
    asked = [
        request(path, "Range: bytes=" + ",".join(f"{2 * n}-{2 * n}" for n in range(5_000)))
        for path in ("/desk", "/assets/ticker.js", "/ticker.js")
    ]
    await stranger.flood((asked[n % 3] for n in count()), connections=8, patient=True)


@attack("thousands of ranges, backwards")
async def ranges_backwards(stranger: Stranger) -> None:
    wanted = ",".join(f"{2 * n}-{2 * n}" for n in range(5_000, 0, -1))
    await stranger.flood(request("/assets/ticker.js", "Range: bytes=" + wanted), connections=8, patient=True)


# Addresses


@attack("paths of 8 kB")
async def long_paths(stranger: Stranger) -> None:
    paths = [FIT * "x", FIT // 3 * "%2e", FIT // 2 * "x/", FIT // 3 * "../", "assets/" + FIT // 3 * "../"]
    asked = [request(f"/{path}"[:FIT]) for path in paths]
    await stranger.flood((asked[n % len(asked)] for n in count()), connections=8, patient=True)


@attack("channels and lines that aren't, each another")
async def unknown_lines(stranger: Stranger) -> None:
    paths = ("{n}/lines", "en/lines/{n}-0", "en/lines/{n}-0/versions", "en/events?after={n}-0", "{n}/events")
    asked = (request("/v1/channels/" + paths[n % len(paths)].format(n=n)) for n in count(1_700_000_000_000))
    await stranger.flood(asked, connections=8, patient=True)


@attack("/embed with odd queries")
async def embed(stranger: Stranger) -> None:
    queries = [
        _fit(f"a{n}=b" for n in range(2_000)),
        _fit("channel=en&theme=" + quote("\u0301") for _ in range(900)),
        "label=" + FIT * "x",
        "label=" + quote("&<\"'" * 600),
        "lines=" + FIT * "9",
        _fit("mode=list" for _ in range(900)),
    ]
    asked = [request(f"{path}?{query}") for path in ("/embed", "/embed/en") for query in queries]
    await stranger.flood((asked[n % len(asked)] for n in count()), connections=8, patient=True)


@attack("/oembed with odd queries")
async def oembed(stranger: Stranger) -> None:
    urls = [
        FIT * "x",
        "http://[" + 2_000 * ":",
        "http://127.0.0.1/channels/" + 2_000 * "x/",
        2_600 * "%26",
        "http:" * 1_500,
    ]
    asked = [request(f"/oembed?url={url}&maxwidth=1"[:FIT]) for url in urls]
    asked.append(request("/oembed?maxwidth=" + FIT * "9"))
    await stranger.flood((asked[n % len(asked)] for n in count()), connections=8, patient=True)


@attack("/demo and the channels' pages with odd queries")
async def pages(stranger: Stranger) -> None:
    queries = [_fit(f"a{n}" for n in range(2_000)), FIT // 3 * "%ff", FIT * ";"]
    asked = [request(f"{path}?{query}"[:FIT]) for path in ("/demo", "/channels/en", "/") for query in queries]
    await stranger.flood((asked[n % len(asked)] for n in count()), connections=8, patient=True)


# Keys


@attack("wrong keys, each another", quick=True)
async def wrong_keys(stranger: Stranger) -> None:
    bodies = (b'{"text": "%d"}' % n for n in count())
    asked = (
        request(
            LINES,
            f"Authorization: Bearer tk_{n:012}_{43 * 'x'}",
            "Content-Type: application/json",
            method="POST",
            body=body,
        )
        for n, body in enumerate(bodies)
    )
    await stranger.flood(asked, connections=16, patient=True)


@attack("wrong keys of 60 kB, each another")
async def long_keys(stranger: Stranger) -> None:
    asked = (request("/v1/keys", f"Authorization: Bearer tk_{n}_{LONG * 'x'}") for n in count())
    await stranger.flood(asked, connections=8, patient=True)


@attack("sign-ins with wrong keys, each another", quick=True)
async def wrong_sign_ins(stranger: Stranger) -> None:
    await stranger.flood((sign_in(f"tk_{n:012}_{43 * 'x'}") for n in count()), connections=16, patient=True)


@attack("sign-ins with one-time words, each another")
async def wrong_words(stranger: Stranger) -> None:
    bodies = (json.dumps({"once": f"{n}-{40 * 'x'}"}).encode() for n in count())
    asked = (request(SESSION, "Content-Type: application/json", method="POST", body=body) for body in bodies)
    await stranger.flood(asked, connections=16, patient=True)


@attack("sign-ins with keys of 60 kB, each another")
async def long_sign_ins(stranger: Stranger) -> None:
    await stranger.flood((sign_in(f"tk_{n}_{LONG * 'x'}") for n in count()), connections=8, patient=True)


def _bomb(name: str, media_type: str, *bodies: bytes, quick: bool = False) -> None:
    asked = [request(SESSION, f"Content-Type: {media_type}", method="POST", body=body[:65_000]) for body in bodies]

    @attack(name, quick=quick)
    async def bomb(stranger: Stranger) -> None:
        await stranger.flood((asked[n % len(asked)] for n in count()), connections=8, patient=True)


_PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
_bomb(
    "multipart bombs on /desk/session",
    "multipart/form-data; boundary=x",
    1_300 * _PART,
    b"--x\r\n" + 6_000 * b"A: b\r\n",
    b"--x\r\nContent-Disposition: form-data; " + 10_000 * b"a=b; ",
    65_000 * b"-",
    20_000 * b"--x",
    30_000 * b"\r\n",
    quick=True,
)
_bomb(
    "a multipart boundary of 60 kB", "multipart/form-data; boundary=" + 60_000 * "x", 60_000 * b"x", 10_000 * b"--x\r\n"
)
_bomb(
    "form bombs on /desk/session",
    "application/x-www-form-urlencoded",
    20_000 * b"a&b",
    20_000 * b"%ff",
    20_000 * b"=&;",
    b"key=" + 20_000 * b"%20",
)
_bomb(
    "JSON bombs on /desk/session",
    "application/json",
    65_000 * b"[",
    b'{"key":' + 10_000 * b'{"a":',
    b'{"key":' + 60_000 * b"9" + b"}",
    b"{" + b",".join(b'"a%d":1' % n for n in range(7_000)) + b"}",
    b'{"key":"' + 10_000 * b"\\u0301" + b'"}',
    b'{"key":' + 60_000 * b" ",
)
_bomb("plain text on /desk/session", "text/plain", 30_000 * b" ", 60_000 * b"\xff", "\u0301".encode() * 30_000)
_bomb("a media type of 60 kB", "x/" + 60_000 * ";", b"x")


# Small and many


@attack("requests whose history is long", quick=True)
async def history(stranger: Stranger) -> None:
    await stranger.flood(request(EVENTS), connections=50)
