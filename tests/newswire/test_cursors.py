"""Cursors grow even if the clock steps back, as every newswire promises."""

from __future__ import annotations

import pytest

from tests.newswire.wires import (
    START,
    Clock,
    Store,
    amended,
    assert_chain,
    history,
    publish,
)
from ticker.channel import DAY

pytestmark = pytest.mark.usefixtures("patience_with_redis")


async def test_cursors_grow_while_the_clock_stands_still_or_steps_back(clocked: Store) -> None:
    clock = Clock()
    wire = await clocked.open(clock=clock)
    events = []
    for step in (0, 0, 1, -3_600, 0, -0.001, 3_600.5, -86_400):
        clock.now += step
        events.append(await publish(wire))
        events.append(await amended(wire, events[0].line.id, text=f"Now {len(events)}"))
    assert_chain(events)
    assert await history(wire) == events
    assert [event.line.updated for event in events] == sorted(event.line.updated for event in events)


async def test_cursors_grow_when_the_clock_has_stepped_back_before_a_restart(clocked: Store) -> None:
    before = await publish(await clocked.open(clock=Clock()))
    after = await publish(await clocked.open(clock=Clock(START - DAY)))
    assert_chain([before, after])
    assert after.line.expires
    assert after.line.expires > before.line.published
