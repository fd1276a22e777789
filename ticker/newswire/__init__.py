"""Where lines are kept, and how each change reaches every node. Knows lines; knows no reader, no HTTP.

The newswire is the truth: what it has kept was published, what it has refused was not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import NamedTuple, Protocol

from ticker.channel import Channel
from ticker.draft import Draft, Place, State
from ticker.errors import Gone, Misconfigured, NotFound
from ticker.line import Act, Cursor, Event, Line, NewLine, Patch, Status
from ticker.lock import Lock
from ticker.newswire.stores import CorrectionStore, KeyStore, PersonStore, PresenceStore, SecretStore, SessionStore
from ticker.redacting import without_secrets
from ticker.text import shown

IDEMPOTENCY_FOR = 86_400  # seconds an Idempotency-Key is remembered: a night, and the morning after
CLOCK_OFF = 5.0  # seconds; NTP keeps clocks within some milliseconds
TOO_MANY_DRAFTS = "The channel has {} drafts that have not ended, which is the limit. Discard some first."
KEY_REUSED = "This Idempotency-Key came with another request before. Take a new key for a new request."


class IdempotencyKey(NamedTuple):
    """An Idempotency-Key, made the sender's own, and a fingerprint of what it was sent with: the channel too.

    A key with another fingerprint is refused, on any channel, for a day after it was used.
    """

    key: str
    fingerprint: str


class Outcome(NamedTuple):
    """What the newswire answers to a change that it keeps. `event` is None if nothing has changed, or had changed
    before."""

    line: Line
    event: Event | None
    replayed: bool = False


class Due(NamedTuple):
    """A scheduled draft, and when it is due: milliseconds of the newswire's clock."""

    channel: str
    draft: str
    ms: int


class Settlement(NamedTuple):
    """What became of a draft whose time had come. `outcome`: of the line that went out with it, if one did."""

    draft: Draft
    outcome: Outcome | None


class DraftPage(NamedTuple):
    """Some of a channel's drafts, the one changed last first."""

    drafts: list[Draft]
    more: bool


class Snapshot(NamedTuple):
    """What a board starts from: the cursor and the lines that may show, both of one moment."""

    cursor: str | None
    lines: list[Line]


class Page(NamedTuple):
    """A stretch of history, oldest first. `withdrawn` gives the status of its lines that are held or canceled by
    now; one that is not kept any more counts as canceled."""

    events: list[Event]
    withdrawn: Mapping[str, Status]
    more: bool


class Inspection(NamedTuple):
    """The state of a newswire that works, for an operator; and a sentence about a clock that is off."""

    state: str
    clock: str | None


