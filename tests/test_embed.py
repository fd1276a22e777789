"""What other sites load: the widget as it is served, its words, the iframe page, the snippets, oEmbed."""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
import re
import subprocess
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import brotli
import httpx
import pytest
from starlette.applications import Starlette

from tests.conftest import ROOT, RunningNode, as_released
from tests.patience import WITHIN
from ticker import __version__
from ticker.channel import LABELS, Channel
from ticker.http.fields import best_encoding
from ticker.line import Cursor, NewLine, begin
from ticker.readers.banner_options import BannerOptions
from ticker.readers.pages import open_templates, plain
from ticker.readers.widget import KINDS, Widget, Words

WEB = ROOT / "web"
BUILT = {f"ticker{kind}": (WEB / f"ticker{kind}").read_bytes() for kind in KINDS}
PINNED = f"/ticker-{__version__}.js"
RELEASED = WEB / "released"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """One for all tests here: they publish little, each to a channel that it names."""
    config = '[channels.en]\ntitle = "English"\n\n[channels.ar]\ntitle = "العربية"\nlanguage = "ar"\n'
    config += '\n[channels.odd]\ntitle = "<b>\\"Odd\\"</b> & more"\nlabel = "It\'s <new>"\n'
    node = RunningNode(as_released(tmp_path_factory.mktemp("embed")), config=config)
    yield node
    node.close()


