"""Drafts: kept, changed, and released in the script that publishes. Knows one channel at a time.

A draft is put in the place of what was read, by one script. If somebody else was first, it is read again and the change
is tried again. Each request has an outcome, as one that publishes has: if an answer is lost, the outcome says whether
the change was made.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from ticker.channel import Channel
from ticker.draft import ENDED, KEPT_FOR, LIVING, LIVING_MAX, Draft, NotDue, Place, State, act_of, microseconds, settle
from ticker.errors import KeyReused, NewswireFull, NewswireUnavailable, NotFound, Refused, TickerError
from ticker.line import Cursor, Line
from ticker.newswire import (
    KEY_REUSED,
    TOO_MANY_DRAFTS,
    DraftPage,
    Due,
    IdempotencyKey,
    Outcome,
    Settlement,
    no_draft,
)
from ticker.newswire.redis import asking as answers
from ticker.newswire.redis import publishing
from ticker.newswire.redis.asking import Asking, NotYetReplicated, Script
from ticker.newswire.redis.clock import ServerClock
from ticker.newswire.redis.idempotency import (
    Keeping,
    OutcomeKey,
    decode_keeping,
    encode_keeping,
    outcome,
    outcome_key_of,
)
from ticker.newswire.redis.publishing import RETRY_AFTER, Proposal, Publishing, Release
from ticker.newswire.redis.reading import Reading
from ticker.newswire.redis.records import (
    KeptDraft,
    decode_draft,
    due_member,
    encode,
    in_state,
    locked,
)

T = TypeVar("T")

TRIM_AT_ONCE = 1_000  # ids of ended drafts a command


class _Settling(NamedTuple):
    """A draft's time has come, and no line goes out with it. `line`: what it would have changed, if it is released."""

    line: Line | None
    not_before: datetime


class _WithoutLine(Exception):
    """A draft changes, and no line goes out with it. `settling`: None if its time has not come."""

    def __init__(self, before: KeptDraft, after: Draft, settling: _Settling | None) -> None:
        super().__init__(after.id)
        self.before = before
        self.after = after
        self.settling = settling


