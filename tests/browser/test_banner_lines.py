"""A line's life in the banner, from its first words to its last, in a real Chromium against a real node."""

from __future__ import annotations

import re
import time
from typing import Any

from playwright.sync_api import Route, expect

from tests.browser.banner import (
    LIST,
    LIVE,
    banner,
    bar,
    block,
    both,
    current,
    everything,
    host,
    point_at,
    point_elsewhere,
    said,
    texts,
)
from tests.browser.conftest import until
from tests.conftest import ROOT
from tests.frames import board_frame, line_of

WHOLE_BROWSER = True  # layout shifts

GUIDE = (ROOT / "docs" / "embed.md").read_text("utf-8")
# What it tells a page to say, so that the banner's place is free before its script has come.
(KEPT_FREE,) = re.findall(r"```css\n(breaking-ticker:not\(:defined\).*?)```", GUIDE, re.S)

# Resolves to the time at which a text is first found inside a banner.
WATCH = """(text) => {
  window.seen = new Promise((resolve) => {
    for (const banner of document.querySelectorAll("breaking-ticker")) {
      new MutationObserver(() => banner.shadowRoot.textContent.includes(text) && resolve(Date.now()))
        .observe(banner.shadowRoot, { childList: true, subtree: true, characterData: true });
    }
  });
}"""

# Whether the page was painted.
PAINTED = "performance.getEntriesByName('first-contentful-paint').length"


# A line's life


def test_a_line_shows_at_once(node: Any, article: Any, channel: str) -> None:
    for number in range(20):  # one of them is enough: the machine may be busy
        text = f"Harbour Bridge reopens to trams on line {number}"
        article.evaluate(WATCH, text)
        published = time.time() * 1000
        node.publish(channel, text)
        took = article.evaluate("window.seen") - published
        print(f"from before the request to publish to the DOM: {took:.0f} ms")
        if took < 2_000:
            break
    assert took < 2_000
    expect(current(article)).to_contain_text(text)
    expect(current(article).locator(".text")).to_be_visible()
    expect(block(article).locator("li").first).to_contain_text(text)
    assert not article.errors


def test_a_correction_changes_the_line_in_place(node: Any, article: Any, channel: str) -> None:
    line = node.publish(channel, "The comet is visible until Thursday")
    node.publish(channel, "Mayor to speak at 18:00")
    expect(block(article).locator("li")).to_have_count(2)
    row = block(article).locator("li").nth(1)
    row.evaluate("(item) => { item.kept = true }")

    node.correct(channel, line["id"], text="The comet is visible until Friday", note="The day was wrong.")
    expect(row.locator(".text")).to_have_text("The comet is visible until Friday")
    expect(row.locator(".mark")).to_have_text("Corrected")
    expect(row.locator(".note")).to_have_text("The day was wrong.")
    assert row.evaluate("(item) => item.kept") is True
    assert "Thursday" not in everything(article)


def test_a_killed_line_leaves_every_banner(node: Any, embed: Any, channel: str) -> None:
    article = embed(both(channel), stopped=True)
    line = node.publish(
        channel, "Minister steps down", url="https://example.org/minister-steps-down", source="Wire Eleven"
    )
    expect(current(article)).to_contain_text("Minister steps down")
    expect(said(article)).to_contain_text("Minister steps down")

    node.cancel(channel, line["id"], note="The office denies it.")
    for place in (current(article), block(article).locator("li").first):
        expect(place.locator(".mark")).to_have_text("Retracted")
        expect(place.locator(".note")).to_have_text("The office denies it.")
    left = everything(article).lower()
    assert not [words for words in ("steps down", "minister-steps", "wire eleven") if words in left]
    expect(article.get_by_role("alert")).to_have_text("Retracted: The office denies it.")
    assert not article.errors


def test_a_killed_line_interrupts_the_line_that_shows(node: Any, embed: Any, channel: str) -> None:
    article = embed(both(channel), stopped=True)  # no line gives way to the next by itself
    line = node.publish(channel, "Minister steps down")
    node.publish(channel, "Mayor to speak at 18:00")
    expect(current(article)).to_contain_text("Mayor")
    node.cancel(channel, line["id"])
    expect(current(article).locator(".mark")).to_have_text("Retracted")


