"""What an editor should look at before words go out: brakes, advice, lines like this one, and whom it would reach."""

from __future__ import annotations

from datetime import timedelta

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker import brakes
from ticker.brakes import Warning
from ticker.channel import Channel
from ticker.desk.access import Access
from ticker.desk.intake import query_of, sent
from ticker.desk.wishes import Publication, part_of, wishes_of
from ticker.fanout.relay import Relay
from ticker.http.answers import json_answer
from ticker.identity import Key
from ticker.line import Line, NewLine, Patch, checked
from ticker.newswire import Newswire

RECENT_MAX = 2_000  # events that a brake looks back on; 10 ms to read
SIMILAR_AMONG = 500  # events that are searched for lines like a new one


class Checks:
    """The warnings for a change, and the route that asks for them without one."""

    def __init__(self, newswire: Newswire, relay: Relay, access: Access) -> None:
        self._newswire = newswire
        self._relay = relay
        self._access = access

    def routes(self) -> list[Route]:
        return [Route("/v1/channels/{channel}/lines/check", self.check, methods=["POST"])]

    async def of_new(self, channel: Channel, key: Key, new_line: NewLine) -> list[Warning]:
        """The brakes for a new line."""
        found: list[Warning | None] = [brakes.marker(new_line.text, channel)]
        if new_line.language is UNSET:
            found.append(brakes.script(new_line.text, channel))
        found += await self._looking_back(channel, key, is_flash=new_line.urgency == "flash", is_new=True)
        return [warning for warning in found if warning]

    async def of_change(self, channel: Channel, key: Key, line: Line, patch: Patch) -> list[Warning]:
        """The brakes for a change of a line that stands so."""
        found: list[Warning | None] = []
        if isinstance(patch.text, str) and patch.text != line.text:
            found.append(brakes.marker(patch.text, channel))
            if patch.language is UNSET and line.language == channel.language:
                found.append(brakes.script(patch.text, channel))
            if patch.refile and isinstance(line.text, str):
                found.append(brakes.refile(line.text, patch.text))
        if patch.urgency == "flash" and line.urgency != "flash":
            found += await self._looking_back(channel, key, is_flash=True, is_new=False)
        return [warning for warning in found if warning]

    async def _looking_back(self, channel: Channel, key: Key, *, is_flash: bool, is_new: bool) -> list[Warning | None]:
        seconds = brakes.looks_back(channel, flash=is_flash)
        if not seconds:
            return []
        now = self._newswire.now()
        events = await self._newswire.recent(channel.slug, now - timedelta(seconds=seconds), RECENT_MAX)
        return [
            brakes.flash_brake(channel, events, now) if is_flash else None,
            brakes.burst(channel, events, key.id, now) if is_new else None,
        ]

    async def check(self, request: Request) -> Response:
        """Nothing is published or kept."""
        key, channel = await self._access.entitled(request)
        query_of(request)
        given = await sent(request, Publication)
        new_line = checked(part_of(given, NewLine))
        wishes_of(given)
        now = self._newswire.now()
        warnings = [*await self.of_new(channel, key, new_line), *brakes.advice(given.text, new_line, channel)]
        since = now - timedelta(seconds=brakes.LOOKED_BACK)
        events = await self._newswire.recent(channel.slug, since, SIMILAR_AMONG)
        newest: dict[str, Line] = {}
        for event in events:
            newest.setdefault(event.line.id, event.line)
        similar = brakes.similar(new_line, (line for line in newest.values() if line.status == "usable"))
        if similar:
            detail = f"A line like this one went out in the last 24 hours: {similar[0].id}."
            warnings.append(Warning("duplicate", "text", detail, False))
        return json_answer({"warnings": warnings, "similar": similar, "reach": await self._reach(channel, new_line)})

    async def _reach(self, channel: Channel, new_line: NewLine) -> dict[str, object]:
        """Whom the line would reach; and which other channels show no line of its story."""
        others = [slug for slug in self._relay.channels if slug != channel.slug and new_line.story is not None]
        having = [slug for slug in others if self._has_story(slug, new_line.story)]
        reached = []
        for slug in (channel.slug, *having):
            readers, nodes = await self._newswire.presence.of(slug)
            reached.append({"channel": slug, "readers": readers, "nodes": nodes})
        return {"channels": reached, "lacking": [slug for slug in others if slug not in having], "outlets": 0}

    def _has_story(self, slug: str, story: str | None) -> bool:
        return any(line.story == story for line in self._relay.board(slug).lines if line.status == "usable")
