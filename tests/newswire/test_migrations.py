"""What older versions have kept is opened for ever; what a newer one has kept is refused, in a sentence."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.acting import act
from tests.redis_servers import RedisServer, RedisStore, shared_server
from ticker.channel import Channel, Direction
from ticker.errors import KeyReused, Misconfigured
from ticker.identity import Actor, Key
from ticker.line import Act, Event, Line, NewLine, checked
from ticker.newswire import IdempotencyKey, Newswire
from ticker.newswire.redis import RedisNewswire
from ticker.newswire.redis import migrations as redis_migrations
from ticker.newswire.schema import Migration, read_migrations
from ticker.newswire.sqlite import SqliteNewswire, migrations

pytestmark = pytest.mark.usefixtures("patience_with_redis")

DATA = Path(__file__).parent.parent / "data"
WRITTEN = 1_763_892_000.0 + 120  # seconds; two minutes after the first line of 0.1.0's
DIRECTIONS: dict[str, Direction] = {"en": "ltr", "ar": "rtl"}
CHANNELS = {
    slug: Channel(
        slug=slug, title=slug, language=slug, direction=direction, label="Breaking", max_lines=5, expires_in=None
    )
    for slug, direction in DIRECTIONS.items()
}


def clock() -> float:
    return WRITTEN


def put_into(server: RedisServer, kept: dict[str, Any], prefix: str) -> None:
    """What was kept, under another prefix."""
    for name, held in kept.items():
        key, value = name.replace("ticker:", f"{prefix}:", 1), held["value"]
        match held["type"]:
            case "string":
                server.do("SET", key, value)
            case "hash":
                server.do("HSET", key, *(part for item in value.items() for part in item))
            case "list":
                server.do("RPUSH", key, *value)
            case "zset":
                server.do("ZADD", key, *(part for pair in zip(value[1::2], value[::2], strict=True) for part in pair))
            case "stream":
                for cursor, fields in value:
                    server.do("XADD", key, cursor, *(part for item in fields.items() for part in item))
        if held["ttl"] > 0:
            server.do("EXPIRE", key, held["ttl"])


async def sqlite_0_1_0(folder: Path) -> AsyncIterator[tuple[Newswire, Any]]:
    shutil.copy(DATA / "0.1.0.sqlite", folder / "ticker.db")
    wire = SqliteNewswire(folder / "ticker.db", clock)
    await wire.open(CHANNELS)
    yield wire, json.loads((DATA / "0.1.0-sqlite.json").read_text())
    await wire.close()


async def redis_0_1_0(_: Path) -> AsyncIterator[tuple[Newswire, Any]]:
    written = json.loads((DATA / "0.1.0-redis.json").read_text())
    store = RedisStore(CHANNELS)
    store.server.step(0)
    put_into(store.server, written["kept"], store.prefix)
    yield await store.open(CHANNELS, clock), written["said"]
    await store.close()


@pytest.fixture(params=[sqlite_0_1_0, redis_0_1_0], ids=["sqlite", "redis"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Newswire, Any]]:
    """A newswire of this version over what 0.1.0 has kept, and what 0.1.0 said of it."""
    async for pair in request.param(tmp_path):
        yield pair


# Version 0.1.0


def events_of(said: list[dict[str, Any]]) -> list[Event]:
    """What 0.1.0 said of its events: `by` was a name then, of which nobody knows the key."""
    return [
        Event(
            channel=event["channel"],
            cursor=event["cursor"],
            prev=event["prev"],
            line=msgspec.convert(event["line"], Line),
            act=Act(by=Actor(None, event["by"])),
        )
        for event in said
    ]


async def test_every_line_cursor_and_event_of_0_1_0_is_as_it_was(opened: tuple[Newswire, Any]) -> None:
    wire, said = opened
    assert await wire.heads() == said["heads"]
    for slug, known in said["channels"].items():
        page = await wire.events(slug, None, 1_000)
        assert page.events == events_of(known["events"])
        statuses = {line_id: line["status"] for line_id, line in known["lines"].items()}
        assert page.withdrawn == {line_id: status for line_id, status in statuses.items() if status != "usable"}
        for line_id, line in known["lines"].items():
            assert await wire.line(slug, line_id) == msgspec.convert(line, Line)
            assert await wire.versions(slug, line_id) == events_of(known["versions"][line_id])
        for event in page.events:  # every cursor is one to go on from
            rest = (await wire.events(slug, event.cursor, 1_000)).events
            assert rest == page.events[page.events.index(event) + 1 :]
        board = await wire.snapshot(CHANNELS[slug])
        assert board.cursor == known["board"]["cursor"]
        assert board.lines == msgspec.convert(known["board"]["lines"], list[Line])


async def test_every_key_and_secret_of_0_1_0_is_as_it_was(opened: tuple[Newswire, Any]) -> None:
    wire, said = opened
    assert await wire.keys.all() == msgspec.convert(said["keys"], list[Key])
    for name, secret in said["secrets"].items():
        assert await wire.secrets.get(name) == secret.encode()


async def test_a_request_that_0_1_0_has_answered_is_answered_alike(opened: tuple[Newswire, Any]) -> None:
    wire, said = opened
    assert said["receipts"]
    for outcome in said["receipts"]:
        channel, once = CHANNELS[outcome["publish"]["channel"]], IdempotencyKey(*outcome["once"])
        new_line = checked(NewLine(text=outcome["publish"]["text"]))
        again = await wire.publish(channel, new_line, act=act(), once=once)
        assert again == (msgspec.convert(outcome["line"], Line), None, True)
        with pytest.raises(KeyReused):
            await wire.publish(channel, new_line, act=act(), once=IdempotencyKey(once.key, "another"))
    assert await wire.heads() == said["heads"]


async def test_a_line_published_now_follows_those_of_0_1_0(opened: tuple[Newswire, Any]) -> None:
    wire, said = opened
    for slug, channel in CHANNELS.items():
        event = (await wire.publish(channel, checked(NewLine(text="New")), act=act())).event
        assert event
        assert event.prev == said["heads"][slug]


# The steps


@pytest.mark.parametrize("package", ["ticker.newswire.sqlite.migrations", "ticker.newswire.redis.migrations"])
def test_each_step_says_what_it_does_in_a_sentence(package: str) -> None:
    for step in read_migrations(package):
        assert step.what[0].isupper(), step
        assert step.what.endswith("."), step


# SQLite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    shutil.copy(DATA / "0.1.0.sqlite", tmp_path / "ticker.db")
    return tmp_path / "ticker.db"


def schema(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


async def open_and_close(path: Path) -> None:
    wire = SqliteNewswire(path, clock)
    try:
        await wire.open(CHANNELS)
    finally:
        await wire.close()


async def test_an_older_file_is_copied_before_it_is_brought_up(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await open_and_close(path)
    copy = path.with_name("ticker.db-v1-backup")
    assert (schema(path), schema(copy)) == (migrations.SCHEMA, 1)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert caplog.text.count(str(copy)) == 1
    assert "schema 1" in caplog.text
    assert {file.name for file in path.parent.glob("*")} <= {"ticker.db", "ticker.db-lock", copy.name}
    copied = shutil.copy(copy, path.with_name("restored.db"))
    with closing(sqlite3.connect(copied)) as restored, closing(sqlite3.connect(DATA / "0.1.0.sqlite")) as original:
        assert list(restored.iterdump()) == list(original.iterdump())
    caplog.clear()
    await open_and_close(path)
    assert "brought up" not in caplog.text


async def test_changes_that_are_still_in_the_log_of_changes_are_in_the_copy(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(path)) as keeps_them_there:
        keeps_them_there.execute("SELECT count(*) FROM key").fetchone()
        db.execute("INSERT INTO secret VALUES ('late', 9999999999, 'in the log')")
        db.commit()
        for name in ("ticker.db", "ticker.db-wal"):
            shutil.copy(path.with_name(name), path.with_name(f"killed-{name}"))
    killed = path.with_name("killed-ticker.db")
    await open_and_close(killed)
    with closing(sqlite3.connect(killed.with_name("killed-ticker.db-v1-backup"))) as copy:
        assert copy.execute("SELECT body FROM secret WHERE name = 'late'").fetchone() == ("in the log",)


async def test_a_file_of_which_no_copy_can_be_kept_stays_as_it_is(path: Path) -> None:
    path.with_name("ticker.db-v1-backup").mkdir()
    with pytest.raises(Misconfigured, match="no copy of it could be kept"):
        await open_and_close(path)
    assert schema(path) == 1
    assert not path.with_name("ticker.db-v1-backup-part").exists()


async def test_a_new_file_is_made_without_a_copy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await open_and_close(tmp_path / "new.db")
    assert schema(tmp_path / "new.db") == migrations.SCHEMA
    assert not list(tmp_path.glob("*backup*"))
    assert "brought up" not in caplog.text


async def test_a_file_from_the_future_is_refused_in_a_sentence_and_left_as_it_is(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {migrations.SCHEMA + 1}")
    before = path.read_bytes()
    with pytest.raises(Misconfigured) as refused:
        await open_and_close(path)
    with pytest.raises(Misconfigured) as inspected:
        await SqliteNewswire(path).inspect(CHANNELS)
    assert refused.value.detail == inspected.value.detail
    assert f"schema {migrations.SCHEMA + 1}, this one reads {migrations.SCHEMA}" in refused.value.detail
    assert path.read_bytes() == before


# Redis


@pytest.fixture
def store() -> Iterator[RedisStore]:
    yield RedisStore(CHANNELS)
    shared_server().step(0)


def put_0_1_0(store: RedisStore) -> None:
    put_into(store.server, json.loads((DATA / "0.1.0-redis.json").read_text())["kept"], store.prefix)


def markers(store: RedisStore) -> dict[str, str]:
    names = "{keys}:schema-of-keys", "{en}:schema", "{ar}:schema"
    return {name: store.server.do("GET", f"{store.prefix}:{name}") for name in names}


async def open_nodes(store: RedisStore, count: int) -> None:
    wires = [RedisNewswire(store.url, f"node-{n}") for n in range(count)]
    await asyncio.gather(*(wire.open(CHANNELS) for wire in wires))
    for wire in wires:
        await wire.close()


@pytest.fixture
def a_step_more(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A version of Ticker with one more step, which this script takes."""

    def add(script: str) -> None:
        number = len(redis_migrations.MIGRATIONS) + 1
        steps = [*redis_migrations.MIGRATIONS, Migration(number, "It is counted.", script)]
        monkeypatch.setattr(redis_migrations, "MIGRATIONS", steps)

    return add


