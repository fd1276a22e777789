"""Who is signed in where, and signing out from afar. What a session is: session.py; which one a request has:
sessions.py."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker.desk.access import Access
from ticker.desk.intake import query_of
from ticker.desk.keys import allow_admin
from ticker.desk.roster import Roster
from ticker.desk.security_log import SecurityLog, address_of
from ticker.desk.sessions import session_of
from ticker.errors import FieldError, Invalid, NotFound
from ticker.http.answers import json_answer
from ticker.identity import Identity, Key
from ticker.newswire import Newswire
from ticker.session import How, Session

EVERYONE = "everyone"


class SessionInfo(Struct, frozen=True, kw_only=True):
    """A session as its person and admins see it. `here`: it is the one that asks. `whose`: a key's or a person's id."""

    id: str
    whose: str
    person: str | None
    how: How
    device: str
    created: datetime
    last_used: datetime
    until: datetime
    here: bool


class SessionList:
    """`GET` and `DELETE /v1/sessions`: one's own; for admins, anyone's (`?of=ID`, or `everyone` to list them)."""

    def __init__(self, newswire: Newswire, access: Access, roster: Roster, log: SecurityLog) -> None:
        self._newswire = newswire
        self._access = access
        self._roster = roster
        self._log = log

    def routes(self) -> list[Route]:
        return [
            Route("/v1/sessions", self.end_all, methods=["DELETE"]),
            Route("/v1/sessions", self.list),
            Route("/v1/sessions/{session_id}", self.end, methods=["DELETE"]),
        ]

    async def list(self, request: Request) -> Response:
        key = await self._access.who(request)
        of = query_of(request, "of").get("of")
        now, here = self._newswire.now(), session_of(request)
        if of is not None:
            allow_admin(key)
        one = of or _own(key)
        found = [each for each in await self._newswire.sessions.all() if of == EVERYONE or each.is_of(one)]
        shown = [_info(each, here) for each in found if not each.is_over(now)]
        return json_answer({"sessions": sorted(shown, key=lambda each: each.last_used, reverse=True)})

    async def end(self, request: Request) -> Response:
        """One that isn't one's own is to others as one that isn't there."""
        key = await self._access.who(request)
        query_of(request)
        session_id = request.path_params["session_id"]
        session = await self._newswire.sessions.get(session_id)
        if session is None or not (session.is_of(_own(key)) or key.may("administer")):
            raise NotFound("There is no such session, or it has ended.")
        await self._newswire.sessions.end(session_id)
        self._note(request, key, session.whose, 1)
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    async def end_all(self, request: Request) -> Response:
        """`others=1`: all but the one that asks."""
        key = await self._access.who(request)
        query = query_of(request, "of", "others")
        of = query.get("of")
        if of is not None:
            allow_admin(key)
            if of == EVERYONE:
                raise Invalid(FieldError("of", "Name one key or person: everyone at once can't be signed out."))
        if query.get("others", "1") != "1":
            raise Invalid(FieldError("others", "It is 1, or left out."))
        here = session_of(request)
        but = here.id if here and "others" in query else None
        ended = await self._roster.sign_out(of or _own(key), but)
        self._note(request, key, of or _own(key), len(ended))
        return json_answer({"ended": len(ended)})

    def _note(self, request: Request, key: Identity, whose: str, count: int) -> None:
        self._log.note("sessions-ended", address_of(request), of=whose, count=str(count), by=key.id)


def _own(key: Identity) -> str:
    """Under which one's own sessions are found: those of all keys of one's person."""
    return key.person_id or key.id if isinstance(key, Key) else key.id


def _info(session: Session, here: Session | None) -> SessionInfo:
    own = {"here"}
    shown = {name: getattr(session, name) for name in SessionInfo.__struct_fields__ if name not in own}
    return SessionInfo(**shown, here=here is not None and here.id == session.id)
