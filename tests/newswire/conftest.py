"""Newswires to test: both of the contract, and several nodes on one Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.newswire.on_redis import CHANNELS, COMMAND_WITHIN
from tests.newswire.wires import STORES, Store
from tests.patience import WITHIN
from tests.redis_servers import RedisServer
from ticker.channel import Channel
from ticker.errors import (
    Misconfigured,
    NewswireUnavailable,
)
from ticker.newswire import Newswire
from ticker.newswire.redis import RedisNewswire
from ticker.newswire.redis.topology import connection


@pytest.fixture(params=list(STORES))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = STORES[request.param](tmp_path)
    yield store
    await store.close()


@pytest.fixture(params=list(STORES))
async def clocked(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A store whose newswires go by the test's clock."""
    store = STORES[request.param](tmp_path)
    yield store
    await store.close()


@pytest.fixture
async def newswire(store: Store) -> Newswire:
    return await store.open()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ticker.db"


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), clock=True) as server:
        yield server


@pytest.fixture
def server(own_server: RedisServer) -> RedisServer:
    """An empty server that is awake, and whose clock is right."""
    own_server.resume()
    own_server.step(0)
    own_server.do("FLUSHALL")
    return own_server


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., Awaitable[RedisNewswire]]]:
    """Opens newswires that are closed with the test."""
    wires: list[RedisNewswire] = []

    async def open_one(url: str, node: str = "one", channels: dict[str, Channel] = CHANNELS) -> RedisNewswire:
        async with asyncio.timeout(WITHIN):
            while True:
                wire = RedisNewswire(url, node)
                # Where the machine was too busy to answer in time.
                with contextlib.suppress(Misconfigured, NewswireUnavailable):
                    await wire.open(channels)
                    wires.append(wire)
                    return wire

    yield open_one
    for wire in wires:
        await wire.close()


@pytest.fixture
def one_command_is_given_up_soon(patience_with_redis: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the product does it, where an answer gets lost."""
    monkeypatch.setattr(connection, "ANSWER_WITHIN", COMMAND_WITHIN)
