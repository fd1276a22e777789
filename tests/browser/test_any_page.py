"""The banner in pages as they are: any layout, any script that changes them, preferences that change meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.banner import LIST, LIVE, NO_SSE, NO_WEBSOCKET, SCROLL, banner, host
from tests.browser.conftest import Site, until
from tests.conftest import RunningNode

LINK = "https://paper.example/"
PARAGRAPHS = "".join(f'<p style="height: 80px">A paragraph with <a href="#{n}">link {n}</a></p>' for n in range(30))

Open = Callable[..., Page]


@pytest.fixture
def show(node: RunningNode, site: Site, page: Page) -> Open:
    """Opens a page of another site with these tags, and waits for its banner."""

    def show(tags: str, width: int = 1000) -> Page:
        page.set_viewport_size({"width": width, "height": 700})
        page.goto(site.serve(host(node, tags)))
        expect(page.locator(LIVE).first).to_be_attached()
        return page

    return show


def box(page: Page, selector: str = "breaking-ticker") -> dict[str, float]:
    found = page.locator(selector).first.bounding_box()
    assert found
    return {"x": found["x"], "y": found["y"], "width": found["width"], "height": found["height"]}


# Layout

LAYOUTS = {
    "flex header": '<header style="display: flex"><b>The Daily News</b>{}<nav>Home World</nav></header>',
    "flex column": '<div style="display: flex; flex-direction: column; align-items: center">{}</div>',
    "centred grid": '<div style="display: grid; place-items: center">{}</div>',
    "centred tracks": '<div style="display: grid; justify-content: center">{}</div>',
    "auto track": '<div style="display: grid; grid-template-columns: auto 1fr">{}<p>x</p></div>',
    "inline flex": '<div style="display: inline-flex">{}</div>',
    "fixed": "<style>breaking-ticker {{ position: fixed; bottom: 0 }}</style>{}",
    "in a fixed one": '<div style="position: fixed; bottom: 0">{}</div>',
    "absolute": "<style>breaking-ticker {{ position: absolute; top: 0 }}</style>{}",
    "float": "<style>breaking-ticker {{ float: left }}</style>{}",
    "table cell": '<table style="width: 100%"><tr><td>Menu</td><td>{}</td></tr></table>',
    "a flex box itself": "<style>breaking-ticker {{ display: flex }}</style>{}",
    "inline block": "<style>breaking-ticker {{ display: inline-block }}</style>{}",
    "with margins": "<style>breaking-ticker {{ margin: 0 20px }}</style>{}",
}


@pytest.mark.parametrize("width", [360, 1280])
def test_it_has_room_in_any_layout(node: RunningNode, show: Open, channel: str, width: int) -> None:
    node.publish(channel, "The ferries between the islands resume after the storm")
    page = show(banner(channel), width)
    for name, layout in LAYOUTS.items():
        page.evaluate("(html) => { document.body.innerHTML = html }", layout.format(banner(channel)))
        expect(page.locator("breaking-ticker li")).to_have_count(1)
        assert box(page, ".bar")["width"] >= 190, name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


STICKY = {
    "in the body": ("top", "{}" + PARAGRAPHS),
    "in a header": ("top", "<header><h1>A paper</h1>{}<p>Sections</p></header>" + PARAGRAPHS),
    "in a box that hides what is too wide": ("top", '<div style="overflow-x: hidden">{}' + PARAGRAPHS + "</div>"),
    "in a body as high as the window": ("top", "<style>html, body {{ height: 100% }}</style>{}" + PARAGRAPHS),
    "first of the body": ("bottom", "{}" + PARAGRAPHS),
    "last of the body": ("bottom", PARAGRAPHS + "{}"),
    "in a footer": ("bottom", PARAGRAPHS + "<footer>{}</footer>"),
}


@pytest.mark.parametrize("place", STICKY)
def test_a_sticky_banner_stays_and_hides_nothing_that_has_focus(
    node: RunningNode, show: Open, channel: str, place: str
) -> None:
    edge, html = STICKY[place]
    node.publish(channel, "The ferries resume")
    page = show(html.format(banner(channel, f'sticky="{edge}"')))
    height = page.evaluate("document.documentElement.scrollHeight")
    for y in (700, 1400, 99_999):
        page.evaluate("(y) => scrollTo(0, y)", y)
        at = 0 if edge == "top" else 700 - box(page)["height"]
        until(page, lambda at: abs(box(page)["y"] - at) < 1, at)
    assert abs(page.evaluate("document.documentElement.scrollHeight") - height) < 1  # nothing has moved
    expect(page.get_by_text("link 29")).to_be_in_viewport()
    hidden = """() => [...document.querySelectorAll("a")].reverse().filter((link) => {
      link.focus();
      const { left, top, bottom } = link.getBoundingClientRect();
      return [top + 2, bottom - 2].some((y) => document.elementFromPoint(left + 2, y) !== link);
    }).length"""
    assert page.evaluate(hidden) == 0
    assert page.evaluate(hidden.replace(".reverse()", "")) == 0
    page.locator("breaking-ticker").evaluate("(banner) => banner.remove()")
    expect(page.locator("html")).to_have_css(f"scroll-padding-{edge}", "auto")
    expect(page.locator("html")).to_have_css("padding-bottom", "0px")
    expect(page.locator("ticker-room")).to_have_count(0)


def test_more_room_that_the_page_keeps_free_by_itself_is_left(show: Open, channel: str) -> None:
    page = show("<style>html { scroll-padding-top: 200px }</style>" + banner(channel, 'sticky="top"') + PARAGRAPHS)
    expect(page.locator("html")).to_have_css("scroll-padding-top", "200px")


def test_three_lines_fit_a_narrow_list_for_three(node: RunningNode, show: Open, channel: str) -> None:
    for number in range(3):
        node.publish(channel, f"Line number {number} of a day on which much happens all along the northern coast")
    page = show(f'<div style="width: 260px">{banner(channel, LIST + " max=3")}</div>')
    expect(page.locator("li")).to_have_count(3)
    assert page.locator(".stage").evaluate("(stage) => stage.scrollHeight <= stage.clientHeight")


# Scripts


def test_what_morphs_a_page_takes_neither_its_state_nor_its_announcements(
    node: RunningNode, show: Open, channel: str
) -> None:
    page = show(banner(channel))
    page.evaluate("""() => {
      document.querySelector("breaking-ticker").removeAttribute("state");
      for (const child of [...document.body.children]) if (child.localName !== "breaking-ticker") child.remove();
    }""")
    expect(page.locator(LIVE)).to_be_attached()
    node.publish(channel, "Mayor to speak at 18:00")
    expect(page.locator("[aria-live]")).to_contain_text("Mayor to speak")


def test_an_unclosed_tag_deletes_nothing_and_is_told(node: RunningNode, show: Open, page: Page, channel: str) -> None:
    warned: list[str] = []
    page.on("console", lambda message: warned.append(message.text) if message.type == "warning" else None)
    node.publish(channel, "Mayor to speak at 18:00")
    page = show(f'<breaking-ticker channel="{channel}" /><main><h1>A headline</h1></main><p>The end</p>')
    expect(page.locator("breaking-ticker li")).to_have_count(1)
    expect(page.get_by_role("heading", name="A headline")).to_be_visible()
    expect(page.get_by_text("The end")).to_be_visible()
    assert box(page, "h1")["y"] >= box(page, ".bar")["y"] + box(page, ".bar")["height"]
    assert [text for text in warned if "Not closed?" in text]


def test_what_the_page_puts_inside_presses_no_button(node: RunningNode, show: Open, channel: str) -> None:
    node.publish(channel, "Mayor to speak at 18:00")
    page = show(banner(channel, "dismissible", inside='<b slot="label" class="close">Latest</b>'))
    expect(page.locator("breaking-ticker li")).to_have_count(1)
    page.get_by_text("Latest").click()
    expect(page.locator("breaking-ticker li")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.locator("breaking-ticker li")).to_be_hidden()


def test_only_a_list_of_lines_is_taken_out_of_the_tag(node: RunningNode, show: Open, channel: str) -> None:
    node.publish(channel, "Mayor to speak at 18:00")
    page = show(banner(channel, inside="<ol><li>Minister steps down</ol><p id=ours>Wait</p>") + "<p>x</p>")
    expect(page.locator("#ours")).to_be_hidden()
    assert "steps down" not in page.content()
    page.evaluate("document.querySelector('breaking-ticker').insertAdjacentHTML('beforeend', '<ol><li>Old</ol>')")
    expect(page.locator("breaking-ticker > ol")).to_have_count(0)


def test_polls_and_changes_of_what_does_not_show_touch_no_row(
    node: RunningNode, page: Page, site: Site, channel: str
) -> None:
    page.add_init_script(f"Math.random = () => 0.02; {NO_WEBSOCKET}; {NO_SSE}")
    line = node.publish(channel, "Mayor to speak at 18:00", url=LINK)
    page.set_viewport_size({"width": 1000, "height": 700})
    page.goto(site.serve(host(node, banner(channel, LIST))))
    expect(page.locator("breaking-ticker[state=delayed]")).to_be_attached()
    link = page.get_by_role("link", name="Mayor")
    link.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(link).to_be_focused()
    page.evaluate("""() => {
      const root = document.querySelector("breaking-ticker").shadowRoot;
      window.link = root.querySelector("li a");
      window.touched = [];
      new MutationObserver((changes) => touched.push(...changes.filter(({ target }) => !/time|state/.test(
        (target.closest ? target : target.parentElement).className))))
        .observe(root.querySelector("ol"), { subtree: true, childList: true, characterData: true });
    }""")
    with page.expect_response(lambda response: response.url.endswith("/lines")):
        node.correct(channel, line["id"], pinned=True, expires=None)
    with page.expect_response(lambda response: response.url.endswith("/lines")):
        pass
    assert page.evaluate("touched.map(({ target }) => target.outerHTML ?? target.data)") == []
    node.correct(channel, line["id"], text="Mayor to speak at 19:00")
    expect(page.get_by_role("link", name="19:00")).to_be_focused()
    expect(page.locator("li .mark")).to_have_text("Corrected")
    assert page.evaluate("link.isConnected")


def test_words_of_a_link_can_be_selected_and_hold_the_line(node: RunningNode, show: Open, channel: str) -> None:
    for number in range(2):
        node.publish(channel, f"Line number {number} of the day", url=LINK)
    page = show(banner(channel))
    at = page.url
    words = page.locator("li.on .text")
    expect(words).to_contain_text("Line number 1")
    time, place = page.locator("li.on .time").bounding_box(), words.bounding_box()
    assert time
    assert place
    page.mouse.move(time["x"] + 2, place["y"] + place["height"] / 2)  # browsers start no selection on a link
    page.mouse.down()
    page.mouse.move(place["x"] + 90, place["y"] + place["height"] / 2, steps=5)
    page.mouse.up()
    selected = "document.querySelector('breaking-ticker').shadowRoot.getSelection().toString()"
    assert page.evaluate(selected).find("Line num") >= 0
    assert page.url == at
    page.mouse.move(1, 600)
    node.publish(channel, "A new line")
    expect(page.get_by_role("button", name="New: 1")).to_be_visible()
    expect(words).to_contain_text("Line number 1")
    page.evaluate("getSelection().empty()")
    expect(words).to_contain_text("A new line")


# Preferences and fonts


def test_less_motion_asked_for_while_it_runs_stops_the_belt_and_back(
    node: RunningNode, show: Open, channel: str
) -> None:
    node.publish(channel, "Mayor to speak at 18:00")
    page = show(banner(channel, SCROLL))
    expect(page.locator(".frame.scroll li.on")).to_have_count(1)
    page.emulate_media(reduced_motion="reduce")
    expect(page.locator(".frame.rotate li.on")).to_be_visible()
    assert page.evaluate("document.querySelector('breaking-ticker').shadowRoot.getAnimations().length") == 0
    page.emulate_media(reduced_motion="no-preference")
    expect(page.locator(".frame.scroll li.on")).to_have_count(1)
    until(page, lambda: page.evaluate("document.querySelector('breaking-ticker').shadowRoot.getAnimations().length"))


def test_a_font_that_comes_late_cuts_no_line_on_the_belt(node: RunningNode, show: Open, channel: str) -> None:
    for number in range(3):
        node.publish(channel, f"Line number {number}")
    page = show(banner(channel, SCROLL))
    expect(page.locator("li.on").nth(1)).to_be_attached()
    page.evaluate("document.body.style.font = '40px monospace'")
    whole = """() => {
      const rows = [...document.querySelector("breaking-ticker").shadowRoot.querySelectorAll("li.on")];
      const boxes = rows.map((row) => row.getBoundingClientRect()).sort((a, b) => a.left - b.left);
      return rows.every((row) => row.firstChild.scrollWidth <= row.firstChild.clientWidth) &&
        boxes.every(({ left }, index) => !index || left >= boxes[index - 1].right - 2);
    }"""
    until(page, lambda: page.evaluate(whole))


def test_text_that_a_reader_spaces_out_stays_in_its_place(node: RunningNode, show: Open, channel: str) -> None:
    """WCAG 2.2, 1.4.12: as the test style sheets of that criterion set it, in shadow trees too."""
    node.publish(channel, "Ferries suspended", urgency="flash")
    spaced = """() => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(`* { line-height: 1.5 !important; letter-spacing: .12em !important;
        word-spacing: .16em !important } p { margin-block-end: 2em !important }`);
      const cut = [];
      for (const banner of document.querySelectorAll("breaking-ticker")) {
        banner.shadowRoot.adoptedStyleSheets.push(sheet);
        const [stage, words] = [".stage", ".words"].map((name) => banner.shadowRoot.querySelector(name));
        const [place, { top, bottom }] = [stage.getBoundingClientRect(), words.getBoundingClientRect()];
        if (top < place.top || bottom > place.bottom || words.scrollHeight > words.clientHeight + 1)
          cut.push([banner.getAttribute("mode"), top, bottom, place.top, place.bottom]);
      }
      return cut;
    }"""
    for width in (320, 1280):
        page = show(banner(channel) + banner(channel, SCROLL) + banner(channel, LIST), width)
        expect(page.locator(".text")).to_have_count(3)
        assert page.evaluate(spaced) == []


def test_printed_it_is_all_lines_dark_and_without_buttons(node: RunningNode, show: Open, channel: str) -> None:
    for number in range(3):
        node.publish(channel, f"Line number {number}", urgency="flash" if number == 2 else "urgent")
    for mode in ("rotate", "list", "scroll"):
        page = show("<style>:root { color-scheme: dark }</style>" + banner(channel, f'mode="{mode}" sticky="top"'))
        page.emulate_media(media="print")
        for number in range(3):
            expect(page.locator("li .text").nth(number)).to_be_visible()
            expect(page.locator("li .text").nth(number)).to_have_css("color", "rgb(0, 0, 0)")
        when = page.locator("li .time").first.evaluate("(time) => getComputedStyle(time, '::after').content")
        assert str(datetime.now(UTC).year) in when  # "3 min. ago" says nothing on paper
        expect(page.get_by_role("button")).to_have_count(0)
        tops = [each.bounding_box() for each in page.locator("li").all()]
        assert all(a and b and b["y"] >= a["y"] + a["height"] - 1 for a, b in itertools.pairwise(tops))
        page.emulate_media(media="screen")


def test_a_flash_is_more_than_a_colour(node: RunningNode, show: Open, channel: str) -> None:
    page = show(banner(channel) + banner(channel, LIST))
    node.publish(channel, "Bridge collapses", urgency="flash")
    for place in page.locator("li").all():
        expect(place.locator(".flash")).to_have_text("Flash")
    expect(page.locator("[aria-live]")).to_contain_text("Flash: Bridge collapses")


# Readers and sites


def test_a_reader_who_closes_it_is_told_of_and_keeps_a_place(node: RunningNode, show: Open, channel: str) -> None:
    node.publish(channel, "Mayor to speak at 18:00")
    page = show(f'{banner(channel, "dismissible")}<a href="#next">Next</a>')
    page.evaluate("""() => {
      window.told = [];
      window.keep = true;
      addEventListener("ticker:dismiss", (event) => {
        told.push(event.detail.channel);
        if (keep) event.preventDefault();
      });
    }""")
    page.get_by_role("button", name="Close").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region")).to_be_visible()
    page.evaluate("keep = false")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region")).to_be_hidden()
    assert page.evaluate("told") == [channel, channel]
    assert page.evaluate("document.activeElement.localName") == "breaking-ticker"
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Next")).to_be_focused()
    page = show(banner(channel, "dismissible"))
    page.locator("breaking-ticker").evaluate("(banner) => banner.dismiss()")
    expect(page.get_by_role("region")).to_be_hidden()


def test_a_channel_that_comes_later_is_found(node: RunningNode, site: Site, page: Any, channel: str) -> None:
    """Without reloading the page; and until then the console says which there are, once."""
    missing = [True]
    page.clock.install()

    def answer(route: Any) -> None:
        if missing[0]:
            route.fulfill(status=404, headers={"Access-Control-Allow-Origin": "*"})
        else:
            route.continue_()

    page.route(f"**/{channel}/lines", answer)
    page.route("**/v1/live?*", lambda route: route.fulfill(status=404) if missing[0] else route.continue_())
    page.route_web_socket("**/v1/live?*", lambda ws: ws.close(code=1011) if missing[0] else ws.connect_to_server())
    page.goto(site.serve(host(node, banner(channel))))
    until(page, lambda: page.clock.run_for(100) or page.locator("breaking-ticker[state=offline]").count())
    until(page, lambda: [said for said in page.errors if f'channel="{channel}"' in said and "fresh-1" in said])
    missing[0] = False
    page.clock.run_for(60_000)
    until(page, lambda: page.clock.run_for(1_000) or page.locator(LIVE).count())
    assert len([said for said in page.errors if "breaking-ticker" in said]) == 1


@pytest.mark.parametrize("tag", ["<breaking-ticker></breaking-ticker>", banner("nowhere")])
def test_a_banner_without_a_channel_names_those_there_are(
    node: RunningNode, site: Site, page: Any, channel: str, tag: str
) -> None:
    page.goto(site.serve(host(node, tag)))
    until(page, lambda: [said for said in page.errors if "<breaking-ticker channel=" in said and channel in said])


def test_a_server_that_is_not_ours_is_called_so(node: RunningNode, site: Site, page: Any) -> None:
    page.route(
        "http://127.0.0.1:9/**",
        lambda route: route.fulfill(status=501, headers={"Access-Control-Allow-Origin": "*"}),
    )
    page.goto(site.serve(host(node, banner("en", 'src="http://127.0.0.1:9"'))))
    until(page, lambda: [said for said in page.errors if "is no Ticker server" in said and "501" in said])
