"""Pages for people, which need no script: a channel's public page, and the demo. Knows templates."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from msgspec import UNSET
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ticker.channel import Channel, base_language, no_such_channel
from ticker.errors import NotFound
from ticker.fanout.relay import Relay
from ticker.http.fields import members
from ticker.http.problems import answer
from ticker.http.security import PAGE_POLICY
from ticker.line import Line
from ticker.readers.widget import Words

# What the demo page holds before its banners have started: four full boards took 30 ms to write, for any stranger.
DEMO_CHANNELS = 3
DEMO_LINES = 10


class Pages:
    """`/channels/{channel}`, `/demo`, and `/`, which leads to the first channel."""

    def __init__(self, templates: Environment, relay: Relay, words: Words, public_url: str) -> None:
        self._templates = templates
        self._relay = relay
        self._words = words
        self._public_url = public_url

    def routes(self) -> list[Route]:
        return [
            Route("/", self.front),
            Route("/demo", self.demo),
            Route("/channels/{channel}", self.channel),
        ]

    async def no_page(self, connection: HTTPConnection, error: Exception) -> Response:
        """What the framework refuses: a problem; but a page for a browser at an address that leads nowhere."""
        response = await answer(connection, error)
        if not (isinstance(error, HTTPException) and error.detail == "Not Found"):
            return response  # the handler that refused it has given the reason
        path, accept = connection.scope["path"], connection.headers.get("accept", "")
        if response.status_code == 404 and not path.startswith("/v1/") and wants_page(accept):
            return _none(self._templates, self._relay)
        return response

    async def front(self, request: Request) -> Response:
        return RedirectResponse(f"/channels/{next(iter(self._relay.channels))}", 307)

    async def demo(self, request: Request) -> Response:
        channels = islice(self._relay.channels.values(), DEMO_CHANNELS)
        banners = [self._banner(channel, DEMO_LINES) for channel in channels]
        return self._page("demo/index.html", banners=banners)

    async def channel(self, request: Request) -> Response:
        slug = request.path_params["channel"]
        if (channel := self._relay.channels.get(slug)) is None:
            return no_channel(request, self._templates, self._relay)
        return self._page("channel/index.html", **self._banner(channel))

    def _banner(self, channel: Channel, most: int | None = None) -> dict[str, Any]:
        """What a template writes a banner of: its lines are in the page before it is."""
        board = self._relay.board(channel.slug)
        return {
            "channel": channel,
            "lines": [plain(line) for line in board.lines[:most]],
            "now": board.now,
            "words": self._words.of(channel.language),
        }

    def _page(self, name: str, **values: Any) -> Response:
        html = self._templates.get_template(name).render(public_url=self._public_url, **values)
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": PAGE_POLICY}
        return Response(html, headers=headers, media_type="text/html")


def open_templates(web: Path) -> Environment:
    """The templates of our pages; they escape every value."""
    templates = Environment(loader=FileSystemLoader(web), autoescape=True, undefined=StrictUndefined)
    templates.filters["rfc3339"] = _rfc3339
    templates.filters["day"] = lambda time: time.strftime("%Y-%m-%d")
    ledger: dict[str, dict[str, str]] = msgspec.json.decode((web / "channel" / "corrections.json").read_bytes())
    templates.globals["ledger_words"] = lambda language: ledger.get(base_language(language), ledger["en"])
    templates.filters["clock"] = lambda time: time.strftime("%H:%M UTC")
    return templates


def no_channel(request: Request, templates: Environment, relay: Relay, *, framed: bool = False) -> Response:
    """The answer if there is no such channel: a page for readers, who may see it in an iframe.

    Raises NotFound, for programs.
    """
    slug = request.path_params["channel"]
    if not wants_page(request.headers.get("accept", "")):
        raise NotFound(no_such_channel(slug))
    return _none(templates, relay, slug[:64], framed=framed)


def _none(templates: Environment, relay: Relay, slug: str | None = None, *, framed: bool = False) -> Response:
    html = templates.get_template("channel/none.html").render(
        slug=slug, channels=relay.channels.values(), framed=framed
    )
    policy = PAGE_POLICY.replace("frame-ancestors 'none'", "frame-ancestors *") if framed else PAGE_POLICY
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": policy, "Vary": "Accept"}
    return Response(html, 404, headers=headers, media_type="text/html")


def wants_page(accept: str) -> bool:
    """Whether an Accept header (RFC 9110, 12.5.1) names HTML, as browsers' do, and doesn't refuse it."""
    weights = dict(members(accept))
    return any(weights.get(kind, 0.0) > 0 for kind in ("text/html", "application/xhtml+xml"))


def plain(line: Line) -> dict[str, Any]:
    """A line for a template: what it doesn't have is None."""
    return {name: None if value is UNSET else value for name, value in msgspec.structs.asdict(line).items()}


def _rfc3339(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
