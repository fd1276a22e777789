"""SQLite: whose file it is, and whether it is still the one."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.newswire.files import fill, opened, ran, told
from tests.newswire.wires import (
    EN,
    assert_chain,
    history,
    publish,
    until,
)
from tests.patience import WITHIN
from ticker.errors import (
    NewswireUnavailable,
)

pytestmark = pytest.mark.usefixtures("patience_with_redis")


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


async def test_nobody_opens_another_file_while_it_is_moved_away(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SQLite would make an empty one in its place, and delete the log of changes: the lines that are only there."""
    caplog.set_level("INFO")
    async with opened(path) as wire:
        first = await publish(wire)
        await until(lambda: told("was checked", caplog))
        path.rename(path.with_name("away.db"))
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            wire._transactions.connect(True)
        wire._transactions.check_due.set()  # as if somebody had written to it
        await until(lambda: told("while this node runs", caplog))
        assert not path.exists()
        path.with_name("away.db").rename(path)
        await until(lambda: told("takes changes again", caplog))
        assert_chain([first, await publish(wire, "Kept")])

        async def checked_twice() -> bool:
            return caplog.text.count("was checked") == 2

        await until(checked_twice)
    assert "damaged" not in caplog.text


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
