"""The recipes of docs/embed.md for React, Vue, Svelte and no framework: type-checked, built, and used in a browser.

`make frameworks` runs it. It is not among the tests, for it takes the frameworks from npm. The applications are in
apps/; each has the same three buttons and the same things to be heard.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site
from tests.conftest import ROOT, RunningNode

APPS = Path(__file__).parent / "apps"
WORK = ROOT / ".venv" / "frameworks"  # where the Makefile has npm install them
SERVER = "https://ticker.example"  # in the recipes
GUIDE = (ROOT / "docs" / "embed.md").read_text("utf-8")
LIVE = "breaking-ticker[state=live]"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("frameworks"), constants={})
    node.publish("en", "The bridge is open", url="https://paper.example/bridge")
    node.publish("ar", "الجسر مفتوح")
    yield node
    node.close()


def npx(*command: str) -> None:
    ran = subprocess.run(
        ["npx", "--no-install", *command], cwd=WORK, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "warn" not in re.sub(r"npm warn .*|0 warnings", "", ran.stdout + ran.stderr), ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def built(node: RunningNode, site: Site) -> Site:
    """The applications, as a site of its own serves them."""
    assert (WORK / "node_modules").is_dir(), "The frameworks are missing: make frameworks"
    shutil.copytree(APPS, WORK, dirs_exist_ok=True)
    shutil.copy(ROOT / "web" / "ticker.d.ts", WORK)
    npx("vue-tsc", "--project", ".")  # TypeScript's compiler, which reads .vue files too
    npx("svelte-check", "--tsconfig", "svelte/tsconfig.json", "--fail-on-warnings")
    npx("vite", "build", "--logLevel", "warn", "--emptyOutDir")
    dist = WORK / "dist"
    files = {
        f"/{path.relative_to(dist).as_posix()}": path.read_text("utf-8").replace(SERVER, node.url)
        for path in dist.rglob("*")
        if path.is_file()
    }
    site.serve("", files)
    return site


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


@pytest.mark.timeout(600)  # the first of them builds all
@pytest.mark.parametrize("name", ["react", "vue", "svelte", "plain"])
def test_the_banner_lives_in_an_application(name: str, node: RunningNode, built: Site, page: Any) -> None:
    sockets: list[Any] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    page.goto(f"{built.url}/{name}.html")
    banner = page.locator(LIVE)
    expect(banner.locator("li.line").last).to_contain_text("The bridge is open")
    assert len(sockets) == 1

    # Its events, once each
    node.publish("en", f"Trams run again: {name}")
    page.wait_for_function("heard.length > 0")
    banner.get_by_role("link", name="The bridge is open").click()
    assert page.evaluate("heard") == [f"Trams run again: {name}", "https://paper.example/bridge"]
    assert page.url.endswith(f"/{name}.html")  # what the application prevents doesn't happen

    # Its attributes, as the application's state has them
    press(page, "Closable")
    expect(banner.get_by_role("button", name="Close")).to_be_visible()
    press(page, "Closable")
    expect(banner.get_by_role("button", name="Close")).to_be_hidden()
    press(page, "Edition")
    expect(banner.get_by_text("الجسر مفتوح")).to_be_visible()
    expect(banner.get_by_text("The bridge is open")).to_have_count(0)

    # Gone without a trace, and back
    press(page, "Banner")
    expect(page.locator("breaking-ticker, [aria-live]")).to_have_count(0)
    for socket in sockets:
        if not socket.is_closed():
            socket.wait_for_event("close")
    press(page, "Banner")
    expect(banner.get_by_text("الجسر مفتوح")).to_be_visible()
    texts = [f"عاد الترام {name}", f"عادت العبّارات {name}"]
    for text in texts:
        node.publish("ar", text)
    page.wait_for_function("(text) => heard.includes(text)", arg=texts[1])
    assert page.evaluate("heard.slice(2)") == texts
    assert page.errors == []


def test_the_guide_says_what_the_applications_do() -> None:
    """Each line of a recipe is in an application that was run."""
    written = "".join("".join(path.read_text("utf-8").split()) for path in APPS.rglob("*") if path.is_file())
    section = GUIDE.partition("## In an application")[2].partition("\n## ")[0]
    recipes = re.findall(r"```\w+\n(.*?)```", section, re.S)
    assert len(recipes) == 5
    for line in "\n".join(recipes).splitlines():
        recipe = "".join(line.partition(" // ")[0].split()).strip("…")
        assert recipe in written, line
