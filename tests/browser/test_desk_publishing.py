"""A line goes on air from the desk, and the desk says so, in a real Chromium against a real node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import until
from tests.browser.desk import OTHER_WORDS, WORDS, complaints, connection, line, publish, sign_in, texts, write
from tests.patience import NO_BEATS

pytestmark = pytest.mark.usefixtures("desk_at_leisure")


# Publishing


def test_a_line_from_the_form_goes_on_air_with_all_its_fields(node: Any, desk: Page, channel: str) -> None:
    write(desk, WORDS)
    desk.get_by_role("radio", name="Bulletin").check()
    desk.get_by_label("Link").fill("https://harbour.example/timetable")
    desk.get_by_label("Source").fill("Harbour office")
    desk.get_by_label("On air for").select_option("Until taken down")
    desk.get_by_role("button", name="Publish to").click()

    row = line(desk, WORDS)
    expect(row.locator(".state")).to_have_text("On air")
    expect(row.locator(".urgency")).to_have_text("Bulletin")
    expect(row.locator(".source")).to_have_text("Harbour office")
    expect(row.get_by_role("link", name="harbour.example")).to_have_attribute(
        "href", "https://harbour.example/timetable"
    )
    expect(desk.locator("#told")).to_contain_text("On air since")
    expect(desk.get_by_label("Text", exact=True)).to_have_value("")
    expect(desk.get_by_role("radio", name="Urgent")).to_be_checked()
    [kept] = node.get(f"/v1/channels/{channel}/lines")["lines"]
    assert kept["text"] == WORDS
    assert kept["urgency"] == "bulletin"
    assert kept["url"] == "https://harbour.example/timetable"
    assert kept["source"] == "Harbour office"
    assert kept["expires"] is None


def test_a_line_is_published_with_the_keyboard_alone(node: Any, page: Page, channel: str) -> None:
    page.goto(f"{node.url}/desk?channel={channel}")
    expect(page.get_by_label("Your key")).to_be_focused()
    page.keyboard.type(node.key)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Text", exact=True)).to_be_focused()
    page.keyboard.type(WORDS)
    page.keyboard.press("Enter")  # neither a line break nor a publication
    expect(page.get_by_label("Text", exact=True)).to_have_value(WORDS)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("radio", name="Bulletin")).to_be_checked()
    page.keyboard.press("Control+Enter")
    expect(line(page, WORDS).locator(".urgency")).to_have_text("Bulletin")
    expect(page.get_by_label("Text", exact=True)).to_be_focused()
    assert texts(node, channel) == [WORDS]


def test_characters_are_counted_as_readers_count_them(node: Any, desk: Page) -> None:
    count = desk.locator("#compose .count")
    write(desk, "👩‍👩‍👧‍👦 e\u0301")
    expect(count).to_have_text("3 / 280")
    write(desk, "x" * 250)
    expect(count).to_have_text("250 / 280 · 30 left")
    expect(count).to_have_attribute("data-tone", "near")
    write(desk, "x" * 283)
    expect(count).to_have_text("283 / 280 · 3 too many")


def test_a_text_that_is_too_long_is_refused_at_its_field_and_nothing_is_lost(
    node: Any, desk: Page, channel: str
) -> None:
    long = "x " * 140 + "end"
    write(desk, long)
    desk.get_by_label("Source").fill("Harbour office")
    desk.get_by_role("button", name="Publish to").click()
    text = desk.get_by_label("Text", exact=True)
    expect(desk.locator('#compose [data-field="text"] .fault')).to_contain_text("280")
    expect(text).to_have_attribute("aria-invalid", "true")
    expect(text).to_be_focused()
    expect(text).to_have_value(long)
    expect(desk.get_by_label("Source")).to_have_value("Harbour office")
    assert texts(node, channel) == []
    write(desk, WORDS)
    desk.get_by_role("button", name="Publish to").click()
    expect(line(desk, WORDS)).to_be_visible()


def test_pasted_line_breaks_become_spaces(node: Any, desk: Page) -> None:
    write(desk, "Two rows\nfrom a wire")
    expect(desk.get_by_label("Text", exact=True)).to_have_value("Two rows from a wire")


def test_markup_in_a_text_is_shown_as_text(node: Any, desk: Page) -> None:
    markup = "<img src=x onerror=alert(1)> <b>bold</b> & more"
    publish(desk, markup)
    row = line(desk, "<b>bold</b>")
    expect(row.locator("article > .text")).to_have_text(markup)
    expect(row.locator("img, b")).to_have_count(0)
    assert complaints(desk) == []


def test_a_line_whose_answer_was_lost_goes_out_once(node: Any, desk: Page, channel: str) -> None:
    keys = []
    again: list[Route] = []

    def lose_the_first_answer(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()  # the node keeps the line …
            route.abort()  # … and the editor never hears of it
        else:
            again.append(route)  # it waits until we have seen what the editor sees

    desk.route(f"**/v1/channels/{channel}/lines", lose_the_first_answer)
    publish(desk, WORDS)
    expect(desk.get_by_text("It is not known whether this line went out")).to_be_visible()
    expect(desk.get_by_label("Text", exact=True)).to_have_value(WORDS)
    until(desk, lambda: again)
    again[0].continue_()
    expect(desk.locator("#told")).to_contain_text("On air since")
    expect(desk.locator("#unheard")).to_be_hidden()
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert texts(node, channel) == [WORDS]


def test_a_killed_node_is_said_to_be_offline_and_the_line_goes_out_once_when_it_is_back(
    start_node: Any, page: Page
) -> None:
    node, desk = start_node(), page
    sign_in(page, node)
    earlier = node.publish("en", OTHER_WORDS)
    row = line(desk, OTHER_WORDS)
    expect(row.locator(".state")).to_have_text("On air")
    node.kill()
    expect(connection(desk)).to_have_text("Offline")
    expect(desk.locator("#board-title")).to_have_text("Last seen on air")
    expect(desk.locator("#doubt")).to_contain_text("may have changed")
    expect(row.locator(".state")).to_have_text("Last seen on air")

    publish(desk, WORDS)
    expect(desk.get_by_text("It is not known whether this line went out")).to_be_visible()
    expect(desk.locator("#unheard")).to_contain_text("can’t go out twice")
    text = desk.get_by_label("Text", exact=True)
    expect(text).to_have_value(WORDS)
    expect(text).not_to_be_editable()

    node.start()
    desk.context.set_offline(True)
    desk.context.set_offline(False)  # "online": the page need not wait for its turn to connect
    desk.get_by_role("button", name="Try again").click()
    expect(connection(desk)).to_have_text("Live")
    expect(line(desk, WORDS).locator(".state")).to_have_text("On air")
    expect(desk.locator("#told")).to_contain_text("On air since")
    assert texts(node) == [WORDS, earlier["text"]]


def test_a_line_in_doubt_can_be_given_up_and_its_words_go_out_as_a_new_one(node: Any, desk: Page, channel: str) -> None:
    def lose_the_first_line(route: Route) -> None:  # however late one of its tries comes
        if WORDS in (route.request.post_data or ""):
            route.abort()
        else:
            route.continue_()

    desk.route(f"**/v1/channels/{channel}/lines", lose_the_first_line)
    publish(desk, WORDS)
    desk.get_by_role("button", name="Edit it as a new line").click()
    expect(desk.locator("#told")).to_contain_text("look before you publish")
    publish(desk, OTHER_WORDS)
    expect(line(desk, OTHER_WORDS)).to_be_visible()
    assert texts(node, channel) == [OTHER_WORDS]


def test_a_server_late_with_its_sign_of_life_is_said_to_be_delayed(start_node: Any, page: Page) -> None:
    node = start_node(constants=NO_BEATS)
    page.clock.install()
    sign_in(page, node)
    node.publish("en", WORDS)
    expect(line(page, WORDS)).to_be_visible()
    page.clock.pause_at(page.evaluate("Date.now()") / 1_000 + 36)  # ten seconds later it would reconnect
    expect(connection(page)).to_have_text("Delayed")
    expect(page.locator("#doubt")).to_contain_text("late")


# What is said, to the eye and to the ear


def test_an_empty_form_is_not_refused_beside_a_success(node: Any, desk: Page) -> None:
    send = desk.get_by_role("button", name="Publish to")
    fault = desk.locator('#compose [data-field="text"] .fault')
    send.click()
    expect(fault).to_have_text("Write the line first.")
    publish(desk, WORDS)
    expect(desk.locator("#told")).to_contain_text("On air since")
    expect(fault).to_be_hidden()
    send.click()
    expect(desk.locator("#told")).to_contain_text("The form is empty now")
    expect(fault).to_be_hidden()
    expect(desk.get_by_label("Text", exact=True)).to_be_focused()


def test_what_is_told_as_on_air_is_told_no_more_once_it_is_not(node: Any, desk: Page, channel: str) -> None:
    ways: list[Callable[[dict[str, Any]], object]] = [
        lambda kept: node.correct(channel, kept["id"], status="withheld"),
        lambda kept: node.cancel(channel, kept["id"]),
        lambda kept: node.correct(channel, kept["id"], expires_in=1),
    ]
    for take_down in ways:
        publish(desk, WORDS)
        expect(desk.locator("#told")).to_contain_text("On air since")
        take_down(node.board(channel)[0])
        expect(desk.locator("#told")).to_be_empty()


HEAR = """() => {
  window.heard = [];
  const live = "[aria-live]:not([aria-live=off]), [role=status], [role=alert], output";
  new MutationObserver((changes) => {
    for (const { target, addedNodes } of changes) {
      const element = target instanceof Element ? target : target.parentElement;
      const said = [...addedNodes].map(({ textContent }) => textContent).join("");
      if (element?.closest(live)) heard.push(said || target.data);
    }
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


@pytest.mark.parametrize("first", ["the board", "the answer"])
def test_ones_own_line_is_announced_once(node: Any, desk: Page, channel: str, first: str) -> None:
    desk.evaluate(HEAR)
    if first == "the board":

        def wait_for_the_board(route: Route) -> None:
            answer = route.fetch()
            expect(line(desk, WORDS)).to_be_visible()
            route.fulfill(response=answer)

        desk.route(f"**/v1/channels/{channel}/lines", wait_for_the_board)
    publish(desk, WORDS)
    expect(desk.locator("#told")).to_contain_text("On air since")
    expect(line(desk, WORDS)).to_be_visible()
    node.publish(channel, OTHER_WORDS)
    expect(line(desk, OTHER_WORDS)).to_be_visible()
    heard = desk.evaluate("heard")
    assert [said for said in heard if WORDS in said] == [f"On air: {WORDS}"]
    assert [said for said in heard if OTHER_WORDS in said] == [f"On air: {OTHER_WORDS}"]


def test_a_refusal_is_announced_once(node: Any, desk: Page) -> None:
    desk.evaluate(HEAR)
    publish(desk, "x" * 281)
    expect(desk.locator("#told")).to_contain_text("Not published")
    assert len([said for said in desk.evaluate("heard") if said and "Not published" in said]) == 1
