"""Pages and words that mean it ill: a strict policy, a hostile style, and a thousand hostile texts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Dialog, Page, expect

from tests.browser import hostile
from tests.browser.conftest import Site
from tests.conftest import RunningNode, as_released
from ticker import __version__

LIVE = "breaking-ticker[state=live]"
MODES = ("rotate", "list", "scroll")
WIDTHS = (320, 1280)
CHANNELS = 10  # of a hundred lines, the most that one shows
SPARE = [f"spare{number}" for number in range(6)]
TEXTS = hostile.texts()

HEAD = '<!doctype html><html lang="en"><title>A page</title><meta name="viewport" content="width=device-width">'


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """`h0` to `h9` for hostile texts, which label them too; the others for one test each."""
    tables = [f'[channels.{name}]\nlanguage = "en"\n' for name in ("labels", *SPARE)]
    for number, label in enumerate(TEXTS[:: len(TEXTS) // CHANNELS]):
        words = "".join(f"\\U{ord(character):08x}" for character in hostile.fit(label, 80))
        tables.append(f'[channels.h{number}]\nlanguage = "en"\nmax_lines = 100\ntitle = "{words}"\nlabel = "{words}"\n')
    node = RunningNode(as_released(tmp_path_factory.mktemp("hostile")), config="\n".join(tables), constants={})
    yield node
    node.close()


@pytest.fixture(scope="module")
def spare() -> Iterator[str]:
    return iter(SPARE)


@pytest.fixture
def channel(spare: Iterator[str]) -> str:
    """One without lines."""
    return next(spare)


def banner(channel: str, mode: str) -> str:
    return f'<breaking-ticker channel="{channel}" mode="{mode}"></breaking-ticker>'


# A strict policy


WATCH_POLICY = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (violation) => {
  violations.push(`${violation.violatedDirective} ${violation.blockedURI} ${violation.sourceFile}`);
});
"""


def pinned(node: RunningNode) -> tuple[str, str]:
    """The pinned script, as the builder gives it, and its hash."""
    html = node.http.get("/embed", params={"version": __version__}).text
    found = re.search(r"&lt;script [^\n]*integrity=&#34;(sha384-[^&]+)&#34;[^\n]*&lt;/script&gt;", html)
    assert found, html
    return found[0].replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", '"'), found[1]


def hash_of_extras(node: RunningNode) -> str:
    """Of what the script loads for some banners."""
    (found,) = set(re.findall(r'"(sha256-[^"]+)"', node.http.get("/ticker.js").text))
    return str(found)


