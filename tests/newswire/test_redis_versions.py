"""Redis: nodes of different versions say so, once."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from tests.newswire.on_redis import Opened
from tests.patience import WITHIN
from tests.redis_servers import RedisServer, until
from ticker.newswire.redis import nodes, roll
from ticker.newswire.redis.migrations import MIGRATIONS

pytestmark = pytest.mark.usefixtures("patience_with_redis")


@pytest.fixture(autouse=True)
def each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll, "SAY_EVERY", 0.0)
    monkeypatch.setattr(roll, "PRESENCE_FOR", WITHIN)


async def test_nodes_of_two_versions_say_so_once_and_once_that_it_is_over(
    server: RedisServer, opened: Opened, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    one, two = await opened(server.url, "one"), await opened(server.url, "two")
    for wire in (one, two):
        await wire.presence.report({"en": 1})
        assert wire.versions_are_mixed() is None
    with monkeypatch.context() as upgraded:
        upgraded.setattr(nodes, "__version__", "9.9.9")
        await two.presence.report({"en": 1})
    for _ in range(3):
        await one.presence.report({"en": 1})
        assert f"9.9.9 (schema {len(MIGRATIONS)})" in str(one.versions_are_mixed())
    assert caplog.text.count("Nodes of different versions") == 2  # a node
    await two.close()
    await one.presence.report({"en": 1})
    assert one.versions_are_mixed() is None
    assert caplog.text.count("All nodes run one version again") == 1


async def test_a_node_that_was_killed_counts_no_longer_than_its_readers(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url)
    at = wire._clock.milliseconds() - int(WITHIN * 1000) - 1
    server.do("HSET", "ticker:{keys}:nodes", "killed", f"9.9.9 (schema 1)@{at}")
    await wire.presence.report({})
    assert wire.versions_are_mixed() is None
    assert server.do("HKEYS", "ticker:{keys}:nodes") == ["one"]


def test_readyz_says_which_versions_there_are_and_stays_green(start_node: Any, server: RedisServer) -> None:
    server.do("HSET", "ticker:{keys}:nodes", "newer", "9.9.9 (schema 1)@9999999999999")
    node = start_node("--newswire", server.url)
    ready = until(lambda: (answer := httpx.get(f"{node.url}/readyz")) and "versions" in answer.json() and answer)
    assert ready.status_code == 200
    assert "9.9.9 (schema 1)" in ready.json()["versions"]
    assert node.log.count("Nodes of different versions") == 1
