"""What the desk keeps when something fails, and when its page is gone, in a real Chromium against a real node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import ARGUMENTS, WITHIN, chromium
from tests.browser.desk import (
    AT_LEISURE,
    OTHER_WORDS,
    WORDS,
    complaints,
    connection,
    line,
    publish,
    sign_in,
    texts,
    tombstone,
    write,
)

pytestmark = pytest.mark.usefixtures("desk_at_leisure")


# Where the browser gives less, and what fails all the same


@pytest.fixture
def far_page(node: Any, browser: Browser) -> Iterator[Page]:
    """A page by plain HTTP and a host name, as on a colleague's machine: no secure context."""
    arguments = [*ARGUMENTS, "--host-resolver-rules=MAP desk.newsroom.example 127.0.0.1"]
    far = browser.browser_type.launch(executable_path=chromium(), args=arguments, timeout=WITHIN)
    page = far.new_page()
    page.set_default_timeout(WITHIN)
    page.add_init_script(AT_LEISURE)
    yield page
    far.close()


def test_over_plain_http_and_a_host_name_everything_works(node: Any, far_page: Page, channel: str) -> None:
    page = far_page
    page.goto(f"http://desk.newsroom.example:{node.port}/desk?channel={channel}")
    assert not page.evaluate("isSecureContext")
    page.get_by_label("Your key").fill(node.key)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(connection(page)).to_have_text("Live")
    publish(page, WORDS)
    expect(page.locator("#told")).to_contain_text("On air since")
    row = line(page, WORDS)
    row.get_by_role("button", name="Correct").click()
    row.get_by_label("Corrected text").fill(OTHER_WORDS)
    page.keyboard.press("Control+Enter")
    row = line(page, OTHER_WORDS)
    row.get_by_role("button", name="Withhold").click()
    held = tombstone(page, "withheld")
    expect(held.locator(".held")).to_have_text(OTHER_WORDS)
    held.get_by_role("button", name="Release").click()
    held.get_by_role("button", name="Put back on air").click()
    line(page, OTHER_WORDS).get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel for good").click()
    expect(tombstone(page, "canceled")).to_be_visible()
    write(page, WORDS)
    page.reload()
    expect(page.get_by_label("Text", exact=True)).to_have_value(WORDS)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("dialog").get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Your key")).to_be_focused()
    expect(page.locator("#broken")).to_be_hidden()


def test_a_handler_that_fails_at_once_says_so_and_keeps_what_was_typed(node: Any, desk: Page, channel: str) -> None:
    desk.evaluate("() => { crypto.getRandomValues = () => { throw new Error('no random numbers here'); }; }")
    publish(desk, WORDS)
    expect(desk.locator("#broken")).to_contain_text("Something on this page failed. What you typed is still here.")
    expect(desk.locator("#broken")).to_contain_text("no random numbers here")
    expect(desk.get_by_label("Text", exact=True)).to_have_value(WORDS)
    assert texts(node, channel) == []
    desk.locator("#broken").get_by_role("button", name="Reload the page").click()
    expect(connection(desk)).to_have_text("Live")
    expect(desk.get_by_label("Text", exact=True)).to_have_value(WORDS)
    desk.get_by_role("button", name="Publish to").click()
    expect(line(desk, WORDS)).to_be_visible()
    expect(desk.locator("#broken")).to_be_hidden()


def test_a_handler_that_fails_later_says_so_and_keeps_what_was_typed(node: Any, desk: Page, channel: str) -> None:
    node.publish(channel, WORDS)
    row = desk.locator("#lines > li")
    row.get_by_role("button", name="Correct").click()
    row.get_by_label("Corrected text").fill(OTHER_WORDS)
    desk.evaluate("() => { Headers.prototype.get = () => { throw new Error('no headers here'); }; }")
    row.get_by_role("button", name="Save correction").click()
    expect(row.locator(".trouble")).to_contain_text("not known whether the change was made")
    expect(desk.locator("#broken")).to_contain_text("no headers here")
    expect(row.get_by_label("Corrected text")).to_have_value(OTHER_WORDS)


