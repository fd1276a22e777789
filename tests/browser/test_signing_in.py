"""The desk's session in a real Chromium: other sites' pages, and what a cookie is worth after sign-out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Site, until
from tests.conftest import ADMIN_KEY, RunningNode
from tests.redis_servers import RedisServer

SUBMIT = "<script>document.forms[0].submit()</script>"


def sign_in(page: Page, node: RunningNode, key: str) -> None:
    page.goto(f"{node.url}/desk?channel=en")
    page.get_by_label("Your key").fill(key)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("#connection")).to_have_text("Live")


def editors_key(node: RunningNode, name: str) -> str:
    with httpx.Client(headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as admin:
        key: str = admin.post(f"{node.url}/v1/keys", json={"name": name}).json()["key"]
    return key


def signed_in_as(context: BrowserContext, node: RunningNode) -> str | None:
    """Who the node takes this browser for."""
    answer = context.request.get(f"{node.url}/desk/session")
    return answer.json()["name"] if answer.ok else None


def attack(node: RunningNode, key: str, way: str) -> str:
    """A page that tries to sign its visitor in to another person's session."""
    to = f"{node.url}/desk/session"
    if way == "form in plain text":  # the body is {"key": "…", "once": "="}, which is JSON
        name, rest = f'{{"key": "{key}", "once": "', '"}'
        fields = f"<input name='{name}' value='{rest}'>"
        return f"<form method=post enctype=text/plain action={to}>{fields}</form>{SUBMIT}"
    if way.startswith("form"):
        kind = "multipart/form-data" if "multipart" in way else "application/x-www-form-urlencoded"
        fields = f"<input name=key value='{key}'>"
        return (
            f"<form method=post enctype={kind} action={to}>{fields}</form><script>document.forms[0].submit()</script>"
        )
    body = json.dumps(json.dumps({"key": key}))
    if way == "fetch":
        given = f'{{method: "POST", body: {body}, mode: "no-cors", credentials: "include"}}'
        call = f'fetch("{to}", {given})'
    elif way == "beacon":
        call = f'Promise.resolve(navigator.sendBeacon("{to}", {body}))'
    else:  # as our own page does; the browser asks the node first, and is told no
        headers = '{"Content-Type": "application/json"}'
        call = f'fetch("{to}", {{method: "POST", body: {body}, headers: {headers}, credentials: "include"}})'
    return f"<script>{call}.catch(() => 0).then(() => document.title = 'done')</script>"


WAYS = ["form", "form in parts (multipart)", "form in plain text", "fetch", "beacon", "fetch of JSON"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["another site", "another port of the same host"])
def test_another_sites_page_signs_nobody_in(
    node: RunningNode, site: Site, context: BrowserContext, page: Page, way: str, host: str
) -> None:
    mallorys = editors_key(node, "Mallory")
    site.serve(attack(node, mallorys, way))
    evil = f"http://{host}:{site.server_port}/"
    heard: list[str] = []
    page.on("requestfinished", lambda request: heard.append(request.url))
    page.on("requestfailed", lambda request: heard.append(request.url))
    for victim in (None, "Victim"):
        if victim:
            sign_in(page, node, editors_key(node, victim))
        cookies = context.cookies()
        heard.clear()
        page.goto(evil)
        until(page, lambda: any(url.endswith("/desk/session") for url in heard))
        assert context.cookies() == cookies
        assert signed_in_as(context, node) == victim


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["another site", "another port of the same host"])
def test_another_sites_page_signs_nobody_out(
    node: RunningNode, site: Site, context: BrowserContext, page: Page, host: str
) -> None:
    sign_in(page, node, editors_key(node, "Victim"))
    call = f'fetch("{node.url}/desk/session", {{method: "DELETE", credentials: "include", mode: MODE}})'
    tries = " , ".join(f"{call.replace('MODE', mode)}.catch(() => 0)" for mode in ('"cors"', '"no-cors"'))
    site.serve(f"<script>Promise.all([{tries}]).then(() => document.title = 'done')</script>")
    page.goto(f"http://{host}:{site.server_port}/")
    expect(page).to_have_title("done")
    assert signed_in_as(context, node) == "Victim"


def test_after_signing_out_the_old_cookie_opens_nothing_on_any_node(
    start_node: Any, tmp_path: Path, context: BrowserContext, page: Page
) -> None:
    server = RedisServer(tmp_path / "redis")
    try:
        here, there = (start_node("--newswire", server.url, name=name) for name in ("here", "there"))
        sign_in(page, here, ADMIN_KEY)
        assert signed_in_as(context, there) == "TICKER_ADMIN_KEY"  # a browser's cookies are for all ports of a host
        kept = context.cookies()
        page.get_by_role("button", name="Sign out").click()
        expect(page.locator("#signin-why")).to_have_text("You are signed out.")
        assert context.cookies() == []
        context.add_cookies(
            [{"name": x["name"], "value": x["value"], "domain": x["domain"], "path": x["path"]} for x in kept]
        )
        for node in (here, there):
            assert signed_in_as(context, node) is None
            page.goto(f"{node.url}/desk")
            expect(page.get_by_label("Your key")).to_be_visible()
    finally:
        server.close()


def test_a_browser_keeps_the_cookie_of_an_https_desk_and_gives_it_up_again(
    start_node: Any, context: BrowserContext, page: Page
) -> None:
    """Chromium takes localhost for as good as TLS: cookies that are Secure, and those with the prefix."""
    node = start_node("--public-url", "https://desk.example")
    page.goto(f"http://localhost:{node.port}/desk?channel=en")
    page.get_by_label("Your key").fill(ADMIN_KEY)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("#connection")).to_have_text("Live")
    [cookie] = context.cookies()
    assert (cookie["name"], cookie["path"], cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (
        "__Host-ticker", "/", True, True, "Strict",
    )  # fmt: skip
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#signin-why")).to_have_text("You are signed out.")
    assert context.cookies() == []
