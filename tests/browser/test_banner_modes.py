"""What the banner's modes show, one line after the other or on a belt, in a real Chromium against a real node."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.banner import SCROLL, banner, bar, both, current, everything, point_elsewhere
from tests.browser.conftest import hold_belt, until

# The bar


def test_the_bar_shows_one_line_after_the_other(node: Any, page: Any, embed: Any, channel: str) -> None:
    """Each as long as it takes to read it aloud."""
    for text in ("Line number 0", "Line number 1. " * 18, "Line number 2"):
        node.publish(channel, text)
    embed(both(channel), stopped=True)
    expect(current(page)).to_contain_text("Line number 2")
    expect(bar(page).locator(".position")).to_have_text("1 / 3")
    bar(page).get_by_role("button", name="Next").click()
    expect(current(page)).to_contain_text("Line number 1")
    point_elsewhere(page)  # from now on it counts
    page.clock.run_for(16_000)
    expect(current(page)).to_contain_text("Line number 1")
    page.clock.run_for(500)
    expect(current(page)).to_contain_text("Line number 0")
    page.clock.run_for(6_500)
    expect(current(page)).to_contain_text("Line number 2")
    bar(page).get_by_role("button", name="Previous").click()
    expect(current(page)).to_contain_text("Line number 0")


def test_nothing_moves_for_readers_who_asked_for_less_motion(node: Any, page: Any, embed: Any, channel: str) -> None:
    for number in range(2):
        node.publish(channel, f"Line number {number}")
    page.emulate_media(reduced_motion="reduce")
    embed(both(channel), stopped=True)
    expect(current(page)).to_contain_text("Line number 1")
    page.clock.run_for(20_000)
    expect(current(page)).to_contain_text("Line number 1")
    expect(current(page)).to_have_css("transition-duration", "0s")
    node.publish(channel, "A new line")
    expect(current(page)).to_contain_text("A new line")
    assert page.evaluate("document.getAnimations({ subtree: true }).length") == 0


# The belt

POSITIONS = """() => {
  const banner = document.querySelector("breaking-ticker");
  const stage = banner.shadowRoot.querySelector(".stage").getBoundingClientRect();
  return [...banner.shadowRoot.querySelectorAll("li.on")].map((item) => {
    const { left, right } = item.getBoundingClientRect();
    const text = item.querySelector(".text, .mark").textContent;
    return { text, left: left - stage.left, right: right - stage.left, time: document.timeline.currentTime };
  });
}"""
MOTIONS = """() => {
  const root = document.querySelector("breaking-ticker").shadowRoot;
  return root.getAnimations().filter(({ effect }) => effect.target.matches("li.on")).map(({ effect, playState }) => {
    const [from, to] = effect.getKeyframes().map(({ translate }) => parseFloat(translate));
    return { playState, from, to, duration: effect.getTiming().duration };
  });
}"""

# Keeps the places at the moment when a line comes onto the belt: another may leave it, and come again, a moment later.
WHEN_IT_COMES = f"""(text) => {{
  window.came = new Promise((resolve) => {{
    new MutationObserver(() => {{
      const places = ({POSITIONS})();
      if (places.some((place) => place.text === text)) resolve(places);
    }}).observe(document.querySelector("breaking-ticker").shadowRoot, {{ subtree: true, attributeFilter: ["class"] }});
  }});
}}"""


def states(page: Page) -> list[str]:
    return [motion["playState"] for motion in page.evaluate(MOTIONS)]


@pytest.mark.parametrize(("language", "sign"), [("en", 1), ("ar", -1)])
def test_the_belt_moves_at_one_speed_and_in_the_direction_of_reading(
    node: Any, page: Any, embed: Any, channel: str, language: str, sign: int
) -> None:
    for text in ("Short", "A line that is quite some longer than the short one"):
        node.publish(channel, text)
    embed(banner(channel, f'{SCROLL} lang="{language}"'))
    hold_belt(page, 2)
    for motion in page.evaluate(MOTIONS):
        assert (motion["from"] - motion["to"]) * sign > 0
        assert abs(motion["from"] - motion["to"]) / motion["duration"] == pytest.approx(80 / 1000, rel=1e-3)
    places = page.evaluate(POSITIONS)
    first, second = sorted(places, key=lambda place: place["left"] * sign)
    assert (second["left"] >= first["right"] - 1) if sign > 0 else (second["right"] <= first["left"] + 1)


def test_nothing_jumps_on_the_belt_when_lines_come_change_and_go(
    node: Any, page: Any, embed: Any, channel: str
) -> None:
    gone = node.publish(channel, "Minister steps down")
    corrected = node.publish(channel, "The comet is visible until Thursday")
    embed(banner(channel, SCROLL))
    hold_belt(page, 2)
    before = page.evaluate(POSITIONS)
    node.cancel(channel, gone["id"])
    node.correct(channel, corrected["id"], text="The comet is visible until Friday, and on Saturday too")
    expect(page.locator("li.on .text")).to_have_text(["The comet is visible until Friday, and on Saturday too"])
    expect(page.locator("li.on .mark")).to_have_text(["Corrected", "Retracted"])
    assert "Minister" not in everything(page)
    after = page.evaluate(POSITIONS)
    for side in ("left", "right"):
        assert [place[side] for place in after] == pytest.approx([place[side] for place in before], abs=0.1)
    page.evaluate(WHEN_IT_COMES, "A new line")
    page.evaluate("document.querySelector('breaking-ticker').resume()")
    node.publish(channel, "A new line")
    expect(page.locator("li.on").filter(has_text="A new line")).to_have_count(1)
    places = {place["text"]: place for place in page.evaluate("came")}
    assert all(
        places["A new line"]["left"] >= place["right"] - 1 for text, place in places.items() if text != "A new line"
    )


def test_the_belt_can_be_paused_and_stands_while_it_is_pointed_at(
    node: Any, page: Any, embed: Any, channel: str
) -> None:
    node.publish(channel, "Mayor to speak at 18:00")
    embed(banner(channel, SCROLL))
    expect(page.locator("li.on")).to_have_count(1)
    page.get_by_role("button", name="Pause").click()
    assert states(page) == ["paused"]
    page.get_by_role("button", name="Resume").click()
    assert states(page) == ["paused"]  # still pointed at
    point_elsewhere(page)
    until(page, lambda: states(page) == ["running"])
    page.evaluate("document.querySelector('breaking-ticker').shadowRoot.getAnimations().forEach((one) => one.finish())")
    until(page, lambda: states(page) == ["running"])  # the only line there is comes again


def test_lines_come_onto_the_belt_one_behind_the_other(node: Any, page: Any, embed: Any, channel: str) -> None:
    for number in range(10):
        node.publish(channel, f"Line number {number}")
    page.set_viewport_size({"width": 700, "height": 700})
    embed(banner(channel, SCROLL))
    expect(page.locator("li.on").first).to_be_attached()
    first = {place["text"] for place in page.evaluate(POSITIONS)}
    assert len(first) < 10
    until(page, lambda: {place["text"] for place in page.evaluate(POSITIONS)} - first)
    places = sorted(page.evaluate(POSITIONS), key=lambda place: place["left"])
    for before, behind in itertools.pairwise(places):
        assert before["right"] <= behind["left"] + 1


def test_a_flash_comes_onto_the_belt_at_once(node: Any, page: Any, embed: Any, channel: str) -> None:
    for number in range(4):
        node.publish(channel, f"Line number {number} of a day on which much happens all along the coast")
    embed(banner(channel, SCROLL))
    expect(page.locator("li.on").first).to_be_attached()
    page.evaluate(WHEN_IT_COMES, "Bridge collapses")
    node.publish(channel, "Bridge collapses", urgency="flash")
    expect(page.locator("li.on").filter(has_text="Bridge")).to_be_in_viewport()
    assert min(page.evaluate("came"), key=lambda place: place["left"])["text"] == "Bridge collapses"


def test_without_motion_the_belt_is_a_bar(node: Any, page: Any, embed: Any, channel: str) -> None:
    page.emulate_media(reduced_motion="reduce")
    node.publish(channel, "Mayor to speak at 18:00")
    embed(banner(channel, SCROLL))
    expect(page.locator("li.on")).to_contain_text("Mayor")
    expect(page.locator(".frame.rotate")).to_be_attached()
    assert page.evaluate("document.querySelector('breaking-ticker').shadowRoot.getAnimations().length") == 0
