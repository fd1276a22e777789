"""People at the desk's own pages, in a real Chromium with a virtual authenticator, against a real node."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.desk import connection, line, publish
from tests.browser.test_accessible import violations
from tests.conftest import ADMIN_KEY, RunningNode

CONFIG = """
[channels.en]
hold = "0s"
step_up = ["flash"]
"""
SOON = 5.0  # seconds within which an open desk learns that its session has ended


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """At an address where browsers make passkeys."""
    node = RunningNode(
        tmp_path_factory.mktemp("node"), "--public-url", "http://localhost:{port}", config=CONFIG, constants={}
    )
    yield node
    node.close()


@pytest.fixture
def desk_url(node: RunningNode) -> str:
    return f"http://localhost:{node.port}"


class Phone:
    """The page's authenticator, by way of Chromium's own protocol. `verifies`: its owner's finger is on it."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        self._id = self._session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    def verifies(self, does: bool) -> None:
        self._session.send("WebAuthn.setUserVerified", {"authenticatorId": self._id, "isUserVerified": does})

    def credentials(self) -> list[Any]:
        found: list[Any] = self._session.send("WebAuthn.getCredentials", {"authenticatorId": self._id})["credentials"]
        return found


def add(node: RunningNode, name: str, role: str = "editor") -> dict[str, Any]:
    answer = node.http.post("/v1/people", json={"name": name, "role": role})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def accept(page: Page, link: str) -> Phone:
    phone = Phone(page)
    page.goto(link)
    page.get_by_role("button", name="Make a passkey").click()
    expect(connection(page)).to_have_text("Live")
    return phone


def test_an_invitation_is_accepted_by_keyboard_and_the_passkey_signs_in_again(
    node: RunningNode, page: Any, desk_url: str
) -> None:
    made = add(node, "Ada <b>Lovelace</b>")
    phone = Phone(page)
    page.goto(made["link"])
    expect(page.get_by_role("status")).to_have_text("Welcome, Ada <b>Lovelace</b>.")
    assert violations(page) == []
    button = page.get_by_role("button", name="Make a passkey")
    expect(button).to_be_focused()
    phone.verifies(False)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Try again")
    phone.verifies(True)
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(connection(page)).to_have_text("Live")
    expect(page).to_have_url(re.compile(r"/desk\?channel=en$"))
    assert len(phone.credentials()) == 1
    expect(page.locator("#name")).to_have_text("Ada <b>Lovelace</b>")
    publish(page, "Rain in the hills")
    expect(line(page, "Rain in the hills")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#signin-why")).to_have_text("You are signed out.")
    assert violations(page) == []
    page.get_by_role("button", name="Sign in with a passkey").press("Enter")
    expect(connection(page)).to_have_text("Live")
    assert page.evaluate("document.cookie") == ""
    page.goto(made["link"])
    expect(page.get_by_role("alert")).to_contain_text("used before")
    assert [each for each in page.errors if "401" not in each] == []


def test_a_stolen_cookie_opens_nothing_after_sign_out(
    node: RunningNode, page: Page, browser: Browser, desk_url: str
) -> None:
    accept(page, add(node, "Grace")["link"])
    thief = browser.new_context()
    thief.add_cookies(page.context.cookies())  # type: ignore[arg-type]
    stolen = thief.request.get(f"{desk_url}/desk/session")
    assert stolen.status == 200
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#signin-why")).to_have_text("You are signed out.")
    assert thief.request.get(f"{desk_url}/desk/session").status == 401
    other = thief.new_page()
    other.goto(f"{desk_url}/desk")
    expect(other.get_by_label("Your key")).to_be_visible()
    thief.close()


def test_a_flash_asks_for_a_touch_and_an_open_desk_is_signed_out_when_its_person_is_revoked(
    node: RunningNode, page: Page, desk_url: str
) -> None:
    made = add(node, "Emmy")
    phone = accept(page, made["link"])
    key = node.http.post("/v1/keys", json={"name": "Emmy's key", "person": made["id"]}).json()["key"]
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Your key").fill(key)  # a session in which no passkey was touched
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(connection(page)).to_have_text("Live")
    phone.verifies(False)
    page.locator("[data-urgency=flash] input").check()
    publish(page, "Quake off the coast")
    expect(page.locator("#told")).to_contain_text("Not published")
    assert all(each.get("text") != "Quake off the coast" for each in node.board("en"))
    phone.verifies(True)
    page.get_by_role("button", name="Publish to").click()
    expect(line(page, "Quake off the coast")).to_be_visible()

    page.get_by_label("Text", exact=True).fill("What is typed stays")
    started = time.monotonic()
    assert node.http.delete(f"/v1/people/{made['id']}").status_code == 200
    expect(page.locator("#signin-why")).to_contain_text("what you typed is kept", timeout=SOON * 1_000)
    assert time.monotonic() - started < SOON


def test_passkeys_and_sessions_are_ones_own_to_see_name_and_end(
    node: RunningNode, page: Any, browser: Browser, desk_url: str
) -> None:
    made = add(node, "Mary")
    accept(page, made["link"])
    page.get_by_role("link", name="Mary").click()
    row = page.locator("#passkeys li")
    expect(row).to_contain_text("by an invitation’s link")
    row.get_by_role("button", name="Rename").click()
    page.get_by_role("textbox", name="Name").fill("Work phone")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(row).to_contain_text("Work phone")
    row.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator("#trouble")).to_contain_text("your only passkey")
    expect(page.locator("#sessions li")).to_have_count(1)
    expect(page.locator("#sessions li")).to_contain_text("this one")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.get_by_role("button", name="Sign out everywhere", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Your key")).to_be_visible()


def test_an_admin_adds_invites_changes_and_revokes_people_at_their_page(
    node: RunningNode, page: Any, desk_url: str
) -> None:
    page.goto(f"{desk_url}/desk")
    page.get_by_label("Your key").fill(ADMIN_KEY)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(connection(page)).to_have_text("Live")
    page.goto(f"{desk_url}/desk/people")
    page.get_by_role("button", name="Add and make a link").click()
    expect(page.locator("[data-field=name] .fault")).to_be_visible()
    page.get_by_label("Name").fill("Katherine")
    page.get_by_role("button", name="Add and make a link").click()
    expect(page.get_by_role("heading", name="A link for Katherine")).to_be_focused()
    link = page.get_by_label("Link", exact=True).input_value()
    assert link.startswith(f"{desk_url}/desk/invitation#p_")
    row = page.locator("#people li", has_text="Katherine")
    expect(row).to_contain_text("invited until")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    row.get_by_role("button", name="Change").click()
    page.get_by_role("dialog").get_by_label("Role").select_option("chief")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(row).to_contain_text("Chief")
    row.get_by_role("button", name="End access").click()
    page.get_by_role("dialog").get_by_role("button", name="End access").click()
    expect(row).to_contain_text("access ended")
    page.goto("about:blank")
    page.goto(link)
    expect(page.get_by_role("alert")).to_contain_text("Ask an admin")


def test_a_key_signs_in_by_the_form_where_no_script_runs(node: RunningNode, browser: Browser, desk_url: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{desk_url}/desk")
    page.get_by_role("textbox", name="Your key").fill("wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("not valid here")
    page.get_by_role("textbox", name="Your key").fill(ADMIN_KEY)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(f"{desk_url}/desk")
    assert context.request.get(f"{desk_url}/desk/session").status == 200
    context.close()
