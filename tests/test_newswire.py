"""What every newswire promises, as one contract; below it, what a file of SQLite's can suffer."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, cast

import httpx
import pytest
from websockets.sync.client import connect

from tests.patience import WITHIN, environment
from tests.redis_servers import RedisStore
from ticker.board import Board
from ticker.channel import DAY, HOUR, Channel
from ticker.errors import (
    Conflict,
    Gone,
    Invalid,
    KeyReused,
    Malformed,
    Misconfigured,
    NewswireFull,
    NewswireUnavailable,
    NotFound,
    Stale,
    TickerError,
)
from ticker.key import Key, make
from ticker.line import Cursor, Draft, Event, Patch, checked
from ticker.newswire import ONCE_FOR, Newswire, Once, Receipt, open_newswire
from ticker.newswire.sqlite import SqliteNewswire, migrations, trimming
from ticker.newswire.stores import Presence

pytestmark = pytest.mark.usefixtures("patience_with_redis")

START = 1_763_892_000.0
MOMENT = 60.0  # seconds; a server's clock goes on by itself between the test's setting it and the server's looking
Channels = Mapping[str, Channel]


def a_channel(slug: str = "en", **given: Any) -> Channel:
    return Channel(slug=slug, title=slug, language=slug, direction="ltr", label="Breaking", **given)


EN, ES = a_channel("en"), a_channel("es")
BOTH = {"en": EN, "es": ES}


class Clock:
    """Seconds since 1970, where the test puts them."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Store(Protocol):
    """Where a newswire keeps things. Each `open` is a new newswire over the same things; the one before is closed."""

    async def open(self, channels: Channels = BOTH, clock: Callable[[], float] = time.time) -> Newswire: ...

    async def close(self) -> None: ...


class SqliteStore:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "ticker.db"
        self._open: Newswire | None = None

    async def open(self, channels: Channels = BOTH, clock: Callable[[], float] = time.time) -> Newswire:
        await self.close()
        wire = SqliteNewswire(self.path, clock)
        await wire.open(channels)
        self._open = wire
        return wire

    async def close(self) -> None:
        if self._open:
            await self._open.close()
        self._open = None


STORES: dict[str, Callable[[Path], Store]] = {"sqlite": SqliteStore, "redis": lambda _: RedisStore(BOTH)}


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


async def publish(
    wire: Newswire, text: str = "Rain", *, to: Channel = EN, once: Once | None = None, **more: Any
) -> Event:
    receipt = await wire.publish(to, checked(Draft(text=text, **more)), by="Ada", once=once)
    assert receipt.event
    return receipt.event


async def amend(
    wire: Newswire, line_id: str, *, of: Channel = EN, if_match: str | None = None, **fields: Any
) -> Receipt:
    return await wire.amend(of, line_id, checked(Patch(**fields)), by="Bob", if_match=if_match)


async def amended(wire: Newswire, line_id: str, **fields: Any) -> Event:
    receipt = await amend(wire, line_id, **fields)
    assert receipt.event
    return receipt.event


async def history(wire: Newswire, channel: str = "en", limit: int = 1_000) -> list[Event]:
    """All of it, page by page."""
    events: list[Event] = []
    more, after = True, None
    while more:
        page = await wire.events(channel, after, limit)
        events += page.events
        more, after = page.more, events[-1].cursor if events else None
    return events


async def heard(tail: AsyncIterator[Event], count: int) -> list[Event]:
    return [await asyncio.wait_for(anext(tail), WITHIN) for _ in range(count)]


def assert_chain(events: list[Event], first_prev: str | None = None) -> None:
    """Each names the one before, and cursors grow strictly."""
    assert [event.prev for event in events] == [first_prev, *(event.cursor for event in events[:-1])]
    cursors = [Cursor.parse(event.cursor) for event in events]
    assert cursors == sorted(set(cursors))


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = WITHIN) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


# Publishing and amending


async def test_a_published_line_is_on_the_board_in_the_history_and_under_its_id(newswire: Newswire) -> None:
    event = await publish(newswire, "Rain", urgency="flash", source="AP")
    line = event.line
    assert (line.id, line.text, line.source, line.version) == (event.cursor, "Rain", "AP", 1)
    assert (event.channel, event.prev, event.by) == ("en", None, "Ada")
    assert await newswire.line("en", line.id) == line
    assert await newswire.snapshot(EN) == (event.cursor, [line])
    assert await newswire.versions("en", line.id) == [event]
    assert await newswire.events("en", None, 10) == ([event], {}, False)


async def test_a_line_has_the_time_of_its_cursor(newswire: Newswire) -> None:
    event = await publish(newswire)
    assert event.line.published == Cursor.parse(event.cursor).time
    # Redis's clock is known as exactly as its answers are quick.
    assert abs(datetime.now(UTC) - event.line.published) < timedelta(minutes=1)


async def test_an_amended_line_keeps_its_id_and_every_version(newswire: Newswire) -> None:
    first = await publish(newswire, "Rain")
    second = await amended(newswire, first.line.id, text="Snow", note="Colder")
    third = await amended(newswire, first.line.id, status="withheld")
    assert [event.line.id for event in (second, third)] == [first.cursor] * 2
    assert await newswire.line("en", first.line.id) == third.line
    versions = await newswire.versions("en", first.line.id)
    assert versions == [first, second, third]
    assert [(event.line.text, event.line.version, event.by) for event in versions] == [
        ("Rain", 1, "Ada"),
        ("Snow", 2, "Bob"),
        ("Snow", 3, "Bob"),
    ]


