"""What the tests of drafts share: who writes and agrees, and drafts on their way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from ticker import draft as rules
from ticker.channel import Channel
from ticker.draft import Draft, NotDue
from ticker.identity import Key, Role
from ticker.line import Line, NewLine, Patch, checked
from ticker.lock import Lock
from ticker.newswire import IdempotencyKey, Newswire, Settlement

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def a_key(name: str, role: Role = "editor", owner: str | None = None) -> Key:
    return Key(id=name.lower(), name=name, role=role, channels=(), hash="", created=BEGAN, owner=owner)


ADA, BOB, CARL = a_key("Ada"), a_key("Bob", "chief"), a_key("Carl", "contributor")


def as_it_stands(draft: Draft, _: datetime) -> Draft:
    return draft


def now(channel: Channel, key: Key = ADA) -> Callable[[Draft, datetime], Draft]:
    """Publish it at once."""
    return lambda draft, moment: rules.schedule(draft, channel, key, moment, moment)


async def keep(
    wire: Newswire,
    channel: Channel,
    text: str = "Rain",
    *,
    by: Key = ADA,
    due_in: float | None = None,
    scheduled: bool = True,
    once: IdempotencyKey | None = None,
    **fields: Any,
) -> Draft:
    """A new line's draft; with `due_in` (seconds) scheduled."""
    new = checked(NewLine(text=text, **fields))
    return await _keep(wire, channel, by, due_in, scheduled, once, new=new)


async def keep_change(
    wire: Newswire,
    channel: Channel,
    line: Line,
    *,
    by: Key = ADA,
    due_in: float | None = None,
    **fields: Any,
) -> Draft:
    """A change of a line, scheduled if `due_in` is given."""
    return await _keep(wire, channel, by, due_in, True, None, patch=checked(Patch(**fields)), line=line)


async def _keep(
    wire: Newswire,
    channel: Channel,
    by: Key,
    due_in: float | None,
    scheduled: bool,
    once: IdempotencyKey | None,
    **given: Any,
) -> Draft:
    moment = wire.now()
    draft = rules.write(channel, by, moment, **given)
    if due_in is not None:
        at = moment + timedelta(seconds=due_in)
        draft = rules.schedule(draft, channel, by, moment, at) if scheduled else draft
    return await wire.keep_draft(draft, once=once)


async def settle(wire: Newswire, channel: Channel, draft: Draft) -> Settlement:
    """As the background does it."""
    return await wire.settle(channel, draft.id, as_it_stands)


async def settle_in_time(wire: Newswire, channel: Channel, draft: Draft) -> Settlement | None:
    """Once it is due. None: another was first."""
    while True:
        try:
            return await settle(wire, channel, draft)
        except NotDue:
            if (await wire.draft(channel.slug, draft.id)).state != "scheduled":
                return None
        await asyncio.sleep(0.01)


def a_lock(reason: str = "Wrong flash", by: Key = BOB) -> Lock:
    return Lock(reason=reason, by=by.actor, person=by.person, at=BEGAN)
