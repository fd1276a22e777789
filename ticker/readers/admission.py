"""Who may come in as a reader, and what a reader asks for. Knows no connection and no event."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl

from ticker.errors import FieldError, Invalid

CHANNELS_MAX = 32  # channels one connection may listen to; a page shows a handful
PARAMETERS_MAX = 4 * CHANNELS_MAX  # of a query: each channel, some cursors of each, and a token
CACHED_MAX = 512  # characters of a query that is remembered once it was read: a page's, with a few channels

FILES_KEPT = 64  # open files that belong to the newswire, the log, the listener and the event loop
CONNECTIONS_MAX = 4_096  # connections that are no reader's; each holds some kB, up to a head and a body
CONNECTIONS_SHARE = 4  # one open file in so many is kept for them: editors get in when readers fill the rest
FILES_MIN = 256  # open files below which a node has no room to serve


class Room(NamedTuple):
    """How a process shares out the files that it may open: each connection is one."""

    readers: int
    connections: int
    """Connections that are no reader's, or not yet."""

    @classmethod
    def of(cls, files: int) -> Room:
        connections = min(CONNECTIONS_MAX, max(1, (files - FILES_KEPT) // CONNECTIONS_SHARE))
        return cls(max(0, files - FILES_KEPT - connections), connections)


class Wanted(NamedTuple):
    """What a reader asks for."""

    channels: tuple[str, ...]
    cursors: tuple[tuple[str, ...], ...]
    """Those it may hold, for each channel in turn."""


def wanted(query: str, last_event_id: str = "") -> Wanted:
    """What the query of a reader's address asks for. Raises Invalid."""
    if len(query) + len(last_event_id) <= CACHED_MAX:
        return _remembered(query, last_event_id)
    return _wanted(query, last_event_id)


def _wanted(query: str, last_event_id: str) -> Wanted:
    try:
        asked = parse_qsl(query, keep_blank_values=True, max_num_fields=PARAMETERS_MAX)
    except ValueError as error:
        raise Invalid(FieldError("channel", f"The address has more than {PARAMETERS_MAX} parameters.")) from error
    channels = tuple(dict.fromkeys(value for name, value in asked if name == "channel"))
    if not 0 < len(channels) <= CHANNELS_MAX:
        raise Invalid(FieldError("channel", f"Name 1 to {CHANNELS_MAX} channels, as in ?channel=en&channel=ar."))
    given = [value.split(":", 1) for name, value in asked if name == "cursor" and ":" in value]
    cursors = [tuple(cursor for of, cursor in given if of == slug) for slug in channels]
    if last_event_id and len(channels) == 1:  # it doesn't say of which channel it is, and two may have the same
        cursors[0] += (last_event_id,)
    return Wanted(channels, tuple(cursors))


_remembered = lru_cache(maxsize=1_024)(_wanted)  # in a storm most readers ask for the same: 9 us saved each
