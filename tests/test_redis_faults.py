"""What editors and readers see when Redis, or the way to it, breaks: real nodes, a real Redis, a proxy in between."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.patience import NO_BEATS, ON_REDIS, WITHIN
from tests.readers import Follower, open_stream, until_all_at
from tests.redis_servers import AOF, RedisServer, TcpProxy, until
from ticker.newswire.redis import following
from ticker.newswire.redis.topology import connection

RED_WITHIN = 5.0  # seconds, as promised; a busy machine may take longer to ask, and to be told
AT_ONCE = 3.0  # seconds; a change that is tried takes four


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis", *AOF) as server:
        yield server


@pytest.fixture
def proxies(server: RedisServer) -> Iterator[list[TcpProxy]]:
    made = [TcpProxy(server.port) for _ in range(3)]
    yield made
    for proxy in made:
        proxy.close()


def status(node: Any) -> int:
    return httpx.get(f"{node.url}/readyz").status_code


async def until_status(node: Any, wanted: int) -> None:
    """Wait until the node says so."""
    deadline = time.monotonic() + WITHIN
    while await asyncio.to_thread(status, node) != wanted:
        assert time.monotonic() < deadline, f"no {wanted} within {WITHIN} s; {node.log[-2000:]}"
        await asyncio.sleep(0.05)


async def until_deaf(node: Any) -> None:
    """Wait until the node knows that it hears nothing. A moment before, it still tries what editors send, and may do
    it though nobody is told."""
    deadline = time.monotonic() + WITHIN
    while (await asyncio.to_thread(httpx.get, f"{node.url}/readyz")).json() != {"status": "no newswire"}:
        assert time.monotonic() < deadline, f"it thinks that it hears; {node.log[-2000:]}"
        await asyncio.sleep(0.05)


async def published(node: Any, channel: str, text: str, **fields: Any) -> dict[str, Any]:
    return await asyncio.to_thread(node.publish, channel, text, **fields)


async def publish_the_first(node: Any, *followers: Follower) -> None:
    """What follows comes line by line. A node that has missed the first of all sends a board instead."""
    first = await published(node, "en", "The first")
    await until_all_at(followers, "en", first["id"])
    for follower in followers:
        follower.frames.clear()


def history(node: Any, channel: str = "en") -> list[dict[str, Any]]:
    """All events, as programs read them; the chain must be whole."""
    events: list[dict[str, Any]] = node.get(f"/v1/channels/{channel}/events?limit=1000")["events"]
    assert [event["prev"] for event in events] == [None, *(event["cursor"] for event in events[:-1])]
    return events


def words(lines: Iterable[dict[str, Any]]) -> list[str]:
    return [line.get("text", line["status"]) for line in lines]


async def assert_refused_at_once(node: Any) -> None:
    """One try in a few is enough: the machine may have been busy."""
    took: list[float] = []
    while not took or (took[-1] > AT_ONCE and len(took) < 10):
        began = time.monotonic()
        answer = await asyncio.to_thread(node.http.post, "/v1/channels/en/lines", json={"text": "Refused"})
        took.append(time.monotonic() - began)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
    assert took[-1] < AT_ONCE, took


def assert_no_gap(*followers: Follower) -> None:
    for follower in followers:
        assert follower.gaps == 0


# Redis itself


def test_a_node_knows_in_time_that_it_is_deaf() -> None:
    """What each look may take at most; the tests below see that it looks."""
    unanswered = following.PROBE_EVERY + connection.ANSWER_WITHIN
    unheard = following.PROBE_EVERY + following.DEAF_AFTER
    assert max(unanswered, unheard) < RED_WITHIN


async def test_redis_is_killed_and_comes_back_with_all_that_was_acknowledged(
    start_node: Any, server: RedisServer
) -> None:
    nodes = [start_node("--newswire", server.url, name=name) for name in ("one", "two")]
    async with Follower(nodes[0].url, "en") as first, Follower(nodes[1].url, "en") as second:
        writing = (asyncio.to_thread(nodes[n % 2].publish, "en", f"Before {n}") for n in range(20))
        await asyncio.gather(*writing)
        server.kill()
        for node in nodes:
            await until_deaf(node)
            await assert_refused_at_once(node)
            assert (await asyncio.to_thread(httpx.get, f"{node.url}/healthz")).status_code == 200
        server.start()
        for node in nodes:
            await until_status(node, 200)
        last = await published(nodes[0], "en", "After")
        events = history(nodes[1])
        assert len(events) == 21
        await until_all_at((first, second), "en", last["id"])
        for follower in (first, second):
            assert follower.lines("en") == nodes[0].board("en") == nodes[1].board("en")
            assert follower.connections == 1
        assert_no_gap(first, second)


async def test_redis_stands_still_for_a_while(start_node: Any, server: RedisServer) -> None:
    node = start_node("--newswire", server.url)
    async with Follower(node.url, "en") as follower:
        await published(node, "en", "Before")
        began = time.monotonic()
        server.pause()
        await until_deaf(node)
        await assert_refused_at_once(node)
        await asyncio.sleep(max(0, 6 - (time.monotonic() - began)))
        server.resume()
        await until_status(node, 200)
        last = await published(node, "en", "After")
        await follower.until_at("en", last["id"])
        assert words(follower.lines("en")) == ["After", "Before"]
        assert_no_gap(follower)


async def test_a_full_redis_takes_no_line_and_serves_everything_else(start_node: Any, server: RedisServer) -> None:
    nodes = [start_node("--newswire", server.url, name=name) for name in ("one", "two")]
    async with Follower(nodes[1].url, "en") as follower:
        before = await published(nodes[0], "en", "Before")
        server.do("CONFIG SET", "maxmemory", 1)
        refused: list[int] = []
        while refused.count(507) < 3:  # a node that is too busy to hear Redis just then says 503
            answer = await asyncio.to_thread(nodes[0].http.post, "/v1/channels/en/lines", json={"text": "No room"})
            refused.append(answer.status_code)
            assert set(refused) <= {503, 507}
            assert int(answer.headers["Retry-After"]) > 0
        for node in nodes:
            await until_status(node, 503)
        assert nodes[0].board("en") == [before]
        assert nodes[0].get(f"/v1/channels/en/lines/{before['id']}") == before
        async with Follower(nodes[0].url, "en") as newcomer:
            assert newcomer.lines("en") == [before]
        server.do("CONFIG SET", "maxmemory", 0)
        last = await published(nodes[0], "en", "After")
        await follower.until_at("en", last["id"])
        assert words(follower.lines("en")) == ["After", "Before"]
        assert follower.connections == 1
        assert len(history(nodes[0])) == 2
        assert_no_gap(follower)


REFUSALS = {
    "READONLY": "is a replica",
    "NOREPLICAS": "min-replicas-to-write",
    "MISCONF": "can't save to its disk",
    "OOM": "no memory left",
}


def break_it(server: RedisServer, how: str) -> None:
    match how:
        case "READONLY":
            server.do("REPLICAOF", "127.0.0.1", 1)  # of nobody, so that it keeps what it has
        case "NOREPLICAS":
            server.do("CONFIG SET", "min-replicas-to-write", 1)
        case "MISCONF":
            in_its_way = server.folder / "dump.rdb"
            in_its_way.unlink(missing_ok=True)
            in_its_way.mkdir()  # a folder where its file belongs: saving fails
            server.do("CONFIG SET", "appendonly", "no")
            server.do("CONFIG SET", "save", "3600 1")
            server.do("BGSAVE")
            until(lambda: server.do("INFO", "persistence")["rdb_last_bgsave_status"] == "err")
        case "OOM":
            server.do("CONFIG SET", "maxmemory", 1)


def mend_it(server: RedisServer, how: str) -> None:
    match how:
        case "READONLY":
            server.do("REPLICAOF", "NO", "ONE")
        case "NOREPLICAS":
            server.do("CONFIG SET", "min-replicas-to-write", 0)
        case "MISCONF":
            (server.folder / "dump.rdb").rmdir()
            server.do("BGSAVE")
            until(lambda: server.do("INFO", "persistence")["rdb_last_bgsave_status"] == "ok")
        case "OOM":
            server.do("CONFIG SET", "maxmemory", 0)


@pytest.mark.parametrize("how", REFUSALS)
async def test_a_redis_that_takes_no_changes_is_told_at_once_by_the_probe_to_the_editor_and_in_the_log(
    start_node: Any, server: RedisServer, how: str
) -> None:
    """With nobody asking and nobody publishing the log says it; once, and once that it is over."""
    given = {"constants": NO_BEATS | ON_REDIS}
    node = start_node("--newswire", server.url, **given)
    line = await published(node, "en", "Before")
    break_it(server, how)
    until(lambda: "Nothing can be published" in node.log)
    answer = await asyncio.to_thread(httpx.get, f"{node.url}/readyz")
    assert answer.status_code == 503
    assert REFUSALS[how] in answer.json()["detail"]
    for refused in (
        lambda: node.http.post("/v1/channels/en/lines", json={"text": "Refused"}),
        lambda: node.http.patch(f"/v1/channels/en/lines/{line['id']}", json={"text": "Refused"}),
    ):
        began = time.monotonic()
        answer = await asyncio.to_thread(refused)
        assert time.monotonic() - began < WITHIN / 2, "it was tried again and again"
        assert answer.status_code == (507 if how == "OOM" else 503)
        assert REFUSALS[how] in answer.json()["detail"]
    mend_it(server, how)
    await until_status(node, 200)
    until(lambda: "Redis takes changes again" in node.log)
    for word in ("Nothing can be published", "Redis takes changes again"):
        assert node.log.count(word) == 1, node.log


async def test_an_outage_is_told_once_and_its_end_too(start_node: Any, server: RedisServer) -> None:
    node = start_node("--newswire", server.url)
    server.kill()
    await until_status(node, 503)
    await asyncio.sleep(3)  # some tries to come back
    server.start()
    await until_status(node, 200)
    until(lambda: "Readers get news again" in node.log)
    assert node.log.count("Readers get no news") == 1, node.log


async def test_the_clock_of_redis_decides_what_shows_and_a_node_says_that_its_own_is_off(
    start_node: Any, tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "stepped", *AOF, clock=True) as server:
        server.step(3 * 3_600)
        node = start_node("--newswire", server.url)
        lines = [await published(node, "en", "Stands", expires_in=3_600), await published(node, "en", "Too")]
        assert node.board("en") == lines[::-1]
        board = node.get("/v1/channels/en/lines")
        ahead = datetime.fromisoformat(board["now"]) - datetime.now(UTC)
        assert abs(ahead.total_seconds() - 3 * 3_600) < WITHIN
        ready = (await asyncio.to_thread(httpx.get, f"{node.url}/readyz")).json()
        assert ready["status"] == "ok"
        assert "behind Redis'" in ready["clock"]
        assert node.log.count("behind Redis'") == 1
        server.step(3 * 3_600 + 3_700)  # an hour is over for Redis, and for nobody else
        until(lambda: node.board("en") == lines[1:])
        server.step(0)  # and is put right: what has expired by the wrong clock stands again
        until(lambda: node.board("en") == lines[::-1])
        until(lambda: httpx.get(f"{node.url}/readyz").json() == {"status": "ok"})


async def test_after_a_rollback_every_reader_gets_the_board_as_it_is_now(start_node: Any, server: RedisServer) -> None:
    nodes = [start_node("--newswire", server.url, name=name) for name in ("one", "two")]
    async with AsyncExitStack() as stack:
        followers = [await stack.enter_async_context(Follower(nodes[n % 2].url, "en", "ar")) for n in range(6)]
        kept = [await published(nodes[0], "en", f"Kept {n}") for n in range(3)]
        await published(nodes[0], "ar", "محفوظ")
        copy = server.snapshot()
        corrected = nodes[1].correct("en", kept[1]["id"], text="Corrected in vain")
        lost = await published(nodes[1], "en", "Lost")
        for follower in followers:
            await follower.until_at("en", lost["id"])
            assert corrected in follower.lines("en")
        server.roll_back(copy)
        for node in nodes:
            await until_status(node, 200)
        for follower in followers:
            await follower.until_at("en", kept[-1]["id"])
            assert follower.lines("en") == kept[::-1]
            assert follower.connections == 1
            assert len(follower.lines("ar")) == 1
        # Readers have the board a moment before editors are served again.
        last = await asyncio.to_thread(nodes[1].publish, "en", "After")
        for follower in followers:
            await follower.until_at("en", last["id"])
            assert follower.lines("en") == nodes[0].board("en") == [last, *kept[::-1]]
        assert words(event["line"] for event in history(nodes[0])) == ["Kept 0", "Kept 1", "Kept 2", "After"]
        assert_no_gap(*followers)


async def test_after_everything_is_lost_readers_show_nothing(start_node: Any, server: RedisServer) -> None:
    node = start_node("--newswire", server.url)
    async with Follower(node.url, "en") as follower:
        lost = await published(node, "en", "Lost")
        await follower.until_at("en", lost["id"])
        server.do("FLUSHALL")
        await follower.until_at("en", None)
        assert follower.lines("en") == node.board("en") == []
        last = await published(node, "en", "The first")
        await follower.until_at("en", last["id"])
        assert_no_gap(follower)


# The way to Redis


async def test_an_announcement_missed_between_two_lines_is_read_from_the_stream(
    start_node: Any, server: RedisServer
) -> None:
    nodes = [start_node("--newswire", server.url, name=name) for name in ("one", "two")]
    async with Follower(nodes[0].url, "en") as first, Follower(nodes[1].url, "en") as second:
        await publish_the_first(nodes[0], first, second)
        expected = [f"Line {number}" for number in range(20)]
        for number, text in enumerate(expected):
            await asyncio.to_thread(nodes[number % 2].publish, "en", text)
            server.do("CLIENT KILL", "TYPE", "pubsub")
            if number % 5 == 4:
                for node in nodes:
                    await until_status(node, 200)
        last = await asyncio.to_thread(nodes[0].publish, "en", "Last")
        for follower in (first, second):
            await follower.until_at("en", last["id"])
            assert follower.texts("en") == [*expected, "Last"]
            assert follower.connections == 1
        assert words(event["line"] for event in history(nodes[0])) == ["The first", *expected, "Last"]
        assert_no_gap(first, second)


async def test_connections_that_are_cut_are_made_again(
    start_node: Any, server: RedisServer, proxies: list[TcpProxy]
) -> None:
    node = start_node("--newswire", proxies[0].url)
    async with Follower(node.url, "en") as follower:
        await publish_the_first(node, follower)
        for number in range(8):
            await asyncio.to_thread(node.publish, "en", f"Line {number}")
            proxies[0].cut()
        last = await asyncio.to_thread(node.publish, "en", "Last")
        await follower.until_at("en", last["id"])
        assert follower.texts("en") == [*(f"Line {n}" for n in range(8)), "Last"]
        assert_no_gap(follower)
        proxies[0].refuse()
        await until_status(node, 503)
        proxies[0].heal()
        await until_status(node, 200)


WAYS = ({"up": True, "down": True}, {"up": True, "down": False}, {"up": False, "down": True})


async def test_a_node_that_hears_nothing_says_so_while_the_others_go_on(
    start_node: Any, server: RedisServer, proxies: list[TcpProxy]
) -> None:
    """Half-open connections: nothing is closed, nothing comes. In both directions, and in either one."""
    deaf = [start_node("--newswire", proxy.url, name=f"deaf{n}") for n, proxy in enumerate(proxies)]
    well = start_node("--newswire", server.url, name="well")
    async with AsyncExitStack() as stack:
        followers = [await stack.enter_async_context(Follower(node.url, "en")) for node in (*deaf, well)]
        before = await published(deaf[0], "en", "Before")
        for follower in followers:
            await follower.until_at("en", before["id"])
        for proxy, way in zip(proxies, WAYS, strict=True):
            proxy.stall(**way)
        await asyncio.gather(*(until_deaf(node) for node in deaf))
        for node in deaf:
            await assert_refused_at_once(node)
            answer = await asyncio.to_thread(httpx.get, f"{node.url}/v1/channels/en/lines")
            assert answer.status_code == 503, "what stands now isn't known here"
        await until_status(well, 200)
        frames = [len(follower.frames) for follower in followers]
        meanwhile = [await published(well, "en", f"Meanwhile {n}") for n in range(3)]
        await followers[-1].until_at("en", meanwhile[-1]["id"])
        for follower, count in zip(followers[:-1], frames, strict=False):
            assert len(follower.frames) == count, "a false calm"
            assert follower.folds["en"].cursor == before["id"]
        for proxy in proxies:
            proxy.heal()
        await asyncio.gather(*(until_status(node, 200) for node in deaf))
        last = await published(deaf[1], "en", "After")
        for follower in followers:
            await follower.until_at("en", last["id"])
            assert follower.texts("en")[-4:] == [*(f"Meanwhile {n}" for n in range(3)), "After"]
            assert follower.connections == 1
        assert_no_gap(*followers)
        assert len(history(well)) == 5, "what was refused did not come later"


async def test_a_line_whose_answer_was_lost_is_published_once(
    start_node: Any, server: RedisServer, proxies: list[TcpProxy]
) -> None:
    node = start_node("--newswire", proxies[0].url)
    async with Follower(node.url, "en") as follower:
        await publish_the_first(node, follower)
        proxies[0].stall(up=False, newcomers=False)
        # Each connection takes two of the four seconds that a change is tried for; a node has some.
        once = await asyncio.to_thread(node.publish, "en", "Once")
        await follower.until_at("en", once["id"])
        proxies[0].heal()
        await until_status(node, 200)
        assert words(event["line"] for event in history(node)) == ["The first", "Once"]
        assert follower.texts("en") == ["Once"]


# Another node


async def test_a_reader_that_comes_from_a_node_that_was_ahead_is_not_sent_back_in_time(
    start_node: Any, server: RedisServer, proxies: list[TcpProxy]
) -> None:
    """For some seconds a node doesn't know yet that it is deaf. What it would show was killed meanwhile."""
    ahead = start_node("--newswire", server.url, name="ahead")
    behind = start_node("--newswire", proxies[0].url, name="behind", constants=NO_BEATS | UNAWARE)
    line = await published(ahead, "en", "Wrong")
    async with Follower(behind.url, "en") as follower:
        await follower.until_at("en", line["id"])
        assert words(follower.lines("en")) == ["Wrong"]
    await until_status(behind, 200)
    proxies[0].stall()
    ahead.cancel("en", line["id"], "It was wrong")
    cursor = history(ahead)[-1]["cursor"]
    assert status(behind) == 200, "it can't know yet"
    for form in ("ws", "http"):
        assert await greeting(behind, form, cursor) == 503
    proxies[0].heal()
    for form in ("ws", "http"):
        told = await welcome(behind, form, cursor)
        assert told["cursor"] == cursor
        assert words(told.get("lines", ())) in ([], ["canceled"])


