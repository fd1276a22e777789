"""Who is behind a request: a key in its header, or the desk's session. Knows headers and cookies; knows no route.

A session is a random word in a cookie. The newswire keeps under the word's hash which key it was opened with, so that
ending it there ends it on every node; the cookie itself says nothing (docs/adr/0010).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ticker.desk.keys import Keyring
from ticker.desk.security_log import SecurityLog, address_of
from ticker.errors import Forbidden, Malformed, Misconfigured, OtherSession, Unauthorized
from ticker.identity import ENVIRONMENT, Key
from ticker.newswire import Newswire

SESSION_FOR = 12 * 3_600  # seconds; a shift, with the handover
CRUMBS_MAX = 16  # places in a Cookie header that look like our own cookie; one is usual
ORIGIN_MAX = 300  # characters; a host's name has 253
SESSION = "Ticker-Session"
"""The header in which a page says whose session it believes to be in."""

SEND_A_KEY = "Send the key as `Authorization: Bearer KEY`."
ENDED = "Your session has ended. Sign in again."
NOT_OURS = (
    "This request came from another site's page, as far as the browser tells. Use the desk's own page, or send the key "
    "in a header. If it was the desk's own page: start the node with the --public-url that you see in the address bar, "
    "or let the proxy pass on the Host header with its port."
)

_WORD = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 bits in base64url
# A login of a proxy in front of the node: browsers send it with every request, together with the desk's cookie.
_LOGIN_OF_A_PROXY = frozenset({"basic", "digest", "negotiate", "ntlm"})
_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Session(Struct, frozen=True, kw_only=True):
    """A session as kept. `id` may be shown; it is the first half of the hash under which the session is kept."""

    id: str
    key: str
    created: datetime
    seal: str | None = None
    """For TICKER_ADMIN_KEY: which one it was."""


class Visitor(NamedTuple):
    """Whose request it is. `session` is None if the key came in a header."""

    key: Key
    session: Session | None


class Origin(NamedTuple):
    """A page's origin (RFC 6454)."""

    scheme: str
    host: str
    port: int


_decode = msgspec.json.Decoder(Session).decode