class Drafts:
    """`changed` is called with each channel in which this node has changed a draft."""

    def __init__(
        self,
        asking: Asking,
        clock: ServerClock,
        reading: Reading,
        publishing: Publishing,
        changed: Callable[[str], None],
    ) -> None:
        self._asking = asking
        self._clock = clock
        self._reading = reading
        self._publishing = publishing
        self._changed = changed
        self._keep = Script.named("keep_draft.lua")
        self._drop = Script.named("drop_draft.lua")

    # Reading

    async def get(self, slug: str, draft_id: str) -> Draft:
        return (await self._read(slug, draft_id)).draft

    async def _read(self, slug: str, draft_id: str) -> KeptDraft:
        body: bytes | None = await self._asking.do("HGET", self._asking.key(slug, "drafts"), draft_id)
        if body is None:
            raise no_draft(slug, draft_id)
        return KeptDraft.of(body)

    async def page(self, slug: str, states: Collection[State], limit: int, after: Place | None) -> DraftPage:
        found = [each for state in set(states) for each in await self._in_state(slug, state, limit + 1, after)]
        ids = [draft_id for _, draft_id in sorted(found, reverse=True)]
        if not ids:
            return DraftPage([], more=False)
        bodies = await self._asking.do("HMGET", self._asking.key(slug, "drafts"), *ids[:limit])
        drafts = [decode_draft(body) for body in bodies if body]
        return DraftPage([draft for draft in drafts if draft.state in states], more=len(ids) > limit)

    async def _in_state(self, slug: str, state: State, limit: int, last: Place | None) -> list[tuple[int, str]]:
        """When they were changed, and their ids; the one changed last first, after `last`."""
        key = self._asking.key(slug, in_state(state))
        at_once: list[tuple[int, str]] = []
        newest = "+inf"
        if last is not None:
            same = await self._asking.do("ZRANGEBYSCORE", key, last[0], last[0], "WITHSCORES")
            at_once = sorted((each for each in _pairs(same) if each < last), reverse=True)
            newest = f"({last[0]}"
        found = await self._asking.do("ZREVRANGEBYSCORE", key, newest, "-inf", "WITHSCORES", "LIMIT", 0, limit)
        return [*at_once, *_pairs(found)][:limit]

    async def upcoming(self, channels: Iterable[str], limit: int) -> list[Due]:
        async def of(slug: str) -> list[tuple[int, str, str]]:
            found = await self._asking.do("ZRANGE", self._asking.key(slug, "due"), 0, limit - 1, "WITHSCORES")
            return [(ms, member, slug) for ms, member in _pairs(found)]

        # Waiting for one of them relies on the clock, so each look shows whether the clock was put forward or back.
        each, _ = await asyncio.gather(asyncio.gather(*(of(slug) for slug in channels)), self._clock.ask())
        first = heapq.nsmallest(limit, (due for dues in each for due in dues))
        return [Due(slug, member.partition(" ")[2], ms) for ms, member, slug in first]

    # Changing

    async def remembered(self, slug: str, once: IdempotencyKey) -> Outcome | Draft | None:
        key = OutcomeKey(slug, "", once)
        kept = await self._publishing.idempotency.kept(key)
        if kept is None:
            return None
        if kept.fingerprint != once.fingerprint:
            raise KeyReused(KEY_REUSED)
        return await self.get(slug, kept.draft) if kept.draft is not None else outcome(kept, key)

    async def keep(self, draft: Draft, once: IdempotencyKey | None) -> Draft:
        outcome_key = outcome_key_of(draft.channel, once)
        claim = fence = 0

        async def attempt() -> Draft | None:
            nonlocal claim, fence
            if once and claim <= fence:
                claim = await self._publishing.idempotency.claim(draft.channel, once, fence)
            verdict, answer = await self._put(draft, None, outcome_key, claim)
            match verdict:
                case b"kept":
                    return draft
                case b"once":
                    return await self._kept_before(draft, decode_keeping(answer), once)
                case b"many":
                    raise Refused(TOO_MANY_DRAFTS.format(LIVING_MAX))
                case b"fenced":
                    fence = int(answer)
            return None

        return await self._tried(attempt)

    async def _kept_before(self, draft: Draft, kept: Keeping, once: IdempotencyKey | None) -> Draft:
        """The draft that this request became before: an attempt of ours whose answer was lost, or another one."""
        if kept.draft == draft.id:
            return draft
        if once is None or kept.fingerprint != once.fingerprint or kept.draft is None:
            raise KeyReused(KEY_REUSED)
        return await self.get(draft.channel, kept.draft)

    async def change(self, slug: str, draft_id: str, change: Callable[[Draft], Draft]) -> Draft:
        outcome_key = outcome_key_of(slug, None)

        async def attempt() -> Draft | None:
            before = await self._read(slug, draft_id)
            try:
                after = change(before.draft)
            except TickerError:  # perhaps because this very change has been made, and the answer was lost
                if await self._publishing.idempotency.kept(outcome_key):
                    return await self.get(slug, draft_id)
                raise
            if after is before.draft:
                return after
            verdict, _ = await self._put(after, before, outcome_key)
            match verdict:
                case b"kept":
                    return after
                case b"once":
                    return await self.get(slug, draft_id)
            return None

        return await self._tried(attempt)

    async def settle(self, channel: Channel, draft_id: str, prepare: Callable[[Draft, datetime], Draft]) -> Settlement:
        slug = channel.slug
        outcome_key = outcome_key_of(slug, None)
        proposed: tuple[Draft, Line] | None = None

        async def propose(cursor: Cursor) -> Proposal:
            nonlocal proposed
            before = await self._read(slug, draft_id)
            now = Cursor(min(cursor.ms, self._clock.milliseconds()), 0).time  # the cursor is ahead of a clock put back
            draft = prepare(before.draft, now)
            if draft.due is None or draft.due > now:
                if draft is before.draft:
                    if draft.due is not None:  # somebody took it for due, by a clock that was ahead: look again
                        self._changed(slug)
                    raise NotDue("The draft is not due.")
                raise _WithoutLine(before, draft, None)
            settled = settle(draft, await self._line(slug, draft), channel, cursor, now)
            if settled.line is None or not settled.is_change:
                late = timedelta(seconds=channel.late_after if settled.draft.state == "missed" else 0)
                raise _WithoutLine(before, settled.draft, _Settling(settled.line, draft.due + late))
            proposed = settled.draft, settled.line
            due = microseconds(draft.due) // 1000
            return Proposal(settled.line, True, act_of(draft), release=Release(before, settled.draft, due))

        async def attempt() -> Settlement | None:
            try:
                done = await self._publishing.change(channel, propose, outcome_key)
            except _WithoutLine as without:
                return await self._settle_without_line(without, outcome_key)
            except NewswireUnavailable:
                raise
            except TickerError:  # perhaps because this node has settled it, and the answer was lost
                if settlement := await self._settled(slug, draft_id, outcome_key):
                    return settlement
                raise
            self._changed(slug)
            if proposed is not None and done.line == proposed[1]:
                return Settlement(proposed[0], done)
            return Settlement(await self.get(slug, draft_id), done)  # an earlier attempt's, whose answer was lost

        return await self._tried(attempt)

    async def _settle_without_line(self, without: _WithoutLine, outcome_key: OutcomeKey) -> Settlement | None:
        """What changes is the draft alone. Whether it is a conflict, missed, or no change was so when its line was
        read; a change that another makes of the line since comes after this."""
        draft, settling = without.after, without.settling
        verdict, answer = await self._put(draft, without.before, outcome_key, settling=settling)
        match verdict:
            case b"kept":
                return Settlement(draft, Outcome(settling.line, None) if settling and settling.line else None)
            case b"once":
                return await self._settled(draft.channel, draft.id, outcome_key)
            case b"locked":
                raise locked(draft.channel, answer)
        return None

    async def _settled(self, slug: str, draft_id: str, outcome_key: OutcomeKey) -> Settlement | None:
        """What this node has made of the draft in an attempt whose answer was lost."""
        kept = await self._publishing.idempotency.kept(outcome_key)
        if kept is None:
            return None
        done = outcome(kept, outcome_key) if kept.line else None
        return Settlement(await self.get(slug, draft_id), done)

    async def _line(self, slug: str, draft: Draft) -> Line | None:
        if draft.line is None:
            return None
        try:
            return await self._reading.line(slug, draft.line)
        except NotFound:
            return None

    async def _put(
        self,
        draft: Draft,
        before: KeptDraft | None,
        outcome_key: OutcomeKey,
        claim: int = 0,
        settling: _Settling | None = None,
    ) -> tuple[bytes, bytes]:
        slug, key = draft.channel, self._asking.key
        line = settling.line if settling else None
        asked_at = time.monotonic()
        verdict, answer, now = await self._asking.run(
            self._keep,
            [
                *(key(slug, part) for part in ("drafts", "due")),
                self._publishing.idempotency.key_of(outcome_key),
                key(slug, "lock"),
                key(slug, in_state(before.draft.state if before else draft.state)),
                key(slug, in_state(draft.state)),
                *([] if before else (key(slug, in_state(state)) for state in LIVING)),
            ],
            [
                draft.id,
                before.body if before else "",
                encode(draft),
                microseconds(draft.updated),
                due_member(draft),
                "" if draft.due is None else microseconds(draft.due) // 1000,
                LIVING_MAX,
                self._asking.topology.publish_command,
                key(slug, "desk"),
                encode_keeping(outcome_key, None, line, draft.id),
                outcome_key.remember_for,
                claim,
                int(settling is not None),
                microseconds(settling.not_before) // 1000 if settling else "",
            ],
            wait=True,
        )
        self._clock.follow(now, asked_at)
        if verdict == b"kept":
            self._changed(slug)
        return verdict, answer

    async def _tried(self, attempt: Callable[[], Awaitable[T | None]]) -> T:
        """What an attempt gives; tried again while it gives nothing, or Redis gives no answer."""
        give_up = time.monotonic() + publishing.ANSWER_WITHIN
        pause = RETRY_AFTER[0]
        doubt: NewswireUnavailable | None = None
        while time.monotonic() < give_up:
            try:
                if (done := await attempt()) is not None:
                    return done
            except NotYetReplicated:
                raise
            except (NewswireFull, answers.Refused) as error:
                raise doubt or error from error
            except NewswireUnavailable as error:
                doubt = error
                await asyncio.sleep(random.uniform(pause / 2, pause))
                pause = min(pause * 2, RETRY_AFTER[1])
        raise doubt or NewswireUnavailable("Too many other changes were made first. Nothing was changed.")

    # Letting go

    async def trim(self, slug: str) -> None:
        """Let go of those that ended long ago."""
        before = (self._clock.milliseconds() - KEPT_FOR * 1000) * 1000
        for state in ENDED:
            keys = [self._asking.key(slug, part) for part in ("drafts", in_state(state))]
            old = "ZRANGEBYSCORE", keys[1], "-inf", f"({before}", "LIMIT", 0, TRIM_AT_ONCE
            while ids := await self._asking.do(*old):
                for draft_id in ids:
                    await self._asking.run(self._drop, keys, [draft_id, before])


def _pairs(found: list[Any]) -> Iterator[tuple[int, str]]:
    """Scores and members, as RESP2 (flat) or RESP3 (in pairs) gives them."""
    flat = [each for pair in found for each in pair] if found and isinstance(found[0], list) else found
    for member, score in zip(flat[::2], flat[1::2], strict=True):
        yield int(float(score)), member.decode()
