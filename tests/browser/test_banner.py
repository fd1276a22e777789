"""The banner, in a real Chromium against a real node."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, WebSocketRoute, expect

from tests.browser.conftest import (
    WITHIN,
    Site,
    hide,
    hold_belt,
    routed_sockets,
    until,
    until_as_time_passes,
    without_time,
)
from tests.conftest import ROOT, RunningNode
from tests.frames import board_frame, line_of

MODULE = ROOT / "web" / "ticker.js"
LATE = 90_000  # ms; a reconnect waits for its jitter, up to 32 s of it, where the node was away for long
LIVE = "breaking-ticker[state=live]"
LIST, SCROLL = 'mode="list"', 'mode="scroll"'
GUIDE = (ROOT / "docs" / "embed.md").read_text("utf-8")
# What it tells a page to say, so that the banner's place is free before its script has come.
(KEPT_FREE,) = re.findall(r"```css\n(breaking-ticker:not\(:defined\).*?)```", GUIDE, re.S)

# Every text and every attribute value of the page and of its shadow trees.
EVERYTHING = """() => {
  const found = [];
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE || node.nodeType === Node.COMMENT_NODE) found.push(node.data);
    for (const attribute of node.attributes ?? []) found.push(attribute.value);
    if (node.shadowRoot) walk(node.shadowRoot);
    node.childNodes.forEach(walk);
  };
  walk(document);
  return found.join("\\n");
}"""

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

LITTLE_JITTER = "Math.random = () => 0.02"
NO_WEBSOCKET = "window.WebSocket = class { constructor() { throw new Error('refused') } }"
NO_SSE = """{
  const get = window.fetch;
  window.fetch = async (url, ...rest) => {
    if (url.includes("/v1/live")) throw new TypeError("refused");
    return get(url, ...rest);
  };
}"""


def banner(channel: str, attributes: str = "", inside: str = "") -> str:
    return f'<breaking-ticker channel="{channel}" {attributes}>{inside}</breaking-ticker>'


def both(channel: str) -> str:
    """A bar, and a list further down."""
    return f"{banner(channel)}<article><h1>A headline</h1></article>{banner(channel, LIST)}"


def host(node: RunningNode, tags: str) -> str:
    """A page with these tags in it."""
    script = f'<script type="module" src="{node.url}/ticker.js"></script>'
    return f'<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,">{script}{tags}'


@pytest.fixture
def embed(node: RunningNode, site: Site, page: Page) -> Callable[..., Page]:
    """Opens a page of another site than the node's, with the given tags in it."""

    def open_page(tags: str, *, live: bool = True, stopped: bool = False) -> Page:
        """`stopped`: no time passes in it but what the test lets pass."""
        if stopped:
            without_time(page)
        page.goto(site.serve(host(node, tags)))
        if live and stopped:
            until_as_time_passes(page, lambda: page.locator(LIVE).count())
        elif live:
            expect(page.locator(LIVE).first).to_be_attached(timeout=LATE)
        return page

    return open_page


@pytest.fixture
def article(embed: Any, channel: str) -> Page:
    """A page with a bar and a list of the test's own channel, live."""
    page: Page = embed(both(channel))
    expect(page.locator(LIVE)).to_have_count(2)
    return page


@contextlib.contextmanager
def killed(node: RunningNode) -> Iterator[None]:
    """kill -9; whatever comes, it is started again: other tests use it too."""
    node.kill()
    try:
        yield
    finally:
        node.start()


def bar(page: Page) -> Locator:
    return page.locator("breaking-ticker:not([mode=list])")


def block(page: Page) -> Locator:
    return page.locator("breaking-ticker[mode=list]")


def current(page: Page) -> Locator:
    return bar(page).locator("li.on")


def texts(block: Locator) -> list[str]:
    return block.locator("li .text").all_text_contents()


def said(page: Page) -> Locator:
    """What is said, alerts too, after the breath that is taken before it; for ten seconds."""
    page.clock.run_for(600)
    return page.locator("ticker-announcer")


def point_at(place: Locator) -> None:
    place.hover()
    expect(place.page.locator(".bar:hover")).to_have_count(1)  # the page has heard


def point_elsewhere(page: Page) -> None:
    page.mouse.move(0, 0)  # in the margin
    expect(page.locator(".bar:hover")).to_have_count(0)