class Sessions:
    """The desk's sessions. `public_url` is where browsers find this node: it decides how the cookie is kept.

    Raises Misconfigured if it is not an http or https address.
    """

    def __init__(self, newswire: Newswire, keyring: Keyring, public_url: str, log: SecurityLog) -> None:
        self._newswire = newswire
        self._keyring = keyring
        self._log = log
        self._public = _public_origin(public_url)
        self._is_secure = self._public.scheme == "https"
        # With the prefix, a browser takes the cookie over TLS alone, and from this very host (RFC 6265bis, 4.1.3).
        self._cookie = "__Host-ticker" if self._is_secure else "ticker_session"
        self._crumb = re.compile(rf"{re.escape(self._cookie)}=([^;]*)".encode())

    # Who it is

    async def who(self, request: Request) -> Key:
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
        if request.method not in ("GET", "HEAD") and self._from_our_own_page(request) is not True:
            raise self._other_site(request)
        session = await self._kept(word)
        if session is None:
            raise Unauthorized(ENDED)
        try:
            key = await self._keyring.named(session.key)
        except Unauthorized:
            self._log.refused("session-refused", address_of(request), why="revoked", key=session.key)
            raise
        self._expect_same(request, session, key)
        return Visitor(key, session)

    # Signing in and out

    def expect_own_page(self, request: Request) -> None:
        """For signing in and out: raises Forbidden unless our own page asks, or a program.

        A program sends neither Sec-Fetch-Site nor Origin. A form on another site's page may come without them too,
        from an old browser, but it can't send JSON, nor anything else than POST and GET.
        """
        own = self._from_our_own_page(request)
        kinds = request.headers.getlist("content-type")
        is_json = len(kinds) == 1 and kinds[0].partition(";")[0].strip().lower() == "application/json"
        if own is False or (own is None and not is_json and (kinds or request.method == "POST")):
            raise self._other_site(request)

    async def begin(self, request: Request, response: Response, key: Key, how: str) -> None:
        """Sign in: a new session, and the cookie that opens it. The one that this browser had before is over."""
        before = self._word(request)
        word = secrets.token_urlsafe(32)
        session = Session(
            id=_id(word),
            key=key.id,
            created=self._newswire.now(),
            seal=self._keyring.seal(word) if key.id == ENVIRONMENT else None,
        )
        await self._newswire.secrets.keep(_name(word), msgspec.json.encode(session), SESSION_FOR)
        if before is not None and (replaced := await self._taken(before)):
            self._log.note("session-replaced", address_of(request), key=replaced.key)
        self._log.note("signed-in", address_of(request), key=key.id, role=key.role, how=how)
        self._set_cookie(request, response, word, SESSION_FOR)

    async def end(self, request: Request, response: Response) -> None:
        """Sign out, on every node. Raises OtherSession if the page was opened in another session."""
        word = self._word(request)
        if word is not None and (session := await self._kept(word)):
            try:
                key = await self._keyring.named(session.key)
            except Unauthorized:  # revoked meanwhile: that is signed out, too
                key = None
            if key is not None:
                self._expect_same(request, session, key)
            if await self._taken(word):
                role = {"role": key.role} if key else {}
                self._log.note("signed-out", address_of(request), key=session.key, **role)
        self._set_cookie(request, response, "", 0)

    def _set_cookie(self, request: Request, response: Response, word: str, seconds: int) -> None:
        response.set_cookie(
            self._cookie,
            word,
            max_age=seconds,
            path="/",
            secure=self._is_secure or request.scope["scheme"] == "https",  # where the proxy is believed to say so
            httponly=True,
            samesite="strict",
        )

    # What is kept

    async def _kept(self, word: str) -> Session | None:
        found = await self._newswire.secrets.get(_name(word)) if _WORD.fullmatch(word) else None
        if found is None:
            return None
        session = _decode(found)
        if session.key == ENVIRONMENT and not hmac.compare_digest(session.seal or "", self._keyring.seal(word)):
            return None  # TICKER_ADMIN_KEY is another one by now
        return session

    async def _taken(self, word: str) -> Session | None:
        if await self._kept(word) is None:  # a look costs the newswire less, and anybody can ask for this
            return None
        found = await self._newswire.secrets.take(_name(word))
        return _decode(found) if found is not None else None

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

    def _expect_same(self, request: Request, session: Session, key: Key) -> None:
        """Raises OtherSession if a change is meant for another session than the cookie's."""
        believed = request.headers.getlist(SESSION)
        if request.method in ("GET", "HEAD") or set(believed) <= {session.id}:
            return
        self._log.refused("other-session-refused", address_of(request), key=key.id, role=key.role)
        raise OtherSession(
            f"{key.name} is signed in by now, in another tab perhaps. Nothing was changed. Reload the desk, and look "
            "who you are there.",
            {"id": key.id, "name": key.name},
        )

    def _from_our_own_page(self, request: Request) -> bool | None:
        """Whether the browser says that our own page asks (Fetch Metadata, else Origin); None if it says nothing.

        SameSite=Strict keeps other sites out, but not other hosts of our own site, and not requests without a cookie.
        """
        if sites := request.headers.getlist("sec-fetch-site"):
            return sites == ["same-origin"]
        if not (origins := request.headers.getlist("origin")):
            return None
        origin = _origin(origins[0]) if len(origins) == 1 else None
        if origin is None:
            return False
        if origin == self._public:
            return True
        if self._is_secure and origin.scheme != "https":
            return False
        hosts = request.headers.getlist("host")
        return len(hosts) == 1 and origin == _origin(f"{origin.scheme}://{hosts[0]}")

    def _other_site(self, request: Request) -> Forbidden:
        sites, origins = request.headers.get("sec-fetch-site", ""), request.headers.get("origin", "")
        self._log.refused(
            "cross-site-refused",
            address_of(request),
            method=request.method,
            path=request.scope["path"],
            origin=origins or "-",
            site=sites or "-",
        )
        return Forbidden(NOT_OURS)


def _bearer(logins: list[str]) -> str:
    """The one key in the Authorization headers. Raises Unauthorized."""
    tokens = [
        token.strip() for scheme, _, token in (login.partition(" ") for login in logins) if scheme.lower() == "bearer"
    ]
    if len(tokens) != 1 or not tokens[0]:
        raise Unauthorized(f"{SEND_A_KEY} Send one key, in one header.")
    return tokens[0]


def _public_origin(url: str) -> Origin:
    """The origin of the pages at a URL. Raises Misconfigured."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").partition("%")[0]  # an IPv6 zone is no part of an origin
        host = f"[{host}]" if ":" in host else host.encode("idna").decode()  # as browsers write it
        origin = _origin(f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}")
    except ValueError:  # UnicodeError is one
        origin = None
    if origin is None:
        raise Misconfigured(
            f"--public-url (TICKER_PUBLIC_URL) is {url!r}; it must be the address that editors see in their browser, "
            "such as https://ticker.example.org."
        )
    return origin


def _origin(text: str) -> Origin | None:
    found = _ORIGIN.fullmatch(text[:ORIGIN_MAX])
    if not found:
        return None
    scheme = found[1].lower()
    return Origin(scheme, found[2].lower(), int(found[3]) if found[3] else _DEFAULT_PORTS[scheme])


def _digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


def _name(word: str) -> str:
    return f"session:{_digest(word)}"


def _id(word: str) -> str:
    return _digest(word)[:32]
