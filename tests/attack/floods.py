"""Small and many: requests and connections, more than anybody needs. Connections beyond the limit come last."""

from __future__ import annotations

from itertools import count

from tests.attack.attack import BOTH_WAYS, attack
from tests.attack.messages import LINES, asked_for, request
from tests.attack.stranger import Stranger

SMALL = ["/healthz", "/v1/channels", LINES, "/nothing", "/desk", "/ticker.js", "/channels/en", "/embed/en", "/readyz"]
BEYOND = 5_000  # connections, more than any node keeps that are no reader's
NEARLY = 4_000  # connections, nearly all of these places
BEYOND_FEW = 620  # the same, where 600 files may be open


def _flood_of(path: str) -> None:
    @attack(f"GET {path}, pipelined on 20", quick=path in ("/healthz", LINES))
    async def pipelined(stranger: Stranger) -> None:
        await stranger.flood(100 * request(path), connections=20)


for _path in SMALL:
    _flood_of(_path)


@attack("GET /healthz, pipelined on 200", quick=True)
async def on_many(stranger: Stranger) -> None:
    await stranger.flood(100 * request("/healthz"), connections=200)


@attack("GET /channels/en, pipelined on 200")
async def pages_on_many(stranger: Stranger) -> None:
    await stranger.flood(100 * request("/channels/en"), connections=200)


@attack("GET /healthz, one at a time on 400", ways=BOTH_WAYS)
async def in_turn(stranger: Stranger) -> None:
    await stranger.flood(request("/healthz"), connections=400, patient=True)


@attack("GET /healthz, a connection each")
async def each_its_own(stranger: Stranger) -> None:
    await stranger.flood(request("/healthz", "Connection: close"), connections=50, patient=True)


@attack("HEAD and OPTIONS, pipelined", quick=True)
async def other_methods(stranger: Stranger) -> None:
    preflight = ("Origin: https://x", "Access-Control-Request-Method: POST")
    asked = [
        request(LINES, method="HEAD"),
        request("/v1/live?channel=en", method="HEAD"),
        request("/ticker.js", method="HEAD"),
        request(LINES, *preflight, method="OPTIONS"),
        request("*", method="OPTIONS"),
        request(LINES, method="TRACE"),
        request("/v1/keys", method="PURGE"),
    ]
    await stranger.flood((asked[n % len(asked)] for n in count()), connections=20)


@attack("silent connections beyond the limit", quick=True, few_files=True)
async def beyond(stranger: Stranger) -> None:
    await stranger.hold(b"", connections=BEYOND)


@attack("half heads beyond the limit", few_files=True)
async def heads_beyond(stranger: Stranger) -> None:
    await stranger.hold(b"GET / HTTP/1.1\r\n", b"a: b\r\n", connections=BEYOND)


@attack("bodies owed, on 4,000 at once")
async def bodies_at_once(stranger: Stranger) -> None:
    await stranger.burst(asked_for(60_000) + 20_000 * b" ", connections=NEARLY)


@attack("half heads, on 4,000 at once")
async def heads_at_once(stranger: Stranger) -> None:
    await stranger.burst(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + 10_000 * b"x", connections=NEARLY)


@attack("what is no request, on 4,000 at once", quick=True)
async def no_requests_at_once(stranger: Stranger) -> None:
    await stranger.burst(b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", connections=NEARLY)


@attack("requests, on 4,000 at once")
async def requests_at_once(stranger: Stranger) -> None:
    await stranger.burst(request(LINES), connections=NEARLY)


@attack("bodies owed, beyond the limit", few_files=True)
async def bodies_beyond(stranger: Stranger) -> None:
    await stranger.hold(asked_for(60_000) + 50_000 * b" ", b" ", connections=BEYOND)


@attack("answers that nobody reads, beyond the limit", few_files=True)
async def unread_beyond(stranger: Stranger) -> None:
    await stranger.hold(request("/ticker.js", "Accept-Encoding: identity") * 20, connections=BEYOND, deaf=True)


@attack("one answer each that nobody reads, beyond the limit")
async def one_unread_beyond(stranger: Stranger) -> None:
    await stranger.hold(request("/ticker.js", "Accept-Encoding: identity"), connections=BEYOND, deaf=True)


@attack("last answers that nobody reads, beyond the limit", few_files=True)
async def last_unread_beyond(stranger: Stranger) -> None:
    asked = request("/ticker.js", "Accept-Encoding: identity", "Connection: close")
    await stranger.hold(asked, connections=BEYOND, deaf=True)


@attack("answers that nobody reads, half closed, beyond the limit")
async def half_closed_beyond(stranger: Stranger) -> None:
    asked = request("/ticker.js", "Accept-Encoding: identity")
    await stranger.hold(asked, connections=BEYOND, deaf=True, half_closed=True)
