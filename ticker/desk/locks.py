"""The desk's lock: while it is on, nothing goes out but a withhold. Knows who may put it on and take it off."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker import text
from ticker.channel import no_such_channel
from ticker.desk.access import Access, expect, if_match_of
from ticker.desk.intake import body_of, query_of, sent
from ticker.desk.security_log import SecurityLog, address_of
from ticker.errors import FieldError, Invalid, Stale
from ticker.fanout.relay import Relay
from ticker.http.answers import json_answer
from ticker.http.fields import is_held
from ticker.identity import Actor
from ticker.lock import Lock, expect_to_unlock
from ticker.newswire import Newswire


class LockRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No channels: all of them."""

    reason: str
    channels: tuple[str, ...] | None = None


class UnlockRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    channels: tuple[str, ...] | None = None


class LockInfo(Struct, frozen=True, kw_only=True):
    """A lock as editors see it."""

    channel: str
    reason: str
    by: Actor
    at: datetime


class Locks:
    def __init__(self, newswire: Newswire, relay: Relay, access: Access, log: SecurityLog) -> None:
        self._newswire = newswire
        self._channels = relay.channels
        self._access = access
        self._log = log

    def routes(self) -> list[Route]:
        return [
            Route("/v1/lock", self.lock, methods=["PUT"]),
            Route("/v1/lock", self.unlock, methods=["DELETE"]),
            Route("/v1/lock", self.locks),
        ]

    async def locks(self, request: Request) -> Response:
        await self._access.who(request)
        answer = self._answer(await self._newswire.locks())
        if is_held(request.headers.get("if-none-match", ""), answer.headers["etag"]):
            return Response(status_code=304, headers={"ETag": answer.headers["etag"], "Cache-Control": "no-cache"})
        return answer

    async def lock(self, request: Request) -> Response:
        self._access.expect_newswire()
        key = await self._access.who(request)
        expect(key, "lock")
        query_of(request)
        given = await sent(request, LockRequest)
        try:
            reason = text.one_line(given.reason, text.NOTE_MAX)
        except ValueError as broken:
            raise Invalid(FieldError("reason", str(broken))) from broken
        lock = Lock(reason=reason, by=key.actor, person=key.person, at=self._newswire.now())
        named, locks = self._named(given.channels), await self._newswire.locks()
        self._expect(request, locks)
        for slug in named:
            await self._newswire.lock(slug, lock)
            self._log.note("desk-locked", address_of(request), channel=slug, by=key.id)
        return self._answer(await self._newswire.locks())

    async def unlock(self, request: Request) -> Response:
        """Raises Forbidden for the person who locked, unless it is an admin."""
        self._access.expect_newswire()
        key = await self._access.who(request)
        expect(key, "lock")
        query_of(request)
        given = await sent(request, UnlockRequest) if await body_of(request) else UnlockRequest()
        named, locks = self._named(given.channels), await self._newswire.locks()
        self._expect(request, locks)
        found = {slug: lock for slug, lock in locks.items() if slug in named}
        for lock in found.values():
            expect_to_unlock(lock, key)
        for slug, lock in found.items():
            await self._newswire.unlock(slug, lock)
            self._log.note("desk-unlocked", address_of(request), channel=slug, by=key.id)
        return self._answer(await self._newswire.locks())

    def _expect(self, request: Request, locks: Mapping[str, Lock]) -> None:
        """Raises Stale if If-Match names other locks than those that are on."""
        if_match, tag = if_match_of(request), self._answer(locks).headers["etag"]
        if if_match is not None and not is_held(if_match, tag):
            raise Stale("The locks have changed meanwhile. Read them again before you change them.")

    def _named(self, slugs: Collection[str] | None) -> list[str]:
        """Raises Invalid for a channel that there isn't, or for none."""
        if slugs is None:
            return list(self._channels)
        if not slugs:
            raise Invalid(FieldError("channels", "No channel is named. Leave the field out for all of them."))
        if unknown := sorted(set(slugs) - self._channels.keys()):
            raise Invalid(FieldError("channels", no_such_channel(unknown[0], self._channels)))
        return list(dict.fromkeys(slugs))

    def _answer(self, locks: Mapping[str, Lock]) -> Response:
        shown = [
            LockInfo(channel=slug, reason=lock.reason, by=lock.by, at=lock.at)
            for slug, lock in sorted(locks.items())
            if slug in self._channels
        ]
        tag = hashlib.sha256(msgspec.json.encode(shown)).hexdigest()[:32]
        return json_answer({"locks": shown}, cache="no-cache", headers={"ETag": f'"{tag}"'})
