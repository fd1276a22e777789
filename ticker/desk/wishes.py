"""How a change is to go out, as an editor sends it beside what it changes: when, and in spite of which warnings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, Final, Literal, TypeVar, get_args

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict, replace

from ticker import text
from ticker.brakes import BrakeName, Warning
from ticker.errors import Braked, FieldError, Invalid
from ticker.line import NewLine, Patch

CONFIRM_MAX = 16  # names; there are five brakes
_BRAKES: Final = get_args(BrakeName)

T = TypeVar("T", bound=Struct)


class Wishes(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`publish_in`: seconds. `confirm`: the warnings that were read and are to be passed over."""

    publish_at: datetime | UnsetType | None = UNSET
    publish_in: float | UnsetType = UNSET
    note_to_desk: str | UnsetType | None = UNSET
    confirm: tuple[str, ...] = ()
    on_brake: Literal["refuse", "draft"] = "refuse"

    @property
    def waits(self) -> bool:
        """Whether it names a time."""
        return isinstance(self.publish_at, datetime) or self.publish_in is not UNSET


NO_WISHES: Final = Wishes()


class Publication(NewLine, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a POST to a channel's lines: a line, and the wishes beside it."""

    publish_at: datetime | UnsetType | None = UNSET
    publish_in: float | UnsetType = UNSET
    note_to_desk: str | UnsetType | None = UNSET
    confirm: tuple[str, ...] = ()
    on_brake: Literal["refuse", "draft"] = "refuse"


class Change(Patch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a PATCH of a line: the patch, and the wishes beside it."""

    publish_at: datetime | UnsetType | None = UNSET
    publish_in: float | UnsetType = UNSET
    note_to_desk: str | UnsetType | None = UNSET
    confirm: tuple[str, ...] = ()
    on_brake: Literal["refuse", "draft"] = "refuse"


class Cancellation(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a DELETE."""

    note: str | None = None
    confirm: tuple[str, ...] = ()


def part_of(given: Struct, kind: type[T]) -> T:
    """Those of its fields that another struct has."""
    names = kind.__struct_fields__
    return kind(**dict(zip(names, _values_of(kind)(given), strict=True)))


@cache
def _values_of(kind: type[Struct]) -> attrgetter[tuple[Any, ...]]:
    return attrgetter(*kind.__struct_fields__)


def wishes_of(given: Publication | Change) -> Wishes:
    """With the note as it will be kept; NO_WISHES if it has none. Raises Invalid."""
    if _values_of(Wishes)(given) == _NONE:
        return NO_WISHES
    confirms(given.confirm)
    return replace(part_of(given, Wishes), note_to_desk=desk_words("note_to_desk", given.note_to_desk))


_NONE: Final = _values_of(Wishes)(NO_WISHES)


def desk_words(field: str, value: str | UnsetType | None) -> str | UnsetType | None:
    """A remark that editors write to each other, as it will be kept. Raises Invalid."""
    if not isinstance(value, str):
        return value
    try:
        return text.one_line(value, text.NOTE_MAX)
    except ValueError as broken:
        raise Invalid(FieldError(field, str(broken))) from broken


def confirms(names: tuple[str, ...]) -> None:
    """Raises Invalid if one of them names no brake."""
    if len(names) > CONFIRM_MAX or (unknown := [name for name in names if name not in _BRAKES]):
        shown = text.shown(unknown[0]) if len(names) <= CONFIRM_MAX else "so many"
        raise Invalid(FieldError("confirm", f"{shown!r} is no warning to confirm. They are {', '.join(_BRAKES)}."))


def unconfirmed(warnings: Iterable[Warning], confirm: tuple[str, ...]) -> Braked | None:
    """The refusal for those that block and were not confirmed; None if there are none."""
    left = [warning for warning in warnings if warning.blocking and warning.code not in confirm]
    if not left:
        return None
    names = ", ".join(dict.fromkeys(f'"{warning.code}"' for warning in left))
    why = " ".join(warning.detail for warning in left)
    advice = f'Nothing was published. If it is meant so, send it again with "confirm": [{names}].'
    return Braked(why, advice, left)


def confirmed(warnings: Iterable[Warning], confirm: tuple[str, ...]) -> tuple[str, ...]:
    """The names of those that would have blocked."""
    return tuple(dict.fromkeys(warning.code for warning in warnings if warning.blocking and warning.code in confirm))


def expect_mere_refile(patch: Patch) -> None:
    """Raises Invalid if more than the text is to change silently."""
    if not patch.refile:
        return
    others = [name for name, value in asdict(patch).items() if value is not UNSET and name not in ("text", "refile")]
    if others:
        raise Invalid(
            FieldError(others[0], "A refile mends a slip in the text, and nothing else. Send this by itself.")
        )
    if patch.text is UNSET:
        raise Invalid(FieldError("text", "A refile mends a slip in the text: send the whole text as it should be."))
