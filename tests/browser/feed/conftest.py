"""Tabs of one site in a whole Chromium, which reach their node through a door."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, WITHIN, chromium
from tests.browser.door import Door
from tests.browser.tabs import CHANNELS, LITTLE_JITTER, PAGE, PATIENT, banner, texts
from tests.conftest import RunningNode


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
