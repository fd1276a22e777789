"""The banner, in a real Chromium against a real node."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect

MODULE = Path(__file__).parents[2] / "web" / "ticker.js"
LATE = 90_000  # ms; a reconnect waits for its jitter, up to 32 s of it, where the node was away for long
LIVE = "breaking-ticker[state=live]"

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

LITTLE_JITTER = "Math.random = () => 0.02"
NO_WEBSOCKET = "window.WebSocket = class { constructor() { throw new Error('refused') } }"
NO_SSE = """{
  const get = window.fetch;
  window.fetch = async (url, ...rest) => {
    if (url.includes("/v1/live")) throw new TypeError("refused");
    return get(url, ...rest);
  };
}"""


@pytest.fixture
def demo(node: Any, page: Page) -> Page:
    """The sample article page, live: a rotating banner for `en`, and a list for each channel."""
    page.goto(f"{node.url}/demo")
    expect(page.locator(LIVE)).to_have_count(4)
    return page


class Site(ThreadingHTTPServer):
    """Another site than the node's: whatever is asked for, it answers with its one page."""

    html = ""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(cast("Site", self.server).html.encode())

        def log_message(self, *_: Any) -> None:
            pass

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"


@pytest.fixture
def embed(node: Any, page: Page) -> Iterator[Callable[..., Page]]:
    """Opens a page of another site with the given tags in it."""
    site = Site()
    threading.Thread(target=site.serve_forever, daemon=True).start()

    def open_page(tags: str, *, live: bool = True) -> Page:
        script = f'<script type="module" src="{node.url}/ticker.js"></script>'
        site.html = f'<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,">{script}{tags}'
        page.goto(site.url)
        if live:
            expect(page.locator(LIVE).first).to_be_attached(timeout=LATE)
        return page

    yield open_page
    page.goto("about:blank")
    site.shutdown()
    site.server_close()


def bar(page: Page) -> Locator:
    return page.locator("breaking-ticker:not([mode=list])")


def block(page: Page, channel: str = "en") -> Locator:
    return page.locator(f'breaking-ticker[mode=list][channel="{channel}"]')


def current(page: Page) -> Locator:
    return bar(page).locator("li.on")


def texts(block: Locator) -> list[str]:
    return block.locator("li .text").all_text_contents()


def everything(page: Page) -> str:
    return page.evaluate(EVERYTHING)


def complaints(page: Any) -> list[str]:
    """What the console says, but for connections that could not be made: the tests cut those."""
    return [said for said in page.errors if "WebSocket connection" not in said and "Failed to load" not in said]


# A line's life


def test_a_line_shows_at_once(node: Any, demo: Any) -> None:
    for number in range(5):  # one in a few is enough: the machine may have been busy
        text = f"Harbour Bridge reopens to trams on line {number}"
        demo.evaluate(WATCH, text)
        published = time.time() * 1000
        node.publish("en", text)
        took = demo.evaluate("window.seen") - published
        print(f"from before the request to publish to the DOM: {took:.0f} ms")
        if took < 2_000:
            break
    assert took < 2_000
    expect(current(demo)).to_contain_text(text)
    expect(current(demo).locator(".text")).to_be_visible()
    expect(block(demo).locator("li").first).to_contain_text(text)
    assert not demo.errors


def test_a_correction_changes_the_line_in_place(node: Any, demo: Any) -> None:
    line = node.publish("en", "The comet is visible until Thursday")
    node.publish("en", "Mayor to speak at 18:00")
    expect(block(demo).locator("li")).to_have_count(2)
    row = block(demo).locator("li").nth(1)
    row.evaluate("(item) => { item.kept = true }")

    node.correct("en", line["id"], text="The comet is visible until Friday", note="The day was wrong.")
    expect(row.locator(".text")).to_have_text("The comet is visible until Friday")
    expect(row.locator(".mark")).to_have_text("Corrected")
    expect(row.locator(".note")).to_have_text("The day was wrong.")
    assert row.evaluate("(item) => item.kept") is True
    assert "Thursday" not in everything(demo)


def test_a_killed_line_leaves_every_banner(node: Any, demo: Any) -> None:
    line = node.publish(
        "en", "Minister steps down", url="https://example.org/minister-steps-down", source="Wire Eleven"
    )
    expect(current(demo)).to_contain_text("Minister steps down")
    expect(demo.locator("[aria-live=polite]")).to_contain_text("Minister steps down")

    node.cancel("en", line["id"], note="The office denies it.")
    for place in (current(demo), block(demo).locator("li").first):
        expect(place.locator(".mark")).to_have_text("Retracted")
        expect(place.locator(".note")).to_have_text("The office denies it.")
    left = everything(demo).lower()
    assert not [words for words in ("steps down", "minister-steps", "wire eleven") if words in left]
    expect(demo.locator("[aria-live] [role=alert]")).to_have_text("Retracted: The office denies it.")
    assert not demo.errors


def test_a_killed_line_interrupts_the_line_that_shows(node: Any, demo: Any) -> None:
    line = node.publish("en", "Minister steps down")
    node.publish("en", "Mayor to speak at 18:00")
    expect(current(demo)).to_contain_text("Mayor")
    node.cancel("en", line["id"])
    expect(current(demo).locator(".mark")).to_have_text("Retracted")


def test_a_held_line_waits_without_its_words_and_comes_back(node: Any, demo: Any) -> None:
    line = node.publish("en", "Minister steps down")
    row = block(demo).locator("li")
    expect(row).to_contain_text("Minister")
    node.correct("en", line["id"], status="withheld", note="We are checking this.")
    expect(row.locator(".mark")).to_have_text("On hold")
    assert "Minister" not in everything(demo)
    node.correct("en", line["id"], status="usable", note=None)
    expect(row.locator(".text")).to_have_text("Minister steps down")


