"""The public ledger of corrections: what became of words that had been on the air. Pure; derived from lines' versions.

    on the air ──other words──▶ correction         not if a slip was mended (`refile`)
    on the air ──withheld, canceled──▶ withheld, canceled
    withheld ──back, with other words──▶ correction

Rule 1: only words that the public has seen are in it. What was written while a line was withheld wasn't seen.
Rule 2: words that are off the air now are in no entry, not in an older one either.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from msgspec import Struct

from ticker.channel import Direction
from ticker.line import Cursor, Event, Line

Kind = Literal["correction", "withheld", "canceled"]


class Correction(Struct, frozen=True, kw_only=True):
    """An entry as kept."""

    cursor: str
    """Of the event that made it."""
    line: str
    kind: Kind
    said: str | None
    """The words that were on the air before; None if that is not known any more."""
    note: str | None


class Entry(Struct, frozen=True, kw_only=True):
    """An entry as the public sees it now."""

    cursor: str
    line: str
    kind: Kind
    said: str | None
    """What was on the air before; None while the line is off the air."""
    says: str | None
    """What the line says now; None while it is off the air."""
    at: datetime
    note: str | None
    status: Literal["usable", "withheld", "canceled"]
    """The line's, now."""
    language: str | None
    direction: Direction | None


def corrections_of(versions: Iterable[Event]) -> list[Correction]:
    """What the ledger has of one line, given each of its events that is kept, oldest first.

    If older ones are not kept any more, the first that is kept makes no entry: what came before it is not known.
    """
    found: list[Correction] = []
    before: Line | None = None
    aired: str | None = None  # what the public saw last
    taken_off: datetime | None = None
    for event in versions:
        line = event.line
        if before is not None and (kind := _kind(before, event, aired, taken_off)):
            found.append(Correction(cursor=event.cursor, line=line.id, kind=kind, said=aired, note=line.note))
        if line.status == "usable":
            aired = line.text or None
        elif before is None or before.status == "usable":
            taken_off = line.updated
        before = line
    return found


def _kind(before: Line, event: Event, aired: str | None, taken_off: datetime | None) -> Kind | None:
    line = event.line
    if line.status != "usable":
        return line.status if line.status != before.status else None
    if line.text == (aired if before.status == "withheld" else before.text):
        return None
    if before.status == "usable":
        return None if event.act.refile else "correction"
    # Back on the air. Its words were corrected meanwhile, or only a slip was mended.
    is_corrected = line.corrected is not None and (taken_off is None or line.corrected >= taken_off)
    return "correction" if is_corrected and aired is not None else None


def entry(kept: Correction, line: Line | None, *, repeat_canceled: bool) -> Entry:
    """The entry as the public may see it while its line stands so; None: the line isn't kept any more.

    `repeat_canceled`: whether the channel lets the words of canceled lines be read here.
    """
    status = "canceled" if line is None else line.status
    may_read = status == "usable" or (status == "canceled" and line is not None and repeat_canceled)
    is_on_air = line is not None and status == "usable"
    return Entry(
        cursor=kept.cursor,
        line=kept.line,
        kind=kept.kind,
        said=kept.said if may_read else None,
        says=(line.text or None) if line is not None and is_on_air else None,
        at=Cursor.parse(kept.cursor).time,
        note=kept.note if may_read or kept.kind == status else None,
        status=status,
        language=line.language if line else None,
        direction=line.direction if line else None,
    )
