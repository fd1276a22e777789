"""The editors' desk page, in a real Chromium against a real node."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Browser, Locator, Page, Request, Route, expect

from tests.browser.conftest import ARGUMENTS, WITHIN, chromium, until
from tests.conftest import RunningNode
from tests.patience import NO_BEATS
from ticker.text import TEXT_MAX, is_right_to_left, one_line

WORDS = "Ferry service between the two islands resumes after the storm"
OTHER_WORDS = "Power is back in all districts of the old town"


# What the desk says of a change stands for 12 s, and it waits 15 s for an answer: here both for as long as need be.
AT_LEISURE = """
const wait = setTimeout;
window.setTimeout = (end, ms, ...rest) => (ms === 12_000 ? 0 : wait(end, ms, ...rest));
AbortSignal.timeout = () => new AbortController().signal;
"""


@pytest.fixture
def page(page: Page) -> Page:
    page.add_init_script(AT_LEISURE)
    return page


@pytest.fixture
def desk(node: RunningNode, page: Page, channel: str) -> Page:
    """The page of an editor who has signed in and watches the test's channel, live."""
    sign_in(page, node, channel)
    return page


def sign_in(page: Page, node: Any, channel: str = "en") -> None:
    page.goto(f"{node.url}/desk?channel={channel}")
    page.get_by_label("Your key").fill(node.key)
    page.get_by_role("button", name="Sign in").click()
    expect(connection(page)).to_have_text("Live")


def connection(page: Page) -> Locator:
    return page.locator("#connection")


def line(page: Page, words: str) -> Locator:
    return page.locator("#lines > li").filter(has=page.locator("article > .text", has_text=words))


def tombstone(page: Page, status: str) -> Locator:
    return page.locator(f'#lines > li[data-status="{status}"]')


def write(page: Page, words: str) -> None:
    page.get_by_label("Text", exact=True).fill(words)


def publish(page: Page, words: str) -> None:
    write(page, words)
    page.get_by_role("button", name="Publish to").click()


def texts(node: Any, channel: str = "en") -> list[str]:
    return [line["text"] for line in node.get(f"/v1/channels/{channel}/lines")["lines"] if line["status"] == "usable"]


def complaints(page: Any) -> list[str]:
    """What the console says; the browser itself notes each 401, and asking who is signed in earns one."""
    return [each for each in page.errors if "401" not in each]


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
    expect(page.locator("#key-fault")).to_contain_text("opens nothing here")
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
    desk.get_by_role("button", name="Sign in").click()
    expect(desk.get_by_label("Text", exact=True)).to_have_value(WORDS)
    desk.get_by_role("button", name="Publish to").click()
    expect(line(desk, WORDS)).to_be_visible()


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
    page.clock.pause_at(page.evaluate("Date.now()") / 1_000 + 36)  # ten seconds later it would connect anew
    expect(connection(page)).to_have_text("Delayed")
    expect(page.locator("#doubt")).to_contain_text("late")


# The board


def test_a_line_of_another_editor_appears_live_above_the_others(node: Any, desk: Page, channel: str) -> None:
    publish(desk, WORDS)
    expect(line(desk, WORDS)).to_be_visible()
    node.publish(channel, OTHER_WORDS, urgency="flash")
    rows = desk.locator("#lines > li")
    expect(rows.nth(0).locator("article > .text")).to_have_text(OTHER_WORDS)
    expect(rows.nth(0).locator(".urgency")).to_have_text("Flash")
    expect(rows.nth(1).locator("article > .text")).to_have_text(WORDS)
    expect(desk.locator("#tally")).to_have_text("2 of 10 lines")


def test_a_pinned_line_stands_first(node: Any, desk: Page, channel: str) -> None:
    node.publish(channel, WORDS, pinned=True)
    node.publish(channel, OTHER_WORDS)
    rows = desk.locator("#lines > li")
    expect(rows.nth(0).locator(".pin")).to_be_visible()
    expect(rows.nth(0).locator("article > .text")).to_have_text(WORDS)
    expect(rows.nth(1).locator("article > .text")).to_have_text(OTHER_WORDS)