def test_a_line_leaves_when_it_expires(node: Any, demo: Any) -> None:
    node.publish("en", "Mayor to speak at 18:00", expires_in=2)
    expect(block(demo).locator("li")).to_have_count(1)
    expect(block(demo).locator("li")).to_have_count(0)
    expect(bar(demo).locator("li")).to_have_count(0)
    expect(bar(demo).locator(".empty")).to_be_visible()


def test_lines_stand_as_the_node_orders_them(node: Any, demo: Any) -> None:
    for number in range(12):
        node.publish("en", f"Line number {number}", pinned=number == 3)
    expect(block(demo).locator("li").nth(1)).to_contain_text("Line number 11")
    board = [line["text"] for line in node.board("en")]
    assert board[0] == "Line number 3"
    assert len(board) == 10
    assert texts(block(demo)) == texts(bar(demo)) == board
    demo.reload()
    expect(block(demo).locator("li")).to_have_count(10)
    assert texts(block(demo)) == board


def test_a_banner_shows_no_more_lines_than_its_max(node: Any, embed: Any) -> None:
    for number in range(4):
        node.publish("en", f"Line number {number}")
    page = embed('<breaking-ticker mode="list" channel="en" max="2"></breaking-ticker>')
    assert texts(block(page)) == ["Line number 3", "Line number 2"]
    node.publish("en", "Line number 4")
    expect(block(page).locator("li").first).to_contain_text("Line number 4")
    assert texts(block(page)) == ["Line number 4", "Line number 3"]


# Languages


def test_arabic_stands_right_to_left_line_by_line(node: Any, demo: Any) -> None:
    node.publish("ar", "إعادة فتح جسر الميناء")
    node.publish("ar", "Harbour Bridge reopens", language="en")
    arabic, english = block(demo, "ar").locator("li").nth(1), block(demo, "ar").locator("li").nth(0)
    expect(arabic).to_contain_text("إعادة فتح جسر الميناء")
    for row, language, direction in ((arabic, "ar", "rtl"), (english, "en", "ltr")):
        expect(row).to_have_attribute("lang", language)
        expect(row).to_have_attribute("dir", direction)
        expect(row.locator(".text")).to_have_css("direction", direction)
    expect(block(demo, "ar").get_by_role("region")).to_have_css("direction", "rtl")
    expect(block(demo, "ar").locator(".time").first).to_have_text("الآن")


def test_the_banner_speaks_its_own_language(node: Any, embed: Any) -> None:
    line = node.publish("es", "El puente reabre")
    node.cancel("es", line["id"])
    page = embed("".join(f'<breaking-ticker channel="es" {lang}></breaking-ticker>' for lang in ("", 'lang="de"')))
    spanish, german = page.locator("breaking-ticker").nth(0), page.locator("breaking-ticker").nth(1)
    expect(spanish.get_by_role("button", name="Pausar")).to_be_visible()
    expect(spanish.locator("li .mark")).to_have_text("Retirado")
    expect(german.get_by_role("button", name="Anhalten")).to_be_visible()
    expect(german.locator("li .mark")).to_have_text("Zurückgezogen")


# Hostile words


def test_markup_is_text_and_runs_nothing(node: Any, demo: Any) -> None:
    demo.evaluate("window.ran = false")
    hostile = '<img src=x onerror="window.ran = true"><script>window.ran = true</script>'
    line = node.publish("en", hostile, source='"><b onmouseover="window.ran = true">')
    expect(block(demo).locator("li .text")).to_have_text(hostile)
    expect(current(demo).locator(".text")).to_have_text(hostile)
    node.correct("en", line["id"], note="<svg onload='window.ran = true'>", text=hostile + "!")
    expect(block(demo).locator("li .note")).to_have_text("<svg onload='window.ran = true'>")
    for banner in (bar(demo), block(demo)):
        assert banner.locator("li").locator("img, script, b, li svg").count() == 0
    assert demo.evaluate("window.ran") is False
    assert not demo.errors


def test_only_a_web_address_becomes_a_link(embed: Any) -> None:
    page = embed('<breaking-ticker mode="list" channel="en"></breaking-ticker>')
    frame = board_frame([line_of("2-0", url="https://example.org/story"), line_of("1-0", url="javascript:alert(1)")])
    page.evaluate(
        """async (frame) => {
          const { Feed } = await import(document.querySelector("script").src);
          const banner = document.querySelector("breaking-ticker");
          const board = Feed.at(new URL(document.querySelector("script").src).origin).join("en", () => {});
          board.board(frame);
          banner.setAttribute("label", "Breaking!"); // renders
        }""",
        frame,
    )
    links = block(page).locator("li a")
    expect(links).to_have_count(1)
    expect(links).to_have_attribute("href", "https://example.org/story")
    expect(links).to_have_attribute("rel", "noopener")


# The connection


def test_a_killed_node_is_waited_for_and_nothing_shows_twice(node: Any, demo: Any) -> None:
    node.publish("en", "Before the node was killed")
    expect(current(demo)).to_contain_text("Before")
    node.kill()
    expect(bar(demo)).to_have_attribute("state", "offline")
    expect(bar(demo).locator(".state")).to_contain_text("Offline since")
    expect(current(demo)).to_contain_text("Before")

    node.start()
    node.publish("en", "After it came back")
    expect(bar(demo)).to_have_attribute("state", "live", timeout=LATE)
    expect(block(demo).locator("li")).to_have_count(2)
    assert texts(block(demo)) == texts(bar(demo)) == [line["text"] for line in node.board("en")]
    node.publish("en", "And on it goes")
    expect(current(demo)).to_contain_text("And on it goes")
    assert texts(block(demo)) == [line["text"] for line in node.board("en")]
    assert not complaints(demo)


