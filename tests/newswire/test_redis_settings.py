"""Redis: nodes whose channels are set differently say so, once; nothing of what one of them keeps is lost."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from tests.newswire.on_redis import CHANNELS, Opened
from tests.patience import WITHIN
from tests.redis_servers import AOF, Cluster, RedisServer, Sentinels, until
from ticker.channel import DAY, HOUR, Channel
from ticker.newswire.redis import RedisNewswire, roll

pytestmark = pytest.mark.usefixtures("patience_with_redis")


@pytest.fixture(autouse=True)
def each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll, "SAY_EVERY", 0.0)
    monkeypatch.setattr(roll, "PRESENCE_FOR", WITHIN)


def with_en(**changes: Any) -> dict[str, Channel]:
    return CHANNELS | {"en": msgspec.structs.replace(CHANNELS["en"], **changes)}


async def report(*wires: RedisNewswire) -> None:
    """As each node does every two seconds."""
    for _ in range(2):  # the first to speak hears the last one only when it speaks again
        for wire in wires:
            await wire.presence.report({})


@pytest.fixture(params=["single", "sentinel", "cluster"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    match request.param:
        case "single":
            yield request.getfixturevalue("server").url
        case "sentinel":
            with Sentinels(tmp_path_factory.mktemp("sentinel"), *AOF) as service:
                yield service.url
        case _:
            with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
                cluster.until_healthy()
                yield cluster.url


@pytest.mark.timeout(4 * WITHIN)
async def test_two_nodes_say_once_what_they_set_differently_and_once_that_it_is_over(
    url: str, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one = await opened(url, "one", with_en(history_for=10 * DAY, title="News"))
    two = await opened(url, "two", with_en(history_for=HOUR, title="News"))
    for _ in range(3):
        await report(one, two)
    for wire in (one, two):
        assert (
            wire.settings_differ() == 'Nodes that share this Redis differ in history for the channel en: "10d" or "1h".'
        )
    sentence = 'Nodes that share this Redis differ in history for the channel en: "10d" on one; "1h" on two.'
    assert caplog.text.count(sentence) == 2  # a node
    await two.close()
    again = await opened(url, "two", with_en(history_for=10 * DAY, title="News"))
    await report(one, again)
    assert (one.settings_differ(), again.settings_differ()) == (None, None)
    assert caplog.text.count("All nodes have the same history for the channel en again") == 1


async def test_a_difference_that_appears_later_is_told_then(
    server: RedisServer, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = await opened(server.url, "one"), await opened(server.url, "two")
    await report(one, two)
    assert one.settings_differ() is None
    assert "differ" not in caplog.text
    three = await opened(server.url, "three", with_en(max_lines=3, expires_in=HOUR))
    await report(one, two, three)
    assert '"10" on one, two; "3" on three' in caplog.text
    assert str(one.settings_differ()).count("Nodes that share") == 2
    assert caplog.text.count("differ in") == 6  # two settings, three nodes
    four = await opened(server.url, "four", with_en(max_lines=3, expires_in=HOUR))
    await report(four, one, two, three)
    assert caplog.text.count("differ in") == 8, "another node with the same values is news to that node alone"


async def test_many_differences_stay_a_short_answer(server: RedisServer, opened: Opened) -> None:
    one = await opened(server.url, "one")
    two = await opened(
        server.url, "two", {slug: msgspec.structs.replace(c, max_lines=3) for slug, c in CHANNELS.items()}
    )
    three = await opened(server.url, "three", with_en(label="L" * 1_000, title="News"))
    await report(one, two, three)
    said = str(one.settings_differ())
    assert said.endswith(" 2 more settings differ.")
    assert len(said) < 500


async def test_a_channel_that_only_one_node_has_is_no_difference(server: RedisServer, opened: Opened) -> None:
    one = await opened(server.url, "one")
    two = await opened(server.url, "two", {"en": CHANNELS["en"]})
    await report(one, two)
    assert (one.settings_differ(), two.settings_differ()) == (None, None)


@pytest.mark.parametrize(
    "settings",
    ['{"en": {"newly_named": "flash"}}', '{"en": ["as a newer version may write it"]}', None],
)
async def test_what_only_a_newer_version_knows_is_no_difference(
    server: RedisServer, opened: Opened, settings: str | None
) -> None:
    server.do("HSET", "ticker:{keys}:settings", "newer", "d1@9999999999999")
    if settings:
        server.do("SET", "ticker:{keys}:settings:d1", settings)
    wire = await opened(server.url)
    await report(wire)
    assert wire.settings_differ() is None


async def test_what_another_node_says_is_asked_for_once(server: RedisServer, opened: Opened) -> None:
    one, two = await opened(server.url, "one"), await opened(server.url, "two", with_en(max_lines=3))
    await report(two, one)
    digests = server.do("KEYS", "ticker:{keys}:settings:*")
    assert len(digests) == 2
    server.do("DEL", *digests)
    await one.presence.report({})
    assert one.settings_differ()
    assert len(server.do("KEYS", "ticker:{keys}:settings:*")) == 1, "a node renews what it says"


async def test_a_node_that_was_killed_differs_no_longer_than_its_readers_count(
    server: RedisServer, opened: Opened
) -> None:
    wire = await opened(server.url)
    at = wire._clock.milliseconds() - int(WITHIN * 1000) - 1
    server.do("HSET", "ticker:{keys}:settings", "killed", f"d1@{at}")
    server.do("SET", "ticker:{keys}:settings:d1", '{"en": {"max_lines": "3"}}')
    await report(wire)
    assert wire.settings_differ() is None
    assert server.do("HKEYS", "ticker:{keys}:settings") == ["one"]


def test_readyz_says_which_settings_differ_and_stays_green(start_node: Any, server: RedisServer) -> None:
    config = '[channels.en]\nmax_lines = {}\nhistory = "{}"\n'
    nodes = [
        start_node("--newswire", server.url, name=name, config=config.format(lines, history))
        for name, lines, history in (("one", 10, "90d"), ("two", 3, "2h"))
    ]
    for node in nodes:
        ready = until(that_differs, node.url)
        assert ready.status_code == 200
        assert "versions" not in ready.json()
        said = ready.json()["settings"]
        assert 'history for the channel en: "2h" or "90d"' in said
        assert 'max_lines for the channel en: "10" or "3"' in said
        assert node.log.count("differ in history") == 1
        assert node.log.count("nothing is deleted that one of them keeps") == 1
        assert node.key not in node.log + said


def that_differs(url: str) -> httpx.Response | None:
    answer = httpx.get(f"{url}/readyz")
    return answer if "settings" in answer.json() else None
