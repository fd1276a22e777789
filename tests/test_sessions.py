"""The desk's session, who may open and end one, the brake on guessing and the log of security events."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from tests.conftest import ADMIN_KEY, RunningNode
from tests.patience import NO_BEATS, ON_REDIS, WITHIN
from tests.redis_servers import RedisServer, until
from ticker.channel import Channel
from ticker.desk import brake, security_log
from ticker.desk.brake import Brake
from ticker.desk.keys import Keyring
from ticker.desk.origins import OwnPages
from ticker.desk.security_log import NOWHERE, SecurityLog, address
from ticker.desk.sessions import Sessions
from ticker.errors import Malformed, Misconfigured, TickerError, TooManyAttempts, Unauthorized
from ticker.identity import ENVIRONMENT, Key, make
from ticker.newswire.sqlite import SqliteNewswire
from ticker.newswire.sqlite.stores import Keys, Secrets

LINES = "/v1/channels/en/lines"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
COOKIE = "ticker_session"


# One client for all: what each request would cost to set up is most of a test. It keeps no cookie and no connection.
http = httpx.Client(
    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])), limits=httpx.Limits(max_keepalive_connections=0)
)


@pytest.fixture(scope="module", autouse=True)
def closing() -> Iterator[None]:
    yield
    http.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("sessions"))
    yield node
    node.close()


def new_key(node: RunningNode, role: str = "editor", *channels: str) -> dict[str, Any]:
    answer = node.http.post("/v1/keys", json={"name": f"Ada {uuid.uuid4()}", "role": role, "channels": channels})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def sign_in(node: RunningNode, key: str, **headers: str) -> str:
    """The session's cookie, as a Cookie header has it."""
    answer = http.post(f"{node.url}/desk/session", json={"key": key}, headers=headers)
    assert answer.status_code == 204, answer.text
    return answer.headers["set-cookie"].partition(";")[0]


def by_cookie(node: RunningNode, cookie: str, method: str = "GET", path: str = "/desk/session", **more: Any) -> Any:
    headers = {"Cookie": cookie, **SAME_ORIGIN, **more.pop("headers", {})}
    return http.request(method, node.url + path, headers=headers, **more)


def security_lines(node: RunningNode) -> list[str]:
    return re.findall(r"ticker\.security  (.*)", node.log)


# What the cookie is


def test_the_cookie_holds_nothing_but_a_random_word(node: RunningNode) -> None:
    for key in (new_key(node)["key"], ADMIN_KEY):
        first, second = sign_in(node, key), sign_in(node, key)
        assert first != second
        assert re.fullmatch(rf"{COOKIE}=[\w-]{{43}}", first)
        kept = b"".join(path.read_bytes() for path in node.folder.glob("ticker.db*"))
        assert first.partition("=")[2].encode() not in kept


@pytest.mark.parametrize("name", ["ticker_key", COOKIE, "__Host-ticker"])
def test_a_key_sent_as_a_cookie_opens_nothing(node: RunningNode, name: str) -> None:
    for key in (ADMIN_KEY, new_key(node)["key"]):
        assert by_cookie(node, f"{name}={key}").status_code == 401
        assert by_cookie(node, f"{name}={key}", "POST", LINES, json={"text": "Rain"}).status_code == 401