def test_a_line_killed_while_the_banner_was_away_is_gone_when_it_returns(node: Any, page: Any, embed: Any) -> None:
    line = node.publish("en", "Minister steps down")
    sockets: list[WebSocketRoute] = []
    page.route_web_socket("**/v1/live?*", lambda socket: (socket.connect_to_server(), sockets.append(socket)))
    embed('<breaking-ticker mode="list" channel="en"></breaking-ticker>')
    expect(block(page).locator("li")).to_contain_text("Minister")
    page.context.set_offline(True)
    sockets[-1].close(code=1001)
    expect(block(page)).to_have_attribute("state", "offline")
    node.cancel("en", line["id"])
    page.context.set_offline(False)  # the browser's `online` event has it reconnect at once
    expect(block(page).locator("li .mark")).to_have_text("Retracted", timeout=LATE)
    assert "Minister" not in everything(page)


def test_all_banners_of_a_page_share_one_socket(node: Any, page: Page) -> None:
    sockets: list[Any] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    page.goto(f"{node.url}/demo")
    expect(page.locator(LIVE)).to_have_count(4)
    assert len(sockets) == 1


def test_a_gap_brings_a_new_board(node: Any, page: Any, embed: Any) -> None:
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
    embed('<breaking-ticker mode="list" channel="en"></breaking-ticker>')
    node.publish("en", "The line that is lost")
    node.publish("en", "The line after it")
    expect(block(page).locator("li")).to_have_count(2)
    assert len(lost) == 1
    assert texts(block(page)) == ["The line after it", "The line that is lost"]


