"""The door: who is let in and who isn't, when too many come, when a reader is dead, and what goes on to uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import httpx
import pytest

from tests.patience import WITHIN
from tests.readers import PING, NodeHere, RawSocket, handshake, open_stream, serving_here
from ticker import app
from ticker.fanout import hub
from ticker.readers.admission import Room
from ticker.serving import entrance

STREAM = b"GET /v1/live?channel=en HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[NodeHere]:
    async with serving_here(tmp_path) as here:
        yield here


async def said(here: NodeHere, *pieces: bytes, until: bytes = b"\r\n\r\n") -> bytes:
    """What the node says to these bytes, until such an end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    with contextlib.closing(writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(WITHIN):
            return await (reader.readuntil(until) if until else reader.read())


async def test_a_reader_over_sse_is_let_in_with_its_board_in_one_piece(here: NodeHere) -> None:
    answer = await said(here, STREAM, until=b'"max_lines":10}\n\n')
    head, _, body = answer.partition(b"\r\n\r\n")
    named = dict(row.split(": ", 1) for row in head.decode().lower().split("\r\n")[1:])
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert named["content-type"] == "text/event-stream; charset=utf-8"
    assert named["access-control-allow-origin"] == "*"
    assert named["x-content-type-options"] == "nosniff"
    assert named["connection"] == "close"
    assert "transfer-encoding" not in named
    assert body.startswith(b"retry: 1000\n\nevent: board\n")
    assert (len(here.hub), here.hub.readers()["en"]) == (1, 1)


@pytest.mark.parametrize("at", [1, 5, 11, 12, 13, 40, -3, -1])
async def test_a_head_may_be_cut_anywhere(here: NodeHere, at: int) -> None:
    for request, status in ((STREAM, b"200"), (handshake("channel=en"), b"101")):
        assert (await said(here, request[:at], request[at:])).split()[1] == status


async def test_what_is_not_for_readers_goes_on_as_it_came(here: NodeHere) -> None:
    healthy = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert (await said(here, healthy[:2], healthy[2:])).startswith(b"HTTP/1.1 200 OK")
    assert (await said(here, healthy.replace(b"/healthz", b"/v1/lively"))).startswith(b"HTTP/1.1 404 ")
    assert (await said(here, healthy.replace(b"/healthz", b"/v1/live/x"))).startswith(b"HTTP/1.1 404 ")
    assert (await said(here, STREAM.replace(b"text/event-stream", b"image/png"))).startswith(b"HTTP/1.1 406 ")
    assert (await said(here, STREAM.replace(b"GET", b"POST"))).startswith(b"HTTP/1.1 405 ")
    assert (await said(here, STREAM.replace(b"Host: x", b"Host : x"))).startswith(b"HTTP/1.1 400 ")
    no_upgrade = handshake("channel=en").replace(b"Upgrade: websocket\r\n", b"")
    refusal = await said(here, no_upgrade)
    assert refusal.startswith(b"HTTP/1.1 426 ")
    assert b"\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n" in refusal
    # Two requests in one piece: neither is lost.
    both = await said(here, healthy + healthy.replace(b"Host: x", b"Host: x\r\nConnection: close"), until=b"")
    assert both.count(b'{"status":"ok"}') == 2
    assert len(here.hub) == 0


async def test_what_a_client_says_before_it_is_answered_is_heard(here: NodeHere) -> None:
    async with RawSocket.open(here.port) as raw:
        await raw.object()
    early = handshake("channel=en") + bytes((0x89, 0x80, 0, 0, 0, 0))  # a ping in the same packet
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    with contextlib.closing(writer):
        writer.write(early)
        async with asyncio.timeout(WITHIN):
            told = await reader.readuntil(b'"max_lines":10}')
            assert told.startswith(b"HTTP/1.1 101 ")
            assert await reader.readexactly(2) == b"\x8a\x00"


# Too many at once


async def refusal(here: NodeHere) -> tuple[int, dict[str, object], httpx.Headers]:
    """What a reader is told over SSE; over WebSocket it must be the same status."""
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"Accept": "text/event-stream", "Origin": "https://example.org"}
        answer = await client.get(f"{here.url}/v1/live?channel=en", headers=headers)
    status = (await said(here, handshake("channel=en"))).split()[1]
    assert int(status) == answer.status_code
    return answer.status_code, json.loads(answer.content), answer.headers


async def test_a_node_that_is_full_says_when_to_come_back(here: NodeHere) -> None:
    async with open_stream(here.url, "en") as stream:
        await stream.event()
        here.node.live.room = Room(readers=1, connections=100)
        status, problem, headers = await refusal(here)
        assert (status, problem["type"], problem["status"]) == (503, "urn:ticker:problem:busy", 503)
        assert int(headers["retry-after"]) > 0
        assert headers["access-control-allow-origin"] == "*"  # or a page could read neither
        assert "retry-after" in headers["access-control-expose-headers"].lower()
        line = await here.publish("en", "Those who are in are told all the same")
        assert (await stream.event()).id == line["id"]


