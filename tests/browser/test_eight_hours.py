"""A page that stays open all day: ten thousand lines pass through it, and it grows by nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page
from websockets.sync.server import Server, ServerConnection, serve

from tests.browser.conftest import Site, until

WEB = Path(__file__).parents[2] / "web"
CHANNELS = {"rotate": "a", "list": "b", "scroll": "c"}  # one banner each, so that each line is one banner's
EARLY, LATE = 1_000, 10_000


class Newsroom:
    """Speaks the protocol (docs/protocol.md), as fast as the page can read."""

    def __init__(self, server: Server) -> None:
        self.url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        self.cursors: dict[str, str | None] = dict.fromkeys(CHANNELS.values())
        self.published = 0
        self.last: dict[str, str] = {}
        self.connected = threading.Event()

    def meet(self, reader: ServerConnection) -> None:
        self.reader = reader
        for channel in self.cursors:
            self.send(
                "board",
                channel,
                lines=[],
                title=channel,
                label="Breaking",
                language="en",
                direction="ltr",
                max_lines=10,
            )
        self.connected.set()
        for _ in reader:
            pass

    def send(self, kind: str, channel: str, **fields: Any) -> None:
        frame = {"type": kind, "channel": channel, "cursor": self.cursors[channel], "now": stamp(), **fields}
        self.reader.send(json.dumps(frame))

    def change(self, channel: str, line: dict[str, Any]) -> None:
        before, number = self.cursors[channel], int((self.cursors[channel] or "0-0").split("-")[0])
        self.cursors[channel] = f"{number + 1}-0"
        self.send("line", channel, prev=before, line={"id": self.cursors[channel], **line})

    def publish(self, until: int) -> None:
        """Lines until so many were published, the last ones alike each time. Of each ten one is corrected, and of
        each hundred one is retracted and one expires."""
        while self.published < until:
            channel = list(CHANNELS.values())[self.published % 3]
            self.published += 1
            number, now = self.published, stamp()
            line: dict[str, Any] = {
                "channel": channel, "text": f"Line number {number} of a day on which much happens", "version": 1,
                "urgency": "flash" if number % 50 == 7 else "urgent", "status": "usable", "published": now,
                "updated": now, "corrected": None, "expires": stamp(1) if number % 100 == 40 else None, "pinned": False,
                "url": f"https://paper.example/{number}", "source": "Harbour Wire", "story": None, "note": None,
                "language": "en", "direction": "ltr",
            }  # fmt: skip
            self.change(channel, line)
            self.last[channel] = line["text"]
            changed = {"id": self.cursors[channel], **line, "version": 2}
            if number % 10 == 3:
                self.change(
                    channel,
                    {
                        **changed,
                        "text": f"Line number {number}, in better words",
                        "corrected": now,
                        "note": "A name was wrong.",
                    },
                )
            elif number % 100 == 60:
                del changed["text"], changed["url"], changed["source"]
                self.change(channel, {**changed, "status": "canceled", "note": "It was wrong.", "expires": stamp(1)})
            if number % 100 == 0:
                self.send("beat", channel)


def stamp(seconds: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture
def newsroom() -> Iterator[Newsroom]:
    patient: dict[str, None] = {"open_timeout": None, "ping_interval": None}
    here: Newsroom
    with serve(lambda reader: here.meet(reader), "127.0.0.1", 0, compression=None, **patient) as server:
        here = Newsroom(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield here
        server.shutdown()


def measure(page: Page, session: CDPSession) -> dict[str, int]:
    """When the collector finds no more; what animations have let go of takes it several rounds."""
    found: list[dict[str, int]] = []
    while len(found) < 3 or found[-1]["Nodes"] != found[-3]["Nodes"]:
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        session.send("HeapProfiler.collectGarbage")
        metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
        found.append({name: int(metrics[name]) for name in ("Nodes", "JSEventListeners", "JSHeapUsedSize")})
    return found[-1]


# Whether each banner has the last line of its channel.
SHOWS = """(last) => Object.entries(last).every(([channel, text]) =>
  document.querySelector(`[channel=${channel}]`).shadowRoot.querySelector(".lines").textContent.includes(text))"""

# Once what was retracted has expired and what was on the belt has passed, all stand still: of the belt's last line a
# banner keeps the animation, and with it the row, until another follows. Here that row is in the page.
STANDS = """() => {
  const banners = [...document.querySelectorAll("breaking-ticker")];
  const lines = banners.map(({ shadowRoot }) => [...shadowRoot.querySelectorAll("li")]);
  const moves = lines.flat().some((line) => line.getAnimations().some(({ playState }) => playState === "running"));
  const stands = moves && lines.every(({ length }) => length === 10);
  if (stands) for (const banner of banners) banner.pause();
  return stands;
}"""
GO_ON = "document.querySelectorAll('breaking-ticker').forEach((banner) => banner.resume())"

# What was said last: half a second after it came.
LISTEN = """() => {
  const voice = document.querySelector("[aria-live]");
  window.said = "";
  new MutationObserver(() => { said = voice.textContent || said }).observe(voice, { childList: true });
}"""

# However long nothing comes, there is no other connection: to that the newsroom would have no lines.
NEVER_SILENT = """
const wait = setTimeout;
window.setTimeout = (end, ms, ...rest) => (ms === 35_000 ? 0 : wait(end, ms, ...rest));
"""


@pytest.mark.timeout(900)  # half a minute where the machine has nothing else to do
def test_ten_thousand_lines_leave_nothing_behind(newsroom: Newsroom, site: Site, page: Any) -> None:
    tags = "".join(
        f'<breaking-ticker mode="{mode}" channel="{channel}" src="{newsroom.url}"></breaking-ticker>'
        for mode, channel in CHANNELS.items()
    )
    html = f'<!doctype html><html lang="en"><title>A page</title><script type="module" src="/ticker.js"></script>{tags}'
    page.add_init_script(NEVER_SILENT)
    scripts = {f"/{name}": (WEB / name).read_text("utf-8") for name in ("ticker.js", "ticker.extras.js")}
    page.goto(site.serve(html, scripts))
    assert newsroom.connected.wait(90)
    page.evaluate(LISTEN)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    session.send("Animation.enable")
    session.send("Animation.setPlaybackRate", {"playbackRate": 40})  # a line is on the belt for half a minute

    def after(number: int) -> dict[str, int]:
        while newsroom.published < number:
            newsroom.publish(newsroom.published + 250)
            page.wait_for_function(SHOWS, arg=newsroom.last)  # read, and shown, before there is more
        page.wait_for_function("(words) => said.includes(words)", arg=f"Line number {number} of")
        page.wait_for_function(STANDS)
        page.evaluate("document.querySelector('[aria-live]').replaceChildren()")  # as it would be 10 s later
        return measure(page, session)

    def no_more_than_early() -> bool:
        page.evaluate(GO_ON)
        late = after(LATE)
        print(f"after {EARLY} lines {early}, after {LATE} {late}")
        # If one were left behind by each thousand lines, it would be nine more.
        few = all(late[kind] < early[kind] + 9 for kind in ("Nodes", "JSEventListeners"))
        return few and late["JSHeapUsedSize"] <= 1.1 * early["JSHeapUsedSize"]

    early = after(EARLY)
    until(page, no_more_than_early)  # what was only not collected yet, is by and by
    assert page.errors == []
