"""The banner's connection: kept, lost, shared and found again, in a real Chromium against a real node."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.banner import (
    LATE,
    LIST,
    LITTLE_JITTER,
    LIVE,
    NO_SSE,
    NO_WEBSOCKET,
    banner,
    bar,
    block,
    both,
    current,
    everything,
    killed,
    texts,
)
from tests.browser.conftest import routed_sockets


def complaints(page: Any) -> list[str]:
    """What the console says, but for connections that could not be made: the tests cut those."""
    return [said for said in page.errors if "WebSocket connection" not in said and "Failed to load" not in said]


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
