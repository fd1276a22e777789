"""What an editor's key is: who, which role, which channels, until when. Pure; keeps no secret.

A key is printed once, as `ticker_ID_SECRET`. The id names it in lists and logs. The secret has 256 bits,
so a plain SHA-256 of it is kept: a slow hash guards guessable passwords, and this can't be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

Role = Literal["editor", "chief", "admin"]
PREFIX = "ticker"
ENVIRONMENT = "environment"  # the id of the key that is TICKER_ADMIN_KEY; ids of kept keys have eight characters
ENVIRONMENT_NAME = "TICKER_ADMIN_KEY"
TOKEN_MAX = 256  # characters; our own have 59. TICKER_ADMIN_KEY may not be longer either
_ID_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no letter that is taken for another when read aloud


class Key(Struct, frozen=True, kw_only=True):
    """A key as kept. An editor works the lines of its channels; a chief those of every channel; an admin
    also makes and revokes keys. No channels named: all of them."""

    id: str
    name: str
    role: Role
    channels: tuple[str, ...]
    hash: str
    created: datetime
    last_used: datetime | None = None
    revoked: datetime | None = None

    def reaches(self, channel: str) -> bool:
        """Whether it may change this channel's lines."""
        return self.role != "editor" or not self.channels or channel in self.channels

    def opens_with(self, secret: str) -> bool:
        """Whether the secret is this key's, compared in constant time."""
        return hmac.compare_digest(self.hash, hashed(secret))


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def make(name: str, role: Role, channels: tuple[str, ...], now: datetime) -> tuple[Key, str]:
    """A new key, and the token that opens it: the only time it can be had."""
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    key = Key(id=key_id, name=name, role=role, channels=channels, hash=hashed(secret), created=now)
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


def key_info(key: Key) -> KeyInfo:
    return msgspec.convert(key, KeyInfo, from_attributes=True)
