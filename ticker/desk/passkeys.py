"""Signing in with a passkey, accepting an invitation, and the passkeys of who is signed in. What is asked of browsers
and whether their answers are right: ceremonies.py.

Rule 1: what is only asked for changes nothing: a link preview, or a page that is closed again, uses up no link.
Rule 2: what a stolen session could make lasting (adding and removing passkeys) needs a passkey's touch just before.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker import text
from ticker.desk.access import Access
from ticker.desk.ceremonies import WRONG, Asserted, Ceremonies, NotRight, Registered, Use, person_of
from ticker.desk.device import device_of
from ticker.desk.intake import body_of, query_of, sent
from ticker.desk.keys import Keyring
from ticker.desk.origins import OwnPages
from ticker.desk.people import passkey_info
from ticker.desk.roster import Roster
from ticker.desk.security_log import SecurityLog, address_of
from ticker.desk.sessions import Sessions, session_of
from ticker.errors import FieldError, Forbidden, Invalid, StepUp, Unauthorized, UnsupportedType
from ticker.http.answers import json_answer
from ticker.identity import Person, hashed
from ticker.newswire import Newswire
from ticker.session import Session

BODY_MAX = 16_384  # bytes; an answer with an RSA key and a chain of certificates has some 6,000
NAME_MAX = 60  # characters

SIGN_IN = "sign-in"
T = TypeVar("T", bound=Struct)


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request that says all in its address."""


class Word(Struct, frozen=True, forbid_unknown_fields=True):
    """The word of an invitation's link."""

    word: str


class Acceptance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    word: str
    credential: Registered
    name: str | None = None


class Addition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    credential: Registered
    name: str | None = None


class Assertion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    credential: Asserted


