"""The desk page, and signing in to it. Knows the page's files and the sessions; the page itself speaks to the API."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker.desk.intake import body_of, query_of, sent
from ticker.desk.keys import Keyring
from ticker.desk.security_log import address_of
from ticker.desk.sessions import Sessions
from ticker.errors import Refused, Unauthorized, UnsupportedType
from ticker.fanout.relay import Relay
from ticker.http.answers import json_answer
from ticker.http.security import PAGE_POLICY

SIGN_IN_MAX = 4_096  # bytes of a sign-in's body; a key has 256 at most

HEADERS = {"Cache-Control": "no-cache", "Content-Security-Policy": PAGE_POLICY, "Referrer-Policy": "no-referrer"}


class SignIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A key, or the word of a one-time link."""

    key: str | None = None
    once: str | None = None


class DeskPages:
    """`/desk`, and who is signed in there. `web` is the folder of our pages."""

    def __init__(self, web: Path, relay: Relay, keyring: Keyring, sessions: Sessions, timezone: ZoneInfo) -> None:
        self._timezone = timezone.key
        self._page = (web / "desk" / "index.html").read_bytes()
        self._relay = relay
        self._keyring = keyring
        self._sessions = sessions

    def routes(self) -> list[Route]:
        return [
            Route("/desk", self.page),
            Route("/desk/session", self.sign_in, methods=["POST"]),
            Route("/desk/session", self.session),
            Route("/desk/session", self.sign_out, methods=["DELETE"]),
        ]

    async def page(self, request: Request) -> Response:
        return Response(self._page, headers=HEADERS, media_type="text/html")

    async def sign_in(self, request: Request) -> Response:
        self._sessions.expect_own_page(request)
        query_of(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedType('Sign in with JSON: {"key": "…"}, as application/json.')
        await body_of(request, SIGN_IN_MAX)
        given = await sent(request, SignIn)
        if given.key and given.once:
            raise Refused("Sign in with a key or with a one-time link, not with both.")
        if given.once:
            key, how = await self._keyring.redeem(given.once, address_of(request)), "link"
        elif token := (given.key or "").strip():
            key, how = await self._keyring.opened_by(token, address_of(request), "sign-in-refused"), "key"
        else:
            raise Unauthorized("Send your key. An admin makes one with `ticker key create NAME`.")
        response = Response(status_code=204, headers={"Cache-Control": "no-store"})
        await self._sessions.begin(request, response, key, how)
        return response

    async def session(self, request: Request) -> Response:
        key, session = await self._sessions.visitor(request)
        channels = [
            {
                "slug": channel.slug,
                "title": channel.title,
                "language": channel.language,
                "direction": channel.direction,
                "label": channel.label,
                "max_lines": channel.max_lines,
                "expires_in": channel.expires_in,
                "hold": channel.hold,
                "approve": channel.approve,
            }
            for channel in self._relay.channels.values()
            if key.reaches(channel.slug)
        ]
        body = {
            "id": session.id if session else None,
            "key": key.id,
            "name": key.name,
            "role": key.role,
            "person": key.person,
            "timezone": self._timezone,
            "channels": channels,
        }
        return json_answer(body)

    async def sign_out(self, request: Request) -> Response:
        self._sessions.expect_own_page(request)
        query_of(request)
        response = Response(status_code=204, headers={"Cache-Control": "no-store"})
        await self._sessions.end(request, response)
        return response