def everything(page: Page) -> str:
    seen: str = page.evaluate(EVERYTHING)
    return seen


def complaints(page: Any) -> list[str]:
    """What the console says, but for connections that could not be made: the tests cut those."""
    return [said for said in page.errors if "WebSocket connection" not in said and "Failed to load" not in said]


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


# Languages


def test_arabic_stands_right_to_left_line_by_line(node: Any, embed: Any) -> None:
    node.publish("ar", "إعادة فتح جسر الميناء")
    node.publish("ar", "Harbour Bridge reopens", language="en")
    page = embed(banner("ar", LIST))
    english, arabic = block(page).locator("li").nth(0), block(page).locator("li").nth(1)
    expect(arabic).to_contain_text("إعادة فتح جسر الميناء")
    for row, language, direction in ((arabic, "ar", "rtl"), (english, "en", "ltr")):
        expect(row).to_have_attribute("lang", language)
        expect(row).to_have_attribute("dir", direction)
        expect(row.locator(".text")).to_have_css("direction", direction)
    expect(block(page).get_by_role("region")).to_have_css("direction", "rtl")
    expect(block(page).locator(".time").first).to_have_text("الآن")


def test_the_banner_speaks_its_own_language(node: Any, embed: Any) -> None:
    line = node.publish("es", "El puente reabre")
    node.cancel("es", line["id"])
    page = embed(banner("es") + banner("es", 'lang="de"'))
    spanish, german = page.locator("breaking-ticker").nth(0), page.locator("breaking-ticker").nth(1)
    expect(spanish.get_by_role("button", name="Pausar")).to_be_visible()
    expect(spanish.locator("li .mark")).to_have_text("Retirado")
    expect(german.get_by_role("button", name="Anhalten")).to_be_visible()
    expect(german.locator("li .mark")).to_have_text("Zurückgezogen")
    expect(spanish.get_by_role("region", name="Última hora", exact=True)).to_be_visible()
    expect(german.get_by_role("region", name="Eilmeldung 2", exact=True)).to_be_visible()  # landmarks differ


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


# The connection


def test_a_killed_node_is_waited_for_and_nothing_shows_twice(node: Any, page: Any, embed: Any, channel: str) -> None:
    page.add_init_script(LITTLE_JITTER)
    article = embed(both(channel))
    node.publish(channel, "Before the node was killed")
    expect(current(article)).to_contain_text("Before")
    with killed(node):
        expect(bar(article)).to_have_attribute("state", "offline")
        expect(bar(article).locator(".state")).to_have_text(re.compile(r"^Offline since \d"))
        assert bar(article).evaluate("(banner) => banner.matches(':state(offline):not(:state(live))')")
        expect(current(article)).to_contain_text("Before")
    node.publish(channel, "After it came back")
    expect(bar(article)).to_have_attribute("state", "live", timeout=LATE)
    expect(block(article).locator("li")).to_have_count(2)
    assert texts(block(article)) == texts(bar(article)) == [line["text"] for line in node.board(channel)]
    node.publish(channel, "And on it goes")
    expect(current(article)).to_contain_text("And on it goes")
    assert texts(block(article)) == [line["text"] for line in node.board(channel)]
    assert not complaints(article)


def test_a_line_killed_while_the_banner_was_away_is_gone_when_it_returns(
    node: Any, page: Any, embed: Any, channel: str
) -> None:
    line = node.publish(channel, "Minister steps down")
    sockets = routed_sockets(page)
    embed(banner(channel, LIST))
    expect(block(page).locator("li")).to_contain_text("Minister")
    page.context.set_offline(True)
    sockets[-1].close(code=1001)
    expect(block(page)).to_have_attribute("state", "offline")
    node.cancel(channel, line["id"])
    page.context.set_offline(False)  # the browser's `online` event has it reconnect at once
    expect(block(page).locator("li .mark")).to_have_text("Retracted", timeout=LATE)
    assert "Minister" not in everything(page)


def test_all_banners_of_a_page_share_one_socket(page: Page, embed: Any, channel: str) -> None:
    sockets: list[Any] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    embed(both(channel) + banner("ar") + banner("es", LIST))
    expect(page.locator(LIVE)).to_have_count(4)
    assert len(sockets) == 1


