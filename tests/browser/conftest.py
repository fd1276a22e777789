"""A real Chromium, one for each file; each test has a profile of its own in it."""

from __future__ import annotations

import functools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVarTuple, cast

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocketRoute, expect, sync_playwright

from tests.browser.banner import LATE, LIVE, both, host
from tests.browser.desk import AT_LEISURE, SignedIn, sign_in
from tests.conftest import CHANNELS, RunningNode
from tests.patience import WITHIN as SECONDS

WITHIN = 1_000 * SECONDS  # a banner whose node was away polls, and finds its way back in half a minute at most

Given = TypeVarTuple("Given")

expect.set_options(timeout=WITHIN)

ARGUMENTS = [
    "--no-sandbox",  # CI runs as root, where Chromium's sandbox can't be had
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium(*, whole: bool = False) -> str:
    """Debian's Chromium; Playwright's own download is not used.

    The one without windows takes half the CPU, but it keeps no page for the way back, and counts other layout shifts:
    a file that sees to those says WHOLE_BROWSER = True.
    """
    names = ("chromium", "chromium-browser") if whole else ("chromium-headless-shell", "chromium", "chromium-browser")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    assert found, "Chromium is missing. Install it (apt-get install chromium), or name it in CHROMIUM."
    return found


@pytest.fixture
def start_node(start_node: Any) -> Any:
    """With the beats that other tests do without: a page that hears none for half a minute says so."""
    return functools.partial(start_node, constants={})


FRESH = [f"fresh-{number}" for number in range(70)]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """One node for all tests of a file, with beats. A test that stops it starts it again."""
    config = CHANNELS + "".join(f'[channels.{slug}]\nhold = "0s"\n' for slug in FRESH)
    node = RunningNode(tmp_path_factory.mktemp("node"), config=config, constants={})
    yield node
    node.close()


@pytest.fixture(scope="module")
def unused() -> Iterator[str]:
    return iter(FRESH)


@pytest.fixture
def channel(unused: Iterator[str]) -> str:
    """A channel of the node, in English, that no other test uses."""
    return next(unused)


@pytest.fixture(scope="module")  # not longer: Playwright's event loop would stand in the way of asynchronous tests
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    whole = getattr(request.module, "WHOLE_BROWSER", False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(whole=whole), args=ARGUMENTS, timeout=WITHIN)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(locale="en-GB")
    context.set_default_timeout(WITHIN)
    yield context
    context.close()


class HeardPage(Page):
    """A page; what its console complains of is in `errors`."""

    errors: list[str]


@pytest.fixture
def page(context: BrowserContext) -> HeardPage:
    page = cast("HeardPage", context.new_page())  # it is Playwright that makes pages
    page.errors = []
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    return page


def until(page: Page, holds: Callable[[*Given], object], *given: *Given) -> None:
    """Wait, while the page and Playwright go on, for something about what is given that no locator can say."""
    deadline = time.monotonic() + SECONDS
    while not holds(*given):
        assert time.monotonic() < deadline, "it did not come to hold"
        page.wait_for_timeout(20)


def until_as_time_passes(page: Page, holds: Callable[[], object]) -> None:
    """The same in a page that is `without_time`: a millisecond passes in it before each look."""

    def passed() -> object:
        page.clock.run_for(1)
        return holds()

    until(page, passed)


def routed_sockets(where: Page | BrowserContext) -> list[WebSocketRoute]:
    """Those that are opened to a node from now on. What goes through them goes through."""
    sockets: list[WebSocketRoute] = []

    def connect(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    where.route_web_socket("**/v1/live?*", connect)
    return sockets


def without_time(page: Page) -> None:
    """No time passes in what it opens from now on, but what a test lets pass. (Frames come all the same, and a beat
    puts the board's clock right.)"""
    page.clock.install(time="2030-01-01T12:00:00Z")
    page.clock.pause_at("2030-01-01T13:00:00Z")  # which may not be past by then


def hold_belt(page: Page, count: int) -> None:
    """Pause the page's first banner, a belt, when it has so many lines on it."""
    held = """async (count) => {
      const banner = document.querySelector("breaking-ticker");
      banner.pause(); // which takes until the next frame
      await Promise.all(banner.shadowRoot.getAnimations().map(({ ready }) => ready));
      const held = banner.shadowRoot.querySelectorAll("li.on").length === count;
      if (!held) banner.resume();
      return held;
    }"""
    until(page, lambda: page.evaluate(held, count))


def hide(tab: Page, hidden: bool = True) -> None:
    """As switching tabs does; headless, every tab is seen."""
    tab.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
          document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
        }""",
        hidden,
    )


class Site(ThreadingHTTPServer):
    """Another site than the node's, for a file's tests. Its address is of this machine too: a browser lets no page
    from farther away reach that."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.headers: dict[str, str] = {}
        """With every answer."""
        self.files: dict[str, str] = {}
        """By path; `/` for every other path."""

    def serve(self, html: str, files: dict[str, str] | None = None, **headers: str) -> str:
        """From now on, in place of what it served; the address. A header's name has `_` for its hyphens."""
        self.files = {"/": html, **(files or {})}
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return f"{self.url}/"


_TYPES = {".css": "text/css", ".js": "text/javascript"}


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site = cast("Site", self.server)
        path = self.path.partition("?")[0]
        path = path if path in site.files else "/"
        self.send_response(200)
        self.send_header("Content-Type", f"{_TYPES.get(os.path.splitext(path)[1], 'text/html')}; charset=utf-8")
        for name, value in site.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(site.files[path].encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield site
        site.shutdown()


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


@pytest.fixture
def desk_at_leisure(page: Page) -> None:
    """The test's page waits where the desk's own would not."""
    page.add_init_script(AT_LEISURE)


@pytest.fixture
def desk(node: RunningNode, page: Page, channel: str, desk_at_leisure: None) -> Page:
    """The page of an editor who has signed in and watches the test's channel, live."""
    sign_in(page, node, channel)
    return page


@pytest.fixture
def signed_in(page: Page) -> SignedIn:
    return SignedIn(page)