async def test_an_empty_redis_gets_its_number_and_nothing_is_said(
    store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    await open_nodes(store, 1)
    assert set(markers(store).values()) == {str(len(redis_migrations.MIGRATIONS))}
    assert "brings it up" not in caplog.text


async def test_of_many_nodes_that_start_at_once_each_step_is_taken_once(
    store: RedisStore, caplog: pytest.LogCaptureFixture, a_step_more: Callable[[str], None]
) -> None:
    put_0_1_0(store)
    a_step_more("-- It is counted.\nredis.call('HINCRBY', KEYS[1] .. '-steps', 'taken', 1)")
    await open_nodes(store, 5)
    await open_nodes(store, 1)
    assert set(markers(store).values()) == {str(len(redis_migrations.MIGRATIONS))}
    for name in markers(store):
        assert store.server.do("HGET", f"{store.prefix}:{name}-steps", "taken") == "1"
    said = [record.message for record in caplog.records if "brings it up" in record.message]
    assert said
    assert all("It is counted." in sentence for sentence in said)


async def test_a_redis_from_the_future_is_refused_in_a_sentence_and_left_as_it_is(store: RedisStore) -> None:
    await open_nodes(store, 1)
    future = len(redis_migrations.MIGRATIONS) + 1
    for name in markers(store):
        store.server.do("SET", f"{store.prefix}:{name}", future)
        with pytest.raises(Misconfigured) as refused:
            await open_nodes(store, 1)
        with pytest.raises(Misconfigured) as inspected:
            await RedisNewswire(store.url, "check").inspect(CHANNELS)
        assert refused.value.detail == inspected.value.detail
        assert f"schema {future}, this one reads {future - 1}" in refused.value.detail
        assert markers(store)[name] == str(future)
        store.server.do("SET", f"{store.prefix}:{name}", future - 1)


async def test_a_redis_that_takes_no_changes_is_not_brought_up(
    tmp_path: Path, a_step_more: Callable[[str], None]
) -> None:
    with RedisServer(tmp_path / "redis") as server:
        put_into(server, json.loads((DATA / "0.1.0-redis.json").read_text())["kept"], "ticker")
        server.do("CONFIG SET", "maxmemory", 1)
        wire = RedisNewswire(server.url, "one")
        await wire.open(CHANNELS)  # readers are served: this version reads what has no number, too
        assert len((await wire.snapshot(CHANNELS["en"])).lines) == 5
        await wire.close()
        a_step_more("redis.call('SET', KEYS[1], 'taken')")
        with pytest.raises(Misconfigured, match="can't be brought up"):
            await RedisNewswire(server.url, "one").open(CHANNELS)
