"""What the desk's lock is: while it is on, nothing goes out on a channel but a withhold. Pure."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from ticker.errors import Forbidden
from ticker.identity import Actor, Key


class Lock(Struct, frozen=True, kw_only=True):
    """A channel's lock, as kept."""

    reason: str
    by: Actor
    person: str
    """Whose key it was (`Key.person`): not for display."""
    at: datetime


def expect_to_unlock(lock: Lock, key: Key) -> None:
    """Raises Forbidden for the person who locked, unless it is an admin: somebody else has to look first."""
    if key.person == lock.person and key.role != "admin":
        raise Forbidden("Another person than the one who locked the desk must unlock it, or an admin.")
