"""SQLite: the check and the trimming."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.newswire.files import no_page_left, opened, told
from tests.newswire.wires import (
    BOTH,
    START,
    Clock,
    a_channel,
    amend,
    history,
    publish,
    until,
)
from ticker.channel import DAY, HOUR
from ticker.errors import (
    NewswireFull,
    NewswireUnavailable,
)
from ticker.newswire import IdempotencyKey
from ticker.newswire.sqlite import SqliteNewswire

pytestmark = pytest.mark.usefixtures("patience_with_redis")


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
    line = (await publish(wire, "Defamatory", to=channel, once=IdempotencyKey("a", "b"))).line
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
