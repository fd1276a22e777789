"""What is kept beside the lines, and in no step with them: people, keys, sessions, secrets, the
ledger, presence. Knows no backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

from ticker.corrections import Correction
from ticker.identity import Key, Person
from ticker.line import Cursor
from ticker.session import Session

PRESENCE_FOR = 15.0  # seconds a node's count of readers stands without being renewed


class Presence(NamedTuple):
    """How many connections listen to a channel, over how many nodes."""

    readers: int
    nodes: int


class KeyStore(Protocol):
    """Editors' keys, as hashes. Every method may raise NewswireUnavailable."""

    async def keep(self, key: Key) -> Key:
        """Keep a new key. Returns the one that is kept under its id: this one, or that which was there before."""

    async def keep_first(self, key: Key) -> bool:
        """Keep it if there is no key yet, in one step. Returns whether it was kept."""

    async def get(self, key_id: str) -> Key | None: ...

    async def all(self) -> list[Key]:
        """By age."""

    async def touch(self, key_id: str, used: datetime) -> None: ...

    async def revoke(self, key_id: str, when: datetime) -> Key | None:
        """The key, revoked now or before; None if there is none."""


class PersonStore(Protocol):
    """People, with their passkeys. Every method may raise NewswireUnavailable."""

    async def keep(self, person: Person) -> Person:
        """Keep a new person. Returns the one that is kept under the id: this one, or that which was there before."""

    async def get(self, person_id: str) -> Person | None: ...

    async def all(self) -> list[Person]:
        """By age."""

    async def change(self, person_id: str, change: Callable[[Person], Person]) -> Person | None:
        """Keep what `change` makes of the person, in one step; None if there is no such person. It may be called more
        than once, and nothing is kept if it raises."""


class SessionStore(Protocol):
    """The desk's sessions. Every method may raise NewswireUnavailable."""

    async def keep(self, session: Session) -> None:
        """Keep a new one. What is `superfluous` then is ended."""

    async def get(self, session_id: str) -> Session | None:
        """One that is over may be there still."""

    async def all(self) -> list[Session]:
        """By age. Some may be over."""

    async def change(self, session_id: str, change: Callable[[Session], Session]) -> Session | None:
        """As for a person: what has ended meanwhile stays ended."""

    async def end(self, session_id: str) -> Session | None:
        """The session, if it had not ended before."""


class SecretStore(Protocol):
    """What is kept for a while under a name. Every method may raise NewswireUnavailable."""

    async def keep(self, name: str, secret: bytes, seconds: int) -> None:
        """Keep a value for `seconds`. The first caller that takes it, on any node, gets it."""

    async def keep_first(self, name: str, secret: bytes, seconds: int) -> bool:
        """The same, if nothing is kept under the name: whether it was kept, in one step."""

    async def get(self, name: str) -> bytes | None:
        """What is kept under the name, which stays there."""

    async def take(self, name: str) -> bytes | None: ...


class CorrectionStore(Protocol):
    """The ledger of corrections of each channel, as far as the history was looked at. It can be made again from the
    history. Every method may raise NewswireUnavailable."""

    async def upto(self, channel: str) -> str | None:
        """The cursor of the last event that was looked at."""

    async def keep(self, channel: str, found: list[Correction], upto: str) -> None:
        """Keep these, if they aren't there, and that the history was looked at up to this event."""

    async def page(self, channel: str, before: Cursor | None, limit: int) -> list[Correction]:
        """The newest that are older than `before`, newest first."""

    async def reset(self, channel: str) -> None:
        """Forget all: the history isn't the one that was looked at."""


class PresenceStore(Protocol):
    """Who is reading. Every method may raise NewswireUnavailable."""

    async def report(self, readers: Mapping[str, int]) -> None:
        """Publish how many readers each channel has on this node; valid for some seconds."""

    async def of(self, channel: str) -> Presence: ...
