"""When a draft is due, as an editor gives it and is shown it. Knows the newsroom's time zone; keeps nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import UNSET, UnsetType

from ticker.draft import due_at
from ticker.errors import FieldError, Invalid


def due_of(
    publish_at: datetime | UnsetType | None, publish_in: float | UnsetType, now: datetime, zone: ZoneInfo
) -> datetime | None:
    """When it is due, in UTC; None if no time is given. `publish_in` are seconds from `now` on.

    Raises Invalid: both are given, no offset, in the past, more than 90 days ahead.
    """
    if publish_in is not UNSET and isinstance(publish_at, datetime):
        raise Invalid(FieldError("publish_in", "Give either publish_at or publish_in, not both."))
    if isinstance(publish_at, datetime):
        if publish_at.tzinfo is None:
            raise Invalid(FieldError("publish_at", _without_offset(publish_at, zone)))
        if not 2 <= publish_at.year <= 9998:  # in UTC it may be in a year that no calendar has
            raise Invalid(FieldError("publish_at", "This time is more than 90 days ahead, or long past."))
    return due_at(publish_at if isinstance(publish_at, datetime) else None, publish_in, now)


def _without_offset(naive: datetime, zone: ZoneInfo) -> str:
    """What a time without an offset may mean in the newsroom."""
    meant = [naive.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    if not any(map(_exists, meant)):
        return f"The time has no offset, and the clocks in {zone.key} never show it: they are put forward then."
    if meant[0].utcoffset() == meant[1].utcoffset():
        return f"The time has no offset. If it is meant as in {zone.key}, write {meant[0].isoformat()}."
    both = " or ".join(each.isoformat() for each in meant)
    return f"The time has no offset, and the clocks in {zone.key} show it twice. Write {both}."


def _exists(at: datetime) -> bool:
    there_and_back = at.astimezone(UTC).astimezone(at.tzinfo)
    return there_and_back.replace(tzinfo=None) == at.replace(tzinfo=None)


def shown(at: datetime, now: datetime, zone: ZoneInfo) -> dict[str, object]:
    """A time as editors are shown it: in the newsroom's zone, and in how many seconds."""
    return {
        "newsroom": at.astimezone(zone).isoformat(timespec="milliseconds" if at.microsecond else "seconds"),
        "timezone": zone.key,
        "in": round((at - now) / timedelta(seconds=1), 3),
    }