def test_a_failure_within_a_question_is_told_within_it(node: Any, desk: Page, channel: str) -> None:
    """What a modal dialog covers can be neither heard nor pressed."""
    node.publish(channel, WORDS)
    line(desk, WORDS).get_by_role("button", name="Cancel…").click()
    desk.evaluate("() => { Headers.prototype.get = () => { throw new Error('no headers here'); }; }")
    dialog = desk.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel for good").click()
    expect(dialog).to_contain_text("no headers here")
    dialog.get_by_role("button", name="Close").click()
    expect(desk.locator("#broken")).to_be_hidden()


@pytest.mark.parametrize("script", ["desk/desk.js", "desk/paste.js", "ticker.js"])
def test_a_desk_whose_script_does_not_load_says_so(node: Any, page: Page, script: str) -> None:
    page.route(f"**/{script}", lambda route: route.abort())
    page.goto(f"{node.url}/desk")
    expect(page.locator("#broken")).to_contain_text("The desk could not start.")


def test_without_storage_the_desk_works_and_says_that_it_keeps_no_draft(node: Any, page: Page, channel: str) -> None:
    page.add_init_script(
        """for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, {
          get() { throw new DOMException("The user denied access", "SecurityError"); },
        });"""
    )
    sign_in(page, node, channel)
    write(page, WORDS)
    expect(page.locator("#draft")).to_contain_text("This browser keeps nothing")
    page.get_by_role("button", name="Publish to").click()
    expect(page.locator("#told")).to_contain_text("On air since")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Your key")).to_be_focused()
    assert complaints(page) == []


def test_an_answer_that_is_not_the_servers_is_taken_for_none(node: Any, desk: Page, channel: str) -> None:
    """A hotel's sign-in page, say: it comes with 200."""
    path = f"**/v1/channels/{channel}/lines"
    desk.route(path, lambda route: route.fulfill(status=200, content_type="application/json", body="{}"))
    publish(desk, WORDS)
    expect(desk.locator("#unheard")).to_be_visible()
    expect(desk.get_by_label("Text", exact=True)).to_have_value(WORDS)
    desk.unroute(path)
    desk.get_by_role("button", name="Try again").click()
    expect(line(desk, WORDS)).to_be_visible()


# What outlives the page


