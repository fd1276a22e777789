"""Redis behind Sentinel: one primary, one replica, three sentinels; the primary dies, hangs, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.patience import WITHIN
from tests.readers import Follower, until_all_at
from tests.redis_servers import AOF, RedisServer, Sentinels, has_replica, until, until_copied, until_heard

pytestmark = pytest.mark.timeout(6 * WITHIN)  # on a busy machine sentinels may vote more than once


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    with Sentinels(tmp_path_factory.mktemp("sentinel"), *AOF) as service:
        yield service


@pytest.fixture
def servers(service: Sentinels) -> tuple[RedisServer, RedisServer]:
    """Who is primary now, and its replica, in step."""
    primary = service.server(service.sentinels[0].primary())
    replica = service.replica if primary is service.primary else service.primary
    replica.do("REPLICAOF", "127.0.0.1", primary.port)  # Sentinel would do so by itself, in ten seconds
    until(lambda: replica.do("INFO", "replication").get("master_link_status") == "up")
    until(lambda: has_replica(primary))
    for sentinel in service.sentinels:
        until(lambda asked: asked.primary() == primary.port, sentinel)
    return primary, replica


@pytest.fixture
def url(service: Sentinels) -> str:
    return f"{service.url}?prefix=test-{uuid4().hex}"


async def keep_publishing(node: Any, acknowledged: list[str], enough: asyncio.Event) -> None:
    """One line after the other, each repeated until it is answered, as a program does."""
    async with httpx.AsyncClient(base_url=node.url, headers=node.http.headers) as client:
        while not enough.is_set():
            text = f"Line-{len(acknowledged)}"
            while True:
                answer = await client.post(
                    "/v1/channels/en/lines", json={"text": text}, headers={"Idempotency-Key": text}
                )
                if answer.status_code != 503:
                    break
                await asyncio.sleep(0.05)
            assert answer.status_code == 201, answer.text
            acknowledged.append(text)
            await asyncio.sleep(0.02)


def history(node: Any, channel: str = "en") -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = node.get(f"/v1/channels/{channel}/events?limit=1000")["events"]
    assert [event["prev"] for event in events] == [None, *(event["cursor"] for event in events[:-1])]
    return events


def until_ready(*nodes: Any) -> None:
    for node in nodes:
        until(lambda asked: httpx.get(f"{asked.url}/readyz").status_code == 200, node)


async def until_acknowledged(acknowledged: list[str], more: int) -> None:
    enough = len(acknowledged) + more
    async with asyncio.timeout(2 * WITHIN):
        while len(acknowledged) < enough:
            await asyncio.sleep(0.02)


async def test_the_primary_is_killed_and_nothing_acknowledged_is_lost(
    start_node: Any, service: Sentinels, servers: tuple[RedisServer, RedisServer], url: str
) -> None:
    primary, replica = servers
    nodes = [start_node("--newswire", f"{url}&wait_replicas=1", name=name) for name in ("one", "two")]
    acknowledged: list[str] = []
    enough = asyncio.Event()
    async with Follower(nodes[0].url, "en") as first, Follower(nodes[1].url, "en") as second:
        publishing = asyncio.create_task(keep_publishing(nodes[0], acknowledged, enough))
        await until_acknowledged(acknowledged, 30)
        with service.watchful():
            primary.kill()
            await asyncio.to_thread(service.until_primary_is, replica)
        primary.options = (*AOF, "--replicaof", "127.0.0.1", str(replica.port))
        await asyncio.to_thread(primary.start)
        await until_acknowledged(acknowledged, 30)
        enough.set()
        await asyncio.wait_for(publishing, WITHIN)
        await asyncio.to_thread(until_ready, *nodes)
        events = history(nodes[1])
        assert [event["line"]["text"] for event in events] == acknowledged
        await until_all_at((first, second), "en", events[-1]["cursor"])
        for follower in (first, second):
            assert follower.lines("en") == nodes[0].board("en") == nodes[1].board("en")
            assert follower.connections == 1
            assert follower.gaps == 0


async def test_a_primary_that_hangs_is_replaced_and_writes_nothing_when_it_wakes(
    start_node: Any, service: Sentinels, servers: tuple[RedisServer, RedisServer], url: str
) -> None:
    primary, replica = servers
    node = start_node("--newswire", url)
    acknowledged: list[str] = []
    enough = asyncio.Event()
    async with Follower(node.url, "en") as follower:
        publishing = asyncio.create_task(keep_publishing(node, acknowledged, enough))
        await until_acknowledged(acknowledged, 20)
        enough.set()
        await publishing
        await asyncio.to_thread(until_copied, primary, replica)
        last = events_of(primary, url)
        with service.watchful():
            primary.pause()
            enough.clear()
            publishing = asyncio.create_task(keep_publishing(node, acknowledged, enough))
            await asyncio.to_thread(service.until_primary_is, replica)
        await until_acknowledged(acknowledged, 10)
        primary.resume()
        await asyncio.to_thread(until, lambda: primary.do("PING"))
        found = events_of(primary, url)
        if primary.do("ROLE")[0] == "master":  # else it has been told meanwhile what the other has
            assert found == last, "it has written what had waited in its socket"
        await until_acknowledged(acknowledged, 10)
        enough.set()
        await asyncio.wait_for(publishing, WITHIN)
        await asyncio.to_thread(until_ready, node)
        events = history(node)
        assert [event["line"]["text"] for event in events] == acknowledged
        await follower.until_at("en", events[-1]["cursor"])
        assert follower.lines("en") == node.board("en")
        assert follower.gaps == 0


def events_of(server: RedisServer, url: str) -> list[Any]:
    return list(server.do("XRANGE", f"{url.partition('prefix=')[2]}:{{en}}:events", "-", "+"))


async def test_a_failover_by_hand_is_followed_without_a_restart(
    start_node: Any, service: Sentinels, servers: tuple[RedisServer, RedisServer], url: str
) -> None:
    """The old primary lives on as a replica: connections to it stand, and must not be used."""
    primary, replica = servers
    node = start_node("--newswire", url)
    async with Follower(node.url, "en") as follower:
        first = await asyncio.to_thread(node.publish, "en", "Before")
        await asyncio.to_thread(until_copied, primary, replica)
        await asyncio.to_thread(service.fail_over, replica)
        # The old primary takes lines for a moment longer, and they are lost: no promise without wait_replicas.
        await asyncio.to_thread(until_heard, replica)
        acknowledged: list[str] = []
        enough = asyncio.Event()
        publishing = asyncio.create_task(keep_publishing(node, acknowledged, enough))
        await until_acknowledged(acknowledged, 10)
        enough.set()
        await publishing
        events = history(node)
        assert [event["line"]["text"] for event in events] == [first["text"], *acknowledged]
        await follower.until_at("en", events[-1]["cursor"])
        assert follower.lines("en") == node.board("en")


async def test_one_sentinel_is_enough_to_start_with(
    start_node: Any, service: Sentinels, servers: tuple[RedisServer, RedisServer], url: str, tmp_path: Path
) -> None:
    service.sentinels[0].kill()
    try:
        node = start_node("--newswire", url)
        assert node.publish("en", "Rain")["text"] == "Rain"
    finally:
        service.sentinels[0].start()