class Naming(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class Passkeys:
    def __init__(
        self,
        newswire: Newswire,
        access: Access,
        keyring: Keyring,
        roster: Roster,
        sessions: Sessions,
        pages: OwnPages,
        log: SecurityLog,
    ) -> None:
        self._newswire = newswire
        self._access = access
        self._keyring = keyring
        self._roster = roster
        self._sessions = sessions
        self._pages = pages
        self._log = log
        self._ceremonies = Ceremonies(newswire, pages.origin)

    def routes(self) -> list[Route]:
        return [
            Route("/desk/passkey/options", self.sign_in_options, methods=["POST"]),
            Route("/desk/passkey", self.sign_in, methods=["POST"]),
            Route("/desk/invitation/options", self.invitation_options, methods=["POST"]),
            Route("/desk/invitation", self.accept, methods=["POST"]),
            Route("/desk/touch/options", self.touch_options, methods=["POST"]),
            Route("/desk/touch", self.touch, methods=["POST"]),
            Route("/desk/passkeys/options", self.addition_options, methods=["POST"]),
            Route("/desk/passkeys", self.add, methods=["POST"]),
            Route("/desk/passkeys", self.list),
            Route("/desk/passkeys/{passkey_id}", self.rename, methods=["PATCH"]),
            Route("/desk/passkeys/{passkey_id}", self.remove, methods=["DELETE"]),
        ]

    # Signing in

    async def sign_in_options(self, request: Request) -> Response:
        await self._from_own_page(request, Nothing)
        self._ceremonies.expect_possible()
        return json_answer(await self._ceremonies.to_sign_in(SIGN_IN))

    async def sign_in(self, request: Request) -> Response:
        given = (await self._from_own_page(request, Assertion)).credential
        address = address_of(request)
        person_id = ""
        try:
            await self._ceremonies.expect_ours(given, SIGN_IN)
            person_id = person_of(given)
            known = await self._roster.looked_up(person_id, address)
            if known is None or known.revoked is not None:
                person_id = ""
                raise NotRight("unknown")
            person = await self._kept(known, await self._ceremonies.used(given, SIGN_IN, known))
        except NotRight as error:
            facts = {"person": person_id} if person_id else {}
            raise self._keyring.wrong(WRONG, address, "passkey-refused", why=error.why, **facts) from error
        response = Response(status_code=204, headers={"Cache-Control": "no-store"})
        await self._sessions.begin(request, response, person, "passkey")
        return response

    async def _kept(self, person: Person, use: Use) -> Person:
        """Raises NotRight if the passkey's counter has gone back: it was copied, or an answer was repeated."""
        kept = await self._roster.used(person.id, use.passkey, use.sign_count)
        if kept is None:
            raise NotRight("counter")
        return kept

    # Invitations

    async def invitation_options(self, request: Request) -> Response:
        given = await self._from_own_page(request, Word)
        self._ceremonies.expect_possible()
        person = await self._roster.invited(given.word, address_of(request))
        options = await self._ceremonies.to_register(person, _invitation(given.word))
        return json_answer({"name": person.name, "options": options})

    async def accept(self, request: Request) -> Response:
        """The first passkey, or one more; and signed in with it."""
        given = await self._from_own_page(request, Acceptance)
        address = address_of(request)
        name = _name_of(request, given.name)
        person = await self._roster.invited(given.word, address)
        try:
            passkey = await self._ceremonies.registered(given.credential, _invitation(given.word), name, "link")
        except NotRight as error:
            raise self._keyring.wrong(WRONG, address, "passkey-refused", why=error.why, person=person.id) from error
        accepted = await self._roster.accept(person, given.word, passkey, address)
        response = Response(status_code=204, headers={"Cache-Control": "no-store"})
        await self._sessions.begin(request, response, accepted, "invitation")
        return response

    # A touch, for what a session alone may not do

    async def touch_options(self, request: Request) -> Response:
        person, session = await self._signed_in(request, Nothing)
        if not person.passkeys:
            raise Forbidden("You have no passkey. Ask an admin for a link with which you can register one.")
        return json_answer(await self._ceremonies.to_sign_in(_touch(session), person.passkeys))

    async def touch(self, request: Request) -> Response:
        person, session = await self._signed_in(request)
        given = (await self._sent(request, Assertion)).credential
        address = address_of(request)
        try:
            await self._kept(person, await self._ceremonies.used(given, _touch(session), person))
        except NotRight as error:
            raise _not_401(
                self._keyring.wrong(WRONG, address, "passkey-refused", why=error.why, person=person.id)
            ) from error
        await self._sessions.touched(session)
        self._log.note("passkey-touched", address, person=person.id, role=person.role)
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    # One's own passkeys

    async def list(self, request: Request) -> Response:
        person, _ = await self._signed_in(request)
        return self._listed(person)

    async def addition_options(self, request: Request) -> Response:
        person, session = await self._signed_in(request, Nothing)
        self._ceremonies.expect_possible()
        self._expect_touched(person, session)
        return json_answer(await self._ceremonies.to_register(person, _addition(session)))

    async def add(self, request: Request) -> Response:
        person, session = await self._signed_in(request)
        given = await self._sent(request, Addition)
        self._expect_touched(person, session)
        name, address = _name_of(request, given.name), address_of(request)
        try:
            passkey = await self._ceremonies.registered(given.credential, _addition(session), name, "session")
        except NotRight as error:
            raise _not_401(
                self._keyring.wrong(WRONG, address, "passkey-refused", why=error.why, person=person.id)
            ) from error
        return self._listed(await self._roster.add(person.id, passkey, address), 201)

    async def rename(self, request: Request) -> Response:
        person, _ = await self._signed_in(request)
        given = await self._sent(request, Naming)
        return self._listed(
            await self._roster.rename(person.id, request.path_params["passkey_id"], _checked_name(given.name))
        )

    async def remove(self, request: Request) -> Response:
        person, session = await self._signed_in(request)
        query_of(request)
        self._expect_touched(person, session)
        passkey_id = request.path_params["passkey_id"]
        return self._listed(await self._roster.remove(person.id, passkey_id, address_of(request)))

    def _expect_touched(self, person: Person, session: Session) -> None:
        """Raises StepUp. Who has no passkey yet has proved who they are in another way, when they signed in."""
        now = self._newswire.now()
        if session.is_touched(now):
            return
        if person.passkeys or not session.is_new(now):
            raise StepUp("passkey", "Touch your passkey first, to show that it is you.", person.id)

    def _listed(self, person: Person, status: int = 200) -> Response:
        passkeys = [passkey_info(each) for each in person.passkeys]
        return json_answer({"name": person.name, "passkeys": passkeys}, status)

    # What is sent, and by whom

    async def _signed_in(self, request: Request, kind: type[Struct] | None = None) -> tuple[Person, Session]:
        """Who is signed in, a person; by a key of theirs too. Raises Unauthorized, Forbidden."""
        await self._access.who(request)
        session = session_of(request)
        person_id = session.person if session else None
        if session is None or person_id is None:
            raise Forbidden("Passkeys belong to people. You are signed in with a key that belongs to nobody.")
        if kind is not None:
            await self._sent(request, kind)
        return await self._roster.get(person_id), session

    async def _from_own_page(self, request: Request, kind: type[T]) -> T:
        self._pages.expect(request)
        return await self._sent(request, kind)

    async def _sent(self, request: Request, kind: type[T]) -> T:
        query_of(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedType("Send JSON, as application/json.")
        await body_of(request, BODY_MAX)
        return await sent(request, kind)


def _invitation(word: str) -> str:
    return f"invitation:{hashed(word)}"


def _touch(session: Session) -> str:
    return f"touch:{session.id}"


def _addition(session: Session) -> str:
    return f"addition:{session.id}"


def _name_of(request: Request, given: str | None) -> str:
    """What the passkey is to be called. Raises Invalid."""
    return _checked_name(given or device_of(request.headers.get("user-agent", "")) or "Passkey")


def _checked_name(name: str) -> str:
    try:
        return text.one_line(name, NAME_MAX)
    except ValueError as broken:
        raise Invalid(FieldError("name", str(broken))) from broken


def _not_401(error: Exception) -> Exception:
    """A wrong touch ends no session, and the desk takes a 401 for the end of its own."""
    return Forbidden(error.detail) if isinstance(error, Unauthorized) else error