def test_a_gap_brings_a_new_board(node: Any, page: Any, embed: Any, channel: str) -> None:
    lost: list[str] = []

    def lose_a_line(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def pass_on(frame: Any) -> None:
            if json.loads(frame)["type"] == "line" and not lost:
                lost.append(frame)
            else:
                socket.send(frame)

        server.on_message(pass_on)

    page.add_init_script(LITTLE_JITTER)
    page.route_web_socket("**/v1/live?*", lose_a_line)
    embed(banner(channel, LIST))
    node.publish(channel, "The line that is lost")
    node.publish(channel, "The line after it")
    expect(block(page).locator("li")).to_have_count(2)
    assert len(lost) == 1
    assert texts(block(page)) == ["The line after it", "The line that is lost"]


def test_silence_is_told_and_then_mended(page: Any, embed: Any, channel: str) -> None:
    sockets: list[WebSocketRoute] = []

    def fall_silent(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        heard: list[Any] = []
        first = not sockets
        sockets.append(socket)

        def passes_on(frame: str | bytes) -> None:
            if not (first and heard):
                heard.append(frame)
                socket.send(frame)

        server.on_message(passes_on)

    page.add_init_script(LITTLE_JITTER)
    page.route_web_socket("**/v1/live?*", fall_silent)
    embed(banner(channel), stopped=True)
    page.clock.fast_forward(36_000)
    expect(bar(page)).to_have_attribute("state", "delayed")
    page.clock.fast_forward(11_000)
    page.clock.run_for(100)  # the pause before it tries again
    expect(bar(page)).to_have_attribute("state", "live")
    assert len(sockets) == 2


@pytest.mark.parametrize("refused", [NO_WEBSOCKET, NO_WEBSOCKET + ";" + NO_SSE], ids=["WebSocket", "WebSocket and SSE"])
def test_where_a_connection_is_refused_another_way_is_found(
    node: Any, page: Any, embed: Any, channel: str, refused: str
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script(LITTLE_JITTER + ";" + refused)
    line = node.publish(channel, "There before the banner")
    embed(both(channel), live=False)
    expect(current(page)).to_contain_text("There before", timeout=LATE)
    expect(bar(page)).to_have_attribute("state", "delayed" if NO_SSE in refused else "live")
    node.publish(channel, "Came by another way")
    expect(current(page)).to_contain_text("Came by another way", timeout=LATE)
    node.cancel(channel, line["id"])
    expect(block(page).locator("li").nth(1).locator(".mark")).to_have_text("Retracted", timeout=LATE)
    assert "There before" not in everything(page)
    expected = f"/v1/channels/{channel}/lines" if NO_SSE in refused else "/v1/live?"
    assert any(expected in url for url in asked)
    assert not page.errors


def test_a_channel_that_does_not_exist_costs_the_others_nothing(node: Any, page: Any, embed: Any, channel: str) -> None:
    page.add_init_script(LITTLE_JITTER)
    embed(banner("nowhere", LIST) + banner(channel))
    expect(block(page)).to_have_attribute("state", "offline", timeout=LATE)
    expect(bar(page)).to_have_attribute("state", "live", timeout=LATE)
    node.publish(channel, "The others go on")
    expect(current(page)).to_contain_text("The others go on")


@pytest.mark.parametrize("code", [1008, 4404])
def test_a_close_code_that_means_stop_is_obeyed(page: Any, embed: Any, channel: str, code: int) -> None:
    tries: list[WebSocketRoute] = []
    page.clock.install()

    def refuse_once(socket: WebSocketRoute) -> None:
        tries.append(socket)
        if len(tries) == 1:
            socket.close(code=code)
        else:
            socket.connect_to_server()

    page.route_web_socket("**/v1/live?*", refuse_once)
    embed(banner(channel), live=False)
    expect(bar(page)).to_have_attribute("state", "offline")
    page.clock.run_for(120_000)
    assert len(tries) == 1
    page.evaluate("document.querySelector('breaking-ticker').refresh()")
    expect(bar(page)).to_have_attribute("state", "live")


def test_the_connection_rests_while_the_page_is_put_away(node: Any, page: Any, embed: Any, channel: str) -> None:
    sockets: list[Any] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    embed(both(channel))
    expect(page.locator(LIVE)).to_have_count(2)
    with sockets[0].expect_event("close"):
        page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    node.publish(channel, "Published meanwhile")
    with page.expect_event("websocket"):
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(current(page)).to_contain_text("Published meanwhile")


def test_a_removed_banner_closes_its_connection_and_a_moved_one_keeps_it(page: Any, embed: Any, channel: str) -> None:
    sockets: list[Any] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    embed(f"{banner(channel)}<main></main>")
    page.evaluate("document.querySelector('main').append(document.querySelector('breaking-ticker'))")
    expect(bar(page)).to_have_attribute("state", "live")
    assert len(sockets) == 1
    with sockets[0].expect_event("close"):
        page.evaluate("document.querySelector('breaking-ticker').remove()")
    assert page.locator("[aria-live]").count() == 0


# Readers


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
    address = site.serve(host(node, f"<style>{KEPT_FREE}</style>{both(channel)}<p>What follows</p>"))
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


def test_what_is_inside_is_shown_until_the_first_board(node: Any, embed: Any) -> None:
    """Also by a banner that hides when it has nothing to show."""
    inside = '<a href="/latest">The latest lines</a>'
    nowhere = 'hide-when-empty src="http://127.0.0.1:9"'
    page = embed(banner("en", nowhere, inside) + banner("en", nowhere), live=False)
    expect(page.get_by_role("link", name="The latest lines")).to_be_visible()
    expect(page.get_by_role("region")).to_have_count(1)


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


def test_each_of_several_kills_is_an_alert(node: Any, page: Any, embed: Any, channel: str) -> None:
    lines = [node.publish(channel, f"Line number {number}") for number in range(2)]
    embed(both(channel), stopped=True)  # alerts are cleared away after ten seconds
    expect(current(page)).to_contain_text("Line number 1")
    for number, line in enumerate(lines):
        node.cancel(channel, line["id"], note=f"Reason {number}.")
    expect(page.get_by_role("alert")).to_have_text(["Retracted: Reason 0.", "Retracted: Reason 1."])


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


def test_a_flash_is_seen_in_a_list_that_was_scrolled(node: Any, embed: Any, channel: str) -> None:
    page = scrolled_list(node, embed, channel)
    stage = block(page).locator(".stage")
    node.publish(channel, "Bridge collapses", urgency="flash")
    expect(block(page).locator("li").first).to_contain_text("Bridge collapses")
    expect(stage).to_have_js_property("scrollTop", 0)


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
        assert abs(motion["from"] - motion["to"]) / motion["duration"] == pytest.approx(80 / 1000)
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


# Embedders


def test_attributes_say_what_is_shown(node: Any, page: Any, embed: Any, channel: str) -> None:
    node.publish(channel, "Mayor to speak at 18:00", urgency="update")
    embed(
        banner(channel, 'min-urgency="urgent" hide-when-empty')
        + banner(channel, 'mode="list" min-urgency="flash"')
        + banner(channel, 'mode="rotate" controls="none" sticky="bottom" src="http://[" lang="no tongue" dir="rtl"')
    )  # those are no address and no language: it takes the script's, and English
    urgent, flashes, bare = (page.locator("breaking-ticker").nth(at) for at in range(3))
    expect(bare.locator("li.on")).to_contain_text("Mayor")
    expect(bare.get_by_role("button", name="Pause")).to_be_visible()
    expect(bare.get_by_role("button", name="Next")).to_have_count(0)
    expect(bare).to_have_css("position", "fixed")  # what comes after the banner doesn't push it off the screen
    assert bare.evaluate("(banner) => banner.getBoundingClientRect().bottom") == pytest.approx(720, abs=1)
    expect(bare.get_by_role("region")).to_have_css("direction", "rtl")
    assert not page.errors
    expect(bare.get_by_role("button", name="Close")).to_have_count(0)
    bare.evaluate("(banner) => banner.toggleAttribute('dismissible')")
    expect(bare.get_by_role("button", name="Close")).to_be_visible()
    expect(urgent.get_by_role("region")).to_have_count(0)
    node.publish(channel, "Ferries suspended", urgency="urgent")
    expect(urgent.locator("li.on")).to_contain_text("Ferries suspended")
    expect(urgent.locator("li")).to_have_count(1)
    expect(flashes.locator("li")).to_have_count(0)
    expect(flashes.locator(".empty")).to_be_visible()
    urgent.evaluate("(banner) => banner.setAttribute('mode', 'list')")
    urgent.evaluate("(banner) => banner.removeAttribute('min-urgency')")
    expect(urgent.locator("li")).to_have_count(2)


def test_an_opened_line_is_told_and_can_be_kept_from_opening(node: Any, page: Any, embed: Any, channel: str) -> None:
    node.publish(channel, "Mayor to speak at 18:00", url="https://example.org/mayor")
    embed(banner(channel))
    page.evaluate(
        """document.addEventListener("ticker:open", (event) => {
          window.opened = event.detail.line.url;
          event.preventDefault();
        })"""
    )
    at = page.url
    page.get_by_role("link", name="Mayor").click()
    assert page.evaluate("window.opened") == "https://example.org/mayor"
    assert page.url == at
    assert page.evaluate("document.querySelector('breaking-ticker').matches(':state(live)')")


def test_other_words_than_english_are_asked_for_once(node: Any, page: Any, embed: Any, channel: str) -> None:
    asked: list[Any] = []
    words = json.loads((MODULE.parent / "words.json").read_text("utf-8"))["de"]
    page.on("request", lambda request: asked.append(request) if "/words/" in request.url else None)
    page.route(
        "**/words/de.json", lambda route: route.fulfill(json=words, headers={"Access-Control-Allow-Origin": "*"})
    )
    locales = ((channel, "en"), (channel, "de-AT"), ("ar", "de"), ("es", "tlh"))
    embed("".join(banner(of, f'lang="{lang}"') for of, lang in locales))
    for at in (1, 2):
        expect(page.locator("breaking-ticker").nth(at).get_by_role("button", name="Anhalten")).to_be_visible()
    node.publish("es", "Una línea más")  # for a language that the server doesn't have, it isn't asked again
    expect(page.locator("breaking-ticker").nth(3).locator("li.on")).to_contain_text("Una línea más")
    for at in (0, 3):
        expect(page.locator("breaking-ticker").nth(at).get_by_role("button", name="Pause")).to_be_visible()
    assert sorted(request.url.rsplit("/")[-1] for request in asked) == ["de.json", "tlh.json"]


def test_words_that_failed_to_come_are_asked_for_again(node: Any, page: Any, embed: Any, channel: str) -> None:
    page.route("**/words/es.json", lambda route: route.abort())
    embed(banner(channel, 'lang="es"'))
    expect(bar(page)).to_have_attribute("state", "live")
    expect(bar(page).get_by_role("button", name="Pause")).to_be_visible()
    page.unroute("**/words/es.json")
    node.publish(channel, "Una línea más")
    expect(bar(page).get_by_role("button", name="Pausar")).to_be_visible()


def test_words_that_come_late_do_not_take_the_place_of_others(node: Any, page: Any, embed: Any, channel: str) -> None:
    late: list[Route] = []
    page.route("**/words/de.json", lambda route: late.append(route))
    embed(banner(channel, 'lang="de"'))
    until(page, lambda: late)
    bar(page).evaluate("(banner) => { banner.lang = 'es' }")
    expect(bar(page).get_by_role("button", name="Pausar")).to_be_visible()
    with page.expect_event("requestfinished", lambda request: request.url.endswith("/de.json")):
        late[0].continue_()
    node.publish(channel, "Una línea más")
    expect(current(page)).to_contain_text("Una línea más")
    expect(bar(page).get_by_role("button", name="Pausar")).to_be_visible()


def test_its_words_in_english_are_those_of_the_server() -> None:
    words = json.loads((MODULE.parent / "words.json").read_text("utf-8"))["en"]
    source = (MODULE.parent / "widget" / "words.js").read_text("utf-8")
    table = source.split("const ENGLISH = {")[1].split("}")[0]
    assert dict(re.findall(r'(\w+): "([^"]+)"', table)) == words


def test_it_works_on_another_site_and_tells_it_what_happens(node: Any, page: Any, embed: Any, channel: str) -> None:
    embed(banner(channel))
    page.evaluate(
        """() => {
          window.told = [];
          for (const type of ["ticker:line", "ticker:correction", "ticker:cancel", "ticker:state"]) {
            document.addEventListener(type, ({ detail }) => {
              window.told.push([type, detail.line?.text ?? detail.state]);
            });
          }
        }"""
    )
    line = node.publish(channel, "First words")
    expect(current(page)).to_contain_text("First words")
    node.correct(channel, line["id"], text="Better words")
    expect(current(page)).to_contain_text("Better words")
    node.cancel(channel, line["id"])
    expect(current(page).locator(".mark")).to_have_text("Retracted")
    with killed(node):
        expect(bar(page)).to_have_attribute("state", "offline")
        told = [each for each in page.evaluate("window.told") if each[1] != "connecting"]
    assert told == [
        ["ticker:line", "First words"],
        ["ticker:correction", "Better words"],
        ["ticker:cancel", None],
        ["ticker:state", "offline"],
    ]
    assert page.context.cookies() == []
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_a_page_that_loads_it_twice_is_none_the_worse(node: Any, article: Any, channel: str) -> None:
    article.evaluate("(url) => import(url)", f"{node.url}/ticker.js?again")
    node.publish(channel, "Still there")
    expect(current(article)).to_contain_text("Still there")
    assert not article.errors


def test_what_the_page_put_inside_shows_until_the_board_is_there(
    node: Any, page: Any, embed: Any, channel: str
) -> None:
    node.publish(channel, "Mayor to speak at 18:00")
    waiting: list[WebSocketRoute] = []
    page.route_web_socket("**/v1/live?*", lambda socket: waiting.append(socket))
    embed(
        banner(channel, inside='<a href="/latest">The latest news</a><b slot="label">Ours</b>'),
        live=False,
        stopped=True,
    )
    expect(page.get_by_role("link", name="The latest news")).to_be_visible()
    expect(bar(page)).to_have_attribute("state", "connecting")
    until_as_time_passes(page, lambda: waiting)
    lines = [line_of("1-0", text="From the board")]
    waiting[0].send(json.dumps(board_frame(lines, channel=channel, direction="rtl")))
    expect(current(page)).to_contain_text("From the board")
    expect(bar(page).get_by_role("region")).to_have_css("direction", "rtl")  # as the newsroom has it
    expect(page.get_by_text("Ours")).to_be_visible()
    expect(page.get_by_text("The latest news")).to_be_hidden()
    assert "latest" not in page.get_by_role("region").aria_snapshot()


def test_the_channel_page_needs_no_script(node: Any, browser: Browser) -> None:
    node.publish("ar", "إعادة فتح جسر الميناء", url="https://example.org/bridge")
    gone = node.publish("ar", "استقالة الوزير")
    node.cancel("ar", gone["id"], note="نفى المكتب الخبر.")
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(WITHIN)
    page = context.new_page()
    page.goto(f"{node.url}/channels/ar")
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    rows = page.locator("breaking-ticker li")
    expect(rows.nth(0)).to_contain_text("نفى المكتب الخبر.")
    expect(rows.nth(1).get_by_role("link", name="إعادة فتح جسر الميناء")).to_be_visible()
    assert page.locator("meta[http-equiv=refresh]").count() == 1
    assert "استقالة" not in page.content()
    context.close()


def test_the_channel_page_becomes_live_with_script(node: Any, page: Any, channel: str) -> None:
    line = node.publish(channel, "Minister steps down")
    page.goto(f"{node.url}/channels/{channel}")
    expect(block(page)).to_have_attribute("state", "live")
    expect(block(page).locator("li")).to_have_count(1)
    node.cancel(channel, line["id"])
    expect(block(page).locator("li .mark")).to_have_text("Retracted")
    assert "Minister" not in everything(page)
    assert not page.errors


def test_what_never_expires_is_not_looked_after(page: Any, embed: Any, channel: str) -> None:
    page.clock.install()
    embed(banner(channel))
    page.evaluate(
        """async (channel) => {
          const { src } = document.querySelector("script");
          const { Feed } = await import(src);
          window.told = 0;
          Feed.at(new URL(src).origin).join(channel, () => told++);
        }""",
        channel,
    )
    page.clock.run_for(5_000)
    assert page.evaluate("told") < 10