class Tags(HTMLParser):
    """The tags of a page or a snippet, with their attributes, and the words between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]

    def one(self, name: str) -> dict[str, str | None]:
        (attributes,) = self.all(name)
        return attributes


def raw(node: RunningNode, path: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """An answer, and its body as it came over the wire."""
    with httpx.stream("GET", f"{node.url}{path}", headers={"Accept-Encoding": "identity", **headers}) as response:
        return response, b"".join(response.iter_raw())


# The widget as it is served


def test_the_widget_is_what_its_source_says(tmp_path: Path) -> None:
    """`make widget` gives these bytes, on every machine: pages pin their hash, and a node builds nothing (ADR 12)."""
    assert (ROOT / ".venv" / "node").is_dir(), "make .venv/node installs what builds the widget"
    subprocess.run(["node", WEB / "build.mjs", tmp_path], check=True, timeout=WITHIN)
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert built == BUILT, "make widget"


def test_the_served_widget_is_small_and_exports_what_it_always_did(node: RunningNode) -> None:
    _, served = raw(node, "/ticker.js")
    (names,) = re.findall(r"export\s*\{([^}]+)\}", served.decode())
    assert {name.split(" as ")[-1].strip() for name in names.split(",")} == {"BreakingTicker", "Board", "Feed"}
    assert len(raw(node, "/ticker.js", **{"Accept-Encoding": "br"})[1]) <= 9_000  # docs/embed.md: 9 kB


def test_extras_are_loaded_by_their_hash(node: RunningNode) -> None:
    """Otherwise a page that pinned the script would run any file that the server has."""
    digest = base64.b64encode(hashlib.sha256(raw(node, "/ticker.extras.js")[1]).digest()).decode()
    assert f'"sha256-{digest}"' in raw(node, "/ticker.js")[1].decode()


def test_a_restart_and_another_node_serve_the_same_bytes(node: RunningNode, start_node: Any, tmp_path: Path) -> None:
    as_released(tmp_path / "node")
    other = start_node()
    before = raw(other, PINNED)[1]
    other.stop()
    other.start()
    assert raw(other, PINNED)[1] == before == raw(node, PINNED)[1]


@pytest.mark.parametrize("path", ["/ticker.js", "/ticker.classic.js", PINNED, "/words/ar.json"])
def test_each_encoding_holds_the_same_and_has_its_own_etag(node: RunningNode, path: str) -> None:
    decoded = {"br": brotli.decompress, "gzip": gzip.decompress, "identity": bytes}
    plain = raw(node, path)[1]
    etags = set()
    for encoding, decode in decoded.items():
        response, body = raw(node, path, **{"Accept-Encoding": encoding})
        assert response.headers.get("content-encoding", "identity") == encoding
        assert decode(body) == plain
        assert "accept-encoding" in response.headers["vary"].lower()
        etags.add(response.headers["etag"])
    assert len(etags) == len(decoded)


@pytest.mark.parametrize("path", ["/ticker.js", "/ticker.classic.js", PINNED, "/words/ar.json"])
@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_what_a_browser_holds_is_not_sent_again(node: RunningNode, path: str, form: str) -> None:
    etag = raw(node, path, **{"Accept-Encoding": "br"})[0].headers["etag"]
    response, body = raw(node, path, **{"Accept-Encoding": "br", "If-None-Match": form.format(etag)})
    assert (response.status_code, body) == (304, b"")
    assert response.headers["etag"] == etag


def test_an_etag_of_another_encoding_does_not_count_as_held(node: RunningNode) -> None:
    compressed = raw(node, "/ticker.js", **{"Accept-Encoding": "br"})[0].headers["etag"]
    assert raw(node, "/ticker.js", **{"If-None-Match": compressed})[0].status_code == 200


@pytest.mark.parametrize(
    ("accepted", "sent"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("GZIP", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("br;q=0.2, gzip;q=0.8", "gzip"),
        ("br; q=0.5 , identity; q=1", "identity"),
        ("*", "br"),
        ("br;q=0, *;q=0.1", "gzip"),
        ("*;q=0", "identity"),
        ("identity;q=0", "identity"),
        ("br;q=much", "identity"),
        ("deflate", "identity"),
        ("", "identity"),
    ],
)
def test_the_encoding_is_the_one_that_the_client_likes_best(accepted: str, sent: str) -> None:
    assert best_encoding(accepted) == sent


def test_the_widget_may_be_loaded_and_checked_by_any_page_out_of_any_cache(node: RunningNode) -> None:
    """Without an Origin, too: a cache that keeps that answer gives it to a page that asks with one."""
    for path, cache in itertools.chain.from_iterable(
        ((f"/ticker{kind}", "max-age=300"), (f"/ticker-{__version__}{kind}", "immutable")) for kind in KINDS
    ):
        for origin in ({}, {"Origin": "https://paper.example"}):
            response, _ = raw(node, path, **origin)
            assert response.headers["access-control-allow-origin"] == "*"
            assert response.headers["cross-origin-resource-policy"] == "cross-origin"
            assert response.headers["content-type"].startswith("text/javascript")
            assert cache in response.headers["cache-control"]


def test_a_version_that_no_release_carried_is_not_found(node: RunningNode) -> None:
    for version in ("9.9.9", "", "..%2fwords", "0.1"):
        response, body = raw(node, f"/ticker-{version}.js")
        assert (response.status_code, json.loads(body)["status"]) == (404, 404)
        assert "immutable" not in response.headers["cache-control"]


def test_a_version_that_is_not_released_yet_cannot_be_pinned(start_node: Any) -> None:
    """The next node would not have it: the page that pinned it would lose its banner."""
    node = start_node()
    assert not RELEASED.exists()
    response, body = raw(node, PINNED)
    assert (response.status_code, response.headers["cache-control"]) == (404, "no-store")
    assert "/ticker.js" in json.loads(body)["detail"]
    html = httpx.get(f"{node.url}/embed?version={__version__}").text
    assert "Pinned" not in html
    assert __version__ not in html
    assert "integrity" not in snippets(node, f"version={__version__}")["banner"]
    assert raw(node, "/ticker.js")[0].status_code == 200


def web_of_a_later_release(folder: Path) -> Path:
    (folder / "released").mkdir()
    (folder / "released" / "ticker-0.0.9.js").write_text("export const old = 1")
    for name, built in BUILT.items():
        (folder / name).write_bytes(built)
    return folder


async def served(widget: Widget, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=Starlette(routes=widget.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        return await client.get(path)


async def test_a_page_that_pinned_a_former_version_keeps_its_banner(tmp_path: Path) -> None:
    widget = Widget(web_of_a_later_release(tmp_path), "0.2.0")
    await widget.prepare()
    former = await served(widget, "/ticker-0.0.9.js")
    assert (former.text, "immutable" in former.headers["cache-control"]) == ("export const old = 1", True)
    assert (await served(widget, "/ticker-0.1.9.js")).status_code == 404
    assert (await served(widget, "/ticker-0.2.0.js")).status_code == 404  # not released yet
    assert not widget.released


async def test_a_released_build_is_what_its_version_pins_whatever_is_built_by_now(tmp_path: Path) -> None:
    widget = Widget(web_of_a_later_release(tmp_path), "0.0.9")
    await widget.prepare()
    assert (await served(widget, "/ticker-0.0.9.js")).text == "export const old = 1"
    assert widget.integrity == "sha384-" + base64.b64encode(hashlib.sha384(b"export const old = 1").digest()).decode()
    assert (await served(widget, "/ticker.js")).content == BUILT["ticker.js"]


def test_a_released_version_never_changes() -> None:
    """Its build is kept: after a release, a change to ticker.js needs another version first (ADR 12)."""
    released = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert {path.name for path in RELEASED.glob("*.js")} == {
        f"ticker-{version}{kind}" for version in released for kind in KINDS
    }
    if __version__ in released:
        for kind in KINDS:
            assert (RELEASED / f"ticker-{__version__}{kind}").read_bytes() == BUILT[f"ticker{kind}"]


# Its words

WORDS: dict[str, dict[str, str]] = json.loads((WEB / "words.json").read_text("utf-8"))
NAMES = "label corrected canceled withheld delayed offline empty previous next pause resume fresh flash close away"
SCRIPTS = {
    "ar": "ARABIC",
    "bg": "CYRILLIC",
    "bn": "BENGALI",
    "el": "GREEK",
    "fa": "ARABIC",
    "he": "HEBREW",
    "hi": "DEVANAGARI",
    "ja": "CJK HIRAGANA KATAKANA KATAKANA-HIRAGANA",
    "ko": "HANGUL",
    "ru": "CYRILLIC",
    "th": "THAI",
    "uk": "CYRILLIC",
    "ur": "ARABIC",
    "zh": "CJK",
}


@pytest.mark.parametrize("language", LABELS)
def test_every_language_has_every_word_in_its_own_script(language: str) -> None:
    words = WORDS[language]
    assert list(words) == NAMES.split()
    assert words["label"] == LABELS[language]
    for name, word in words.items():
        assert word == word.strip() == unicodedata.normalize("NFC", word), name
        scripts = {unicodedata.name(letter).split()[0] for letter in word if letter.isalpha()}
        assert scripts, name
        assert scripts <= set(SCRIPTS.get(language, "LATIN").split()), f"{name}: {word}"
        assert len(word) < 45, f"{name}: {word}"  # it stands in a label or on a button


def test_no_language_says_it_in_english_by_mistake() -> None:
    for language, words in WORDS.items():
        if language != "en":
            same = {name for name in words if words[name] == WORDS["en"][name]}
            assert same <= {"pause", "flash"}, language  # in German, French or Spanish those are words too


def test_opposites_are_told_apart() -> None:
    for language, words in WORDS.items():
        for names in (("previous", "next"), ("pause", "resume"), ("corrected", "canceled", "withheld")):
            assert len({words[name] for name in names}) == len(names), (language, names)


@pytest.mark.parametrize(("asked", "given"), [("ar", "ar"), ("pt-BR", "pt"), ("nb", "no"), ("nn", "no"), ("EN", "en")])
def test_words_are_found_by_any_tag_of_their_language(node: RunningNode, asked: str, given: str) -> None:
    response, body = raw(node, f"/words/{asked}.json")
    assert json.loads(body) == WORDS[given]
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cache-control"] == "public, max-age=86400"


def test_words_of_a_language_that_we_do_not_speak_are_not_found(node: RunningNode) -> None:
    response, body = raw(node, "/words/tlh.json")
    assert response.status_code == 404
    assert "'tlh'" in json.loads(body)["detail"]
    assert Words(WEB).of("tlh") == WORDS["en"]


# How it is to look


def test_what_an_address_asks_for_becomes_attributes_and_the_rest_is_dropped() -> None:
    asked = {"mode": "list", "theme": "dark", "lang": "pt-BR", "max": "3", "min-urgency": "urgent", "sticky": "top"}
    assert BannerOptions.asked(asked).attributes == asked
    assert BannerOptions.asked({"hide-when-empty": ""}).attributes == {"hide-when-empty": ""}
    nonsense = {"mode": "rotate", "theme": "<", "lang": '" onload="', "dir": "up", "max": "0", "min-urgency": "update"}
    nonsense |= {"sticky": "left", "hide-when-empty": "no", "label": "Not ours", "src": "https://evil.example"}
    assert BannerOptions.asked(nonsense).attributes == {}
    for shown in ("101", "-1", "1e1", "٣", "007", " 7", "9" * 5000):
        assert BannerOptions.asked({"max": shown}).max == ""


# The page for an iframe


def test_the_iframe_page_holds_the_lines_and_the_banner(node: RunningNode) -> None:
    kept = node.publish("ar", "سطر عاجل", url="https://paper.example/a?b=1&c=2", source="وكالة", urgency="bulletin")
    killed = node.publish("ar", "كلمات سُحبت")
    node.cancel("ar", killed["id"], "note of the kill")
    response = httpx.get(f"{node.url}/embed/ar?mode=list&theme=dark&max=5&label=Forged")
    page = Tags(response.text)
    assert page.one("html") == {"lang": "ar", "dir": "rtl", "data-theme": "dark"}
    assert page.one("breaking-ticker") == {
        "channel": "ar",
        "lang": "ar",
        "dir": "rtl",
        "label": "عاجل",
        "mode": "list",
        "theme": "dark",
        "max": "5",
    }
    assert page.one("a")["href"] == kept["url"]
    assert page.one("base") == {"target": "_blank"}
    assert kept["text"] in page.words
    assert WORDS["ar"]["canceled"] in page.words
    assert "note of the kill" in page.words
    assert "كلمات" not in response.text
    assert "Forged" not in response.text
    assert response.headers["x-robots-tag"] == "noindex"
    assert "no-store" not in response.headers["cache-control"]


def test_the_iframe_page_shows_what_the_banner_will(node: RunningNode) -> None:
    node.publish("en", "An update")
    for number in range(3):
        node.publish("en", f"Urgent {number}", urgency="urgent")
    page = Tags(httpx.get(f"{node.url}/embed/en?mode=list&max=2&min-urgency=bulletin").text)
    assert "Urgent" not in page.words
    page = Tags(httpx.get(f"{node.url}/embed/en?mode=list&max=2&min-urgency=urgent").text)
    assert re.findall(r"Urgent \d|An update", page.words) == ["Urgent 2", "Urgent 1"]
    assert WORDS["he"]["corrected"] not in page.words


def test_markup_in_a_line_is_text_in_the_iframe_page(node: RunningNode) -> None:
    node.publish("odd", '<script>alert(1)</script> & "quoted"', source="<i>x</i>")
    html = httpx.get(f"{node.url}/embed/odd").text
    page = Tags(html)
    assert '<script>alert(1)</script> & "quoted"' in page.words
    assert all("src" in script for script in page.all("script"))
    assert page.one("breaking-ticker")["label"] == "It's <new>"


def test_only_the_iframe_page_may_be_framed(node: RunningNode) -> None:
    """RFC 7034 and CSP 3: no X-Frame-Options there, for it would win in old browsers."""
    for path in ("/embed", "/channels/en", "/demo", "/desk", "/assets/embed/embed.js", "/oembed", "/embed/nowhere"):
        assert "frame-ancestors 'none'" in httpx.get(f"{node.url}{path}").headers["content-security-policy"], path
    headers = httpx.get(f"{node.url}/embed/en").headers
    assert re.findall(r"frame-ancestors ([^;]+)", headers["content-security-policy"]) == ["*"]
    assert "x-frame-options" not in headers
    assert "unsafe" not in headers["content-security-policy"]


# The snippet builder


def snippets(node: RunningNode, query: str) -> dict[str, str]:
    html = httpx.get(f"{node.url}/embed?{query}").text
    return {
        name: Tags(code).words
        for name, code in re.findall(r'<code id="snippet-([a-z]+)"[^>]*>(.*?)</code>', html, re.S)
    }


def test_the_snippet_is_a_script_and_a_tag_and_the_room_that_they_will_take(node: RunningNode) -> None:
    script = f'<script type="module" src="{node.url}/ticker.js"></script>'
    style, _, tags = snippets(node, "")["banner"].partition("</style>\n")
    assert tags == f'{script}\n<breaking-ticker channel="en"></breaking-ticker>'
    assert (
        'breaking-ticker:not(:defined)::before { content: ""; display: block; block-size: calc(4.5em + 2px) }' in style
    )
    assert (
        'breaking-ticker[mode="list"]:not(:defined) { display: block; block-size: 34em }'
        in (snippets(node, "mode=list")["banner"])
    )
    assert "block-size: 18em" in snippets(node, "mode=list&max=3")["banner"]
    assert "(width < 24em) { breaking-ticker" in snippets(node, "mode=list&max=3")["banner"]
    assert "block-size: 34em" in snippets(node, "mode=list&max=50")["banner"]
    assert "<style>" not in snippets(node, "hide-when-empty=on")["banner"]


@pytest.mark.parametrize("query", ["", "mode=scroll", "mode=list&max=2"])
def test_the_policy_lets_in_the_style_that_keeps_the_room(node: RunningNode, query: str) -> None:
    found = snippets(node, query)
    style = found["banner"].removeprefix("<style>").partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in found["policy"]
    assert "style-src" not in snippets(node, "hide-when-empty=on")["policy"]


def test_the_form_is_answered_without_a_script(node: RunningNode) -> None:
    query = f"channel=ar&mode=list&theme=&lang=fr&dir=rtl&max=&sticky=bottom&hide-when-empty=on&version={__version__}"
    page = Tags(snippets(node, query)["banner"])
    assert page.one("breaking-ticker") == {
        "channel": "ar",
        "mode": "list",
        "lang": "fr",
        "dir": "rtl",
        "sticky": "bottom",
        "hide-when-empty": None,
    }
    script = page.one("script")
    content = httpx.get(script["src"] or "").content
    assert script["integrity"] == "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()
    assert (script["crossorigin"], script["type"]) == ("anonymous", "module")


def test_the_iframe_snippet_leads_to_the_iframe_page(node: RunningNode) -> None:
    found = snippets(node, "channel=odd&mode=list&sticky=top&max=3")
    frame = Tags(found["frame"]).one("iframe")
    assert frame["src"] == found["link"] == f"{node.url}/embed/odd?mode=list&max=3"
    assert frame["title"] == 'It\'s <new> – <b>"Odd"</b> & more'
    assert "allow-same-origin" not in (frame["sandbox"] or "")
    assert httpx.get(frame["src"] or "").status_code == 200


def test_what_the_query_says_is_not_markup_in_the_builder(node: RunningNode) -> None:
    html = httpx.get(f"{node.url}/embed", params={"channel": "<x>", "lang": '"><x>', "version": "<x>"}).text
    assert "<x>" not in html


# oEmbed


def oembed(node: RunningNode, url: str, **query: str) -> httpx.Response:
    return httpx.get(f"{node.url}/oembed", params={"url": url, **query})


def test_a_pasted_link_becomes_an_iframe(node: RunningNode) -> None:
    response = oembed(node, f"{node.url}/channels/odd")
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["content-type"].startswith("application/json")
    answer = response.json()
    frame = Tags(answer["html"]).one("iframe")
    assert (answer["version"], answer["type"]) == ("1.0", "rich")
    assert answer["title"] == frame["title"] == 'It\'s <new> – <b>"Odd"</b> & more'
    assert (frame["width"], frame["height"]) == (str(answer["width"]), str(answer["height"])) == ("600", "480")
    assert frame["src"] == f"{node.url}/embed/odd?mode=list"


def test_what_a_link_to_the_iframe_page_asks_for_is_kept_and_the_rest_dropped(node: RunningNode) -> None:
    answer = oembed(node, f"{node.url}/embed/ar/?theme=dark&x=%22%3E&mode=scroll#part").json()
    assert Tags(answer["html"]).one("iframe")["src"] == f"{node.url}/embed/ar?mode=scroll&theme=dark"


@pytest.mark.parametrize(
    ("limits", "size"),
    [({}, (600, 134)), ({"maxwidth": "300"}, (300, 134)), ({"maxheight": "80", "maxwidth": "5000"}, (600, 80))],
)
def test_an_embed_keeps_within_the_size_asked_for(
    node: RunningNode, limits: dict[str, str], size: tuple[int, int]
) -> None:
    answer = oembed(node, f"{node.url}/embed/en", **limits).json()
    assert (answer["width"], answer["height"]) == size


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/channels/en",
        "{node}/channels/nowhere",
        "{node}/channels/en/lines",
        "{node}/desk",
        "{node}",
        "{node}@evil.example/channels/en",
        "file:///channels/en",
        "http://[/channels/en",
        "//channels/en",
        "en",
    ],
)
def test_no_other_link_is_embedded(node: RunningNode, url: str) -> None:
    response = oembed(node, url.format(node=node.url))
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_other_formats_are_not_implemented_and_nonsense_is_refused(node: RunningNode) -> None:
    link = f"{node.url}/channels/en"
    assert oembed(node, link, format="json").status_code == 200
    assert oembed(node, link, format="xml").status_code == 501
    assert httpx.get(f"{node.url}/oembed").status_code == 400
    for nonsense in ("0", "-1", "", "wide", "1" * 400, "٣"):
        assert oembed(node, link, maxwidth=nonsense).status_code == 400


@pytest.mark.parametrize("path", ["/channels/odd", "/embed/odd", "/embed/odd?mode=list&theme=dark"])
def test_the_pages_say_where_their_oembed_is(node: RunningNode, path: str) -> None:
    links = Tags(httpx.get(f"{node.url}{path}").text).all("link")
    (link,) = [each for each in links if each.get("type") == "application/json+oembed"]
    assert link["rel"] == "alternate"
    answer = httpx.get(link["href"] or "").json()
    assert link["title"] == answer["title"]
    shown = path.replace("/channels/odd", "/embed/odd?mode=list")
    assert Tags(answer["html"]).all("iframe")[0]["src"] == f"{node.url}{shown}"


def test_types_and_manifest_are_served_beside_the_widget(node: RunningNode) -> None:
    assert "BreakingTicker" in httpx.get(f"{node.url}/assets/ticker.d.ts").text
    manifest = httpx.get(f"{node.url}/assets/custom-elements.json").json()
    assert manifest["modules"][0]["path"] == "ticker.js"


def test_the_manifest_the_types_and_the_docs_say_what_the_widget_has() -> None:
    """Attributes, events, slots, parts and properties, by what stands in its source."""
    source = "".join(path.read_text("utf-8") for path in (WEB / "widget").iterdir() if path.suffix in (".js", ".css"))
    (element,) = json.loads((WEB / "custom-elements.json").read_text("utf-8"))["modules"][0]["declarations"]
    named = {kind: {each["name"] for each in element[kind]} for kind in ("attributes", "events", "slots", "members")}
    parts = {each["name"] for each in element["cssParts"]}
    properties = {each["name"] for each in element["cssProperties"]}
    observed = json.loads(re.findall(r"observedAttributes = (\[[^]]+\])", source)[0])
    asked = set(re.findall(r'(?:attribute\("|setAttribute\("|:host\((?::not\()?\[)([a-z-]+)', source)) - {"hidden"}
    assert set(observed) <= asked == named["attributes"]
    assert properties == set(re.findall(r"var\((--ticker-[a-z-]+)", source))
    made = re.findall(r'(?:make\(\s*"\w+",|\["time",|\["bdi",|\[isLink \? "a" : "span",)\s*"([a-z]+)"', source)
    assert set(made) == parts
    assert {name.removeprefix("ticker:") for name in named["events"]} == {
        "line",
        "correction",
        "cancel",
        "state",
        "open",
        "dismiss",
    }
    types = (WEB / "ticker.d.ts").read_text("utf-8")
    guide = (ROOT / "docs" / "embed.md").read_text("utf-8")
    for name in set().union(*named.values()) - {"", "state"}:
        assert re.search(rf"\b{name}\b", types) or name in named["slots"], name
        assert f"`{name}" in guide or f"`{name}()`" in guide, name
    for name in parts | properties:
        assert f"`{name}`" in guide, name


# Pages that readers and machines open


TODAY = datetime(2026, 5, 4, 0, 10, tzinfo=UTC)


def times(published: datetime, now: datetime = TODAY) -> list[tuple[str | None, str]]:
    """What the server writes of when a line was published, on a page without a script."""
    channel = Channel(slug="en", title="English", language="en", direction="ltr", label="Breaking")
    line = begin(NewLine(text="Rain"), channel, Cursor(int(published.timestamp() * 1000), 0))
    template = open_templates(WEB).get_template("channel/lines.html")
    page = Tags(template.render(lines=[plain(line)], words=WORDS["en"], now=now))
    return [(page.one("time").get("data-day"), page.words.split("Rain")[0].strip())]


def test_a_time_of_another_day_has_its_day() -> None:
    assert times(TODAY) == [("2026-05-04 ", "00:10 UTC")]
    assert times(TODAY - timedelta(minutes=11)) == [(None, "2026-05-03 23:59 UTC")]
    assert times(TODAY - timedelta(days=3)) == [(None, "2026-05-01 00:10 UTC")]
    assert times(TODAY - timedelta(days=365)) == [(None, "2025-05-04 00:10 UTC")]


@pytest.mark.parametrize("path", ["/channels/en", "/embed/en", "/demo"])
def test_every_page_writes_times_by_that_rule(node: RunningNode, path: str) -> None:
    line = node.publish("en", "Of today, or of a moment before midnight")
    page = Tags(httpx.get(f"{node.url}{path}").text)
    written = [time for time in page.all("time") if (time["datetime"] or "") == line["published"][:19] + "Z"]
    assert written
    for time in written:
        assert (time.get("data-day") or f"{line['published'][:10]} ") == f"{line['published'][:10]} "


def meta(page: Tags) -> dict[str, str]:
    found = {each.get("name") or each.get("property"): each.get("content") for each in page.all("meta")}
    return {str(name): str(content) for name, content in found.items() if name}


@pytest.mark.parametrize("path", ["/channels/en", "/channels/ar", "/channels/odd", "/demo"])
def test_public_pages_say_what_they_are_to_those_that_link_to_them(node: RunningNode, path: str) -> None:
    node.publish("en", "Words that may be retracted")
    page = Tags(httpx.get(f"{node.url}{path}").text)
    said = meta(page)
    (canonical,) = [link["href"] for link in page.all("link") if link.get("rel") == "canonical"]
    assert canonical == said["og:url"] == f"{node.url}{path}"
    assert said["description"] == said["og:description"]
    assert said["og:title"]
    assert said["og:type"] == "website"
    assert said["color-scheme"] == "light dark"
    assert not any("retracted" in words for words in said.values())
    image = httpx.get(said["og:image"])
    assert image.headers["content-type"] == "image/png"
    width, height = (int.from_bytes(image.content[at : at + 4]) for at in (16, 20))
    assert (str(width), str(height)) == (said["og:image:width"], said["og:image:height"])


def test_every_page_tells_the_browser_its_colours(node: RunningNode) -> None:
    """Or it flashes white before its style sheet is there."""
    for path, colours in {
        "/embed": "light dark",
        "/embed/en": "light dark",
        "/embed/en?theme=dark": "dark",
        "/embed/en?theme=light": "light",
        "/channels/nowhere": "light dark",
        "/embed/nowhere": "light dark",
    }.items():
        page = Tags(httpx.get(f"{node.url}{path}", headers=FROM_A_BROWSER).text)
        assert meta(page)["color-scheme"] == colours, path


FROM_A_BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/channels/<b>x", "/channels/nowhere", "/embed/nowhere", "/chanels/en"])
def test_what_is_not_there_is_a_page_for_readers_and_a_problem_for_programs(node: RunningNode, path: str) -> None:
    answer = httpx.get(f"{node.url}{path}", headers=FROM_A_BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["vary"] == "Accept"
    assert "<b>x" not in answer.text
    links = {link["href"]: link["hreflang"] for link in Tags(answer.text).all("a")}
    assert links == {"/channels/en": "en", "/channels/ar": "ar", "/channels/odd": "en"}
    framed = "frame-ancestors *" in answer.headers["content-security-policy"]
    assert framed == path.startswith("/embed")
    for accept in ("*/*", "application/json", "application/problem+json, */*;q=0.1", "text/html;q=0, */*"):
        answer = httpx.get(f"{node.url}{path}", headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), accept


def test_a_browser_gets_a_problem_where_one_says_more_or_programs_live(node: RunningNode) -> None:
    for path in ("/v1/nothing", "/ticker-9.9.9.js", "/words/xx.json", "/assets/none"):
        answer = httpx.get(f"{node.url}{path}", headers=FROM_A_BROWSER)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path


def test_the_demo_page_leads_on(node: RunningNode) -> None:
    page = Tags(httpx.get(f"{node.url}/demo").text)
    leads = {link["href"] for link in page.all("a")}
    assert {"/desk", "/embed", "#try", "/channels/en", "/channels/ar"} <= leads
    assert f"{node.url}/v1/channels/en/lines" in page.words
    assert "curl" in page.words
    assert node.key not in page.words
