"""The snippet builder, the iframe page and the demo page, in a real Chromium against a real node."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Frame, FrameLocator, Page, Route, WebSocketRoute, expect

from tests.browser.conftest import HeardPage, Site, until
from tests.conftest import RunningNode, as_released
from ticker import __version__

WHOLE_BROWSER = True  # layout shifts

LIVE = "breaking-ticker[state=live]"
LONG = "A line so long that it takes several rows on the screen of a phone, and then some more. " * 3


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """One for all tests here: none minds what another has published."""
    node = RunningNode(as_released(tmp_path_factory.mktemp("embed")), constants={})
    flash = node.publish("en", "The river is over its banks", urgency="flash")
    node.correct("en", flash["id"], text="The river is over its banks at Quay Street", note="Names the place.")
    node.publish("en", LONG)
    node.publish("en", "The bridge is open", url="https://paper.example/bridge")
    node.publish("ar", "الجسر مفتوح")
    yield node
    node.close()


@pytest.fixture
def paper(site: Site, page: Page) -> Callable[..., Page]:
    """Opens a page of another site that holds the given HTML."""

    def open_page(html: str, wait_until: Any = "load") -> Page:
        head = '<!doctype html><html lang="en"><title>A paper</title><link rel="icon" href="data:,">'
        page.goto(site.serve(head + html), wait_until=wait_until)
        return page

    return open_page


def snippet(page: Page, name: str) -> str:
    return page.locator(f"#snippet-{name}").inner_text()


SHIFTS = """window.shifts = [];
new PerformanceObserver((list) => shifts.push(...list.getEntries().map(({ value, sources }) =>
  [value, ...sources.map(({ node }) => `${node?.nodeName}.${node?.className}`)])
)).observe({ type: "layout-shift", buffered: true });"""
# How far down the words of each banner's first line are.
PLACES = """[...document.querySelectorAll("breaking-ticker")].map((banner) => {
  const text = banner.shadowRoot?.querySelector("li .text") ?? banner.querySelector("li .text");
  return text?.getBoundingClientRect().top ?? 0;
})"""
TWO_FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


class SlowLine:
    """Between a page and its node: the script comes when what is there without it was painted, and the board when
    the banner without lines was."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._scripts: list[Route] = []
        self._sockets: list[WebSocketRoute] = []
        self._through = False
        page.add_init_script(SHIFTS)
        page.route("**/ticker.js", lambda script: self._scripts.append(script))
        page.route_web_socket("**/v1/live**", self._hold)

    def _hold(self, socket: WebSocketRoute) -> None:
        self._sockets.append(socket)
        if self._through:
            socket.connect_to_server()

    def fill(self, frames: list[Frame], what: str = PLACES) -> list[Any]:
        """Bring what was held back; where the lines, or what else is asked for, stood at each stage."""
        for frame in frames:  # (what is evaluated in a frame that is still on its way there, breaks off)
            frame.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
        until(self._page, lambda: len(self._scripts) == len(frames))
        places = [self._places(frames, what)]
        for script in self._scripts:
            script.continue_()
        for frame in frames:
            expect(frame.locator("breaking-ticker:not(:defined)")).to_have_count(0)
        until(self._page, lambda: bool(self._sockets))
        places.append(self._places(frames, what))
        held, self._through = self._sockets.copy(), True
        for socket in held:
            socket.connect_to_server()
        for frame in frames:
            expect(frame.locator("breaking-ticker:not([state=live])")).to_have_count(0)
            expect(frame.locator("breaking-ticker .text").first).to_be_attached()
        places.append(self._places(frames, what))
        return places

    @staticmethod
    def _places(frames: list[Frame], what: str) -> list[Any]:
        for frame in frames:
            frame.evaluate(TWO_FRAMES)
        return [frame.evaluate(what) for frame in frames]


# The builder


