"""SQLite: drafts over a kill, from an older file, and what they cost."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.newswire.drafting import ADA, a_lock, keep, keep_change, settle
from tests.newswire.files import opened, refusal
from tests.newswire.wires import BOTH, EN, ES, START, Clock, assert_chain, history, publish
from tests.patience import WITHIN
from ticker import draft as rules
from ticker.draft import ENDED, LIVING, Draft, Edit, State
from ticker.errors import NewswireUnavailable
from ticker.identity import Actor
from ticker.line import Act, Cursor, Line, NewLine, begin, checked
from ticker.newswire.sqlite import SqliteNewswire, checking, migrations
from ticker.newswire.sqlite.migrations import APPLICATION_ID, MIGRATIONS

ROOT = Path(__file__).parent.parent.parent

# Keeps drafts that are due and releases them, three at once, until it is killed; says each time what it was told.
RELEASES = """
import asyncio, sys
from tests.newswire.drafting import keep, settle
from tests.newswire.wires import BOTH, EN
from ticker.newswire.sqlite import SqliteNewswire

async def main():
    wire = SqliteNewswire(sys.argv[1])
    await wire.open(BOTH)
    async def one(name):
        number = 0
        while True:
            number += 1
            draft = await keep(wire, EN, f"Line {name} {number}", due_in=-1)
            print("kept", draft.id, flush=True)
            settled = await settle(wire, EN, draft)
            print(settled.draft.state, draft.id, flush=True)
    await asyncio.gather(*(one(n) for n in range(3)))

asyncio.run(main())
"""


async def test_a_draft_is_released_with_its_line_or_not_at_all_when_the_node_is_killed(path: Path) -> None:
    lot = random.Random(1)
    said: list[list[str]] = []
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", RELEASES, path], cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert process.stdout
        said.append(process.stdout.readline().split())
        await asyncio.sleep(lot.uniform(0.02, 0.15))
        process.kill()
        said += [line.split() for line in process.stdout.read().splitlines()]
        process.stdout.close()
        process.wait(WITHIN)
    async with opened(path) as wire:
        events = await history(wire)
        assert_chain(events)
        released = [event.act.draft for event in events]
        assert len(released) == len(set(released))
        drafts = [*(await wire.drafts("en", LIVING, 100_000)).drafts, *(await wire.drafts("en", ENDED, 100_000)).drafts]
        by_id = {draft.id: draft for draft in drafts}
        assert {draft.id for draft in drafts if draft.state == "released"} == set(released)
        assert {draft.id for draft in drafts if draft.state != "released"} == {
            due.draft for due in await wire.upcoming(BOTH, 100_000)
        }
        told: list[list[str]] = [words for words in said if len(words) == 2 and len(words[1]) == 34]
        assert told
        for state, draft_id in told:
            assert draft_id in by_id, "what was said to be kept is kept"
            assert state == "kept" or by_id[draft_id].state == "released"
        for draft in drafts:
            if draft.state == "scheduled":
                assert (await settle(wire, EN, draft)).draft.state == "released"
        events = await history(wire)
        assert sorted(str(event.act.draft) for event in events) == sorted(by_id)


async def test_a_file_that_is_gone_releases_nothing(path: Path) -> None:
    async with opened(path) as wire:
        draft = await keep(wire, EN, due_in=-1)
        path.rename(path.with_name("away.db"))
        for ask in (settle(wire, EN, draft), keep(wire, EN), wire.lock("en", a_lock())):
            with pytest.raises(NewswireUnavailable):
                await ask
        path.with_name("away.db").rename(path)
        assert await wire.draft("en", draft.id) == draft
        assert await wire.locks() == {}


# An older file


@pytest.fixture
def of_schema_2(path: Path) -> tuple[Path, Line]:
    """A file as the version before drafts has left it, with a line of Ada's."""
    line = begin(checked(NewLine(text="Rain")), EN, Cursor(int(START * 1000), 0))
    body = msgspec.json.encode(line)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(" ".join(step.script for step in MIGRATIONS[:2]))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA user_version = 2")
        ms = int(START * 1000)
        db.execute("INSERT INTO event VALUES ('en', ?, 0, NULL, ?, 0, 'Ada', ?)", (ms, ms, body))
        db.execute("INSERT INTO line VALUES ('en', ?, 0, 'usable', 0, NULL, ?, ?)", (ms, ms, body))
        db.execute("INSERT INTO channel VALUES ('en', ?, 0)", (ms,))
        db.execute("INSERT INTO once VALUES ('ada:1', 'fingerprint', ?, ?)", (int(START), body))
        db.commit()
    return path, line


