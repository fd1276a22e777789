"""Who asks, for which channel, and whether they may. Knows keys, sessions and channels; changes nothing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct
from starlette.requests import Request

from ticker.channel import Channel, StepUpAct, no_such_channel
from ticker.desk.keys import allow, allow_admin
from ticker.desk.sessions import Sessions, session_of
from ticker.errors import Forbidden, Malformed, NewswireUnavailable, NotFound, StepUp
from ticker.fanout.relay import Relay
from ticker.identity import Action, Identity, Role
from ticker.newswire import IdempotencyKey

IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")

_NOT_ALLOWED: Mapping[Action, str] = {
    "draft": "write drafts",
    "publish": "publish. It can submit a draft, which an editor approves",
    "withhold": "withhold a line. Ask an editor: one request does it",
    "cancel": "cancel a line for good",
    "edit": "see what only editors may see",
    "approve": "approve or return what was submitted",
    "lock": "lock or unlock the desk; chiefs and admins may",
    "administer": "make, list or revoke keys; admins may",
}

_ROLES: Final[dict[Role, str]] = {
    "contributor": "a contributor",
    "editor": "an editor",
    "chief": "a chief",
    "admin": "an admin",
}


class Access:
    """What each room of the editors' API asks first."""

    def __init__(self, relay: Relay, sessions: Sessions) -> None:
        self._relay = relay
        self._sessions = sessions

    async def who(self, request: Request) -> Identity:
        """Raises Unauthorized."""
        return await self._sessions.who(request)

    async def admin(self, request: Request) -> Identity:
        """Raises Unauthorized, Forbidden."""
        key = await self._sessions.who(request)
        allow_admin(key)
        return key

    async def entitled(self, request: Request) -> tuple[Identity, Channel]:
        """Who asks, and for which channel. Raises Unauthorized, NotFound, Forbidden, in this order."""
        key = await self._sessions.who(request)
        slug = request.path_params["channel"]
        if (channel := self._relay.channels.get(slug)) is None:
            raise NotFound(no_such_channel(slug, self._relay.channels))
        allow(key, slug)
        return key, channel

    async def writable(self, request: Request) -> tuple[Identity, Channel]:
        """The same, for a change. Raises NewswireUnavailable at once if this node receives nothing from the
        newswire."""
        self.expect_newswire()  # before the key, which is asked for over the same way
        return await self.entitled(request)

    def expect_touch(self, request: Request, slug: str, act: StepUpAct) -> None:
        """Raises StepUp if the channel asks for a passkey's touch before this, and none came in the last minutes. A
        key in a header is a program's, which has no passkey: what it may do is its role's matter (docs/adr/0019)."""
        session = session_of(request)
        if act not in self._relay.channels[slug].step_up or session is None or session.is_touched(self._sessions.now()):
            return
        if session.person is None:
            raise StepUp(act, f"On {slug}, this needs a passkey's touch. Sign in with your passkey.", None)
        raise StepUp(act, f"On {slug}, this needs a passkey's touch, to show that it is you.", session.person)

    def expect_newswire(self) -> None:
        """Raises NewswireUnavailable if this node receives nothing from the newswire."""
        if not self._relay.ready:
            raise NewswireUnavailable("This node can't reach the newswire now. Nothing was published.")


def expect(key: Identity, action: Action) -> None:
    """Raises Forbidden if the key's role may not do it."""
    if not key.may(action):
        raise Forbidden(f"{key.name!r} has the role of {_ROLES[key.role]}, which can't {_NOT_ALLOWED[action]}.")


def if_match_of(request: Request) -> str | None:
    """If-Match (RFC 9110, 13.1.1), in however many headers it came."""
    return ", ".join(request.headers.getlist("if-match")) if "if-match" in request.headers else None


def idempotency_key(request: Request, key: Identity, *meant: Struct) -> IdempotencyKey | None:
    """The request's Idempotency-Key (IETF httpapi draft), the sender's own; the fingerprint is of what it means,
    so that a form with another multipart boundary is the same request."""
    values = request.headers.getlist("idempotency-key")
    if not values:
        return None
    if len(values) > 1 or not IDEMPOTENCY_KEY.fullmatch(values[0]):
        raise Malformed("Send one Idempotency-Key, with 1 to 255 printable ASCII characters; usually a UUID.")
    value = values[0]
    meaning = f"{request.method} {request.scope['path']}\n".encode() + b"\n".join(map(msgspec.json.encode, meant))
    return IdempotencyKey(f"{key.id}:{value}", hashlib.sha256(meaning).hexdigest())
