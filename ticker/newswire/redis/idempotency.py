"""Requests that come twice are kept once. Knows claims and outcomes; knows no stream.

An Idempotency-Key holds over all channels, which in a Cluster live on different servers. So a request first
claims its key for its channel, in the slot of the keys. A request that finds it claimed for another channel fences that
claim off in that channel's slot: either the other request has its outcome there already, and this one is refused,
or it can't be made any more with that claim. Only then the claim is replaced, by one of a higher generation.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import uuid4

import msgspec
from msgspec import Raw, Struct

from ticker.errors import KeyReused
from ticker.line import Line
from ticker.newswire import IDEMPOTENCY_FOR, KEY_REUSED, IdempotencyKey, Outcome
from ticker.newswire.redis.asking import Asking, Script
from ticker.newswire.redis.records import KeptEvent, Written

NONCE_FOR = 120  # seconds a outcome nobody named is kept, and a fence: longer than anybody tries for
CLAIM_FOR = IDEMPOTENCY_FOR + NONCE_FOR  # seconds; a claim outlives the outcome of the request that made it


class Keeping(Struct, frozen=True):
    """What is kept under an Idempotency-Key, or under the nonce of a change that named none."""

    fingerprint: str
    nonce: str
    event: KeptEvent | None
    line: Line | None
    draft: str | None = None
    """The id of the draft that the request became; there is no line then."""


decode_keeping = msgspec.json.Decoder(Keeping).decode


def encode_keeping(outcome_key: OutcomeKey, written: Written | None, line: Line | None, draft: str | None) -> bytes:
    """A Keeping as it is written: of an event, or of a line or a draft without one."""
    return msgspec.json.encode(
        {
            "fingerprint": outcome_key.once.fingerprint if outcome_key.once else "",
            "nonce": outcome_key.nonce,
            "event": Raw(written.event) if written else None,
            "line": Raw(written.line) if written else line,
            "draft": draft,
        }
    )


class OutcomeKey(NamedTuple):
    """Where the outcome of one request is kept: under its Idempotency-Key, or under its nonce."""

    slug: str
    nonce: str
    once: IdempotencyKey | None

    @property
    def name(self) -> str:
        return self.once.key if self.once else self.nonce

    @property
    def remember_for(self) -> int:
        return IDEMPOTENCY_FOR if self.once else NONCE_FOR


def outcome_key_of(slug: str, once: IdempotencyKey | None) -> OutcomeKey:
    """For a request that has just come; it is the same over all attempts to answer it."""
    return OutcomeKey(slug, uuid4().hex, once)


class Fenced(Exception):
    """The request's claim on its Idempotency-Key does not hold any more."""

    def __init__(self, fence: int) -> None:
        super().__init__(fence)
        self.fence = fence


class Idempotency:
    """Who has claimed an Idempotency-Key, and what was kept under it."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._claim = Script.named("claim.lua")
        self.fence = Script.named("fence.lua")
        self._remember = Script.named("remember.lua")

    def key_of(self, outcome: OutcomeKey) -> str:
        return self._asking.key(outcome.slug, f"once:{outcome.name}")

    async def claim(self, slug: str, once: IdempotencyKey, fence: int) -> int:
        """Claim an Idempotency-Key for a channel; the generation of the claim, which is above `fence`.

        Raises KeyReused if a request on another channel was made under it.
        """
        key = f"{self._asking.keys_key}:once:{once.key}"
        ours, replaces = f"{fence + 1} {slug}", ""
        while True:
            held = (await self._asking.run(self._claim, [key], [ours, replaces, CLAIM_FOR])).decode()
            generation, _, holder = held.partition(" ")
            if holder == slug and int(generation) > fence:
                return int(generation)
            if holder != slug and await self._asking.run(
                self.fence, [self._asking.key(holder, f"once:{once.key}")], [generation, NONCE_FOR]
            ):
                raise KeyReused(KEY_REUSED)
            ours, replaces = f"{max(int(generation), fence) + 1} {slug}", held

    async def kept(self, outcome_key: OutcomeKey) -> Keeping | None:
        """What stands under a outcome's key, once as many replicas have it as were asked for."""
        key = self.key_of(outcome_key)
        kept = await self._asking.do("GET", key)
        if kept and self._asking.topology.wait_replicas:
            await self._asking.do_and_wait("EXPIRE", key, outcome_key.remember_for)
        return decode_keeping(kept) if kept and not kept.isdigit() else None

    async def remember(self, outcome_key: OutcomeKey, line: Line, claim: int) -> tuple[bytes, bytes]:
        """Keep what a request was answered that changed nothing."""
        arguments = [encode_keeping(outcome_key, None, line, None), IDEMPOTENCY_FOR, claim]
        verdict, answer = await self._asking.run(self._remember, [self.key_of(outcome_key)], arguments)
        return verdict, answer


def outcome(kept: Keeping, outcome_key: OutcomeKey) -> Outcome:
    """The answer to a request under whose key something is kept. Raises KeyReused."""
    _, nonce, once = outcome_key
    if kept.line is None:  # a draft: what the request asks for has changed its way since
        raise KeyReused(KEY_REUSED)
    if kept.nonce == nonce:  # an earlier attempt of this node, whose answer was lost
        return Outcome(kept.line, kept.event.event if kept.event else None)
    if once is None or kept.fingerprint != once.fingerprint:
        raise KeyReused(KEY_REUSED)
    return Outcome(kept.line, None, replayed=True)
