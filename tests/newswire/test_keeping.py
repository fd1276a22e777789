"""Restarts and trimming, as every newswire promises them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from tests.newswire.wires import (
    BOTH,
    EN,
    ES,
    MOMENT,
    START,
    Clock,
    Store,
    a_channel,
    amended,
    history,
    publish,
    until,
)
from ticker.channel import DAY, HOUR
from ticker.errors import (
    Gone,
    NotFound,
)
from ticker.identity import make
from ticker.line import Event
from ticker.newswire import Newswire
from ticker.newswire.sqlite import trimming

pytestmark = pytest.mark.usefixtures("patience_with_redis")


async def test_what_was_kept_is_there_after_a_restart(store: Store) -> None:
    wire = await store.open()
    first = await publish(
        wire, "Rain", source="AP", story="storm", pinned=True, expires=None, note="Why", language="ar"
    )
    await amended(wire, first.line.id, status="withheld", note="Checking")
    await publish(wire, "Lluvia", to=ES)
    key, _ = make("Ada", "editor", ("en",), datetime.now(UTC))
    await wire.keys.keep(key)
    before = [await wire.snapshot(c) for c in BOTH.values()], await history(wire), await history(wire, "es")

    wire = await store.open()
    assert ([await wire.snapshot(c) for c in BOTH.values()], await history(wire), await history(wire, "es")) == before
    assert await wire.keys.all() == [key]
    after = await publish(wire)
    assert after.prev == before[0][0].cursor


async def test_a_probe_of_a_healthy_newswire_leaves_no_trace(newswire: Newswire) -> None:
    event = await publish(newswire)
    async with newswire.tail():
        await newswire.probe()
    assert await newswire.snapshot(EN) == (event.cursor, [event.line])
    assert await history(newswire) == [event]


async def test_history_is_trimmed_and_the_board_stays_however_old(clocked: Store) -> None:
    channel = a_channel(history_for=HOUR, expires_in=None)
    wire = await clocked.open({"en": channel}, Clock())
    over = await publish(wire, "Over soon", to=channel, expires_in=60)
    stands = await publish(wire, "Stands", to=channel)
    pinned = await publish(wire, "Pinned", to=channel, pinned=True)

    wire = await clocked.open({"en": channel}, Clock(START + 2 * HOUR))
    await until(lambda: is_empty(wire))
    await until(lambda: is_forgotten(wire, over.line.id))
    snapshot = await wire.snapshot(channel)
    assert {line.id for line in snapshot.lines} == {stands.line.id, pinned.line.id}
    assert await wire.line("en", stands.line.id) == stands.line
    with pytest.raises(NotFound):
        await wire.line("en", over.line.id)
    with pytest.raises(Gone):
        await wire.events("en", over.cursor, 10)
    assert await wire.events("en", snapshot.cursor, 10) == ([], {}, False)

    corrected = await amended(wire, stands.line.id, text="Still stands")
    assert corrected.prev == pinned.cursor
    assert await history(wire) == [corrected]


async def test_history_younger_than_its_limit_is_not_trimmed(clocked: Store) -> None:
    clock = Clock()
    channel = a_channel(history_for=HOUR)
    wire = await clocked.open({"en": channel}, clock)
    old = await publish(wire, to=channel)
    clock.now += HOUR
    young = [await publish(wire, to=channel), await amended(wire, old.line.id, text="Snow")]
    wire = await clocked.open({"en": channel}, Clock(clock.now + MOMENT))
    await until(lambda: is_first(wire, young[0]))
    assert await history(wire) == young
    assert await wire.line("en", old.line.id) == young[1].line


async def test_a_tombstone_outlives_a_history_that_is_shorter(clocked: Store) -> None:
    channel = a_channel(history_for=HOUR, tombstones_for=DAY)
    wire = await clocked.open({"en": channel}, Clock())
    first = await publish(wire, to=channel)
    await amended(wire, first.line.id, status="canceled", note="Wrong")
    wire = await clocked.open({"en": channel}, Clock(START + 2 * HOUR))
    await until(lambda: is_empty(wire))
    assert [(line.status, line.note) for line in (await wire.snapshot(channel)).lines] == [("canceled", "Wrong")]
    wire = await clocked.open({"en": channel}, Clock(START + DAY + HOUR))
    await until(lambda: is_forgotten(wire, first.line.id))


async def test_trimming_comes_to_an_end_where_a_stepped_back_clock_gave_many_events_one_time(
    clocked: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimming, "TRIM_AT_ONCE", 50)
    channel = a_channel(history_for=HOUR)
    clock = Clock()
    wire = await clocked.open({"en": channel}, clock)
    clock.now -= DAY
    await asyncio.gather(*(publish(wire, to=channel) for _ in range(trimming.TRIM_AT_ONCE + 2)))
    wire = await clocked.open({"en": channel}, Clock(START + 2 * HOUR))
    await until(lambda: is_empty(wire))


async def is_empty(wire: Newswire) -> bool:
    return (await wire.events("en", None, 1)).events == []


async def is_first(wire: Newswire, event: Event) -> bool:
    return (await wire.events("en", None, 1)).events == [event]


async def is_forgotten(wire: Newswire, line_id: str) -> bool:
    try:
        await wire.line("en", line_id)
    except NotFound:
        return True
    return False