def test_a_cookie_that_was_signed_out_opens_nothing(node: RunningNode) -> None:
    cookie = sign_in(node, new_key(node, "admin")["key"])
    line = by_cookie(node, cookie, "POST", LINES, json={"text": "Rain"}).json()
    assert by_cookie(node, cookie, "DELETE").status_code == 204
    for method, path in (
        ("GET", "/desk/session"),
        ("POST", LINES),
        ("PATCH", f"{LINES}/{line['id']}"),
        ("DELETE", f"{LINES}/{line['id']}"),
        ("GET", f"{LINES}/{line['id']}/audit"),
        ("GET", "/v1/channels/en/presence"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
    ):
        assert by_cookie(node, cookie, method, path).status_code == 401
    assert by_cookie(node, cookie, "DELETE").status_code == 204  # signing out twice is no fault


def test_the_same_key_in_another_browser_stays_signed_in(node: RunningNode) -> None:
    key = new_key(node)["key"]
    one, other = sign_in(node, key), sign_in(node, key)
    by_cookie(node, one, "DELETE")
    assert by_cookie(node, other).status_code == 200


def test_a_sign_in_ends_the_session_that_the_browser_had_before(node: RunningNode) -> None:
    ada, bob = new_key(node), new_key(node)
    first = sign_in(node, ada["key"])
    refused = http.post(f"{node.url}/desk/session", json={"key": "wrong"}, headers={"Cookie": first})
    assert refused.status_code == 401
    assert by_cookie(node, first).json()["key"] == ada["id"]
    second = sign_in(node, bob["key"], Cookie=first)
    assert by_cookie(node, first).status_code == 401
    assert by_cookie(node, second).json()["key"] == bob["id"]


def test_a_planted_cookie_does_not_become_the_session(node: RunningNode) -> None:
    planted = f"{COOKIE}={'A' * 43}"
    cookie = sign_in(node, ADMIN_KEY, Cookie=planted)
    assert cookie != planted
    assert by_cookie(node, planted).status_code == 401


def test_a_session_holds_after_a_restart_and_the_admins_as_long_as_the_key_is_the_same(start_node: Any) -> None:
    node = start_node()
    editor, admin = sign_in(node, new_key(node)["key"]), sign_in(node, ADMIN_KEY)
    for admin_key, status in ((ADMIN_KEY, 200), (f"{ADMIN_KEY}-2", 401), (None, 401), (ADMIN_KEY, 200)):
        node.kill()
        node._env.pop("TICKER_ADMIN_KEY", None)
        if admin_key:
            node._env["TICKER_ADMIN_KEY"] = admin_key
        node.start()
        assert by_cookie(node, editor).status_code == 200
        assert by_cookie(node, admin).status_code == status
        assert by_cookie(node, admin, "POST", LINES, json={"text": "Rain"}).status_code == (
            201 if status == 200 else 401
        )


def test_a_session_is_opened_and_ended_on_every_node(start_node: Any, tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    try:
        here, there = (
            start_node("--newswire", server.url, name=name, constants=NO_BEATS | ON_REDIS) for name in ("here", "there")
        )
        for key in (ADMIN_KEY, new_key(here)["key"]):
            cookie = sign_in(here, key)
            assert until(lambda cookie: by_cookie(there, cookie).status_code == 200, cookie)
            assert until(lambda cookie: by_cookie(there, cookie, "DELETE").status_code == 204, cookie)
            for node in (here, there):
                assert until(lambda node, cookie: by_cookie(node, cookie).status_code == 401, node, cookie)
                assert by_cookie(node, cookie, "POST", LINES, json={"text": "Rain"}).status_code in (401, 503)
            assert here.board("en") == []
        revoked = new_key(here)
        cookie = sign_in(here, revoked["key"])
        assert here.http.delete(f"/v1/keys/{revoked['id']}").status_code == 200
        assert until(lambda: by_cookie(there, cookie).status_code == 401)
    finally:
        server.close()


# Where browsers keep it


def test_over_https_the_cookie_is_bound_to_the_host_and_to_tls(start_node: Any) -> None:
    node = start_node("--public-url", "https://desk.example")
    for scheme in ("https", "https,http", "http", ""):
        forwarded = {"X-Forwarded-Proto": scheme} if scheme else {}
        answer = http.post(f"{node.url}/desk/session", json={"key": ADMIN_KEY}, headers=forwarded)
        cookie, *attributes = answer.headers["set-cookie"].split(";")
        given = {part.strip().lower() for part in attributes}
        assert {"secure", "httponly", "samesite=strict", "path=/"} <= given
        assert not any(part.startswith("domain") for part in given)
        assert cookie.startswith("__Host-ticker=")
    assert by_cookie(node, cookie).status_code == 200
    assert by_cookie(node, cookie.replace("__Host-ticker", COOKIE)).status_code == 401
    away = by_cookie(node, cookie, "DELETE").headers["set-cookie"].lower()
    assert away.startswith('__host-ticker="";')
    assert "secure" in away
    assert "max-age=0" in away


@pytest.mark.parametrize(
    "header",
    [
        "{}",
        "other=1; {}; more=2",
        "other=1;\t{}",
        f"x{COOKIE}=1; {{}}",
        f"a={COOKIE}=1; {{}}",
        f"a=b {COOKIE}=1; {{}}",
        "; ;;= ;{}",
        "; ".join(f"site{n}={'x' * 50}" for n in range(900)) + "; {}",
    ],
)
def test_the_cookie_is_found_among_others(node: RunningNode, header: str) -> None:
    assert by_cookie(node, header.format(sign_in(node, ADMIN_KEY))).status_code == 200


@pytest.mark.parametrize("value", ["", "x", "x" * 42, "x" * 44, "x" * 20_000, "%00" * 14, '"{}"', "é" * 43])
def test_what_is_no_sessions_word_opens_nothing(node: RunningNode, value: str) -> None:
    header = f"{COOKIE}={value.format(sign_in(node, ADMIN_KEY).partition('=')[2])}".encode()
    assert http.get(f"{node.url}/desk/session", headers={b"Cookie": header}).status_code == 401


def test_a_cookie_that_comes_twice_is_refused(node: RunningNode) -> None:
    mine, planted = sign_in(node, ADMIN_KEY), f"{COOKIE}={'A' * 43}"
    for pair in ((mine, planted), (planted, mine), (mine, mine)):
        assert by_cookie(node, "; ".join(pair)).status_code == 400
        headers = [("Cookie", pair[0]), ("Cookie", pair[1])]
        assert http.get(f"{node.url}/desk/session", headers=headers).status_code == 400


def a_request(cookie: bytes) -> Request:
    return Request({"type": "http", "headers": [(b"cookie", cookie)]})


def test_cookies_that_arent_ours_cost_nothing() -> None:
    log = SecurityLog()
    sessions = Sessions(None, None, OwnPages("http://desk.example", log), log)  # type: ignore[arg-type]
    name = COOKIE.encode()
    for filler in (b";", b"; ", b" ", b"a=b; ", b";" + name[:-1], b"x" + name + b"= ", name):
        header = filler * (60_000 // len(filler)) + b"; " + name + b"=word"
        times = []
        for _ in range(5):
            started = time.thread_time()
            assert sessions._word(a_request(header)) == "word"
            times.append(time.thread_time() - started)
        assert min(times) < 0.005
    with pytest.raises(Malformed):
        sessions._word(a_request((b";x" + name + b"=") * 4_000))


# Another site's pages


JSON, FORM, TEXT = "application/json", "application/x-www-form-urlencoded", "text/plain"
BROWSERS: list[tuple[dict[str, str], bool | None]] = [
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, True),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "none"}, False),
    ({"Sec-Fetch-Site": "same-origin, cross-site"}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "{url}"}, False),
    ({"Origin": "{url}"}, True),
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "{url}.evil.example"}, False),
    ({"Origin": "http://evil.example@127.0.0.1:{port}"}, False),
    ({"Origin": "http://127.0.0.1"}, False),
    ({"Origin": "http://127.0.0.1:1"}, False),
    ({"Origin": "http://localhost:{port}"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "{url}/"}, False),
    ({"Origin": "file://"}, False),
    ({}, None),
]