async def test_a_file_from_before_drafts_is_copied_and_brought_up(of_schema_2: tuple[Path, Line]) -> None:
    path, line = of_schema_2
    wire = SqliteNewswire(path, Clock(START + 60))
    await wire.open(BOTH)
    try:
        (event,) = await history(wire)
        assert (event.line, event.act) == (line, Act(by=Actor(None, "Ada")))
        assert await wire.upcoming(BOTH, 10) == []
        settled = await settle(wire, EN, await keep_change(wire, EN, line, text="Snow", due_in=-1))
        assert settled.outcome
        assert settled.outcome.event
        assert settled.outcome.event.prev == event.cursor
        assert [event.act.by for event in await history(wire)] == [Actor(None, "Ada"), ADA.actor]
    finally:
        await wire.close()
    with closing(sqlite3.connect(path.with_name("ticker.db-v2-backup"))) as copy:
        assert copy.execute("PRAGMA user_version").fetchone() == (2,)
        assert copy.execute("SELECT by FROM event").fetchall() == [("Ada",)]
        assert not copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'draft'").fetchone()


async def test_the_version_before_drafts_refuses_a_file_with_drafts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path) as wire:
        await keep(wire, EN)
    monkeypatch.setattr(migrations, "MIGRATIONS", MIGRATIONS[:2])
    for module in (migrations, checking):
        monkeypatch.setattr(module, "SCHEMA", 2)
    assert f"another version of Ticker (schema {len(MIGRATIONS)}, this one reads 2)" in await refusal(path)


# What it costs


def noted(draft: Draft) -> Draft:
    return rules.edit(draft, Edit(note_to_desk="Look"), EN, ADA, draft.updated)


@contextlib.contextmanager
def statements(wire: SqliteNewswire, said: list[str]) -> Iterator[None]:
    """Meanwhile, what SQLite is asked is noted."""
    connections = [db for db in (wire._transactions.writing, wire._transactions.reading) if db]
    for db in connections:
        db.set_trace_callback(said.append)
    yield
    for db in connections:
        db.set_trace_callback(None)


async def test_nothing_is_searched_for_without_an_index(path: Path) -> None:
    async with opened(path) as wire:
        said: list[str] = []
        with statements(wire, said):
            line = (await publish(wire)).line
            drafts = [await keep(wire, EN, due_in=-1), await keep_change(wire, EN, line, text="Snow", due_in=60)]
            await wire.change_draft("en", drafts[1].id, noted)
            await settle(wire, EN, drafts[0])
            states: list[State] = [*LIVING, *ENDED]
            page = await wire.drafts("en", states, 1)
            await wire.drafts("en", states, 1, page.drafts[0].place)
            await wire.upcoming(BOTH, 10)
            await wire.lock("en", a_lock())
            await wire.unlock("en", a_lock())
            await wire.recent("en", wire.now(), 10)
            await wire._trimming.trim()
        with closing(sqlite3.connect(path)) as db:
            for statement in {each for each in said if " draft" in each or " lock" in each or "ms DESC" in each}:
                for *_, step in db.execute(f"EXPLAIN QUERY PLAN {statement}"):
                    assert "TEMP B-TREE" not in step, (statement, step)
                    assert not step.startswith("SCAN") or "USING" in step, (statement, step)


async def test_ten_thousand_drafts_hold_up_no_start_and_no_list(path: Path) -> None:
    async with opened(path) as wire:
        moment = wire.now()
        drafts = [rules.write(EN, ADA, moment, new=NewLine(text=f"Line {n}")) for n in range(10_000)]
        later = moment.replace(year=moment.year + 1)

        def keep_all(db: sqlite3.Connection) -> None:
            for draft in drafts:
                wire._drafts._keep(db, rules.schedule(draft, EN, ADA, moment, later))

        await wire._transactions.write(keep_all)
    began = time.monotonic()
    async with opened(path) as wire:
        assert len(await wire.upcoming(BOTH, 200)) == 200
        assert (await wire.drafts("en", ("open", "submitted"), 100)).drafts == []
        assert len((await wire.drafts("en", LIVING, 100)).drafts) == 100
        first: Draft = await keep(wire, EN, due_in=-1)
        assert (await wire.upcoming(BOTH, 1))[0].draft == first.id
        await publish(wire, to=ES)
    assert time.monotonic() - began < 1
