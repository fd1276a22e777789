"""What a reader does to the banner: point, pause, scroll, dismiss. In a real Chromium against a real node."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.browser.banner import LIST, LIVE, banner, bar, block, both, current, host, point_at, point_elsewhere
from tests.browser.conftest import WITHIN, Site, until_as_time_passes, without_time

# The bar


def test_a_line_that_is_pointed_at_stays_and_the_new_one_waits(node: Any, page: Any, embed: Any, channel: str) -> None:
    for number in range(2):
        node.publish(channel, f"Line number {number}")
    embed(both(channel), stopped=True)
    expect(current(page)).to_contain_text("Line number 1")
    point_at(current(page).locator(".text"))
    page.clock.run_for(20_000)
    node.publish(channel, "A new line")
    expect(bar(page).get_by_role("button", name="New: 1")).to_be_visible()
    expect(current(page)).to_contain_text("Line number 1")
    point_elsewhere(page)
    expect(current(page)).to_contain_text("A new line")


def test_the_pause_button_works_by_keyboard(node: Any, page: Any, embed: Any, channel: str) -> None:
    for number in range(3):
        node.publish(channel, f"Line number {number}")
    embed(both(channel), stopped=True)
    expect(current(page)).to_contain_text("Line number 2")
    pause = bar(page).get_by_role("button", name="Pause")
    for _ in range(20):
        page.keyboard.press("Tab")
        if pause.evaluate("(button) => button.getRootNode().activeElement === button"):
            break
    expect(pause).to_be_focused()
    page.keyboard.press("Enter")
    expect(bar(page).get_by_role("button", name="Resume")).to_be_focused()
    page.evaluate("document.querySelector('breaking-ticker').shadowRoot.activeElement.blur()")
    page.clock.run_for(20_000)
    expect(current(page)).to_contain_text("Line number 2")
    bar(page).get_by_role("button", name="Next").click()
    expect(current(page)).to_contain_text("Line number 1")
    bar(page).get_by_role("button", name="Resume").click()
    point_elsewhere(page)
    page.clock.run_for(6_500)
    expect(current(page)).to_contain_text("Line number 0")


def test_what_came_while_it_stood_still_has_its_turn_and_what_goes_gives_its_place(
    node: Any, page: Any, embed: Any, channel: str
) -> None:
    for text, lasts in (("Line number 0", 7_200), ("Line number 1", 600), ("Line number 2", 7_200)):
        node.publish(channel, text, expires_in=lasts)
    embed(banner(channel), stopped=True)
    expect(current(page)).to_contain_text("Line number 2")
    bar(page).get_by_role("button", name="Pause").click()
    bar(page).get_by_role("button", name="Next").click()
    expect(current(page)).to_contain_text("Line number 1")
    for text, lasts in (("New and gone", 600), ("New number 1", 7_200), ("New number 2", 7_200)):
        node.publish(channel, text, expires_in=lasts)
    expect(bar(page).get_by_role("button", name="New: 3")).to_be_visible()
    page.clock.fast_forward(1_200_000)
    expect(bar(page).get_by_role("button", name="New: 2")).to_be_visible()
    expect(current(page)).to_contain_text("Line number 0")  # which has its place, and not the first of all
    bar(page).get_by_role("button", name="New: 2").click()
    expect(current(page)).to_contain_text("New number 2")
    bar(page).get_by_role("button", name="Previous").click()
    expect(current(page)).to_contain_text("Line number 0")
    bar(page).get_by_role("button", name="Next").click()
    expect(current(page)).to_contain_text("New number 1")


def test_focus_stays_in_the_banner_when_what_has_it_goes(node: Any, embed: Any, channel: str) -> None:
    line = node.publish(channel, "Mayor to speak at 18:00", url="https://example.org/mayor")
    page = embed(banner(channel))
    pause = bar(page).get_by_role("button", name="Pause")
    page.get_by_role("link", name="Mayor").focus()
    page.keyboard.press("Shift+Tab")  # from here on by keyboard
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Mayor")).to_be_focused()
    node.publish(channel, "Bridge collapses", urgency="flash")  # takes nothing from under the reader's finger
    expect(bar(page).get_by_role("button", name="New: 1")).to_be_visible()
    expect(page.get_by_role("link", name="Mayor")).to_be_focused()
    node.cancel(channel, line["id"])
    expect(current(page).locator(".mark")).to_have_text("Retracted")
    expect(pause).to_be_focused()
    node.publish(channel, "Ferries suspended")
    bar(page).get_by_role("button", name="New: 1").focus()
    page.keyboard.press("Enter")
    expect(current(page)).to_contain_text("Ferries suspended")
    expect(pause).to_be_focused()


def test_a_finger_that_has_gone_holds_no_line(node: Any, site: Site, browser: Browser, channel: str) -> None:
    for number in range(3):
        node.publish(channel, f"Line number {number}")
    context = browser.new_context(has_touch=True, is_mobile=True, locale="en-GB")
    page = context.new_page()
    context.set_default_timeout(WITHIN)
    without_time(page)
    page.goto(site.serve(host(node, both(channel))))
    until_as_time_passes(page, lambda: page.locator(LIVE).count())
    expect(current(page)).to_contain_text("Line number 2")
    bar(page).get_by_role("button", name="Next").tap()
    expect(current(page)).to_contain_text("Line number 1")
    page.clock.run_for(6_500)
    expect(current(page)).to_contain_text("Line number 0")
    context.close()


def test_a_flash_interrupts_once_and_holds_no_reader_who_paused(node: Any, article: Any, channel: str) -> None:
    node.publish(channel, "Mayor to speak at 18:00")
    expect(current(article)).to_contain_text("Mayor")
    point_at(current(article).locator(".text"))
    node.publish(channel, "Bridge collapses", urgency="flash")
    expect(current(article)).to_contain_text("Bridge collapses")
    expect(bar(article).locator(".bar:has(.on[data-urgency=flash])")).to_be_visible()
    bar(article).get_by_role("button", name="Next").click()
    expect(bar(article).locator(".bar:has(.on[data-urgency=flash])")).to_have_count(0)
    bar(article).get_by_role("button", name="Pause").click()
    node.publish(channel, "Ferry sinks", urgency="flash")
    expect(bar(article).get_by_role("button", name="New: 1")).to_be_visible()
    expect(current(article)).to_contain_text("Mayor")


def test_a_held_banner_is_never_blank(node: Any, article: Any, channel: str) -> None:
    node.publish(channel, "The line that is being read")
    expect(current(article)).to_contain_text("being read")
    article.evaluate("document.querySelector('breaking-ticker').pause()")
    for number in range(9):
        node.publish(channel, f"Line number {number}")
    expect(bar(article).get_by_role("button", name="New: 9")).to_be_visible()
    expect(current(article)).to_contain_text("being read")
    node.publish(channel, "Line number 9")  # with it the board is full, without what was being read
    expect(current(article)).to_contain_text("Line number 9")
    expect(bar(article).locator(".empty")).to_be_hidden()


def test_a_dismissed_banner_comes_back_for_a_flash_alone(node: Any, page: Any, embed: Any, channel: str) -> None:
    node.publish(channel, "Mayor to speak at 18:00")
    embed(banner(channel, "dismissible") + banner(channel, LIST))
    bar(page).get_by_role("button", name="Close").click()
    point_elsewhere(page)
    expect(bar(page).get_by_role("region")).to_be_hidden()
    node.publish(channel, "Mayor speaks")
    expect(block(page).locator("li")).to_have_count(2)
    expect(bar(page).get_by_role("region")).to_be_hidden()
    node.publish(channel, "Bridge collapses", urgency="flash")
    expect(bar(page).get_by_role("region")).to_be_visible()
    expect(current(page)).to_contain_text("Bridge collapses")


# The list


def test_a_new_line_waits_above_what_is_being_read(node: Any, article: Any, channel: str) -> None:
    node.publish(channel, "The line that is being read")
    read = block(article).locator("li").filter(has_text="being read")
    point_at(read)
    before = read.bounding_box()
    node.publish(channel, "The new line")
    fresh = block(article).get_by_role("button", name="New: 1")
    expect(fresh).to_be_visible()
    after = read.bounding_box()
    assert before
    assert after
    assert abs(after["y"] - before["y"]) < 1
    assert after["height"] == before["height"]
    fresh.click()
    expect(fresh).to_be_hidden()
    expect(block(article).locator("li").first).to_be_in_viewport(ratio=1)


def scrolled_list(node: Any, embed: Any, channel: str) -> Page:
    """A page whose list knows that its reader has scrolled it."""
    for number in range(10):
        node.publish(channel, f"Line number {number}")
    page: Page = embed(banner(channel, LIST))
    expect(block(page).locator("li")).to_have_count(10)
    block(page).locator(".stage").evaluate("(stage) => { stage.scrollTop = 100 }")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")  # it has heard
    return page


def test_a_list_that_was_scrolled_stays_where_it_is(node: Any, embed: Any, channel: str) -> None:
    page = scrolled_list(node, embed, channel)
    stage = block(page).locator(".stage")
    node.publish(channel, "The new line")
    fresh = block(page).get_by_role("button", name="New: 1")
    expect(fresh).to_be_visible()
    expect(stage).to_have_js_property("scrollTop", 100)
    fresh.click()
    expect(block(page).locator("li").first).to_contain_text("The new line")
    expect(stage).to_have_js_property("scrollTop", 0)


def test_a_flash_is_seen_in_a_list_that_was_scrolled(node: Any, embed: Any, channel: str) -> None:
    page = scrolled_list(node, embed, channel)
    stage = block(page).locator(".stage")
    node.publish(channel, "Bridge collapses", urgency="flash")
    expect(block(page).locator("li").first).to_contain_text("Bridge collapses")
    expect(stage).to_have_js_property("scrollTop", 0)
