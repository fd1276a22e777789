"""What the banner does with answers it can't use: strange channels, Retry-After, frames that are not ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import routed_sockets
from tests.browser.door import Door
from tests.browser.tabs import banner, banners, offline_since, shows, shows_what_the_node_says, states, stop_clock
from tests.conftest import RunningNode
from tests.redis_servers import until

STRANGE = ["en/../ar", "ar/lines?", "en&channel=ar", "__proto__", "en#"]


def test_a_channel_of_a_strange_name_is_offline_and_costs_the_others_nothing(
    node: RunningNode, open_tab: Callable[..., Page]
) -> None:
    tab = open_tab(tags=banners("en", *STRANGE))
    for index, name in enumerate(STRANGE):
        strange = tab.locator("breaking-ticker").nth(index + 1)
        assert strange.get_attribute("channel") == name
        expect(strange).to_have_attribute("state", "offline")
    node.publish("en", "N°1 for those who have a name.")
    shows(tab, "N°1 for those who have a name.")
    expect(banner(tab)).to_have_attribute("state", "live")
    assert tab.locator("breaking-ticker[state=live]").count() == 1


def test_told_to_come_back_later_it_does(node: RunningNode, door: Door, open_tab: Callable[..., Page]) -> None:
    door.retry_after = 100
    tab = open_tab(clock=True, live=False)
    stop_clock(tab, offline_since(tab) + 98)
    door.retry_after = None
    node.publish("en", "N°1 in the meantime.")
    assert banner(tab).get_attribute("state") == "offline"
    assert door.asked == ["socket", "events"]  # what refused a WebSocket, the browser doesn't say
    tab.clock.fast_forward(10_000)
    expect(banner(tab)).to_have_attribute("state", "live")
    shows(tab, "N°1 in the meantime.")
    assert door.asked == ["socket", "events", "socket"]

    # Nobody is told to come back next year.
    door.retry_after = 31_536_000
    door.cut()
    tab.clock.resume()
    stop_clock(tab, offline_since(tab) + 590)
    door.retry_after = None
    assert banner(tab).get_attribute("state") == "offline"
    tab.clock.fast_forward(30_000)
    expect(banner(tab)).to_have_attribute("state", "live")


def test_while_its_leader_waits_a_tab_waits_too(door: Door, open_tab: Callable[..., Page]) -> None:
    door.retry_after = 100
    leader = open_tab(clock=True, live=False)
    expect(banner(leader)).to_have_attribute("state", "offline")
    follower = open_tab(clock=True, live=False)
    expect(banner(follower)).to_have_attribute("state", "offline")
    follower.evaluate(
        """() => {
          const tabs = new BroadcastChannel(`ticker:${location.origin}`);
          window.word = new Promise((heard) => { tabs.onmessage = ({ data }) => data.state && heard() });
        }"""
    )
    follower.clock.fast_forward(36_000)  # it asks whether anybody leads
    follower.evaluate("word")
    follower.clock.fast_forward(11_000)
    door.retry_after = None
    leader.clock.fast_forward(103_000)
    for tab in (leader, follower):
        expect(banner(tab)).to_have_attribute("state", "live")
    assert door.asked == ["socket", "events", "socket"]


HOSTILE = [
    "<html>",
    "null",
    "7",
    "[]",
    "{}",
    '{"type": "board", "channel": "nobody", "lines": []}',
    '{"type": "board", "channel": "__proto__", "lines": []}',
    '{"type": "board", "channel": "en"}',
    '{"type": "board", "channel": "en", "lines": null}',
    '{"type": "constructor", "channel": "en"}',
    '{"type": "prune", "channel": "en"}',
    '{"type": "valueOf", "channel": "en"}',
    '{"type": "beat", "channel": "en", "cursor": "CURSOR"}',
    '{"type": "line", "channel": "en", "cursor": "CURSOR"}',
    '{"type": "line", "channel": "en", "cursor": "9999999999999-0", "prev": "CURSOR"}',
    '{"type": "line", "channel": "en", "cursor": "9999999999999-0", "prev": "CURSOR", "line": null}',
    '{"type": "line", "channel": "en", "cursor": "9999999999999-0", "prev": "CURSOR", "line": {}}',
]


# The frames that a page has read.
READ = """() => {
  window.read = [];
  const parse = JSON.parse;
  JSON.parse = (text) => { read.push(text); return parse(text) };
}"""


def test_frames_that_are_not_ours_change_nothing(
    node: RunningNode, context: BrowserContext, open_tab: Callable[..., Page]
) -> None:
    node.publish("en", "N°1 from the node.")
    cursor = node.get("/v1/channels/en/lines")["cursor"]
    sockets = routed_sockets(context)
    tab = open_tab(clock=True)
    tab.clock.fast_forward(11_000)  # who is live by WebSocket looks for nothing better
    complaints: list[Any] = []
    tab.on("pageerror", lambda error: complaints.append(error))
    tab.evaluate(READ)
    frames = [frame.replace("CURSOR", cursor) for frame in HOSTILE]
    for frame in frames:
        sockets[0].send(frame)
    until(lambda: set(frames) <= set(tab.evaluate("read")))  # they come another way than the node's
    node.publish("en", "N°2 from the node.")
    shows(tab, "N°2 from the node.")
    shows_what_the_node_says(tab, node)
    assert len(sockets) == 1
    assert states(tab) == ["live"] or states(tab) == ["connecting", "live"]
    assert not complaints
