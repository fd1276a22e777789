"""The editors' desk page, in a real Chromium against a real node."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Locator, Page, Route, expect

from tests.browser.conftest import until
from tests.conftest import RunningNode
from tests.patience import NO_BEATS

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
