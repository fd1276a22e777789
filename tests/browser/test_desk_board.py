"""The desk's board: lines are corrected, withheld, released and canceled, in a real Chromium against a real node."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from tests.browser.conftest import until
from tests.browser.desk import OTHER_WORDS, WORDS, SignedIn, connection, line, publish, sign_in, texts, tombstone

pytestmark = pytest.mark.usefixtures("desk_at_leisure")


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
    row.get_by_role("button", name="Withhold").click()  # one press, and nothing is asked

    held = tombstone(desk, "withheld")
    expect(held.locator(".state")).to_have_text("Withheld")
    expect(desk.locator("#said")).to_contain_text("Withheld at")
    held.get_by_role("button", name="Correct").click()
    held.get_by_label("Public note").fill("Being checked")
    held.get_by_role("button", name="Save correction").click()
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


def test_a_note_that_is_not_meant_for_the_public_leaves_the_line_withheld_until_it_is_confirmed(
    node: Any, desk: Page, channel: str
) -> None:
    node.publish(channel, WORDS)
    line(desk, WORDS).get_by_role("button", name="Cancel…").click()
    dialog = desk.get_by_role("dialog")
    dialog.get_by_label("Public note").fill("XXX call the harbour")
    dialog.get_by_role("button", name="Cancel for good").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The line is withheld, without the note")
    [kept] = node.get(f"/v1/channels/{channel}/lines")["lines"]
    assert (kept["status"], kept["note"]) == ("withheld", None)
    dialog.get_by_label("has “XXX” in it").check()
    dialog.get_by_role("button", name="Cancel for good").click()
    expect(tombstone(desk, "canceled").locator("article > .note")).to_have_text("XXX call the harbour")


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


# Room for it


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
