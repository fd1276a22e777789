"""Keys, roles and sessions, against a real node: who may do what, and what is never revealed."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ADMIN_KEY, RunningNode
from tests.patience import WITHIN, environment

LINES = "/v1/channels/en/lines"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("keys"))
    yield node
    node.close()


def make(node: RunningNode, role: str = "editor", *channels: str) -> dict[str, Any]:
    answer = node.http.post("/v1/keys", json={"name": f"Ada {uuid.uuid4()}", "role": role, "channels": channels})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def ids(node: RunningNode) -> list[str]:
    return [key["id"] for key in node.http.get("/v1/keys").json()["keys"]]


def listed(node: RunningNode, key_id: str) -> dict[str, Any]:
    [found] = [key for key in node.http.get("/v1/keys").json()["keys"] if key["id"] == key_id]
    return dict(found)


def ask(node: RunningNode, token: str, method: str = "POST", path: str = LINES, **given: Any) -> httpx.Response:
    if method == "POST" and not given:
        given = {"json": {"text": "Rain", "confirm": ["script"]}}
    return httpx.request(method, node.url + path, headers={"Authorization": f"Bearer {token}"}, **given)


@contextmanager
def signed_in(node: RunningNode, token: str) -> Iterator[httpx.Client]:
    """A browser, as far as cookies go."""
    with httpx.Client(base_url=node.url) as browser:
        assert browser.post("/desk/session", json={"key": token}).status_code == 204
        yield browser


# Making and listing


def test_a_new_key_is_shown_once_and_works(node: RunningNode) -> None:
    made = make(node, "editor", "en", "ar")
    assert re.fullmatch(rf"ticker_{made['id']}_[\w-]{{43}}", made["key"])
    assert (made["role"], made["channels"], made["last_used"], made["revoked"]) == ("editor", ["en", "ar"], None, None)
    assert ask(node, made["key"]).status_code == 201
    assert listed(node, made["id"]).keys() == made.keys() - {"key"}


def test_two_keys_of_one_name_are_two_keys(node: RunningNode) -> None:
    first, second = (node.http.post("/v1/keys", json={"name": "Ada"}).json() for _ in range(2))
    assert first["id"] != second["id"]
    assert first["key"] != second["key"]
    assert (first["role"], first["channels"]) == ("editor", [])


def test_a_request_that_comes_twice_makes_one_key(node: RunningNode) -> None:
    """A lost answer leaves no key that nobody knows of."""
    once = {"Idempotency-Key": f"{uuid.uuid4()}"}
    made = node.http.post("/v1/keys", json={"name": "Ada"}, headers=once)
    assert made.status_code == 201
    before = node.http.get("/v1/keys").json()
    again = node.http.post("/v1/keys", json={"name": "Ada"}, headers=once)
    assert (again.status_code, again.json()["status"]) == (409, 409)
    assert f"revoke {made.json()['id']}" in again.json()["detail"]
    other = node.http.post("/v1/keys", json={"name": "Bob"}, headers=once)
    assert (other.status_code, other.json()["type"].rpartition(":")[2]) == (422, "idempotency-key-reused")
    assert node.http.get("/v1/keys").json() == before
    assert ask(node, made.json()["key"]).status_code == 201, "it holds as it was shown"


def test_neither_a_secret_nor_its_hash_leaves_the_node_again(node: RunningNode) -> None:
    made = make(node)
    secret = made["key"].rpartition(made["id"] + "_")[2]
    for answer in (node.http.get("/v1/keys"), node.http.delete(f"/v1/keys/{made['id']}"), ask(node, made["key"])):
        assert "hash" not in answer.text
        assert secret not in answer.text
    assert secret not in node.log


def test_no_secret_is_in_the_file(node: RunningNode) -> None:
    made = make(node)
    ask(node, made["key"])
    kept = b"".join(path.read_bytes() for path in node.folder.glob("ticker.db*"))
    assert made["id"].encode() in kept
    assert made["key"].split("_", 2)[2].encode() not in kept
    assert ADMIN_KEY.encode() not in kept


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "two\nrows"}, "name"),
        ({}, "name"),
        ({"name": "Ada", "role": "owner"}, "role"),
        ({"name": "Ada", "channels": ["nowhere"]}, "channels"),
        ({"name": "Ada", "channels": "en"}, "channels"),
        ({"name": "Ada", "chanels": ["en"]}, "chanels"),
        ({"name": "Ada", "channels": ["en", "en"]}, "channels"),
        ({"name": "Ada", "channels": [""]}, "channels"),
        ({"name": "Ada", "channels": ["EN"]}, "channels"),
        ({"name": "Ada", "channels": None}, "channels"),
        ({"name": "Ada", "role": "chief", "channels": ["en"]}, "channels"),
        ({"name": "Ada", "role": "chief", "channels": ["nowhere"]}, "channels"),
        ({"name": "Ada", "role": "admin", "channels": ["en", "ar", "es"]}, "channels"),
        ({"name": "Ada", "role": "Chief"}, "role"),
        ({"name": " "}, "name"),
        ({"name": "TICKER_ADMIN_KEY"}, "name"),
        ({"name": " ticker_admin_key "}, "name"),
    ],
)
def test_a_key_that_cant_be_is_refused_by_its_field(node: RunningNode, asked: dict[str, Any], field: str) -> None:
    before = ids(node)
    answer = node.http.post("/v1/keys", json=asked)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert ids(node) == before


def test_what_is_wrong_with_a_key_is_said_all_at_once(node: RunningNode) -> None:
    answer = node.http.post("/v1/keys", json={"name": "", "role": "chief", "channels": ["en"]})
    assert {error["field"] for error in answer.json()["errors"]} == {"name", "channels"}
    assert "has access to every channel" in answer.json()["detail"]


def test_the_key_of_the_environment_cant_be_revoked_and_the_answer_says_how_to_end_it(node: RunningNode) -> None:
    answer = node.http.delete("/v1/keys/environment")
    assert answer.status_code == 404
    assert "TICKER_ADMIN_KEY" in answer.json()["detail"]
    assert node.http.get("/v1/keys").status_code == 200


# Roles


@pytest.mark.parametrize(
    ("role", "channels", "works_on"),
    [
        ("editor", ["en"], {"en"}),
        ("editor", ["en", "ar"], {"en", "ar"}),
        ("editor", [], {"en", "ar", "es"}),
        ("chief", [], {"en", "ar", "es"}),
        ("admin", [], {"en", "ar", "es"}),
    ],
)
def test_a_role_reaches_its_channels(node: RunningNode, role: str, channels: list[str], works_on: set[str]) -> None:
    token = make(node, role, *channels)["key"]
    answers = {slug: ask(node, token, path=f"/v1/channels/{slug}/lines").status_code for slug in ("en", "ar", "es")}
    assert answers == {slug: 201 if slug in works_on else 403 for slug in answers}


@pytest.mark.parametrize("role", ["editor", "chief"])
def test_only_admins_deal_with_keys(node: RunningNode, role: str) -> None:
    made = make(node, role)
    for answer in (
        ask(node, made["key"], "GET", "/v1/keys"),
        ask(node, made["key"], "POST", "/v1/keys", json={"name": "Mallory", "role": "admin"}),
        ask(node, made["key"], "DELETE", f"/v1/keys/{made['id']}"),
    ):
        assert answer.status_code == 403
        assert role in answer.json()["detail"]
    assert listed(node, made["id"])["revoked"] is None


def test_an_admins_key_makes_and_revokes_keys(node: RunningNode) -> None:
    admin = make(node, "admin")["key"]
    made = ask(node, admin, "POST", "/v1/keys", json={"name": "Bob"}).json()
    assert ask(node, made["key"]).status_code == 201
    assert ask(node, admin, "DELETE", f"/v1/keys/{made['id']}").status_code == 200
    assert ask(node, made["key"]).status_code == 401


@pytest.mark.parametrize("path", ["/v1/keys", "/desk/session", "/v1/channels/en/presence"])
def test_without_a_key_nothing_of_the_desk_is_told(node: RunningNode, path: str) -> None:
    answer = httpx.get(node.url + path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


# Holding, being used, being revoked


def test_a_key_with_another_secret_opens_nothing(node: RunningNode) -> None:
    one, other = make(node), make(node)
    mixed = f"ticker_{one['id']}_{other['key'].partition(other['id'] + '_')[2]}"
    for token in (mixed, one["key"][:-1], one["key"] + "x", one["key"].upper(), f"ticker_{one['id']}_"):
        assert ask(node, token).status_code == 401


def test_a_revoked_key_stops_at_once_and_says_so(node: RunningNode) -> None:
    made = make(node, "admin")
    with signed_in(node, made["key"]) as browser:
        assert ask(node, made["key"]).status_code == 201
        revoked = node.http.delete(f"/v1/keys/{made['id']}").json()
        for answer in (ask(node, made["key"]), ask(node, made["key"], "GET", "/v1/keys"), browser.get("/desk/session")):
            assert answer.status_code == 401
            assert "revoked" in answer.json()["detail"]
    assert httpx.post(f"{node.url}/desk/session", json={"key": made["key"]}).status_code == 401
    assert listed(node, made["id"])["revoked"] == revoked["revoked"] is not None


def test_a_key_is_revoked_once(node: RunningNode) -> None:
    made = make(node)
    first, again = (node.http.delete(f"/v1/keys/{made['id']}").json() for _ in range(2))
    assert first["revoked"] == again["revoked"] is not None


def test_a_list_tells_when_a_key_was_last_used(node: RunningNode) -> None:
    used, idle = make(node), make(node)
    ask(node, used["key"])
    deadline = time.monotonic() + WITHIN
    while listed(node, used["id"])["last_used"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    last_used = datetime.fromisoformat(listed(node, used["id"])["last_used"])
    assert last_used >= datetime.fromisoformat(used["created"])
    assert listed(node, idle["id"])["last_used"] is None


def test_keys_hold_after_a_restart(start_node: Any) -> None:
    node = start_node()
    kept, gone = make(node), make(node)
    node.http.delete(f"/v1/keys/{gone['id']}")
    node.kill()
    node.start()
    assert ask(node, kept["key"]).status_code == 201
    assert ask(node, gone["key"]).status_code == 401


# The first start


def serve(folder: Path, admin_key: str) -> subprocess.CompletedProcess[str]:
    """A start that is refused."""
    command = [sys.executable, "-m", "ticker", "serve", "--port", "0"]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(folder.with_name("constants")) | {"TICKER_ADMIN_KEY": admin_key},
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )


@pytest.mark.parametrize("length", [1, 31])
def test_an_admin_key_that_could_be_guessed_is_refused(tmp_path: Path, length: int) -> None:
    said = serve(tmp_path, "k" * length)
    assert said.returncode == 2
    assert said.stdout == ""
    assert f"TICKER_ADMIN_KEY has {length} characters; it needs at least 32" in said.stderr
    assert "Traceback" not in said.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("admin_key", ["é" * 40, "k" * 257, "k" * 40 + "\x07", "k" * 40 + "\udcff"])
def test_an_admin_key_that_nobody_could_send_is_refused(tmp_path: Path, admin_key: str) -> None:
    said = serve(tmp_path, admin_key)
    assert said.returncode == 2
    assert "TICKER_ADMIN_KEY must be at most" in said.stderr
    assert admin_key not in said.stderr
    assert "Traceback" not in said.stderr


def test_an_admin_key_of_32_characters_holds_as_long_as_the_node_runs_with_it(start_node: Any) -> None:
    node = start_node(admin_key="k" * 32)
    assert node.http.get("/v1/keys").json() == {"keys": []}
    assert ask(node, "k" * 31).status_code == 401


def said_by(node: RunningNode) -> tuple[str, str]:
    """The key and the one-time word that the node prints."""
    assert node.process
    assert node.process.stdout
    rows = iter(node.process.stdout.readline, "")
    token = next(row.strip() for row in rows if row.strip().startswith("ticker_"))
    link = next(row.strip() for row in rows if "#once=" in row)
    assert link.startswith(f"{node.url}/desk#once=")
    return token, link.partition("#once=")[2]


def test_the_first_start_prints_a_key_and_a_link_and_the_second_does_not(start_node: Any) -> None:
    node = start_node(admin_key=None)
    token, _ = said_by(node)
    assert [key["role"] for key in ask(node, token, "GET", "/v1/keys").json()["keys"]] == ["admin"]
    assert ask(node, token).status_code == 201
    assert token not in node.log
    assert "#once=" not in node.said_until_its_end()

    node.start()
    assert ask(node, token).status_code == 201
    said = node.said_until_its_end()
    assert "Ticker is on at" in said
    assert "ticker_" not in said
    assert "#once=" not in said


def test_a_node_with_an_admin_key_prints_none(start_node: Any) -> None:
    said = start_node().said_until_its_end()
    assert "Ticker is on at" in said
    assert "ticker_" not in said
    assert ADMIN_KEY not in said
    assert "#once=" not in said


def test_a_sign_in_link_works_once(start_node: Any) -> None:
    node = start_node(admin_key=None)
    token, word = said_by(node)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: httpx.post(f"{node.url}/desk/session", json={"once": word}), range(8)))
    [signed] = [answer for answer in answers if answer.status_code == 204]
    assert {answer.status_code for answer in answers if answer is not signed} == {401}
    assert not any("set-cookie" in answer.headers for answer in answers if answer is not signed)
    session = httpx.get(f"{node.url}/desk/session", headers={"Cookie": signed.headers["set-cookie"].partition(";")[0]})
    assert (session.json()["role"], session.json()["name"]) == ("admin", "first")
    kept = b"".join(path.read_bytes() for path in node.folder.glob("ticker.db*"))
    assert word.encode() not in kept
    assert token.encode() not in kept


@pytest.mark.parametrize("given", [{"once": "never-given"}, {"key": "wrong"}, {"key": ""}, {"once": ""}, {}])
def test_who_has_neither_key_nor_link_is_not_signed_in(node: RunningNode, given: dict[str, str]) -> None:
    answer = httpx.post(f"{node.url}/desk/session", json=given)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert "set-cookie" not in answer.headers


# The desk's session


def test_a_session_is_a_cookie_that_no_script_and_no_other_site_has(node: RunningNode) -> None:
    answer = httpx.post(f"{node.url}/desk/session", json={"key": make(node)["key"]})
    assert (answer.status_code, answer.content) == (204, b"")
    attributes = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes
    assert not any(part.startswith("domain") for part in attributes)
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_session_says_who_it_is_and_which_channels_it_reaches(node: RunningNode) -> None:
    made = make(node, "editor", "ar")
    with signed_in(node, made["key"]) as browser:
        session = browser.get("/desk/session").json()
    assert (session["name"], session["role"]) == (made["name"], "editor")
    assert [(channel["slug"], channel["direction"]) for channel in session["channels"]] == [("ar", "rtl")]


def test_signing_out_takes_the_cookie_away(node: RunningNode) -> None:
    with signed_in(node, make(node)["key"]) as browser:
        assert browser.delete("/desk/session").status_code == 204
        assert not browser.cookies
        assert browser.get("/desk/session").status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({}, 403),
        ({"Origin": "{url}"}, 201),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "{url}.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "{url}"}, 403),
    ],
    ids=lambda given: " ".join(f"{k}={v}" for k, v in given.items()) or "neither" if isinstance(given, dict) else None,
)
def test_a_cookie_changes_things_from_the_desks_own_page_alone(
    node: RunningNode, headers: dict[str, str], status: int
) -> None:
    line = node.publish("en", "Rain")
    headers = {name: value.format(url=node.url) for name, value in headers.items()}
    with signed_in(node, ADMIN_KEY) as browser:
        changes = [
            browser.post(LINES, json={"text": "Snow"}, headers=headers),
            browser.post(LINES, data={"text": "Snow"}, headers=headers),
            browser.patch(f"{LINES}/{line['id']}", json={"pinned": True}, headers=headers),
            browser.post("/v1/keys", json={"name": "Mallory", "role": "admin"}, headers=headers),
            browser.delete(f"{LINES}/{line['id']}", headers=headers),
        ]
        read = browser.get(f"{LINES}/{line['id']}/audit", headers=headers)
    if status == 403:
        assert {answer.status_code for answer in changes} == {403}
        assert node.get(f"{LINES}/{line['id']}") == line
    else:
        assert [answer.status_code for answer in changes] == [201, 201, 200, 201, 200]
    assert read.status_code == 200


def test_a_key_in_the_header_works_from_anywhere_and_goes_before_the_cookie(node: RunningNode) -> None:
    editor = make(node, "editor", "ar")["key"]
    headers = {"Authorization": f"Bearer {editor}", "Sec-Fetch-Site": "cross-site"}
    with signed_in(node, ADMIN_KEY) as browser:
        assert browser.post("/v1/channels/ar/lines", json={"text": "مطر"}, headers=headers).status_code == 201
        assert browser.post(LINES, json={"text": "Rain"}, headers=headers).status_code == 403
        assert browser.post(LINES, json={"text": "Rain"}, headers=SAME_ORIGIN).status_code == 201
