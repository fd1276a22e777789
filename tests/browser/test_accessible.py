"""What readers have who see little or nothing: axe-core's rules, and the accessibility tree as Chromium builds it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, hold_belt, until_as_time_passes, without_time
from tests.conftest import CHANNELS, RunningNode

AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
# WCAG 2.2 A and AA, and what is good practice besides: a region's own name, headings in order.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]

LIVE = "breaking-ticker[state=live]"
MODES = ("rotate", "list", "scroll")
OURS = """
[channels.said]
title = "Said"
language = "en"

[channels.tree]
title = "Tree"
language = "en"
"""
WORDS = {
    "en": [
        "Ferries resume after the storm",
        "Mayor to speak at 18:00",
        "Minister steps down",
        "Trams stand still",
        "Comet visible until Friday",
        "Harbour Bridge is open again",
    ],
    "ar": [
        "عودة العبّارات بعد العاصفة",
        "رئيس البلدية يتحدث في السادسة",
        "استقالة الوزير",
        "توقّف الترام",
        "المذنّب مرئي حتى الجمعة",
        "إعادة فتح جسر الميناء",
    ],
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """With lines of every kind on `en` and `ar`, and none on `es`."""
    node = RunningNode(tmp_path_factory.mktemp("accessible"), config=CHANNELS + OURS, constants={})
    for channel, (update, urgent, killed, held, corrected, flash) in WORDS.items():
        node.publish(channel, update, urgency="update", source="Harbour Wire")
        node.publish(channel, urgent, url="https://paper.example/mayor")
        node.cancel(channel, node.publish(channel, killed)["id"], note=urgent)
        node.correct(channel, node.publish(channel, held)["id"], status="withheld", note=urgent)
        line = node.publish(channel, corrected, urgency="bulletin", pinned=True)
        node.correct(channel, line["id"], text=corrected + ".", note=urgent)
        node.publish(channel, flash, urgency="flash", url="https://paper.example/bridge", source="Harbour Wire")
    yield node
    node.close()


def violations(page: Page, within: str = "html") -> list[str]:
    """What breaks one of axe-core's rules, now."""
    if page.evaluate("!window.axe"):
        page.evaluate(AXE)
    # What fades in has its colours when it is there. A belt would never be.
    page.evaluate(
        """async () => {
          document.querySelectorAll("breaking-ticker").forEach((banner) => banner.pause?.());
          const shadows = [...document.querySelectorAll("breaking-ticker")].map(({ shadowRoot }) => shadowRoot);
          const frame = () => new Promise(requestAnimationFrame);
          await frame();
          do await frame();
          while ([document, ...shadows].some((root) =>
            root?.getAnimations().some(({ playState }) => playState === "running")));
        }"""
    )
    found = page.evaluate(
        """([within, values]) => {
          // axe knows no `overflow: clip`: it takes what is off the belt for words on the page's own ground.
          const inside = (item, { left, right }) => item.left >= left && item.right <= right;
          const exclude = [...document.querySelectorAll("breaking-ticker[mode=scroll]")].flatMap(({ shadowRoot }) => {
            const stage = shadowRoot?.querySelector(".stage").getBoundingClientRect();
            const items = [...(shadowRoot?.querySelectorAll("li") ?? [])];
            return items.filter((item) => !inside(item.getBoundingClientRect(), stage));
          });
          const context = { include: [...document.querySelectorAll(within)], exclude };
          return axe.run(context, { runOnly: { type: "tag", values }, resultTypes: ["violations"] });
        }""",
        [within, RULES],
    )
    assert found["passes"], "axe found nothing to look at"
    return [
        f"{broken['id']}: {node['target']} {node['html'][:200]} {node['failureSummary']}"
        for broken in found["violations"]
        for node in broken["nodes"]
    ]


# Rules