def drafts(page: Page) -> int:
    return int(page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length"))


def test_a_draft_survives_a_reload_and_a_crash_until_it_is_published(node: Any, desk: Page, channel: str) -> None:
    desk.get_by_role("radio", name="Flash").check()
    desk.get_by_label("Link").fill("https://harbour.example/")
    desk.get_by_label("Source").fill("Harbour office")
    desk.get_by_label("On air for").select_option("Until taken down")
    desk.get_by_label("Language", exact=True).fill("fr")
    write(desk, WORDS)
    expect(desk.locator("#draft")).to_contain_text("kept in this browser until you publish them or sign out")
    desk.reload()
    expect(desk.locator("#draft")).to_contain_text("Not published yet: what you typed at")

    again = desk.context.new_page()
    again.add_init_script(AT_LEISURE)
    desk.close()  # without a word, as by a crash
    again.goto(f"{node.url}/desk?channel={channel}")
    expect(connection(again)).to_have_text("Live")
    expect(again.get_by_label("Text", exact=True)).to_have_value(WORDS)
    expect(again.locator("#compose .count")).to_have_text(f"{len(WORDS)} / 280")
    again.get_by_role("button", name="Publish to").click()
    expect(again.locator("#told")).to_contain_text("On air since")
    [kept] = node.get(f"/v1/channels/{channel}/lines")["lines"]
    assert (kept["text"], kept["urgency"], kept["source"], kept["language"]) == (WORDS, "flash", "Harbour office", "fr")
    assert (kept["url"], kept["expires"]) == ("https://harbour.example/", None)
    assert drafts(again) == 0
    expect(again.locator("#draft")).to_be_hidden()
    again.reload()
    expect(again.get_by_label("Text", exact=True)).to_have_value("")


def test_a_draft_is_its_channels_and_can_be_discarded(node: Any, desk: Page, channel: str) -> None:
    text = desk.get_by_label("Text", exact=True)
    write(desk, WORDS)
    desk.goto(f"{node.url}/desk?channel=es")
    expect(connection(desk)).to_have_text("Live")
    expect(text).to_have_value("")
    desk.get_by_label("Channel").select_option(channel)
    expect(text).to_have_value(WORDS)
    desk.get_by_label("Channel").select_option("es")
    expect(text).to_have_value(WORDS)  # chosen with words typed: they are for this channel now
    desk.reload()
    expect(text).to_have_value(WORDS)
    desk.get_by_label("Channel").select_option(channel)
    desk.reload()
    desk.get_by_role("button", name="Discard it").click()
    expect(text).to_have_value("")
    expect(text).to_be_focused()
    assert drafts(desk) == 0


def test_signing_out_takes_the_drafts_away(node: Any, desk: Page, channel: str) -> None:
    node.publish(channel, WORDS)
    line(desk, WORDS).get_by_role("button", name="Correct").click()
    line(desk, WORDS).get_by_label("Corrected text").fill(OTHER_WORDS)
    write(desk, OTHER_WORDS)
    assert drafts(desk) == 2
    desk.get_by_role("button", name="Sign out").click()
    desk.get_by_role("dialog").get_by_role("button", name="Sign out").click()
    expect(desk.get_by_label("Your key")).to_be_focused()
    assert drafts(desk) == 0


def test_a_draft_is_not_shown_to_another_editor(node: Any, desk: Page, channel: str) -> None:
    write(desk, WORDS)
    made = node.http.post("/v1/keys", json={"name": "Grace", "role": "editor"}).json()
    desk.context.clear_cookies()
    desk.reload()
    desk.get_by_label("Your key").fill(made["key"])
    desk.get_by_role("button", name="Sign in", exact=True).click()
    expect(connection(desk)).to_have_text("Live")
    expect(desk.get_by_label("Text", exact=True)).to_have_value("")
    assert drafts(desk) == 0


def test_a_line_in_doubt_survives_a_reload_and_still_goes_out_once(node: Any, desk: Page, channel: str) -> None:
    path = f"**/v1/channels/{channel}/lines"

    def lose_the_answer(route: Route) -> None:
        route.fetch()  # the node keeps the line …
        route.abort()  # … and the editor never hears of it

    desk.route(path, lose_the_answer)
    publish(desk, WORDS)
    expect(desk.locator("#unheard")).to_be_visible()
    desk.unroute(path)
    desk.reload()
    expect(desk.locator("#unheard")).to_contain_text("before an answer came")
    expect(desk.get_by_role("button", name="Try again")).to_be_focused()
    expect(desk.get_by_label("Text", exact=True)).not_to_be_editable()
    expect(desk.get_by_label("Text", exact=True)).to_have_value(WORDS)
    desk.get_by_role("button", name="Try again").click()
    expect(desk.locator("#told")).to_contain_text("On air since")
    assert texts(node, channel) == [WORDS]
    assert drafts(desk) == 0


def test_a_correction_survives_a_reload_and_what_changed_meanwhile_is_shown_beside_it(
    node: Any, desk: Page, channel: str
) -> None:
    kept = node.publish(channel, WORDS)
    row = desk.locator("#lines > li")
    row.get_by_role("button", name="Correct").click()
    row.get_by_label("Corrected text").fill("My words")
    row.get_by_label("Public note").fill("My reason")
    desk.reload()
    expect(row.get_by_label("Corrected text")).to_have_value("My words")
    expect(row.get_by_label("Public note")).to_have_value("My reason")
    expect(row.locator(".trouble")).to_contain_text("Not saved yet")
    desk.goto("about:blank")
    node.correct(channel, kept["id"], text="Their words")
    desk.goto(f"{node.url}/desk?channel={channel}")
    expect(row.locator(".newer")).to_contain_text("Their words")
    expect(row.get_by_label("Corrected text")).to_have_value("My words")
    row.get_by_role("button", name="Replace with mine").click()
    expect(row.locator("article > .text")).to_have_text("My words")
    assert drafts(desk) == 0
    desk.reload()
    expect(row.locator("article > .text")).to_have_text("My words")
    expect(row.locator("form")).to_have_count(0)


def test_words_that_went_out_in_another_tab_are_not_published_twice_without_a_warning(
    node: Any, desk: Page, channel: str
) -> None:
    write(desk, WORDS)
    other = desk.context.new_page()
    other.goto(f"{node.url}/desk?channel={channel}")
    expect(other.get_by_label("Text", exact=True)).to_have_value(WORDS)
    other.get_by_role("button", name="Publish to").click()
    expect(other.locator("#told")).to_contain_text("On air since")
    expect(desk.locator("#told")).to_contain_text("In another tab these words were published")
