"""The desk page and its session. Knows the page's files and the keyring; the page itself speaks to the API."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ticker.desk.intake import sent
from ticker.desk.keys import COOKIE, Keyring
from ticker.fanout.relay import Relay
from ticker.security import PAGE_POLICY

SESSION_FOR = 12 * 3_600  # seconds; a shift, with the handover


class SignIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A key, or the word of a one-time link."""

    key: str | None = None
    once: str | None = None


class DeskPages:
    """`/desk`, and who is signed in there. `web` is the folder of our pages."""

    def __init__(self, web: Path, relay: Relay, keyring: Keyring) -> None:
        self._page = web / "desk" / "index.html"
        self._relay = relay
        self._keyring = keyring

    def routes(self) -> list[Route]:
        return [
            Route("/desk", self.page),
            Route("/desk/session", self.sign_in, methods=["POST"]),
            Route("/desk/session", self.session),
            Route("/desk/session", self.sign_out, methods=["DELETE"]),
        ]

    async def page(self, request: Request) -> Response:
        return FileResponse(
            self._page,
            media_type="text/html",
            headers={
                "Cache-Control": "no-cache",
                "Content-Security-Policy": PAGE_POLICY,
                "Referrer-Policy": "no-referrer",
            },
        )

    async def sign_in(self, request: Request) -> Response:
        given = await sent(request, SignIn)
        token = await self._keyring.redeem(given.once) if given.once else (given.key or "").strip()
        await self._keyring.opened_by(token)
        response = Response(status_code=204, headers={"Cache-Control": "no-store"})
        response.set_cookie(
            COOKIE,
            token,
            max_age=SESSION_FOR,
            path="/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    async def session(self, request: Request) -> Response:
        key = await self._keyring.who(request)
        channels = [
            {
                "slug": channel.slug,
                "title": channel.title,
                "language": channel.language,
                "direction": channel.direction,
                "label": channel.label,
                "max_lines": channel.max_lines,
                "expires_in": channel.expires_in,
            }
            for channel in self._relay.channels.values()
            if key.reaches(channel.slug)
        ]
        body = {"name": key.name, "role": key.role, "channels": channels}
        return Response(msgspec.json.encode(body), headers={"Cache-Control": "no-store"}, media_type="application/json")

    async def sign_out(self, request: Request) -> Response:
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response
