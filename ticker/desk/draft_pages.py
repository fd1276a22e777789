"""The list of drafts, page by page. Knows who may see which; changes nothing."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Collection

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker.channel import Channel
from ticker.desk import fields
from ticker.desk.access import Access, expect
from ticker.desk.fields import LIMIT_MAX
from ticker.desk.intake import query_of
from ticker.desk.proposals import Proposals, may_see
from ticker.draft import Draft, Place, State
from ticker.http.answers import json_answer
from ticker.http.fields import is_held
from ticker.identity import Identity
from ticker.newswire import Newswire


class DraftPages:
    def __init__(self, newswire: Newswire, access: Access, proposals: Proposals) -> None:
        self._newswire = newswire
        self._access = access
        self._proposals = proposals
        self._run = secrets.token_hex(4)
        self._changes: Counter[str] = Counter()
        newswire.on_desk_change(self._note_change)

    def _note_change(self, channel: str) -> None:
        self._changes[channel] += 1

    def routes(self) -> list[Route]:
        return [Route("/v1/channels/{channel}/drafts", self.page)]

    async def page(self, request: Request) -> Response:
        """Some drafts, the one changed last first. `state`: one or more, with commas; those that have not ended
        without it."""
        key, channel = await self._access.entitled(request)
        expect(key, "draft")
        asked = query_of(request, "state", "limit", "after")
        states, limit = fields.states(asked.get("state")), fields.limit(asked.get("limit"))
        after = fields.place(asked.get("after"))
        held = request.headers.get("if-none-match", "")
        drafts: list[Draft] | None = None
        if key.may("edit"):
            tag = self._tag(key, channel, request.url.query)
        else:  # a contributor's tells nothing of the drafts of others
            drafts, more = await self._seen_by(key, channel, states, limit, after)
            tag = _tag_of(drafts, more=more)
        if is_held(held, tag):
            return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "no-cache"})
        if drafts is None:
            drafts, more = await self._seen_by(key, channel, states, limit, after)
        rest = str(drafts[-1].place) if more and drafts else None
        body = {"drafts": [self._proposals.object(draft) for draft in drafts], "next": rest}
        return json_answer(body, cache="no-cache", headers={"ETag": tag})

    async def _seen_by(
        self, key: Identity, channel: Channel, states: Collection[State], limit: int, after: Place | None
    ) -> tuple[list[Draft], bool]:
        """The drafts that the key may see, and whether there are more of them."""
        if key.may("edit"):
            page = await self._newswire.drafts(channel.slug, states, limit, after)
            return page.drafts, page.more
        found: list[Draft] = []
        while len(found) <= limit:
            page = await self._newswire.drafts(channel.slug, states, LIMIT_MAX, after)
            found += [draft for draft in page.drafts if may_see(key, draft)]
            if not page.more or not page.drafts:
                break
            after = page.drafts[-1].place
        return found[:limit], len(found) > limit

    def _tag(self, key: Identity, channel: Channel, query: str) -> str:
        """Changes with any draft of the channel."""
        asked = hashlib.sha256(f"{key.id} {key.role} {query}".encode()).hexdigest()[:16]
        return f'"{self._run}-{self._changes[channel.slug]}-{asked}"'


def _tag_of(drafts: list[Draft], *, more: bool) -> str:
    """Changes with these drafts alone."""
    seen = " ".join(f"{draft.id}{draft.etag}" for draft in drafts)
    return f'"{hashlib.sha256(f"{seen} {more}".encode()).hexdigest()[:32]}"'