@pytest.mark.parametrize("kind", [JSON, "application/json; charset=utf-8", FORM, TEXT, "multipart/form-data", None])
@pytest.mark.parametrize(("headers", "ours"), BROWSERS, ids=lambda given: str(given))
def test_only_our_own_page_and_programs_sign_in_and_out(
    node: RunningNode, headers: dict[str, str], ours: bool | None, kind: str | None
) -> None:
    headers = {name: value.format(url=node.url, port=node.port) for name, value in headers.items()}
    is_json = kind is not None and kind.startswith(JSON)
    if kind:
        headers["Content-Type"] = kind
    content = f"key={ADMIN_KEY}" if kind == FORM else f'{{"key": "{ADMIN_KEY}"}}'
    answer = http.post(f"{node.url}/desk/session", content=content, headers=headers)
    if ours or (ours is None and is_json):
        assert answer.status_code == (204 if is_json else 303 if kind == FORM else 415)
    else:
        assert answer.status_code == 403
    assert ("set-cookie" in answer.headers) == (answer.status_code in (204, 303))

    cookie = sign_in(node, ADMIN_KEY)
    out = http.delete(f"{node.url}/desk/session", headers={**headers, "Cookie": cookie})
    may = ours or (ours is None and (is_json or kind is None))  # no form sends a DELETE
    assert out.status_code == (204 if may else 403)
    assert by_cookie(node, cookie).status_code == (401 if may else 200)
    assert ("set-cookie" in out.headers) == may


@pytest.mark.parametrize(
    ("public_url", "host", "origin", "status"),
    [
        ("http://news.local:8080", "news.local", "http://news.local:8080", 201),  # nginx: proxy_set_header Host $host
        ("http://news.local:8080/", "127.0.0.1:9", "http://NEWS.local:8080", 201),
        ("http://news.local:8080", "news.local", "http://news.local:9090", 403),
        ("http://news.local", "news.local", "http://news.local:80", 201),
        ("http://news.local:80", "node", "http://news.local", 201),
        ("https://news.local:443", "node", "https://news.local", 201),
        ("https://news.local", "node", "https://news.local:443", 201),
        ("https://news.local", "other.local", "https://other.local", 201),  # a second name for the same house
        ("https://news.local", "other.local:443", "https://other.local", 201),
        ("https://news.local", "news.local", "http://news.local", 403),
        ("https://news.local", "news.local:80", "http://news.local", 403),
        ("http://127.0.0.1:8000", "desk.example", "https://desk.example", 201),  # TLS in front, no --public-url
        ("http://127.0.0.1:8000", "desk.example:443", "https://desk.example", 201),
        ("http://[::1]:8080", "x", "http://[::1]:8080", 201),
        ("http://[fe80::1%eth0]:8080", "x", "http://[fe80::1]:8080", 201),
        ("http://under_score:8080", "x", "http://under_score:8080", 201),
        ("HTTPS://News.local/ticker", "x", "https://news.local", 201),
        ("https://nachrichten-für-alle.example", "x", "https://xn--nachrichten-fr-alle-ibc.example", 201),
    ],
)
def test_an_origin_is_ours_by_the_public_url_or_by_host(public_url: str, host: str, origin: str, status: int) -> None:
    pages = OwnPages(public_url, SecurityLog())
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    request = Request({"type": "http", "method": "POST", "headers": headers})
    assert pages.sent(request) is (status == 201)


