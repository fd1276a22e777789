"""Redis: the connections of a node."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import uvloop

from tests.newswire.on_redis import (
    CHANNELS,
    Opened,
    listening,
    publish,
)
from tests.patience import WITHIN
from tests.redis_servers import RedisServer, TcpProxy, until
from ticker.errors import NewswireUnavailable
from ticker.newswire.redis import RedisNewswire
from ticker.newswire.redis.topology import POOL

pytestmark = pytest.mark.usefixtures("patience_with_redis")


async def test_a_node_listens_on_one_connection_that_says_which_node_it_is(server: RedisServer, opened: Opened) -> None:
    wires = [await opened(server.url, name) for name in ("paris-1", "paris-2")]
    async with wires[0].tail(), wires[1].tail():
        await asyncio.gather(*(publish(wire, to=channel) for wire in wires for channel in CHANNELS.values()))
        # Redis lists a connection that has been closed until it looks at it next.
        each = str(3 * len(CHANNELS))  # of each: its lines, its desk, and what the node says to itself
        until(lambda: listening(server) == [("ticker-paris-1", each), ("ticker-paris-2", each)])
        until(lambda: {client["name"] for client in server.clients()} == {"ticker-paris-1", "ticker-paris-2"})
    until(lambda: not listening(server))


async def test_many_at_once_wait_for_a_connection_instead_of_failing(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url, "busy")
    line = (await publish(wire)).line
    lines = await asyncio.gather(*(wire.line("en", line.id) for _ in range(500)))
    assert lines == [line] * 500
    assert 1 < len(server.clients(name="ticker-busy")) <= POOL


@pytest.mark.usefixtures("one_command_is_given_up_soon")
async def test_a_probe_without_anybody_listening_goes_there_and_back(server: RedisServer, opened: Opened) -> None:
    with TcpProxy(server.port) as proxy:
        wire = await opened(proxy.url)
        async with asyncio.timeout(WITHIN):
            while not await answers(wire):
                pass
        until(lambda: not listening(server))
        proxy.stall()
        with pytest.raises(NewswireUnavailable):
            await wire.probe()
        proxy.heal()


async def answers(wire: RedisNewswire) -> bool:
    with contextlib.suppress(NewswireUnavailable):
        await wire.probe()
        return True
    return False


async def test_a_node_whose_name_ends_like_a_channel_hears_itself(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url, "live")
    async with wire.tail() as tail:
        event = (await publish(wire)).event
        assert await asyncio.wait_for(anext(tail), WITHIN) == event


async def test_who_is_canceled_just_as_the_answer_comes_is_canceled(server: RedisServer) -> None:
    """Or a relay would wait for ever for the end of what follows Redis no more."""
    came = asyncio.get_running_loop().create_future()
    asking = asyncio.create_task(RedisNewswire(server.url, "one")._asking.asked(asyncio.wait_for(came, WITHIN)))
    for _ in range(5):
        await asyncio.sleep(0)
    came.set_result("an answer")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


def test_a_connection_that_has_just_been_closed_is_no_answer_and_no_more(server: RedisServer) -> None:
    """On the loop that nodes run on, which says so in a way of its own."""

    async def ask() -> dict[str, str | None]:
        wire = RedisNewswire(server.url, "one")
        await wire.open(CHANNELS)
        for idle in wire._topology._client.connection_pool._available_connections:  # type: ignore[attr-defined]
            idle._writer.transport.abort()
        with pytest.raises(NewswireUnavailable):
            await wire.heads()
        heads = await wire.heads()
        await wire.close()
        return heads

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(ask()) == dict.fromkeys(CHANNELS)
