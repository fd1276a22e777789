"""History, boards and heads, as every newswire promises them."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from tests.newswire.wires import (
    Clock,
    Store,
    a_channel,
    amend,
    amended,
    history,
    publish,
)
from ticker.board import Board
from ticker.errors import (
    Gone,
    Malformed,
)
from ticker.line import Cursor
from ticker.newswire import Newswire

pytestmark = pytest.mark.usefixtures("patience_with_redis")


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


async def test_heads_name_each_channels_last_event(newswire: Newswire) -> None:
    assert await newswire.heads() == {"en": None, "es": None}
    first = await publish(newswire)
    last = await amended(newswire, first.line.id, pinned=True)
    assert await newswire.heads() == {"en": last.cursor, "es": None}