async def test_each_channel_has_a_chain_of_its_own(newswire: Newswire) -> None:
    here, there = await publish(newswire, to=EN), await publish(newswire, "Lluvia", to=ES)
    here_too = await amended(newswire, here.line.id, text="Snow")
    assert_chain([here, here_too])
    assert there.prev is None
    assert await history(newswire, "es") == [there]
    assert (await newswire.snapshot(ES)).lines == [there.line]
    # Ids are a channel's own: two channels may give the same one in the same millisecond.
    assert (await newswire.line("es", there.line.id)).text == "Lluvia"
    assert (await newswire.line("en", here.line.id)).text == "Snow"


async def test_what_was_never_published_is_not_found(newswire: Newswire) -> None:
    await publish(newswire)
    assert await newswire.snapshot(ES) == (None, [])
    assert await newswire.events("es", None, 10) == ([], {}, False)
    for read in (newswire.line("en", "1-0"), newswire.versions("en", "1-0"), amend(newswire, "1-0", text="Snow")):
        with pytest.raises(NotFound, match="1-0"):
            await read


REFUSALS: dict[type[TickerError], Callable[[Newswire, str], Awaitable[object]]] = {
    Invalid: lambda wire, gone: publish(wire, expires=datetime(2001, 1, 1, tzinfo=UTC)),
    Conflict: lambda wire, gone: amend(wire, gone, text="Snow"),
    Stale: lambda wire, gone: amend(wire, gone, status="canceled", if_match='"1-1"'),
    NotFound: lambda wire, gone: amend(wire, gone, of=ES, text="Snow"),
    Malformed: lambda wire, gone: amend(wire, "the-first", text="Snow"),
    KeyReused: lambda wire, gone: publish(wire, once=Once("k", "another request")),
}


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: error.__name__)
async def test_a_refused_change_is_neither_kept_nor_announced(newswire: Newswire, error: type[TickerError]) -> None:
    gone = await publish(newswire, once=Once("k", "a request"))
    await amended(newswire, gone.line.id, status="canceled")
    before = await newswire.snapshot(EN), await history(newswire)
    async with newswire.tail() as tail:
        with pytest.raises(error):
            await REFUSALS[error](newswire, gone.line.id)
        assert (await newswire.snapshot(EN), await history(newswire)) == before
        after = await publish(newswire)
        assert await heard(tail, 1) == [after]
        assert after.prev == before[0].cursor


async def test_a_change_that_changes_nothing_is_no_event(newswire: Newswire) -> None:
    first = await publish(newswire, "Rain")
    async with newswire.tail() as tail:
        assert await amend(newswire, first.line.id, text="Rain") == Receipt(first.line, None)
        after = await publish(newswire)
        assert await heard(tail, 1) == [after]
    assert_chain([first, after])


async def test_only_one_of_many_editors_changes_the_version_that_all_have_read(newswire: Newswire) -> None:
    line = (await publish(newswire)).line
    changes = [amend(newswire, line.id, text=f"Snow {n}", if_match=line.etag) for n in range(20)]
    results = await asyncio.gather(*changes, return_exceptions=True)
    won = [result for result in results if isinstance(result, Receipt)]
    assert len(won) == 1
    assert [type(result) for result in results if result is not won[0]] == [Stale] * 19
    assert await newswire.line("en", line.id) == won[0].line


# The tail


async def test_two_hundred_lines_at_once_are_announced_once_each_in_the_order_of_history(
    newswire: Newswire,
) -> None:
    async with newswire.tail() as tail, newswire.tail() as other:
        made = await asyncio.gather(*(publish(newswire, f"Line {n}") for n in range(200)))
        announced = await heard(tail, 200)
        assert await heard(other, 200) == announced
        assert_chain(announced)
        assert {event.line.text for event in announced} == {f"Line {n}" for n in range(200)}
        assert sorted(made, key=lambda event: Cursor.parse(event.cursor)) == announced
        assert await history(newswire, limit=7) == announced
        last = await publish(newswire, to=ES)
        assert await heard(tail, 1) == [last]  # and nothing twice


async def test_a_tail_begins_where_it_is_asked_for(newswire: Newswire) -> None:
    await publish(newswire)
    async with newswire.tail() as tail:
        after = [await publish(newswire), await publish(newswire, to=ES)]
        after.append(await amended(newswire, after[0].line.id, status="canceled"))
        assert await heard(tail, 3) == after


async def test_what_is_announced_can_be_read_already(newswire: Newswire) -> None:
    async with newswire.tail() as tail:
        publishing = asyncio.create_task(publish(newswire))
        [event] = await heard(tail, 1)
        assert await newswire.snapshot(EN) == (event.cursor, [event.line])
        assert await publishing == event


# The clock


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


# Idempotency


async def test_a_request_that_comes_again_gets_the_same_receipt_and_publishes_nothing(newswire: Newswire) -> None:
    once = Once("ada:1", "fingerprint")
    first = await publish(newswire, once=once)
    await amended(newswire, first.line.id, text="Snow")
    async with newswire.tail() as tail:
        again = await newswire.publish(EN, checked(Draft(text="Rain")), by="Ada", once=once)
        assert again == Receipt(first.line, None, replayed=True)
        other = await publish(newswire, once=Once("ada:2", "fingerprint"))
        assert await heard(tail, 1) == [other]
    assert len(await history(newswire)) == 3


async def test_a_key_with_another_request_is_refused(newswire: Newswire) -> None:
    first = await publish(newswire, once=Once("ada:1", "fingerprint"))
    with pytest.raises(KeyReused):
        await publish(newswire, once=Once("ada:1", "another"))
    with pytest.raises(KeyReused):
        await newswire.amend(EN, first.line.id, Patch(text="Snow"), by="Ada", once=Once("ada:1", "another"))


