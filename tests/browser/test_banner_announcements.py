"""What the banner tells a reader who listens, or who was away, in a real Chromium against a real node."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from tests.browser.banner import LITTLE_JITTER, LIVE, banner, bar, both, current, everything, killed, said
from tests.browser.conftest import hide, routed_sockets, until, until_as_time_passes


def test_the_banner_is_a_named_region_with_a_list(node: Any, article: Any, channel: str) -> None:
    node.publish(channel, "Mayor to speak at 18:00", url="https://example.org/mayor")
    expect(bar(article).get_by_role("region", name="Breaking")).to_be_visible()
    expect(bar(article).get_by_role("listitem")).to_have_count(1)
    expect(bar(article).get_by_role("link", name="Mayor to speak at 18:00")).to_be_visible()


def test_a_line_is_announced_once_and_the_first_board_not_at_all(
    node: Any, page: Any, embed: Any, channel: str
) -> None:
    node.publish(channel, "There before the reader")
    page.add_init_script(LITTLE_JITTER)
    embed(both(channel))
    expect(page.locator(LIVE)).to_have_count(2)
    page.evaluate(
        """() => {
          window.said = [];
          new MutationObserver((changes) =>
            changes.forEach(({ addedNodes }) => addedNodes.forEach((node) => window.said.push(node.textContent)))
          ).observe(document.querySelector("[aria-live]"), { childList: true });
        }"""
    )
    node.publish(channel, "Mayor to speak at 18:00")
    page.wait_for_function("said.includes('Breaking: Mayor to speak at 18:00')")
    with killed(node):
        expect(bar(page)).to_have_attribute("state", "offline")
    node.publish(channel, "Mayor speaks")
    page.wait_for_function("said.includes('Breaking: Mayor speaks')")
    said = page.evaluate("window.said")  # with a summary where the banner was back after the line, none before it
    assert [each for each in said if each != "While you were away · New: 1"] == [
        "Breaking: Mayor to speak at 18:00",
        "Breaking: Mayor speaks",
    ]


def test_a_burst_is_said_as_one_and_nothing_that_holds_no_more(node: Any, page: Any, embed: Any, channel: str) -> None:
    embed(banner(channel, 'max="3" dismissible'), stopped=True)
    page.evaluate(
        """() => {
          window.heard = 0;
          for (const type of ["line", "correction", "cancel"]) addEventListener(`ticker:${type}`, () => heard++);
        }"""
    )

    def heard(after: int) -> list[str]:
        """When so much has happened."""
        until(page, lambda: page.evaluate("heard") == after)
        return said(page).locator("p").all_text_contents()

    first, *_ = [node.publish(channel, f"Line number {number}") for number in range(5)]
    assert heard(5) == [f"Breaking: Line number {number}" for number in (2, 3, 4)]
    page.clock.run_for(11_000)
    assert page.locator("ticker-announcer").text_content() == ""

    node.correct(channel, first["id"], text="Line number nought")  # it isn't shown
    line = node.publish(channel, "Minister steps down")
    node.cancel(channel, line["id"], note="The office denies it.")
    assert heard(8) == ["Retracted: The office denies it."]

    page.get_by_role("button", name="Close").click()
    page.clock.run_for(11_000)
    node.publish(channel, "Mayor to speak at 18:00")
    assert heard(9) == []


def test_each_of_several_kills_is_an_alert(node: Any, page: Any, embed: Any, channel: str) -> None:
    lines = [node.publish(channel, f"Line number {number}") for number in range(2)]
    embed(both(channel), stopped=True)  # alerts are cleared away after ten seconds
    expect(current(page)).to_contain_text("Line number 1")
    for number, line in enumerate(lines):
        node.cancel(channel, line["id"], note=f"Reason {number}.")
    expect(page.get_by_role("alert")).to_have_text(["Retracted: Reason 0.", "Retracted: Reason 1."])


def test_after_an_absence_it_says_what_was_missed_and_shows_the_kills_first(
    node: Any, page: Any, embed: Any, channel: str
) -> None:
    gone = node.publish(channel, "Minister steps down")
    corrected = node.publish(channel, "The comet is visible until Thursday")
    sockets = routed_sockets(page)
    page.add_init_script(LITTLE_JITTER)
    embed(banner(channel), stopped=True)
    expect(current(page)).to_contain_text("The comet")
    page.context.set_offline(True)
    sockets[-1].close(code=1001)
    until_as_time_passes(page, lambda: bar(page).get_attribute("state") == "offline")
    node.cancel(channel, gone["id"], note="The office denies it.")
    node.correct(channel, corrected["id"], text="The comet is visible until Friday")
    node.publish(channel, "Mayor to speak at 18:00")
    node.publish(channel, "Ferries suspended")
    page.context.set_offline(False)
    away = bar(page).locator(".away")
    until_as_time_passes(page, lambda: away.is_visible())
    expect(away).to_have_text("While you were away · Retracted: 1 · Corrected: 1 · New: 2")
    expect(current(page).locator(".mark")).to_have_text("Retracted")
    assert "Minister" not in everything(page)
    page.clock.run_for(6_500)
    expect(away).to_be_hidden()
    bar(page).get_by_role("button", name="Next").click()
    expect(current(page)).to_contain_text("until Friday")
    bar(page).get_by_role("button", name="Next").click()
    expect(current(page)).to_contain_text("Ferries")
    bar(page).get_by_role("button", name="Next").click()
    expect(current(page)).to_contain_text("Mayor")


def test_what_came_while_the_page_was_hidden_is_summed_up(node: Any, page: Any, embed: Any, channel: str) -> None:
    embed(both(channel), stopped=True)
    gone = node.publish(channel, "Minister steps down")
    corrected = node.publish(channel, "The comet is visible until Thursday")
    expect(current(page)).to_contain_text("The comet")
    page.evaluate(
        """() => {
          window.told = [];
          for (const type of ["line", "correction", "cancel"])
            document.addEventListener(`ticker:${type}`, () => window.told.push(type));
        }"""
    )
    hide(page)
    node.publish(channel, "Mayor to speak at 18:00")
    node.correct(channel, corrected["id"], text="The comet is visible until Friday")
    node.cancel(channel, gone["id"], note="The office denies it.")
    until(page, lambda: page.evaluate("told.length === 6"))  # by each of the two banners, as it comes
    assert page.evaluate("told") == ["line"] * 2 + ["correction"] * 2 + ["cancel"] * 2
    assert "Minister" not in everything(page)
    expect(bar(page).locator(".away")).to_be_hidden()
    hide(page, hidden=False)
    expect(bar(page).locator(".away")).to_have_text("While you were away · Retracted: 1 · Corrected: 1 · New: 1")
    expect(said(page)).to_contain_text("While you were away")
    assert page.evaluate("told.length") == 6