async def test_no_more_than_so_many_wait_for_the_newswire(here: NodeHere, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers who have seen more than this node wait for a look at the newswire, which may hang."""
    monkeypatch.setattr(entrance, "CHECKS_MAX", 2)
    go = asyncio.Event()
    came = []
    catch_up = here.relay.catch_up

    async def slowly(slug: str, cursors: Iterable[str]) -> None:
        came.append(slug)
        await go.wait()
        await catch_up(slug, cursors)

    monkeypatch.setattr(here.relay, "catch_up", slowly)
    ahead = "channel=en&cursor=en:9999999999999-0"
    waiting = [asyncio.create_task(said(here, handshake(ahead))) for _ in range(2)]
    async with asyncio.timeout(WITHIN):
        while len(came) < 2:
            await asyncio.sleep(0)
    assert (await said(here, handshake(ahead))).split()[1] == b"503"
    assert (await said(here, handshake("channel=en"))).split()[1] == b"101"  # who has seen nothing waits for nobody
    go.set()
    assert [answer.split()[1] for answer in await asyncio.gather(*waiting)] == [b"101", b"101"]


async def test_of_too_many_who_dawdle_the_first_goes_and_others_get_in(here: NodeHere) -> None:
    here.entrance.connections.most = 3
    connections = [await asyncio.open_connection("127.0.0.1", here.port) for _ in range(5)]
    async with asyncio.timeout(WITHIN):
        for reader, writer in connections[:2]:
            assert (await reader.readline()).startswith(b"HTTP/1.1 503 ")
            writer.close()
    assert (await said(here, handshake("channel=en"))).split()[1] == b"101"
    for _, writer in connections[2:]:
        writer.close()


async def test_hundreds_at_once_are_all_let_in(here: NodeHere) -> None:
    async def come(number: int) -> None:
        answer = await said(here, STREAM if number % 2 else handshake("channel=en"))
        assert answer.split()[1] in (b"200", b"101")

    await asyncio.gather(*(come(number) for number in range(400)))


# Dead readers


async def test_a_reader_that_does_not_answer_pings_is_gone_even_where_its_proxy_goes_on_taking_bytes(
    here: NodeHere,
) -> None:
    async with RawSocket.open(here.port) as deaf, RawSocket.open(here.port) as well:
        for raw in (deaf, well):
            await raw.object()
        for number in range(2):
            for index in range(20):
                here.hub.beat(index, here.relay._beat_frame)
            if number == 0:
                beat = await well.object()
                assert beat["type"] == "beat"
                assert (await well.frame())[0] == PING
                before = len(here.hub)
                well.send(bytes((0x8A, 0x80, 1, 2, 3, 4)))
                async with asyncio.timeout(WITHIN):
                    while not any(getattr(reader, "_answered", False) for reader in here.hub._readers):
                        await asyncio.sleep(0.005)
                assert before == 2
        assert len(here.hub) == 1
        line = await here.publish("en", "To the one that lives")
        while (told := await well.frame())[0] == PING or b'"beat"' in told[1]:
            pass
        assert json.loads(told[1])["cursor"] == line["id"]


# The end


async def test_draining_gives_notice_before_the_first_goodbye(here: NodeHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "NOTICE", WITHIN)
    async with RawSocket.open(here.port) as raw:
        await raw.object()
        draining = asyncio.create_task(here.hub.drain(2 * WITHIN))
        async with httpx.AsyncClient(trust_env=False) as client:
            async with asyncio.timeout(WITHIN):
                while (await client.get(f"{here.url}/readyz")).status_code != 503:
                    await asyncio.sleep(0.01)
            assert len(here.hub) == 1  # not sent away yet
            line = await here.publish("en", "Still heard by those who are here")
        assert (await raw.object())["cursor"] == line["id"]
        draining.cancel()  # all is seen
        await asyncio.wait([draining])
        await here.hub.drain(0)
        assert await raw.closed() == 1012


async def test_who_is_watched_gives_notice_without_readers_and_keeps_no_connection(
    here: NodeHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load balancer sees that this node stops before it is gone, and its kept connections end with an answer."""
    monkeypatch.setattr(app, "WATCHED_FOR", WITHIN)
    monkeypatch.setattr(hub, "NOTICE", WITHIN)
    watched = here.node.is_watched
    assert not watched
    async with httpx.AsyncClient(trust_env=False) as client:
        ready = await client.get(f"{here.url}/readyz")
        assert (ready.status_code, ready.headers.get("connection")) == (200, None)
        assert here.node.is_watched
        stopping = asyncio.create_task(here.hub.drain(2 * WITHIN, watched=here.node.is_watched))
        async with asyncio.timeout(WITHIN):
            while (ready := await client.get(f"{here.url}/readyz")).status_code != 503:
                await asyncio.sleep(0.01)
        assert ready.headers["connection"] == "close"
        assert (await client.get(f"{here.url}/healthz")).headers["connection"] == "close"
        assert not stopping.done()
        stopping.cancel()
        await asyncio.wait([stopping])