async def test_an_amendment_that_comes_again_is_made_once(newswire: Newswire) -> None:
    first = await publish(newswire)
    once, patch = Once("ada:1", "fingerprint"), Patch(pinned=True)
    receipt = await newswire.amend(EN, first.line.id, patch, by="Ada", if_match=first.line.etag, once=once)
    again = await newswire.amend(EN, first.line.id, patch, by="Ada", if_match=first.line.etag, once=once)
    assert again == Receipt(receipt.line, None, replayed=True)


async def test_the_same_request_many_times_at_once_publishes_one_line(newswire: Newswire) -> None:
    once, draft = Once("ada:1", "fingerprint"), checked(Draft(text="Rain"))
    receipts = await asyncio.gather(*(newswire.publish(EN, draft, by="Ada", once=once) for _ in range(20)))
    assert len({receipt.line.id for receipt in receipts}) == 1
    assert [receipt.replayed for receipt in receipts].count(False) == 1
    assert len(await history(newswire)) == 1


async def test_a_key_that_was_used_on_one_channel_is_refused_on_another(newswire: Newswire) -> None:
    """The fingerprint covers the path, so the same words on another channel are another request."""
    line = (await publish(newswire, to=ES)).line
    first = await publish(newswire, once=Once("ada:1", "to en"))
    with pytest.raises(KeyReused):
        await publish(newswire, to=ES, once=Once("ada:1", "to es"))
    with pytest.raises(KeyReused):  # also where nothing would change, and where there is nothing to change
        await newswire.amend(ES, line.id, Patch(text="Rain"), by="Ada", once=Once("ada:1", "to es"))
    with pytest.raises(KeyReused):
        await newswire.amend(ES, "1-0", Patch(text="Snow"), by="Ada", once=Once("ada:1", "to es"))
    again = await newswire.publish(EN, checked(Draft(text="Rain")), by="Ada", once=Once("ada:1", "to en"))
    assert again == Receipt(first.line, None, replayed=True)
    nothing = await newswire.amend(ES, line.id, Patch(text="Rain"), by="Ada", once=Once("ada:2", "to es"))
    assert nothing == Receipt(line, None)
    with pytest.raises(KeyReused):
        await publish(newswire, once=Once("ada:2", "to en"))
    assert len(await history(newswire, "es")) == 1


async def test_one_key_on_both_channels_at_once_is_one_request_on_one_of_them(newswire: Newswire) -> None:
    for number in range(20):
        tries = [
            publish(newswire, f"Rain {number}", to=channel, once=Once(f"ada:{number}", channel.slug))
            for channel in (EN, ES, EN, ES)
        ]
        results = await asyncio.gather(*tries, return_exceptions=True)
        refused = [isinstance(result, KeyReused) for result in results]
        assert refused in ([True, False] * 2, [False, True] * 2), results
    assert len(await history(newswire)) + len(await history(newswire, "es")) == 20


async def test_a_key_that_was_refused_on_one_channel_is_free_on_another_and_back(newswire: Newswire) -> None:
    for channel in (EN, ES, EN, ES):
        with pytest.raises(Invalid):
            await publish(
                newswire, to=channel, expires=datetime(2001, 1, 1, tzinfo=UTC), once=Once("a:1", channel.slug)
            )
    kept = await publish(newswire, to=EN, once=Once("a:1", "en"))
    assert (await newswire.snapshot(EN)).lines == [kept.line]
    with pytest.raises(KeyReused):
        await publish(newswire, to=ES, once=Once("a:1", "es"))


async def test_a_refused_request_leaves_its_key_free(newswire: Newswire) -> None:
    once = Once("ada:1", "fingerprint")
    with pytest.raises(Invalid):
        await publish(newswire, expires=datetime(2001, 1, 1, tzinfo=UTC), once=once)
    assert (await publish(newswire, once=Once("ada:1", "mended"))).prev is None


async def test_a_key_is_remembered_for_a_day_also_across_a_restart(clocked: Store) -> None:
    once, draft = Once("ada:1", "fingerprint"), checked(Draft(text="Rain"))
    first = await publish(await clocked.open(clock=Clock()), once=once)
    wire = await clocked.open(clock=Clock(START + ONCE_FOR - MOMENT))
    assert await wire.publish(EN, draft, by="Ada", once=once) == Receipt(first.line, None, replayed=True)
    wire = await clocked.open(clock=Clock(START + ONCE_FOR + MOMENT))
    assert not (await wire.publish(EN, draft, by="Ada", once=once)).replayed


# Reading


async def test_history_comes_in_pages_from_any_cursor(newswire: Newswire) -> None:
    events = [await publish(newswire, f"Line {n}") for n in range(5)]
    assert await newswire.events("en", None, 2) == (events[:2], {}, True)
    assert await newswire.events("en", events[1].cursor, 3) == (events[2:], {}, False)
    assert await newswire.events("en", events[2].cursor, 1) == (events[3:4], {}, True)
    assert await newswire.events("en", events[4].cursor, 2) == ([], {}, False)


async def test_a_cursor_that_is_not_kept_is_gone(newswire: Newswire) -> None:
    event = await publish(newswire)
    never = str(Cursor.parse(event.cursor)._replace(n=77))
    for channel, cursor in (("en", never), ("es", event.cursor), ("en", "1-0")):
        with pytest.raises(Gone, match=cursor):
            await newswire.events(channel, cursor, 10)
    with pytest.raises(Malformed):
        await newswire.events("en", "yesterday", 10)