class Newswire(Protocol):
    """What every newswire promises; one contract suite runs over each.

    An event returned or announced is kept. Cursors of a channel grow strictly, also when the clock steps
    back. If keeping fails, NewswireUnavailable is raised and nothing was published. Every method may
    raise it. What need not be kept in one step with a line is in one of its stores.
    """

    @property
    def keys(self) -> KeyStore: ...
    @property
    def people(self) -> PersonStore: ...
    @property
    def sessions(self) -> SessionStore: ...
    @property
    def secrets(self) -> SecretStore: ...
    @property
    def presence(self) -> PresenceStore: ...
    @property
    def corrections(self) -> CorrectionStore: ...

    async def open(self, channels: Mapping[str, Channel]) -> None:
        """Raises Misconfigured with the one sentence that an operator needs."""

    async def close(self) -> None: ...

    async def inspect(self, channels: Mapping[str, Channel]) -> Inspection:
        """Look whether it could be opened, without opening it; nothing is made or changed. Raises Misconfigured."""

    def now(self) -> datetime:
        """The time by the newswire's clock, which all nodes share: it decides what is shown, even if this machine's
        clock differs."""

    def clock_is_off(self) -> str | None:
        """In a sentence, how far this machine's clock and the newswire's are apart, if that is too far."""

    def versions_are_mixed(self) -> str | None:
        """In a sentence, which versions of Ticker the nodes run that share it, if they differ."""

    def settings_differ(self) -> str | None:
        """In a sentence, which settings of a channel differ between the nodes that share it, if any do."""

    async def publish(
        self, channel: Channel, new_line: NewLine, *, act: Act, once: IdempotencyKey | None = None
    ) -> Outcome:
        """Keep, number and announce a new line, in one step. It is checked. Raises KeyReused, Invalid, Locked."""

    async def amend(
        self,
        channel: Channel,
        line_id: str,
        patch: Patch,
        *,
        act: Act,
        if_match: str | None = None,
        once: IdempotencyKey | None = None,
    ) -> Outcome:
        """Keep and announce a change. Raises NotFound, Conflict, Stale, KeyReused, and Locked unless it withholds."""

    async def remembered(self, channel: str, once: IdempotencyKey) -> Outcome | Draft | None:
        """What was answered on this channel to a request with this Idempotency-Key. Raises KeyReused; if the key was
        used on another channel, perhaps not before the change that follows."""

    # Drafts. A draft is settled in the step that publishes its line, so it happens once, even if a node dies.

    async def keep_draft(self, draft: Draft, *, once: IdempotencyKey | None = None) -> Draft:
        """Keep a new draft. If the same request has become one before, that one is the answer. Raises KeyReused, and
        Refused for too many."""

    async def draft(self, channel: str, draft_id: str) -> Draft:
        """Raises NotFound."""

    async def drafts(
        self, channel: str, states: Collection[State], limit: int, after: Place | None = None
    ) -> DraftPage:
        """Those in these states. `after`: the place of the last draft of the page before."""

    async def change_draft(self, channel: str, draft_id: str, change: Callable[[Draft], Draft]) -> Draft:
        """Keep what `change` makes of the draft. It may be called more than once. Raises NotFound, and what it does."""

    async def settle(self, channel: Channel, draft_id: str, prepare: Callable[[Draft, datetime], Draft]) -> Settlement:
        """Release the draft that `prepare` makes of it, in one step, if it is due at the moment that `prepare` is
        given, or keep that it is missed or in conflict. If it isn't due then, `prepare`'s change alone is kept.

        `prepare` may be called more than once; the moment is in whole milliseconds. Raises NotFound, NotDue, Locked,
        and what `prepare` raises; nothing is kept then.
        """

    async def upcoming(self, channels: Collection[str], limit: int) -> list[Due]:
        """The scheduled drafts of these channels that are due first; of those due at once, the oldest first."""

    # The desk's lock

    async def locks(self) -> dict[str, Lock]:
        """Those that are on, by channel."""

    async def lock(self, channel: str, lock: Lock) -> None:
        """Put on a lock, over another that may be on (`lock.over`), in one step."""

    async def unlock(self, channel: str, lock: Lock) -> None:
        """Take off this lock. Harmless if it isn't on."""

    def on_desk_change(self, heard: Callable[[str], None]) -> None:
        """Call `heard` with a channel each time that one of its drafts or its lock has changed, on any node, or may
        have."""

    async def recent(self, channel: str, since: datetime, limit: int) -> list[Event]:
        """The newest events since then, newest first."""

    async def snapshot(self, channel: Channel) -> Snapshot: ...

    async def line(self, channel: str, line_id: str) -> Line:
        """The complete line, with its text in every status. Raises NotFound."""

    async def lines(self, channel: str, ids: Collection[str]) -> dict[str, Line]:
        """Those of these lines that are kept, by id; complete, with their text in every status."""

    async def versions(self, channel: str, line_id: str) -> list[Event]:
        """Each change of one line, oldest first. Raises NotFound."""

    async def events(self, channel: str, after: str | None, limit: int) -> Page:
        """History after a cursor (None: from the oldest kept). Raises Gone if the cursor isn't kept."""

    def tail(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Every event announced from entering on, of all channels. It may miss some: compare `prev`, and
        `heads` now and then. Raises NewswireUnavailable as soon as it may miss events."""

    async def heads(self) -> dict[str, str | None]:
        """The cursor of each channel's last event."""

    async def probe(self) -> None:
        """Raises NewswireUnavailable unless this node receives from the newswire now, and a change would be kept.

        A change is tried, at most once a second, however often this is called.
        """


def cursor_after(last: Cursor | None, now: int) -> Cursor:
    """The cursor of an event at `now`, in milliseconds; it is after the last one even if the clock has stepped back."""
    if last is None or now > last.ms:
        return Cursor(now, 0)
    return Cursor(last.ms, last.n + 1)


def no_line(channel: str, line_id: str) -> NotFound:
    return NotFound(f"There is no line {line_id} in the channel {channel}.")


def no_versions(channel: str, line_id: str) -> NotFound:
    return NotFound(f"There is no line {line_id} in the channel {channel}, or its history has been trimmed.")


def no_draft(channel: str, draft_id: str) -> NotFound:
    return NotFound(f"There is no draft {shown(draft_id)} in the channel {channel}.")


def no_event(channel: str, cursor: str) -> Gone:
    return Gone(f"The event {cursor} is not in the history of {channel}. Take the board, then go on from its cursor.")


def open_newswire(url: str, node: str) -> Newswire:
    """The newswire that a URL names; not opened yet. `node` names this node to the others. Raises Misconfigured."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        from ticker.newswire.sqlite import SqliteNewswire

        return SqliteNewswire(rest[1:])
    if scheme.partition("+")[0] in ("redis", "rediss"):
        from ticker.newswire.redis import RedisNewswire

        return RedisNewswire(url, node)
    raise Misconfigured(
        f"{without_secrets(url)!r} is not a newswire that this version supports. "
        "Use sqlite:///FILE (relative), sqlite:////PATH/FILE (absolute), redis://…, rediss://…, "
        "redis+sentinel://… or redis+cluster://…."
    )
