"""Who may do what: keys, sessions, one-time links. Knows the newswire's protocol; knows no route."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from starlette.requests import Request

from ticker.errors import Forbidden, NewswireUnavailable, NotFound, Unauthorized
from ticker.key import Key, Role, hashed, make, parts
from ticker.newswire import Newswire

COOKIE = "ticker_key"
TOUCH_EVERY = timedelta(minutes=1)  # "last used" needs no finer grain, and each touch is a write
ONE_TIME_FOR = 3_600  # seconds a sign-in link holds: long enough to open a laptop, not to be found in a log

log = logging.getLogger("ticker.desk")


class Keyring:
    """Every key that opens this node's desk. `admin_key` holds as long as the node runs with it."""

    def __init__(self, newswire: Newswire, admin_key: str | None) -> None:
        self._newswire = newswire
        self._admin_key = admin_key
        self._admin = Key(
            id="environment",
            name="TICKER_ADMIN_KEY",
            role="admin",
            channels=(),
            hash="",
            created=datetime.now(UTC),
        )
        self._touches: set[asyncio.Task[None]] = set()

    async def who(self, request: Request) -> Key:
        """Whose request it is. Raises Unauthorized."""
        return await self.opened_by(_token(request))

    async def opened_by(self, token: str) -> Key:
        """The key that a token opens, looked up each time, so that revoking acts at once."""
        if self._admin_key is not None and hmac.compare_digest(self._admin_key.encode(), token.encode()):
            return self._admin
        found = parts(token)
        key = await self._newswire.key(found[0]) if found else None
        if found is None or key is None or not key.opens_with(found[1]):
            raise Unauthorized(
                "This key opens nothing here. Look for a missing character, or ask an admin for a new one."
            )
        if key.revoked is not None:
            raise Unauthorized("This key was revoked. Ask an admin for a new one.")
        self._touch(key)
        return key

    async def first(self) -> str | None:
        """Where no key can open the desk, make the first one; its token, else None. Of several nodes, one makes it."""
        if self._admin_key is not None or await self._newswire.keys():  # read first: a full one takes no write
            return None
        key, token = make("first", "admin", (), self._newswire.now())
        return token if await self._newswire.keep_first_key(key) else None

    async def make(self, name: str, role: Role, channels: tuple[str, ...]) -> tuple[Key, str]:
        key, token = make(name, role, channels, self._newswire.now())
        await self._newswire.keep_key(key)
        return key, token

    async def all(self) -> list[Key]:
        return await self._newswire.keys()

    async def revoke(self, key_id: str) -> Key:
        key = await self._newswire.revoke_key(key_id, self._newswire.now())
        if key is None:
            raise NotFound(f"There is no key {key_id}. `ticker key list` shows them.")
        return key

    async def one_time(self, token: str) -> str:
        """A word that signs in with this token, once, within the hour, on any node.

        The newswire keeps the token under the word's hash and masked by the word, so that it tells nobody.
        """
        word = secrets.token_urlsafe(32)
        await self._newswire.keep_secret(hashed(word), _masked(token.encode(), word), ONE_TIME_FOR)
        return word

    async def redeem(self, word: str) -> str:
        """The token behind a one-time word. Raises Unauthorized."""
        secret = await self._newswire.take_secret(hashed(word))
        if secret is None:
            raise Unauthorized("This sign-in link was used before or is too old. Sign in with your key.")
        return _masked(secret, word).decode()

    def _touch(self, key: Key) -> None:
        now = self._newswire.now()
        if key.last_used is None or now - key.last_used > TOUCH_EVERY:
            task = asyncio.create_task(self._note_use(key.id, now))
            self._touches.add(task)
            task.add_done_callback(self._touches.discard)

    async def _note_use(self, key_id: str, now: datetime) -> None:
        try:
            await self._newswire.touch_key(key_id, now)
        except NewswireUnavailable as error:
            log.warning("When key %s was last used is not kept: %s", key_id, error.detail)


def _masked(secret: bytes, word: str) -> bytes:
    """A one-time pad: the word has 256 random bits and masks one secret, once."""
    pad = hashlib.shake_256(word.encode()).digest(len(secret))
    return bytes(a ^ b for a, b in zip(secret, pad, strict=True))


def allow(key: Key, channel: str) -> None:
    """Raises Forbidden where the key doesn't reach the channel."""
    if not key.reaches(channel):
        raise Forbidden(f"The key {key.name!r} works on {', '.join(key.channels)}, not on {channel}.")


def allow_admin(key: Key) -> None:
    """Raises Forbidden where the key is not an admin's."""
    if key.role != "admin":
        raise Forbidden(f"Keys are made, listed and revoked by admins; the role of {key.name!r} is {key.role}.")


def _token(request: Request) -> str:
    """The request's token: its Authorization header, or the desk's cookie from the desk's own pages."""
    if header := request.headers.get("authorization"):
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized("Send the key as `Authorization: Bearer KEY`.")
        return token.strip()
    if token := request.cookies.get(COOKIE, ""):
        if request.method not in ("GET", "HEAD") and not _from_our_own_page(request):
            raise Forbidden("This change came from another site's page. Use the desk, or send the key in a header.")
        return token
    raise Unauthorized("Send the key as `Authorization: Bearer KEY`. An admin makes one with `ticker key create NAME`.")


def _from_our_own_page(request: Request) -> bool:
    """Whether the browser vouches that the request came from this origin (Fetch Metadata, else Origin).

    SameSite=Strict keeps other sites out, but not the other hosts of our own site.
    """
    if site := request.headers.get("sec-fetch-site"):
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")
