"""Who is behind a request: a key in its header, or the desk's session. Knows headers and cookies; knows no route.

A session is a random word in a cookie. The newswire keeps under half of the word's hash who opened it, so that ending
it there ends it on every node; the cookie itself says nothing (docs/adr/0010, docs/adr/0019).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from ticker.desk.device import device_of
from ticker.desk.keys import Keyring
from ticker.desk.origins import OwnPages
from ticker.desk.security_log import SecurityLog, address_of
from ticker.errors import Malformed, NewswireUnavailable, OtherSession, Unauthorized
from ticker.identity import ENVIRONMENT, PERSON, Identity, Key, Person
from ticker.newswire import Newswire
from ticker.session import SESSION_FOR, How, Session

CRUMBS_MAX = 16  # places in a Cookie header that look like our own cookie; one is usual
SESSION = "Ticker-Session"
"""The header in which a page says whose session it believes to be in."""
UNATTENDED = "Ticker-Unattended"
"""The header in which a page says that it asks by itself: that is no use of the session."""
HALF = 32  # characters of a hash: 128 bits, too many to find a word that has them

SEND_A_KEY = "Send the key as `Authorization: Bearer KEY`."
ENDED = "Your session has ended. Sign in again."
GONE = "You were signed out, because an admin has ended your access. Ask an admin."

_WORD = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 bits in base64url
# A login of a proxy in front of the node: browsers send it with every request, together with the desk's cookie.
_LOGIN_OF_A_PROXY = frozenset({"basic", "digest", "negotiate", "ntlm"})
_STATE = "ticker.session"  # in a request's scope: the session that it came with

log = logging.getLogger("ticker.desk")


class Visitor(NamedTuple):
    """Whose request it is. `session` is None if the key came in a header."""

    key: Identity
    session: Session | None


class Sessions:
    """The desk's sessions."""

    def __init__(self, newswire: Newswire, keyring: Keyring, pages: OwnPages, log: SecurityLog) -> None:
        self._newswire = newswire
        self._keyring = keyring
        self._pages = pages
        self._log = log
        # With the prefix, a browser takes the cookie over TLS alone, and from this very host (RFC 6265bis, 4.1.3).
        self._cookie = "__Host-ticker" if pages.is_secure else "ticker_session"
        self._crumb = re.compile(rf"{re.escape(self._cookie)}=([^;]*)".encode())
        self._uses: set[asyncio.Task[None]] = set()

    # Who it is

    async def who(self, request: Request) -> Identity:
        """Whose request it is. Raises what `visitor` does."""
        return (await self.visitor(request)).key

    async def visitor(self, request: Request) -> Visitor:
        """Raises Unauthorized, TooManyAttempts; for a change by cookie also Forbidden and OtherSession."""
        logins = [login for login in request.headers.getlist("authorization") if login.strip()]
        schemes = {login.partition(" ")[0].lower() for login in logins}
        if "bearer" in schemes:
            return Visitor(await self._keyring.opened_by(_bearer(logins), address_of(request)), None)
        word = self._word(request)
        if schemes and not (schemes <= _LOGIN_OF_A_PROXY and word is not None):
            raise Unauthorized(f"{SEND_A_KEY} Other kinds of login are not accepted here; you can sign in at /desk.")
        if word is None:
            raise Unauthorized(f"{SEND_A_KEY} An admin makes one with `ticker key create NAME`.")
        if request.method not in ("GET", "HEAD") and self._pages.sent(request) is not True:
            raise self._pages.refusal(request)
        session = await self._kept(word)
        if session is None:
            raise Unauthorized(ENDED)
        try:
            key = await self._opener(session)
        except Unauthorized:
            self._log.refused("session-refused", address_of(request), why="revoked", **_whose(session))
            raise
        self._expect_same(request, session, key)
        self._note_use(request, session, key)
        request.scope[_STATE] = session
        return Visitor(key, session)

    async def _opener(self, session: Session) -> Identity:
        """Who opened it, as they stand now. Raises Unauthorized."""
        if not is_person(session.whose):
            return await self._keyring.named(session.whose)
        person = await self._newswire.people.get(session.whose)
        if person is None or person.revoked is not None:
            raise Unauthorized(GONE)
        return person

    # Signing in and out

    async def begin(self, request: Request, response: Response, key: Identity, how: How) -> None:
        """Sign in: a new session, and the cookie that opens it. The one that this browser had before is over."""
        before = self._word(request)
        word = secrets.token_urlsafe(32)
        now = self._newswire.now()
        digest = _digest(word)
        session = Session(
            id=digest[:HALF],
            check=digest[HALF:],
            whose=key.id,
            person=key.id if isinstance(key, Person) else key.person_id if isinstance(key, Key) else None,
            how=how,
            device=device_of(request.headers.get("user-agent", "")),
            created=now,
            last_used=now,
            touched=now if how in ("passkey", "invitation") else None,
            seal=self._keyring.seal(word) if key.id == ENVIRONMENT else None,
        )
        await self._newswire.sessions.keep(session)
        if before is not None and (replaced := await self._taken(before)):
            self._log.note("session-replaced", address_of(request), **_whose(replaced))
        self._log.note("signed-in", address_of(request), **_whose(session), role=key.role, how=how)
        self._set_cookie(request, response, word, SESSION_FOR)

    async def end(self, request: Request, response: Response) -> None:
        """Sign out, on every node. Raises OtherSession if the page was opened in another session."""
        word = self._word(request)
        if word is not None and (session := await self._kept(word)):
            try:
                key = await self._opener(session)
            except Unauthorized:  # revoked meanwhile: that is signed out, too
                key = None
            if key is not None:
                self._expect_same(request, session, key)
            if await self._taken(word):
                role = {"role": key.role} if key else {}
                self._log.note("signed-out", address_of(request), **_whose(session), **role)
        self._set_cookie(request, response, "", 0)

    def now(self) -> datetime:
        return self._newswire.now()

    async def touched(self, session: Session) -> None:
        """Note that a passkey was touched in this session just now."""
        now = self._newswire.now()
        await self._newswire.sessions.change(session.id, lambda kept: replace(kept, touched=now))

    def _set_cookie(self, request: Request, response: Response, word: str, seconds: int) -> None:
        response.set_cookie(
            self._cookie,
            word,
            max_age=seconds,
            path="/",
            secure=self._pages.is_secure or request.scope["scheme"] == "https",  # where the proxy is believed to say so
            httponly=True,
            samesite="strict",
        )

    # What is kept

    async def _kept(self, word: str) -> Session | None:
        if not _WORD.fullmatch(word):
            return None
        digest = _digest(word)
        session = await self._newswire.sessions.get(digest[:HALF])
        if session is None or not hmac.compare_digest(session.check, digest[HALF:]):
            return None
        if session.is_over(self._newswire.now()):
            return None
        if session.whose == ENVIRONMENT and not hmac.compare_digest(session.seal or "", self._keyring.seal(word)):
            return None  # TICKER_ADMIN_KEY is another one by now
        return session

    async def _taken(self, word: str) -> Session | None:
        session = await self._kept(word)  # a look costs the newswire less, and anybody can ask for this
        return None if session is None else await self._newswire.sessions.end(session.id)

    # When it was last used

    def _note_use(self, request: Request, session: Session, key: Identity) -> None:
        now = self._newswire.now()
        if not session.was_used(now) or request.headers.get(UNATTENDED):
            return
        task = asyncio.create_task(self._keep_use(session.id, key, now))
        self._uses.add(task)
        task.add_done_callback(self._uses.discard)

    async def _keep_use(self, session_id: str, key: Identity, now: datetime) -> None:
        try:
            await self._newswire.sessions.change(session_id, lambda kept: replace(kept, last_used=now))
            if isinstance(key, Person):
                await self._newswire.people.change(key.id, lambda kept: replace(kept, last_used=now))
        except NewswireUnavailable as error:
            log.debug("When a session was last used is not kept: %s", error.detail)  # the log has the trouble

    # What the request says

    def _word(self, request: Request) -> str | None:
        """The value of our own cookie; no other cookie is read. Raises Malformed if it comes twice."""
        values: list[bytes] = []
        for name, header in request.scope["headers"]:
            for number, crumb in enumerate(self._crumb.finditer(header) if name == b"cookie" else ()):
                if number >= CRUMBS_MAX:
                    raise Malformed("The Cookie header contains this site's cookie too often.")
                if header[header.rfind(b";", 0, crumb.start()) + 1 : crumb.start()].strip(b" \t"):
                    continue  # the end of another cookie's name, or a part of its value
                values.append(crumb[1])
                if len(values) > 1:  # one of them may have been planted by another host of the same site
                    raise Malformed(
                        f"The cookie {self._cookie} was sent twice. Delete this site's cookies and sign in again."
                    )
        return values[0].decode("latin-1").strip() or None if values else None

    def _expect_same(self, request: Request, session: Session, key: Identity) -> None:
        """Raises OtherSession if a change is meant for another session than the cookie's."""
        believed = request.headers.getlist(SESSION)
        if request.method in ("GET", "HEAD") or set(believed) <= {session.id}:
            return
        self._log.refused("other-session-refused", address_of(request), **_whose(session), role=key.role)
        raise OtherSession(
            f"{key.name} is signed in by now, in another tab perhaps. Nothing was changed. Reload the desk, and look "
            "who you are there.",
            {"id": key.id, "name": key.name},
        )


def session_of(request: Request) -> Session | None:
    """The session that a request came with, once it is known whose it is; None for a key in a header."""
    session: Session | None = request.scope.get(_STATE)
    return session


def is_person(identity: str) -> bool:
    """Whether an id is a person's, and not a key's."""
    return identity.startswith(f"{PERSON}_")


def _whose(session: Session) -> dict[str, str]:
    """For the log."""
    return {"person" if is_person(session.whose) else "key": session.whose}


def _bearer(logins: list[str]) -> str:
    """The one key in the Authorization headers. Raises Unauthorized."""
    tokens = [
        token.strip() for scheme, _, token in (login.partition(" ") for login in logins) if scheme.lower() == "bearer"
    ]
    if len(tokens) != 1 or not tokens[0]:
        raise Unauthorized(f"{SEND_A_KEY} Send one key, in one header.")
    return tokens[0]


def _digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()
