"""What the desk's lock is: while it is on, nothing goes out on a channel but a withhold. Pure."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from ticker.errors import Forbidden
from ticker.identity import Actor, Identity


class Lock(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A channel's lock, as kept."""

    reason: str
    by: Actor
    person: str
    """Who it was (`Identity.person`): not for display."""
    at: datetime
    before: tuple[str, ...] = ()
    """The others who had locked it, and whose lock was still on."""

    @property
    def lockers(self) -> set[str]:
        """Everyone who has locked it."""
        return {self.person, *self.before}


def over(known: Lock | None, lock: Lock) -> Lock:
    """The lock, put on over another: who locked first can't unlock because somebody has locked after them."""
    before = () if known is None else tuple(sorted(known.lockers - {lock.person}))
    return replace(lock, before=before)


def expect_to_unlock(lock: Lock, key: Identity) -> None:
    """Raises Forbidden for the person who locked, unless it is an admin: somebody else has to look first."""
    if key.person in lock.lockers and key.role != "admin":
        raise Forbidden("Another person than the one who locked the desk must unlock it, or an admin.")
