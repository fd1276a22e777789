"""Keeping, numbering and announcing a change, in one step. Knows one channel at a time; knows no reader of it.

One script does it (`publish.lua`); it is given the cursor that the event follows, so that of two nodes that publish
at once one is told to look again. What is in doubt when a connection breaks is asked again under the same outcome: a
line goes out once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from uuid import uuid4

import msgspec

from ticker.channel import Channel
from ticker.errors import NewswireFull, NewswireUnavailable, TickerError
from ticker.line import Cursor, Event, Line, NewLine, Patch, amend, begin, expect
from ticker.newswire import IdempotencyKey, Outcome, cursor_after
from ticker.newswire.redis.asking import Asking, NotYetReplicated, Refused, Script
from ticker.newswire.redis.clock import ServerClock
from ticker.newswire.redis.histories import SAID_FOR
from ticker.newswire.redis.idempotency import Fenced, Idempotency, Keeping, OutcomeKey, decode_keeping, outcome
from ticker.newswire.redis.reading import PINNED_PLACE, Reading

ANSWER_WITHIN = 4.0  # seconds a change is tried for, over reconnects and a failover that is quick
RETRY_AFTER = 0.02, 0.3  # seconds between two tries: first, most
HISTORY_MAX = 200_000  # events a channel; some 200 MB of Redis at most, whatever `history` says

Change = Callable[[Cursor], Awaitable[tuple[Line, bool]]]

_encode = msgspec.json.encode


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

    async def publish(self, channel: Channel, new_line: NewLine, by: str, once: IdempotencyKey | None) -> Outcome:
        async def change(cursor: Cursor) -> tuple[Line, bool]:
            return begin(new_line, channel, cursor), True

        return await self._change(channel, change, by, once)

    async def amend(
        self, channel: Channel, line_id: str, patch: Patch, by: str, if_match: str | None, once: IdempotencyKey | None
    ) -> Outcome:
        async def change(cursor: Cursor) -> tuple[Line, bool]:
            before = await self._reading.line(channel.slug, line_id)
            expect(before, if_match)
            after = amend(before, patch, cursor)
            return after, after is not before

        return await self._change(channel, change, by, once)

    def note(self, event: Event) -> None:
        """Another node's event was heard; ours will follow it."""
        known = self._heads.get(event.channel)
        if known and Cursor.parse(known) < Cursor.parse(event.cursor):
            self._heads[event.channel] = event.cursor

    async def _change(self, channel: Channel, change: Change, by: str, once: IdempotencyKey | None) -> Outcome:
        """Make the change after the channel's head, looking again as often as somebody else was first.

        `change` reads what it needs itself: where the head hasn't moved since, nor has any line. It says
        what the line is then, and whether that is a change at all.
        """
        outcome_key = OutcomeKey(channel.slug, uuid4().hex, once)
        give_up = time.monotonic() + ANSWER_WITHIN
        pause = RETRY_AFTER[0]
        doubt: NewswireUnavailable | None = None
        claim = fence = 0
        async with self._turns[channel.slug]:
            while time.monotonic() < give_up:
                try:
                    if doubt and (kept := await self.idempotency.kept(outcome_key)) and kept.nonce == outcome_key.nonce:
                        return Outcome(kept.line, kept.event)  # our own try, whose answer was lost
                    if once and claim <= fence:
                        claim = await self.idempotency.claim(channel.slug, once, fence)
                    if done := await self.attempt(channel, change, by, outcome_key, claim):
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
        raise doubt or NewswireUnavailable("Too many changes came before this one. Nothing was published.")

    async def attempt(
        self, channel: Channel, change: Change, by: str, outcome_key: OutcomeKey, claim: int
    ) -> Outcome | None:
        """None where somebody else was first; the head that follows is known then. Raises Fenced."""
        slug, nonce, once = outcome_key
        head = self._heads.get(slug)
        if head is None:
            head = self._heads[slug] = await self._reading.head(slug)
        cursor = cursor_after(Cursor.parse(head) if head else None, self._clock.milliseconds())
        try:
            line, changed = await change(cursor)
        except NewswireUnavailable:
            raise
        except TickerError:  # perhaps because this very request has been through before
            if kept := await self.idempotency.kept(outcome_key):
                return outcome(kept, outcome_key)
            raise
        event = Event(channel=slug, cursor=str(cursor), prev=head or None, line=line, by=by) if changed else None
        keeping = Keeping(once.fingerprint if once else "", nonce, event, line)
        if event is None:
            if once is None:
                return Outcome(line, None)
            verdict, answer = await self.idempotency.remember(outcome_key, keeping, claim)
        else:
            asked_at = time.monotonic()
            verdict, answer, now = await self._send(channel, event, head, keeping, outcome_key, claim)
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
            case _:
                self._heads[slug] = answer.decode()
                return None

    async def _send(
        self, channel: Channel, event: Event, head: str, keeping: Keeping, outcome_key: OutcomeKey, claim: int
    ) -> tuple[bytes, bytes, int]:
        slug, key = channel.slug, self._asking.key
        line = event.line
        first = Cursor.parse(line.id)
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
            ],
            [
                head,
                event.cursor,
                _encode(event),
                line.id,
                _encode(line),
                first.ms + (PINNED_PLACE if line.pinned else 0),
                _encode(keeping),
                outcome_key.remember_for,
                channel.history_for,
                self._asking.topology.publish_command,
                key(slug, "live"),
                HISTORY_MAX,
                SAID_FOR,
                claim,
            ],
            wait=True,
        )
        return answer
