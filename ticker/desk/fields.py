"""What is sent about drafts, and what it makes of their fields. Pure: knows no newswire, and no route."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypeVar, get_args

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace
from starlette.requests import Request

from ticker import draft as rules
from ticker import text
from ticker.desk.intake import body_of, sent
from ticker.draft import LIVING, Place, State
from ticker.errors import FieldError, Invalid
from ticker.line import NewLine, Patch, checked
from ticker.text import NOTE_MAX

LIMIT, LIMIT_MAX = 50, 200  # drafts a page
STATES: Final = get_args(State)
_NOTHING: Final = Patch()

T = TypeVar("T", bound=Struct)


class Fields(Patch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a new draft, or of an edit of one. With `line`, it changes that line."""

    line: str | UnsetType = UNSET
    version: int | UnsetType = UNSET
    publish_at: datetime | UnsetType | None = UNSET
    publish_in: float | UnsetType = UNSET
    note_to_desk: str | UnsetType | None = UNSET


class Edition(Fields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of an edit of a draft. `confirm`: for one that is scheduled, the warnings to be passed over."""

    confirm: tuple[str, ...] = ()


class Submission(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    confirm: tuple[str, ...] = ()


class Agreement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of an approval. `publish_in`: seconds, in place of the channel's hold."""

    confirm: tuple[str, ...] = ()
    sources: str | None = None
    checked_by: str | None = None
    publish_in: float | UnsetType = UNSET


class Return(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str


class Release(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a publish. `publish_in`: seconds; at once without it."""

    confirm: tuple[str, ...] = ()
    publish_in: float | UnsetType = UNSET


def new_line(given: Fields) -> NewLine:
    if given.text is UNSET:
        raise Invalid(FieldError("text", "The field text is needed."))
    return merged_new(NewLine(text=given.text), given, check=False)


def merged_new(before: NewLine, given: Fields, *, check: bool = True) -> NewLine:
    for name in ("status", "refile"):
        if getattr(given, name) not in (UNSET, False):
            raise Invalid(FieldError(name, "This is for a change of a line that stands: give its id as line."))
    after = replace(before, **_given(before, given))
    return checked(after) if check else after


def merged_change(before: Patch, given: Fields) -> Patch:
    return checked_change(replace(before, **_given(before, given), refile=given.refile or before.refile))


def _given(before: NewLine | Patch, given: Fields) -> dict[str, Any]:
    """What is given of a line's fields. Of the two ways to say when it expires, the one given counts."""
    names = [name for name in before.__struct_fields__ if name != "refile"]
    changes = {name: getattr(given, name) for name in names if getattr(given, name) is not UNSET}
    if "expires" in changes:
        changes.setdefault("expires_in", UNSET)
    elif "expires_in" in changes:
        changes["expires"] = UNSET
    return changes


def checked_change(patch: Patch) -> Patch:
    if patch == _NOTHING:
        raise Invalid(FieldError("line", "Say what is to change of the line: text, urgency, status, …"))
    kind = rules.kind_of(None, patch)
    if kind == "cancel" and patch != Patch(status="canceled", note=patch.note):
        raise Invalid(FieldError("status", "A line that is canceled has no other change than its note."))
    if patch.refile and patch != Patch(text=patch.text, refile=True):
        raise Invalid(FieldError("refile", "A refile mends a slip in the text, and nothing else."))
    return checked(patch)


def remark(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return text.one_line(value, NOTE_MAX)
    except ValueError as broken:
        raise Invalid(FieldError(name, str(broken))) from broken


async def optional(request: Request, kind: type[T]) -> T:
    """The body, or what it stands for if there is none."""
    return await sent(request, kind) if await body_of(request) else kind()


def states(given: str | None) -> tuple[State, ...]:
    if given is None:
        return LIVING
    named = dict.fromkeys(given.split(","))
    if unknown := [name for name in named if name not in STATES]:
        there_are = ", ".join(STATES)
        raise Invalid(FieldError("state", f"{text.shown(unknown[0])!r} is no state of a draft. They are {there_are}."))
    return tuple(state for state in STATES if state in named)


def limit(given: str | None) -> int:
    if given is None:
        return LIMIT
    if not (given.isascii() and given.isdigit() and len(given) <= 4 and 1 <= int(given) <= LIMIT_MAX):
        raise Invalid(FieldError("limit", f"It is a whole number from 1 to {LIMIT_MAX}."))
    return int(given)


def place(given: str | None) -> Place | None:
    if given is None:
        return None
    if (found := Place.parse(given)) is None:
        raise Invalid(FieldError("after", "It is what the page before named as next."))
    return found
