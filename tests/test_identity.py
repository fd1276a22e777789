"""Who may do what, and who is one person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

import msgspec
import pytest

from ticker.identity import ROLES, Action, Actor, Key, Role, key_info, make, may, parts

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
    assert shown.keys() == set(Key.__struct_fields__) - {"hash"}
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
