"""What an editor should look at before words go out: brakes, advice, lines like this one, and whom it would reach."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Final

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker import brakes
from ticker.brakes import Warning
from ticker.channel import Brake, Channel
from ticker.desk.access import Access
from ticker.desk.intake import query_of, sent
from ticker.desk.wishes import Publication, part_of, wishes_of
from ticker.draft import Draft, State
from ticker.errors import NotFound
from ticker.fanout.relay import Relay
from ticker.http.answers import json_answer
from ticker.identity import Identity
from ticker.line import Line, NewLine, Patch, checked
from ticker.newswire import Newswire

RECENT_MAX = 2_000  # events that a brake looks back on; 10 ms to read
SCHEDULED: Final[tuple[State, ...]] = ("scheduled",)
WAITING_MAX = 500  # scheduled drafts that a brake looks at, those changed last
SIMILAR_AMONG = 500  # events that are searched for lines like a new one


class Checks:
    """The warnings for a change, and the route that asks for them without one."""

    def __init__(self, newswire: Newswire, relay: Relay, access: Access) -> None:
        self._newswire = newswire
        self._relay = relay
        self._access = access
        self._turns: dict[str, asyncio.Lock] = {}

    def in_turn(self, channel: Channel) -> AbstractAsyncContextManager[object]:
        """Between a check and what it lets out, nothing else is checked on a channel whose brakes count."""
        if channel.flash_brake is None and channel.burst_brake is None:
            return nullcontext()
        return self._turns.setdefault(channel.slug, asyncio.Lock())

    def routes(self) -> list[Route]:
        return [Route("/v1/channels/{channel}/lines/check", self.check, methods=["POST"])]

    async def of_new(
        self, channel: Channel, key: Identity, new_line: NewLine, at: datetime | None = None, draft: str | None = None
    ) -> list[Warning]:
        """The brakes for a new line that goes out now, or at a time; as this draft."""
        found: list[Warning | None] = [*_marked(new_line, None, channel)]
        if new_line.language is UNSET:
            found.append(brakes.script(new_line.text, channel))
        if channel.flash_brake is not None and new_line.urgency == "flash":
            found.append(await self._flash_brake(key, channel, channel.flash_brake, at, draft))
        if channel.burst_brake is not None:
            found.append(await self._burst(channel, channel.burst_brake, key, draft))
        return [warning for warning in found if warning]

    async def of_change(
        self,
        key: Identity,
        channel: Channel,
        line: Line,
        patch: Patch,
        at: datetime | None = None,
        draft: str | None = None,
    ) -> list[Warning]:
        """The brakes for a change, now or at a time, of a line that stands so."""
        found: list[Warning | None] = [*_marked(patch, line, channel)]
        if isinstance(patch.text, str) and patch.text != line.text:
            if patch.language is UNSET and line.language == channel.language:
                found.append(brakes.script(patch.text, channel))
            if patch.refile:
                found.append(brakes.refile(await self._last_said(line), patch.text))
        if channel.flash_brake is not None and patch.urgency == "flash" and line.urgency != "flash":
            found.append(await self._flash_brake(key, channel, channel.flash_brake, at, draft))
        return [warning for warning in found if warning]

    async def _last_said(self, line: Line) -> str:
        """The line's text as it was before the slips that were mended since: many small ones are a correction."""
        said = line.text
        try:
            events = await self._newswire.versions(line.channel, line.id)
        except NotFound:  # its history has been trimmed
            events = []
        before = None
        for event in events:
            if event.line.text != before and not event.act.refile:
                said = event.line.text
            before = event.line.text
        assert isinstance(said, str)
        return said

    async def _flash_brake(
        self, key: Identity, channel: Channel, brake: Brake, at: datetime | None, draft: str | None
    ) -> Warning | None:
        """Flashes that went out, lines that became one, and those that are scheduled for about that time. A
        key that may not see those isn't told their number; the person who approves its flash is asked again."""
        at = at or self._newswire.now()
        since = at - timedelta(seconds=brake.seconds)
        flashes: set[str] = set()
        recent = await self._newswire.recent(channel.slug, since, RECENT_MAX)
        for event in recent:
            line = event.line
            if line.urgency != "flash" or line.id in flashes:
                continue
            is_new = line.published > since
            if is_new or brakes.became_flash(await self._newswire.versions(channel.slug, line.id), since):
                flashes.add(line.id)
        waiting, more = await self._scheduled(channel, draft) if key.may("edit") else ([], False)
        scheduled = [
            each
            for each in waiting
            if each.fields.urgency == "flash" and each.due and abs(each.due - at) < timedelta(seconds=brake.seconds)
        ]
        more = more or len(recent) == RECENT_MAX
        return brakes.flash_brake(brake, len(flashes) + len(scheduled), more=more)

    async def _burst(self, channel: Channel, brake: Brake, key: Identity, draft: str | None) -> Warning | None:
        """Lines that this key has put on the air, and those that it has scheduled."""
        since = self._newswire.now() - timedelta(seconds=brake.seconds)
        recent = await self._newswire.recent(channel.slug, since, RECENT_MAX)
        lines = brakes.lines_by(key.id, recent, since)
        waiting, _ = await self._scheduled(channel, draft)  # those changed last come first
        timed = [each.timed for each in waiting if each.new is not None]
        scheduled = [step for step in timed if step and step.by and step.by.id == key.id and step.at > since]
        return brakes.burst(brake, len(lines) + len(scheduled), more=len(recent) == RECENT_MAX)

    async def _scheduled(self, channel: Channel, draft: str | None) -> tuple[list[Draft], bool]:
        """Those that go out by themselves, but for the one that is looked at; and whether there are more."""
        page = await self._newswire.drafts(channel.slug, SCHEDULED, WAITING_MAX)
        return [each for each in page.drafts if each.id != draft], page.more

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


def _marked(given: NewLine | Patch, line: Line | None, channel: Channel) -> Iterator[Warning | None]:
    """What isn't meant for the public among the words that are new."""
    for name in ("text", "source", "note"):
        words = getattr(given, name)
        if isinstance(words, str) and (line is None or words != getattr(line, name)):
            yield brakes.marker(words, channel, name)
