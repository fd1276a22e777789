"""Presence, secrets, keys, people and sessions, as every newswire promises them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from msgspec.structs import replace

from tests.newswire.wires import (
    MOMENT,
    START,
    Clock,
    Store,
)
from ticker.errors import Conflict
from ticker.identity import Key, Passkey, Person, make
from ticker.newswire import Newswire
from ticker.newswire.stores import Presence
from ticker.session import SESSION_FOR, SESSIONS_MAX, Session

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


# People


def person(n: int, name: str = "Ada") -> Person:
    return Person(
        id=f"p_{n}",
        name=name,
        role="editor",
        channels=("en",),
        created=datetime(2026, 11, 27, tzinfo=UTC) + timedelta(seconds=n),
        passkeys=(
            Passkey(
                id="abc",
                name="Phone",
                public_key=b"\x00\xff",
                sign_count=1,
                created=datetime(2026, 11, 27, tzinfo=UTC),
                by="link",
            ),
        ),
    )


async def test_people_are_kept_listed_by_age_and_found_by_id(newswire: Newswire) -> None:
    made = [person(n) for n in range(3)]
    for each in reversed(made):
        assert await newswire.people.keep(each) == each
    assert await newswire.people.all() == made
    assert await newswire.people.get("p_1") == made[1]
    assert await newswire.people.get("nobody") is None
    assert await newswire.people.keep(person(1, "Eve")) == made[1]


async def test_of_many_changes_of_a_person_none_is_lost(newswire: Newswire) -> None:
    await newswire.people.keep(person(1))

    def touched(kept: Person) -> Person:
        (passkey,) = kept.passkeys
        return replace(kept, passkeys=(replace(passkey, sign_count=passkey.sign_count + 1),))

    await asyncio.gather(*(newswire.people.change("p_1", touched) for _ in range(10)))
    kept = await newswire.people.get("p_1")
    assert kept
    assert kept.passkeys[0].sign_count == 11
    assert await newswire.people.change("nobody", touched) is None


async def test_a_change_of_a_person_that_is_refused_keeps_nothing(newswire: Newswire) -> None:
    await newswire.people.keep(person(1))

    def refuse(kept: Person) -> Person:
        raise Conflict("No.")

    with pytest.raises(Conflict):
        await newswire.people.change("p_1", refuse)
    assert await newswire.people.get("p_1") == person(1)


# Sessions


def session(n: int, now: datetime, whose: str = "p_1") -> Session:
    return Session(
        id=f"s{n}", check="c", whose=whose, how="key", device="", created=now, last_used=now + timedelta(seconds=n)
    )


async def test_a_session_is_kept_until_it_is_ended_and_ended_once(newswire: Newswire) -> None:
    now = newswire.now()
    one, other = session(1, now), session(2, now, "p_2")
    await newswire.sessions.keep(one)
    await newswire.sessions.keep(other)
    assert await newswire.sessions.get("s1") == one
    assert await newswire.sessions.all() == [one, other]
    ended = await asyncio.gather(*(newswire.sessions.end("s1") for _ in range(5)))
    assert sorted(ended, key=str) == [*[None] * 4, one]
    assert await newswire.sessions.get("s1") is None
    assert await newswire.sessions.change("s1", lambda kept: replace(kept, last_used=now)) is None
    assert await newswire.sessions.all() == [other]


async def test_what_is_over_makes_room_for_a_new_session_and_too_many_do_too(newswire: Newswire) -> None:
    now = newswire.now()
    over = session(0, now - timedelta(seconds=SESSION_FOR), "p_2")
    await newswire.sessions.keep(over)
    for n in range(SESSIONS_MAX + 2):
        await newswire.sessions.keep(session(n, now))
    assert [each.id for each in sorted(await newswire.sessions.all(), key=lambda each: each.last_used)] == [
        f"s{n}" for n in range(2, SESSIONS_MAX + 2)
    ]


# Secrets that are kept once


async def test_of_many_that_keep_a_secret_first_one_does(newswire: Newswire) -> None:
    kept = await asyncio.gather(*(newswire.secrets.keep_first("word", str(n).encode(), 60) for n in range(10)))
    assert sorted(kept) == [*[False] * 9, True]
    assert await newswire.secrets.get("word") == str(kept.index(True)).encode()


async def test_a_secret_that_was_kept_first_makes_room_when_its_time_is_over(clocked: Store) -> None:
    wire = await clocked.open(clock=Clock())
    assert await wire.secrets.keep_first("word", b"1", 60)
    assert not await wire.secrets.keep_first("word", b"2", 60)
    wire = await clocked.open(clock=Clock(START + 60 + MOMENT))
    assert await wire.secrets.keep_first("word", b"3", 60)
