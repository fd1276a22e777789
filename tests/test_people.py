"""People: added by admins, invited by a link, signed in with a passkey, signed out from afar."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.authenticator import PRESENT, VERIFIED, Authenticator, encoded
from tests.conftest import ADMIN_KEY, RunningNode
from tests.patience import NO_BEATS, ON_REDIS, WITHIN
from tests.redis_servers import RedisServer, until
from ticker.desk.device import device_of
from ticker.session import Session

ORIGIN = "https://ticker.test"
OURS = {"Origin": ORIGIN}
LINES = "/v1/channels/en/lines"
CONFIG = """
[channels.en]
hold = "0s"

[channels.sports]
hold = "0s"
step_up = ["flash", "cancel"]
"""
SPORTS = "/v1/channels/sports/lines"

# One client for all: it keeps no cookie and no connection.
http = httpx.Client(
    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    limits=httpx.Limits(max_keepalive_connections=0),
    timeout=WITHIN,
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    at_leisure = {"ticker.desk.brake.BY_ADDRESS": 100_000, "ticker.desk.brake.IN_ALL": 100_000}
    folder = tmp_path_factory.mktemp("people")
    node = RunningNode(folder, "--public-url", ORIGIN, config=CONFIG, constants=NO_BEATS | at_leisure)
    yield node
    node.close()


def ask(node: RunningNode, method: str, path: str, status: int, body: object = None, cookie: str = "") -> Any:
    """As a page of ours asks, with a cookie; what is answered, which must be with this status."""
    headers = {**OURS, **({"Cookie": cookie} if cookie else {})}
    answer = http.request(method, node.url + path, json=body, headers=headers)
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    return answer.json() if answer.content else answer


def by_admin(node: RunningNode, method: str, path: str, status: int = 200, body: object = None) -> Any:
    answer = node.http.request(method, path, json=body)
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    return answer.json()


def add(node: RunningNode, role: str = "editor", **given: Any) -> dict[str, Any]:
    """A new person, as the answer has them; `link` is the word of the link."""
    made = by_admin(node, "POST", "/v1/people", 201, {"name": f"Ada {uuid.uuid4()}", "role": role, **given})
    page, _, word = made["link"].partition("#")
    assert page == f"{ORIGIN}/desk/invitation"
    found: dict[str, Any] = made | {"link": word}
    return found


def accept(node: RunningNode, word: str) -> tuple[Authenticator, str]:
    """Register a passkey: the authenticator that has it, and the cookie of the session."""
    phone = Authenticator(ORIGIN)
    options = ask(node, "POST", "/desk/invitation/options", 200, {"word": word})["options"]
    answer = ask(node, "POST", "/desk/invitation", 204, {"word": word, "credential": phone.create(options)})
    return phone, cookie_of(answer)


def sign_in(node: RunningNode, phone: Authenticator) -> str:
    options = ask(node, "POST", "/desk/passkey/options", 200, {})
    return cookie_of(ask(node, "POST", "/desk/passkey", 204, {"credential": phone.get(options)}))


def touch(node: RunningNode, phone: Authenticator, cookie: str) -> None:
    options = ask(node, "POST", "/desk/touch/options", 200, {}, cookie)
    ask(node, "POST", "/desk/touch", 204, {"credential": phone.get(options)}, cookie)


def cookie_of(answer: httpx.Response) -> str:
    found = answer.headers["set-cookie"].partition(";")[0]
    assert found.startswith("__Host-ticker=")
    return found


def security_lines(node: RunningNode) -> list[str]:
    return re.findall(r"ticker\.security  (.*)", node.log)


# Adding and inviting


def test_a_person_is_added_registers_a_passkey_and_signs_in_with_it(node: RunningNode) -> None:
    made = add(node, channels=["en"], email="ada@example.org")
    phone, first = accept(node, made["link"])
    ask(node, "DELETE", "/desk/session", 204, cookie=first)
    second = sign_in(node, phone)
    session = ask(node, "GET", "/desk/session", 200, cookie=second)
    assert (session["key"], session["name"], session["role"]) == (made["id"], made["name"], "editor")
    assert [each["slug"] for each in session["channels"]] == ["en"]
    ask(node, "POST", LINES, 201, {"text": "Rain"}, second)
    ask(node, "POST", SPORTS, 403, {"text": "Rain"}, second)
    ask(node, "GET", "/desk/session", 401, cookie=first)
    (shown,) = [each for each in by_admin(node, "GET", "/v1/people")["people"] if each["id"] == made["id"]]
    assert shown["email"] == "ada@example.org"
    assert [passkey["by"] for passkey in shown["passkeys"]] == ["link"]
    assert shown["invited_until"] is None
    assert shown["last_used"]
    assert "hash" not in json.dumps(shown)
    assert "public_key" not in json.dumps(shown)


def test_what_a_person_published_is_theirs_by_name_and_id(node: RunningNode) -> None:
    made = add(node)
    _, cookie = accept(node, made["link"])
    line = ask(node, "POST", LINES, 201, {"text": "Snow"}, cookie)
    (version,) = ask(node, "GET", f"{LINES}/{line['id']}/audit", 200, cookie=cookie)["versions"]
    assert version["by"] == {"id": made["id"], "name": made["name"]}


def test_looking_at_an_invitation_uses_nothing_up_and_accepting_it_does(node: RunningNode) -> None:
    word = add(node)["link"]
    for _ in range(3):
        assert http.get(f"{node.url}/desk/invitation").status_code == 200
        ask(node, "POST", "/desk/invitation/options", 200, {"word": word})
    accept(node, word)
    ask(node, "POST", "/desk/invitation/options", 401, {"word": word})


def test_of_many_who_accept_one_link_at_once_one_does(node: RunningNode) -> None:
    made = add(node)
    phones = [Authenticator(ORIGIN) for _ in range(6)]
    asked = [ask(node, "POST", "/desk/invitation/options", 200, {"word": made["link"]}) for _ in phones]
    bodies = [
        {"word": made["link"], "credential": phone.create(each["options"])}
        for phone, each in zip(phones, asked, strict=True)
    ]
    with ThreadPoolExecutor(6) as threads:
        answers = list(
            threads.map(lambda body: http.post(f"{node.url}/desk/invitation", json=body, headers=OURS), bodies)
        )
    assert sorted(answer.status_code for answer in answers) == [204, *[401] * 5]
    assert len(by_admin(node, "GET", f"/v1/people/{made['id']}")["passkeys"]) == 1


def test_a_new_link_makes_the_old_one_void_and_brings_back_who_lost_a_device(node: RunningNode) -> None:
    made = add(node)
    phone, cookie = accept(node, made["link"])
    for reset, opens in ((False, 200), (True, 401)):
        first = by_admin(node, "POST", f"/v1/people/{made['id']}/link", 201, {"reset": reset})["link"]
        second = by_admin(node, "POST", f"/v1/people/{made['id']}/link", 201, {"reset": reset})["link"]
        ask(node, "POST", "/desk/invitation/options", 401, {"word": first.partition("#")[2]})
        ask(node, "GET", "/desk/session", opens, cookie=cookie)
    options = ask(node, "POST", "/desk/passkey/options", 200, {})
    ask(node, "POST", "/desk/passkey", 401, {"credential": phone.get(options)})
    new_phone, _ = accept(node, second.partition("#")[2])
    assert sign_in(node, new_phone)
    used = [line for line in security_lines(node) if line.startswith(f"invitation-used person={made['id']} ")]
    assert used == [f"invitation-used person={made['id']} role=editor by=environment"] * 2


def test_an_invitation_and_an_idle_session_end_by_their_time(start_node: Any) -> None:
    constants = NO_BEATS | {"ticker.desk.roster.INVITED_FOR": 1.0, "ticker.session.IDLE_FOR": 1.0}
    node = start_node("--public-url", ORIGIN, constants=constants, config=CONFIG)
    word = add(node)["link"]
    cookie = cookie_of(http.post(f"{node.url}/desk/session", json={"key": ADMIN_KEY}, headers=OURS))

    def are_over() -> bool:
        invitation = http.post(f"{node.url}/desk/invitation/options", json={"word": word}, headers=OURS)
        session = http.get(f"{node.url}/desk/session", headers={"Cookie": cookie})
        return invitation.status_code == session.status_code == 401

    assert until(are_over)


@pytest.mark.parametrize("word", ["", "x", ".", "p_abcdefghjkmn.x", "x" * 300, "p_\x00.x", "é" * 20])
def test_a_guessed_invitation_is_refused(node: RunningNode, word: str) -> None:
    ask(node, "POST", "/desk/invitation/options", 401, {"word": word})


def test_the_same_request_adds_one_person_whose_newest_link_holds(node: RunningNode) -> None:
    once = {"Idempotency-Key": str(uuid.uuid4())}
    one, again = (node.http.post("/v1/people", json={"name": "Grace"}, headers=once).json() for _ in range(2))
    assert one["id"] == again["id"]
    ask(node, "POST", "/desk/invitation/options", 401, {"word": one["link"].partition("#")[2]})
    ask(node, "POST", "/desk/invitation/options", 200, {"word": again["link"].partition("#")[2]})
    other = node.http.post("/v1/people", json={"name": "Eve"}, headers=once)
    assert other.status_code == 409


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "TICKER_ADMIN_KEY"}, "name"),
        ({"name": "A", "role": "king"}, "role"),
        ({"name": "A", "role": "chief", "channels": ["en"]}, "channels"),
        ({"name": "A", "channels": ["nowhere"]}, "channels"),
        ({"name": "A", "channels": ["en", "en"]}, "channels"),
        ({"name": "A", "email": "nobody"}, "email"),
        ({"name": "A", "email": "a b@c"}, "email"),
        ({"name": "A", "email": "x" * 300 + "@c"}, "email"),
        ({"name": "A", "password": "hunter2"}, "password"),
        ({}, "name"),
    ],
)
def test_a_person_who_cant_be_is_refused_at_the_field(node: RunningNode, given: Any, field: str) -> None:
    answer = by_admin(node, "POST", "/v1/people", 422, given)
    assert [error["field"] for error in answer["errors"]] == [field]


@pytest.mark.parametrize("role", ["contributor", "editor", "chief"])
def test_people_are_admins_business(node: RunningNode, role: str) -> None:
    made = add(node)
    _, cookie = accept(node, add(node, role)["link"])
    for method, path, body in (
        ("GET", "/v1/people", None),
        ("POST", "/v1/people", {"name": "Eve", "role": "admin"}),
        ("GET", f"/v1/people/{made['id']}", None),
        ("PATCH", f"/v1/people/{made['id']}", {"role": "admin"}),
        ("DELETE", f"/v1/people/{made['id']}", None),
        ("POST", f"/v1/people/{made['id']}/link", None),
        ("GET", f"/v1/sessions?of={made['id']}", None),
        ("DELETE", f"/v1/sessions?of={made['id']}", None),
    ):
        ask(node, method, path, 403, body, cookie)


def test_at_an_address_without_passkeys_a_person_is_added_and_told_why_there_is_no_link(start_node: Any) -> None:
    node = start_node()
    made = by_admin(node, "POST", "/v1/people", 201, {"name": "Ada"})
    assert made["link"] is None
    assert "--public-url" in made["no_link"]
    own = {"Origin": node.url}
    assert http.post(f"{node.url}/desk/passkey/options", json={}, headers=own).status_code == 422


# Signing in


def test_an_answer_that_is_wrong_in_one_thing_signs_nobody_in(node: RunningNode) -> None:
    phone, cookie = accept(node, add(node)["link"])
    other, _ = accept(node, add(node)["link"])
    wrongs: list[dict[str, Any]] = [
        {"origin": "https://evil.test"},
        {"origin": "http://ticker.test"},
        {"rp": "evil.test"},
        {"flags": PRESENT},
        {"flags": VERIFIED},
        {"flags": 0},
        {"challenge": encoded(b"x" * 56)},
        {"challenge": ""},
        {"challenge": 7},
        {"user": other.user},
        {"user": b"p_nobody"},
        {"user": b"\xff"},
        {"user": b""},
        {"signature": True},
    ]
    for wrong in wrongs:
        options = ask(node, "POST", "/desk/passkey/options", 200, {})
        answer = http.post(f"{node.url}/desk/passkey", json={"credential": phone.get(options, **wrong)}, headers=OURS)
        assert answer.status_code == 401, wrong
        assert "set-cookie" not in answer.headers
    assert sign_in(node, phone)  # the brake stops wrong ones alone
    ask(node, "GET", "/desk/session", 200, cookie=cookie)


def test_a_challenge_is_used_once_and_for_what_it_was_made(node: RunningNode) -> None:
    phone, cookie = accept(node, add(node)["link"])
    options = ask(node, "POST", "/desk/passkey/options", 200, {})
    answer = {"credential": phone.get(options)}
    ask(node, "POST", "/desk/passkey", 204, answer)
    assert http.post(f"{node.url}/desk/passkey", json=answer, headers=OURS).status_code == 401
    later = {"credential": phone.get(options)}  # its counter goes on, the challenge is spent
    assert http.post(f"{node.url}/desk/passkey", json=later, headers=OURS).status_code == 401
    for_touching = ask(node, "POST", "/desk/touch/options", 200, {}, cookie)
    answer = {"credential": phone.get(for_touching)}
    assert http.post(f"{node.url}/desk/passkey", json=answer, headers=OURS).status_code == 401
    ask(node, "POST", "/desk/touch", 204, answer, cookie)


def test_a_passkey_whose_counter_goes_back_is_refused(node: RunningNode) -> None:
    phone, _ = accept(node, add(node)["link"])
    phone.count = 10
    sign_in(node, phone)
    for count in (11, 5, 0):
        options = ask(node, "POST", "/desk/passkey/options", 200, {})
        answer = http.post(
            f"{node.url}/desk/passkey", json={"credential": phone.get(options, count=count)}, headers=OURS
        )
        assert answer.status_code == 401
    assert any(line.startswith("passkey-refused why=counter") for line in security_lines(node))
    phone.count = 11
    assert sign_in(node, phone)


def test_a_passkey_that_counts_nothing_signs_in_again_and_again(node: RunningNode) -> None:
    phone, _ = accept(node, add(node)["link"])
    for _ in range(2):
        phone.count = -1
        assert sign_in(node, phone)


@pytest.mark.parametrize(
    "path", ["/desk/passkey/options", "/desk/passkey", "/desk/invitation/options", "/desk/invitation"]
)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.test"}, 403),
        (OURS | {"Content-Type": "text/plain"}, 415),
    ],
)
def test_another_sites_page_asks_for_nothing(node: RunningNode, path: str, headers: Any, status: int) -> None:
    assert http.post(f"{node.url}{path}", content="{}", headers=headers).status_code == status


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"credential": {}},
        {"credential": {"id": 1}},
        {"credential": {"id": "a", "rawId": "a", "type": "password", "response": {}}},
        {"credential": {"id": "a", "rawId": "a", "type": "public-key", "response": {"clientDataJSON": "a"}}},
    ],
)
def test_what_is_no_passkeys_answer_is_refused(node: RunningNode, body: Any) -> None:
    ask(node, "POST", "/desk/passkey", 422, body)
    assert (
        http.post(
            f"{node.url}/desk/passkey", content="x" * 17_000, headers={**OURS, "Content-Type": "application/json"}
        ).status_code
        == 413
    )


def test_the_key_form_signs_in_without_a_script_and_says_what_is_wrong(node: RunningNode) -> None:
    right = http.post(f"{node.url}/desk/session", data={"username": "Ticker desk", "key": ADMIN_KEY}, headers=OURS)
    assert (right.status_code, right.headers["location"]) == (303, "/desk")
    assert cookie_of(right)
    wrong = http.post(f"{node.url}/desk/session", data={"key": "<b>wrong</b>"}, headers=OURS)
    assert wrong.status_code == 401
    assert wrong.headers["content-type"].startswith("text/html")
    assert "<b>" not in wrong.text
    assert "set-cookie" not in wrong.headers
    elsewhere = http.post(f"{node.url}/desk/session", data={"key": ADMIN_KEY}, headers={"Origin": "https://evil.test"})
    assert elsewhere.status_code == 403


# Sessions, and the end of access


def test_sessions_are_listed_with_their_device_and_ended_one_by_one_and_all_at_once(node: RunningNode) -> None:
    made = add(node)
    phone, first = accept(node, made["link"])
    options = ask(node, "POST", "/desk/passkey/options", 200, {})
    agent = "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"
    answer = http.post(
        f"{node.url}/desk/passkey",
        json={"credential": phone.get(options)},
        headers={**OURS, "User-Agent": agent},
    )
    second = cookie_of(answer)
    third = sign_in(node, phone)
    sessions = ask(node, "GET", "/v1/sessions", 200, cookie=second)["sessions"]
    assert len(sessions) == 3
    (here,) = [each for each in sessions if each["here"]]
    assert (here["device"], here["how"], here["whose"]) == ("Firefox on Android", "passkey", made["id"])
    assert {each["how"] for each in sessions} == {"invitation", "passkey"}
    ask(node, "DELETE", f"/v1/sessions/{here['id']}", 204, cookie=first)
    ask(node, "GET", "/desk/session", 401, cookie=second)
    ask(node, "DELETE", f"/v1/sessions/{here['id']}", 404, cookie=first)
    assert ask(node, "DELETE", "/v1/sessions?others=1", 200, cookie=first) == {"ended": 1}
    ask(node, "GET", "/desk/session", 401, cookie=third)
    assert ask(node, "DELETE", "/v1/sessions", 200, cookie=first) == {"ended": 1}
    ask(node, "GET", "/desk/session", 401, cookie=first)


def test_nobody_but_an_admin_sees_or_ends_the_sessions_of_others(node: RunningNode) -> None:
    ada = add(node)
    _, ada_cookie = accept(node, ada["link"])
    _, eve_cookie = accept(node, add(node, "chief")["link"])
    (session,) = ask(node, "GET", "/v1/sessions", 200, cookie=ada_cookie)["sessions"]
    ask(node, "DELETE", f"/v1/sessions/{session['id']}", 404, cookie=eve_cookie)
    ask(node, "GET", "/desk/session", 200, cookie=ada_cookie)
    assert [each["id"] for each in by_admin(node, "GET", f"/v1/sessions?of={ada['id']}")["sessions"]] == [session["id"]]
    everyone = by_admin(node, "GET", "/v1/sessions?of=everyone")["sessions"]
    assert session["id"] in {each["id"] for each in everyone}
    by_admin(node, "DELETE", "/v1/sessions?of=everyone", 422)
    assert by_admin(node, "DELETE", f"/v1/sessions?of={ada['id']}") == {"ended": 1}
    ask(node, "GET", "/desk/session", 401, cookie=ada_cookie)


def test_a_revoked_person_is_out_at_once_with_their_keys_and_links(node: RunningNode) -> None:
    made = add(node, owner=f"Owner {uuid.uuid4()}")
    phone, cookie = accept(node, made["link"])
    keys = [
        by_admin(node, "POST", "/v1/keys", 201, {"name": "phone", **whose})
        for whose in ({"person": made["id"]}, {"owner": made["owner"].upper()})
    ]
    word = by_admin(node, "POST", f"/v1/people/{made['id']}/link", 201)["link"].partition("#")[2]
    revoked = by_admin(node, "DELETE", f"/v1/people/{made['id']}")
    assert revoked["revoked"]
    assert (revoked["email"], revoked["passkeys"]) == (None, [])
    ask(node, "POST", LINES, 401, {"text": "Rain"}, cookie)
    ask(node, "POST", "/desk/invitation/options", 401, {"word": word})
    options = ask(node, "POST", "/desk/passkey/options", 200, {})
    assert http.post(f"{node.url}/desk/passkey", json={"credential": phone.get(options)}, headers=OURS).status_code in (
        401,
        429,
    )
    for key in keys:
        bearer = {"Authorization": f"Bearer {key['key']}"}
        assert http.post(node.url + LINES, json={"text": "Rain"}, headers=bearer).status_code == 401
    by_admin(node, "POST", f"/v1/people/{made['id']}/link", 409)
    by_admin(node, "PATCH", f"/v1/people/{made['id']}", 409, {"role": "admin"})
    assert by_admin(node, "DELETE", f"/v1/people/{made['id']}") == revoked


def test_what_a_person_may_do_changes_at_once_and_never_by_themselves(node: RunningNode) -> None:
    made = add(node, "admin")
    _, cookie = accept(node, made["link"])
    ask(node, "PATCH", f"/v1/people/{made['id']}", 409, {"role": "admin"}, cookie)
    ask(node, "DELETE", f"/v1/people/{made['id']}", 409, None, cookie)
    changed = by_admin(node, "PATCH", f"/v1/people/{made['id']}", 200, {"role": "editor", "channels": ["sports"]})
    assert (changed["role"], changed["channels"]) == ("editor", ["sports"])
    ask(node, "GET", "/v1/people", 403, None, cookie)
    ask(node, "POST", LINES, 403, {"text": "Rain"}, cookie)
    ask(node, "POST", SPORTS, 201, {"text": "Rain"}, cookie)
    by_admin(node, "PATCH", f"/v1/people/{made['id']}", 422, {"role": "chief", "channels": ["sports"]})
    by_admin(node, "PATCH", "/v1/people/p_nobody", 404, {"role": "chief"})


def test_a_session_ended_on_one_node_answers_nothing_on_another(start_node: Any, tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    try:
        options = ("--newswire", server.url, "--public-url", ORIGIN)
        here, there = (
            start_node(*options, name=name, constants=NO_BEATS | ON_REDIS, config=CONFIG) for name in ("here", "there")
        )
        made = add(here)
        phone, cookie = accept(there, made["link"])
        other = sign_in(here, phone)
        for node in (here, there):
            ask(node, "GET", "/desk/session", 200, cookie=cookie)
        ask(here, "DELETE", "/v1/sessions", 200, cookie=other)
        ask(there, "POST", LINES, 401, {"text": "Rain"}, cookie)  # the next request, wherever it comes
        cookie = sign_in(there, phone)
        by_admin(here, "DELETE", f"/v1/people/{made['id']}")
        ask(there, "POST", LINES, 401, {"text": "Rain"}, cookie)
        assert here.board("en") == []
    finally:
        server.close()


def test_each_use_is_noted_but_not_what_a_page_asks_by_itself(start_node: Any) -> None:
    node = start_node("--public-url", ORIGIN, constants=NO_BEATS | {"ticker.session.USED_EVERY": 0}, config=CONFIG)
    made = add(node)
    _, cookie = accept(node, made["link"])

    def last_used() -> Any:
        (session,) = by_admin(node, "GET", f"/v1/sessions?of={made['id']}")["sessions"]
        return session["last_used"]

    begun = last_used()
    for _ in range(5):
        by_itself = {**OURS, "Cookie": cookie, "Ticker-Unattended": "1"}
        assert http.get(f"{node.url}/v1/lock", headers=by_itself).status_code == 200
    assert last_used() == begun
    ask(node, "GET", "/v1/lock", 200, cookie=cookie)
    assert until(lambda: last_used() > begun)


def test_noting_that_a_session_is_used_is_no_write_for_each_request(node: RunningNode) -> None:
    _, cookie = accept(node, add(node)["link"])
    (before,) = ask(node, "GET", "/v1/sessions", 200, cookie=cookie)["sessions"]
    for _ in range(20):
        ask(node, "GET", "/desk/session", 200, cookie=cookie)
    (after,) = ask(node, "GET", "/v1/sessions", 200, cookie=cookie)["sessions"]
    assert before == after


# One's own passkeys


def untouched(node: RunningNode, person: dict[str, Any]) -> str:
    """The cookie of a session of theirs in which no passkey was touched: by a key."""
    key = by_admin(node, "POST", "/v1/keys", 201, {"name": "k", "role": person["role"], "person": person["id"]})["key"]
    return cookie_of(http.post(f"{node.url}/desk/session", json={"key": key}, headers=OURS))


def expect_step_up(node: RunningNode, person: dict[str, Any], method: str, path: str, body: object) -> Any:
    """That it asks for a touch first, in a session without one; the problem."""
    problem = ask(node, method, path, 403, body, untouched(node, person))
    assert (problem["type"], problem["person"]) == ("urn:ticker:problem:step-up", person["id"])
    return problem


def test_passkeys_are_added_renamed_and_removed_by_their_person_after_a_touch(node: RunningNode) -> None:
    made = add(node)
    phone, _ = accept(node, made["link"])
    laptop = Authenticator(ORIGIN)
    expect_step_up(node, made, "POST", "/desk/passkeys/options", {})
    expect_step_up(node, made, "DELETE", f"/desk/passkeys/{encoded(phone.id)}", None)
    cookie = untouched(node, made)
    touch(node, phone, cookie)
    options = ask(node, "POST", "/desk/passkeys/options", 200, {}, cookie)
    assert [each["id"] for each in options["excludeCredentials"]] == [encoded(phone.id)]
    body = {"credential": laptop.create(options), "name": "Work laptop"}
    expect_step_up(node, made, "POST", "/desk/passkeys", body)
    added = ask(node, "POST", "/desk/passkeys", 201, body, cookie)
    assert [each["name"] for each in added["passkeys"]][1] == "Work laptop"
    named = ask(node, "PATCH", f"/desk/passkeys/{encoded(phone.id)}", 200, {"name": "Old phone"}, cookie)
    assert [each["name"] for each in named["passkeys"]] == ["Old phone", "Work laptop"]
    assert sign_in(node, laptop)
    ask(node, "DELETE", f"/desk/passkeys/{encoded(phone.id)}", 200, None, cookie)
    ask(node, "DELETE", f"/desk/passkeys/{encoded(laptop.id)}", 409, None, cookie)
    ask(node, "DELETE", "/desk/passkeys/none", 404, None, cookie)
    options = ask(node, "POST", "/desk/passkey/options", 200, {})
    ask(node, "POST", "/desk/passkey", 401, {"credential": phone.get(options)})


def test_another_persons_passkey_is_no_touch(node: RunningNode) -> None:
    ada, eve = add(node), add(node)
    accept(node, ada["link"])
    phone, _ = accept(node, eve["link"])
    cookie = untouched(node, ada)
    options = ask(node, "POST", "/desk/touch/options", 200, {}, cookie)
    ask(node, "POST", "/desk/touch", 403, {"credential": phone.get(options)}, cookie)
    ask(node, "POST", "/desk/passkeys/options", 403, {}, cookie)


# Step-up


def test_a_channel_asks_a_session_for_a_touch_before_a_flash_and_a_cancellation(node: RunningNode) -> None:
    made = add(node, "chief")
    phone, touched = accept(node, made["link"])
    flash = {"text": "Goal", "urgency": "flash"}
    drafts = "/v1/channels/sports/drafts"
    on_air = len(node.board("sports"))
    assert expect_step_up(node, made, "POST", SPORTS, flash)["act"] == "flash"
    assert len(node.board("sports")) == on_air
    ask(node, "POST", LINES, 201, flash, untouched(node, made))  # a channel that doesn't ask
    line = ask(node, "POST", SPORTS, 201, {"text": "Rain"}, untouched(node, made))
    expect_step_up(node, made, "PATCH", f"{SPORTS}/{line['id']}", {"urgency": "flash"})
    draft = f"{drafts}/{ask(node, 'POST', drafts, 201, {'text': 'Goal', 'urgency': 'flash'}, touched)['id']}"
    expect_step_up(node, made, "POST", f"{draft}/publish", {})
    expect_step_up(node, made, "POST", f"{draft}/publish", {"publish_in": 60})
    cookie = untouched(node, made)
    touch(node, phone, cookie)
    ask(node, "POST", f"{draft}/publish", 200, {}, cookie)
    ask(node, "POST", SPORTS, 201, flash | {"text": "Another goal"}, cookie)
    scheduled = ask(node, "POST", SPORTS, 202, {"text": "Later", "publish_in": 3_000}, untouched(node, made))
    expect_step_up(node, made, "PATCH", f"{drafts}/{scheduled['id']}", {"urgency": "flash"})
    problem = expect_step_up(node, made, "DELETE", f"{SPORTS}/{line['id']}", {"note": "Wrong"})
    assert problem["act"] == "cancel"
    assert problem["detail"].startswith("The line is withheld.")
    assert node.get(f"{SPORTS}/{line['id']}")["status"] == "withheld"  # taking words off the air never waits
    assert ask(node, "DELETE", f"{SPORTS}/{line['id']}", 200, {}, cookie)["status"] == "canceled"


def test_a_session_by_key_cant_touch_and_a_program_need_not(node: RunningNode) -> None:
    flash = {"text": "Goal", "urgency": "flash"}
    cookie = cookie_of(http.post(f"{node.url}/desk/session", json={"key": ADMIN_KEY}, headers=OURS))
    problem = ask(node, "POST", SPORTS, 403, flash, cookie)
    assert (problem["type"], problem["person"]) == ("urn:ticker:problem:step-up", None)
    by_admin(node, "POST", SPORTS, 201, flash)


# One person


def test_a_person_is_one_over_passkey_and_keys_so_the_second_must_be_another(start_node: Any) -> None:
    node = start_node("--public-url", ORIGIN, config='[channels.en]\napprove = ["flash"]\n')
    ada = add(node, owner="Ada")
    _, cookie = accept(node, ada["link"])
    _, other = accept(node, add(node)["link"])
    keys = [
        by_admin(node, "POST", "/v1/keys", 201, {"name": "a key", **whose})["key"]
        for whose in ({"person": ada["id"]}, {"person": ada["id"]}, {"owner": "ADA"})
    ]

    def by_key(key: str, path: str, body: object) -> httpx.Response:
        return http.post(node.url + path, json=body, headers={"Authorization": f"Bearer {key}"})

    flash = {"text": "Quake", "urgency": "flash"}
    drafts = "/v1/channels/en/drafts"
    draft = ask(node, "POST", LINES, 202, flash, cookie)["id"]
    for key in keys:
        assert by_key(key, f"{drafts}/{draft}/approve", {}).status_code == 403
    ask(node, "POST", f"{drafts}/{draft}/approve", 403, {}, cookie)
    ask(node, "POST", f"{drafts}/{draft}/approve", 200, {}, other)
    for n, key in enumerate(keys):
        draft = by_key(key, LINES, {**flash, "text": f"Quake {n}"}).json()["id"]
        ask(node, "POST", f"{drafts}/{draft}/approve", 403, {}, cookie)
        assert by_key(keys[0], f"{drafts}/{draft}/approve", {}).status_code == 403


def test_a_persons_key_does_no_more_than_they_may(node: RunningNode) -> None:
    made = add(node, "editor", channels=["en"])
    by_admin(node, "POST", "/v1/keys", 422, {"name": "k", "role": "chief", "person": made["id"]})
    by_admin(node, "POST", "/v1/keys", 422, {"name": "k", "person": "p_nobody"})
    by_admin(node, "POST", "/v1/keys", 422, {"name": "k", "person": made["id"], "owner": "Ada"})
    key = by_admin(node, "POST", "/v1/keys", 201, {"name": "k", "person": made["id"]})
    assert key["person"] == made["id"]
    bearer = {"Authorization": f"Bearer {key['key']}"}
    assert http.post(node.url + LINES, json={"text": "Rain"}, headers=bearer).status_code == 201
    assert http.post(node.url + SPORTS, json={"text": "Rain"}, headers=bearer).status_code == 403
    by_admin(node, "PATCH", f"/v1/people/{made['id']}", 200, {"role": "contributor"})
    assert http.post(node.url + LINES, json={"text": "Rain"}, headers=bearer).status_code == 202


# The log, and what is kept


def test_every_event_of_a_person_is_in_the_security_log_and_no_secret_is_anywhere(start_node: Any) -> None:
    node = start_node("--public-url", ORIGIN, config=CONFIG)
    made = add(node)
    phone, cookie = accept(node, made["link"])
    touch(node, phone, cookie)
    ask(node, "DELETE", "/desk/session", 204, cookie=cookie)
    options = ask(node, "POST", "/desk/passkey/options", 200, {})
    ask(node, "POST", "/desk/passkey", 401, {"credential": phone.get(options, signature=True)})
    ask(node, "POST", "/desk/invitation/options", 401, {"word": made["link"]})
    second = sign_in(node, phone)
    by_admin(node, "PATCH", f"/v1/people/{made['id']}", 200, {"role": "chief"})
    by_admin(node, "DELETE", f"/v1/sessions?of={made['id']}")
    by_admin(node, "DELETE", f"/v1/people/{made['id']}")
    ask(node, "GET", "/desk/session", 401, cookie=second)
    person = f"person={made['id']}"
    assert security_lines(node) == [
        f"person-made {person} role=editor by=environment",
        f"invitation-made {person} by=environment reset=no",
        f"invitation-used {person} role=editor by=environment",
        f"signed-in {person} role=editor how=invitation",
        f"passkey-touched {person} role=editor",
        f"signed-out {person} role=editor",
        f"passkey-refused why=wrong {person}",
        f"invitation-refused why=spent {person}",
        f"signed-in {person} role=editor how=passkey",
        f"person-changed {person} role=chief by=environment",
        f"sessions-ended of={made['id']} count=1 by=environment",
        f"person-revoked {person} role=chief by=environment",
    ]
    kept = b"".join(path.read_bytes() for path in node.folder.glob("ticker.db*")) + node.log.encode()
    for secret in (made["link"].partition(".")[2], cookie.partition("=")[2], second.partition("=")[2]):
        assert secret.encode() not in kept


def test_guessing_at_passkeys_is_braked_and_a_right_one_still_opens(start_node: Any) -> None:
    constants = NO_BEATS | {"ticker.desk.brake.BY_ADDRESS": 5, "ticker.desk.security_log.MINUTE": 3_600.0}
    node = start_node("--public-url", ORIGIN, constants=constants, config=CONFIG)
    phone, _ = accept(node, add(node)["link"])
    word = add(node)["link"]
    options = ask(node, "POST", "/desk/passkey/options", 200, {})
    wrong = {"credential": phone.get(options, signature=True)}
    answers = [http.post(f"{node.url}/desk/passkey", json=wrong, headers=OURS).status_code for _ in range(8)]
    assert answers == [401] * 5 + [429] * 3
    ask(node, "POST", "/desk/invitation/options", 429, {"word": f"{word}x"})
    ask(node, "POST", "/desk/invitation/options", 200, {"word": word})
    assert sign_in(node, phone)


@pytest.mark.parametrize(
    ("agent", "device"),
    [  # as browsers send them, but for what nobody looks at
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0.0.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Mac"),
        ("curl/8.5.0", "curl"),
        ("", ""),
        ("<script>", ""),
        ("x" * 100_000 + "Firefox/1 Windows", ""),
    ],
)
def test_a_device_is_told_by_kind_and_nothing_more(agent: str, device: str) -> None:
    assert device_of(agent) == device


def test_a_session_ends_when_it_is_idle_and_when_it_is_old() -> None:
    begun = datetime(2026, 11, 27, 9, tzinfo=UTC)

    def session(used: timedelta, touched: datetime | None = None) -> Session:
        return Session(
            id="s", check="c", whose="p_1", how="key", device="", created=begun, last_used=begun + used, touched=touched
        )

    hour, day = timedelta(hours=1), timedelta(days=1)
    assert not session(0 * hour).is_over(begun + 11.9 * hour)
    assert session(0 * hour).is_over(begun + 12 * hour)
    assert not session(10 * hour).is_over(begun + 21 * hour)
    assert not session(6.9 * day).is_over(begun + 6.99 * day)
    assert session(6.9 * day).is_over(begun + 7 * day)
    touched = session(0 * hour, begun)
    assert touched.is_touched(begun + hour / 12)
    assert not touched.is_touched(begun + hour / 11)
    assert not session(0 * hour).is_touched(begun)


# The command line


def test_a_person_is_added_listed_invited_anew_and_revoked_from_a_command_line(node: RunningNode) -> None:
    def ticker(*arguments: str) -> str:
        environment = {**os.environ, "TICKER_URL": node.url, "TICKER_KEY": ADMIN_KEY}
        ran = subprocess.run(
            [sys.executable, "-m", "ticker", "person", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
        return ran.stdout.strip()

    name = f"Ada {uuid.uuid4()}"
    link = ticker("add", name, "--role", "contributor", "--channel", "en", "--email", "ada@example.org")
    assert link.startswith(f"{ORIGIN}/desk/invitation#p_")
    person_id = link.partition("#")[2].partition(".")[0]
    accept(node, link.partition("#")[2])
    line = next(line for line in ticker("list").splitlines() if line.startswith(person_id))
    assert name in line
    assert "(en; 1 passkey, last used 20" in line
    again = ticker("link", person_id, "--reset")
    ask(node, "POST", "/desk/invitation/options", 200, {"word": again.partition("#")[2]})
    ticker("revoke", person_id)
    shown = next(each for each in json.loads(ticker("list", "--json")) if each["id"] == person_id)
    assert shown["revoked"]
    ask(node, "POST", "/desk/invitation/options", 401, {"word": again.partition("#")[2]})