def test_a_line_is_corrected_in_its_place_with_a_public_note(node: Any, desk: Page, channel: str) -> None:
    node.publish(channel, WORDS, source="Harbour office")
    row = line(desk, "Ferry service")
    row.get_by_role("button", name="Correct").click()
    field = row.get_by_label("Corrected text")
    expect(field).to_be_focused()
    expect(field).to_have_value(WORDS)
    field.fill("Ferry service between the two islands resumes on Friday")
    row.get_by_label("Public note").fill("The day was missing")
    field.press("Control+Enter")
    expect(row.locator("article > .text")).to_have_text("Ferry service between the two islands resumes on Friday")
    expect(row.locator(".corrected")).to_be_visible()
    expect(row.locator(".version")).to_have_text("Version 2")
    expect(row.locator("article > .note")).to_have_text("The day was missing")
    expect(desk.locator("#said")).to_contain_text("Corrected at")
    expect(row.get_by_role("button", name="Correct")).to_be_focused()
    [kept] = node.get(f"/v1/channels/{channel}/lines")["lines"]
    assert kept["source"] == "Harbour office"


def test_a_line_is_withheld_and_released_with_its_words(node: Any, desk: Page, channel: str) -> None:
    node.publish(channel, WORDS)
    row = line(desk, WORDS)
    row.get_by_role("button", name="Withhold").click()
    row.get_by_label("Public note").fill("Being checked")
    row.get_by_role("button", name="Withhold now").click()

    held = tombstone(desk, "withheld")
    expect(held.locator(".state")).to_have_text("Withheld")
    expect(held.locator("article > .note")).to_have_text("Being checked")
    expect(held.locator(".held")).to_have_text(WORDS)
    assert texts(node, channel) == []

    held.get_by_role("button", name="Release").click()
    expect(held.locator(".words")).to_have_text(WORDS)
    held.get_by_role("button", name="Put back on air").click()
    expect(line(desk, WORDS).locator(".state")).to_have_text("On air")
    expect(desk.locator("#said")).to_contain_text("Back on air")
    assert texts(node, channel) == [WORDS]


def test_a_held_line_is_corrected_before_it_is_released(node: Any, desk: Page, channel: str) -> None:
    kept = node.publish(channel, WORDS)
    node.correct(channel, kept["id"], status="withheld")
    held = tombstone(desk, "withheld")
    held.get_by_role("button", name="Correct").click()
    field = held.get_by_label("Corrected text")
    expect(field).to_have_value(WORDS)
    field.fill(OTHER_WORDS)
    held.get_by_role("button", name="Save correction").click()
    expect(held.locator(".held")).to_have_text(OTHER_WORDS)
    expect(field).to_have_count(0)  # the answer has come, too
    assert texts(node, channel) == []
    held.get_by_role("button", name="Release").click()
    expect(held.locator(".words")).to_have_text(OTHER_WORDS)
    held.get_by_role("button", name="Put back on air").click()
    expect(line(desk, OTHER_WORDS)).to_be_visible()


def test_a_line_whose_time_ran_out_while_held_is_released_with_a_new_one(node: Any, desk: Page, channel: str) -> None:
    kept = node.publish(channel, WORDS)
    node.correct(channel, kept["id"], status="withheld", expires="2020-01-01T00:00:00Z")
    held = tombstone(desk, "withheld")
    expect(held.locator(".held")).to_have_text(WORDS)
    held.get_by_role("button", name="Release").click()
    expect(held.locator(".words")).to_have_text(WORDS)
    held.get_by_role("button", name="Put back on air").click()
    expect(held.locator('[data-field="expires_in"] .fault')).to_contain_text("Choose how long")
    held.get_by_label("On air for").select_option("2 hours from now")
    held.get_by_role("button", name="Put back on air").click()
    expect(line(desk, WORDS).locator(".expiry")).to_contain_text("expires in")


