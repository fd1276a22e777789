"""Who acts: keys, the people behind them, and what each role may do. Pure; keeps no secret.

A key is printed once, as `ticker_ID_SECRET`. The id names it in lists and logs. The secret has 256 bits,
so a plain SHA-256 of it is kept: a slow hash guards guessable passwords, and this can't be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec
from msgspec import Struct

Role = Literal["contributor", "editor", "chief", "admin"]
Action = Literal[
    "draft",  # write drafts of one's own, and submit, recall and discard them
    "publish",  # put words on the air: publish, correct, reinstate
    "withhold",  # take words off the air for now
    "cancel",  # for good, without a second person
    "edit",  # read, edit, recall and discard the drafts of others
    "approve",  # agree to what another person submitted, or return it
    "lock",  # stop everything but withholding, and let it go on
    "administer",  # make, list and revoke keys
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


class Key(Struct, frozen=True, kw_only=True):
    """A key as kept. Contributors and editors work on its channels, chiefs and admins on every channel. No channels
    named: all of them."""

    id: str
    name: str
    role: Role
    channels: tuple[str, ...]
    hash: str
    created: datetime
    last_used: datetime | None = None
    revoked: datetime | None = None
    owner: str | None = None
    """Whose key it is. Two keys of one owner are one person, who can't approve what was written with the other."""

    @property
    def actor(self) -> Actor:
        return Actor(self.id, self.name)

    @property
    def person(self) -> str:
        """The same for all keys of one person, and for nobody else."""
        return f"key:{self.id}" if self.owner is None else f"owner:{self.owner.casefold()}"

    def may(self, action: Action, channel: str | None = None) -> bool:
        """Whether it may do it: on this channel, or at all."""
        return may(self.role, action) and (channel is None or self.reaches(channel))

    def reaches(self, channel: str) -> bool:
        """Whether it works on this channel."""
        return self.role in ("chief", "admin") or not self.channels or channel in self.channels

    def opens_with(self, secret: str) -> bool:
        """Whether the secret is this key's, compared in constant time."""
        return hmac.compare_digest(self.hash, hashed(secret))


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def make(
    name: str,
    role: Role,
    channels: tuple[str, ...],
    now: datetime,
    owner: str | None = None,
    request: str | None = None,
) -> tuple[Key, str]:
    """A new key, and the token that opens it: the only time it can be had. The same `request` gives the same id."""
    random = secrets.token_bytes(8) if request is None else hashlib.sha256(request.encode()).digest()[:8]
    key_id = "".join(_ID_ALPHABET[each % len(_ID_ALPHABET)] for each in random)
    secret = secrets.token_urlsafe(32)
    key = Key(id=key_id, name=name, role=role, channels=channels, hash=hashed(secret), created=now, owner=owner)
    return key, f"{PREFIX}_{key_id}_{secret}"


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


def key_info(key: Key) -> KeyInfo:
    return msgspec.convert(key, KeyInfo, from_attributes=True)
