"""What the banner does when the way to its node fails: the node ends, the network cuts off, a proxy refuses."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.door import Door
from tests.browser.tabs import (
    CHANNELS,
    banner,
    banners,
    hears,
    listen,
    now,
    shows,
    shows_what_the_node_says,
    states,
    stop_clock,
)
from tests.conftest import RunningNode
from tests.patience import ON_REDIS
from tests.redis_servers import shared_server, until


def test_drained_a_node_hands_its_readers_over(
    start_node: Any, door: Door, open_tab: Callable[..., Page], request: pytest.FixtureRequest
) -> None:
    url = f"{shared_server().url}?prefix={re.sub(r'[^a-z]', '', request.node.name)}{time.time_ns()}"
    one, two = (
        start_node("--newswire", url, "--drain", "1", name=name, config=CHANNELS, constants=ON_REDIS)
        for name in ("one", "two")
    )
    door.target = one.port
    first = one.publish("en", "N°1 before.")
    tab, other = open_tab(), open_tab()
    shows(tab, "N°1 before.")
    door.target = two.port
    one.stop()
    two.publish("en", "N°2 after.")
    two.cancel("en", first["id"])
    for each in (tab, other):
        shows(each, "N°2 after.")
        expect(banner(each).locator("li")).to_have_count(2)
        expect(banner(each)).to_have_attribute("state", "live")
        shows_what_the_node_says(each, two)
        assert "offline" not in states(each)
    until(lambda: door.open == 1)


def test_replaced_by_a_node_that_is_behind_it_shows_what_that_one_says(
    start_node: Any, door: Door, open_tab: Callable[..., Page], tmp_path: Path
) -> None:
    node = start_node(config=CHANNELS)
    door.target = node.port
    node.publish("en", "N°1 kept.")
    node.stop()
    shutil.copytree(node.folder, tmp_path / "backup")
    node.start()
    door.target = node.port
    node.publish("en", "N°2 lost.")
    tab = open_tab()
    shows(tab, "N°2 lost.")
    node.kill()
    shutil.rmtree(node.folder)
    shutil.copytree(tmp_path / "backup", node.folder)
    node.start()
    expect(banner(tab).locator("li", has_text="N°2 lost.")).to_have_count(0)
    expect(banner(tab)).to_have_attribute("state", "live")
    node.publish("en", "N°3 new.")
    shows(tab, "N°3 new.")
    shows_what_the_node_says(tab, node)


def test_cut_off_it_says_so_and_comes_back_with_what_was_missed(
    node: RunningNode, door: Door, open_tab: Callable[..., Page]
) -> None:
    tab = open_tab(clock=True)
    listen(tab)
    node.publish("en", "N°1 before the cut.")
    shows(tab, "N°1 before the cut.")
    door.silent = True  # nothing comes through, and nobody is told
    node.publish("en", "N°2 meanwhile.")
    stop_clock(tab, now(tab) + 36)
    expect(banner(tab)).to_have_attribute("state", "delayed")
    tab.clock.fast_forward(11_000)
    expect(banner(tab)).to_have_attribute("state", "offline")
    door.silent = False
    door.cut()
    tab.clock.resume()
    shows(tab, "N°2 meanwhile.")
    expect(banner(tab)).to_have_attribute("state", "live")
    node.publish("en", "N°3 after.")
    shows(tab, "N°3 after.")
    said = {words[0]: missed for words, missed in tab.evaluate("boards")}
    assert said == {"N°1 before the cut.": False, "N°2 meanwhile.": True, "N°3 after.": False}


# As a network may bring an answer.
IN_PIECES = """{
  const get = window.fetch;
  const cut = (chunk, pieces) => {
    for (let at = 0; at < chunk.length; at += 7) pieces.enqueue(chunk.slice(at, at + 7));
  };
  window.fetch = async (...request) => {
    const response = await get(...request);
    return new Response(response.body?.pipeThrough(new TransformStream({ transform: cut })), response);
  };
}"""


def test_behind_a_proxy_that_refuses_websockets_it_is_live_all_the_same(
    start_node: Any, door: Door, context: BrowserContext, open_tab: Callable[..., Page]
) -> None:
    context.add_init_script(IN_PIECES)
    context.add_cookies([{"name": "reader", "value": "somebody", "url": door.url}])
    node = start_node(config=CHANNELS, constants={"ticker.fanout.relay.BEAT": 1.0})  # with a beat it looks about
    door.target = node.port
    door.refusing_sockets = True
    tab = open_tab(clock=True, tags=banners("en", "ar"))
    node.publish("en", "N°1 by server-sent events.")
    shows(tab, "N°1 by server-sent events.")
    assert door.asked[:2] == ["socket", "events"]
    if len(door.asked) == 2:  # else ten seconds have passed as it is
        tab.clock.fast_forward(11_000)
    until(lambda: door.asked == ["socket", "events"] * 2)  # what works is left once for what is better
    until(lambda: door.open == 1)
    for _ in range(3):
        tab.clock.fast_forward(60_000)
        hears(tab)
    node.publish("en", "N°2 by server-sent events.")
    shows(tab, "N°2 by server-sent events.")
    assert door.asked == ["socket", "events"] * 2  # and then left alone
    door.cut()
    node.publish("en", "N°3 after the proxy cut it off.")
    shows(tab, "N°3 after the proxy cut it off.")
    expect(banner(tab)).to_have_attribute("state", "live")
    assert door.asked[-1] == "events"
    assert door.cookies == []
    shows_what_the_node_says(tab, node)


def test_behind_a_proxy_that_buffers_it_polls_and_says_that_lines_are_late(
    node: RunningNode, door: Door, open_tab: Callable[..., Page]
) -> None:
    door.refusing_sockets = door.holding_events = True
    node.publish("en", "N°1 before the banner.")
    tab = open_tab(clock=True, live=False)
    until(lambda: door.open == 1)
    tab.clock.fast_forward(11_000)
    expect(banner(tab)).to_have_attribute("state", "delayed")
    until(lambda: door.asked == ["socket", "events"] * 2)  # what works is left once for what is better
    until(lambda: door.open == 1)
    listen(tab)
    with tab.expect_response("**/lines"):
        tab.clock.fast_forward(11_000)
    shows(tab, "N°1 before the banner.")
    node.publish("en", "N°2 after it.")
    shows(tab, "N°2 after it.")
    assert [["N°2 after it."], False] in tab.evaluate("boards")
    assert door.asked == ["socket", "events"] * 2
    assert banner(tab).get_attribute("state") == "delayed"
    assert "live" not in states(tab)
    shows_what_the_node_says(tab, node)

    # The proxy is gone; the next time is due.
    door.refusing_sockets = False
    tab.clock.fast_forward(601_000)
    expect(banner(tab)).to_have_attribute("state", "live")
    assert door.asked[-1] == "socket"


def test_polling_at_the_end_of_an_outage_it_is_soon_live_again(
    node: RunningNode, door: Door, open_tab: Callable[..., Page]
) -> None:
    tab = open_tab(clock=True)
    door.refusing_sockets = door.refusing_events = True
    door.cut()
    expect(banner(tab)).to_have_attribute("state", "delayed")
    door.refusing_sockets = door.refusing_events = False
    tab.clock.fast_forward(11_000)
    polled = door.polled
    expect(banner(tab)).to_have_attribute("state", "live")
    assert door.polled - polled < 5  # of fifty a while
    node.publish("en", "N°1 live.")
    shows(tab, "N°1 live.")


def test_where_nothing_comes_through_it_is_offline_and_tries_without_end(
    node: RunningNode, door: Door, open_tab: Callable[..., Page]
) -> None:
    tab, follower = open_tab(clock=True), open_tab(tags=banners("en", "ar"))
    listen(tab)
    listen(follower)
    door.refusing_sockets = door.refusing_events = door.refusing_polls = True
    door.cut()
    for each in (tab, follower):
        expect(banner(each)).to_have_attribute("state", "offline")
    node.publish("en", "N°1 of the outage.")
    for _ in range(7):  # more than twice around; the last waits 0.6 s, of 32 without the little jitter
        asked = len(door.asked)
        until(lambda asked: len(door.asked) > asked, asked)
    door.refusing_polls = False
    for each in (tab, follower):
        shows(each, "N°1 of the outage.")
        expect(banner(each)).to_have_attribute("state", "delayed")
    node.publish("en", "N°2 by polling.")
    for each in (tab, follower):
        shows(each, "N°2 by polling.")
        said = {words[0]: missed for words, missed in each.evaluate("boards")}
        assert said == {"N°1 of the outage.": True, "N°2 by polling.": False}

    # The leader remembers what others want that it doesn't, for as long as they do.
    for _ in range(3):
        tab.clock.fast_forward(25_000)
        hears(follower)
    node.publish("ar", "N°3 by polling.")
    expect(follower.locator("breaking-ticker").last.locator("li", has_text="N°3 by polling.")).to_have_count(1)


# Of all that a page waits for, the pauses between tries: without the jitter twice as long each, up to half a minute.
PAUSES = """() => {
  window.pauses = [];
  const wait = setTimeout;
  window.setTimeout = (end, ms, ...rest) => {
    if ([20, 40, 80, 160, 320, 640, 400].includes(ms)) pauses.push(ms);
    return wait(end, ms, ...rest);
  };
}"""


def test_each_failure_waits_longer_until_a_connection_has_lasted(
    node: RunningNode, door: Door, open_tab: Callable[..., Page]
) -> None:
    tab = open_tab(clock=True)
    tab.evaluate(PAUSES)
    door.refusing_sockets = door.refusing_events = door.refusing_polls = True
    door.cut()
    until(lambda: len(tab.evaluate("pauses")) > 7)
    assert tab.evaluate("pauses")[:8] == [20, 40, 80, 160, 320, 640, 640, 640]
    door.refusing_sockets = door.refusing_events = door.refusing_polls = False
    expect(banner(tab)).to_have_attribute("state", "live")
    tab.clock.fast_forward(11_000)
    node.publish("en", "N°1 on a connection that lasts.")
    shows(tab, "N°1 on a connection that lasts.")
    tab.evaluate("pauses.length = 0")
    door.refusing_sockets = door.refusing_events = True
    door.cut()
    until(lambda: 400 in tab.evaluate("pauses"))  # 20 s between polls
    assert tab.evaluate("pauses")[:3] == [20, 40, 80]


def test_where_something_else_answers_it_is_offline(door: Door, open_tab: Callable[..., Page]) -> None:
    """As where one has to sign in to a hotel's network first."""
    tab = open_tab(clock=True)
    door.answering_itself = True
    door.cut()
    expect(banner(tab)).to_have_attribute("state", "offline")
    door.answering_itself = False
    expect(banner(tab)).to_have_attribute("state", "live")