def test_a_held_line_waits_without_its_words_and_comes_back(node: Any, embed: Any, channel: str) -> None:
    article = embed(both(channel), stopped=True)
    line = node.publish(channel, "Minister steps down")
    row = block(article).locator("li")
    expect(row).to_contain_text("Minister")
    node.correct(channel, line["id"], status="withheld", note="We are checking this.")
    expect(row.locator(".mark")).to_have_text("On hold")
    assert "Minister" not in everything(article)
    node.correct(channel, line["id"], status="usable", note=None)
    expect(row.locator(".text")).to_have_text("Minister steps down")
    expect(said(article)).to_contain_text("Breaking: Minister steps down")  # not "Corrected"


def test_a_line_leaves_when_it_expires(node: Any, embed: Any, channel: str) -> None:
    article = embed(both(channel), stopped=True)
    node.publish(channel, "Mayor to speak at 18:00", expires_in=600)
    expect(block(article).locator("li")).to_have_count(1)
    article.clock.fast_forward(1_200_000)
    expect(block(article).locator("li")).to_have_count(0)
    expect(bar(article).locator("li")).to_have_count(0)
    expect(bar(article).locator(".empty")).to_be_visible()


def test_lines_stand_as_the_node_orders_them(node: Any, article: Any, channel: str) -> None:
    for number in range(12):
        node.publish(channel, f"Line number {number}", pinned=number == 3)
    expect(block(article).locator("li").nth(1)).to_contain_text("Line number 11")
    board = [line["text"] for line in node.board(channel)]
    assert board[0] == "Line number 3"
    assert len(board) == 10
    assert texts(block(article)) == texts(bar(article)) == board
    article.reload()
    expect(block(article).locator("li")).to_have_count(10)
    assert texts(block(article)) == board


def test_a_banner_shows_no_more_lines_than_its_max(node: Any, embed: Any, channel: str) -> None:
    node.cancel(channel, node.publish(channel, "Minister steps down")["id"])
    for number in range(4):
        node.publish(channel, f"Line number {number}")
    page = embed(banner(channel, f'{LIST} max="2"'))
    assert texts(block(page)) == ["Line number 3", "Line number 2"]
    node.publish(channel, "Line number 4")
    expect(block(page).locator("li").first).to_contain_text("Line number 4")
    assert texts(block(page)) == ["Line number 4", "Line number 3"]
    expect(block(page).locator("li")).to_have_count(2)  # nor what was retracted before them


# Hostile words


def test_markup_is_text_and_runs_nothing(node: Any, article: Any, channel: str) -> None:
    article.evaluate("window.ran = false")
    hostile = '<img src=x onerror="window.ran = true"><script>window.ran = true</script>'
    line = node.publish(channel, hostile, source='"><b onmouseover="window.ran = true">')
    expect(block(article).locator("li .text")).to_have_text(hostile)
    expect(current(article).locator(".text")).to_have_text(hostile)
    node.correct(channel, line["id"], note="<svg onload='window.ran = true'>", text=hostile + "!")
    expect(block(article).locator("li .note")).to_have_text("<svg onload='window.ran = true'>")
    for each in (bar(article), block(article)):
        assert each.locator("li").locator("img, script, b, li svg").count() == 0
    assert article.evaluate("window.ran") is False
    assert not article.errors


def test_only_a_web_address_becomes_a_link(embed: Any) -> None:
    page = embed(banner("en", LIST))
    frame = board_frame([line_of("2-0", url="https://example.org/story"), line_of("1-0", url="javascript:alert(1)")])
    links = page.evaluate(  # at once: the node knows nothing of this board, and its next beat says so
        """async (frame) => {
          const { Feed } = await import(document.querySelector("script").src);
          const banner = document.querySelector("breaking-ticker");
          const board = Feed.at(new URL(document.querySelector("script").src).origin).join("en", () => {});
          board.board(frame);
          banner.setAttribute("label", "Breaking!"); // renders
          return [...banner.shadowRoot.querySelectorAll("li a")].map(({ href, rel }) => [href, rel]);
        }""",
        frame,
    )
    assert links == [["https://example.org/story", "noopener"]]


