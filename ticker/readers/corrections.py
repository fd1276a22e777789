"""The public ledger of corrections, as JSON and as a page. Knows no event, and not what an entry may say."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from jinja2 import Environment
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker.background.ledger import Ledger
from ticker.channel import Channel, no_such_channel
from ticker.corrections import Entry, entry
from ticker.errors import Busy, FieldError, Invalid, NotFound
from ticker.fanout.relay import Relay
from ticker.http.answers import json_answer
from ticker.http.fields import is_held
from ticker.http.security import PAGE_POLICY
from ticker.line import Cursor
from ticker.newswire import Newswire
from ticker.readers.pages import no_channel
from ticker.readers.snapshot import CACHED
from ticker.readers.widget import Words

CORRECTIONS_MAX = 100  # entries a page of JSON
CORRECTIONS_USUAL = 50
ON_A_PAGE = 30
AT_ONCE = 2  # pages that are read at once, of however many
WAIT_MAX = 5.0  # seconds for a history that nobody has looked at yet


class Page(Struct, frozen=True):
    corrections: list[Entry]
    more: bool


class _Asked(NamedTuple):
    before: Cursor | None
    limit: int


class Corrections:
    """`/v1/channels/{channel}/corrections` and `/channels/{channel}/corrections`."""

    def __init__(
        self,
        newswire: Newswire,
        relay: Relay,
        ledger: Ledger,
        templates: Environment,
        words: Words,
        public_url: str,
    ) -> None:
        self._newswire = newswire
        self._relay = relay
        self._ledger = ledger
        self._templates = templates
        self._words = words
        self._public_url = public_url
        self._reading = asyncio.Semaphore(AT_ONCE)

    def routes(self) -> list[Route]:
        return [
            Route("/v1/channels/{channel}/corrections", self.json),
            Route("/channels/{channel}/corrections", self.page),
        ]

    async def json(self, request: Request) -> Response:
        channel = self._relay.channels.get(request.path_params["channel"])
        if channel is None:
            raise NotFound(no_such_channel(request.path_params["channel"]))
        asked = _asked(request)
        # Before anything is read: what is read may be newer than its tag says, and never older.
        etag = self._relay.etag(channel.slug)
        if is_held(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers={"ETag": etag, "Cache-Control": CACHED})
        return json_answer(await self._page(channel, asked), cache=CACHED, headers={"ETag": etag})

    async def page(self, request: Request) -> Response:
        channel = self._relay.channels.get(request.path_params["channel"])
        if channel is None:
            return no_channel(request, self._templates, self._relay)
        before = _asked(request).before
        page = await self._page(channel, _Asked(before, ON_A_PAGE))
        html = self._templates.get_template("channel/corrections.html").render(
            channel=channel,
            entries=page.corrections,
            older=page.corrections[-1].cursor if page.more else None,
            is_first=before is None,
            words=self._words.of(channel.language),
            public_url=self._public_url,
        )
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": PAGE_POLICY}
        return Response(html, headers=headers, media_type="text/html")

    async def _page(self, channel: Channel, asked: _Asked) -> Page:
        """Raises Busy as long as a long history is being looked at for the first time."""
        slug = channel.slug
        try:
            async with asyncio.timeout(WAIT_MAX):
                await self._ledger.catch_up(slug, self._relay.board(slug).cursor)
        except TimeoutError as error:
            raise Busy("The corrections are being gathered from the history. Come back in a minute.") from error
        async with self._reading:
            kept = await self._newswire.corrections.page(slug, asked.before, asked.limit + 1)
            # The lines last: what was taken off the air up to now is in no entry.
            lines = await self._newswire.lines(slug, {each.line for each in kept})
        entries = [
            entry(each, lines.get(each.line), repeat_canceled=channel.repeat_canceled) for each in kept[: asked.limit]
        ]
        return Page(entries, len(kept) > asked.limit)


def _asked(request: Request) -> _Asked:
    """Raises Invalid and Malformed."""
    limit = request.query_params.get("limit", str(CORRECTIONS_USUAL))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= CORRECTIONS_MAX):
        raise Invalid(FieldError("limit", f"It is a number from 1 to {CORRECTIONS_MAX}."))
    before = request.query_params.get("before")
    return _Asked(Cursor.parse(before) if before else None, int(limit))
