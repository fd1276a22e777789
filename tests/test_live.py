"""`/v1/live`: what a connection is told over WebSocket and Server-Sent Events, and what it may not say."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.patience import WITHIN
from tests.readers import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Follower,
    RawSocket,
    client_frame,
    close_code,
    handshake,
    node_in,
    open_stream,
    serving_here,
    without_beats,
)
from ticker.http.head import HEAD_MAX
from ticker.serving import phases

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette asks for another HTTP client here; httpx serves as well
    from starlette.testclient import TestClient

BOARD = {
    "type", "channel", "cursor", "now", "lines", "title", "label", "language", "direction", "max_lines",
}  # fmt: skip


def socket_at(node: Any, query: str) -> connect:
    return connect(f"{node.url.replace('http', 'ws')}/v1/live?{query}", compression=None, proxy=None)


async def first(node: Any, query: str) -> dict[str, Any]:
    """The first frame of a connection."""
    async with socket_at(node, query) as socket:
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), WITHIN))
        return frame


CHANNELS = "\n".join(
    ["[channels.en]", "[channels.ar]", "language = 'ar'", *(f"[channels.live-{number}]" for number in range(100))]
)


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One node for this file, since none of its tests may harm it; it must have nothing to complain of at the end."""
    founder: Any = request.config.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py")))
    node = founder.RunningNode(tmp_path_factory.mktemp("live"), config=CHANNELS)
    yield node
    status = node.stop()
    node.close()
    assert status == 0
    assert not [x for x in node.log.splitlines() if " ERROR " in x or "Traceback" in x], node.log


_unused = itertools.count()


@pytest.fixture
def channel() -> str:
    """A channel that nobody has used."""
    return f"live-{next(_unused)}"


@pytest.fixture
def other() -> str:
    return f"live-{next(_unused)}"


# What a newcomer gets


async def test_a_newcomer_gets_the_board_over_websocket(node: Any) -> None:
    node.publish("ar", "إعادة فتح الجسر")
    newest = node.publish("ar", "تعليق رحلات العبّارات")
    board = await first(node, "channel=ar")
    assert set(board) == BOARD
    assert [line["text"] for line in board["lines"][:2]] == ["تعليق رحلات العبّارات", "إعادة فتح الجسر"]
    assert board["cursor"] == newest["id"]
    assert (board["language"], board["direction"], board["label"]) == ("ar", "rtl", "عاجل")
    assert {**board, "now": ""} == {**node.get("/v1/channels/ar/lines"), "now": ""}


async def test_a_newcomer_gets_the_same_board_over_sse(node: Any) -> None:
    newest = node.publish("en", "The bridge is open again")
    async with open_stream(node.url, "en") as stream:
        told = await stream.event()
        assert stream.retry == 1000
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert "no-store" in stream.response.headers["cache-control"]
    assert (told.event, told.id) == ("board", newest["id"])
    board = await first(node, "channel=en")
    assert {**told.data, "now": ""} == {**board, "now": ""}


async def test_an_empty_channel_has_a_board_without_a_cursor_and_without_an_event_id(node: Any, channel: str) -> None:
    board = await first(node, f"channel={channel}")
    assert (board["cursor"], board["lines"]) == (None, [])
    async with open_stream(node.url, channel) as stream:
        told = await stream.event()
    assert told.id is None
    assert told.data["cursor"] is None


async def test_each_event_reaches_both_transports_as_the_same_object(node: Any, channel: str) -> None:
    async with Follower(node.url, channel) as follower, open_stream(node.url, channel) as stream:
        board = await stream.event()
        line = node.publish(channel, "Ferries are suspended", url="https://example.org/ferries", source="Coast guard")
        node.correct(channel, line["id"], text="Ferries are suspended from 18:00", note="Adds the hour")
        node.correct(channel, line["id"], status="withheld", note="Checking")
        node.correct(channel, line["id"], status="usable")
        node.cancel(channel, line["id"], "They run as planned")
        told = [await stream.event() for _ in range(5)]
        await follower.until(lambda: len(follower.frames) == 6)
        assert [sent.data for sent in told] == follower.frames[1:]
        assert [(sent.event, sent.id) for sent in told] == [("line", sent.data["cursor"]) for sent in told]
        assert [sent.data["prev"] for sent in told] == [board.data["cursor"], *(sent.id for sent in told[:-1])]
        lines = [sent.data["line"] for sent in told]
        assert {x["id"] for x in lines} == {line["id"]}
        assert [x["version"] for x in lines] == [1, 2, 3, 4, 5]
        assert [x["status"] for x in lines] == ["usable", "usable", "withheld", "usable", "canceled"]
        for withdrawn in (lines[2], lines[4]):
            assert not {"text", "url", "source"} & set(withdrawn)
        assert lines[4]["note"] == "They run as planned"
        assert follower.lines(channel) == node.board(channel)
        assert follower.gaps == 0