@pytest.mark.parametrize("spelling", ["0{}-{}", "{}-0{}", "+{}-{}", "{}-{} ", " {}-{}", "{}-+{}", "{}.0-{}", "٠{}-{}"])
async def test_an_event_has_one_spelling(newswire: Newswire, spelling: str) -> None:
    line = (await publish(newswire)).line
    other = spelling.format(*line.id.split("-"))
    asked = newswire.line("en", other), newswire.versions("en", other), newswire.events("en", other, 10)
    for answer in (*asked, amend(newswire, other, text="Snow")):
        with pytest.raises(Malformed):
            await answer


async def test_a_page_names_the_lines_that_are_withdrawn_by_now(newswire: Newswire) -> None:
    held, killed, released, stands = [(await publish(newswire)).line.id for _ in range(4)]
    for line_id, status in ((held, "withheld"), (killed, "canceled"), (released, "withheld"), (released, "usable")):
        await amended(newswire, line_id, status=status)
    page = await newswire.events("en", None, 100)
    assert page.withdrawn == {held: "withheld", killed: "canceled"}
    assert (await newswire.events("en", None, 2)).withdrawn == {held: "withheld", killed: "canceled"}
    assert (await newswire.events("en", page.events[2].cursor, 1)).withdrawn == {}
    assert stands not in page.withdrawn


async def test_a_withdrawn_line_is_kept_whole_for_editors(newswire: Newswire) -> None:
    first = await publish(newswire, "Rain", url="https://a.example")
    await amended(newswire, first.line.id, status="canceled")
    line = await newswire.line("en", first.line.id)
    assert (line.status, line.text, line.url) == ("canceled", "Rain", "https://a.example")
    assert {event.line.text for event in await newswire.versions("en", first.line.id)} == {"Rain"}


async def test_a_board_from_the_snapshot_is_the_board_folded_from_the_history(clocked: Store) -> None:
    clock = Clock()
    channel = a_channel(max_lines=3, tombstones_for=1_000)
    wire = await clocked.open({"en": channel}, clock)
    chance = random.Random(7)
    made = []
    for n in range(60):
        clock.now += chance.choice((0, 1, 40))
        made.append(
            await publish(wire, f"Line {n}", to=channel, pinned=n % 9 == 0, expires_in=chance.choice((5, 200, 9_000)))
        )
        if n % 2:
            status = chance.choice(("withheld", "canceled"))
            await amend(wire, chance.choice([e for e in made if e.line.version == 1]).line.id, of=channel, pinned=True)
            await amend(wire, made.pop(chance.randrange(len(made))).line.id, of=channel, status=status)
    folded = Board(channel)
    for event in await history(wire):
        folded.apply(event)
    for wait in (0, 100, 500, 2_000):
        clock.now += wait
        now = datetime.fromtimestamp(clock.now, UTC)
        snapshot = await wire.snapshot(channel)
        assert Board(channel, snapshot.cursor, snapshot.lines).lines(now) == folded.lines(now)
        assert snapshot.cursor == folded.cursor
    assert folded.lines(now), "the last look should still find lines"


# Restarts and housekeeping


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


# Heads, presence, secrets


async def test_heads_name_each_channels_last_event(newswire: Newswire) -> None:
    assert await newswire.heads() == {"en": None, "es": None}
    first = await publish(newswire)
    last = await amended(newswire, first.line.id, pinned=True)
    assert await newswire.heads() == {"en": last.cursor, "es": None}


async def test_presence_is_what_was_reported_last(newswire: Newswire) -> None:
    assert await newswire.presence.of("en") == Presence(0, 0)
    await newswire.presence.report({"en": 7, "es": 0})
    await newswire.presence.report({"en": 5, "es": 1})
    assert await newswire.presence.of("en") == Presence(5, 1)
    assert await newswire.presence.of("es") == Presence(1, 1)


async def test_a_secret_is_taken_once_by_whoever_comes_first(newswire: Newswire) -> None:
    await newswire.secrets.keep("word", b"\x00secret", 60)
    taken = await asyncio.gather(*(newswire.secrets.take("word") for _ in range(10)))
    assert sorted(taken, key=str) == [*[None] * 9, b"\x00secret"]
    assert await newswire.secrets.take("another") is None


async def test_a_secret_holds_across_a_restart_and_no_longer_than_it_should(clocked: Store) -> None:
    wire = await clocked.open(clock=Clock())
    await wire.secrets.keep("short", b"1", 60)
    await wire.secrets.keep("long", b"2", 3_600)
    wire = await clocked.open(clock=Clock(START + 60 + MOMENT))
    assert await wire.secrets.take("short") is None
    assert await wire.secrets.take("long") == b"2"


async def test_a_secret_that_is_looked_at_stays_until_it_is_taken(newswire: Newswire) -> None:
    assert await newswire.secrets.get("word") is None
    await newswire.secrets.keep("word", b"\x00secret", 60)
    assert await newswire.secrets.get("word") == await newswire.secrets.get("word") == b"\x00secret"
    await newswire.secrets.keep("word", b"another", 60)
    assert await newswire.secrets.get("word") == b"another"
    assert await newswire.secrets.take("word") == b"another"
    assert await newswire.secrets.get("word") is None


async def test_a_secret_can_be_looked_at_no_longer_than_it_should(clocked: Store) -> None:
    wire = await clocked.open(clock=Clock())
    await wire.secrets.keep("short", b"1", 60)
    await wire.secrets.keep("long", b"2", 3_600)
    wire = await clocked.open(clock=Clock(START + 60 + MOMENT))
    assert await wire.secrets.get("short") is None
    assert await wire.secrets.get("long") == b"2"


# Keys


