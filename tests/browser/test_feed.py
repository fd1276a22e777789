"""The connection and the tabs that share it: what the banner does when the way to its node fails, in a real Chromium.

Every page here stands behind a door, which does to its connections what proxies, nodes and networks do.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Locator, Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, WITHIN, chromium, hide, routed_sockets
from tests.conftest import RunningNode
from tests.patience import ON_REDIS
from tests.patience import WITHIN as SECONDS
from tests.redis_servers import shared_server, until

LITTLE_JITTER = "Math.random = () => 0.02"

# A tab takes the lead from one that doesn't answer it for three seconds, as a busy one may not. Here it waits longer.
PATIENT = """
const wait = setTimeout;
window.setTimeout = (end, ms, ...rest) => wait(end, ms === 3_000 ? 90_000 : ms, ...rest);
"""

CHANNELS = """
[channels.en]
title = "English"
language = "en"
max_lines = 100

[channels.ar]
title = "العربية"
language = "ar"
"""

PAGE = """<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,">
<script>
  window.told = [];
  for (const type of ["line", "correction", "cancel", "state"])
    addEventListener(`ticker:${type}`, ({ detail }) => told.push([type, detail.state ?? detail.line.id]));
  addEventListener("ticker:state", ({ detail }) => { if (detail.state === "offline") window.offlineAt = Date.now() });
</script>
<script type="module" src="/ticker.js"></script>
"""


class Door:
    """Stands between browsers and a node. It serves one page of its own, at any path under /page/."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.refusing_sockets = False
        self.refusing_events = False
        self.holding_events = False
        self.refusing_polls = False
        self.answering_itself = False
        self.retry_after: int | None = None
        self.silent = False
        self.html = ""
        self.polled = 0
        self.asked: list[str] = []
        """How a live connection was asked for, each time: "socket" or "events"."""
        self.path = ""
        """Of the last one."""
        self.cookies: list[str] = []
        """The paths that one was sent to, by a script's own request."""
        self._live: set[socket.socket] = set()
        self._all: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def open(self) -> int:
        """Live connections now."""
        return len(self._live)

    def cut(self) -> None:
        """Every connection ends, without a goodbye."""
        for connection in list(self._all):
            _end(connection)

    def close(self) -> None:
        _end(self._listener)
        self._listener.close()
        self.cut()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._all.add(client)
        with contextlib.suppress(OSError), client:
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := client.recv(65_536)):
                    break
                head += data
            self._answer(client, head)
        self._live.discard(client)
        self._all.discard(client)

    def _answer(self, client: socket.socket, head: bytes) -> None:
        path = head.split(b" ", 2)[1].decode() if b" " in head else ""
        live = path.startswith("/v1/live")
        kind = "socket" if b"upgrade: websocket" in head.lower() else "events"
        if live:
            self.asked.append(kind)
            self.path = path
        if kind != "socket" and path.startswith("/v1/") and b"\r\ncookie:" in head.lower():
            self.cookies.append(path)
        poll = path.endswith("/lines")
        self.polled += poll
        if path.startswith("/page/") or (self.answering_itself and path.startswith("/v1/")):
            client.sendall(_response("200 OK", self.html, "Content-Type: text/html; charset=utf-8"))
        elif live and self.retry_after is not None:
            client.sendall(_response("503 Service Unavailable", "", f"Retry-After: {self.retry_after}"))
        elif (live and (self.refusing_sockets if kind == "socket" else self.refusing_events)) or (
            poll and self.refusing_polls
        ):
            client.sendall(_response("403 Forbidden", ""))
        elif head:
            with socket.create_connection(("127.0.0.1", self.target)) as node:
                self._all.add(node)
                if kind != "socket":
                    head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head)
                    head = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
                node.sendall(head)
                if live:
                    self._live.add(client)
                threading.Thread(target=self._pump, args=(client, node), daemon=True).start()
                self._pump(node, client, held=live and kind == "events")
                self._all.discard(node)

    def _pump(self, source: socket.socket, sink: socket.socket, held: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                while self.silent:
                    time.sleep(0.01)
                if not (held and self.holding_events):
                    sink.sendall(data)
        _end(source)
        _end(sink)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _response(status: str, body: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body.encode())}", "Connection: close", "", body]
    return "\r\n".join(lines).encode()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(whole=True),
            args=ARGUMENTS,
            ignore_default_args=["--disable-back-forward-cache"],
            timeout=WITHIN,
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """The node of the tests that break none."""
    node = RunningNode(tmp_path_factory.mktemp("node"), config=CHANNELS, constants={})
    yield node
    node.close()


