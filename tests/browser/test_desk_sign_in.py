"""Who is signed in at the desk: the door, and somebody else in another tab, in a real Chromium against a real node."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.desk import OTHER_WORDS, WORDS, SignedIn, connection, line, publish, sign_in, texts, tombstone, write

pytestmark = pytest.mark.usefixtures("desk_at_leisure")


# The door


def test_an_editor_signs_in_with_a_key_and_stays_in_after_a_reload(node: Any, page: Page, channel: str) -> None:
    sign_in(page, node, channel)
    expect(page.get_by_label("Text", exact=True)).to_be_focused()
    expect(page).to_have_url(re.compile(rf"channel={channel}$"))
    page.reload()
    expect(connection(page)).to_have_text("Live")
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_a_wrong_key_is_said_to_be_wrong_at_its_field(node: Any, page: Page) -> None:
    page.goto(f"{node.url}/desk")
    key = page.get_by_label("Your key")
    key.fill("ticker_" + "x" * 43)
    key.press("Enter")
    expect(page.locator("#key-fault")).to_contain_text("is not valid here")
    expect(key).to_have_attribute("aria-invalid", "true")
    expect(key).to_be_focused()
    expect(page.locator("#desk")).to_be_hidden()


def test_a_one_time_link_signs_in_once_and_leaves_the_address_bar(start_node: Any, page: Page) -> None:
    node = start_node(admin_key=None)
    link = next(said.strip() for said in node.process.stdout if "/desk#once=" in said)
    page.goto(link)
    expect(connection(page)).to_have_text("Live")
    expect(page).not_to_have_url(re.compile("once"))
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#signin-why")).to_have_text("You are signed out.")
    page.goto("about:blank")
    page.goto(link)
    expect(page.locator("#signin-why")).to_contain_text("used before")


def test_a_spent_sign_in_link_leaves_the_address_bar_and_asks_for_the_key(node: Any, page: Page) -> None:
    page.goto(f"{node.url}/desk#once=no-such-token")
    expect(page.get_by_role("status")).to_contain_text("used before")
    expect(page).not_to_have_url(re.compile("once"))
    expect(page.get_by_label("Your key")).to_be_focused()


def test_signing_out_empties_the_desk_for_the_next_editor(node: Any, desk: Page) -> None:
    write(desk, WORDS)
    desk.get_by_role("button", name="Sign out").click()
    desk.get_by_role("dialog").get_by_role("button", name="Stay").click()
    expect(desk.get_by_label("Text", exact=True)).to_have_value(WORDS)
    desk.get_by_role("button", name="Sign out").click()
    desk.get_by_role("dialog").get_by_role("button", name="Sign out").click()
    expect(desk.get_by_label("Your key")).to_be_focused()
    expect(desk.locator("#text")).to_have_value("")


def test_a_session_that_ends_keeps_what_was_typed(node: Any, desk: Page) -> None:
    desk.context.clear_cookies()
    publish(desk, WORDS)
    expect(desk.get_by_role("status").first).to_contain_text("what you typed is kept")
    desk.get_by_label("Your key").fill(node.key)
    desk.get_by_role("button", name="Sign in", exact=True).click()
    expect(desk.get_by_label("Text", exact=True)).to_have_value(WORDS)
    desk.get_by_role("button", name="Publish to").click()
    expect(line(desk, WORDS)).to_be_visible()


# Another person is signed in


def test_every_change_says_to_which_sign_in_it_belongs(
    node: Any, signed_in: SignedIn, page: Page, channel: str
) -> None:
    sign_in(page, node, channel)
    publish(page, WORDS)
    row = line(page, WORDS)
    row.get_by_role("button", name="Correct").click()
    row.get_by_label("Corrected text").fill(OTHER_WORDS)
    row.get_by_role("button", name="Save correction").click()
    row = line(page, OTHER_WORDS)
    row.get_by_role("button", name="Withhold").click()
    tombstone(page, "withheld").get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel for good").click()
    expect(tombstone(page, "canceled")).to_be_visible()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#signin-why")).to_have_text("You are signed out.")
    assert signed_in.carried == [
        ("POST", None),  # signing in
        *[(method, "first-sign-in") for method in ("POST", "PATCH", "PATCH", "DELETE", "DELETE")],
    ]


def test_a_server_that_names_no_sign_in_gets_no_name_of_one(
    node: Any, signed_in: SignedIn, page: Page, channel: str
) -> None:
    signed_in.answer = {"id": None}
    sign_in(page, node, channel)
    publish(page, WORDS)
    expect(line(page, WORDS)).to_be_visible()
    assert [carried for _, carried in signed_in.carried] == [None, None]


def test_a_line_of_somebody_who_was_signed_out_by_another_is_kept_and_goes_out_as_the_other_who_says_so(
    node: Any, signed_in: SignedIn, page: Page, channel: str
) -> None:
    sign_in(page, node, channel)
    signed_in.take_over(page, f"**/v1/channels/{channel}/lines")
    publish(page, WORDS)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Grace is signed in now in this browser; this page was signed in as Ada.")
    expect(dialog).to_contain_text("Nothing was published or changed.")
    page.keyboard.press("Escape")
    expect(page.locator("#told")).to_contain_text("Not published.")
    page.get_by_role("button", name="Publish to").click()
    dialog.get_by_role("button", name="Go on as Grace").click()
    expect(page.locator("#name")).to_have_text("Grace")
    expect(page.get_by_label("Text", exact=True)).to_have_value(WORDS)
    assert texts(node, channel) == []
    page.get_by_role("button", name="Publish to").click()
    expect(line(page, WORDS)).to_be_visible()
    assert signed_in.carried[-1] == ("POST", "second-sign-in")


def test_who_was_signed_out_by_another_signs_in_again_with_what_was_typed(
    node: Any, signed_in: SignedIn, page: Page, channel: str
) -> None:
    sign_in(page, node, channel)
    signed_in.take_over(page, f"**/v1/channels/{channel}/lines")
    publish(page, WORDS)
    page.get_by_role("dialog").get_by_role("button", name="Sign in again").click()
    expect(page.get_by_label("Your key")).to_be_focused()
    signed_in.answer = {"id": "third-sign-in", "name": "Ada"}
    page.get_by_label("Your key").fill(node.key)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_label("Text", exact=True)).to_have_value(WORDS)
    page.get_by_role("button", name="Publish to").click()
    expect(line(page, WORDS)).to_be_visible()
    assert signed_in.carried[-1] == ("POST", "third-sign-in")


@pytest.mark.parametrize("change", ["Correct", "Cancel…"])
def test_a_change_of_somebody_who_was_signed_out_by_another_is_not_made_and_not_lost(
    node: Any, signed_in: SignedIn, page: Page, channel: str, change: str
) -> None:
    kept = node.publish(channel, WORDS)
    sign_in(page, node, channel)
    signed_in.take_over(page, f"**/v1/channels/{channel}/lines/*")
    row = line(page, WORDS)
    row.get_by_role("button", name=change).click()
    form = page.locator("#cancel form") if change == "Cancel…" else row.locator("form")
    form.get_by_label("Public note").fill("My reason")
    form.locator("button[type=submit]").click()
    expect(page.locator("#ask")).to_contain_text("Grace is signed in now in this browser")
    page.locator("#ask").get_by_role("button", name="Go on as Grace").click()
    expect(page.locator("#name")).to_have_text("Grace")
    expect(form.locator(".trouble")).to_contain_text("Nothing was changed")
    expect(form.get_by_label("Public note")).to_have_value("My reason")
    assert node.get(f"/v1/channels/{channel}/lines/{kept['id']}")["version"] == 1
    form.locator("button[type=submit]").click()
    expect(page.locator("#lines .note")).to_have_text("My reason")


def test_signing_out_where_somebody_else_is_signed_in_by_now_signs_nobody_out(
    node: Any, signed_in: SignedIn, page: Page, channel: str
) -> None:
    sign_in(page, node, channel)
    signed_in.take_over(page, "**/desk/session")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("dialog")).to_contain_text("Grace is signed in now")
    page.unroute("**/desk/session")
    assert page.evaluate("fetch('/desk/session').then(({ status }) => status)") == 200