async def test_keys_are_kept_listed_by_age_and_found_by_id(newswire: Newswire) -> None:
    now = datetime.now(UTC)
    made = [make(name, "editor", ("en", "es"), now + timedelta(seconds=n))[0] for n, name in enumerate("CAB")]
    for key in reversed(made):
        await newswire.keys.keep(key)
    assert await newswire.keys.all() == made
    assert await newswire.keys.get(made[1].id) == made[1]
    assert await newswire.keys.get("nobody") is None


async def test_of_many_first_keys_one_is_kept_and_none_beside_another(newswire: Newswire) -> None:
    made = [make(f"first {n}", "admin", (), datetime.now(UTC))[0] for n in range(10)]
    kept = await asyncio.gather(*(newswire.keys.keep_first(key) for key in made))
    assert kept.count(True) == 1
    assert await newswire.keys.all() == [made[kept.index(True)]]


async def test_a_key_is_revoked_once_and_touching_does_not_bring_it_back(newswire: Newswire) -> None:
    now = datetime.now(UTC)
    key, _ = make("Ada", "chief", (), now)
    await newswire.keys.keep(key)
    await newswire.keys.touch(key.id, now + timedelta(seconds=5))
    touched = cast("Key", await newswire.keys.get(key.id))
    assert (touched.last_used, touched.revoked) == (now + timedelta(seconds=5), None)
    revoked = await newswire.keys.revoke(key.id, now + timedelta(seconds=9))
    assert revoked
    assert revoked.revoked == now + timedelta(seconds=9)
    assert await newswire.keys.revoke(key.id, now + timedelta(seconds=20)) == revoked
    await newswire.keys.touch(key.id, now + timedelta(seconds=30))
    assert cast("Key", await newswire.keys.get(key.id)).revoked == revoked.revoked


async def test_keys_of_one_moment_are_listed_in_one_order(newswire: Newswire) -> None:
    now = datetime.now(UTC)
    made = [make(f"Ada {n}", "editor", (), now)[0] for n in range(20)]
    for key in made:
        await newswire.keys.keep(key)
    assert await newswire.keys.all() == sorted(made, key=lambda key: key.id)


async def test_a_key_that_is_not_kept_is_neither_touched_nor_revoked(newswire: Newswire) -> None:
    await newswire.keys.touch("nobody", datetime.now(UTC))
    assert await newswire.keys.revoke("nobody", datetime.now(UTC)) is None
    assert await newswire.keys.all() == []


# SQLite alone: the file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ticker.db"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteNewswire]:
    wire = SqliteNewswire(path)
    await wire.open(BOTH)
    try:
        yield wire
    finally:
        await wire.close()


async def refusal(path: Path) -> str:
    """The sentence with which a newswire on this file refuses to open."""
    with pytest.raises(Misconfigured) as refused:
        await SqliteNewswire(path).open(BOTH)
    return refused.value.detail


async def fill(path: Path, count: int = 100) -> None:
    async with opened(path) as wire:
        await asyncio.gather(*(publish(wire, f"Line {n} " + "x" * 200) for n in range(count)))