def test_the_builder_follows_every_choice_by_keyboard_alone(node: RunningNode, page: HeardPage) -> None:
    page.goto(f"{node.url}/embed")
    expect(page.locator(LIVE)).to_have_attribute("channel", "en")
    page.locator("#channel").focus()
    page.keyboard.press("ArrowDown")  # ar
    expect(page.locator("#snippet-banner")).to_contain_text('channel="ar"')
    expect(page.locator("#sheet")).to_have_attribute("dir", "rtl")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")  # list
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")  # dark
    for key in ("Tab", "Tab", "Tab", "3", "Tab", "Tab", "ArrowLeft", "Tab", "Tab", "Tab", "Space", "Tab", "ArrowDown"):
        page.keyboard.press(key)
    banner = page.locator("#banner")
    expect(page.locator("#snippet-banner")).to_contain_text("integrity")
    for name, value in {"mode": "list", "theme": "dark", "max": "3", "sticky": "bottom"}.items():
        expect(banner).to_have_attribute(name, value)
    attributes = 'channel="ar" mode="list" theme="dark" dir="rtl" max="3" sticky="bottom" hide-when-empty'
    assert snippet(page, "banner").endswith(f"<breaking-ticker {attributes}></breaking-ticker>")
    expect(page.locator("breaking-ticker[state=live] >> text=الجسر مفتوح").first).to_be_visible()
    before = snippet(page, "banner")
    page.reload()  # the address says what was chosen
    assert snippet(page, "banner") == before
    assert page.errors == []


def stop_clock(page: Page) -> None:
    """What a button says of what it has done, it says for two seconds. Here for as long as need be."""
    page.clock.pause_at(page.evaluate("Date.now()") / 1_000 + 1)


def test_a_snippet_is_copied_whole(node: RunningNode, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=node.url)
    page.clock.install()
    page.goto(f"{node.url}/embed?mode=list")
    stop_clock(page)
    page.get_by_role("button", name="Copy HTML").click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_be_attached()
    assert page.evaluate("navigator.clipboard.readText()") == snippet(page, "banner")


def test_without_a_clipboard_the_snippet_is_selected(node: RunningNode, page: Page) -> None:
    page.add_init_script("Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined })")
    page.clock.install()
    page.goto(f"{node.url}/embed")
    stop_clock(page)
    page.get_by_role("button", name="Copy One iframe").click()
    expect(page.get_by_role("button", name="Press Ctrl+C One iframe")).to_be_visible()
    assert page.evaluate("String(getSelection())").strip() == snippet(page, "frame")