@pytest.mark.parametrize("width", [1280, 360])
def test_no_rule_is_broken_in_any_mode_theme_or_direction(
    node: RunningNode, site: Site, page: Page, width: int
) -> None:
    """Nor in any line's turn, nor on a board without lines, nor when the node is gone."""
    page.set_viewport_size({"width": width, "height": 1000})
    banners = "".join(
        f'<breaking-ticker mode="{mode}" theme="{theme}" channel="{channel}" dismissible'
        f' label="{channel} {mode} {theme}"></breaking-ticker>'
        for mode in MODES
        for theme in ("light", "dark")
        for channel in ("en", "ar", "es")
    )
    page.goto(site.serve(host(node, f"<h1>All of them</h1>{banners}")))
    expect(page.locator(LIVE)).to_have_count(18)
    assert violations(page) == []
    for _ in WORDS["en"][1:]:
        for each in page.locator("breaking-ticker[mode=rotate]:not([channel=es]) .next").all():
            each.click()
        assert violations(page, "breaking-ticker[mode=rotate]") == []
    node.kill()
    try:
        expect(page.locator("breaking-ticker[state=offline]")).to_have_count(18)
        expect(page.locator("breaking-ticker .state").first).to_be_visible()
        assert violations(page) == []
    finally:
        node.start()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "path", ["/demo", "/embed", "/channels/en", "/channels/ar", "/embed/en", "/embed/ar?mode=list", "/embed/es"]
)
def test_no_rule_is_broken_on_our_pages(node: RunningNode, page: Page, path: str, theme: Any) -> None:
    page.emulate_media(color_scheme=theme)
    page.goto(f"{node.url}{path}")
    expect(page.locator(LIVE).first).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("channel", ["en", "ar", "es"])
def test_no_rule_is_broken_in_the_ledger_on_a_narrow_screen(
    node: RunningNode, page: Page, channel: str, theme: Any
) -> None:
    page.set_viewport_size({"width": 320, "height": 700})
    page.emulate_media(color_scheme=theme)
    page.goto(f"{node.url}/channels/{channel}/corrections")
    expect(page.locator("li")).to_have_count(0 if channel == "es" else 3)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("path", ["/demo", "/channels/ar", "/embed/en?mode=list", "/embed/ar?theme=dark"])
def test_no_rule_is_broken_where_no_script_runs(node: RunningNode, page: Page, path: str) -> None:
    page.route("**/*.js", lambda route: route.abort())
    page.goto(f"{node.url}{path}")
    expect(page.locator("breaking-ticker li").first).to_be_visible()
    assert page.evaluate("customElements.get('breaking-ticker') === undefined")
    assert violations(page) == []


def test_no_rule_is_broken_on_the_desk(node: RunningNode, page: Page) -> None:
    page.goto(f"{node.url}/desk?channel=en")
    assert violations(page) == []
    page.get_by_label("Your key").fill(node.key)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("#connection")).to_have_text("Live")
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page) == []


def test_the_label_is_a_row_of_its_own_on_the_smallest_phone_however_large_its_text(
    node: RunningNode, site: Site, page: Page
) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    for size in (16, 32, 40):  # pixels
        root = f"<style>:root {{ font-size: {size}px }}</style>"
        page.goto(site.serve(host(node, f'{root}<breaking-ticker channel="en" dismissible></breaking-ticker>')))
        expect(page.locator(LIVE)).to_have_count(1)
        label, first = page.locator(".label").bounding_box(), page.locator(".previous").bounding_box()
        assert label
        assert first
        assert label["height"] < 1.5 * size
        assert page.locator(".head").evaluate("(head) => head.scrollWidth <= head.clientWidth")
        assert label["x"] + label["width"] <= first["x"]


# The tree


def host(node: RunningNode, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,">'
        '<meta name="viewport" content="width=device-width"><style>html { color-scheme: light dark }</style>'
        f'<script type="module" src="{node.url}/ticker.js"></script><main>{body}</main>'
    )


def tree(page: Page, role: str) -> str:
    """The first node of a role, and all within it, as assistive technology gets it: a role and a name a row."""
    session = page.context.new_cdp_session(page)
    nodes = {node["nodeId"]: node for node in session.send("Accessibility.getFullAXTree")["nodes"]}
    session.detach()
    rows: list[str] = []

    def walk(node: dict[str, Any], depth: int) -> None:
        kind, name = node["role"]["value"], node.get("name", {}).get("value", "").strip()
        told = not node["ignored"] and kind not in ("generic", "none", "InlineTextBox", "paragraph")
        told = told and (kind != "StaticText" or bool(name))
        if told:
            rows.append("  " * depth + f"{kind.replace('StaticText', 'text')} {name}".strip())
        if kind in ("button", "link", "time"):
            return  # what is in the first two is their name; what the time is, the clock says
        for child in node.get("childIds", []):
            walk(nodes[child], depth + told)

    walk(next(node for node in nodes.values() if node["role"]["value"] == role and not node["ignored"]), 0)
    return "\n".join(rows)