async def test_several_channels_share_a_connection_and_others_stay_out(node: Any, channel: str, other: str) -> None:
    async with Follower(node.url, other, channel) as follower:
        assert [f["channel"] for f in follower.frames] == [other, channel]
        node.publish("en", "Nobody here listens to this one")
        english = node.publish(channel, "Trams are back on the bridge")
        arabic = node.publish(other, "عودة الترام إلى الجسر")
        await follower.until(lambda: len(follower.frames) == 4)
        assert [(f["channel"], f["cursor"]) for f in follower.frames[2:]] == [
            (channel, english["id"]),
            (other, arabic["id"]),
        ]


async def test_a_channel_named_twice_is_told_once(node: Any, channel: str) -> None:
    async with RawSocket.open(node.port, f"channel={channel}&channel={channel}") as raw:
        line = node.publish(channel, "Once is enough")
        assert (await raw.object())["type"] == "board"
        assert (await raw.object())["cursor"] == line["id"]
        raw.send(client_frame(PING, b"the end"))
        assert await raw.frame() == (PONG, b"the end")


# Coming back


async def test_a_current_cursor_gets_a_beat_in_the_boards_place(node: Any, channel: str) -> None:
    line = node.publish(channel, "The comet is visible until Friday")
    beat = await first(node, f"channel={channel}&cursor={channel}:{line['id']}")
    assert set(beat) == {"type", "channel", "cursor", "now"}
    assert (beat["type"], beat["channel"], beat["cursor"]) == ("beat", channel, line["id"])


@pytest.mark.parametrize(
    "cursor", ["{us}:{old}", "{us}:1234567890123-0", "ar:{new}", "{new}", "{us}:", "{us}", ":", "{us}:{new}x"]
)
async def test_any_other_cursor_gets_the_board(node: Any, channel: str, cursor: str) -> None:
    old = node.publish(channel, "Storm warning raised to orange")
    new = node.publish(channel, "Schools on the coast stay closed")
    asked = cursor.format(us=channel, old=old["id"], new=new["id"])
    frame = await first(node, f"channel={channel}&cursor={asked}")
    assert (frame["type"], frame["cursor"], len(frame["lines"])) == ("board", new["id"], 2)


async def test_each_channel_has_its_own_cursor(node: Any, channel: str, other: str) -> None:
    english = node.publish(channel, "Library hours are extended")
    arabic = node.publish(other, "تمديد ساعات عمل المكتبة")
    cursors = f"cursor={other}:{arabic['id']}&cursor={channel}:{english['id']}"
    async with Follower(node.url, channel, other) as follower:
        follower.cut()
        await follower.until(lambda: len(follower.frames) == 4)
        assert [f["type"] for f in follower.frames] == ["board", "board", "beat", "beat"]
    async with RawSocket.open(node.port, f"channel={channel}&channel={other}&channel=en&{cursors}") as raw:
        told = [await raw.object() for _ in range(3)]
    assert [(f["type"], f["channel"]) for f in told] == [("beat", channel), ("beat", other), ("board", "en")]


async def test_an_sse_reader_comes_back_with_last_event_id(node: Any, channel: str) -> None:
    old = node.publish(channel, "Rail services run as planned")
    async with open_stream(node.url, channel, Last_Event_ID=old["id"]) as stream:
        assert (await stream.event()).event == "beat"
        new = node.publish(channel, "Rail services run with delays")
        told = await stream.event()
        assert (told.event, told.id, told.data["prev"]) == ("line", new["id"], old["id"])
    async with open_stream(node.url, channel, Last_Event_ID=old["id"]) as stream:
        told = await stream.event()
        assert (told.event, told.id) == ("board", new["id"])


