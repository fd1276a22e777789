"""Redis: every node goes by the server's clock."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.newswire.on_redis import (
    Opened,
    assert_chain,
    history,
    publish,
)
from tests.patience import WITHIN
from tests.redis_servers import RedisServer
from ticker.channel import DAY, HOUR
from ticker.line import Cursor
from ticker.newswire.stores import Presence

pytestmark = pytest.mark.usefixtures("patience_with_redis")


async def test_cursors_grow_and_follow_the_servers_clock_when_it_steps(server: RedisServer, opened: Opened) -> None:
    wires = [await opened(server.url, name) for name in ("one", "two")]
    events = []
    for step in (0, 90, 90, -3_600, 0, 7_200, 7_200.5):
        server.step(step)
        for wire in wires:
            outcome = await publish(wire)
            assert outcome.event
            events.append(outcome.event)
            ahead = Cursor.parse(outcome.line.id).ms / 1000 - time.time()
            expected = max(step, 90 if events[2:] and step < 7_000 else step)
            assert abs(ahead - expected) < 30, (step, ahead)
    assert_chain(await history(wires[0]))
    assert await history(wires[0]) == events


async def test_presence_is_the_sum_over_nodes_that_report_also_after_the_clock_has_stepped(
    server: RedisServer, opened: Opened
) -> None:
    one, two = await opened(server.url, "one"), await opened(server.url, "two")
    await one.presence.report({"en": 7, "es": 1})
    await two.presence.report({"en": 5, "es": 0})
    assert await one.presence.of("en") == await two.presence.of("en") == Presence(12, 2)
    server.step(DAY)
    await one.presence.report({"en": 7, "es": 1})
    assert await one.presence.of("en") == Presence(7, 1)
    await two.presence.report({"en": 6, "es": 0})
    assert await one.presence.of("en") == await two.presence.of("en") == Presence(13, 2)
    await two.close()
    async with asyncio.timeout(WITHIN):  # who leaves says so, and doesn't wait long for an answer
        while await one.presence.of("en") != Presence(7, 1):
            await asyncio.sleep(0.01)


async def test_every_node_goes_by_the_clock_of_redis(
    server: RedisServer, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    wires = [await opened(server.url, name) for name in ("one", "two")]
    for step in (0, 3 * HOUR, -3 * HOUR):
        server.step(step)
        for wire in wires:
            await wire.presence.report({})
            assert abs(wire.now().timestamp() - time.time() - step) < WITHIN / 2
            said = wire.clock_is_off()
            assert (said is None) == (step == 0), said
            if said:
                assert f"s {'behind' if step > 0 else 'ahead of'} Redis'" in said
    server.step(0)
    for wire in wires:
        await wire.presence.report({})
        await wire.presence.report({})
    told = [record.message for record in caplog.records if "clock" in record.message]
    assert len(told) == 2 * len(wires), told  # once when it begins, once when it is over
    assert sum("agrees" in line for line in told) == len(wires)


async def test_a_slow_answer_is_no_step_of_the_clock(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url)
    before = wire._clock.offset
    now = wire._clock.milliseconds() * 1000
    wire._clock.follow(
        now - 3_000_000, time.monotonic() - 5
    )  # said three seconds ago, by a server asked five seconds ago
    assert wire._clock.offset == before
    wire._clock.follow(now + 60_000_000, time.monotonic() - 5)
    assert wire._clock.offset - before == pytest.approx(60, abs=1)
