"""A file that won't do is refused; one that takes nothing for a while goes on."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.newswire.files import fill, locked, no_page_left, opened, ran, refusal
from tests.newswire.wires import (
    EN,
    assert_chain,
    heard,
    history,
    publish,
)
from ticker.errors import (
    Misconfigured,
    NewswireFull,
    NewswireUnavailable,
)
from ticker.newswire import IdempotencyKey, open_newswire

pytestmark = pytest.mark.usefixtures("patience_with_redis")


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
                        await publish(wire, "🇯🇴" * 280, once=IdempotencyKey("ada:1", "fingerprint"))
                assert (await wire.snapshot(EN), await history(wire)) == before
            kept = await publish(wire, "Kept", once=IdempotencyKey("ada:1", "another"))
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