async def test_a_beat_over_sse_keeps_the_event_id(node: Any, channel: str) -> None:
    line = node.publish(channel, "Ice on the northern roads")
    async with open_stream(node.url, channel, Last_Event_ID=line["id"]) as stream:
        assert (await stream.event()).id == line["id"]


async def test_a_poller_hears_of_the_line_that_comes_back_when_one_of_ten_expires(node: Any, channel: str) -> None:
    """The eleventh line stands again without any event; an ETag that a poller holds must not hide it."""
    for number in range(10):
        node.publish(channel, f"Line {number}")
    for seconds in (1, 10, 60):  # once more, for longer, where the machine was too busy to look in time
        node.publish(channel, "Short-lived", expires_in=seconds)
        async with Follower(node.url, channel) as follower:
            board = httpx.get(f"{node.url}/v1/channels/{channel}/lines")
            etag = board.headers["etag"]
            if any(frame["lines"][0]["text"] != "Short-lived" for frame in (board.json(), follower.frames[0])):
                continue
            await follower.until(lambda: len(follower.frames) == 2)  # the board with the first line on it again
            break
    answer = httpx.get(f"{node.url}/v1/channels/{channel}/lines", headers={"If-None-Match": etag})
    assert answer.status_code == 200
    assert answer.json()["lines"][-1]["text"] == "Line 0"


# What is refused


REFUSALS = [
    ("channel=nowhere", 404, "not-found"),
    ("channel=en&channel=nowhere", 404, "not-found"),
    ("", 422, "invalid"),
    ("&".join(f"channel=c{n}" for n in range(33)), 422, "invalid"),
]


@pytest.mark.parametrize(("query", "status", "kind"), REFUSALS)
async def test_what_is_refused_says_why_over_both_transports(node: Any, query: str, status: int, kind: str) -> None:
    over_http = httpx.get(f"{node.url}/v1/live?{query}", headers={"Accept": "text/event-stream"})
    with pytest.raises(InvalidStatus) as refused:
        await first(node, query)
    over_socket = refused.value.response
    assert over_http.status_code == over_socket.status_code == status
    for headers, body in ((over_http.headers, over_http.content), (over_socket.headers, over_socket.body)):
        assert headers["content-type"] == "application/problem+json"
        problem = json.loads(body)
        assert (problem["status"], problem["type"]) == (status, f"urn:ticker:problem:{kind}")
        assert problem["title"]
        assert problem["detail"]
    if status == 422:
        assert over_http.json()["errors"][0]["field"] == "channel"


async def test_no_reader_is_taken_while_the_node_drains(tmp_path: Path) -> None:
    async with serving_here(tmp_path) as here:
        here.hub.draining = True
        with pytest.raises(InvalidStatus) as refused:
            await first(here, "channel=en")
        async with open_stream(here.url, "en") as stream:
            assert stream.response.status_code == 503
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["retry-after"]) > 0


def test_the_address_says_what_it_speaks(node: Any) -> None:
    head = httpx.head(f"{node.url}/v1/live?channel=en")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert httpx.head(f"{node.url}/v1/live?channel=nowhere").status_code == 404
    other = httpx.get(f"{node.url}/v1/live?channel=en", headers={"Accept": "application/json"})
    assert other.status_code == 406
    assert other.headers["content-type"] == "application/problem+json"
    assert httpx.post(f"{node.url}/v1/live?channel=en").status_code == 405


# The handshake (RFC 6455, 4)