LINES = """
  list
    listitem
      time
      text Corrected
      link Comet visible until Friday
      text Harbour Wire
      text The day was wrong.
    listitem
      time
      text Retracted
      text The office denies it.
    listitem
      time
      text Mayor to speak at 18:00"""
ONE = LINES.split("\n    listitem")
TREES = {
    "rotate": "region Breaking\n  text BREAKING\n  button Previous\n  text 1 / 3\n  button Next\n  button Pause"
    f"{ONE[0]}\n    listitem{ONE[1]}",
    "list": f"region Breaking\n  text BREAKING\n  button Pause{LINES}",
    "scroll": f"region Breaking\n  text BREAKING\n  button Resume{LINES}",
}


def test_the_tree_is_a_named_region_with_a_list(node: RunningNode, site: Site, page: Page) -> None:
    """Each line once, with what was done to it before its words; in rotate mode the one whose turn it is."""
    node.publish("tree", "Mayor to speak at 18:00")
    node.cancel("tree", node.publish("tree", "Minister steps down")["id"], note="The office denies it.")
    line = node.publish(
        "tree", "Comet visible until Thursday", url="https://paper.example/comet", source="Harbour Wire"
    )
    node.correct("tree", line["id"], text="Comet visible until Friday", note="The day was wrong.")
    page.set_viewport_size({"width": 2400, "height": 720})  # there is room on the belt for all
    without_time(page)  # nor does the next line have its turn
    for mode, expected in TREES.items():
        page.goto(site.serve(host(node, f'<breaking-ticker channel="tree" mode="{mode}"></breaking-ticker>')))
        until_as_time_passes(page, lambda: page.locator(LIVE).count())
        expect(page.locator(f"{LIVE} li")).to_have_count(3)
        if mode == "scroll":
            hold_belt(page, 3)
        assert tree(page, "region") == expected


# What is said


LISTEN = """() => {
  window.said = [];
  new MutationObserver((changes) => changes.forEach(({ addedNodes, target }) => addedNodes.forEach((part) =>
    said.push([part.role ?? target.ariaLive, part.textContent]))))
    .observe(document.querySelector("ticker-announcer"), { childList: true, subtree: true });
}"""


def test_what_happens_is_said_once_and_a_kill_at_once(node: RunningNode, site: Site, page: Page) -> None:
    """However many banners show it."""
    without_time(page)  # or what is said is gone after ten seconds
    page.goto(
        site.serve(
            host(node, "".join(f'<breaking-ticker channel="said" mode="{mode}"></breaking-ticker>' for mode in MODES))
        )
    )
    until_as_time_passes(page, lambda: page.locator(LIVE).count() == 3)
    expect(page.locator("[aria-live]")).to_have_count(1)
    page.evaluate(LISTEN)
    announcer = page.locator("ticker-announcer")
    line = node.publish("said", "Minister steps down")
    expect(page.locator(f"{LIVE} li .text", has_text="Minister steps down")).to_have_count(3)
    page.clock.run_for(600)  # the breath that it takes before it speaks
    expect(announcer).to_contain_text("steps down")
    assert tree(page, "main").count("Minister steps down") == 3
    node.correct("said", line["id"], text="Minister to step down", note="She has not yet.")
    expect(page.locator(f"{LIVE} li .text", has_text="Minister to step down")).to_have_count(3)
    page.clock.run_for(600)
    expect(announcer).to_contain_text("to step down")
    node.cancel("said", line["id"], note="The office denies it.")
    expect(announcer).to_contain_text("denies")
    expect(announcer).not_to_contain_text("step down")
    assert page.evaluate("said") == [
        ["polite", "Breaking: Minister steps down"],
        ["polite", "Corrected: Minister to step down"],
        ["alert", "Retracted: The office denies it."],  # and not inside what is polite: it would be said twice
    ]
    expect(page.locator("[aria-live] [role=alert]")).to_have_count(0)