@pytest.mark.parametrize("by", ["address", "hash"])
def test_it_works_under_the_strictest_policy(node: RunningNode, site: Site, page: Any, channel: str, by: str) -> None:
    script, integrity = pinned(node)
    source = node.url if by == "address" else f"'{integrity}' '{hash_of_extras(node)}'"
    policy = (
        f"default-src 'none'; script-src {source}; style-src 'none'; "
        f"connect-src {node.url} {node.url.replace('http', 'ws')}; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    page.add_init_script(WATCH_POLICY)
    page.goto(
        site.serve(
            HEAD
            + script
            + "".join(banner(channel, mode) for mode in MODES)
            + f'<breaking-ticker channel="{channel}" lang="ar">',
            Content_Security_Policy=policy,
        )
    )
    expect(page.locator(LIVE)).to_have_count(4)
    line = node.publish(channel, "<b>Harbour Bridge</b> is open again", url="https://paper.example/", urgency="flash")
    expect(page.locator(f"{LIVE} li .text", has_text="<b>Harbour Bridge</b>")).to_have_count(4)
    expect(page.get_by_role("button", name="إيقاف مؤقت")).to_be_visible()
    expect(page.locator("breaking-ticker").first.locator(".bar")).to_have_css("display", "grid")  # its style is there
    node.cancel(channel, line["id"], note="It is not.")
    expect(page.locator(f"{LIVE} li .note", has_text="It is not.")).to_have_count(4)
    assert page.evaluate("violations") == []
    assert page.errors == []


def test_under_a_strict_policy_another_file_than_the_pinned_one_does_not_run(
    node: RunningNode, site: Site, page: Page
) -> None:
    script, integrity = pinned(node)
    forged = script.replace(integrity, "sha384-" + "A" * 64)
    with page.expect_event("console", lambda message: "integrity" in message.text):
        page.goto(site.serve(HEAD + forged + banner("labels", "rotate")))
    assert page.evaluate("customElements.get('breaking-ticker') === undefined")


# A hostile style


STYLES = {
    "unset": "* { all: unset; direction: rtl; font: 40px cursive }",
    "important": """
      *, ::before, ::after { display: block !important; position: static !important; float: none !important;
        margin: 5px !important; padding: 5px !important; box-sizing: content-box !important; min-width: 0 !important;
        color: lime !important; background: navy !important; letter-spacing: 1em !important;
        line-height: 3 !important; text-transform: uppercase !important; text-align: right !important;
        text-indent: 9em !important; white-space: pre !important; direction: rtl !important;
        clip-path: none !important; opacity: 1 !important; overflow: visible !important; cursor: none !important;
        list-style: square !important; animation: none !important; transition: all 9s !important }
      head { display: none !important }
      button, a, li, ol, p, section, slot, span, time, bdi { display: none !important; font-size: 99px !important }
    """,
}


# What the live region says stands for ten seconds. Here for as long as need be.
SAID_FOR_GOOD = """
const wait = setTimeout;
window.setTimeout = (end, ms, ...rest) => (ms === 10_000 ? 0 : wait(end, ms, ...rest));
"""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("style", STYLES)
def test_a_hostile_style_does_not_reach_inside(
    node: RunningNode, site: Site, page: Any, channel: str, style: str, width: int
) -> None:
    text = "The ferries between the islands resume after the storm"
    node.publish(channel, text, url="https://paper.example/", source="Harbour Wire")
    page.set_viewport_size({"width": width, "height": 2600})
    page.add_init_script(SAID_FOR_GOOD)
    tags = "".join(f"<div>{banner(channel, mode)}</div>" for mode in MODES)
    script = f'<link rel="stylesheet" href="/hostile.css"><script type="module" src="{node.url}/ticker.js"></script>'
    page.goto(site.serve(f'{HEAD}{script}<body>{tags}<hr id="after">', {"/hostile.css": STYLES[style]}))
    expect(page.locator(LIVE)).to_have_count(3)
    for mode in MODES:
        inside = page.locator(f"breaking-ticker[mode={mode}]")
        words = inside.locator("li .text").first
        expect(words).to_have_text(text)
        expect(words).to_be_in_viewport()
        inner = inside.locator(".bar")
        expect(inner).to_have_css("direction", "ltr")
        for name, value in {"letter-spacing": "normal", "text-transform": "none", "text-indent": "0px"}.items():
            expect(words).to_have_css(name, value)
        for button in inside.get_by_role("button").all():
            box = button.bounding_box()
            assert box
            assert min(box["width"], box["height"]) >= 44, (mode, button.get_attribute("name"), box)
    before = page.locator("#after").bounding_box()
    node.publish(channel, "Another line")
    expect(page.locator("[aria-live=polite]")).to_contain_text("Another line")
    assert page.locator("#after").bounding_box() == before, "what is said takes room"
    assert not page.evaluate(SEEN, "[aria-live=polite]"), "what is said is seen"
    assert page.evaluate(TOO_WIDE) == []
    assert page.errors == []


# Whether any of an element's pixels can be pointed at: what is clipped away can't.
SEEN = """(selector) => {
  const { left, right, top, bottom } = document.querySelector(selector).getBoundingClientRect();
  const there = (x, y) => document.elementsFromPoint(x, y).some((element) => element.closest(selector));
  return there((left + right) / 2, (top + bottom) / 2) || there(left + 2, top + 2);
}"""

# What stands out at the side: of the page, of a banner or of a line in it.
TOO_WIDE = """() => {
  const found = [];
  const look = (element, name) => {
    if (element.scrollWidth > element.clientWidth) found.push([name, element.scrollWidth, element.clientWidth]);
  };
  look(document.documentElement, "page");
  for (const banner of document.querySelectorAll("breaking-ticker")) {
    const mode = banner.getAttribute("mode");
    const inside = banner.shadowRoot;
    if (!inside) continue;
    const belt = mode === "scroll"; // runs out of its stage, which clips it
    for (const part of belt ? [".frame", ".bar"] : [".frame", ".bar", ".stage"]) {
      look(inside.querySelector(part), `${mode} ${part}`);
    }
    const { left, right } = banner.getBoundingClientRect();
    for (const each of inside.querySelectorAll(belt ? ".head, .controls" : ".head, .label, .controls, li, li *")) {
      const box = each.getBoundingClientRect();
      if (box.width && (box.left < left - 1 || box.right > right + 1))
        found.push([`${mode} .${each.className}`, each.textContent, box.left, box.right]);
    }
  }
  return found;
}"""


# A thousand hostile texts


# What our own code makes, and no more; `class`, `part` and the like aside, what it is told to.
OURS = set("div section slot span button ol li p bdi time a".split())
ATTRIBUTES = set(
    "class part name hidden tabindex role lang dir data-status data-urgency datetime href rel aria-label style".split()
)

ROWS = """(banner) => {
  const all = [...banner.shadowRoot.querySelectorAll("*")];
  const rows = [...banner.shadowRoot.querySelectorAll("li")].map((item) => {
    const [text, source, note] = ["text", "source", "note"].map((name) => item.querySelector("." + name)?.textContent);
    return { text, source, note, url: item.querySelector("a")?.getAttribute("href") };
  });
  return {
    rows,
    tags: [...new Set(all.map(({ localName }) => localName))],
    attributes: [...new Set(all.flatMap((element) => element.getAttributeNames()))],
    label: banner.shadowRoot.querySelector(".label").textContent,
    named: banner.shadowRoot.querySelector("section").ariaLabel,
  };
}"""


@pytest.fixture
def guarded(node: RunningNode, site: Site, context: BrowserContext) -> Iterator[BrowserContext]:
    """A browser in which nothing may run, ask or be asked for but what is ours."""
    told: list[str] = []

    def asked(url: str) -> None:
        if not url.startswith((node.url, site.url, "data:,")):
            told.append(url)

    def dismissed(dialog: Dialog) -> None:
        told.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def watch(page: Page) -> None:
        page.on("dialog", dismissed)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("websocket", lambda socket: asked(socket.url.replace("ws", "http", 1)))

    context.on("page", watch)
    context.on("request", lambda request: asked(request.url))
    yield context
    for page in context.pages:
        assert page.evaluate("window.__pwned") is None
    assert told == []


def fields(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in ("text", "source", "note", "url")}


def publish(node: RunningNode, number: int) -> list[dict[str, Any]]:
    """A hundred hostile lines on a channel; as the API gives them back, newest first."""
    languages = itertools.cycle(["en", "ar", "he", "th", "zh-Hant"])
    urls = itertools.cycle([*hostile.URLS, *[None] * 4])
    for place in range(100):
        index = number * 100 + place
        given: dict[str, Any] = {
            "text": TEXTS[index],
            "source": hostile.fit(TEXTS[index - 300], 80),
            "note": TEXTS[index - 600],
            "url": next(urls),
        }
        line = node.publish(f"h{number}", language=next(languages), **given)
        assert fields(line) == given
    return [fields(line) for line in node.board(f"h{number}")]


def test_what_cannot_be_shown_is_refused(node: RunningNode) -> None:
    for text in hostile.REFUSED:
        assert node.http.post("/v1/channels/labels/lines", json={"text": text}).status_code == 422
    for url in hostile.REFUSED_URLS:
        assert node.http.post("/v1/channels/labels/lines", json={"text": "A", "url": url}).status_code == 422


def test_a_thousand_hostile_texts_are_text_in_every_mode(
    node: RunningNode, site: Site, guarded: BrowserContext
) -> None:
    """The first hundred as they come, the others from the board."""
    page = guarded.new_page()
    for number in range(CHANNELS):
        tags = "".join(banner(f"h{number}", mode) for mode in MODES)
        html = site.serve(f'{HEAD}<script type="module" src="{node.url}/ticker.js"></script>{tags}')
        if number == 0:
            page.goto(html)
            expect(page.locator(LIVE)).to_have_count(3)
        lines = publish(node, number)
        if number != 0:
            page.goto(html)
        expect(page.locator(f"{LIVE} li")).to_have_count(3 * len(lines))
        label = node.get(f"/v1/channels/h{number}/lines")["label"]
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            for mode in MODES:
                shown = page.locator(f"breaking-ticker[mode={mode}]").evaluate(ROWS)
                assert shown["rows"] == lines
                assert shown["label"] == label
                assert shown["named"] in (label, f"{label} 2", f"{label} 3")  # three landmarks of one page
                assert set(shown["tags"]) <= OURS
                assert set(shown["attributes"]) <= ATTRIBUTES
            assert page.evaluate(TOO_WIDE) == []
        spoken = page.locator("[aria-live]").evaluate(
            "(voice) => [...voice.querySelectorAll('*')].map((e) => e.localName)"
        )
        assert set(spoken) <= {"p", "span"}


def test_a_thousand_hostile_labels_are_text(node: RunningNode, site: Site, guarded: BrowserContext) -> None:
    page = guarded.new_page()
    tags = "".join(banner("labels", mode) for mode in MODES)
    page.goto(site.serve(f'{HEAD}<script type="module" src="{node.url}/ticker.js"></script>{tags}'))
    expect(page.locator(LIVE)).to_have_count(3)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        wrong = page.evaluate(
            """async ([texts, tooWide]) => {
              const banners = [...document.querySelectorAll("breaking-ticker")];
              const wrong = [];
              texts.forEach((text, index) => {
                const banner = banners[index % banners.length];
                banner.setAttribute("label", text);
                const { textContent } = banner.shadowRoot.querySelector(".label");
                const { ariaLabel } = banner.shadowRoot.querySelector("section");
                if (textContent !== text || ariaLabel !== text) wrong.push([text, textContent, ariaLabel]);
                if (index % banners.length === 2) wrong.push(...tooWide());
              });
              return wrong;
            }""".replace("tooWide()", f"({TOO_WIDE})()").replace("[texts, tooWide]", "[texts]"),
            [TEXTS],
        )
        assert wrong == []


PLAIN = """() => [...document.querySelectorAll("breaking-ticker li")].map((item) => {
  const words = (selector) => item.querySelector(selector)?.textContent;
  return {
    text: words(".text"), source: words(".source"), note: words(".note"),
    url: item.querySelector("a")?.getAttribute("href") ?? null,
  };
})"""


@pytest.mark.parametrize("path", ["/channels/{}", "/embed/{}?mode=list"])
def test_a_thousand_hostile_texts_are_text_on_our_pages(node: RunningNode, guarded: BrowserContext, path: str) -> None:
    """In the page that needs no script, and for the first hundred in the banner that takes its place too."""
    page = guarded.new_page()
    page.set_viewport_size({"width": WIDTHS[0], "height": 800})
    plain = True
    page.route("**/*.js", lambda route: route.abort() if plain else route.continue_())
    titles = {channel["slug"]: channel["title"] for channel in node.get("/v1/channels")["channels"]}
    for number in range(CHANNELS):
        channel = f"h{number}"
        lines = [fields(line) for line in node.board(channel)] or publish(node, number)
        for plain in (True, False)[: 2 if number == 0 else 1]:
            page.goto(node.url + path.format(channel))
            expect(page.locator("h1 bdi").last).to_have_text(titles[channel])
            if plain:
                assert page.evaluate(PLAIN) == lines
            else:
                expect(page.locator(f"{LIVE} li")).to_have_count(len(lines))
                assert page.locator(LIVE).evaluate(ROWS)["rows"] == lines
            assert page.evaluate(TOO_WIDE) == []