def test_a_line_is_canceled_for_good_only_after_a_question(node: Any, desk: Page, channel: str) -> None:
    node.publish(channel, WORDS)
    row = line(desk, WORDS)
    dialog = desk.get_by_role("dialog")
    row.get_by_role("button", name="Cancel…").click()
    expect(dialog).to_contain_text(WORDS)
    expect(dialog).to_contain_text("can’t be undone")
    desk.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(row.locator(".state")).to_have_text("On air")

    row.get_by_role("button", name="Cancel…").click()
    dialog.get_by_label("Public note").fill("Wrong ferry")
    dialog.get_by_role("button", name="Cancel for good").click()
    gone = tombstone(desk, "canceled")
    expect(gone.locator(".state")).to_have_text("Canceled")
    expect(gone.locator("article > .note")).to_have_text("Wrong ferry")
    expect(gone.get_by_role("button")).to_have_count(0)
    expect(desk.locator("#lines")).not_to_contain_text(WORDS)
    [kept] = node.get(f"/v1/channels/{channel}/lines")["lines"]
    assert kept["status"] == "canceled"
    assert "text" not in kept


def test_what_somebody_else_changed_meanwhile_is_shown_beside_ones_own_words(
    node: Any, desk: Page, channel: str
) -> None:
    kept = node.publish(channel, WORDS)
    row = desk.locator("#lines > li")
    row.get_by_role("button", name="Correct").click()
    field = row.get_by_label("Corrected text")
    field.fill("My words")
    node.correct(channel, kept["id"], text="Their words")

    newer = row.locator(".newer")
    expect(newer).to_contain_text("Their words")
    expect(field).to_have_value("My words")
    row.get_by_role("button", name="Replace with mine").click()
    expect(row.locator("article > .text")).to_have_text("My words")
    assert texts(node, channel) == ["My words"]


def test_a_change_told_of_while_an_older_one_is_being_read_is_shown_too(node: Any, desk: Page, channel: str) -> None:
    kept = node.publish(channel, WORDS)
    row = desk.locator("#lines > li")
    row.get_by_role("button", name="Correct").click()
    row.get_by_label("Corrected text").fill("My words")
    held: list[tuple[Route, APIResponse]] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))

    node.correct(channel, kept["id"], text="Their words")
    expect(row.locator(".newer")).to_contain_text("Their words")
    desk.route(f"**/v1/channels/{channel}/lines/{kept['id']}/audit", hold_the_first)
    node.correct(channel, kept["id"], text="Their second words")
    until(desk, lambda: held)
    node.correct(channel, kept["id"], text="Their third words")
    expect(row.locator("article > .text")).to_have_text("Their third words")
    [(route, answer)] = held
    route.fulfill(response=answer)
    expect(row.locator(".newer")).to_contain_text("Their third words")


def test_a_stale_correction_is_not_forced_through_and_loses_nothing(node: Any, desk: Page, channel: str) -> None:
    kept = node.publish(channel, WORDS)
    row = desk.locator("#lines > li")

    def someone_is_faster(route: Route) -> None:
        if route.request.method == "PATCH" and texts(node, channel) == [WORDS]:
            node.correct(channel, kept["id"], text="Their words", note="Theirs")
        route.continue_()

    desk.route(f"**/v1/channels/{channel}/lines/*", someone_is_faster)
    row.get_by_role("button", name="Correct").click()
    field = row.get_by_label("Corrected text")
    field.fill("My words")
    row.get_by_role("button", name="Save correction").click()

    expect(row.locator(".newer")).to_contain_text("Their words")
    expect(row.locator(".newer")).to_contain_text("Theirs")
    expect(field).to_have_value("My words")
    assert texts(node, channel) == ["Their words"]
    row.get_by_role("button", name="Leave theirs, discard mine").click()
    expect(row.locator("article > .text")).to_have_text("Their words")
    assert texts(node, channel) == ["Their words"]


def test_a_correction_typed_into_a_line_outlives_the_line(node: Any, desk: Page, channel: str) -> None:
    kept = node.publish(channel, WORDS)
    row = desk.locator("#lines > li")
    row.get_by_role("button", name="Correct").click()
    row.get_by_label("Corrected text").fill("My words")
    node.cancel(channel, kept["id"])
    expect(row.locator(".trouble")).to_contain_text("canceled meanwhile")
    expect(row.get_by_label("Corrected text")).to_have_value("My words")