def test_a_proxy_that_drops_the_port_makes_no_change_a_403(start_node: Any) -> None:
    node = start_node("--public-url", "https://news.local:8443")
    headers = {"Host": "news.local", "Origin": "https://news.local:8443"}
    cookie = sign_in(node, ADMIN_KEY, **headers)
    published = http.post(node.url + LINES, json={"text": "Rain"}, headers={"Cookie": cookie, **headers})
    assert published.status_code == 201
    headers["Origin"] = "https://news.local:9443"
    refused = http.post(node.url + LINES, json={"text": "Rain"}, headers={"Cookie": cookie, **headers})
    assert refused.status_code == 403
    assert "--public-url" in refused.json()["detail"]


@pytest.mark.parametrize("url", ["desk.example", "ftp://desk.example", "https://", "http://[", "https://a b", ""])
def test_a_public_url_that_is_none_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        OwnPages(url, SecurityLog())
    assert "--public-url" in refused.value.detail


# A proxy's own login, and the key in a header


def test_a_proxys_own_login_stands_in_nobodys_way(node: RunningNode) -> None:
    cookie = sign_in(node, ADMIN_KEY)
    for login in ("Basic bmV3czpyb29t", "basic x", 'Digest username="news"', "Negotiate abc"):
        with_cookie = by_cookie(node, cookie, "POST", LINES, json={"text": "Rain"}, headers={"Authorization": login})
        assert with_cookie.status_code == 201
        alone = http.get(f"{node.url}/desk/session", headers={"Authorization": login})
        assert alone.status_code == 401
        assert "Bearer" in alone.json()["detail"]
        assert alone.headers["WWW-Authenticate"] == "Bearer"
    both = [("Authorization", "Basic bmV3czpyb29t"), ("Authorization", f"Bearer {ADMIN_KEY}")]
    assert http.post(node.url + LINES, json={"text": "Rain"}, headers=both).status_code == 201


@pytest.mark.parametrize("login", ["Bearer", "Bearer wrong", "Token x", ADMIN_KEY, "ApiKey x"])
def test_what_is_meant_as_a_key_is_not_passed_over_for_the_cookie(node: RunningNode, login: str) -> None:
    cookie = sign_in(node, ADMIN_KEY)
    assert by_cookie(node, cookie, headers={"Authorization": login}).status_code == 401


def test_two_keys_in_one_request_are_refused(node: RunningNode) -> None:
    both = [("Authorization", f"Bearer {ADMIN_KEY}"), ("Authorization", f"Bearer {new_key(node)['key']}")]
    assert http.post(node.url + LINES, json={"text": "Rain"}, headers=both).status_code == 401