async def answer_to(node: Any, *request: bytes) -> bytes:
    """The head of what the node says to a request, sent in these pieces."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.closing(writer):
        for piece in request:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(WITHIN):
            return (await reader.readuntil(b"\r\n\r\n")).lower()


async def test_the_handshake_proves_itself_and_takes_no_extension(node: Any) -> None:
    offered = b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    answer = await answer_to(node, handshake("channel=en").replace(b"\r\n\r\n", offered))
    assert answer.startswith(b"http/1.1 101 ")
    assert b"\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n" in answer  # the standard's own example
    assert b"sec-websocket-extensions" not in answer
    assert b"sec-websocket-protocol" not in answer


async def test_a_handshake_may_come_in_pieces(node: Any) -> None:
    whole = handshake("channel=en")
    pieces = [whole[at : at + 1] for at in range(len(whole))]
    assert (await answer_to(node, *pieces)).startswith(b"http/1.1 101 ")


BROKEN_HANDSHAKES = {
    "no version": (b"Sec-WebSocket-Version: 13\r\n", b""),
    "an old version": (b"Version: 13", b"Version: 8"),
    "no key": (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
    "a short key": (b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZQ=="),
    "no base64": (b"dGhlIHNhbXBsZSBub25jZQ==", b"?hlIHNhbXBsZSBub25jZQ=="),
    "a post": (b"GET /", b"POST /"),
}


@pytest.mark.parametrize("broken", BROKEN_HANDSHAKES.values(), ids=BROKEN_HANDSHAKES.keys())
async def test_a_broken_handshake_is_refused(node: Any, broken: tuple[bytes, bytes]) -> None:
    answer = await answer_to(node, handshake("channel=en").replace(*broken))
    assert answer.startswith(b"http/1.1 4")
    if b"Version" in broken[0]:
        assert b"\r\nsec-websocket-version: 13\r\n" in answer


async def test_another_address_is_answered_as_if_nobody_had_asked_for_a_websocket(node: Any) -> None:
    """RFC 9110, 7.8: a server may ignore an Upgrade."""
    assert (await answer_to(node, handshake("channel=en").replace(b"/v1/live", b"/healthz"))).startswith(
        b"http/1.1 200"
    )
    assert (await answer_to(node, handshake("channel=en").replace(b"/v1/live", b"/v1/lively"))).startswith(
        b"http/1.1 404"
    )


async def test_who_hangs_up_on_requests_in_a_row_is_no_error(node: Any, channel: str) -> None:
    """The node's log is looked at when this file is through: nothing was written to a connection that is gone."""
    body = b'{"text":"Said by somebody who does not wait"}'
    head = [
        f"POST /v1/channels/{channel}/lines HTTP/1.1\r\nHost: x\r\nContent-Type: application/json",
        f"Authorization: {node.http.headers['Authorization']}\r\nContent-Length: {len(body)}\r\n\r\n",
    ]
    request = "\r\n".join(head).encode() + body
    for _ in range(30):
        with contextlib.closing(socket.create_connection(("127.0.0.1", node.port))) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.sendall(request * 3)
            await asyncio.to_thread(sock.recv, 1)
    assert node.get("/healthz") == {"status": "ok"}


LADEN = ["Cookie: " + "c" * 9_000, "\r\n".join(["X-Hop: 1"] * 200)]


@pytest.mark.parametrize("header", LADEN, ids=["long", "many"])
async def test_a_handshake_may_carry_a_news_sites_cookies(node: Any, header: str) -> None:
    """They come along when the ticker is on a host of its domain."""
    laden = handshake("channel=en").replace(b"\r\n\r\n", f"\r\n{header}\r\n\r\n".encode())
    assert (await answer_to(node, laden)).startswith(b"http/1.1 101 ")


async def test_a_head_without_end_is_answered_in_bytes_and_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving_here(tmp_path) as here:
        with monkeypatch.context() as patience:
            patience.setattr(phases, "HEAD_WITHIN", 0.3)
            assert (await answer_to(here, handshake("channel=en")[:-2])).startswith(b"http/1.1 408 ")
        endless = handshake("channel=en")[:-2] + b"Cookie: " + b"c" * HEAD_MAX
        assert (await answer_to(here, endless)).startswith(b"http/1.1 431 ")
        assert (await answer_to(here, handshake("channel=en"))).startswith(b"http/1.1 101 ")


# What a reader may say: nothing but close, ping and pong


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_reader_that_speaks_is_closed_for_good(node: Any, opcode: int) -> None:
    async with RawSocket.open(node.port) as raw:
        assert (await raw.object())["type"] == "board"
        raw.send(client_frame(opcode, b"hello"))
        assert await raw.closed() == 1008


