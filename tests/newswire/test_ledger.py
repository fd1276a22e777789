"""The ledger of corrections as each newswire keeps it, made from the history by whichever node looks first."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from tests.newswire.wires import BOTH, MOMENT, START, Clock, Store, a_channel, amend, history, publish
from ticker.background import ledger as module
from ticker.background.ledger import Ledger
from ticker.corrections import Correction, corrections_of
from ticker.errors import Conflict
from ticker.line import Cursor
from ticker.newswire import Newswire

pytestmark = pytest.mark.usefixtures("patience_with_redis")


def correction(cursor: str, said: str = "Rain") -> Correction:
    return Correction(cursor=cursor, line="1-0", kind="correction", said=said, note=None)


async def all_of(wire: Newswire, channel: str = "en") -> list[Correction]:
    return await wire.corrections.page(channel, None, 1_000)


async def test_entries_are_kept_once_and_read_newest_first_page_by_page(newswire: Newswire) -> None:
    kept = newswire.corrections
    assert (await kept.upto("en"), await all_of(newswire)) == (None, [])
    cursors = ["999-0", "1000-0", "1000-1", "1000-10", "1763892000000-0"]
    for cursor in random.Random(7).sample(cursors, 5):
        await kept.keep("en", [correction(cursor)], cursor)
    await kept.keep("en", [correction(cursor) for cursor in cursors], "1763892000001-0")
    assert await kept.upto("en") == "1763892000001-0"
    assert [each.cursor for each in await all_of(newswire)] == cursors[::-1]
    assert await kept.page("en", Cursor(1000, 10), 2) == [correction("1000-1"), correction("1000-0")]
    assert await kept.page("en", Cursor(999, 0), 2) == []
    assert await all_of(newswire, "es") == []
    await kept.reset("en")
    assert (await kept.upto("en"), await all_of(newswire)) == (None, [])


async def test_lines_are_read_together_and_those_that_are_not_kept_are_left_out(newswire: Newswire) -> None:
    lines = [(await publish(newswire, text)).line for text in ("Rain", "Snow")]
    found = await newswire.lines("en", [*(line.id for line in lines), "1-0"])
    assert found == {line.id: line for line in lines}
    assert await newswire.lines("es", [lines[0].id]) == {}
    assert await newswire.lines("en", []) == {}


async def changed_at_random(wire: Newswire, chance: random.Random, lines: list[str], changes: int) -> None:
    for _ in range(changes):
        if not lines or chance.random() < 0.2:
            lines.append((await publish(wire, chance.choice("ABC"))).line.id)
            continue
        fields: dict[str, Any] = chance.choice(
            [
                {"text": chance.choice("ABCD")},
                {"text": chance.choice("ABCD"), "refile": True},
                {"status": "withheld"},
                {"status": "usable"},
                {"status": "canceled"},
                {"pinned": chance.random() < 0.5},
            ]
        )
        try:
            await amend(wire, chance.choice(lines), **fields)
        except Conflict:
            continue


async def test_it_holds_what_the_history_says_whoever_looks_and_whenever(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 7)
    monkeypatch.setattr(module, "REST", 0.0)
    wire = await store.open()
    chance = random.Random(11)
    lines: list[str] = []
    nodes = [Ledger(wire, BOTH) for _ in range(3)]
    for round_ in range(4):
        await changed_at_random(wire, chance, lines, 40)
        if round_ == 2:  # a node that starts anew knows nothing of what was looked at
            nodes[0] = Ledger(wire, BOTH)
        await asyncio.gather(*(node.catch_up("en") for node in nodes[: 1 + round_ % 3]))
        by_line: dict[str, list[Correction]] = {}
        for line_id in lines:
            by_line[line_id] = corrections_of(await wire.versions("en", line_id))
        expected = sorted(
            (each for found in by_line.values() for each in found), key=lambda each: Cursor.parse(each.cursor)
        )
        assert expected
        assert await all_of(wire) == expected[::-1]
    assert await wire.corrections.upto("en") == (await history(wire))[-1].cursor


async def test_what_it_was_made_from_and_is_lost_is_lost_in_it_too(newswire: Newswire) -> None:
    """As after a rollback: the last event that was looked at was never there."""
    line = (await publish(newswire, "A")).line
    await amend(newswire, line.id, text="B")
    node = Ledger(newswire, BOTH)
    await newswire.corrections.keep("en", [correction("5-0", said="never published")], "1763892009999-0")
    await node.catch_up("en")
    (entry,) = await all_of(newswire)
    assert (entry.line, entry.said) == (line.id, "A")


async def test_it_is_trimmed_with_the_history(clocked: Store) -> None:
    channel = a_channel("en", history_for=3_600)
    clock = Clock()
    wire = await clocked.open({"en": channel}, clock)
    line = (await publish(wire, "A", to=channel, expires_in=60)).line
    await amend(wire, line.id, of=channel, text="B")
    await Ledger(wire, ["en"]).catch_up("en")
    assert len(await all_of(wire)) == 1
    wire = await clocked.open({"en": channel}, Clock(START + 3_600 + 2 * MOMENT))
    await publish(wire, "Later", to=channel)
    await wire.trim()  # type: ignore[attr-defined]
    await Ledger(wire, ["en"]).catch_up("en")
    assert await all_of(wire) == []