@pytest.mark.parametrize("token", ["x" * 257, "x" * 60_000, f"ticker_{'a' * 60_000}_x", "." * 60_000])
def test_a_key_of_any_length_is_just_wrong(node: RunningNode, token: str) -> None:
    assert http.get(f"{node.url}/v1/keys", headers={"Authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ('{"key": "%s"}' % ("x" * 3_000), 401),
        ('{"once": "%s"}' % ("." * 3_000), 401),
        ('{"key": "%s"}' % ("x" * 4_096), 413),
        ('{"key": "' + ADMIN_KEY + '", "once": "x"}', 422),
        ('{"key": 1}', 422),
        ('{"kee": "x"}', 422),
        ("[" * 4_000, 422),
        ("", 400),
        ("key=x", 400),
    ],
)
def test_a_sign_in_that_cant_be_one_is_refused(node: RunningNode, given: str, status: int) -> None:
    answer = http.post(f"{node.url}/desk/session", content=given, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


# Who the page believes it is


def test_a_session_tells_its_id_and_its_key(node: RunningNode) -> None:
    made = new_key(node)
    cookie = sign_in(node, made["key"])
    session = by_cookie(node, cookie).json()
    assert (session["key"], session["name"]) == (made["id"], made["name"])
    assert len(session["id"]) >= 16
    assert session["id"] not in cookie
    assert by_cookie(node, cookie).json()["id"] == session["id"]
    assert by_cookie(node, sign_in(node, made["key"])).json()["id"] != session["id"]
    assert by_cookie(node, f"{COOKIE}={session['id']}").status_code == 401
    by_header = http.get(f"{node.url}/desk/session", headers={"Authorization": f"Bearer {ADMIN_KEY}"}).json()
    assert (by_header["id"], by_header["key"]) == (None, ENVIRONMENT)


def test_a_change_meant_for_another_session_is_refused_and_says_who_is_signed_in(node: RunningNode) -> None:
    ada, bob = new_key(node, "admin"), new_key(node, "admin")
    line = node.publish("en", "Rain")
    first = by_cookie(node, sign_in(node, ada["key"])).json()["id"]
    cookie = sign_in(node, bob["key"])  # in a second tab of the same browser
    now = by_cookie(node, cookie).json()["id"]
    keys = len(node.http.get("/v1/keys").json()["keys"])
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", LINES, {"json": {"text": "Snow"}}),
        ("PATCH", f"{LINES}/{line['id']}", {"json": {"text": "Snow"}}),
        ("DELETE", f"{LINES}/{line['id']}", {}),
        ("POST", "/v1/keys", {"json": {"name": "Mallory"}}),
        ("DELETE", f"/v1/keys/{ada['id']}", {}),
        ("DELETE", "/desk/session", {}),
    ]
    for believed in (first, "", "x", f"{now}, {first}"):
        for method, path, body in changes:
            answer = by_cookie(node, cookie, method, path, headers={"Ticker-Session": believed}, **body)
            assert answer.status_code == 409
            problem = answer.json()
            assert problem["type"] == "urn:ticker:problem:other-session"
            assert problem["signed_in"] == {"id": bob["id"], "name": bob["name"]}
    assert node.get(f"{LINES}/{line['id']}") == line
    assert len(node.http.get("/v1/keys").json()["keys"]) == keys
    assert by_cookie(node, cookie, headers={"Ticker-Session": first}).status_code == 200  # reading is no change
    for method, path, body in changes:
        assert by_cookie(node, cookie, method, path, headers={"Ticker-Session": now}, **body).is_success


def test_a_key_in_a_header_belongs_to_no_session(node: RunningNode) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Ticker-Session": "another"}
    assert http.post(node.url + LINES, json={"text": "Rain"}, headers=headers).status_code == 201


# The log of security events


def test_every_security_event_is_one_line_without_a_secret(start_node: Any) -> None:
    node = start_node()
    made = new_key(node)
    secret = made["key"].rpartition("_")[2]
    cookie = sign_in(node, made["key"])
    http.post(f"{node.url}/desk/session", json={"key": made["key"][:-1]})
    http.post(f"{node.url}/desk/session", json={"key": "hunter2-hunter2"})
    http.post(f"{node.url}/desk/session", json={"once": "hunter2-hunter2"})
    http.get(f"{node.url}/v1/keys", headers={"Authorization": "Bearer ticker_hunter2x_hunter2"})
    http.post(f"{node.url}/desk/session", json={"key": ADMIN_KEY}, headers={"Origin": "https://evil.example"})
    by_cookie(node, cookie, "POST", LINES, json={"text": "Rain"}, headers={"Ticker-Session": "x"})
    by_cookie(node, cookie, "DELETE")
    cookie = sign_in(node, ADMIN_KEY)
    again = sign_in(node, made["key"], Cookie=cookie)
    node.http.delete(f"/v1/keys/{made['id']}")
    http.post(f"{node.url}/desk/session", json={"key": made["key"]})
    http.get(f"{node.url}/v1/keys", headers={"Authorization": f"Bearer {made['key']}"})
    by_cookie(node, again)
    key, editor = f"key={made['id']}", "role=editor"
    assert security_lines(node) == [
        f"key-made {key} {editor} by=environment",
        f"signed-in {key} {editor} how=key",
        f"sign-in-refused why=wrong {key} {editor}",
        "sign-in-refused why=unknown",
        "link-refused why=unknown",
        "key-refused why=unknown",
        "cross-site-refused method=POST path=/desk/session origin=https://evil.example site=-",
        f"other-session-refused {key} {editor}",
        f"signed-out {key} {editor}",
        "signed-in key=environment role=admin how=key",
        "session-replaced key=environment",
        f"signed-in {key} {editor} how=key",
        f"key-revoked {key} {editor} by=environment",
        f"sign-in-refused why=revoked {key} {editor}",
        f"key-refused why=revoked {key} {editor}",
        f"session-refused why=revoked {key}",
    ]
    for hidden in (secret, secret[:12], "hunter2", ADMIN_KEY, cookie.partition("=")[2], "127.0.0.1"):
        assert hidden not in "\n".join(security_lines(node))
    assert "Traceback" not in node.log