@pytest.fixture
def door(node: RunningNode) -> Iterator[Door]:
    door = Door(node.port)
    yield door
    door.close()


@pytest.fixture
def open_tab(context: BrowserContext, door: Door) -> Iterator[Callable[..., Page]]:
    """Opens tabs of one site. Whatever they are shown, they have shown nothing twice."""
    context.add_init_script(LITTLE_JITTER)
    tabs: list[Page] = []

    def open_tab(
        channel: str = "en", *, clock: bool = False, live: bool = True, patient: bool = True, tags: str = ""
    ) -> Page:
        door.html = PAGE + (tags or f'<breaking-ticker mode="list" channel="{channel}" max="100"></breaking-ticker>')
        tab = context.new_page()
        tabs.append(tab)
        if clock:
            tab.clock.install()
        if patient:
            tab.add_init_script(PATIENT)  # after the clock, whose setTimeout it is about
        tab.goto(f"{door.url}/page/{channel}")
        if live:
            expect(banner(tab)).to_have_attribute("state", "live")
        return tab

    yield open_tab
    for tab in tabs:
        if not tab.is_closed():
            told = [tuple(each) for each in tab.evaluate("told") if each[0] != "state"]
            assert len(told) == len(set(told))
            shown = texts(tab)
            assert len(shown) == len(set(shown))


def banners(*channels: str) -> str:
    return "".join(f'<breaking-ticker mode="list" channel="{escape(name)}"></breaking-ticker>' for name in channels)


def banner(tab: Page) -> Locator:
    return tab.locator("breaking-ticker").first


def texts(tab: Page) -> list[str]:
    """The lines' own words: in these tests they end with a full stop and begin with N°."""
    rows = [re.search(r"N°[^.]*\.", row) for row in banner(tab).locator("li").all_text_contents()]
    return [row[0] for row in rows if row]


def states(tab: Page) -> list[str]:
    return [said for kind, said in tab.evaluate("told") if kind == "state"]


def shows(tab: Page, text: str) -> None:
    expect(banner(tab).locator("li", has_text=text)).to_have_count(1)


def shows_what_the_node_says(tab: Page, node: RunningNode, channel: str = "en") -> None:
    assert texts(tab) == [line["text"] for line in node.board(channel) if line["status"] == "usable"]


def listen(tab: Page, channel: str = "en") -> None:
    """Keep what the feed says of the board in `window.boards`."""
    tab.evaluate(
        """async (channel) => {
          const { Feed } = await import("/ticker.js");
          window.boards = [];
          Feed.at(location.origin).join(channel, (changes, missed) => {
            if (changes?.length) boards.push([changes.map(({ line }) => line.text), missed]);
          });
        }""",
        channel,
    )


def hears(tab: Page) -> None:
    """Wait for a frame that is yet to come."""
    tab.evaluate(
        """async () => {
          const { Feed } = await import("/ticker.js");
          const feed = Feed.at(location.origin);
          const { heard } = feed;
          while (feed.heard === heard) await new Promise((resolve) => setTimeout(resolve, 10));
        }"""
    )


def stop_clock(tab: Page, at: float) -> None:
    """Whatever is due until then, in seconds, happens; from then on no time passes, however long we stand still."""
    tab.clock.pause_at(at)


def now(tab: Page) -> float:
    milliseconds: float = tab.evaluate("Date.now()")
    return milliseconds / 1_000


def offline_since(tab: Page) -> float:
    """When its pause began."""
    expect(banner(tab)).to_have_attribute("state", "offline")
    milliseconds: float = tab.evaluate("offlineAt")
    return milliseconds / 1_000


# The node


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


# The way to it


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


# Many tabs


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
