"""Redis: what is kept, for how long, and by whom."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tests.acting import act
from tests.newswire.on_redis import (
    CHANNELS,
    EN,
    Opened,
    history,
    publish,
    with_history,
)
from tests.patience import WITHIN
from tests.redis_servers import RedisServer
from ticker.channel import DAY, HOUR
from ticker.errors import NewswireUnavailable, NotFound
from ticker.line import Patch
from ticker.newswire import IDEMPOTENCY_FOR, IdempotencyKey
from ticker.newswire.redis import RedisNewswire, publishing

pytestmark = pytest.mark.usefixtures("patience_with_redis")


async def test_the_board_does_not_depend_on_what_was_trimmed(
    server: RedisServer, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "HISTORY_MAX", 100)
    wire = await opened(server.url)
    stands = (await publish(wire, "Stands", pinned=True)).line
    for number in range(20):
        await asyncio.gather(*(publish(wire, f"Line {number}-{n}") for n in range(25)))
    events = await history(wire)
    assert 100 <= len(events) < 350
    snapshot = await wire.snapshot(EN)
    assert stands in snapshot.lines
    assert len(snapshot.lines) == 501
    assert snapshot.cursor == events[-1].cursor
    held = (await wire.amend(EN, stands.id, Patch(status="withheld"), act=act("Bob"))).line
    assert held in (await wire.snapshot(EN)).lines


async def test_all_keys_of_a_channel_are_in_one_slot_and_everything_else_expires(
    server: RedisServer, opened: Opened
) -> None:
    wire = await opened(server.url)
    line = (await publish(wire, once=IdempotencyKey("ada:1", "f"))).line
    await wire.amend(EN, line.id, Patch(text="Snow"), act=act("Bob"))
    await wire.presence.report({"en": 1})
    keys = set(server.do("KEYS", "*"))
    assert server.do("TTL", "ticker:{keys}:once:ada:1") >= IDEMPOTENCY_FOR - WITHIN
    keys.remove("ticker:{keys}:once:ada:1")
    keys -= {f"ticker:{{{slug}}}:{part}" for slug in ("es", "ar") for part in ("histories", "schema")}
    said = {key for key in keys if key.startswith(("ticker:{keys}:nodes", "ticker:{keys}:settings"))}
    assert len(said) == 3  # a hash each, and this node's settings
    assert all(server.do("TTL", key) > 0 for key in said)
    keys -= {"ticker:{keys}:schema-of-keys", *said}
    assert all(key.startswith("ticker:{en}:") for key in keys)
    assert {key.split(":")[2] for key in keys if server.do("TTL", key) == -1} == {
        *("head", "events", "lines", "index", "schema")
    }


async def test_a_prefix_keeps_two_newswires_on_one_server_apart(server: RedisServer, opened: Opened) -> None:
    one, two = await opened(f"{server.url}?prefix=one"), await opened(f"{server.url}?prefix=two")
    async with two.tail() as tail:
        await publish(one, "One's")
        event = (await publish(two, "Two's")).event
        assert await asyncio.wait_for(anext(tail), WITHIN) == event
    assert [event.line.text for event in await history(two)] == ["Two's"]


async def test_a_newswire_opens_over_a_server_that_is_full(server: RedisServer, opened: Opened) -> None:
    """A node that restarts while there is no room must still serve its readers."""
    wire = await opened(server.url)
    line = (await publish(wire)).line
    server.do("CONFIG SET", "maxmemory", 1)
    try:
        again = await opened(server.url, "again")
        assert (await again.snapshot(EN)).lines == [line]
        async with again.tail():
            await until_refused(again, "no memory left")
    finally:
        server.do("CONFIG SET", "maxmemory", 0)
    assert (await publish(again)).event


async def until_refused(wire: RedisNewswire, why: str) -> None:
    """Wait until the probe says so."""
    async with asyncio.timeout(WITHIN):
        while True:
            try:
                await wire.probe()
            except NewswireUnavailable as error:
                if why in error.detail:
                    return
            await asyncio.sleep(0.05)


# Several nodes, each with a ticker.toml of its own


async def test_a_node_with_a_shorter_history_deletes_nothing_that_another_keeps(
    server: RedisServer, opened: Opened
) -> None:
    one = await opened(server.url, "long", with_history(10 * DAY))
    first = await publish(one, "First", pinned=True, expires_in=HOUR)
    await one.amend(EN, first.line.id, Patch(text="Second"), act=act())
    for days in (2, 4):
        server.step(days * DAY)
        await one.presence.report({})  # as it does every two seconds; here two days have passed between two of them
        other = await opened(server.url, f"short-{days}", with_history(HOUR))
        await other.trim()
        for number in range(300):  # whole nodes of the stream
            await publish(other, f"Line {days} {number}", to=with_history(HOUR)["en"], expires_in=HOUR)
        await other.trim()
        assert (await history(one))[0].line == first.line
        assert [event.line.text for event in await other.versions("en", first.line.id)] == ["First", "Second"]
        assert (await other.line("en", first.line.id)).text == "Second"


async def test_a_node_that_is_gone_for_good_keeps_nothing_any_more(server: RedisServer, opened: Opened) -> None:
    one = await opened(server.url, "long", with_history(10 * DAY))
    first = await publish(one, "First", pinned=True, expires_in=HOUR)
    await one.close()
    server.step(DAY - HOUR)
    other = await opened(server.url, "short", with_history(HOUR))
    await other.trim()
    assert await history(other)
    server.step(DAY + HOUR)
    await other.presence.report({})
    await other.trim()
    assert await history(other) == []
    with pytest.raises(NotFound):
        await other.line("en", first.line.id)
    assert server.do("HKEYS", "ticker:{en}:histories") == ["short"]


async def test_a_node_that_shows_retractions_for_less_long_forgets_none_of_anothers(
    server: RedisServer, opened: Opened
) -> None:
    showing = {slug: msgspec.structs.replace(channel, tombstones_for=9 * DAY) for slug, channel in CHANNELS.items()}
    one = await opened(
        server.url, "long", {slug: msgspec.structs.replace(c, history_for=DAY) for slug, c in showing.items()}
    )
    gone = (await publish(one, "Wrong")).line
    await one.amend(EN, gone.id, Patch(status="canceled"), act=act())
    server.step(3 * DAY)
    await one.presence.report({})
    other = await opened(server.url, "short", with_history(HOUR))
    await other.trim()
    assert [line.id for line in (await one.snapshot(EN)).lines] == [gone.id]
