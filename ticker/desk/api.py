"""The API that changes lines. Knows what editors may send; knows no page and no reader."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import msgspec
from msgspec import UNSET, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker import text
from ticker.channel import Channel, no_such_channel
from ticker.desk.intake import body_of, query_of, sent
from ticker.desk.keys import Keyring, allow, allow_admin
from ticker.desk.security_log import address_of
from ticker.desk.sessions import Sessions
from ticker.errors import FieldError, Invalid, Malformed, NewswireUnavailable, NotFound
from ticker.fanout.relay import Relay
from ticker.http.answers import json_answer
from ticker.key import ENVIRONMENT_NAME, Key, KeyInfo, Role, key_info
from ticker.line import Line, NewLine, Patch, checked
from ticker.newswire import IdempotencyKey, Newswire, Outcome

ON_AIR_WITHIN = 2.0  # seconds an answer waits for this node's readers to have the line; it is kept either way
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Note(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a DELETE."""

    note: str | None = None


class KeyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    role: Role = "editor"
    channels: tuple[str, ...] = ()


class Version(Line, frozen=True, kw_only=True):
    """A line as an event left it, and whose key did it."""

    by: str


class DeskApi:
    """The editors' routes."""

    def __init__(self, newswire: Newswire, relay: Relay, keyring: Keyring, sessions: Sessions) -> None:
        self._newswire = newswire
        self._relay = relay
        self._keyring = keyring
        self._sessions = sessions

    def routes(self) -> list[Route]:
        line = "/v1/channels/{channel}/lines/{line_id}"
        return [
            Route("/v1/channels/{channel}/lines", self.publish, methods=["POST"]),
            Route(line, self.correct, methods=["PATCH"]),
            Route(line, self.cancel, methods=["DELETE"]),
            Route(f"{line}/audit", self.audit),
            Route("/v1/channels/{channel}/presence", self.presence),
            Route("/v1/keys", self.make_key, methods=["POST"]),
            Route("/v1/keys", self.list_keys),
            Route("/v1/keys/{key_id}", self.revoke_key, methods=["DELETE"]),
        ]

    async def publish(self, request: Request) -> Response:
        key, channel = await self._writable(request)
        query_of(request)
        new_line = checked(await sent(request, NewLine))
        once = _idempotency_key(request, key, new_line)
        outcome = await self._newswire.publish(channel, new_line, by=key.name, once=once)
        location = f"/v1/channels/{channel.slug}/lines/{outcome.line.id}"
        return await self._kept(channel, outcome, 201, {"Location": location})

    async def correct(self, request: Request) -> Response:
        key, channel = await self._writable(request)
        query_of(request)
        patch = checked(await sent(request, Patch))
        if patch.status == "canceled":
            raise Invalid(FieldError("status", "To cancel a line for good, DELETE it."))
        return await self._amend(request, key, channel, patch)

    async def cancel(self, request: Request) -> Response:
        key, channel = await self._writable(request)
        given = Note(**query_of(request, "note"))
        if await body_of(request):
            if given.note is not None:
                raise Invalid(FieldError("note", "Give the note in the body or in the query, not in both."))
            given = await sent(request, Note)
        patch = checked(Patch(status="canceled", note=UNSET if given.note is None else given.note))
        return await self._amend(request, key, channel, patch)

    async def audit(self, request: Request) -> Response:
        """Every version whole, words included whatever the status, and who made it. For editors alone."""
        _, channel = await self._entitled(request)
        events = await self._newswire.versions(channel.slug, request.path_params["line_id"])
        versions = [Version(**msgspec.structs.asdict(event.line), by=event.by) for event in events]
        return json_answer({"versions": versions}, headers={"ETag": events[-1].line.etag})

    async def presence(self, request: Request) -> Response:
        """How many banners are open on the channel, over all nodes. A number, and nothing about anybody."""
        _, channel = await self._entitled(request)
        readers, nodes = await self._newswire.presence.of(channel.slug)
        return json_answer({"channel": channel.slug, "readers": readers, "nodes": nodes})

    async def make_key(self, request: Request) -> Response:
        admin = await self._admin(request)
        query_of(request)
        asked = await sent(request, KeyRequest)
        name, errors = self._checked(asked)
        if errors:
            raise Invalid(*errors)
        key, token = await self._keyring.make(name, asked.role, asked.channels, by=admin, address=address_of(request))
        return json_answer({**msgspec.structs.asdict(key_info(key)), "key": token}, 201)

    def _checked(self, asked: KeyRequest) -> tuple[str, list[FieldError]]:
        """The key's name, and what is wrong with the request. Nothing is taken that the key wouldn't heed."""
        errors = []
        if asked.role != "editor" and asked.channels:
            detail = f"The role {asked.role} reaches every channel. Name none, or make it an editor's key."
            errors.append(FieldError("channels", detail))
        elif unknown := set(asked.channels) - self._relay.channels.keys():
            detail = no_such_channel(min(unknown), self._relay.channels)
            errors.append(FieldError("channels", detail))
        elif len(set(asked.channels)) < len(asked.channels):
            errors.append(FieldError("channels", "A channel is named more than once."))
        name = ""
        try:
            name = text.one_line(asked.name, text.SOURCE_MAX)
        except ValueError as broken:
            errors.append(FieldError("name", str(broken)))
        if name.casefold() == ENVIRONMENT_NAME.casefold():
            errors.append(FieldError("name", f"{name} is the name of the key in the node's environment. Take another."))
        return name, errors

    async def list_keys(self, request: Request) -> Response:
        await self._admin(request)
        keys: list[KeyInfo] = [key_info(key) for key in await self._keyring.all()]
        return json_answer({"keys": keys})

    async def revoke_key(self, request: Request) -> Response:
        admin = await self._admin(request)
        query_of(request)
        revoked = await self._keyring.revoke(request.path_params["key_id"], by=admin, address=address_of(request))
        return json_answer(key_info(revoked))

    async def _admin(self, request: Request) -> Key:
        key = await self._sessions.who(request)
        allow_admin(key)
        return key

    async def _entitled(self, request: Request) -> tuple[Key, Channel]:
        """Who asks, and for which channel. Raises Unauthorized, NotFound, Forbidden, in this order."""
        key = await self._sessions.who(request)
        slug = request.path_params["channel"]
        if (channel := self._relay.channels.get(slug)) is None:
            raise NotFound(no_such_channel(slug, self._relay.channels))
        allow(key, slug)
        return key, channel

    async def _writable(self, request: Request) -> tuple[Key, Channel]:
        """The same, for a change. Raises NewswireUnavailable at once where this node can't hear the newswire."""
        if not self._relay.ready:  # before the key, which is asked for over the same way
            raise NewswireUnavailable("This node can't hear the newswire just now. Nothing was published.")
        return await self._entitled(request)

    async def _amend(self, request: Request, key: Key, channel: Channel, patch: Patch) -> Response:
        outcome = await self._newswire.amend(
            channel,
            request.path_params["line_id"],
            patch,
            by=key.name,
            if_match=", ".join(request.headers.getlist("if-match")) if "if-match" in request.headers else None,
            once=_idempotency_key(request, key, patch),
        )
        return await self._kept(channel, outcome, 200, {})

    async def _kept(self, channel: Channel, outcome: Outcome, status: int, headers: Mapping[str, str]) -> Response:
        """The answer once it is kept: when it comes, the first of this node's readers have been sent the line."""
        line = outcome.line
        if outcome.event:
            await self._relay.arrived(channel.slug, outcome.event.cursor, ON_AIR_WITHIN)
        if outcome.replayed:
            headers = {**headers, "Idempotency-Replayed": "true"}
            now = await self._newswire.line(channel.slug, line.id)
            line = line if now.status == "usable" else now  # the same answer, but never words since withdrawn
        return json_answer(line.public(channel.tombstones_for), status, headers={**headers, "ETag": line.etag})


def _idempotency_key(request: Request, key: Key, meant: Struct) -> IdempotencyKey | None:
    """The request's Idempotency-Key (IETF httpapi draft), the sender's own; the fingerprint is of what it means,
    so that a form with another multipart boundary is the same request."""
    values = request.headers.getlist("idempotency-key")
    if not values:
        return None
    if len(values) > 1 or not IDEMPOTENCY_KEY.fullmatch(values[0]):
        raise Malformed("Idempotency-Key comes once, with 1 to 255 printable ASCII characters; a UUID is usual.")
    value = values[0]
    meaning = f"{request.method} {request.scope['path']}\n".encode() + msgspec.json.encode(meant)
    return IdempotencyKey(f"{key.id}:{value}", hashlib.sha256(meaning).hexdigest())