# A node that doesn't find out by itself what its newcomers know.
UNAWARE = {
    "ticker.newswire.redis.following.PROBE_EVERY": 3_600.0,
    "ticker.newswire.redis.following.DEAF_AFTER": 3_600.0,
    "ticker.fanout.relay.COMPARE_EVERY": 3_600.0,
}


async def test_a_reader_with_a_cursor_that_never_was_is_shown_the_board(start_node: Any, server: RedisServer) -> None:
    node = start_node("--newswire", server.url)
    line = await published(node, "en", "Rain")
    for cursor in ("999999999999999-0", "never", "1-0", f"{line['id']}0"):
        for form in ("ws", "http"):
            assert words((await welcome(node, form, cursor))["lines"]) == ["Rain"]


async def welcome(node: Any, form: str, cursor: str) -> Any:
    """The same, where it should be no refusal: a reader who is told to come back does."""
    async with asyncio.timeout(WITHIN):
        while (told := await greeting(node, form, cursor)) == 503:
            await asyncio.sleep(0.05)
    return told


async def greeting(node: Any, form: str, cursor: str) -> Any:
    """What a newcomer with this cursor is sent first; or the status of its refusal."""
    if form == "ws":
        try:
            url = f"ws://127.0.0.1:{node.port}/v1/live?channel=en&cursor=en:{cursor}"
            async with connect(url, compression=None, proxy=None) as socket:
                return json.loads(await socket.recv())
        except InvalidStatus as refused:
            return refused.response.status_code
    try:
        async with open_stream(node.url, "en", Last_Event_ID=cursor) as stream:
            if stream.response.status_code != 200:
                return stream.response.status_code
            return (await stream.event()).data
    except httpx.HTTPStatusError as refused:
        return refused.response.status_code


