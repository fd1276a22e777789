"""What the tests of the desk's page share: how an editor signs in and publishes, and what stands where."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Locator, Page, Request, Route, expect

WORDS = "Ferry service between the two islands resumes after the storm"
OTHER_WORDS = "Power is back in all districts of the old town"

# What the desk says of a change stands for 12 s, and it waits 15 s for an answer: here both for as long as need be.
AT_LEISURE = """
const wait = setTimeout;
window.setTimeout = (end, ms, ...rest) => (ms === 12_000 ? 0 : wait(end, ms, ...rest));
AbortSignal.timeout = () => new AbortController().signal;
"""


def sign_in(page: Page, node: Any, channel: str = "en") -> None:
    page.goto(f"{node.url}/desk?channel={channel}")
    page.get_by_label("Your key").fill(node.key)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(connection(page)).to_have_text("Live")


def connection(page: Page) -> Locator:
    return page.locator("#connection")


def line(page: Page, words: str) -> Locator:
    return page.locator("#lines > li").filter(has=page.locator("article > .text", has_text=words))


def tombstone(page: Page, status: str) -> Locator:
    return page.locator(f'#lines > li[data-status="{status}"]')


def write(page: Page, words: str) -> None:
    page.get_by_label("Text", exact=True).fill(words)


def publish(page: Page, words: str) -> None:
    write(page, words)
    page.get_by_role("button", name="Publish to").click()


def texts(node: Any, channel: str = "en") -> list[str]:
    return [line["text"] for line in node.get(f"/v1/channels/{channel}/lines")["lines"] if line["status"] == "usable"]


def complaints(page: Any) -> list[str]:
    """What the console says; the browser itself notes each 401, and asking who is signed in earns one."""
    return [each for each in page.errors if "401" not in each]


class SignedIn:
    """Who `GET /desk/session` says is signed in, and what the desk's changes carry."""

    def __init__(self, page: Page) -> None:
        self.answer: dict[str, Any] = {"id": "first-sign-in", "name": "Ada"}
        self.carried: list[tuple[str, str | None]] = []
        page.route("**/v1/**", self._pass_on)
        page.route("**/desk/session", self._session)
        page.on("request", self._note)

    @staticmethod
    def _pass_on(route: Route) -> None:
        """Without the sign-in that it names: those are of our making, and the server would refuse them."""
        headers = {name: value for name, value in route.request.headers.items() if name != "ticker-session"}
        route.continue_(headers=headers)

    def _session(self, route: Route) -> None:
        if route.request.method != "GET":
            self._pass_on(route)
            return
        answer = route.fetch()
        if answer.ok:
            route.fulfill(response=answer, json=answer.json() | self.answer)
        else:
            route.fulfill(response=answer)

    def _note(self, request: Request) -> None:
        if request.method != "GET":
            self.carried.append((request.method, request.headers.get("ticker-session")))

    def take_over(self, page: Page, path: str) -> None:
        """As if Grace had signed in in another tab: the server refuses what is meant to be Ada's."""

        def refuse(route: Route) -> None:
            believed = route.request.headers.get("ticker-session")
            if route.request.method == "GET" or believed in (None, self.answer["id"]):
                route.fallback()
                return
            problem = {
                "type": "urn:ticker:problem:other-session",
                "title": "Somebody else is signed in",
                "status": 409,
                "detail": "Grace is signed in by now. Nothing was changed.",
                "signed_in": {"id": "key-of-grace", "name": "Grace"},
            }
            route.fulfill(status=409, content_type="application/problem+json", body=json.dumps(problem))

        self.answer = {"id": "second-sign-in", "name": "Grace"}
        page.route(path, refuse)
