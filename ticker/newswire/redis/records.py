"""How lines, events and drafts are written in Redis. Knows bytes; asks nothing.

An event's `by` is a name, as version 0.1.0 writes and reads it, so that nodes of both can share a stream while they are
upgraded. `act` beside it says all.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from ticker.draft import Draft, State, microseconds
from ticker.errors import Locked
from ticker.identity import Actor
from ticker.line import Act, Event, Line
from ticker.lock import Lock

encode = msgspec.json.encode
decode_line = msgspec.json.Decoder(Line).decode
decode_draft = msgspec.json.Decoder(Draft).decode
decode_lock = msgspec.json.Decoder(Lock).decode


class KeptEvent(Struct, frozen=True, kw_only=True):
    channel: str
    cursor: str
    prev: str | None
    line: Line
    by: str
    act: Act | None = None
    """None: kept by version 0.1.0."""

    @property
    def event(self) -> Event:
        act = self.act or Act(by=Actor(None, self.by))
        return Event(channel=self.channel, cursor=self.cursor, prev=self.prev, line=self.line, act=act)


class KeptDraft(NamedTuple):
    """A draft, and how it was written."""

    body: bytes
    draft: Draft

    @classmethod
    def of(cls, body: bytes) -> KeptDraft:
        return cls(body, decode_draft(body))


def in_state(state: State) -> str:
    """The part of a channel that has the drafts in this state, by when they were changed."""
    return f"drafts:{state}"


def due_member(draft: Draft) -> str:
    """Its name among what is due: of two that are due at once, the older one's comes first."""
    return f"{microseconds(draft.created):018d} {draft.id}"


_decode_event = msgspec.json.Decoder(KeptEvent).decode


def decode_event(body: bytes) -> Event:
    return _decode_event(body).event


class Written(NamedTuple):
    """An event as a KeptEvent is written, and its line: it is written once, however many places it is kept in."""

    event: bytes
    line: bytes

    @classmethod
    def of(cls, event: Event) -> Written:
        line = encode(event.line)
        kept = {
            "channel": event.channel,
            "cursor": event.cursor,
            "prev": event.prev,
            "line": Raw(line),
            "by": event.act.by.name,
            "act": event.act,
        }
        return cls(encode(kept), line)


def locked(channel: str, body: bytes) -> Locked:
    """The refusal of a change on a channel that has this lock."""
    lock = decode_lock(body)
    return Locked(channel, lock.reason, lock.by.name)
