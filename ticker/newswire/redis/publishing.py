"""Keeping, numbering and announcing a change, in one step. Knows one channel at a time; knows no reader of it.

One script does it (`publish.lua`); it is given the cursor that the event follows, so that if two nodes publish at once,
one of them must read again and retry. What is in doubt when a connection breaks is asked again under the same outcome:
a
line goes out once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ticker.channel import Channel
from ticker.draft import Draft, microseconds
from ticker.errors import NewswireFull, NewswireUnavailable, TickerError
from ticker.line import Act, Cursor, Event, Line, NewLine, Patch, amend, begin, expect, withholds
from ticker.newswire import IdempotencyKey, Outcome, cursor_after
from ticker.newswire.redis.asking import Asking, NotYetReplicated, Refused, Script
from ticker.newswire.redis.clock import ServerClock
from ticker.newswire.redis.histories import SAID_FOR
from ticker.newswire.redis.idempotency import (
    Fenced,
    Idempotency,
    OutcomeKey,
    decode_keeping,
    encode_keeping,
    outcome,
    outcome_key_of,
)
from ticker.newswire.redis.reading import PINNED_PLACE, Reading
from ticker.newswire.redis.records import KeptDraft, Written, due_member, encode, in_state, locked

ANSWER_WITHIN = 4.0  # seconds a change is tried for, over reconnects and a failover that is quick
RETRY_AFTER = 0.02, 0.3  # seconds between two attempts: first, most
HISTORY_MAX = 200_000  # events a channel; about 200 MB of Redis at most, even if `history` is longer


class Release(NamedTuple):
    """The draft that goes out with a line, in the same step. `before`: as it was read."""

    before: KeptDraft
    after: Draft
    due: int
    """When it was due, in milliseconds."""

    @property
    def parts(self) -> tuple[str, ...]:
        return "drafts", "due", in_state(self.before.draft.state), in_state("released")

    @property
    def arguments(self) -> tuple[str | bytes | int, ...]:
        draft = self.after
        return draft.id, self.before.body, encode(draft), self.due, due_member(draft), microseconds(draft.updated)


class Proposal(NamedTuple):
    """What a line is to become, by whom, and whether that is a change at all."""

    line: Line
    is_change: bool
    act: Act
    waits_for_lock: bool = True
    release: Release | None = None


Propose = Callable[[Cursor], Awaitable[Proposal]]


class Publishing:
    """Changes of this node, one after the other in each channel."""

    def __init__(self, asking: Asking, clock: ServerClock, reading: Reading) -> None:
        self._asking = asking
        self._clock = clock
        self._reading = reading
        self.idempotency = Idempotency(asking)
        self._publish = Script.named("publish.lua")
        self._heads: dict[str, str] = {}
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def publish(self, channel: Channel, new_line: NewLine, act: Act, once: IdempotencyKey | None) -> Outcome:
        async def propose(cursor: Cursor) -> Proposal:
            return Proposal(begin(new_line, channel, cursor), True, act)

        return await self.change(channel, propose, outcome_key_of(channel.slug, once))

    async def amend(
        self, channel: Channel, line_id: str, patch: Patch, act: Act, if_match: str | None, once: IdempotencyKey | None
    ) -> Outcome:
        async def propose(cursor: Cursor) -> Proposal:
            before = await self._reading.line(channel.slug, line_id)
            expect(before, if_match)
            after = amend(before, patch, cursor)
            return Proposal(after, after is not before, act, waits_for_lock=not withholds(before, patch))

        return await self.change(channel, propose, outcome_key_of(channel.slug, once))

    def note(self, event: Event) -> None:
        """Another node's event was heard; ours will follow it."""
        known = self._heads.get(event.channel)
        if known and Cursor.parse(known) < Cursor.parse(event.cursor):
            self._heads[event.channel] = event.cursor

    async def change(self, channel: Channel, propose: Propose, outcome_key: OutcomeKey) -> Outcome:
        """Make a change after the channel's head; retry each time that another change was first.

        `propose` reads what it needs itself: if the head hasn't moved since, no line has changed.
        """
        once = outcome_key.once
        give_up = time.monotonic() + ANSWER_WITHIN
        pause = RETRY_AFTER[0]
        doubt: NewswireUnavailable | None = None
        claim = fence = 0
        async with self._turns[channel.slug]:
            while time.monotonic() < give_up:
                try:
                    if doubt and (kept := await self.idempotency.kept(outcome_key)) and kept.nonce == outcome_key.nonce:
                        return outcome(kept, outcome_key)  # this node's own attempt, whose answer was lost
                    if once and claim <= fence:
                        claim = await self.idempotency.claim(channel.slug, once, fence)
                    if done := await self.attempt(channel, propose, outcome_key, claim):
                        return done
                except Fenced as lost:
                    fence = lost.fence
                except NotYetReplicated:
                    raise
                except (NewswireFull, Refused) as error:
                    if doubt:  # an earlier try may have been kept
                        raise doubt from error
                    raise
                except NewswireUnavailable as error:
                    doubt = error
                    self._heads.pop(channel.slug, None)
                    await asyncio.sleep(random.uniform(pause / 2, pause))
                    pause = min(pause * 2, RETRY_AFTER[1])
        raise doubt or NewswireUnavailable("Too many other changes were made first. Nothing was published.")

    async def attempt(self, channel: Channel, propose: Propose, outcome_key: OutcomeKey, claim: int) -> Outcome | None:
        """None where somebody else was first; the head that follows is known then. Raises Fenced."""
        slug = outcome_key.slug
        head = self._heads.get(slug)
        if head is None:
            head = self._heads[slug] = await self._reading.head(slug)
        cursor = cursor_after(Cursor.parse(head) if head else None, self._clock.milliseconds())
        try:
            proposal = await propose(cursor)
        except NewswireUnavailable:
            raise
        except TickerError:  # perhaps because this very request has been through before
            if kept := await self.idempotency.kept(outcome_key):
                return outcome(kept, outcome_key)
            raise
        line, event = proposal.line, None
        if proposal.is_change:
            event = Event(channel=slug, cursor=str(cursor), prev=head or None, line=line, act=proposal.act)
        if event is None:
            if outcome_key.once is None:
                return Outcome(line, None)
            verdict, answer = await self.idempotency.remember(outcome_key, line, claim)
        else:
            asked_at = time.monotonic()
            verdict, answer, now = await self._send(channel, event, head, outcome_key, claim, proposal)
            self._clock.follow(now, asked_at)
        match verdict:
            case b"kept":
                if event:
                    self._heads[slug] = event.cursor
                return Outcome(line, event)
            case b"once":
                return outcome(decode_keeping(answer), outcome_key)
            case b"fenced":
                raise Fenced(int(answer))
            case b"locked":
                raise locked(slug, answer)
            case b"draft" | b"early":
                return None
            case _:
                self._heads[slug] = answer.decode()
                return None

    async def _send(
        self,
        channel: Channel,
        event: Event,
        head: str,
        outcome_key: OutcomeKey,
        claim: int,
        proposal: Proposal,
    ) -> tuple[bytes, bytes, int]:
        slug, key = channel.slug, self._asking.key
        line, release = event.line, proposal.release
        first = Cursor.parse(line.id)
        written = Written.of(event)
        answer: tuple[bytes, bytes, int] = await self._asking.run(
            self._publish,
            [
                key(slug, "head"),
                key(slug, "events"),
                key(slug, "lines"),
                key(slug, "index"),
                key(slug, f"versions:{line.id}"),
                self.idempotency.key_of(outcome_key),
                key(slug, "histories"),
                *((key(slug, "lock"),) if proposal.waits_for_lock else ()),
                *((key(slug, part) for part in release.parts) if release else ()),
            ],
            [
                head,
                event.cursor,
                written.event,
                line.id,
                written.line,
                first.ms + (PINNED_PLACE if line.pinned else 0),
                encode_keeping(outcome_key, written, line, None),
                outcome_key.remember_for,
                channel.history_for,
                self._asking.topology.publish_command,
                key(slug, "live"),
                HISTORY_MAX,
                SAID_FOR,
                claim,
                *((*release.arguments, key(slug, "desk")) if release else ()),
            ],
            wait=True,
        )
        return answer