def test_addresses_are_logged_where_the_operator_asks_for_them(start_node: Any) -> None:
    node = start_node("--log-addresses")
    for given, shown in (
        ("", "127.0.0.1"),
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.8", "192.0.2.8"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("no address", "-"),
        ("x" * 9_000, "-"),
    ):
        headers = {"X-Forwarded-For": given} if given else {}
        sign_in(node, ADMIN_KEY, **headers)
        assert security_lines(node)[-1] == f"signed-in key=environment role=admin how=key address={shown}"


@pytest.mark.parametrize(
    ("origin", "logged"),
    [
        (b"https://evil.example key=abc", '"https://evil.example key=abc"'),
        (b"https://evil\x1b[31m", '"https://evil\\u001b[31m"'),
        (b"https://evil\x7f\xe2\x80\xae", '"https://evil\\u007f\\u00e2\\u0080\\u00ae"'),
        (b'"', '"\\""'),
        (b"https://" + b"x" * 5_000, '"https://' + "x" * 92 + '\\u2026"'),
    ],
)
def test_what_a_stranger_writes_is_no_line_of_the_log(
    caplog: pytest.LogCaptureFixture, origin: bytes, logged: str
) -> None:
    pages = OwnPages("http://desk.example", SecurityLog())
    path = "/v1/channels/en\n2026-01-01 signed-in key=abc/lines"
    headers = [(b"origin", origin), (b"host", b"desk.example")]
    request = Request({"type": "http", "method": "POST", "path": path, "headers": headers})

    async def refuse() -> None:
        pages.refusal(request)

    with caplog.at_level("INFO", "ticker.security"):
        asyncio.run(refuse())
    [line] = [record.getMessage() for record in caplog.records]
    assert line == (
        'cross-site-refused method=POST path="/v1/channels/en\\n2026-01-01 signed-in key=abc/lines" '
        f"origin={logged} site=-"
    )


# The brake


BRAKE = NO_BEATS | {
    "ticker.desk.brake.BY_ADDRESS": 5,
    "ticker.desk.brake.IN_ALL": 12,
    "ticker.desk.security_log.MINUTE": 3_600.0,  # it stays on for as long as the test takes
}


def guess(node: RunningNode, address: str = "192.0.2.1", **given: str) -> httpx.Response:
    forwarded = {"X-Forwarded-For": address}
    if given:
        return http.post(f"{node.url}/desk/session", json=given, headers=forwarded)
    headers = {**forwarded, "Authorization": "Bearer ticker_abcdefgh_wrong"}
    return http.get(f"{node.url}/v1/keys", headers=headers)


def test_guessing_is_braked_by_address_and_in_all_and_a_right_key_still_opens(start_node: Any) -> None:
    node = start_node("--log-addresses", constants=BRAKE)
    made, gone = new_key(node), new_key(node)
    node.http.delete(f"/v1/keys/{gone['id']}")
    assert [guess(node, key="wrong").status_code for _ in range(3)] == [401] * 3
    assert guess(node, once="wrong").status_code == guess(node).status_code == 401
    # From here on, a wrong one of any kind is one too many; a right one is not.
    for again in ({"key": "wrong"}, {"once": "wrong"}, {"key": gone["key"]}, {"key": f"{made['key']}x"}, {}):
        braked = guess(node, **again)
        assert braked.status_code == 429
        assert braked.headers["content-type"] == "application/problem+json"
        assert 1 <= int(braked.headers["Retry-After"]) <= 3_600
    for key in (made["key"], ADMIN_KEY):
        cookie = sign_in(node, key, **{"X-Forwarded-For": "192.0.2.1"})
        assert by_cookie(node, cookie).status_code == 200
        headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": "192.0.2.1"}
        assert http.post(node.url + LINES, json={"text": "Rain"}, headers=headers).status_code == 201
    # From one network of IPv6 all addresses count as one, from another they don't.
    assert [guess(node, f"2001:db8::{n}").status_code for n in range(6)] == [401] * 5 + [429]
    assert [guess(node, f"2001:db8:0:1::{n}").status_code for n in range(3)] == [401, 401, 429]  # 12 in all
    assert guess(node, "198.51.100.1").status_code == 429
    assert sign_in(node, made["key"], **{"X-Forwarded-For": "198.51.100.1"})
    lines = [line for line in security_lines(node) if line.startswith("brake") or "refused" in line]
    assert sum("refused" in line for line in lines) == 12
    assert [line for line in lines if line.startswith("brake")] == [
        "brake-on scope=address address=192.0.2.1",
        "brake-on scope=address address=2001:db8::/64",
        "brake-on scope=all",
    ]