def test_silence_is_told_and_then_mended(page: Any, embed: Any) -> None:
    sockets: list[WebSocketRoute] = []

    def fall_silent(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        heard: list[Any] = []
        first = not sockets
        sockets.append(socket)
        server.on_message(lambda frame: (first and heard) or (heard.append(frame), socket.send(frame)))

    page.add_init_script(LITTLE_JITTER)
    page.clock.install()
    page.route_web_socket("**/v1/live?*", fall_silent)
    embed('<breaking-ticker channel="en"></breaking-ticker>')
    page.clock.fast_forward(36_000)
    expect(bar(page)).to_have_attribute("state", "delayed")
    page.clock.fast_forward(11_000)
    expect(bar(page)).to_have_attribute("state", "live")
    assert len(sockets) == 2


@pytest.mark.parametrize("refused", [NO_WEBSOCKET, NO_WEBSOCKET + ";" + NO_SSE], ids=["WebSocket", "WebSocket and SSE"])
def test_where_a_connection_is_refused_another_way_is_found(node: Any, page: Any, refused: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script(LITTLE_JITTER + ";" + refused)
    line = node.publish("en", "There before the banner")
    page.goto(f"{node.url}/demo")
    expect(current(page)).to_contain_text("There before", timeout=LATE)
    expect(bar(page)).to_have_attribute("state", "delayed" if NO_SSE in refused else "live")
    node.publish("en", "Came by another way")
    expect(current(page)).to_contain_text("Came by another way", timeout=LATE)
    node.cancel("en", line["id"])
    expect(block(page).locator("li").nth(1).locator(".mark")).to_have_text("Retracted", timeout=LATE)
    assert "There before" not in everything(page)
    expected = "/v1/channels/en/lines" if NO_SSE in refused else "/v1/live?"
    assert any(expected in url for url in asked)
    assert not page.errors


def test_a_channel_that_does_not_exist_costs_the_others_nothing(node: Any, page: Any, embed: Any) -> None:
    page.add_init_script(LITTLE_JITTER)
    nowhere = '<breaking-ticker mode="list" channel="nowhere"></breaking-ticker>'
    embed(nowhere + '<breaking-ticker channel="en"></breaking-ticker>')
    expect(block(page, "nowhere")).to_have_attribute("state", "offline", timeout=LATE)
    expect(bar(page)).to_have_attribute("state", "live", timeout=LATE)
    node.publish("en", "The others go on")
    expect(current(page)).to_contain_text("The others go on")


@pytest.mark.parametrize("code", [1008, 4404])
def test_a_close_code_that_means_stop_is_obeyed(page: Any, embed: Any, code: int) -> None:
    tries: list[WebSocketRoute] = []
    page.clock.install()
    page.route_web_socket("**/v1/live?*", lambda socket: (tries.append(socket), socket.close(code=code)))
    embed('<breaking-ticker channel="en"></breaking-ticker>', live=False)
    expect(bar(page)).to_have_attribute("state", "offline")
    page.clock.run_for(120_000)
    assert len(tries) == 1


def test_the_connection_rests_while_the_page_is_put_away(node: Any, page: Any) -> None:
    sockets: list[Any] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    page.goto(f"{node.url}/demo")
    expect(page.locator(LIVE)).to_have_count(4)
    with sockets[0].expect_event("close"):
        page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    node.publish("en", "Published meanwhile")
    with page.expect_event("websocket"):
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(current(page)).to_contain_text("Published meanwhile")


def test_a_removed_banner_closes_its_connection_and_a_moved_one_keeps_it(page: Any, embed: Any) -> None:
    sockets: list[Any] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    embed('<breaking-ticker channel="en"></breaking-ticker><main></main>')
    page.evaluate("document.querySelector('main').append(document.querySelector('breaking-ticker'))")
    expect(bar(page)).to_have_attribute("state", "live")
    assert len(sockets) == 1
    with sockets[0].expect_event("close"):
        page.evaluate("document.querySelector('breaking-ticker').remove()")
    assert page.locator("[aria-live]").count() == 0


# Readers


def test_nothing_moves_when_lines_come(node: Any, demo: Any) -> None:
    demo.add_init_script(
        """window.shifts = [];
        const name = ({ node, previousRect, currentRect }) =>
          `${node?.nodeName}.${node?.className} ${JSON.stringify([previousRect, currentRect])}`;
        new PerformanceObserver((list) =>
          list.getEntries().forEach(({ value, sources }) => window.shifts.push(`${value} ${sources.map(name)}`))
        ).observe({ type: "layout-shift", buffered: true });"""
    )
    node.publish("en", "The first of that day")
    for size in ({"width": 1280, "height": 900}, {"width": 360, "height": 740}):
        demo.set_viewport_size(size)
        demo.reload()
        expect(demo.locator(LIVE)).to_have_count(4)
        block(demo).scroll_into_view_if_needed()
        for number in range(3):
            newest = block(demo).locator("li").first.element_handle()
            line = node.publish("en", f"Line number {number} of a day on which much happens all along the coast")
            expect(block(demo).locator("li").first).to_contain_text(f"Line number {number}")
            expect(block(demo).locator(".stage")).to_have_js_property("scrollTop", 0)  # it has come in from above
            # What a screen reader or a selection stands at stays.
            assert block(demo).locator("li").nth(1).evaluate("(item, newest) => item === newest", newest)
            node.correct(
                "en", line["id"], text="In other words, of which there are many more, so that they take a row more"
            )
            expect(block(demo).locator("li").first).to_contain_text("In other words")
        demo.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert demo.evaluate("window.shifts") == []


def test_long_words_neither_overflow_nor_change_the_height(node: Any, demo: Any) -> None:
    demo.set_viewport_size({"width": 360, "height": 740})
    before = bar(demo).bounding_box()
    node.publish("en", "Donaudampfschifffahrtsgesellschaft" * 6)
    expect(current(demo)).to_contain_text("Donau")
    after = bar(demo).bounding_box()
    assert before
    assert after
    assert before["height"] == after["height"]
    assert demo.evaluate("document.documentElement.scrollWidth") == 360


def test_a_long_line_can_be_read_in_full(node: Any, demo: Any) -> None:
    demo.set_viewport_size({"width": 360, "height": 740})
    node.publish("en", "Ferries resume. " * 17)
    words = current(demo).locator(".words")
    in_full = "(words) => words.scrollHeight <= words.clientHeight + 1"
    expect(words).to_contain_text("Ferries")
    assert not words.evaluate(in_full)
    below = demo.locator("article h1").bounding_box()
    words.hover()
    assert words.evaluate(in_full)
    assert demo.locator("article h1").bounding_box() == below
    demo.mouse.move(0, 0)
    bar(demo).get_by_role("button", name="Pause").focus()
    assert words.evaluate(in_full)


def test_the_bar_shows_one_line_after_the_other(node: Any, page: Any) -> None:
    for number in range(3):
        node.publish("en", f"Line number {number}")
    page.clock.install()
    page.goto(f"{node.url}/demo")
    expect(current(page)).to_contain_text("Line number 2")
    expect(bar(page).locator(".position")).to_have_text("1 / 3")
    page.clock.run_for(6_500)
    expect(current(page)).to_contain_text("Line number 1")
    page.clock.run_for(6_500)
    page.clock.run_for(6_500)
    expect(current(page)).to_contain_text("Line number 2")


def test_a_line_that_is_pointed_at_stays_and_the_new_one_waits(node: Any, page: Any) -> None:
    for number in range(2):
        node.publish("en", f"Line number {number}")
    page.clock.install()
    page.goto(f"{node.url}/demo")
    expect(current(page)).to_contain_text("Line number 1")
    current(page).locator(".text").hover()
    page.clock.run_for(20_000)
    node.publish("en", "A new line")
    expect(bar(page).get_by_role("button", name="New: 1")).to_be_visible()
    expect(current(page)).to_contain_text("Line number 1")
    page.mouse.move(0, 0)
    expect(current(page)).to_contain_text("A new line")


def test_the_pause_button_works_by_keyboard(node: Any, page: Any) -> None:
    for number in range(3):
        node.publish("en", f"Line number {number}")
    page.clock.install()
    page.goto(f"{node.url}/demo")
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
    page.mouse.move(0, 0)
    page.clock.run_for(6_500)
    expect(current(page)).to_contain_text("Line number 0")


def test_focus_stays_in_the_banner_when_what_has_it_goes(node: Any, embed: Any) -> None:
    line = node.publish("en", "Mayor to speak at 18:00", url="https://example.org/mayor")
    page = embed('<breaking-ticker channel="en"></breaking-ticker>')
    pause = bar(page).get_by_role("button", name="Pause")
    page.get_by_role("link", name="Mayor").focus()
    page.keyboard.press("Shift+Tab")  # from here on by keyboard
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Mayor")).to_be_focused()
    node.cancel("en", line["id"])
    expect(current(page).locator(".mark")).to_have_text("Retracted")
    expect(pause).to_be_focused()
    node.publish("en", "Ferries suspended")
    bar(page).get_by_role("button", name="New: 1").focus()
    page.keyboard.press("Enter")
    expect(current(page)).to_contain_text("Ferries suspended")
    expect(pause).to_be_focused()


def test_a_finger_that_has_gone_holds_no_line(node: Any, browser: Browser) -> None:
    for number in range(3):
        node.publish("en", f"Line number {number}")
    context = browser.new_context(has_touch=True, is_mobile=True, locale="en-GB")
    page = context.new_page()
    page.clock.install()
    page.goto(f"{node.url}/demo")
    expect(current(page)).to_contain_text("Line number 2")
    bar(page).get_by_role("button", name="Next").tap()
    expect(current(page)).to_contain_text("Line number 1")
    page.clock.run_for(6_500)
    expect(current(page)).to_contain_text("Line number 0")
    context.close()


def test_nothing_moves_for_readers_who_asked_for_less_motion(node: Any, page: Any) -> None:
    for number in range(2):
        node.publish("en", f"Line number {number}")
    page.emulate_media(reduced_motion="reduce")
    page.clock.install()
    page.goto(f"{node.url}/demo")
    expect(current(page)).to_contain_text("Line number 1")
    page.clock.run_for(20_000)
    expect(current(page)).to_contain_text("Line number 1")
    expect(current(page)).to_have_css("transition-duration", "0s")
    node.publish("en", "A new line")
    expect(current(page)).to_contain_text("A new line")
    assert page.evaluate("document.getAnimations({ subtree: true }).length") == 0


def test_a_new_line_waits_above_what_is_being_read(node: Any, demo: Any) -> None:
    node.publish("en", "The line that is being read")
    read = block(demo).locator("li").filter(has_text="being read")
    read.hover()
    before = read.bounding_box()
    node.publish("en", "The new line")
    fresh = block(demo).get_by_role("button", name="New: 1")
    expect(fresh).to_be_visible()
    after = read.bounding_box()
    assert before
    assert after
    assert abs(after["y"] - before["y"]) < 1
    assert after["height"] == before["height"]
    fresh.click()
    expect(fresh).to_be_hidden()
    expect(block(demo).locator("li").first).to_be_in_viewport(ratio=1)


def test_the_banner_is_a_named_region_with_a_list(node: Any, demo: Any) -> None:
    node.publish("en", "Mayor to speak at 18:00", url="https://example.org/mayor")
    expect(bar(demo).get_by_role("region", name="Breaking")).to_be_visible()
    expect(bar(demo).get_by_role("listitem")).to_have_count(1)
    expect(bar(demo).get_by_role("link", name="Mayor to speak at 18:00")).to_be_visible()


def test_a_line_is_announced_once_and_the_first_board_not_at_all(node: Any, page: Any) -> None:
    node.publish("en", "There before the reader")
    page.goto(f"{node.url}/demo")
    expect(page.locator(LIVE)).to_have_count(4)
    page.evaluate(
        """() => {
          window.said = [];
          new MutationObserver((changes) =>
            changes.forEach(({ addedNodes }) => addedNodes.forEach((node) => window.said.push(node.textContent)))
          ).observe(document.querySelector("[aria-live]"), { childList: true });
        }"""
    )
    node.publish("en", "Mayor to speak at 18:00")
    expect(page.locator("[aria-live=polite]")).to_contain_text("Mayor to speak")
    node.kill()
    expect(bar(page)).to_have_attribute("state", "offline")
    node.start()
    node.publish("en", "Mayor speaks")
    expect(page.locator("[aria-live=polite]")).to_contain_text("Mayor speaks", timeout=LATE)
    assert page.evaluate("window.said") == [
        "Breaking: Mayor to speak at 18:00",
        "Breaking: Mayor speaks",
        "While you were away · New: 1",
    ]


def test_a_flash_interrupts_once_and_holds_no_reader_who_paused(node: Any, demo: Any) -> None:
    node.publish("en", "Mayor to speak at 18:00")
    expect(current(demo)).to_contain_text("Mayor")
    current(demo).locator(".text").hover()
    node.publish("en", "Bridge collapses", urgency="flash")
    expect(current(demo)).to_contain_text("Bridge collapses")
    expect(bar(demo).locator(".bar:has(.on[data-urgency=flash])")).to_be_visible()
    bar(demo).get_by_role("button", name="Next").click()
    expect(bar(demo).locator(".bar:has(.on[data-urgency=flash])")).to_have_count(0)
    bar(demo).get_by_role("button", name="Pause").click()
    node.publish("en", "Ferry sinks", urgency="flash")
    expect(bar(demo).get_by_role("button", name="New: 1")).to_be_visible()
    expect(current(demo)).to_contain_text("Mayor")


def test_after_an_absence_it_says_what_was_missed_and_shows_the_kills_first(node: Any, page: Any, embed: Any) -> None:
    killed = node.publish("en", "Minister steps down")
    corrected = node.publish("en", "The comet is visible until Thursday")
    sockets: list[WebSocketRoute] = []
    page.route_web_socket("**/v1/live?*", lambda socket: (socket.connect_to_server(), sockets.append(socket)))
    embed('<breaking-ticker channel="en"></breaking-ticker>')
    expect(current(page)).to_contain_text("The comet")
    page.context.set_offline(True)
    sockets[-1].close(code=1001)
    expect(bar(page)).not_to_have_attribute("state", "live")
    node.cancel("en", killed["id"], note="The office denies it.")
    node.correct("en", corrected["id"], text="The comet is visible until Friday")
    node.publish("en", "Mayor to speak at 18:00")
    page.context.set_offline(False)
    away = bar(page).locator(".away")
    expect(away).to_have_text("While you were away · New: 1 · Corrected: 1 · Retracted: 1", timeout=LATE)
    expect(current(page).locator(".mark")).to_have_text("Retracted")
    assert "Minister" not in everything(page)
    expect(away).to_be_hidden()
    bar(page).get_by_role("button", name="Next").click()
    expect(current(page)).to_contain_text("until Friday")
    bar(page).get_by_role("button", name="Next").click()
    expect(current(page)).to_contain_text("Mayor")


def test_a_dismissed_banner_comes_back_for_a_flash_alone(node: Any, page: Any, embed: Any) -> None:
    node.publish("en", "Mayor to speak at 18:00")
    embed('<breaking-ticker channel="en" dismissible></breaking-ticker><breaking-ticker mode="list" channel="en">')
    bar(page).get_by_role("button", name="Close").click()
    page.mouse.move(0, 700)
    expect(bar(page).get_by_role("region")).to_be_hidden()
    node.publish("en", "Mayor speaks")
    expect(block(page).locator("li")).to_have_count(2)
    expect(bar(page).get_by_role("region")).to_be_hidden()
    node.publish("en", "Bridge collapses", urgency="flash")
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


# Resolves when the belt does what it was last told to: a pause takes until the next frame.
STANDS = """async () => {
  const motions = document.querySelector("breaking-ticker").shadowRoot.getAnimations();
  await Promise.all(motions.map(({ ready }) => ready));
}"""


def states(page: Page) -> list[str]:
    return [motion["playState"] for motion in page.evaluate(MOTIONS)]


@pytest.mark.parametrize(("channel", "sign"), [("en", 1), ("ar", -1)])
def test_the_belt_moves_at_one_speed_and_in_the_direction_of_reading(
    node: Any, page: Any, embed: Any, channel: str, sign: int
) -> None:
    for text in ("Short", "A line that is quite some longer than the short one"):
        node.publish(channel, text)
    embed(f'<breaking-ticker mode="scroll" channel="{channel}"></breaking-ticker>')
    expect(page.locator("li.on")).to_have_count(2)
    for motion in page.evaluate(MOTIONS):
        assert (motion["from"] - motion["to"]) * sign > 0
        assert abs(motion["from"] - motion["to"]) / motion["duration"] == pytest.approx(80 / 1000)
    places = page.evaluate(POSITIONS)
    first, second = sorted(places, key=lambda place: place["left"] * sign)
    assert (second["left"] >= first["right"] - 1) if sign > 0 else (second["right"] <= first["left"] + 1)


def test_nothing_jumps_on_the_belt_when_lines_come_change_and_go(node: Any, page: Any, embed: Any) -> None:
    killed = node.publish("en", "Minister steps down")
    corrected = node.publish("en", "The comet is visible until Thursday")
    embed('<breaking-ticker mode="scroll" channel="en"></breaking-ticker>')
    expect(page.locator("li.on")).to_have_count(2)
    page.evaluate("document.querySelector('breaking-ticker').pause()")
    page.evaluate(STANDS)
    before = page.evaluate(POSITIONS)
    node.cancel("en", killed["id"])
    node.correct("en", corrected["id"], text="The comet is visible until Friday, and on Saturday too")
    expect(page.locator("li.on .text")).to_have_text("The comet is visible until Friday, and on Saturday too")
    expect(page.locator("li.on .mark")).to_have_text(["Corrected", "Retracted"])
    assert "Minister" not in everything(page)
    after = page.evaluate(POSITIONS)
    for side in ("left", "right"):
        assert [place[side] for place in after] == pytest.approx([place[side] for place in before], abs=0.1)
    page.evaluate("document.querySelector('breaking-ticker').resume()")
    node.publish("en", "A new line")
    new = page.locator("li.on").filter(has_text="A new line")
    expect(new).to_have_count(1)
    places = {place["text"]: place for place in page.evaluate(POSITIONS)}
    assert all(
        places["A new line"]["left"] >= place["right"] - 1 for text, place in places.items() if text != "A new line"
    )


def test_the_belt_can_be_paused_and_stands_while_it_is_pointed_at(node: Any, page: Any, embed: Any) -> None:
    node.publish("en", "Mayor to speak at 18:00")
    embed('<breaking-ticker mode="scroll" channel="en"></breaking-ticker>')
    expect(page.locator("li.on")).to_have_count(1)
    page.get_by_role("button", name="Pause").click()
    assert states(page) == ["paused"]
    page.get_by_role("button", name="Resume").click()
    assert states(page) == ["paused"]  # still pointed at
    page.mouse.move(0, 600)
    assert states(page) == ["running"]


def test_a_flash_comes_onto_the_belt_at_once(node: Any, page: Any, embed: Any) -> None:
    for number in range(4):
        node.publish("en", f"Line number {number} of a day on which much happens all along the coast")
    embed('<breaking-ticker mode="scroll" channel="en"></breaking-ticker>')
    expect(page.locator("li.on").first).to_be_attached()
    node.publish("en", "Bridge collapses", urgency="flash")
    expect(page.locator("li.on").filter(has_text="Bridge")).to_be_in_viewport()
    assert min(page.evaluate(POSITIONS), key=lambda place: place["left"])["text"] == "Bridge collapses"


def test_without_motion_the_belt_is_a_bar(node: Any, page: Any, embed: Any) -> None:
    page.emulate_media(reduced_motion="reduce")
    node.publish("en", "Mayor to speak at 18:00")
    embed('<breaking-ticker mode="scroll" channel="en"></breaking-ticker>')
    expect(page.locator("li.on")).to_contain_text("Mayor")
    expect(page.locator(".frame.rotate")).to_be_attached()
    assert page.evaluate("document.querySelector('breaking-ticker').shadowRoot.getAnimations().length") == 0


# Embedders


def test_attributes_say_what_is_shown(node: Any, page: Any, embed: Any) -> None:
    node.publish("en", "Mayor to speak at 18:00", urgency="update")
    embed(
        '<breaking-ticker channel="en" min-urgency="urgent" hide-when-empty></breaking-ticker>'
        '<breaking-ticker channel="en" mode="list" min-urgency="flash"></breaking-ticker>'
        '<breaking-ticker channel="en" mode="rotate" controls="none" sticky="bottom" src="http://["></breaking-ticker>'
    )  # that is no address: it takes the script's
    urgent, flashes, bare = (page.locator("breaking-ticker").nth(at) for at in range(3))
    expect(bare.locator("li.on")).to_contain_text("Mayor")
    expect(bare.get_by_role("button", name="Pause")).to_be_visible()
    expect(bare.get_by_role("button", name="Next")).to_have_count(0)
    expect(bare).to_have_css("position", "sticky")
    assert not page.errors
    expect(bare.get_by_role("button", name="Close")).to_have_count(0)
    bare.evaluate("(banner) => banner.toggleAttribute('dismissible')")
    expect(bare.get_by_role("button", name="Close")).to_be_visible()
    expect(urgent.get_by_role("region")).to_have_count(0)
    node.publish("en", "Ferries suspended", urgency="urgent")
    expect(urgent.locator("li.on")).to_contain_text("Ferries suspended")
    expect(urgent.locator("li")).to_have_count(1)
    expect(flashes.locator("li")).to_have_count(0)
    expect(flashes.locator(".empty")).to_be_visible()
    urgent.evaluate("(banner) => banner.setAttribute('mode', 'list')")
    urgent.evaluate("(banner) => banner.removeAttribute('min-urgency')")
    expect(urgent.locator("li")).to_have_count(2)


def test_an_opened_line_is_told_and_can_be_kept_from_opening(node: Any, page: Any, embed: Any) -> None:
    node.publish("en", "Mayor to speak at 18:00", url="https://example.org/mayor")
    embed('<breaking-ticker channel="en"></breaking-ticker>')
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


def test_other_words_than_english_are_asked_for_once(node: Any, page: Any, embed: Any) -> None:
    asked: list[Any] = []
    words = json.loads((MODULE.parent / "words.json").read_text("utf-8"))["de"]
    page.on("request", lambda request: asked.append(request) if "/words/" in request.url else None)
    page.route(
        "**/words/de.json", lambda route: route.fulfill(json=words, headers={"Access-Control-Allow-Origin": "*"})
    )
    tags = [
        f'<breaking-ticker channel="{channel}" lang="{lang}"></breaking-ticker>'
        for channel, lang in (("en", "en"), ("en", "de-AT"), ("ar", "de"), ("es", "tlh"))
    ]
    embed("".join(tags))
    for at in (1, 2):
        expect(page.locator("breaking-ticker").nth(at).get_by_role("button", name="Anhalten")).to_be_visible()
    node.publish("es", "Una línea más")  # for a language that the server doesn't have, it isn't asked again
    expect(page.get_by_text("Una línea más")).to_be_visible()
    for at in (0, 3):
        expect(page.locator("breaking-ticker").nth(at).get_by_role("button", name="Pause")).to_be_visible()
    assert sorted(request.url.rsplit("/")[-1] for request in asked) == ["de.json", "tlh.json"]


def test_words_that_failed_to_come_are_asked_for_again(node: Any, page: Any, embed: Any) -> None:
    page.route("**/words/es.json", lambda route: route.abort())
    embed('<breaking-ticker channel="es"></breaking-ticker>')
    expect(bar(page)).to_have_attribute("state", "live")
    expect(bar(page).get_by_role("button", name="Pause")).to_be_visible()
    page.unroute("**/words/es.json")
    node.publish("es", "Una línea más")
    expect(bar(page).get_by_role("button", name="Pausar")).to_be_visible()


def test_its_words_in_english_are_those_of_the_server() -> None:
    words = json.loads((MODULE.parent / "words.json").read_text("utf-8"))["en"]
    table = MODULE.read_text("utf-8").split("const ENGLISH = {")[1].split("}")[0]
    assert dict(re.findall(r'(\w+): "([^"]+)"', table)) == words


def test_it_works_on_another_site_and_tells_it_what_happens(node: Any, page: Any, embed: Any) -> None:
    embed('<breaking-ticker channel="en"></breaking-ticker>')
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
    line = node.publish("en", "First words")
    expect(current(page)).to_contain_text("First words")
    node.correct("en", line["id"], text="Better words")
    expect(current(page)).to_contain_text("Better words")
    node.cancel("en", line["id"])
    expect(current(page).locator(".mark")).to_have_text("Retracted")
    node.kill()
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


def test_a_page_that_loads_it_twice_is_none_the_worse(node: Any, demo: Any) -> None:
    demo.evaluate("(url) => import(url)", f"{node.url}/ticker.js?again")
    node.publish("en", "Still there")
    expect(current(demo)).to_contain_text("Still there")
    assert not demo.errors


def test_what_the_page_put_inside_shows_until_the_board_is_there(node: Any, page: Any, embed: Any) -> None:
    page.add_init_script(LITTLE_JITTER)
    node.publish("en", "Mayor to speak at 18:00")
    waiting: list[WebSocketRoute] = []
    page.route_web_socket("**/v1/live?*", lambda socket: waiting.append(socket))
    embed('<breaking-ticker channel="en"><a href="/latest">The latest news</a></breaking-ticker>', live=False)
    expect(page.get_by_role("link", name="The latest news")).to_be_visible()
    expect(bar(page)).to_have_attribute("state", "connecting")
    deadline = time.monotonic() + LATE / 1000
    while not waiting:
        assert time.monotonic() < deadline, "the banner asked for no socket"
        page.wait_for_timeout(20)  # in which Playwright tells of routes
    waiting[0].send(json.dumps(board_frame([line_of("1-0", text="From the board")])))
    expect(current(page)).to_contain_text("From the board")
    assert "The latest news" not in everything(page)


def test_the_channel_page_needs_no_script(node: Any, browser: Browser) -> None:
    node.publish("ar", "إعادة فتح جسر الميناء", url="https://example.org/bridge")
    killed = node.publish("ar", "استقالة الوزير")
    node.cancel("ar", killed["id"], note="نفى المكتب الخبر.")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{node.url}/channels/ar")
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    rows = page.locator("breaking-ticker li")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("نفى المكتب الخبر.")
    expect(rows.nth(1).get_by_role("link", name="إعادة فتح جسر الميناء")).to_be_visible()
    assert page.locator("meta[http-equiv=refresh]").count() == 1
    assert "استقالة" not in page.content()
    context.close()


def test_the_channel_page_becomes_live_with_script(node: Any, page: Any) -> None:
    line = node.publish("en", "Minister steps down")
    page.goto(f"{node.url}/channels/en")
    expect(block(page)).to_have_attribute("state", "live")
    expect(block(page).locator("li")).to_have_count(1)
    node.cancel("en", line["id"])
    expect(block(page).locator("li .mark")).to_have_text("Retracted")
    assert "Minister" not in everything(page)
    assert not page.errors


# The fold, on its own


def line_of(line_id: str, **fields: Any) -> dict[str, Any]:
    line = {
        "id": line_id,
        "channel": "en",
        "text": f"Line {line_id}",
        "urgency": "urgent",
        "status": "usable",
        "version": 1,
        "published": "2030-01-01T12:00:00.000Z",
        "updated": "2030-01-01T12:00:00.000Z",
        "corrected": None,
        "expires": None,
        "pinned": False,
        "url": None,
        "source": None,
        "story": None,
        "note": None,
        "language": "en",
        "direction": "ltr",
    }
    return line | fields


def board_frame(lines: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    board = {
        "type": "board",
        "channel": "en",
        "cursor": "9-0",
        "now": "2030-01-01T12:00:00.000Z",
        "lines": lines,
        "title": "English",
        "label": "Breaking",
        "language": "en",
        "direction": "ltr",
        "max_lines": 3,
    }
    return board | fields


def fold(page: Page, *frames: dict[str, Any], clock: int = 0) -> dict[str, Any]:
    """Fold frames into a board on a machine whose clock says `clock` (seconds since 1970)."""
    return page.evaluate(
        """async ([frames, clock]) => {
          const { Board } = await import(document.querySelector("script").src);
          Date.now = () => clock * 1000;
          const board = new Board();
          const results = frames.map((frame) => {
            const changes = board[frame.type](frame);
            return Array.isArray(changes) ? changes.map(({ kind, line }) => `${kind} ${line.id}`) : changes ?? null;
          });
          return { ids: board.lines.map(({ id }) => id), texts: board.lines.map(({ text }) => text ?? null), results,
            cursor: board.cursor ?? null };
        }""",
        [frames, clock],
    )


def event(cursor: str, prev: str | None, line: dict[str, Any]) -> dict[str, Any]:
    return {"type": "line", "channel": "en", "cursor": cursor, "prev": prev, "line": line}


@pytest.fixture
def folding(page: Page) -> Page:
    """A page that has the module and nothing else."""
    page.route("**/ticker.js", lambda route: route.fulfill(path=MODULE, content_type="text/javascript"))
    html = '<!doctype html><title>A page</title><script type="module" src="/ticker.js"></script>'
    page.route("http://ticker.test/", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto("http://ticker.test/")
    return page


def test_the_fold_orders_by_pin_and_number_and_keeps_the_newest(folding: Page) -> None:
    lines = [line_of("2-0", pinned=True), line_of("10-0"), line_of("9-2"), line_of("9-1")]
    assert fold(folding, board_frame(lines))["ids"] == ["2-0", "10-0", "9-2"]


def test_the_fold_gives_tombstones_their_place_and_no_words(folding: Page) -> None:
    lines = [line_of("4-0"), line_of("3-0"), line_of("2-0")]
    killed = line_of("3-0", status="canceled", version=2)  # with words that should not have come
    folded = fold(folding, board_frame(lines), event("10-0", "9-0", killed), event("11-0", "10-0", line_of("11-0")))
    assert folded["ids"] == ["11-0", "4-0", "3-0", "2-0"]
    assert folded["texts"][2] is None
    assert folded["results"] == [[], ["cancel 3-0"], ["line 11-0"]]


def test_the_fold_knows_what_it_has_and_what_it_misses(folding: Page) -> None:
    first = event("10-0", "9-0", line_of("10-0"))
    folded = fold(folding, board_frame([]), first, first, event("12-0", "11-0", line_of("12-0")))
    assert folded["results"] == [[], ["line 10-0"], [], None]
    assert folded["ids"] == ["10-0"]
    assert folded["cursor"] is None


def test_the_fold_waits_for_its_first_board(folding: Page) -> None:
    folded = fold(folding, event("9-0", "8-0", line_of("9-0")), board_frame([line_of("9-0")]))
    assert folded["results"] == [None, []]
    assert folded["ids"] == ["9-0"]


def test_a_beat_that_names_another_event_is_a_gap(folding: Page) -> None:
    beat = {"type": "beat", "channel": "en", "cursor": "9-0", "now": "2030-01-01T12:00:20.000Z"}
    assert fold(folding, board_frame([]), beat)["cursor"] == "9-0"
    assert fold(folding, board_frame([]), beat, beat | {"cursor": "10-0"})["cursor"] is None


def test_a_board_after_an_absence_tells_what_happened_meanwhile(folding: Page) -> None:
    later = [
        line_of("6-0"),
        line_of("4-0", status="canceled", version=2),
        line_of("3-0", text="Better words", corrected="2030-01-01T12:01:00.000Z", version=2),
        line_of("1-0"),  # an older one that moved up: no news
    ]
    folded = fold(folding, board_frame([line_of("4-0"), line_of("3-0"), line_of("2-0")]), board_frame(later))
    assert folded["results"][1] == ["correction 3-0", "cancel 4-0", "line 6-0"]


def test_expiry_follows_the_clock_of_the_server(folding: Page) -> None:
    lines = [line_of("2-0", expires="2030-01-01T12:00:01.000Z"), line_of("1-0", expires="2030-01-01T11:59:59.000Z")]
    wrong = 1_000_000  # the reader's clock is decades behind
    assert fold(folding, board_frame(lines), clock=wrong)["ids"] == ["2-0"]