def ran(path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command on this file, in a process of its own, which has ended."""
    command = (sys.executable, "-m", "ticker", *command, "--newswire", f"sqlite:///{path}")
    env = environment(path.parent / "constants")
    return subprocess.run(
        command, cwd=path.parent, env=env, capture_output=True, text=True, timeout=WITHIN, check=False
    )


@pytest.mark.parametrize(
    "url", ["", "ticker.db", "sqlite://", "sqlite:///", "sqlite://ticker.db", "mysql://u:secret@h/d"]
)
def test_a_url_that_names_no_newswire_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        open_newswire(url, "node")
    assert "sqlite:///FILE" in refused.value.detail
    assert "secret" not in refused.value.detail


async def test_a_second_process_on_the_same_file_is_refused_and_pointed_to_redis(path: Path) -> None:
    async with opened(path) as wire:
        second = ran(path, "check")
        assert second.returncode == 2
        assert str(path) in second.stderr
        assert "redis://" in second.stderr
        assert "Traceback" not in second.stderr
        await publish(wire)  # the first goes on
    assert ran(path, "check").returncode == 0


async def test_a_second_newswire_in_the_same_process_is_refused_too(path: Path) -> None:
    async with opened(path) as wire:
        assert "redis://" in await refusal(path)
        await publish(wire)


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("Dear diary, it rained. " * 1_000)
    before = path.read_bytes()
    assert "damaged or no newswire" in await refusal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("first", [0, 1, 2])
async def test_a_file_whose_pages_are_garbage_is_refused(path: Path, first: int) -> None:
    await fill(path)
    content = bytearray(path.read_bytes())
    content[first * 4_096 + 100 : 8 * 4_096] = random.Random(first).randbytes(8 * 4_096 - first * 4_096 - 100)
    path.write_bytes(content)
    sentence = await refusal(path)
    assert "damaged" in sentence or "another program" in sentence
    assert str(path) in sentence


async def test_a_file_that_was_cut_short_is_refused(path: Path) -> None:
    await fill(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    assert "damaged" in await refusal(path)


async def test_another_programs_database_is_refused_and_left_as_it_was(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE diary (day TEXT)")
    before = path.read_bytes()
    assert "another program" in await refusal(path)
    assert path.read_bytes() == before


async def test_a_file_of_another_version_is_refused_by_its_number(path: Path) -> None:
    await fill(path, 1)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    assert "schema 99" in await refusal(path)


async def test_a_refused_file_can_be_replaced_without_a_restart(path: Path) -> None:
    path.write_text("Dear diary" * 1_000)
    await refusal(path)
    path.unlink()
    await fill(path, 1)


@pytest.mark.parametrize("place", ["missing/ticker.db", "a-file/ticker.db", "a-folder"])
async def test_a_place_that_cant_be_written_is_refused_with_its_name(tmp_path: Path, place: str) -> None:
    # A file for a folder and a folder for a file stop root too.
    (tmp_path / "a-file").touch()
    (tmp_path / "a-folder").mkdir()
    sentence = await refusal(tmp_path / place)
    assert str(tmp_path / place) in sentence
    assert "folder" in sentence


async def test_a_full_disk_keeps_nothing_and_announces_nothing_until_there_is_room(path: Path) -> None:
    async with opened(path) as wire:
        await asyncio.gather(*(publish(wire, f"Line {n}") for n in range(3)))
        before = await wire.snapshot(EN), await history(wire)
        async with wire.tail() as tail:
            with no_page_left(wire):
                for _ in range(3):
                    with pytest.raises(NewswireFull, match="Nothing was published"):
                        await publish(wire, "🇯🇴" * 280, once=Once("ada:1", "fingerprint"))
                assert (await wire.snapshot(EN), await history(wire)) == before
            kept = await publish(wire, "Kept", once=Once("ada:1", "another"))
            assert await heard(tail, 1) == [kept]
            assert kept.prev == before[0].cursor
    async with opened(path) as wire:
        assert await history(wire) == [*before[1], kept]


async def test_a_file_that_another_program_locks_refuses_changes_and_still_reads(path: Path) -> None:
    async with opened(path) as wire:
        first = await publish(wire)
        with locked(path):
            with pytest.raises(NewswireUnavailable, match="locked"):
                await publish(wire, "Lost")
            assert (await wire.snapshot(EN)).lines == [first.line]
        assert_chain([first, await publish(wire, "Kept")])


async def test_a_closed_file_takes_nothing(path: Path) -> None:
    async with opened(path) as wire:
        await publish(wire)
    for refused in (publish(wire), wire.snapshot(EN), wire.probe()):
        with pytest.raises(NewswireUnavailable):
            await refused


# SQLite alone: whose file it is, and whether it is still the one


def beside(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir() if file.name.startswith(path.name)}


async def test_nobody_else_can_read_the_file_or_what_lies_beside_it(path: Path) -> None:
    before = os.umask(0)
    try:
        async with opened(path) as wire:
            await publish(wire)
            modes = {name: stat.S_IMODE((path.parent / name).stat().st_mode) for name in beside(path)}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["ticker.db", "ticker.db-wal", "ticker.db-shm", "ticker.db-lock"], 0o600)


async def test_a_file_that_everybody_can_read_is_told_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await fill(path, 1)
    assert "Every user" not in caplog.text
    path.chmod(0o644)
    await fill(path, 1)
    assert "chmod o-rwx" in caplog.text


def test_check_makes_nothing(path: Path) -> None:
    checked = ran(path, "check")
    assert (checked.returncode, beside(path)) == (0, set())
    assert "the first start makes it" in checked.stdout


async def test_check_leaves_a_file_and_what_lies_beside_it_as_they_were(path: Path) -> None:
    await fill(path)
    (path.parent / "ticker.db-lock").unlink()
    before = path.read_bytes(), path.stat().st_mtime_ns
    checked = ran(path, "check")
    assert checked.returncode == 0, checked.stderr
    assert "is whole and can be written" in checked.stdout
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert beside(path) == {"ticker.db"}


def test_check_leaves_the_changes_of_a_node_that_was_killed_to_its_next_start(node: Any) -> None:
    kept = node.publish("en", "Rain")
    node.kill()
    path = node.folder / "ticker.db"
    before = {name: (node.folder / name).read_bytes() for name in beside(path)}
    checked = ran(path, "check")
    assert checked.returncode == 0, checked.stderr
    assert "next start folds in" in checked.stdout
    assert {name: (node.folder / name).read_bytes() for name in beside(path)} == before
    node.start()
    assert node.board("en") == [kept]


def test_check_finds_what_is_damaged_anywhere(path: Path) -> None:
    asyncio.run(fill(path, 300))
    content = bytearray(path.read_bytes())
    content[-3 * 4_096 - 2_000 : -3 * 4_096] = b"\x55" * 2_000
    path.write_bytes(content)
    checked = ran(path, "check")
    assert checked.returncode == 2
    assert "damaged" in checked.stderr


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    asyncio.run(fill(path.with_name("other.db"), 3))
    path.with_name("other.db").replace(path)


def copy_an_older_one_over_it(path: Path) -> None:
    with path.with_name("backup.db").open("rb") as backup, path.open("r+b") as file:
        file.truncate()
        file.write(backup.read())


def copy_something_else_over_it(path: Path) -> None:
    path.write_bytes(b"Dear diary" * 1_000)


def empty(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate()


def delete_its_log_of_changes(path: Path) -> None:
    path.with_name("ticker.db-wal").unlink()


def move_its_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


LOSSES = [
    delete,
    replace,
    copy_an_older_one_over_it,
    copy_something_else_over_it,
    empty,
    delete_its_log_of_changes,
    move_its_folder,
]


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
async def test_a_file_that_is_lost_takes_no_change_and_the_log_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lose: Callable[[Path], None]
) -> None:
    path = tmp_path / "folder" / "ticker.db"
    path.parent.mkdir()
    async with opened(path) as wire:
        await asyncio.gather(*(publish(wire, f"Line {n}") for n in range(5)))
        await asyncio.to_thread(back_up, path)
        await asyncio.gather(*(publish(wire, f"Line {n} " + "x" * 200) for n in range(50)))
        await wire.probe()
        before = await wire.snapshot(EN)
        await asyncio.to_thread(lose, path)
        await until(lambda: told("while this node runs", caplog))  # nobody published, and nobody asked
        for _ in range(3):
            with pytest.raises(NewswireUnavailable, match="Nothing was published"):
                await publish(wire, "Lost")
            with pytest.raises(NewswireUnavailable, match="deleted or replaced"):
                await wire.probe()
        assert await wire.heads() == {"en": before.cursor, "es": None}
        assert caplog.text.count("while this node runs") == 1
        assert "Stop the node" in caplog.text


async def told(words: str, caplog: pytest.LogCaptureFixture) -> bool:
    return words in caplog.text


def back_up(path: Path) -> None:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(path.with_name("backup.db"))) as copy:
        source.backup(copy)


async def test_a_file_that_is_moved_away_and_back_goes_on(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with opened(path) as wire:
        first = await publish(wire)
        path.rename(path.with_name("away.db"))
        with pytest.raises(NewswireUnavailable):
            await publish(wire, "Lost")
        path.with_name("away.db").rename(path)
        await until(lambda: told("takes changes again", caplog))  # by itself
        assert_chain([first, await publish(wire, "Kept")])
        assert caplog.text.count("takes changes again") == 1


async def test_others_may_read_the_file_back_it_up_and_fold_its_changes_in(path: Path) -> None:
    async with opened(path) as wire:
        for number in range(5):
            await asyncio.gather(*(publish(wire, f"Line {number} {n}") for n in range(20)))
            await asyncio.to_thread(back_up, path)
            command = (
                "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA wal_checkpoint').fetchall())"
            )
            subprocess.run([sys.executable, "-c", command, path], check=True, timeout=WITHIN)
            await wire.probe()
            await publish(wire, f"Line {number}")
        assert len(await history(wire)) == 105
    async with opened(path) as wire:
        assert len(await history(wire)) == 105


async def test_a_second_process_is_refused_though_the_lock_file_was_deleted(path: Path) -> None:
    async with opened(path) as wire:
        await publish(wire)
        for _ in range(2):
            path.with_name("ticker.db-lock").unlink()
            for command in (["check"], ["serve", "--port", "0"]):
                second = await asyncio.to_thread(ran, path, *command)
                assert second.returncode == 2, second.stdout
                assert "Another process has" in second.stderr
            await publish(wire)
            await wire.probe()
    assert ran(path, "check").returncode == 0


async def test_asking_again_and_again_whether_it_can_be_written_writes_once_a_second(path: Path) -> None:
    async with opened(path) as wire:
        await publish(wire)
        await asyncio.gather(*(wire.probe() for _ in range(200)))
        size = path.with_name("ticker.db-wal").stat().st_size
        wire._transactions.kept_at -= 2
        await wire.probe()
        await asyncio.gather(*(wire.probe() for _ in range(20)))
        assert 0 < path.with_name("ticker.db-wal").stat().st_size - size <= 2 * 4_200


def test_a_node_whose_file_is_gone_is_not_ready_and_says_why(node: Any) -> None:
    node.publish("en", "Rain")
    (node.folder / "ticker.db").unlink()
    ready = httpx.get(f"{node.url}/readyz")
    assert ready.status_code == 503
    assert "deleted or replaced" in ready.json()["detail"]
    assert str(node.folder) not in ready.text
    assert_not_kept(node.http.post("/v1/channels/en/lines", json={"text": "Lost"}), 503)
    assert node.log.count("while this node runs") == 1


# SQLite alone: the check, the upgrade, the trimming


async def test_the_whole_file_is_checked_while_the_node_is_on(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with opened(path) as wire:
        await asyncio.gather(*(publish(wire, f"Line {n} " + "x" * 200) for n in range(1_500)))
    content = bytearray(path.read_bytes())
    oldest = content.index(b"Line 3 x")
    content[oldest : oldest + 1_000] = b"\x55" * 1_000
    path.write_bytes(content)
    caplog.clear()
    async with opened(path) as wire:
        await until(lambda: told("on page", caplog))  # which only a check says
        with pytest.raises(NewswireUnavailable, match="damaged"):
            await wire.probe()
        await publish(wire)


async def test_a_file_of_the_first_version_is_upgraded_in_one_step(path: Path) -> None:
    await fill(path, 3)
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP INDEX line_age; PRAGMA user_version = 1;")
    async with opened(path) as wire:
        assert len(await history(wire)) == 3
        await publish(wire)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (migrations.SCHEMA,)
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'line_age'").fetchone() == (1,)


async def test_trimming_that_finds_nothing_looks_at_nothing(path: Path) -> None:
    """Not at every line that is kept: the steps that SQLite takes don't grow with them."""
    async with opened(path) as wire:
        steps = []
        for _ in range(2):
            await asyncio.gather(*(publish(wire, f"Line {n}", expires_in=60) for n in range(400)))
            steps.append(await count_steps(wire, wire.trim))
        assert steps[1] <= steps[0] + 10


async def count_steps(wire: SqliteNewswire, work: Callable[[], Awaitable[None]]) -> int:
    """Tens of SQLite's virtual machine's instructions."""
    count = 0

    def one() -> int:
        nonlocal count
        count += 1
        return 0

    connections = [db for db in (wire._transactions.writing, wire._transactions.reading) if db]
    for db in connections:
        db.set_progress_handler(one, 10)
    await work()
    for db in connections:
        db.set_progress_handler(None, 0)
    return count


async def test_a_step_of_trimming_takes_a_few_rows_and_editors_come_in_between(path: Path) -> None:
    clock = Clock()
    channel = a_channel(history_for=HOUR, expires_in=60)
    wire = SqliteNewswire(path, clock)
    await wire.open({"en": channel})
    await asyncio.gather(*(publish(wire, f"Line {n}", to=channel) for n in range(2_000)))
    clock.now += 2 * HOUR
    trimming = asyncio.create_task(wire.trim())
    await asyncio.sleep(0)
    while not trimming.done():
        await publish(wire, "New", to=channel)
    await trimming
    events = await history(wire)
    assert {event.line.text for event in events} == {"New"}
    assert len(events) > 5
    await wire.close()


async def test_words_that_were_canceled_leave_the_file_with_their_history(path: Path) -> None:
    clock = Clock()
    channel = a_channel(history_for=HOUR, tombstones_for=HOUR)
    wire = SqliteNewswire(path, clock)
    await wire.open({"en": channel})
    line = (await publish(wire, "Defamatory", to=channel, once=Once("a", "b"))).line
    await amend(wire, line.id, of=channel, status="canceled")
    clock.now += 2 * DAY
    await publish(wire, to=channel)
    await wire.trim()
    for name in ("ticker.db", "ticker.db-wal"):
        assert b"Defamatory" not in path.with_name(name).read_bytes(), name
    await wire.close()
    assert b"Defamatory" not in path.read_bytes()


async def test_a_trouble_with_the_file_is_logged_once_and_so_is_its_end(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with opened(path) as wire:
        await publish(wire)
        with no_page_left(wire):
            for _ in range(5):
                with pytest.raises(NewswireFull):
                    await publish(wire, "🇯🇴" * 280)
            assert caplog.text.count("Make room") == 1
        await publish(wire)
        await publish(wire)
        assert caplog.text.count("takes changes again") == 1


async def test_a_clock_behind_the_newest_line_is_told_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wire = SqliteNewswire(path, Clock())
    await wire.open(BOTH)
    await publish(wire)
    assert wire.clock_is_off() is None
    await wire.close()
    wire = SqliteNewswire(path, Clock(START - HOUR))
    await wire.open(BOTH)
    assert "3600 s ahead of this machine's clock" in str(wire.clock_is_off())
    assert "3600 s ahead of this machine's clock" in caplog.text
    assert wire.now() == datetime.fromtimestamp(START - HOUR, UTC)
    await wire.close()


@contextmanager
def no_page_left(wire: SqliteNewswire) -> Iterator[None]:
    """SQLite's own limit of the file's size, which only its own connection can set: the error of a full disk."""
    db = wire._transactions.writing
    assert db
    db.execute("PRAGMA max_page_count = 1")  # the file is larger: so, no larger than it is
    yield
    db.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """What a careless back-up does."""
    with closing(sqlite3.connect(path, timeout=WITHIN, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


# SQLite alone: what editors and readers are told meanwhile


def assert_not_kept(answer: httpx.Response, *statuses: int) -> None:
    problem = answer.json()
    assert answer.status_code in statuses
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    assert problem["status"] == answer.status_code
    assert "Nothing was published" in problem["detail"]


@contextmanager
def no_room(node: Any, bytes_left: int) -> Iterator[None]:
    """No file of the node's may grow further than its log of changes is by now, and a little: a disk with an end."""
    size = (node.folder / "ticker.db-wal").stat().st_size + bytes_left
    _, hard = resource.prlimit(node.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (size, hard))
    yield
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.parametrize("bytes_left", [0, 100, 5_000], ids=lambda n: f"{n} bytes left")
def test_a_line_that_finds_no_room_is_refused_and_never_half_there(node: Any, bytes_left: int) -> None:
    first = node.publish("en", "Rain")
    with connect(f"ws://127.0.0.1:{node.port}/v1/live?channel=en") as reader:
        assert json.loads(reader.recv(WITHIN))["cursor"] == first["id"]
        with no_room(node, bytes_left):
            for _ in range(3):
                assert_not_kept(node.http.post("/v1/channels/en/lines", json={"text": "Lost"}), 503, 507)
            assert_not_kept(node.http.patch(f"/v1/channels/en/lines/{first['id']}", json={"text": "Lost"}), 503, 507)
            assert node.board("en") == [first]
            assert len(node.get("/v1/channels/en/events")["events"]) == 1
        kept = node.publish("en", "Kept")
        frame = json.loads(reader.recv(WITHIN))
        assert (frame["type"], frame["prev"], frame["line"]) == ("line", first["id"], kept)
    node.kill()
    node.start()
    assert node.board("en") == [kept, first]
    assert [event["cursor"] for event in node.get("/v1/channels/en/events")["events"]] == [first["id"], kept["id"]]


def test_a_locked_file_is_said_to_be_so_and_the_node_recovers(node: Any) -> None:
    first = node.publish("en", "Rain")
    with locked(node.folder / "ticker.db"):
        assert_not_kept(node.http.post("/v1/channels/en/lines", json={"text": "Lost"}), 503)
        ready = httpx.get(f"{node.url}/readyz")
        assert ready.status_code == 503
        assert node.board("en") == [first]
    assert httpx.get(f"{node.url}/readyz").status_code == 200
    kept = node.publish("en", "Kept")
    assert node.board("en") == [kept, first]


def test_a_node_on_a_damaged_file_says_so_in_a_sentence(path: Path) -> None:
    path.write_text("Dear diary, it rained. " * 1_000)
    node = ran(path, "serve", "--port", "0")
    assert node.returncode == 2
    assert node.stdout == ""
    assert "ticker: " in node.stderr
    assert "damaged or no newswire" in node.stderr
    assert "Traceback" not in node.stderr
