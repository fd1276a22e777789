"""What the tests of the banner share: pages with it, what stands in it, what a reader does to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from playwright.sync_api import Locator, Page, expect

from tests.conftest import RunningNode

LATE = 90_000  # ms; a reconnect waits for its jitter, up to 32 s of it, where the node was away for long
LIVE = "breaking-ticker[state=live]"
LIST, SCROLL = 'mode="list"', 'mode="scroll"'

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


@contextlib.contextmanager
def killed(node: RunningNode) -> Iterator[None]:
    """Kill the node with kill -9. It is started again even if the test fails, because other tests use it too."""
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
