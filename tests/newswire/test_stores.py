"""Presence, secrets and keys, as every newswire promises them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from tests.newswire.wires import (
    MOMENT,
    START,
    Clock,
    Store,
)
from ticker.identity import Key, make
from ticker.newswire import Newswire
from ticker.newswire.stores import Presence

pytestmark = pytest.mark.usefixtures("patience_with_redis")


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


async def test_a_key_of_an_id_that_is_kept_is_not_kept_in_its_place(newswire: Newswire) -> None:
    now = datetime.now(UTC)
    first, second = (make("Ada", "editor", (), now, request="env:1")[0] for _ in range(2))
    assert (first.id, first.hash == second.hash) == (second.id, False)
    assert await newswire.keys.keep(first) == first
    assert await newswire.keys.keep(second) == first
    assert await newswire.keys.all() == [first]


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
