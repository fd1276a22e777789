"""What waits for one line: the drafts that would put it back on the air by themselves, or cancel it.

Rule 1: a line that is withheld again stays withheld. Drafts that would put it back by themselves are in conflict.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Final

from ticker import draft as rules
from ticker.channel import Channel
from ticker.desk.fields import LIMIT_MAX
from ticker.draft import ON_THEIR_WAY, Draft, State
from ticker.identity import Identity
from ticker.newswire import Newswire

_WAITING: Final[tuple[State, ...]] = (*ON_THEIR_WAY, "conflict")


class Pending:
    def __init__(self, newswire: Newswire) -> None:
        self._newswire = newswire

    async def hold_back(self, key: Identity, channel: Channel, line_id: str) -> None:
        """Every draft that would put the line back by itself is in conflict now: this key has withheld it again."""
        now = self._newswire.now()
        async for draft in self._of_line(channel, line_id, ON_THEIR_WAY):
            if draft.brings_back:
                await self._newswire.change_draft(channel.slug, draft.id, lambda kept: rules.hold_back(kept, key, now))

    async def cancellations(self, channel: Channel, line_id: str) -> AsyncIterator[Draft]:
        """The drafts that wait to cancel the line."""
        async for draft in self._of_line(channel, line_id, _WAITING):
            if draft.kind == "cancel":
                yield draft

    async def _of_line(self, channel: Channel, line_id: str, states: Collection[State]) -> AsyncIterator[Draft]:
        after = None
        while True:
            page = await self._newswire.drafts(channel.slug, states, LIMIT_MAX, after)
            for draft in page.drafts:
                if draft.line == line_id:
                    yield draft
            if not page.more or not page.drafts:
                return
            after = page.drafts[-1].place
