"""Who acts: people and keys, and what each role may do. Pure; keeps no secret.

A person signs in with passkeys. A key is for a program, or belongs to a person. It is printed once, as
`ticker_ID_SECRET`. The id names it in lists and logs. The secret has 256 bits, so a plain SHA-256 of it is kept: a slow
hash guards guessable passwords, and this can't be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

Role = Literal["contributor", "editor", "chief", "admin"]
Action = Literal[
    "draft",  # write drafts of one's own, and submit, recall and discard them
    "publish",  # put words on the air: publish, correct, reinstate
    "withhold",  # take words off the air for now
    "cancel",  # for good, without a second person
    "edit",  # read, edit, recall and discard the drafts of others
    "approve",  # agree to what another person submitted, or return it
    "lock",  # stop everything but withholding, and let it go on
    "administer",  # people and keys
]

# Who may do what, on the channels that a key reaches. Each role may do what the one before it may. What a role may
# only propose (a contributor's publishing, an editor's canceling) becomes a draft that waits for a second person.
_ADDS: Final[Mapping[Role, frozenset[Action]]] = {
    "contributor": frozenset({"draft"}),
    "editor": frozenset({"publish", "withhold", "edit", "approve"}),
    "chief": frozenset({"cancel", "lock"}),
    "admin": frozenset({"administer"}),
}
ROLES: Final = tuple(_ADDS)
PREFIX = "ticker"
PERSON = "p"  # what ids of people begin with
ENVIRONMENT = "environment"  # the id of the key that is TICKER_ADMIN_KEY; ids of kept keys have eight characters
ENVIRONMENT_NAME = "TICKER_ADMIN_KEY"
TOKEN_MAX = 256  # characters; our own have 59. TICKER_ADMIN_KEY may not be longer either
_ID_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no letter that is taken for another when read aloud


def may(role: Role, action: Action) -> bool:
    """Whether the role may do it, on a channel that it reaches."""
    return any(action in _ADDS[each] for each in ROLES[: ROLES.index(role) + 1])


class Actor(Struct, frozen=True):
    """Who did something, as editors see it: the id and the name of a key. What version 0.1.0 kept has no id."""

    id: str | None
    name: str


class Identity(Struct, frozen=True, kw_only=True):
    """Who acts: a person or a key. Contributors and editors work on its channels, chiefs and admins on every channel.
    No channels named: all of them."""

    id: str
    name: str
    role: Role
    channels: tuple[str, ...]
    created: datetime
    last_used: datetime | None = None
    revoked: datetime | None = None

    @property
    def actor(self) -> Actor:
        return Actor(self.id, self.name)

    @property
    def person(self) -> str:
        """The same for a person and all keys of theirs, and for nobody else: kept with what they do."""
        raise NotImplementedError

    def may(self, action: Action, channel: str | None = None) -> bool:
        """Whether it may do it: on this channel, or at all."""
        return may(self.role, action) and (channel is None or self.reaches(channel))

    def reaches(self, channel: str) -> bool:
        """Whether it works on this channel."""
        return self.role in ("chief", "admin") or not self.channels or channel in self.channels


class Key(Identity, frozen=True, kw_only=True):
    """A key as kept."""

    hash: str
    owner: str | None = None
    """Whose key it is, in words. Two keys of one owner are one person, who can't approve what was written with the
    other."""
    person_id: str | None = None
    """The person whose key it is. It does no more than they may, and nothing once they are revoked."""
    acts_as: str | None = None
    """While it acts: `person` of the person whose key it is. Never kept."""

    @property
    def person(self) -> str:
        if self.acts_as is not None:
            return self.acts_as
        return f"key:{self.id}" if self.owner is None else owned_by(self.owner)

    def opens_with(self, secret: str) -> bool:
        """Whether the secret is this key's, compared in constant time."""
        return hmac.compare_digest(self.hash, hashed(secret))