def test_when_the_brake_goes_off_one_line_says_how_many_were_turned_away(start_node: Any) -> None:
    node = start_node(constants=BRAKE | {"ticker.desk.security_log.MINUTE": 3.0})
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: guess(node).status_code, range(200)))
    assert set(answers) == {401, 429}
    while answers[-1] != 429:
        answers.append(guess(node).status_code)
    until(lambda: security_lines(node)[-1].startswith("brake-off"))
    lines = security_lines(node)
    assert sum(line.startswith("key-refused") for line in lines) == answers.count(401)
    off = [int(line.rpartition("refused=")[2]) for line in lines if line.startswith("brake-off")]
    assert len(off) == lines.count("brake-on scope=address")
    assert sum(off) == answers.count(429)
    assert guess(node).status_code == 401


def test_refusals_that_flood_are_told_as_a_number(start_node: Any) -> None:
    few = {"ticker.desk.security_log.MINUTE": 3.0, "ticker.desk.security_log.LINES_MAX": 5}
    node = start_node(constants=NO_BEATS | few)
    cross = {"Sec-Fetch-Site": "cross-site"}
    sent = 0
    while sent < 30 or not security_lines(node)[-1].startswith("flood-begins"):
        assert http.post(f"{node.url}/desk/session", json={}, headers=cross).status_code == 403
        sent += 1
    until(lambda: security_lines(node)[-1].startswith("flood-ends"))
    lines = security_lines(node)
    logged = sum(line.startswith("cross-site-refused") for line in lines)
    unlogged = sum(int(line.rpartition("=")[2]) for line in lines if line.startswith("flood-ends"))
    assert logged + unlogged == sent


class CountingKeys(Keys):
    """Keys, and what was asked about them."""

    asked: list[str]

    async def get(self, key_id: str) -> Key | None:
        self.asked.append("key")
        return await super().get(key_id)

    async def all(self) -> list[Key]:
        self.asked.append("keys")
        return await super().all()


class CountingSecrets(Secrets):
    asked: list[str]

    async def get(self, name: str) -> bytes | None:
        self.asked.append("secret")
        return await super().get(name)

    async def take(self, name: str) -> bytes | None:
        self.asked.append("take")
        return await super().take(name)