def test_another_channel_is_not_shown_over_an_unsaved_correction_without_a_question(
    node: Any, desk: Page, channel: str
) -> None:
    node.publish(channel, WORDS)
    row = desk.locator("#lines > li")
    row.get_by_role("button", name="Correct").click()
    row.get_by_label("Corrected text").fill("My words")
    desk.get_by_label("Channel").select_option("es")
    desk.get_by_role("dialog").get_by_role("button", name="Stay").click()
    expect(desk.get_by_label("Channel")).to_have_value(channel)
    expect(row.get_by_label("Corrected text")).to_have_value("My words")
    desk.get_by_label("Channel").select_option("es")
    desk.get_by_role("dialog").get_by_role("button", name="Leave it").click()
    expect(desk.locator("#nothing")).to_be_visible()
    expect(desk).to_have_url(re.compile(r"channel=es$"))


def test_an_arabic_channel_is_written_and_read_from_right_to_left(node: Any, desk: Page, channel: str) -> None:
    desk.get_by_label("Channel").select_option("ar")
    expect(desk).to_have_url(re.compile(r"channel=ar$"))
    expect(connection(desk)).to_have_text("Live")
    text = desk.get_by_label("Text", exact=True)
    expect(text).to_have_attribute("dir", "rtl")
    words = "استئناف حركة العبّارات بين الجزيرتين بعد العاصفة"
    publish(desk, words)
    shown = line(desk, words).locator("article > .text")
    expect(shown).to_have_css("direction", "rtl")
    expect(shown).to_have_attribute("lang", "ar")
    assert texts(node, "ar") == [words]
    assert texts(node, channel) == []


def test_a_phone_shows_the_whole_desk_without_scrolling_sideways(node: Any, desk: Page, channel: str) -> None:
    node.publish(channel, "x" * 280, url="https://harbour.example/" + "y" * 200, source="z" * 80)
    expect(line(desk, "xxx")).to_be_visible()
    line(desk, "xxx").get_by_role("button", name="Correct").click()
    for width in (320, 360, 640):
        desk.set_viewport_size({"width": width, "height": 740})
        desk.wait_for_function("(width) => document.documentElement.scrollWidth <= width", arg=width)
    too_small = desk.evaluate(
        """() => [...document.querySelectorAll("button, select, input, textarea")]
            .filter((each) => each.checkVisibility() && each.type !== "checkbox")
            .map((each) => [each.outerHTML.slice(0, 80), each.getBoundingClientRect()])
            .filter(([, { width, height }]) => width < 44 || height < 44).map(([html]) => html)"""
    )
    assert too_small == []


# Whoever else is signed in


class SignedIn:
    """Who `GET /desk/session` says is signed in, and what the desk's changes carry."""

    def __init__(self, page: Page) -> None:
        self.answer: dict[str, Any] = {"id": "first-sign-in", "name": "Ada"}
        self.carried: list[tuple[str, str | None]] = []
        page.route("**/v1/**", self._pass_on)
        page.route("**/desk/session", self._session)
        page.on("request", self._note)

    @staticmethod
    def _pass_on(route: Route) -> None:
        """Without the sign-in that it names: those are of our making, and the server would refuse them."""
        headers = {name: value for name, value in route.request.headers.items() if name != "ticker-session"}
        route.continue_(headers=headers)

    def _session(self, route: Route) -> None:
        if route.request.method != "GET":
            self._pass_on(route)
            return
        answer = route.fetch()
        if answer.ok:
            route.fulfill(response=answer, json=answer.json() | self.answer)
        else:
            route.fulfill(response=answer)

    def _note(self, request: Request) -> None:
        if request.method != "GET":
            self.carried.append((request.method, request.headers.get("ticker-session")))

    def take_over(self, page: Page, path: str) -> None:
        """As if Grace had signed in in another tab: the server refuses what is meant to be Ada's."""

        def refuse(route: Route) -> None:
            believed = route.request.headers.get("ticker-session")
            if route.request.method == "GET" or believed in (None, self.answer["id"]):
                route.fallback()
                return
            problem = {
                "type": "urn:ticker:problem:other-session",
                "title": "Somebody else is signed in",
                "status": 409,
                "detail": "Grace is signed in by now. Nothing was changed.",
                "signed_in": {"id": "key-of-grace", "name": "Grace"},
            }
            route.fulfill(status=409, content_type="application/problem+json", body=json.dumps(problem))

        self.answer = {"id": "second-sign-in", "name": "Grace"}
        page.route(path, refuse)