def test_without_javascript_the_builder_builds(node: RunningNode, browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{node.url}/embed")
        assert snippet(page, "banner").endswith('<breaking-ticker channel="en"></breaking-ticker>')
        expect(page.get_by_role("button", name="Copy")).to_have_count(0)
        page.get_by_label("Channel").select_option("ar")
        page.get_by_role("button", name="Build the snippet").click()
        expect(page.locator("#snippet-banner")).to_contain_text('<breaking-ticker channel="ar" dir="rtl">')


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_builder_fits_its_window(node: RunningNode, page: Page, width: int) -> None:
    """WCAG 2.2, 1.4.10: down to 320 CSS pixels nothing is to be scrolled sideways."""
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{node.url}/embed?channel=ar&mode=list&version={__version__}")
    page.locator("summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width


# The lines that it gives


def test_the_snippets_work_on_another_site(node: RunningNode, page: HeardPage, paper: Callable[..., Page]) -> None:
    """Pinned, with its hash, and under the policy that the builder names."""
    page.goto(f"{node.url}/embed?mode=list&version={__version__}")
    banner, policy = snippet(page, "banner"), page.locator("#snippet-policy").text_content()
    assert "integrity" in banner
    paper(
        f'<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; {policy}">{banner}'
    )
    expect(page.locator(LIVE).get_by_text("The bridge is open").first).to_be_visible()
    assert page.errors == []


@pytest.mark.parametrize("query", ["", "mode=scroll", "mode=list", "mode=list&max=3", "sticky=top&channel=ar"])
def test_a_page_with_the_snippet_does_not_move_when_its_script_comes(
    node: RunningNode, page: Page, site: Site, query: str
) -> None:
    """On a phone, in a column of a wide page, and across it."""
    page.goto(f"{node.url}/embed?{query}")
    head, _, tag = snippet(page, "banner").rpartition("\n")
    for width, column in ((360, "auto"), (1280, "600px"), (1280, "auto")):
        reader = page.context.new_page()
        reader.set_viewport_size({"width": width, "height": 1500})
        slow = SlowLine(reader)
        body = f"<p>Before<div style='inline-size: {column}'>{tag}</div><p id=after>After the banner"
        reader.goto(
            site.serve(f"<!doctype html><title>A paper</title>{head}<body style='font: 17px sans-serif'>{body}"),
            wait_until="commit",
        )
        stood = slow.fill([reader.main_frame], "document.getElementById('after').getBoundingClientRect().top")
        assert reader.evaluate("shifts") == [], (width, column)
        assert len({round(place) for (place,) in stood}) == 1, (width, column, stood)
        reader.close()


def test_a_file_that_is_not_the_pinned_one_does_not_run(
    node: RunningNode, page: Page, paper: Callable[..., Page]
) -> None:
    page.goto(f"{node.url}/embed?version={__version__}")
    banner = snippet(page, "banner")
    forged = re.sub(r"sha384-.{8}", "sha384-AAAAAAAA", banner)
    with page.expect_event("console", lambda message: "integrity" in message.text):
        paper(forged)
    assert page.evaluate("customElements.get('breaking-ticker') === undefined")


# The iframe


def framed(paper: Callable[..., Page], src: str, sandbox: str | None, more: str = "") -> tuple[Page, FrameLocator]:
    attribute = "" if sandbox is None else f'sandbox="{sandbox}"'
    page = paper(f'<iframe src="{src}" title="Breaking" width="600" height="134" {attribute}></iframe>{more}')
    return page, page.frame_locator("iframe")


def test_in_a_sandbox_the_iframe_is_live_and_as_high_as_its_lines(
    node: RunningNode, page: HeardPage, paper: Callable[..., Page]
) -> None:
    page.goto(f"{node.url}/embed?mode=list&max=2")
    frame, resize = snippet(page, "frame"), page.locator("#snippet-resize").text_content()
    assert 'sandbox="allow-scripts allow-popups' in frame
    paper(frame + str(resize))
    banner = page.frame_locator("iframe").locator(LIVE)
    expect(banner.get_by_text("The bridge is open").first).to_be_visible()

    inside = page.frames[1]
    assert inside.evaluate("origin") == "null"
    page.wait_for_function("document.querySelector('iframe').height < 480")
    page.set_viewport_size({"width": 390, "height": 800})
    fits = "document.documentElement.scrollHeight === innerHeight && innerHeight - document.body.scrollHeight < 2"
    until(page, lambda: inside.evaluate(fits))

    node.publish("en", f"Another. {LONG[:240]}")
    expect(banner.get_by_text("Another.").first).to_be_visible()
    until(page, lambda: inside.evaluate(fits))
    assert page.errors == []


def test_a_link_in_the_iframe_opens_beside_the_page(node: RunningNode, page: Page, paper: Callable[..., Page]) -> None:
    page.context.route(
        "https://paper.example/**", lambda route: route.fulfill(body="The story", content_type="text/html")
    )
    sandbox = "allow-scripts allow-popups allow-popups-to-escape-sandbox"
    _, frame = framed(paper, f"{node.url}/embed/en?mode=list", sandbox)
    link = frame.locator(LIVE).get_by_role("link", name="The bridge is open")
    with page.context.expect_page() as opened:
        link.click()
    expect(opened.value.locator("body")).to_have_text("The story")
    assert opened.value.evaluate("opener") is None
    assert page.title() == "A paper"


@pytest.mark.parametrize("mode", ["rotate", "list"])
def test_without_any_script_the_iframe_shows_its_lines(
    node: RunningNode, paper: Callable[..., Page], mode: str
) -> None:
    page, frame = framed(paper, f"{node.url}/embed/ar?mode={mode}&theme=dark", "")
    expect(frame.get_by_role("heading")).to_have_text(re.compile("عاجل"))
    expect(frame.get_by_text("الجسر مفتوح")).to_be_in_viewport(ratio=0.9)
    assert page.frames[1].evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(23, 25, 29)"


def test_what_is_in_the_page_gives_way_to_the_banner(node: RunningNode, page: HeardPage) -> None:
    """The server's lines and the banner's own are never seen together."""
    page.goto(f"{node.url}/embed/en?mode=list")
    expect(page.locator(LIVE)).to_be_visible()
    expect(page.get_by_text("The bridge is open")).to_have_count(1)
    assert page.errors == []


def test_nothing_moves_in_the_iframe_when_the_banner_takes_over(
    node: RunningNode, page: Page, paper: Callable[..., Page]
) -> None:
    """In every mode, both directions, on phone and desktop. The line stands where it stood before."""
    slow = SlowLine(page)
    page.set_viewport_size({"width": 1300, "height": 1500})  # all of them in sight: what isn't is not painted
    paper(
        "".join(
            f'<iframe src="{node.url}/embed/{channel}?mode={mode}" width="{width}" height="{height}"></iframe>'
            for mode, height in (("rotate", 134), ("scroll", 94), ("list", 480))
            for channel in ("en", "ar")
            for width in (360, 900)
        ),
        wait_until="domcontentloaded",
    )
    frames = page.frames[1:]
    assert len(frames) == 12
    before, without, after = slow.fill(frames)
    for frame, *stood in zip(frames, before, without, after, strict=True):
        assert stood[0] == pytest.approx(stood[1], abs=2), frame.url
        assert stood[0] == pytest.approx(stood[2], abs=2), frame.url
        assert frame.evaluate("shifts") == [], frame.url
    assert page.evaluate("shifts") == []


# The demo page, and a channel's


@pytest.mark.parametrize(
    ("path", "width"), [("/demo", 360), ("/demo", 1280), ("/channels/ar", 360), ("/channels/en", 1280)]
)
def test_nothing_moves_in_the_page_when_its_banners_take_over(
    node: RunningNode, page: HeardPage, path: str, width: int
) -> None:
    slow = SlowLine(page)
    page.set_viewport_size({"width": width, "height": 1000})
    page.goto(f"{node.url}{path}", wait_until="commit")
    (before,), (without,), (after,) = slow.fill([page.main_frame])
    assert before == pytest.approx(without, abs=2)
    assert before == pytest.approx(after, abs=2)
    assert page.evaluate("shifts") == []
    expect(page.locator("breaking-ticker > ol")).to_have_count(0)  # nothing is there twice
    names = [region.get_attribute("aria-label") for region in page.locator("breaking-ticker section").all()]
    assert len(set(names)) == len(names) == (4 if path == "/demo" else 1)
    assert page.errors == []


def test_without_javascript_the_demo_page_has_every_line(node: RunningNode, browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{node.url}/demo")
        for banner in page.locator("breaking-ticker[channel=en]").all():  # the bar and the list
            expect(banner.get_by_role("listitem").first).to_be_in_viewport(ratio=0.5)  # a long one is scrolled to
            expect(banner.get_by_role("link", name="The bridge is open")).to_have_count(1)
        expect(page.get_by_text("الجسر مفتوح")).to_be_visible()
        expect(page.get_by_text("Sin noticias")).to_be_visible()  # es has no line


@pytest.mark.parametrize("path", ["/channels/en", "/demo", "/embed/en"])
def test_on_paper_every_line_is_there_in_black_and_with_its_day(node: RunningNode, browser: Browser, path: str) -> None:
    day = node.publish("en", "A flash", urgency="flash")["published"][:10]
    with browser.new_context(java_script_enabled=False, color_scheme="dark") as context:
        page = context.new_page()
        page.goto(f"{node.url}{path}")
        page.emulate_media(media="print")
        # (No script of the page's runs; ours do.)
        for banner in page.locator("breaking-ticker[channel=en]").all():
            assert banner.evaluate("(banner) => banner.scrollHeight <= banner.clientHeight + 4"), path
            assert banner.evaluate("({ firstElementChild: ol }) => ol.scrollHeight <= ol.clientHeight + 1"), path
            flash = banner.get_by_text("A flash", exact=True)
            assert flash.evaluate("(words) => getComputedStyle(words).color") == "rgb(0, 0, 0)"
            label = banner.evaluate("(banner) => getComputedStyle(banner, '::before').color")
            assert label == "rgb(0, 0, 0)"
            before = flash.locator("xpath=../time").evaluate("(time) => getComputedStyle(time, '::before').content")
            assert before == f'"{day} "'
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    node.cancel("en", node.board("en")[0]["id"])


@pytest.mark.parametrize("path", ["/embed", "/channels/en", "/demo", "/desk"])
def test_no_other_page_lets_itself_be_framed(node: RunningNode, paper: Callable[..., Page], path: str) -> None:
    page, frame = framed(paper, f"{node.url}{path}", None)
    until(page, lambda: any(each.url.startswith("chrome-error://") for each in page.frames))
    expect(frame.locator("main")).to_have_count(0)