class Passkey(Struct, frozen=True, kw_only=True):
    """A credential that a person has registered (W3C Web Authentication). `id` is base64url, as browsers write it."""

    id: str
    name: str
    public_key: bytes
    sign_count: int
    created: datetime
    by: Literal["link", "session"]
    """Whether it was added with an invitation link, or by somebody who was signed in."""
    transports: tuple[str, ...] = ()
    last_used: datetime | None = None


class Invitation(Struct, frozen=True, kw_only=True):
    """A link with which the person may register one passkey, until then. The newest link alone holds."""

    hash: str
    until: datetime
    by: Actor


class Person(Identity, frozen=True, kw_only=True):
    """A person as kept. `email` is for the invitation's sake only."""

    email: str | None = None
    owner: str | None = None
    """What keys name as their owner that were made before there were people: those keys are this person's too."""
    passkeys: tuple[Passkey, ...] = ()
    invitation: Invitation | None = None
    subject: str | None = None
    """Who they are to the newsroom's identity provider: its issuer and their `sub`, with a space between."""

    @property
    def person(self) -> str:
        return f"person:{self.id}" if self.owner is None else owned_by(self.owner)

    def has(self, key: Key) -> bool:
        """Whether a key is theirs."""
        return key.person_id == self.id or (key.person_id is None and key.person == self.person)


def owned_by(owner: str) -> str:
    """The person whom keys name as their owner."""
    return f"owner:{owner.casefold()}"


def of_person(key: Key, person: Person) -> Key | None:
    """The person's key as it acts: it does no more than both may. None if that is nothing."""
    role = min(key.role, person.role, key=ROLES.index)
    reaches_all = {"chief", "admin"}
    theirs = () if person.role in reaches_all else person.channels
    its = () if key.role in reaches_all else key.channels
    channels = tuple(slug for slug in its if slug in theirs) if its and theirs else its or theirs
    if its and theirs and not channels:
        return None
    return replace(key, role=role, channels=() if role in reaches_all else channels, acts_as=person.person)


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def make(
    name: str,
    role: Role,
    channels: tuple[str, ...],
    now: datetime,
    owner: str | None = None,
    request: str | None = None,
    person_id: str | None = None,
) -> tuple[Key, str]:
    """A new key, and the token that opens it: the only time it can be had. The same `request` gives the same id."""
    key_id = _new_id(8, request)
    secret = secrets.token_urlsafe(32)
    key = Key(
        id=key_id,
        name=name,
        role=role,
        channels=channels,
        hash=hashed(secret),
        created=now,
        owner=owner,
        person_id=person_id,
    )
    return key, f"{PREFIX}_{key_id}_{secret}"


def new_person_id(request: str | None = None) -> str:
    """The same `request` gives the same id. Keys' ids have no underscore in them."""
    return f"{PERSON}_{_new_id(12, request)}"


def _new_id(length: int, request: str | None) -> str:
    random = secrets.token_bytes(length) if request is None else hashlib.sha256(request.encode()).digest()[:length]
    return "".join(_ID_ALPHABET[each % len(_ID_ALPHABET)] for each in random)


def parts(token: str) -> tuple[str, str] | None:
    """The id and the secret of a token; None if it can't be one of ours."""
    if len(token) > TOKEN_MAX:
        return None
    prefix, _, rest = token.partition("_")
    key_id, _, secret = rest.partition("_")
    return (key_id, secret) if prefix == PREFIX and key_id and secret else None


class KeyInfo(Struct, frozen=True, kw_only=True):
    """A key as lists show it: everything but the hash."""

    id: str
    name: str
    role: Role
    channels: tuple[str, ...]
    created: datetime
    last_used: datetime | None
    revoked: datetime | None
    owner: str | None
    person: str | None
    """The id of the person whose key it is."""


def key_info(key: Key) -> KeyInfo:
    shown = {name: getattr(key, name) for name in KeyInfo.__struct_fields__ if name != "person"}
    return KeyInfo(**shown, person=key.person_id)
