"""The desk's pages, and signing in to it. Knows the pages' files and the sessions; the pages speak to the API."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Environment
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ticker.desk.intake import body_of, query_of, sent
from ticker.desk.keys import Keyring
from ticker.desk.origins import OwnPages
from ticker.desk.security_log import address_of
from ticker.desk.sessions import Sessions
from ticker.errors import Refused, TickerError, Unauthorized, UnsupportedType
from ticker.fanout.relay import Relay
from ticker.http.answers import json_answer
from ticker.http.security import PAGE_POLICY
from ticker.session import How

SIGN_IN_MAX = 4_096  # bytes of a sign-in's body; a key has 256 at most

NOT_KEPT = {"Cache-Control": "no-store"}
PAGES = {
    "/desk": "index.html",
    "/desk/invitation": "invitation.html",
    "/desk/you": "you.html",
    "/desk/people": "people.html",
}
HEADERS = {"Cache-Control": "no-cache", "Content-Security-Policy": PAGE_POLICY, "Referrer-Policy": "no-referrer"}


class SignIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A key, or the word of a one-time link."""

    key: str | None = None
    once: str | None = None


class FormSignIn(Struct, frozen=True, forbid_unknown_fields=True):
    """What the page's form sends without JavaScript. `username` is there for password managers."""

    key: str = ""
    username: str | None = None


class DeskPages:
    """`/desk` and the pages beside it, and who is signed in there. `web` is the folder of our pages."""

    def __init__(
        self,
        web: Path,
        templates: Environment,
        relay: Relay,
        keyring: Keyring,
        sessions: Sessions,
        own_pages: OwnPages,
        timezone: ZoneInfo,
    ) -> None:
        self._timezone = timezone.key
        self._pages = {path: (web / "desk" / name).read_bytes() for path, name in PAGES.items()}
        self._templates = templates
        self._relay = relay
        self._keyring = keyring
        self._sessions = sessions
        self._own_pages = own_pages

    def routes(self) -> list[Route]:
        return [
            *(Route(path, self.page) for path in PAGES),
            Route("/desk/session", self.sign_in, methods=["POST"]),
            Route("/desk/session", self.session),
            Route("/desk/session", self.sign_out, methods=["DELETE"]),
        ]

    async def page(self, request: Request) -> Response:
        return Response(self._pages[request.scope["path"]], headers=HEADERS, media_type="text/html")

    async def sign_in(self, request: Request) -> Response:
        """With JSON, from the page's script or a program; or with the page's form, where no script runs."""
        self._own_pages.expect(request)
        query_of(request)
        match request.headers.get("content-type", "").partition(";")[0].strip().lower():
            case "application/json":
                await body_of(request, SIGN_IN_MAX)
                given = await sent(request, SignIn)
                return await self._signed_in(request, given, Response(status_code=204, headers=NOT_KEPT))
            case "application/x-www-form-urlencoded":
                return await self._sign_in_by_form(request)
            case _:
                raise UnsupportedType('Sign in with JSON: {"key": "…"}, as application/json.')

    async def _sign_in_by_form(self, request: Request) -> Response:
        """On to the desk, or the form again and what is wrong."""
        try:
            await body_of(request, SIGN_IN_MAX)
            given = SignIn(key=(await sent(request, FormSignIn)).key)
            return await self._signed_in(
                request, given, Response(status_code=303, headers={**NOT_KEPT, "Location": "/desk"})
            )
        except TickerError as error:
            page = self._templates.get_template("desk/sign-in.html").render(wrong=error.detail)
            retry = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            return HTMLResponse(page, error.status, {**HEADERS, **NOT_KEPT, **retry})

    async def _signed_in(self, request: Request, given: SignIn, response: Response) -> Response:
        if given.key and given.once:
            raise Refused("Sign in with a key or with a one-time link, not with both.")
        how: How
        if given.once:
            key, how = await self._keyring.redeem(given.once, address_of(request)), "link"
        elif token := (given.key or "").strip():
            key, how = await self._keyring.opened_by(token, address_of(request), "sign-in-refused"), "key"
        else:
            raise Unauthorized("Send your key. An admin makes one with `ticker key create NAME`.")
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
                "step_up": channel.step_up,
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
            "person_id": session.person if session else None,
            "how": session.how if session else None,
            "timezone": self._timezone,
            "channels": channels,
        }
        return json_answer(body)

    async def sign_out(self, request: Request) -> Response:
        self._own_pages.expect(request)
        query_of(request)
        response = Response(status_code=204, headers=NOT_KEPT)
        await self._sessions.end(request, response)
        return response
