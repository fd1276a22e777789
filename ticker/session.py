"""What a sign-in to the desk is, and how long it lasts. Pure; knows no cookie and no newswire.

A session is over `IDLE_FOR` after it was last used, and `SESSION_FOR` after it began, whichever comes first. Noting a
use is a write, so it is noted once in `USED_EVERY`: a session may be over by so much earlier than it should.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

IDLE_FOR = 12 * 3_600  # seconds; a shift, with the handover
SESSION_FOR = 7 * 86_400  # seconds
USED_EVERY = 300  # seconds
TOUCH_FOR = 300  # seconds; a passkey's touch counts so long: a correction right after it asks for no other
SESSIONS_MAX = 50  # of one key or person at once; beyond, the one ends that was used longest ago

How = Literal["key", "link", "passkey", "invitation", "oidc"]


class Session(Struct, frozen=True, kw_only=True):
    """A session as kept. `id` may be shown: it is the first half of the hash of the cookie's word."""

    id: str
    check: str
    """The other half."""
    whose: str
    """The id of the key or the person that it was opened with."""
    person: str | None = None
    """The id of the person; of a key's session, of the one whose key it is."""
    how: How
    device: str
    """The kind of browser and of machine, in words."""
    created: datetime
    last_used: datetime
    touched: datetime | None = None
    """When a passkey was touched last, in this session."""
    seal: str | None = None
    """For TICKER_ADMIN_KEY: which one it was."""

    @property
    def until(self) -> datetime:
        """When it is over, if it isn't used again."""
        return min(self.last_used + timedelta(seconds=IDLE_FOR), self.created + timedelta(seconds=SESSION_FOR))

    def is_over(self, now: datetime) -> bool:
        return now >= self.until

    def is_touched(self, now: datetime) -> bool:
        """Whether a passkey was touched just now."""
        return self.touched is not None and (now - self.touched).total_seconds() <= TOUCH_FOR

    def was_used(self, now: datetime) -> bool:
        """Whether a use now is worth noting."""
        return (now - self.last_used).total_seconds() > USED_EVERY

    def is_new(self, now: datetime) -> bool:
        """Whether it began just now."""
        return (now - self.created).total_seconds() <= TOUCH_FOR

    def is_of(self, one: str) -> bool:
        """Whether it is a session of the key or the person with this id, by any key of theirs."""
        return one in (self.whose, self.person)


def superfluous(sessions: Iterable[Session], new: Session, now: datetime) -> list[Session]:
    """Those that end when a new one is kept: they are over, or there are too many."""
    over, standing = [], []
    for each in sessions:
        if each.is_over(now):
            over.append(each)
        elif each.whose == new.whose and each.id != new.id:
            standing.append(each)
    standing.sort(key=lambda each: each.last_used)
    return over + standing[: max(0, len(standing) - SESSIONS_MAX + 1)]
