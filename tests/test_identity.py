"""Who may do what, and who is one person."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import pytest

from ticker.identity import (
    ROLES,
    Action,
    Actor,
    Key,
    Person,
    Role,
    key_info,
    make,
    may,
    new_person_id,
    of_person,
    parts,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)

# Role:      contributor, editor, chief, admin
TABLE: dict[Action, str] = {
    "draft": "yyyy",
    "publish": "nyyy",
    "withhold": "nyyy",
    "edit": "nyyy",
    "approve": "nyyy",
    "cancel": "nnyy",
    "lock": "nnyy",
    "administer": "nnny",
}


@dataclass
class Case:
    role: Role
    action: Action
    allowed: bool


CASES = [
    Case(role, action, said == "y") for action, row in TABLE.items() for role, said in zip(ROLES, row, strict=True)
]


def a_key(role: Role, *channels: str, owner: str | None = None) -> Key:
    return make("Ada", role, channels, NOW, owner)[0]


def test_the_table_has_every_role_and_action() -> None:
    assert get_args(Role) == ROLES
    assert set(TABLE) == set(get_args(Action))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.role}-{case.action}")
def test_a_role_may_do_what_the_table_says_on_channels_that_it_reaches(case: Case) -> None:
    assert may(case.role, case.action) == case.allowed
    assert a_key(case.role).may(case.action) == case.allowed
    reaches_all = case.role in ("chief", "admin")
    for channels, channel, reached in ((("en",), "en", True), (("en",), "es", reaches_all), ((), "es", True)):
        key = a_key(case.role, *channels)
        assert key.reaches(channel) == reached
        assert key.may(case.action, channel) == (case.allowed and reached)


def test_two_keys_are_two_people_unless_they_have_one_owner() -> None:
    assert a_key("editor").person != a_key("editor").person
    assert a_key("editor", owner="Ada Lovelace").person == a_key("chief", owner="ADA lovelace").person
    assert a_key("editor", owner="Straße").person == a_key("editor", owner="STRASSE").person
    assert a_key("editor", owner="Ada").person != a_key("editor", owner="Bob").person


def test_no_owner_can_be_taken_for_a_key() -> None:
    key = a_key("editor")
    assert a_key("editor", owner=key.id).person != key.person
    assert a_key("editor", owner=f"key:{key.id}").person != key.person


def test_an_actor_is_an_id_and_a_name_and_no_more() -> None:
    key = a_key("editor", owner="Ada Lovelace")
    assert key.actor == Actor(key.id, "Ada")
    assert msgspec.to_builtins(key.actor) == {"id": key.id, "name": "Ada"}


def test_a_list_of_keys_shows_no_hash() -> None:
    key, token = make("Ada", "editor", ("en",), NOW, "Ada Lovelace")
    shown = msgspec.to_builtins(key_info(key))
    assert shown.keys() == set(Key.__struct_fields__) - {"hash", "person_id", "acts_as"} | {"person"}
    found = parts(token)
    assert found
    key_id, secret = found
    assert key_id == key.id
    assert key.opens_with(secret)
    assert not key.opens_with(f"{secret}x")
    assert secret not in str(shown)


def test_a_key_that_an_older_version_kept_has_no_owner() -> None:
    kept = msgspec.to_builtins(a_key("admin"))
    del kept["owner"]
    assert msgspec.convert(kept, Key).owner is None


# People


def a_person(role: Role = "editor", channels: tuple[str, ...] = (), owner: str | None = None) -> Person:
    return Person(id="p_1", name="Ada", role=role, channels=channels, created=NOW, owner=owner)


def test_all_keys_of_a_person_and_their_sessions_are_one_person() -> None:
    ada = a_person()
    phone, laptop = (make(name, "editor", (), NOW, person_id="p_1")[0] for name in ("phone", "laptop"))
    acting = [of_person(key, ada) for key in (phone, laptop)]
    assert {each.person for each in acting if each} == {ada.person}
    assert ada.has(phone)
    assert not ada.has(make("robot", "editor", (), NOW)[0])
    assert not ada.has(make("old", "editor", (), NOW, owner="Ada")[0])


def test_keys_that_name_an_owner_are_those_of_the_person_who_is_known_by_it() -> None:
    ada = a_person(owner="Ada Lovelace")
    before = make("old", "editor", (), NOW, owner="ADA LOVELACE")[0]
    new = of_person(make("new", "editor", (), NOW, person_id="p_1")[0], ada)
    assert new
    assert before.person == ada.person == new.person
    assert ada.has(before)


@pytest.mark.parametrize(
    ("key", "person", "acts"),
    [
        (("editor", ()), ("editor", ()), ("editor", ())),
        (("admin", ()), ("editor", ("en",)), ("editor", ("en",))),
        (("editor", ("en",)), ("admin", ()), ("editor", ("en",))),
        (("chief", ()), ("admin", ()), ("chief", ())),
        (("editor", ("en", "es")), ("editor", ("es", "ar")), ("editor", ("es",))),
        (("contributor", ()), ("editor", ("ar",)), ("contributor", ("ar",))),
        (("editor", ("en",)), ("editor", ("ar",)), None),
    ],
)
def test_a_persons_key_does_no_more_than_both_may(key: Any, person: Any, acts: Any) -> None:
    role, channels = key
    found = of_person(make("phone", role, channels, NOW, person_id="p_1")[0], a_person(*person))
    assert (found and (found.role, found.channels)) == acts


def test_ids_of_people_are_none_of_keys_and_the_same_request_gives_the_same() -> None:
    assert re.fullmatch(r"p_[a-z2-9]{12}", new_person_id())
    assert new_person_id("request") == new_person_id("request") != new_person_id()
