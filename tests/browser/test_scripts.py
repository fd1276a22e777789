"""The files that the banner comes in, in a real Chromium: the module and its extras, pinned or not, and the classic."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.conftest import Site, until
from tests.conftest import ROOT, RunningNode, as_released
from ticker import __version__

WEB = ROOT / "web"
LONG_PAGE = "".join(f"<p>Paragraph {number}</p>" for number in range(200))
LIVE = "breaking-ticker[state=live]"


def page_with(script: str, tags: str, head: str = "") -> str:
    return f'<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,">{head}{script}{tags}'


def module(node: RunningNode, name: str = "ticker.js", more: str = "") -> str:
    return f'<script type="module" src="{node.url}/{name}"{more}></script>'


def banner(channel: str, more: str = "") -> str:
    return f'<breaking-ticker channel="{channel}" {more}></breaking-ticker>'


def top_of(page: Page) -> float:
    return float(page.locator("breaking-ticker").evaluate("(banner) => banner.getBoundingClientRect().top"))


def stays_on_the_screen(page: Page) -> None:
    """In a box that ends above: CSS alone would let it go."""
    page.evaluate("scrollTo(0, 2000)")
    until(page, lambda: abs(top_of(page)) < 1)


STICKY_IN_A_BOX = "<header>{}</header>" + LONG_PAGE


# The extras


def test_extras_are_loaded_by_those_that_need_them(node: RunningNode, site: Site, page: Any, channel: str) -> None:
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "extras" in request.url else None)
    node.publish(channel, "The ferries resume")
    page.goto(site.serve(page_with(module(node), banner(channel) + banner(channel, 'mode="list"'))))
    expect(page.locator(LIVE)).to_have_count(2)
    assert not asked
    tags = banner(channel, 'mode="scroll"') + banner(channel, 'mode="scroll" sticky="top" lang="ar"')
    page.evaluate("(tags) => { document.body.innerHTML = tags }", tags)
    expect(page.locator("breaking-ticker li.on").first).to_contain_text("The ferries resume")
    expect(page.locator("breaking-ticker").last.get_by_role("region")).to_have_css("direction", "rtl")
    assert len(asked) == 1
    assert not page.errors


def test_under_a_strict_policy_a_sticky_banner_stays(node: RunningNode, site: Site, page: Any, channel: str) -> None:
    policy = (
        f"default-src 'none'; img-src data:; script-src {node.url}; connect-src {node.url} "
        f"{node.url.replace('http', 'ws')}; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    html = page_with(module(node), STICKY_IN_A_BOX.format(banner(channel, 'sticky="top"')))
    page.goto(site.serve(html, Content_Security_Policy=policy))
    expect(page.locator(LIVE)).to_have_count(1)
    stays_on_the_screen(page)
    assert not page.errors


@pytest.mark.parametrize("how", ["other", "missing", "refused"])
def test_other_extras_than_its_own_never_run_and_a_banner_does_without(
    node: RunningNode, site: Site, page: Any, channel: str, how: str
) -> None:
    answers: dict[str, Any] = {
        "other": {"body": "window.tampered = 1; export const StickyPlace = class {}, Belt = class {}"},
        "missing": {"status": 404},
    }
    headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "text/javascript"}
    page.route(
        "**/ticker.extras.js?*",
        lambda route: route.fulfill(**answers[how], headers=headers) if how in answers else route.abort(),
    )
    node.publish(channel, "The ferries resume")
    page.goto(site.serve(page_with(module(node), banner(channel, 'mode="scroll" sticky="top"') + LONG_PAGE)))
    expect(page.locator("breaking-ticker .frame.rotate li.on")).to_contain_text("The ferries resume")
    assert page.evaluate("window.tampered") is None


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node of this version as if it were released."""
    node = RunningNode(as_released(tmp_path_factory.mktemp("released")), constants={})
    yield node
    node.close()


def test_a_pinned_script_loads_the_extras_of_its_version(released: RunningNode, site: Site, page: Any) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    digest = base64.b64encode(hashlib.sha384((WEB / "ticker.js").read_bytes()).digest()).decode()
    script = module(released, f"ticker-{__version__}.js", f' integrity="sha384-{digest}" crossorigin="anonymous"')
    page.goto(site.serve(page_with(script, STICKY_IN_A_BOX.format(banner("en", 'sticky="top"')))))
    expect(page.locator(LIVE)).to_have_count(1)
    stays_on_the_screen(page)
    (extras,) = [url for url in asked if "extras" in url]
    assert extras.startswith(f"{released.url}/ticker-{__version__}.extras.js?sha256-")
    assert not page.errors


def test_a_copy_on_another_site_has_its_extras_beside_it(
    node: RunningNode, site: Site, page: Any, channel: str
) -> None:
    files = {f"/{name}": (WEB / name).read_text("utf-8") for name in ("ticker.js", "ticker.extras.js")}
    policy = f"script-src {site.url}"
    tag = banner(channel, f'sticky="top" src="{node.url}"')
    html = page_with('<script type="module" src="/ticker.js"></script>', STICKY_IN_A_BOX.format(tag))
    page.goto(site.serve(html, files, Content_Security_Policy=policy))
    expect(page.locator(LIVE)).to_have_count(1)
    stays_on_the_screen(page)
    assert not page.errors


# The classic script


@pytest.mark.parametrize("more", ["", " defer", " async"])
def test_the_classic_script_is_the_same_banner(
    node: RunningNode, site: Site, page: Any, channel: str, more: str
) -> None:
    node.publish(channel, "The ferries resume")
    script = f'<script src="{node.url}/ticker.classic.js"{more}></script>'
    tags = banner(channel, 'mode="scroll"') + STICKY_IN_A_BOX.format(banner(channel, 'sticky="top" lang="ar"'))
    page.goto(site.serve(page_with(script, tags)))
    expect(page.locator(LIVE)).to_have_count(2)
    expect(page.locator("breaking-ticker .scroll li.on")).to_contain_text("The ferries resume")
    expect(page.locator("breaking-ticker").last.get_by_role("region")).to_have_css("direction", "rtl")
    page.evaluate("document.querySelector('breaking-ticker').remove()")
    stays_on_the_screen(page)
    assert not page.errors


def test_the_classic_script_leaves_no_name_in_the_page(node: RunningNode, site: Site, page: Any, channel: str) -> None:
    page.goto(site.serve(page_with("", banner(channel))))
    before = page.evaluate("Object.keys(window)")
    page.add_script_tag(url=f"{node.url}/ticker.classic.js")
    expect(page.locator(LIVE)).to_have_count(1)
    assert page.evaluate("Object.keys(window)") == before


def test_a_loader_may_run_the_classic_script_by_itself(node: RunningNode, site: Site, page: Any, channel: str) -> None:
    """As consent managers do, once they may: then `src` says where the server is."""
    page.goto(site.serve(page_with("", banner(channel, f'src="{node.url}"'))))
    page.add_script_tag(content=(WEB / "ticker.classic.js").read_text("utf-8"))
    expect(page.locator(LIVE)).to_have_count(1)
    assert not page.errors


def test_module_and_classic_script_on_one_page_are_one_banner(
    node: RunningNode, site: Site, page: Any, channel: str
) -> None:
    script = f'<script src="{node.url}/ticker.classic.js"></script>'
    page.goto(site.serve(page_with(script + module(node), banner(channel))))
    expect(page.locator(LIVE)).to_have_count(1)
    assert not page.errors
