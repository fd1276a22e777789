"""The tabs of a site share one connection: which tab leads, when it hands over, and when a tab connects by itself."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from playwright.sync_api import BrowserContext, Error, Page, expect

from tests.browser.conftest import hide
from tests.browser.door import Door
from tests.browser.tabs import banner, shows, shows_what_the_node_says, states
from tests.conftest import RunningNode
from tests.patience import WITHIN as SECONDS
from tests.redis_servers import until


def test_all_tabs_of_a_site_use_one_connection(node: RunningNode, door: Door, open_tab: Callable[..., Page]) -> None:
    before = node.publish("en", "N°1 before.")
    tabs = [open_tab(clock=not number) for number in range(3)]
    node.publish("en", "N°2 to all of them.")
    node.cancel("en", before["id"])
    for tab in tabs:
        shows(tab, "N°2 to all of them.")
        expect(banner(tab).locator("li", has_text="N°1 before.")).to_have_count(0)
        shows_what_the_node_says(tab, node)
    assert door.asked == ["socket"]
    until(lambda: node.http.get("/v1/channels/en/presence").json()["readers"] == 1)

    # Another channel than the leader's: it asks for that too.
    arabic = open_tab("ar")
    node.publish("ar", "N°3 عاجل.")
    shows(arabic, "N°3 عاجل.")
    node.publish("en", "N°4 to all of them.")
    for tab in tabs:
        shows(tab, "N°4 to all of them.")
    until(lambda: door.open == 1)
    assert door.asked == ["socket"] * 2

    # What doesn't exist costs the others nothing, and is told to the one who asked.
    nowhere = open_tab("nowhere", live=False)
    expect(banner(nowhere)).to_have_attribute("state", "offline")
    node.publish("en", "N°5 to all of them.")
    for tab in tabs:
        shows(tab, "N°5 to all of them.")
        expect(banner(tab)).to_have_attribute("state", "live")
    assert banner(nowhere).get_attribute("state") == "offline"
    until(lambda: door.open == 1)

    # What nobody wants any more is asked for no more.
    arabic.close()
    tabs[0].clock.fast_forward(61_000)
    door.cut()
    node.publish("en", "N°6 to all of them.")
    for tab in tabs:
        shows(tab, "N°6 to all of them.")
    assert re.findall(r"channel=([^&]+)", door.path) == ["en"]


def test_a_banner_that_comes_later_is_served_too(node: RunningNode, door: Door, open_tab: Callable[..., Page]) -> None:
    tab = open_tab()
    tab.evaluate("document.body.insertAdjacentHTML('beforeend', '<breaking-ticker channel=ar></breaking-ticker>')")
    expect(tab.locator("breaking-ticker[channel=ar]")).to_have_attribute("state", "live")
    cursor = node.get("/v1/channels/en/lines")["cursor"]
    assert f"channel=en&cursor=en:{cursor}" in door.path  # what it holds already is not sent again
    assert door.asked == ["socket"] * 2


def test_when_the_leading_tab_is_closed_the_next_takes_over_with_nothing_lost(
    node: RunningNode, door: Door, open_tab: Callable[..., Page]
) -> None:
    tabs = [open_tab() for _ in range(4)]
    published: list[str] = []

    def publish(count: int) -> None:
        """Until the next one leads; no more than the board holds, or what is pushed off it may never be told."""
        until_published = 30 * count
        while len(door.asked) == count and len(published) < until_published:
            text = f"N°{len(published)} while tabs close."
            node.publish("en", text)
            published.append(text)
            time.sleep(0.02)

    for count in (1, 2, 3):
        seen = len(published)
        publisher = threading.Thread(target=publish, args=(count,))
        publisher.start()
        until(lambda seen: len(published) > seen + 3, seen)
        tabs.pop(0).close()
        until(lambda count: len(door.asked) == count + 1, count)
        publisher.join()
        shows(tabs[0], published[-1])
    shows_what_the_node_says(tabs[0], node)
    told = tabs[0].evaluate("told")
    assert len([kind for kind, _ in told if kind == "line"]) == len(published)
    assert "offline" not in states(tabs[0])
    assert door.asked == ["socket"] * 4
    until(lambda: door.open == 1)


@contextlib.contextmanager
def frozen(context: BrowserContext, tab: Page) -> Iterator[None]:
    """Nothing happens in the tab: it stands at a breakpoint. (One that is only told to freeze goes on, headless.)"""
    debugger = context.new_cdp_session(tab)
    stands: list[Any] = []
    debugger.on("Debugger.paused", lambda where: stands.append(where))
    debugger.send("Debugger.enable")
    debugger.send("Runtime.evaluate", {"expression": "setTimeout(() => { debugger })"})
    deadline = time.monotonic() + SECONDS
    while not stands:
        assert time.monotonic() < deadline
        debugger.send("Browser.getVersion")  # for Playwright to tell of events
    try:
        yield
    finally:
        debugger.send("Debugger.resume")
        debugger.detach()


def test_a_frozen_leader_is_not_waited_for(
    node: RunningNode, door: Door, context: BrowserContext, open_tab: Callable[..., Page]
) -> None:
    leader, follower = open_tab(), open_tab()
    # Its time goes ten times as fast. (Playwright's clock is all tabs', and would wait for the frozen one.)
    follower.evaluate("window.wait = setTimeout; window.setTimeout = (end, ms) => wait(end, ms / 10)")
    node.publish("en", "N°1 before the leader froze.")
    shows(follower, "N°1 before the leader froze.")
    with frozen(context, leader):
        node.publish("en", "N°2 while the leader stands.")
        until(lambda: "delayed" in states(follower))  # for a second of ours
        until(lambda: len(door.asked) > 1)
        follower.evaluate("window.setTimeout = wait")
        shows(follower, "N°2 while the leader stands.")
        expect(banner(follower)).to_have_attribute("state", "live")

    shows(leader, "N°2 while the leader stands.")
    expect(banner(leader)).to_have_attribute("state", "live")
    until(lambda: door.open == 1)
    node.publish("en", "N°3 to both.")
    for tab in (leader, follower):
        shows(tab, "N°3 to both.")
        shows_what_the_node_says(tab, node)


def test_who_comes_to_a_frozen_leader_takes_its_place(
    node: RunningNode, door: Door, context: BrowserContext, open_tab: Callable[..., Page]
) -> None:
    leader = open_tab()
    with frozen(context, leader):
        node.publish("en", "N°1 that the leader doesn't hear.")
        shows(open_tab(patient=False), "N°1 that the leader doesn't hear.")
    shows(leader, "N°1 that the leader doesn't hear.")
    until(lambda: door.open == 1)


def test_hidden_tabs_give_the_connection_up(node: RunningNode, door: Door, open_tab: Callable[..., Page]) -> None:
    leader, follower = open_tab(clock=True), open_tab(clock=True)
    hide(leader)
    leader.clock.fast_forward(61_000)
    expect(banner(leader)).to_have_attribute("state", "connecting")
    until(lambda: len(door.asked) > 1 and door.open == 1)  # the one that is seen takes over
    expect(banner(follower)).to_have_attribute("state", "live")
    hide(follower)
    follower.clock.fast_forward(61_000)
    until(lambda: door.open == 0)

    node.publish("en", "N°1 while nobody looks.")
    hide(leader, hidden=False)
    shows(leader, "N°1 while nobody looks.")
    expect(banner(leader)).to_have_attribute("state", "live")
    assert banner(follower).get_attribute("state") == "connecting"
    until(lambda: door.open == 1)  # (How it got there isn't told: the clock ran past what watches a connection, too.)


def test_where_data_is_to_be_saved_hidden_tabs_give_up_at_once(
    door: Door, context: BrowserContext, open_tab: Callable[..., Page]
) -> None:
    context.add_init_script("Object.defineProperty(NetworkInformation.prototype, 'saveData', { value: true })")
    tab = open_tab()
    hide(tab)
    until(lambda: door.open == 0)
    hide(tab, hidden=False)
    expect(banner(tab)).to_have_attribute("state", "live")


def test_a_page_in_the_back_forward_cache_holds_nothing_and_comes_back(
    node: RunningNode, door: Door, open_tab: Callable[..., Page]
) -> None:
    tabs = [open_tab(), open_tab()]
    for number, tab in enumerate(tabs):  # the one that leads goes first, and comes back as one that follows
        tab.evaluate("addEventListener('pageshow', ({ persisted }) => { window.restored = persisted })")
        tab.goto(f"{node.url}/healthz")
        until(lambda number: len(door.asked) == number + 2, number)  # the other one takes over
        node.publish("en", f"N°{number} while it was away.")
        with contextlib.suppress(Error):  # the page may be gone before it has answered
            tab.evaluate("history.back()")
        tab.wait_for_function("window.restored !== undefined")
        assert tab.evaluate("window.restored") is True
        shows(tab, f"N°{number} while it was away.")
        expect(banner(tab)).to_have_attribute("state", "live")
    until(lambda: door.open == 1)


def test_where_tabs_cannot_speak_each_has_its_own_connection(
    node: RunningNode, door: Door, context: BrowserContext, open_tab: Callable[..., Page]
) -> None:
    inside = "<script type=module src=/ticker.js></script><breaking-ticker channel=en mode=list></breaking-ticker>"
    tab = open_tab(
        tags='<breaking-ticker channel="en" mode="list" max="100"></breaking-ticker>'
        f'<iframe sandbox="allow-scripts" srcdoc="{inside}"></iframe>'
    )
    frame = tab.frame_locator("iframe").locator("breaking-ticker")
    expect(frame).to_have_attribute("state", "live")
    until(lambda: door.open == 2)
    context.add_init_script("delete Navigator.prototype.locks")  # as where a page comes over plain HTTP
    open_tab()
    until(lambda: door.open == 3)
    node.publish("en", "N°1 to each of them.")
    expect(frame.locator("li", has_text="N°1 to each of them.")).to_have_count(1)
    shows(tab, "N°1 to each of them.")


def test_refreshed_it_connects_anew_and_takes_the_lead(
    node: RunningNode, door: Door, open_tab: Callable[..., Page]
) -> None:
    node.publish("en", "N°1 before.")
    tabs = [open_tab(), open_tab()]
    for number, tab in enumerate(reversed(tabs)):
        tab.evaluate(  # whatever it held before
            """async () => {
              const { Feed } = await import("/ticker.js");
              const feed = Feed.at(location.origin);
              feed.join("en", () => {}).lines = [];
              feed.refresh();
            }"""
        )
        until(lambda number: len(door.asked) == number + 2, number)
        expect(banner(tab)).to_have_attribute("state", "live")
    until(lambda: door.open == 1)
    node.publish("en", "N°2 after.")
    for tab in tabs:
        shows(tab, "N°2 after.")
        shows_what_the_node_says(tab, node)