@pytest.fixture
def signed_in(page: Page) -> SignedIn:
    return SignedIn(page)


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
    row.get_by_role("button", name="Withhold now").click()
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
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Text", exact=True)).to_have_value(WORDS)
    page.get_by_role("button", name="Publish to").click()
    expect(line(page, WORDS)).to_be_visible()
    assert signed_in.carried[-1] == ("POST", "third-sign-in")


@pytest.mark.parametrize("change", ["Correct", "Withhold", "Cancel…"])
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
    page.get_by_role("button", name="Sign in").click()
    expect(connection(page)).to_have_text("Live")
    publish(page, WORDS)
    expect(page.locator("#told")).to_contain_text("On air since")
    row = line(page, WORDS)
    row.get_by_role("button", name="Correct").click()
    row.get_by_label("Corrected text").fill(OTHER_WORDS)
    page.keyboard.press("Control+Enter")
    row = line(page, OTHER_WORDS)
    row.get_by_role("button", name="Withhold").click()
    row.get_by_role("button", name="Withhold now").click()
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
    expect(page.locator("#draft")).to_contain_text("This browser keeps no draft")
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


# What is pasted


def paste(page: Page, field: Locator, words: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("(words) => navigator.clipboard.writeText(words)", words)
    field.focus()
    page.keyboard.press("Control+V")


SPACE_LIKE = ["\t", "\v", "\f", "\n", "\r\n", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\u2003", "\u2028", "\u2029"]


def test_what_is_like_a_space_is_pasted_as_one(node: Any, desk: Page, channel: str) -> None:
    text = desk.get_by_label("Text", exact=True)
    for space in SPACE_LIKE:
        text.fill("")
        paste(desk, text, f"Ferry{space}service")
        expect(text).to_have_value("Ferry service")
    for space in ("\u00a0", "\u202f", "\u3000"):
        text.fill(f"Pluie{space}: alerte")
        expect(text).to_have_value(f"Pluie{space}: alerte")
    publish(desk, "Pluie\u00a0: alerte")
    expect(desk.locator("#told")).to_contain_text("On air since")
    assert texts(node, channel) == ["Pluie\u00a0: alerte"]
    expect(desk.locator("#compose .taken").first).to_be_empty()


INVISIBLE = {
    "\u200b": "zero-width space (U+200B)",
    "\u2060": "word joiner (U+2060)",
    "\ufeff": "byte order mark (U+FEFF)",
    "\ufffc": "placeholder of an object (U+FFFC)",
    "\u00ad": "soft hyphen (U+00AD)",
    "\u202b": "stray direction mark (U+202B)",
    "\u2067": "stray direction mark (U+2067)",
    "\u2069": "stray direction mark (U+2069)",
    "\U000e0041": "tag character (U+E0041)",
}


def test_what_nobody_sees_is_taken_out_and_named(node: Any, desk: Page, channel: str) -> None:
    text = desk.get_by_label("Text", exact=True)
    for character, name in INVISIBLE.items():
        text.fill("")
        paste(desk, text, f"Ferry ser{character}vice")
        expect(text).to_have_value("Ferry service")
        expect(desk.locator('#compose [data-field="text"] .taken')).to_have_text(f"Invisible, taken out: {name}.")
        expect(desk.locator("#compose .count")).to_have_text("13 / 280")
    text.fill("\ufeffTwo \u200bof\u200b them")
    expect(desk.locator('#compose [data-field="text"] .taken')).to_contain_text("zero-width space (U+200B) 2 times")
    desk.get_by_role("button", name="Publish to").click()
    expect(desk.locator("#told")).to_contain_text("On air since")
    assert texts(node, channel) == ["Two of them"]
    expect(desk.locator('#compose [data-field="text"] .taken')).to_be_empty()


@pytest.mark.parametrize(
    "words",
    [
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f wins",
        "می\u200cخواهم",
        "👩\u200d👧",
        "\u2067אב\u2069 c",
    ],
    ids=["a flag", "ZWNJ", "ZWJ", "an isolate that is closed"],
)
def test_what_is_invisible_and_spells_something_is_kept(node: Any, desk: Page, channel: str, words: str) -> None:
    paste(desk, desk.get_by_label("Text", exact=True), words)
    desk.get_by_role("button", name="Publish to").click()
    expect(desk.locator("#told")).to_contain_text("On air since")
    assert texts(node, channel) == [words]


def test_marks_that_are_typed_one_by_one_may_be_closed_yet(node: Any, desk: Page) -> None:
    text = desk.get_by_label("Text", exact=True)
    text.focus()
    desk.keyboard.insert_text("a \u2067אב")
    expect(text).to_have_value("a \u2067אב")
    desk.keyboard.insert_text("\u2069")
    desk.keyboard.press("Tab")
    expect(text).to_have_value("a \u2067אב\u2069")
    text.evaluate("(area) => { area.focus(); area.setSelectionRange(6, 6); }")
    desk.keyboard.insert_text("\u2067")
    desk.keyboard.press("Tab")
    expect(text).to_have_value("a \u2067אב\u2069")


@pytest.mark.parametrize(
    ("character", "name"),
    [("\x07", "control character (U+0007)"), ("\u202e", "direction override (U+202E)"), ("\ufdd0", "(U+FDD0)")],
)
def test_what_is_refused_is_shown_where_it_stands_before_it_is_sent(
    node: Any, signed_in: SignedIn, desk: Page, channel: str, character: str, name: str
) -> None:
    text = desk.get_by_label("Text", exact=True)
    paste(desk, text, f"Ferry ser{character}vice")
    place = desk.locator('#compose [data-field="text"] .refused p')
    expect(place).to_contain_text("Ferry ser")
    expect(place.locator("mark")).to_contain_text(name)
    desk.get_by_role("button", name="Publish to").click()
    expect(desk.locator('#compose [data-field="text"] .fault')).to_contain_text("can’t be published")
    expect(text).to_be_focused()
    assert text.evaluate("(area) => area.value.slice(area.selectionStart, area.selectionEnd)") == character
    assert [method for method, _ in signed_in.carried] == ["POST"]  # signing in
    desk.get_by_role("button", name="Take it out").click()
    expect(text).to_have_value("Ferry service")
    expect(place).to_have_count(0)
    desk.get_by_role("button", name="Publish to").click()
    expect(line(desk, "Ferry service")).to_be_visible()


def test_every_field_of_a_correction_is_pasted_into_by_the_same_rule(node: Any, desk: Page, channel: str) -> None:
    node.publish(channel, "Pluie\u00a0: alerte")
    row = line(desk, "Pluie")
    row.get_by_role("button", name="Correct").click()
    for label in ("Corrected text", "Public note", "Source"):
        paste(desk, row.get_by_label(label), "\u200b two\nrows")
    expect(row.get_by_label("Corrected text")).to_have_value("Pluie\u00a0: alerte two rows")
    expect(row.get_by_label("Public note")).to_have_value(re.compile("^ ?two rows$"))
    expect(row.get_by_label("Source")).to_have_value(re.compile("^ ?two rows$"))
    paste(desk, row.get_by_label("Link"), "https://\u200bharbour.example/\u2060timetable")
    expect(row.get_by_label("Link")).to_have_value("https://harbour.example/timetable")
    expect(row.locator(".taken", has_text="zero-width space")).to_have_count(4)
    row.get_by_label("Public note").fill("A bell \x07 rings")
    row.get_by_role("button", name="Save correction").click()
    expect(row.locator('[data-field="note"] .fault')).to_contain_text("can’t be published")
    row.get_by_role("button", name="Take it out").click()
    row.get_by_role("button", name="Save correction").click()
    expect(row.locator("form")).to_have_count(0)
    [kept] = node.get(f"/v1/channels/{channel}/lines")["lines"]
    assert (kept["text"], kept["note"], kept["source"]) == ("Pluie\u00a0: alerte two rows", "A bell rings", "two rows")


TRICKY = [
    *" \t\n\r\x00\x07\x1c\x1f\x85\u00a0\u202f\u3000\u2028\u2029\ufeff\u200b\u200c\u200d\u200e\u200f\u061c\u0301\u0338",
    *"\u034f\u0915\u094d\u1100\u1161\u212b\u3164\u2066\u2067\u2068\u2069\u202a\u202b\u202c\u202d\u202e\ufe0f\u180e\u1820",
    *"\ufffc\ufff9\u00ad\u2060\u2800\U000e0067\U000e007f\ufdd0🇯🇴👩👧\U0001f3fd❤aß1.#éمیאא漢か\u3099",
    *"\U00013000\U00013430\U0001d159\U00010900",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
]


def test_what_the_desk_sends_is_kept_as_it_is(node: Any, page: Page) -> None:
    """The two rules, in ticker/text.py and paste.js, are one: the server changes nothing more."""
    random = Random(19)
    pasted = ["".join(random.choices(TRICKY, k=random.randint(1, 14))) for _ in range(5_000)]
    page.goto(f"{node.url}/desk")
    sent = page.evaluate(
        """async (pasted) => {
          const { cleaned, folded } = await import("/assets/desk/paste.js");
          return pasted.map((words) => [folded(words), folded(cleaned(words).text)]);
        }""",
        pasted,
    )
    taken = 0
    for words, (at_once, shown_before) in zip(pasted, sent, strict=True):
        assert at_once == shown_before
        with contextlib.suppress(ValueError):  # refused: the desk has shown where
            kept = one_line(re.sub(r"[\n\r]+", " ", words), TEXT_MAX)  # of rows the desk makes one line
            assert at_once == kept
            taken += 1
    assert taken > len(pasted) / 3  # enough of them to say so


# Language and direction


def test_a_line_is_in_its_channels_language_unless_the_editor_says_another(node: Any, desk: Page) -> None:
    desk.get_by_label("Channel").select_option("ar")
    text, language, direction = (desk.get_by_label(name, exact=True) for name in ("Text", "Language", "Direction"))
    expect(language).to_have_value("ar")
    expect(direction).to_have_value("rtl")
    language.fill("fr")
    expect(direction).to_have_value("ltr")
    expect(text).to_have_attribute("lang", "fr")
    expect(text).to_have_attribute("dir", "ltr")
    publish(desk, "Le pont est ouvert")
    row = line(desk, "Le pont est ouvert")
    expect(row.locator("article > .text")).to_have_attribute("lang", "fr")
    expect(row.locator("article > .text")).to_have_css("direction", "ltr")
    expect(language).to_have_value("ar")  # the next line's
    expect(direction).to_have_value("rtl")

    row.get_by_role("button", name="Correct").click()
    expect(row.get_by_label("Language")).to_have_value("fr")
    row.get_by_label("Language").fill("fa")
    expect(row.get_by_label("Direction")).to_have_value("rtl")
    expect(row.get_by_label("Corrected text")).to_have_attribute("dir", "rtl")
    row.get_by_label("Direction").select_option("Left to right")
    row.get_by_role("button", name="Save correction").click()
    expect(row.locator("form")).to_have_count(0)
    kept = next(each for each in node.get("/v1/channels/ar/lines")["lines"] if each["text"] == "Le pont est ouvert")
    assert (kept["language"], kept["direction"]) == ("fa", "ltr")


def test_a_language_that_is_none_is_refused_at_its_field(node: Any, desk: Page) -> None:
    desk.get_by_label("Language", exact=True).fill("French, please")
    publish(desk, WORDS)
    expect(desk.locator('#compose [data-field="language"] .fault')).to_contain_text("BCP 47")
    expect(desk.get_by_label("Text", exact=True)).to_have_value(WORDS)


def test_the_desk_and_the_server_know_the_same_languages_that_run_from_right_to_left(node: Any, page: Page) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    tags = [a + b for a in letters for b in letters] + [a + b + c for a in letters for b in letters for c in letters]
    tags += [
        "AR",
        "ar-EG",
        "az-Arab",
        "az-Arab-IR",
        "ar-Latn",
        "uz-Cyrl",
        "ku-arab",
        "de-1996",
        "ff-Adlm",
        "he-Hebr-IL",
    ]
    page.goto(f"{node.url}/desk")
    found = page.evaluate(
        """async (tags) => {
          const { directionOf } = await import("/assets/desk/language.js");
          return tags.filter((tag) => directionOf(tag) === "rtl");
        }""",
        tags,
    )
    assert found == [tag for tag in tags if is_right_to_left(tag)]


def test_what_is_on_air_or_typed_is_never_translated(node: Any, desk: Page, channel: str) -> None:
    kept = node.publish(channel, WORDS, source=WORDS)
    node.correct(channel, node.publish(channel, WORDS)["id"], status="withheld", note=WORDS)
    publish(desk, OTHER_WORDS)
    expect(desk.locator("#told")).to_contain_text("On air since")
    write(desk, OTHER_WORDS)
    row = desk.locator(f'#lines > li[data-id="{kept["id"]}"]')
    row.get_by_role("button", name="Correct").click()
    row.get_by_label("Corrected text").fill(OTHER_WORDS)
    node.correct(channel, kept["id"], text=f"{WORDS} again")
    expect(row.locator(".newer-text")).to_contain_text(WORDS)
    tombstone(desk, "withheld").get_by_role("button", name="Release").click()
    expect(tombstone(desk, "withheld").locator(".words")).to_have_text(WORDS)
    row.get_by_role("button", name="Cancel…").click()
    translated = """(words) => [...document.body.querySelectorAll("*")].filter((each) => each.translate
      && (words.some((some) => each.value?.includes?.(some) || [...each.childNodes].some(
        (node) => node.nodeType === Node.TEXT_NODE && node.data.includes(some)))))
      .map(({ outerHTML }) => outerHTML)"""
    assert desk.evaluate(translated, [WORDS, OTHER_WORDS]) == []
    fields = "textarea, input:not([type=radio], [type=checkbox], [name=url], #key, [name=username])"
    assert (
        desk.evaluate(
            "(fields) => [...document.querySelectorAll(fields)].filter((each) => each.translate).length", fields
        )
        == 0
    )


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
    expect(desk.locator("#draft")).to_contain_text("kept in this browser until you publish it or sign out")
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
    desk.get_by_role("button", name="Sign in").click()
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


LONG_NAME = "The night desk of the regional newsroom in Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch"


def test_a_long_name_covers_nothing_on_the_smallest_phone_however_large_its_text(
    node: Any, signed_in: SignedIn, page: Page
) -> None:
    signed_in.answer = {"name": LONG_NAME}
    sign_in(page, node)
    for width, size in itertools.product((320, 360, 640, 1280), ("100%", "200%")):
        page.set_viewport_size({"width": width, "height": 640})
        page.evaluate("(size) => { document.documentElement.style.fontSize = size; }", size)
        page.wait_for_function("(width) => document.documentElement.scrollWidth <= width", arg=width)
        boxes = [page.locator(part).bounding_box() for part in (".brand", "#name", "#signout")]
        for left, right in itertools.pairwise(boxes):
            assert left
            assert right
            assert left["x"] + left["width"] <= right["x"] or left["y"] + left["height"] <= right["y"]
        expect(page.get_by_role("button", name="Sign out")).to_be_in_viewport(ratio=1)


COVERED = """() => {
  const { activeElement } = document;
  const { left, right, top, bottom } = activeElement.getBoundingClientRect();
  const shown = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
  const seen = activeElement === document.body || activeElement.contains(shown) || shown?.contains(activeElement)
    || activeElement.labels?.[0]?.contains(shown);
  return seen ? null : activeElement.outerHTML.slice(0, 120) + " under " + shown?.outerHTML.slice(0, 120);
}"""


@pytest.mark.parametrize("size", [(360, 640), (1280, 600)])
def test_what_stays_in_sight_covers_nothing_that_has_the_focus(
    node: Any, desk: Page, channel: str, size: tuple[int, int]
) -> None:
    for number in range(8):
        node.publish(channel, f"{WORDS} {number}")
    expect(desk.locator("#lines > li")).to_have_count(8)
    desk.set_viewport_size({"width": size[0], "height": size[1]})
    for key in ("Tab", "Shift+Tab"):
        for _ in range(36):
            desk.keyboard.press(key)
            assert desk.evaluate(COVERED) is None
