"""Who may do what: keys, and the links that sign in once. Knows the newswire's protocol; knows no route, no cookie."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ticker.desk.brake import Brake
from ticker.desk.security_log import NOWHERE, Address, SecurityLog
from ticker.errors import (
    Conflict,
    Forbidden,
    KeyReused,
    NewswireUnavailable,
    NotFound,
    TickerError,
    TooManyAttempts,
    Unauthorized,
)
from ticker.identity import (
    ENVIRONMENT,
    ENVIRONMENT_NAME,
    TOKEN_MAX,
    Identity,
    Key,
    Role,
    hashed,
    make,
    of_person,
    parts,
)
from ticker.newswire import KEY_REUSED, IdempotencyKey, Newswire

TOUCH_EVERY = timedelta(minutes=1)  # "last used" needs no finer grain, and each touch is a write
ONE_TIME_FOR = 3_600  # seconds a sign-in link holds: long enough to open a laptop, not to be found in a log
COPY_FOR = 1.0  # seconds; while many guess, the newswire is asked for all keys once in so long, and for nothing else
GUESSES_AT_ONCE = 4  # keys that are looked up at once without being known: the brake counts them before there are more
SPENT_MAX = 1_024  # links used on this node that it remembers, so that using them again costs the newswire nothing

UNKNOWN = "This key is not valid here. Check it for a missing character, or ask an admin for a new one."
REVOKED = "This key was revoked. Ask an admin for a new one."
SPENT = "This sign-in link was used before or is too old. Sign in with your key."

log = logging.getLogger("ticker.desk")


class Keyring:
    """Every key that opens this node's desk. `admin_key` holds as long as the node runs with it."""

    def __init__(self, newswire: Newswire, admin_key: str | None, security_log: SecurityLog | None = None) -> None:
        self._newswire = newswire
        self._admin_key = None if admin_key is None else admin_key.encode("utf-8", "surrogateescape")
        self._admin = Key(
            id=ENVIRONMENT,
            name=ENVIRONMENT_NAME,
            role="admin",
            channels=(),
            hash="",
            created=datetime.now(UTC),
        )
        self._log = security_log or SecurityLog()
        self.brake = Brake(self._log)
        self._guesses = asyncio.Semaphore(GUESSES_AT_ONCE)
        self._known: dict[str, Key] = {}
        self._copying: asyncio.Task[None] | None = None
        self._copy_until = 0.0
        self._spent: OrderedDict[str, None] = OrderedDict()
        self._touches: set[asyncio.Task[None]] = set()

    # Opening

    async def opened_by(self, token: str, address: Address = NOWHERE, event: str = "key-refused") -> Key:
        """The key that a token opens, looked up each time, so that revoking acts at once.

        `event` is what the security log calls it if there is none. Raises Unauthorized, TooManyAttempts.
        """
        if self._is_admin_key(token):
            return self._admin
        key_id, secret = parts(token) or ("", "")
        return await self._as_it_acts(
            await self._found(key_id, lambda key: key.opens_with(secret), address, event, UNKNOWN)
        )

    async def named(self, key_id: str) -> Key:
        """The key of an id that a session or a link was made for. Raises Unauthorized if it is no longer valid."""
        key = self._admin if key_id == ENVIRONMENT else await self._newswire.keys.get(key_id)
        if key is None or (key is self._admin and self._admin_key is None):
            raise Unauthorized("The key of this session is gone. Sign in again.")
        if key.revoked is not None:
            raise Unauthorized(REVOKED)
        self._touch(key)
        return await self._as_it_acts(key)

    async def _as_it_acts(self, key: Key) -> Key:
        """The key, if it belongs to a person as they stand now. Raises Unauthorized, Forbidden."""
        if key.person_id is None:
            return key
        person = await self._newswire.people.get(key.person_id)
        if person is None or person.revoked is not None:
            raise Unauthorized(REVOKED)
        if (acting := of_person(key, person)) is None:
            raise Forbidden(f"The key {key.name!r} works on no channel that {person.name} may work on.")
        return acting

    def seal(self, salt: str) -> str:
        """A salted hash of TICKER_ADMIN_KEY: another key gives another hash, and without the salt nobody can test keys
        against it."""
        return hmac.new(salt.encode(), self._admin_key or b"", hashlib.sha256).hexdigest()

    def _is_admin_key(self, token: str) -> bool:
        return (
            self._admin_key is not None
            and len(token) <= TOKEN_MAX
            and hmac.compare_digest(self._admin_key, token.encode("utf-8", "surrogateescape"))
        )

    async def _found(self, key_id: str, fits: Callable[[Key], bool], address: Address, event: str, unfit: str) -> Key:
        """The key of the id, if it `fits`; the newswire has the last word on a right one.

        A wrong one costs it a look-up each until the brake is on, and from then on nothing.
        """

        def is_right(key: Key | None) -> bool:
            return key is not None and fits(key) and key.revoked is None

        key = await self._looked_up(key_id) if is_right(self._known.get(key_id)) else None
        if key is None or not is_right(key):
            async with self._guesses:
                if not self.brake.seconds_left(address):
                    key = await self._looked_up(key_id) if key_id else None
                else:
                    await self._copy_keys()
                    key = self._known.get(key_id)
                    if is_right(key):
                        key = await self._looked_up(key_id)
                if key is None:
                    raise self.wrong(unfit, address, event, why="unknown")
                if not fits(key):
                    raise self.wrong(unfit, address, event, why="wrong", key=key_id, role=key.role)
                if key.revoked is not None:
                    raise self.wrong(REVOKED, address, event, why="revoked", key=key_id, role=key.role)
        self._touch(key)
        return key

    async def _looked_up(self, key_id: str) -> Key | None:
        if key := await self._newswire.keys.get(key_id):
            self._known[key_id] = key
        return key

    def wrong(self, detail: str, address: Address, event: str, **facts: str) -> TickerError:
        """Count a wrong attempt, and log it while the brake is off; what to raise."""
        seconds = self.brake.seconds_left(address)
        if not seconds:
            self._log.refused(event, address, **facts)
        self.brake.failed(address)
        if seconds:
            return TooManyAttempts(
                f"Too many wrong attempts came, and this one is wrong too. Look at it again, and wait {seconds} s.",
                seconds,
            )
        return Unauthorized(detail)

    async def _copy_keys(self) -> None:
        """Have a copy of all keys that is a second old at most."""
        loop = asyncio.get_running_loop()
        if self._copying is None or (self._copying.done() and loop.time() >= self._copy_until):
            self._copying = asyncio.create_task(self._copy())
            self._copying.add_done_callback(lambda done: done.cancelled() or done.exception())  # maybe nobody waits
        await asyncio.shield(self._copying)  # who waits for it may leave; the others still wait

    async def _copy(self) -> None:
        try:
            self._known = {key.id: key for key in await self._newswire.keys.all()}
        finally:
            self._copy_until = asyncio.get_running_loop().time() + COPY_FOR

    # Keeping

    async def first(self) -> str | None:
        """If there is no key yet, make the first one and return its token, else None. Of several nodes, one makes
        it."""
        if self._admin_key is not None or await self._newswire.keys.all():  # read first: a full one takes no write
            return None
        key, token = make("first", "admin", (), self._newswire.now())
        if not await self._newswire.keys.keep_first(key):
            return None
        self._log.note("key-made", key=key.id, role=key.role, by="first-start")
        return token

    async def make(
        self,
        name: str,
        role: Role,
        channels: tuple[str, ...],
        *,
        owner: str | None = None,
        person_id: str | None = None,
        by: Identity,
        address: Address = NOWHERE,
        once: IdempotencyKey | None = None,
    ) -> tuple[Key, str]:
        """A new key, and its token. The same request makes one key only: raises Conflict, or KeyReused, if it comes
        again, because the token can't be shown again."""
        key, token = make(name, role, channels, self._newswire.now(), owner, once and once.key, person_id)
        kept = await self._newswire.keys.keep(key)
        if kept.hash != key.hash:
            if (kept.name, kept.role, kept.channels, kept.owner, kept.person_id) != (
                name,
                role,
                channels,
                owner,
                person_id,
            ):
                raise KeyReused(KEY_REUSED)
            raise Conflict(
                f"This request has made the key {key.id} already, and a key is shown only once. If you haven't seen "
                f"it, revoke {key.id} and make another one."
            )
        self._known[key.id] = key
        self._log.note("key-made", address, key=key.id, role=key.role, by=by.id)
        return key, token

    async def all(self) -> list[Key]:
        return await self._newswire.keys.all()

    async def revoke(self, key_id: str, *, by: Identity, address: Address = NOWHERE) -> Key:
        if key_id == ENVIRONMENT:
            raise NotFound(
                f"{ENVIRONMENT_NAME} is not stored, so it can't be revoked. Start every node without it, "
                f"or with another one."
            )
        key = await self._newswire.keys.revoke(key_id, self._newswire.now())
        if key is None:
            raise NotFound(f"There is no key {key_id}. `ticker key list` shows them.")
        self._known[key.id] = key
        self._log.note("key-revoked", address, key=key.id, role=key.role, by=by.id)
        return key

    # Links that sign in once

    async def one_time(self, token: str) -> str:
        """A word that signs in with the key that this token opens, once, within the hour, on any node.

        It holds a code that only who knows the key's hash can make (HMAC), so that a guessed word asks nothing of the
        newswire. There the word stands as its hash, with the key's id: neither signs anybody in.
        """
        key = await self.opened_by(token)
        secret = secrets.token_urlsafe(32)
        word = f"{key.id}.{secret}.{self._code(key, secret)}"
        await self._newswire.secrets.keep(f"once:{hashed(word)}", key.id.encode(), ONE_TIME_FOR)
        return word

    async def redeem(self, word: str, address: Address = NOWHERE) -> Key:
        """The key that a one-time word signs in with. Raises Unauthorized, TooManyAttempts."""
        key_id, secret, code = _split(word)
        event, name = "link-refused", f"once:{hashed(word)}"
        if name in self._spent:
            raise self.wrong(SPENT, address, event, why="spent")

        def fits(key: Key) -> bool:
            return hmac.compare_digest(self._code(key, secret).encode(), code.encode())

        if key_id == ENVIRONMENT:
            key = self._admin
            if self._admin_key is None or not fits(key):
                raise self.wrong(SPENT, address, event, why="unknown")
        else:
            key = await self._found(key_id, fits, address, event, SPENT)
        granted = await self._newswire.secrets.take(name)
        self._remember_spent(name)
        if granted != key.id.encode():
            raise self.wrong(SPENT, address, event, why="spent", key=key.id, role=key.role)
        return await self._as_it_acts(key)

    def _code(self, key: Key, secret: str) -> str:
        known = (self._admin_key or b"") if key is self._admin else key.hash.encode()
        return hmac.new(known, f"once:{secret}".encode(), hashlib.sha256).hexdigest()

    def _remember_spent(self, name: str) -> None:
        self._spent[name] = None
        if len(self._spent) > SPENT_MAX:
            self._spent.popitem(last=False)

    # When a key was last used

    def _touch(self, key: Key) -> None:
        now = self._newswire.now()
        if key is not self._admin and (key.last_used is None or now - key.last_used > TOUCH_EVERY):
            task = asyncio.create_task(self._note_use(key.id, now))
            self._touches.add(task)
            task.add_done_callback(self._touches.discard)

    async def _note_use(self, key_id: str, now: datetime) -> None:
        try:
            await self._newswire.keys.touch(key_id, now)
        except NewswireUnavailable as error:
            log.debug("When key %s was last used is not kept: %s", key_id, error.detail)  # the log has the trouble


def allow(key: Identity, channel: str) -> None:
    """Raises Forbidden if the key has no access to the channel."""
    if not key.reaches(channel):
        raise Forbidden(f"{key.name!r} has access to {', '.join(key.channels)}, not to {channel}.")


def allow_admin(key: Identity) -> None:
    """Raises Forbidden if the key is not an admin's."""
    if key.role != "admin":
        raise Forbidden(f"This is for admins; the role of {key.name!r} is {key.role}.")


def _split(word: str) -> tuple[str, str, str]:
    """The three parts of a one-time link's secret; empty strings if it can't be one of ours."""
    parts = word.split(".") if len(word) <= TOKEN_MAX else []
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else ("", "", "")
