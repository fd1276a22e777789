"""Redis Cluster: channels on several shards, a slot that moves, a primary that dies; replicas that are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.patience import NO_BEATS, WITHIN
from tests.readers import Follower, until_all_at
from tests.redis_servers import AOF, Cluster, RedisServer, has_replica, until, until_copied
from tests.test_redis_faults import publish_the_first
from tests.test_sentinel import history, keep_publishing, until_acknowledged, until_ready

pytestmark = pytest.mark.timeout(6 * WITHIN)  # on a busy machine a cluster may vote more than once

CHANNELS = "en", "ar", "es"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), *AOF, replicas=1) as cluster:
        yield cluster


@pytest.fixture
def prefix() -> str:
    """Channels stay on their shards with any prefix: their slug alone is the hash tag."""
    return f"test-{uuid4().hex}"


@pytest.fixture
def url(cluster: Cluster, prefix: str) -> str:
    cluster.until_healthy()
    return f"{cluster.url}?prefix={prefix}"


def subscriptions(cluster: Cluster) -> dict[int, int]:
    """How many connections listen on each server."""
    listening = {server.port: server.clients() for server in cluster.running()}
    return {port: count for port, clients in listening.items() if (count := sum(c["ssub"] != "0" for c in clients))}


def key(prefix: str, channel: str) -> str:
    return f"{prefix}:{{{channel}}}:head"


async def test_channels_live_on_several_shards_and_each_has_one_ear_a_node(
    start_node: Any, cluster: Cluster, url: str, prefix: str
) -> None:
    nodes = [start_node("--newswire", url, name=name) for name in ("one", "two")]
    owners = {channel: cluster.owner(key(prefix, channel)).port for channel in CHANNELS}
    assert len(set(owners.values())) > 1, "the channels of this test should be spread"
    async with Follower(nodes[1].url, *CHANNELS) as follower:
        lines = [await asyncio.to_thread(nodes[0].publish, channel, channel) for channel in CHANNELS]
        for line in lines:
            await follower.until_at(line["channel"], line["id"])
        # Redis lists the connections of nodes that have ended until it looks at them next.
        await asyncio.to_thread(until, lambda: subscriptions(cluster) == dict.fromkeys(set(owners.values()), 2))
        for channel in CHANNELS:
            assert cluster.owner(key(prefix, channel)).do("EXISTS", key(prefix, channel)) == 1
            assert len(history(nodes[1], channel)) == 1
        assert follower.gaps == 0


async def test_a_slot_moves_while_lines_are_published(start_node: Any, cluster: Cluster, url: str, prefix: str) -> None:
    nodes = [start_node("--newswire", url, name=name) for name in ("one", "two")]
    acknowledged: list[str] = []
    enough = asyncio.Event()
    source = cluster.owner(key(prefix, "en"))
    other = next(server for server in cluster.primaries() if server is not source)
    async with Follower(nodes[0].url, "en", "es") as first, Follower(nodes[1].url, "en", "es") as second:
        await publish_the_first(nodes[0], first, second)
        publishing = asyncio.create_task(keep_publishing(nodes[0], acknowledged, enough))
        await until_acknowledged(acknowledged, 20)
        await asyncio.to_thread(cluster.move, key(prefix, "en"), other, pause=0.1)
        await until_acknowledged(acknowledged, 20)
        await asyncio.to_thread(cluster.move, key(prefix, "en"), source)
        await until_acknowledged(acknowledged, 20)
        enough.set()
        await asyncio.wait_for(publishing, WITHIN)
        await asyncio.to_thread(until_ready, *nodes)
        await asyncio.to_thread(until, lambda: cluster.owner(key(prefix, "en")) is source)
        events = history(nodes[1])
        assert [event["line"]["text"] for event in events] == ["The first", *acknowledged]
        await until_all_at((first, second), "en", events[-1]["cursor"])
        for follower in (first, second):
            assert follower.texts("en") == acknowledged
            assert follower.lines("en") == nodes[0].board("en") == nodes[1].board("en")
            assert follower.connections == 1
            assert follower.gaps == 0


async def test_what_is_wanted_while_a_slot_is_between_two_servers_is_refused_or_done(
    start_node: Any, cluster: Cluster, url: str, prefix: str
) -> None:
    """Reading goes on throughout; a change that needs keys of both servers must wait."""
    node = start_node("--newswire", url, constants=NO_BEATS | {"ticker.newswire.redis.publishing.ANSWER_WITHIN": 1.0})
    line = await asyncio.to_thread(node.publish, "en", "Before")
    source = cluster.owner(key(prefix, "en"))
    other = next(server for server in cluster.primaries() if server is not source)
    with cluster.moving(key(prefix, "en"), other) as move_one:
        move_one(f"{prefix}:{{en}}:lines")
        for _ in range(20):
            assert node.get(f"/v1/channels/en/lines/{line['id']}") == line
        answer = await asyncio.to_thread(node.http.post, "/v1/channels/en/lines", json={"text": "Between"})
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert (await asyncio.to_thread(node.publish, "es", "Elsewhere"))["text"] == "Elsewhere"
    acknowledged: list[str] = []
    enough = asyncio.Event()
    publishing = asyncio.create_task(keep_publishing(node, acknowledged, enough))
    await until_acknowledged(acknowledged, 1)
    enough.set()
    await publishing
    texts = [event["line"]["text"] for event in history(node)]
    assert texts[0] == "Before"
    assert texts[-1] == acknowledged[-1]
    assert texts.count("Between") <= 1


async def test_a_primary_is_killed_and_its_replica_takes_over(
    start_node: Any, cluster: Cluster, url: str, prefix: str
) -> None:
    nodes = [start_node("--newswire", url, name=name) for name in ("one", "two")]
    acknowledged: list[str] = []
    enough = asyncio.Event()
    primary = cluster.owner(key(prefix, "en"))
    async with Follower(nodes[0].url, "en", "es") as first, Follower(nodes[1].url, "en", "es") as second:
        publishing = asyncio.create_task(keep_publishing(nodes[0], acknowledged, enough))
        await until_acknowledged(acknowledged, 20)
        enough.set()
        await publishing
        replica = cluster.replica_of(primary)
        await asyncio.to_thread(until_copied, primary, replica)
        with cluster.watchful():
            primary.kill()
            enough.clear()
            publishing = asyncio.create_task(keep_publishing(nodes[0], acknowledged, enough))
            await until_acknowledged(acknowledged, 20)
            await asyncio.to_thread(until, lambda: cluster.owner(key(prefix, "en")) is replica)
        enough.set()
        await asyncio.wait_for(publishing, WITHIN)
        await asyncio.to_thread(until_ready, *nodes)
        await asyncio.to_thread(primary.start)
        await asyncio.to_thread(cluster.until_healthy)
        events = history(nodes[1])
        assert [event["line"]["text"] for event in events] == acknowledged
        await until_all_at((first, second), "en", events[-1]["cursor"])
        for follower in (first, second):
            assert follower.lines("en") == nodes[0].board("en") == nodes[1].board("en")
            assert follower.connections == 1
            assert follower.gaps == 0


# wait_replicas


async def assert_waits(node: Any, replicas: list[RedisServer]) -> None:
    """What no replica confirms is not acknowledged; repeated, it is, once, as soon as one does."""
    keyed = {"headers": {"Idempotency-Key": "storm"}, "json": {"text": "Storm"}}
    for replica in replicas:
        replica.pause()
    try:
        for _ in range(2):  # nor is it when it is repeated too early
            async with asyncio.timeout(WITHIN):
                said = ""
                while "on air" not in said:  # where the primary was too busy to answer, it says something else
                    answer = await asyncio.to_thread(node.http.post, "/v1/channels/en/lines", **keyed)
                    assert answer.status_code == 503
                    said = answer.json()["detail"]
    finally:
        for replica in replicas:
            replica.resume()
    async with asyncio.timeout(WITHIN):
        while answer.status_code == 503:
            answer = await asyncio.to_thread(node.http.post, "/v1/channels/en/lines", **keyed)
    assert answer.status_code == 201
    assert [event["line"]["text"] for event in history(node)] == ["First", "Storm"]


async def test_a_line_waits_for_its_replica(start_node: Any, tmp_path: Any) -> None:
    with (
        RedisServer(tmp_path / "one", *AOF) as primary,
        RedisServer(tmp_path / "two", "--replicaof", "127.0.0.1", str(primary.port)) as replica,
    ):
        until(lambda: has_replica(primary))
        node = start_node("--newswire", f"{primary.url}?wait_replicas=1")
        await asyncio.to_thread(node.publish, "en", "First")
        await assert_waits(node, [replica])


async def test_a_line_waits_for_its_shards_replica(start_node: Any, cluster: Cluster, url: str, prefix: str) -> None:
    node = start_node("--newswire", f"{url}&wait_replicas=1")
    for channel in CHANNELS:
        await asyncio.to_thread(node.publish, channel, "First")
    await assert_waits(node, [cluster.replica_of(cluster.owner(key(prefix, "en")))])
