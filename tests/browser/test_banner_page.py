"""The banner in the pages of others, its options and its languages, in a real Chromium against a real node."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, WebSocketRoute, expect

from tests.browser.banner import LIST, banner, bar, block, current, everything, killed
from tests.browser.conftest import WITHIN, until, until_as_time_passes
from tests.conftest import ROOT
from tests.frames import board_frame, line_of

WEB = ROOT / "web"


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


def test_other_words_than_english_are_asked_for_once(node: Any, page: Any, embed: Any, channel: str) -> None:
    asked: list[Any] = []
    words = json.loads((WEB / "words.json").read_text("utf-8"))["de"]
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
    words = json.loads((WEB / "words.json").read_text("utf-8"))["en"]
    source = (WEB / "widget" / "words.js").read_text("utf-8")
    table = source.split("const ENGLISH = {")[1].split("}")[0]
    assert dict(re.findall(r'(\w+): "([^"]+)"', table)) == words


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


def test_what_is_inside_is_shown_until_the_first_board(node: Any, embed: Any) -> None:
    """Also by a banner that hides when it has nothing to show."""
    inside = '<a href="/latest">The latest lines</a>'
    nowhere = 'hide-when-empty src="http://127.0.0.1:9"'
    page = embed(banner("en", nowhere, inside) + banner("en", nowhere), live=False)
    expect(page.get_by_role("link", name="The latest lines")).to_be_visible()
    expect(page.get_by_role("region")).to_have_count(1)


# The channel's page


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