# Where a line stands


def test_nothing_moves_when_the_script_and_lines_come(node: Any, site: Any, page: Any, channel: str) -> None:
    scripts: list[Route] = []
    page.route("**/ticker.js", lambda script: scripts.append(script))
    page.add_init_script(
        """window.shifts = [];
        const name = ({ node, previousRect, currentRect }) =>
          `${node?.nodeName}.${node?.className} ${JSON.stringify([previousRect, currentRect])}`;
        new PerformanceObserver((list) =>
          list.getEntries().forEach(({ value, sources }) => window.shifts.push(`${value} ${sources.map(name)}`))
        ).observe({ type: "layout-shift", buffered: true });"""
    )
    node.publish(channel, "The first of that day")
    # The rows that a text takes depend on the font, and so does whether a correction in place needs more of them.
    font = 'body { font-family: "DejaVu Serif", serif }'
    address = site.serve(host(node, f"<style>{KEPT_FREE} {font}</style>{both(channel)}<p>What follows</p>"))
    for size in ({"width": 1280, "height": 900}, {"width": 360, "height": 740}):
        page.set_viewport_size(size)
        page.goto(address, wait_until="commit")
        until(page, lambda: scripts and page.evaluate(PAINTED))  # without the banner
        scripts.pop().continue_()
        expect(page.locator(LIVE)).to_have_count(2)
        block(page).scroll_into_view_if_needed()
        for number in range(3):
            newest = block(page).locator("li").first.element_handle()
            line = node.publish(channel, f"Line number {number} of a day on which much happens all along the coast")
            expect(block(page).locator("li").first).to_contain_text(f"Line number {number}")
            expect(block(page).locator(".stage")).to_have_js_property("scrollTop", 0)  # it has come in from above
            # What a screen reader or a selection stands at stays.
            assert block(page).locator("li").nth(1).evaluate("(item, newest) => item === newest", newest)
            node.correct(
                channel, line["id"], text="In other words, of which there are many more, so that they take a row more"
            )
            expect(block(page).locator("li").first).to_contain_text("In other words")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.evaluate("window.shifts") == []


def test_long_words_neither_overflow_nor_change_the_height(node: Any, page: Any, embed: Any, channel: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    article = embed(both(channel))
    before = bar(article).bounding_box()
    node.publish(channel, "Donaudampfschifffahrtsgesellschaft" * 6)
    expect(current(article)).to_contain_text("Donau")
    after = bar(article).bounding_box()
    assert before
    assert after
    assert before["height"] == after["height"]
    assert article.evaluate("document.documentElement.scrollWidth") == 360


def test_a_long_line_can_be_read_in_full(node: Any, page: Any, embed: Any, channel: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    article = embed(both(channel))
    node.publish(channel, "Ferries resume. " * 17)
    words = current(article).locator(".words")
    in_full = "(words) => words.scrollHeight <= words.clientHeight + 1"
    expect(words).to_contain_text("Ferries")
    assert not words.evaluate(in_full)
    below = article.locator("article h1").bounding_box()
    point_at(words)
    until(page, lambda: words.evaluate(in_full))
    assert article.locator("article h1").bounding_box() == below
    point_elsewhere(page)
    until(page, lambda: not words.evaluate(in_full))
    bar(article).get_by_role("button", name="Pause").focus()
    until(page, lambda: words.evaluate(in_full))


def test_what_is_shown_keeps_pace_with_the_clock(node: Any, page: Any, embed: Any, channel: str) -> None:
    node.publish(channel, "Harbour Bridge reopens")
    node.cancel(channel, node.publish(channel, "Minister steps down")["id"])
    embed(both(channel), stopped=True)
    expect(page.locator("li")).to_have_count(4)
    expect(block(page).locator(".time").first).to_have_text("now")
    page.clock.fast_forward(121_000)
    expect(block(page).locator(".time").first).to_have_text("2 min. ago")
    page.clock.fast_forward(900_000)
    expect(bar(page).locator("li")).to_have_count(1)  # a retraction has its turn for a quarter of an hour
    expect(block(page).locator("li")).to_have_count(2)
