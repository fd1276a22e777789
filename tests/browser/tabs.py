"""What the tests of the feed share: the page of a tab, what the tab shows, and its clock."""

from __future__ import annotations

import re
from html import escape

from playwright.sync_api import Locator, Page, expect

from tests.conftest import RunningNode

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