async def test_a_well_behaved_library_sees_the_same_close(node: Any) -> None:
    async with socket_at(node, "channel=en") as socket:
        await socket.recv()
        await socket.send("hello")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 1008
    assert closed.value.rcvd.reason


async def test_fragments_are_text_too(node: Any) -> None:
    async with RawSocket.open(node.port) as raw:
        await raw.object()
        pieces = [
            client_frame(TEXT, b"hel", fin=False),
            client_frame(PING, b"between"),
            client_frame(CONTINUATION, b"lo"),
        ]
        raw.send(b"".join(pieces))
        assert await raw.closed() == 1008


@pytest.mark.parametrize("size", [1_025, 65_536])
async def test_a_frame_of_more_than_a_kibibyte_closes(node: Any, size: int) -> None:
    async with RawSocket.open(node.port) as raw:
        await raw.object()
        raw.send(client_frame(TEXT, b"x" * size))
        assert await raw.closed() in (1008, 1009)


async def test_a_ping_is_answered_and_the_reader_goes_on_listening(node: Any) -> None:
    async with RawSocket.open(node.port) as raw:
        await raw.object()
        for payload in (b"", b"still there?", b"x" * 125):
            raw.send(client_frame(PING, payload))
            assert await raw.frame() == (PONG, payload)
        raw.send(client_frame(PONG, b"unasked"))
        line = node.publish("en", "Trams run every ten minutes")
        assert (await raw.object())["cursor"] == line["id"]


async def test_a_ping_that_comes_a_byte_at_a_time_is_answered(node: Any) -> None:
    async with RawSocket.open(node.port) as raw:
        await raw.object()
        for byte in client_frame(PING, b"slow"):
            raw.send(bytes((byte,)))
            await raw.writer.drain()
        assert await raw.frame() == (PONG, b"slow")


async def test_a_close_is_answered_with_its_own_code(node: Any) -> None:
    async with RawSocket.open(node.port) as raw:
        await raw.object()
        raw.send(client_frame(CLOSE, (1001).to_bytes(2, "big") + b"page left"))
        opcode, payload = await raw.frame()
        assert (opcode, close_code(payload)) == (CLOSE, 1001)
        with pytest.raises(EOFError):
            await raw.frame()


NOISE = {
    "zeros": b"\x00" * 64,
    "another request": b"GET / HTTP/1.1\r\n\r\n",
    "ones": b"\xff" * 64,
    "unmasked text": client_frame(TEXT, b"not masked", masked=False),
    "unmasked ping": client_frame(PING, b"not masked", masked=False),
    "half a ping": client_frame(PING, b"in two", fin=False),
    "a long ping": client_frame(PING, b"x" * 126),
    "a continuation of nothing": client_frame(CONTINUATION, b"of nothing"),
    "no such opcode": client_frame(0x3, b""),
    "half a close code": client_frame(CLOSE, b"\x03"),
    "a reserved close code": client_frame(CLOSE, (1005).to_bytes(2, "big")),
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE.keys())
async def test_noise_ends_this_connection_and_no_other(node: Any, noise: bytes) -> None:
    async with Follower(node.url, "en") as follower:
        async with RawSocket.open(node.port) as raw:
            await raw.object()
            raw.send(noise)
            assert await raw.closed() in (1002, 1008)
        line = node.publish("en", "The others hear it all")
        await follower.until_at("en", line["id"])
        assert follower.connections == 1


# Gone is gone


async def test_a_reader_that_left_is_forgotten(tmp_path: Path) -> None:
    async with serving_here(tmp_path) as here:
        async with socket_at(here, "channel=en&channel=ar"), open_stream(here.url, "en") as stream:
            await stream.event()
            await here.readers(2)
            async with RawSocket.open(here.port) as raw:
                await raw.object()
                await here.readers(3)  # and is then cut, without goodbye
            await here.readers(2)
        await here.readers(0)
        await here.publish("en", "To an empty room")


# A server that can't hand its connections over


def test_another_server_says_that_it_has_no_readers_way(tmp_path: Path) -> None:
    with without_beats(), TestClient(node_in(tmp_path).app) as client:
        answer = client.get("/v1/live?channel=en")
        assert (answer.status_code, answer.headers["content-type"]) == (501, "application/problem+json")
        assert "ticker serve" in answer.json()["detail"]