class CountingNewswire(SqliteNewswire):
    """Counts what it is asked about keys and secrets."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: list[str] = []
        self.keys = keys = CountingKeys(self._transactions)
        self.secrets = secrets = CountingSecrets(self._transactions, self._clock)
        keys.asked = secrets.asked = self.asked


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[CountingNewswire]:
    channel = Channel(slug="en", title="en", language="en", direction="ltr", label="Breaking")
    wire = CountingNewswire(tmp_path / "ticker.db")
    await wire.open({"en": channel})
    yield wire
    await wire.close()


Attempt = Callable[[Keyring], Any]


async def refusals(keyring: Keyring, attempt: Attempt, count: int) -> list[type[TickerError]]:
    """What so many wrong attempts at once are refused with."""

    async def one() -> type[TickerError]:
        with pytest.raises(TickerError) as refused:
            await attempt(keyring)
        return refused.type

    return list(await asyncio.gather(*(one() for _ in range(count))))


@pytest.mark.parametrize("kind", ["no key", "unknown", "wrong", "revoked", "no link", "wrong link", "spent link"])
async def test_a_flood_of_wrong_ones_costs_the_newswire_next_to_nothing(wire: CountingNewswire, kind: str) -> None:
    keyring = Keyring(wire, ADMIN_KEY)
    key, token = make("Ada", "editor", (), datetime.now(UTC))
    await wire.keys.keep(key)
    word = await keyring.one_time(token)
    assert (await keyring.redeem(word)).id == (await keyring.opened_by(token)).id == key.id
    if kind == "revoked":
        await keyring.revoke(key.id, by=key)
    attempts: dict[str, Attempt] = {
        "no key": lambda ring: ring.opened_by("x" * 300),
        "unknown": lambda ring: ring.opened_by(f"ticker_{uuid.uuid4().hex[:8]}_x"),
        "wrong": lambda ring: ring.opened_by(f"{token}x"),
        "revoked": lambda ring: ring.opened_by(token),
        "no link": lambda ring: ring.redeem("x"),
        "wrong link": lambda ring: ring.redeem(f"{word}x"),
        "spent link": lambda ring: ring.redeem(word),
    }
    wire.asked.clear()
    refused = await refusals(keyring, attempts[kind], 1_000)
    assert refused.count(Unauthorized) == brake.BY_ADDRESS
    assert refused.count(TooManyAttempts) == 1_000 - brake.BY_ADDRESS
    assert len(wire.asked) <= 2 * brake.BY_ADDRESS
    assert wire.asked.count("take") == 0
    if kind != "revoked":  # right keys are let in, one that was just made elsewhere too
        assert (await keyring.opened_by(token)).id == key.id
        assert (await keyring.redeem(await keyring.one_time(token))).id == key.id
    assert (await keyring.opened_by(ADMIN_KEY)).id == ENVIRONMENT
    assert (await keyring.redeem(await keyring.one_time(ADMIN_KEY))).id == ENVIRONMENT


async def test_a_key_made_elsewhere_while_the_brake_is_on_is_let_in_within_a_second(
    wire: CountingNewswire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ticker.desk.keys.COPY_FOR", 0.0)
    keyring = Keyring(wire, None)
    await refusals(keyring, lambda ring: ring.opened_by("wrong"), brake.BY_ADDRESS + 1)
    key, token = make("Ada", "editor", (), datetime.now(UTC))
    await wire.keys.keep(key)
    assert (await keyring.opened_by(token)).id == key.id


async def test_a_key_revoked_elsewhere_opens_nothing_at_once_though_it_is_known_here(wire: CountingNewswire) -> None:
    keyring = Keyring(wire, None)
    key, token = make("Ada", "editor", (), datetime.now(UTC))
    await wire.keys.keep(key)
    for count in (0, brake.BY_ADDRESS + 1):
        await refusals(keyring, lambda ring: ring.opened_by("wrong"), count)
        assert (await keyring.opened_by(token)).id == key.id
    await wire.keys.revoke(key.id, datetime.now(UTC))
    with pytest.raises(TooManyAttempts):
        await keyring.opened_by(token)


async def test_the_brakes_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brake, "ADDRESSES_MAX", 50)
    monkeypatch.setattr(brake, "IN_ALL", 1_000)
    one = Brake(SecurityLog())
    for n in range(200):
        one.failed(address(f"192.0.2.{n}"))
    assert len(one._by_address) == 50
    assert address("192.0.2.199").network in one._by_address


def test_an_address_is_the_network_that_its_sender_has() -> None:
    assert address("2001:db8::1").network == address("2001:db8::ffff").network
    assert address("2001:db8::1").network != address("2001:db8:0:1::1").network
    assert address("::ffff:192.0.2.1") == address("192.0.2.1")
    assert address("fe80::1%\n") == address("fe80::1")
    assert address("unix:") == address("") == NOWHERE
    assert security_log.ADDRESS_MAX < 100


# Requests that break off


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", LINES, "application/json"),
        ("POST", LINES, "text/plain"),
        ("POST", LINES, "application/x-www-form-urlencoded"),
        ("POST", LINES, "multipart/form-data; boundary=x"),
        ("PATCH", f"{LINES}/1-0", "application/json"),
        ("DELETE", f"{LINES}/1-0", "application/json"),
        ("POST", "/v1/keys", "application/json"),
        ("POST", "/desk/session", "application/json"),
        ("DELETE", "/desk/session", "application/json"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_request_that_breaks_off_leaves_no_trace(
    node: RunningNode, method: str, path: str, kind: str, chunked: bool
) -> None:
    before = node.log
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 100"
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{framing}\r\n"
        f"Authorization: Bearer {ADMIN_KEY}\r\nSec-Fetch-Site: same-origin\r\n\r\n"
    )
    body = '5\r\n{"tex\r\n' if chunked else '{"tex'
    for reset in (False, True):
        with contextlib.closing(socket.create_connection(("127.0.0.1", node.port), WITHIN)) as connection:
            connection.sendall((head + body).encode())
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert_no_trace(node, before)


def test_a_client_that_leaves_before_its_answer_leaves_no_trace(node: RunningNode) -> None:
    before = node.log
    body = '{"text": "Rain"}'
    for target in (f"POST {LINES}", "GET /v1/keys", "GET /desk", "GET /ticker.js", f"GET {LINES}"):
        head = f"{target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n"
        if target.startswith("POST"):
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        with contextlib.closing(socket.create_connection(("127.0.0.1", node.port), WITHIN)) as connection:
            connection.sendall(f"{head}\r\n{body if 'POST' in target else ''}".encode())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert_no_trace(node, before)


def assert_no_trace(node: RunningNode, before: str) -> None:
    for _ in range(20):  # by now it has read what came before
        assert http.get(f"{node.url}/healthz").status_code == 200
    assert [line for line in node.log[len(before) :].splitlines() if "ticker.security" not in line] == []