async def test_a_node_is_killed_and_another_goes_on(start_node: Any, server: RedisServer) -> None:
    nodes = [start_node("--newswire", server.url, name=name) for name in ("one", "two")]
    async with Follower(nodes[0].url, "en") as first, Follower(nodes[1].url, "en") as second:
        before = await published(nodes[0], "en", "Before")
        await second.until_at("en", before["id"])
        nodes[0].kill()
        meanwhile = await published(nodes[1], "en", "Meanwhile")
        nodes[1].cancel("en", before["id"], "Wrong")
        nodes[0].start()
        last = await published(nodes[1], "en", "After")
        await until_all_at((first, second), "en", last["id"])
        for follower in (first, second):
            assert follower.lines("en") == nodes[0].board("en") == nodes[1].board("en")
            assert words(follower.lines("en")) == ["After", meanwhile["text"], "canceled"]
        assert first.connections == 2
        assert_no_gap(first, second)


async def test_a_node_that_dies_takes_its_readers_out_of_the_count(start_node: Any, server: RedisServer) -> None:
    nodes = [start_node("--newswire", server.url, name=name) for name in ("one", "two")]

    async def presence(readers: int, on: int) -> None:
        deadline = time.monotonic() + WITHIN
        while (said := nodes[0].http.get("/v1/channels/en/presence").json()) != {
            "channel": "en",
            "readers": readers,
            "nodes": on,
        }:
            assert time.monotonic() < deadline, said
            await asyncio.sleep(0.1)

    async with AsyncExitStack() as stack:
        for number in range(10):
            await stack.enter_async_context(Follower(nodes[number % 2].url, "en"))
        await presence(10, 2)
        await asyncio.to_thread(nodes[1].stop)
        await presence(5, 1)
