"""What a draft is: a change that the public can't see yet. Whose it is, when it is due, who must agree. Pure.

    open ──submit──▶ submitted ──approve──▶ scheduled ──due──▶ released (its line's id is in it)
      ▲                  │ return (why)         │ ├──too late──▶ missed   (an editor decides)
      └──────────────────┴──────────────────────┘ └──line changed meanwhile──▶ conflict (an editor decides)
    any of them ──discard──▶ discarded

Rule 1: an edit takes an approval away.
Rule 2: nobody approves what they have ever written, edited or submitted, under any key of theirs.
Rule 3: a change written against a version that has passed never overwrites: it is a conflict.
Rule 4: nothing is released before it is due, by the newswire's clock. `settle` alone releases.
Rule 5: words that go out by themselves have passed the brakes: other words are scheduled again only after a check.

More than 400 lines: it is one state machine, and its steps stand in the order of the picture.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict, replace

from ticker.channel import Channel
from ticker.errors import Conflict, FieldError, Forbidden, Invalid, TickerError
from ticker.identity import Actor, Identity
from ticker.line import Act, Approval, Cursor, Line, NewLine, Patch, amend, begin

State = Literal["open", "submitted", "scheduled", "released", "missed", "conflict", "discarded"]
Kind = Literal["publish", "correct", "cancel", "release"]
Deed = Literal[
    "created", "edited", "submitted", "approved", "returned", "scheduled", "released", "missed", "conflict", "discarded"
]

LIVING: Final[tuple[State, ...]] = ("open", "submitted", "scheduled", "missed", "conflict")
ON_THEIR_WAY: Final[tuple[State, ...]] = ("submitted", "scheduled")
ENDED: Final[tuple[State, ...]] = ("released", "discarded")
AHEAD_MAX = 90 * 86_400  # seconds; what is due later belongs in a calendar
KEPT_FOR = 30 * 86_400  # seconds that a draft is kept after its end
HISTORY_MAX = 100  # steps; the oldest go first that say nothing of a person which a later one doesn't say
_WRITING: Final[tuple[Deed, ...]] = ("created", "edited", "submitted")
_TIMING: Final[tuple[Deed, ...]] = ("approved", "scheduled")
LIVING_MAX = 20_000  # drafts of a channel that have not ended; a programme that makes more has run wild


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of a draft's history. `by` is null if the node did it."""

    at: datetime
    did: Deed
    by: Actor | None = None
    person: str | None = None
    """Who it was (`Identity.person`): not for display."""
    note: str | None = None
    """The reason for a return or a conflict."""
    confirmed: tuple[str, ...] = ()
    """The warnings that were passed over in this step, by name."""


class Draft(Struct, frozen=True, kw_only=True):
    """A draft as kept. `new` are the words of a new line; or `patch` a change of the line `line`, written against its
    `version`. Released, `line` is the id of the line that it made or changed."""

    id: str
    channel: str
    kind: Kind
    state: State
    revision: int
    created: datetime
    updated: datetime
    by: Actor
    history: tuple[Step, ...]
    line: str | None = None
    version: int | None = None
    new: NewLine | None = None
    patch: Patch | None = None
    publish_at: datetime | None = None
    approval: Approval | None = None
    note_to_desk: str | None = None
    needs_approval: bool = False
    """Whether a second person must agree, by the rules that held when it was written or submitted."""
    confirmed: tuple[str, ...] = ()
    """The warnings that were passed over, by name."""

    @property
    def etag(self) -> str:
        """The revision's entity tag (RFC 9110, 8.8.3), quotes included."""
        return f'"{self.revision}-{int(self.updated.timestamp() * 1000)}"'

    @property
    def fields(self) -> NewLine | Patch:
        found = self.new or self.patch
        assert found is not None
        return found

    @property
    def due(self) -> datetime | None:
        """When the node releases it by itself; None if it doesn't."""
        return self.publish_at if self.state == "scheduled" else None

    @property
    def place(self) -> Place:
        return Place(microseconds(self.updated), self.id)

    @property
    def submitter(self) -> str | None:
        """The person who submitted it last."""
        return next((step.person for step in reversed(self.history) if step.did == "submitted"), None)

    @property
    def author(self) -> str | None:
        """The person who made it."""
        return self.history[0].person

    @property
    def writers(self) -> set[str]:
        """Everyone who has had a hand in it. A later edit may leave an earlier one's words as they are."""
        return {step.person for step in self.history if step.person and step.did in _WRITING}

    @property
    def timed(self) -> Step | None:
        """The step that last gave it its time: an approval, or being scheduled or published."""
        return next((step for step in reversed(self.history) if step.did in _TIMING), None)

    @property
    def brings_back(self) -> bool:
        """Whether it would put a withheld line back on the air."""
        return self.patch is not None and self.patch.status == "usable"


class Place(NamedTuple):
    """Where a draft stands among those of its channel, the one changed last first. It stays where it is when the draft
    is changed again, so that a list goes on from there."""

    updated: int
    """Microseconds since 1970."""
    id: str

    def __str__(self) -> str:
        return f"{self.updated}-{self.id}"

    @classmethod
    def parse(cls, given: str) -> Place | None:
        """The place that `str` made this text of; None if it is something else."""
        found = _PLACE.fullmatch(given)
        return cls(int(found[1]), found[2]) if found else None


_PLACE: Final = re.compile(r"([0-9]{1,16})-(d_[0-9a-f]{32})")


def new_id() -> str:
    """128 random bits and more: it tells no time and can't be guessed."""
    return f"d_{secrets.token_hex(16)}"


def kind_of(new: NewLine | None, patch: Patch | None) -> Kind:
    """What a draft of these fields would do. Raises Invalid."""
    if new is not None or patch is None:
        return "publish"
    match patch.status:
        case "withheld":
            raise Invalid(FieldError("status", "Withholding never waits: PATCH the line itself with this status."))
        case "canceled":
            return "cancel"
        case "usable":
            return "release" if _only(patch, "status", "note", "expires", "expires_in") else "correct"
        case _:
            return "correct"


def must_be_approved(channel: Channel, key: Identity, change: NewLine | Patch) -> bool:
    """Whether a second person must agree to a change by this key, before it goes out."""
    new, patch = (change, None) if isinstance(change, NewLine) else (None, change)
    kind = kind_of(new, patch)
    if not key.may("publish") or (kind == "cancel" and not key.may("cancel")):
        return True
    match kind:
        case "publish":
            return change.urgency in channel.approve
        case "correct":
            return "correct" in channel.approve or change.urgency in channel.approve
        case "cancel":
            return "cancel" in channel.approve
        case "release":  # the note is words that nobody has agreed to
            return isinstance(change.note, str) and "correct" in channel.approve


def due_at(publish_at: datetime | None, publish_in: float | UnsetType, now: datetime) -> datetime | None:
    """When it is due, in UTC. Raises Invalid: in the past, or too far ahead."""
    if publish_in is not UNSET:
        if not 0 <= publish_in <= AHEAD_MAX:
            raise Invalid(FieldError("publish_in", f"It is a number of seconds from 0 to {AHEAD_MAX} (90 days)."))
        return _to_the_millisecond(now + timedelta(seconds=publish_in))
    if publish_at is None:
        return None
    if publish_at.tzinfo is None:
        detail = "The time has no offset. Write it as in 2026-05-04T16:30:00Z (RFC 3339)."
        raise Invalid(FieldError("publish_at", detail))
    if publish_at > now + timedelta(seconds=AHEAD_MAX):
        raise Invalid(FieldError("publish_at", "This time is more than 90 days ahead."))
    at = now if publish_at <= now else _to_the_millisecond(publish_at.astimezone(UTC))
    if at <= now:
        detail = f"This time is in the past: by the newswire's clock it is {now:%Y-%m-%dT%H:%M:%SZ}."
        raise Invalid(FieldError("publish_at", detail))
    return at


def expect_alive_at(fields: NewLine | Patch, at: datetime | None) -> None:
    """Raises Invalid if a line would have expired when it goes out."""
    if at is not None and isinstance(fields.expires, datetime) and fields.expires <= at:
        detail = f"The line would expire before it goes out at {at:%Y-%m-%dT%H:%M:%SZ}."
        raise Invalid(FieldError("expires", detail))


# What becomes of a draft. Each raises Conflict if the draft's state doesn't allow it.


def write(
    channel: Channel,
    key: Identity,
    now: datetime,
    *,
    new: NewLine | None = None,
    patch: Patch | None = None,
    line: Line | None = None,
    publish_at: datetime | None = None,
    note_to_desk: str | None = None,
) -> Draft:
    """A new draft, open. `line`: that which it changes, as it stands now."""
    kind = kind_of(new, patch)
    fields = new or patch
    assert fields is not None
    if line is not None and line.status == "canceled":
        raise Conflict("This line was canceled, for good. Publish a new one.")
    publish_at = None if publish_at is None else _to_the_millisecond(publish_at)
    expect_alive_at(fields, publish_at)
    if line is not None and patch is not None:
        amend(line, patch, Cursor(microseconds(max(publish_at or now, now)) // 1000, 0))  # raises Conflict
    return Draft(
        id=new_id(),
        channel=channel.slug,
        kind=kind,
        state="open",
        revision=1,
        created=now,
        updated=now,
        by=key.actor,
        history=(Step(at=now, did="created", by=key.actor, person=key.person),),
        line=None if line is None else line.id,
        version=None if line is None else line.version,
        new=new,
        patch=patch,
        publish_at=publish_at,
        note_to_desk=note_to_desk,
        needs_approval=must_be_approved(channel, key, fields),
    )


class Edit(NamedTuple):
    """What is edited in a draft; None and UNSET leave it as it is. `confirmed`: the warnings that were passed over when
    these words were checked; None if nobody has checked them."""

    new: NewLine | None = None
    patch: Patch | None = None
    version: int | None = None
    publish_at: datetime | UnsetType | None = UNSET
    note_to_desk: str | UnsetType | None = UNSET
    confirmed: tuple[str, ...] | None = None


def edit(draft: Draft, given: Edit, channel: Channel, key: Identity, now: datetime) -> Draft:
    """The draft with other words, for a later time or against a later version. It loses an approval; what was
    scheduled without one stays so if its words are the same or were checked; what was missed or in conflict is open
    again."""
    _expect(draft, "edited", *LIVING)
    new = draft.new if given.new is None else given.new
    patch = draft.patch if given.patch is None else given.patch
    fields = new or patch
    assert fields is not None
    publish_at = draft.publish_at if isinstance(given.publish_at, UnsetType) else given.publish_at
    publish_at = None if publish_at is None else _to_the_millisecond(publish_at)
    kind = kind_of(new, patch)
    changes: dict[str, object] = {
        "new": new,
        "patch": patch,
        "kind": kind,
        "version": draft.version if given.version is None else given.version,
        "publish_at": publish_at,
        "note_to_desk": draft.note_to_desk if isinstance(given.note_to_desk, UnsetType) else given.note_to_desk,
    }
    settles = given.version is not None and draft.state in ("missed", "conflict")
    if not settles and all(getattr(draft, name) == value for name, value in changes.items()):
        return draft
    expect_alive_at(fields, publish_at)
    needs = draft.needs_approval or must_be_approved(channel, key, fields)
    says_the_same = all(changes[name] == getattr(draft, name) for name in ("new", "patch", "version"))
    confirmed = draft.confirmed if says_the_same and given.confirmed is None else given.confirmed
    state: State = draft.state
    if state in ("missed", "conflict"):
        state = "open"
    elif state == "scheduled" and (needs or publish_at is None or confirmed is None):
        state = "submitted" if needs else "open"
    changes |= {"state": state, "approval": None, "needs_approval": needs}
    if not says_the_same:
        changes["confirmed"] = ()
    edited = pass_over(_stepped(replace(draft, **changes), now, "edited", key), confirmed or ())
    if edited.due is not None and edited.due != draft.due:
        return _scheduled(edited, edited.due, now, key)
    return edited


def submit(draft: Draft, channel: Channel, key: Identity, now: datetime) -> Draft:
    """Handed over. If nobody else has to agree and it has a time, it is scheduled for then."""
    waits = draft.needs_approval or draft.publish_at is None
    if draft.state in ("submitted", "scheduled") and draft.submitter == key.person:
        if waits or draft.state == "scheduled":
            return draft
    elif draft.state != "submitted" or waits:
        _expect(draft, "submitted", "open", "missed", "conflict")
    needs = draft.needs_approval or must_be_approved(channel, key, draft.fields)
    handed = _stepped(replace(draft, state="submitted", approval=None, needs_approval=needs), now, "submitted", key)
    if needs or draft.publish_at is None:
        return handed
    due = max(draft.publish_at, now)
    expect_alive_at(draft.fields, due)
    return _scheduled(handed, due, now, key)


def approve(
    draft: Draft,
    key: Identity,
    now: datetime,
    at: datetime,
    sources: str | None = None,
    checked_by: str | None = None,
    *,
    instead: bool = False,
) -> Draft:
    """A second person agrees: it is scheduled for its time; or for `at` if it has none, if that has passed, or
    `instead` of it.

    Raises Forbidden for the person who wrote or submitted it.
    """
    known = draft.approval
    if draft.state in ("scheduled", "released") and known and known.by == key.actor:
        if sources in (None, known.sources) and checked_by in (None, known.checked_by):
            return draft
        raise Conflict("You have approved this draft already, with other remarks. Return it first to approve it again.")
    _expect(draft, "approved", "submitted")
    expect_to_approve(draft, key)
    due = at if instead or draft.publish_at is None or draft.publish_at <= now else draft.publish_at
    expect_alive_at(draft.fields, due)
    approval = Approval(by=key.actor, at=now, sources=sources, checked_by=checked_by)
    due = _to_the_millisecond(due)
    return _stepped(replace(draft, state="scheduled", publish_at=due, approval=approval), now, "approved", key)


def expect_to_approve(draft: Draft, key: Identity, what: str = "this draft") -> None:
    """Raises Forbidden for the person who wrote or submitted it."""
    if key.person in draft.writers:
        raise Forbidden(
            f"A second person must approve {what}: you wrote, edited or submitted it, with this key or another."
        )


def clash(draft: Draft, line: Line, now: datetime) -> Draft:
    """In conflict, because the line has changed since the draft was written."""
    if draft.state in (*ENDED, "conflict") or draft.version == line.version:
        return draft
    why = f"The line was changed meanwhile: it is at version {line.version} now ({line.status})."
    return _stepped(replace(draft, state="conflict", approval=None), now, "conflict", note=why)


def hold_back(draft: Draft, key: Identity, now: datetime) -> Draft:
    """In conflict, because somebody has taken the line off the air again that it would put back."""
    if draft.state not in ON_THEIR_WAY or not draft.brings_back:
        return draft
    why = "The line was withheld again meanwhile."
    return _stepped(replace(draft, state="conflict", approval=None), now, "conflict", key, why)


def send_back(draft: Draft, key: Identity, now: datetime, why: str) -> Draft:
    """Returned to its writer, with a reason."""
    last = draft.history[-1]
    if draft.state == "open" and (last.did, last.person, last.note) == ("returned", key.person, why):
        return draft
    _expect(draft, "returned", "submitted", "scheduled")
    return _stepped(replace(draft, state="open", approval=None), now, "returned", key, why)


def schedule(draft: Draft, channel: Channel, key: Identity, now: datetime, at: datetime) -> Draft:
    """Scheduled for `at` by one person, because nobody else has to agree, or does so by this.

    Without that it is submitted. What was approved for a time is approved for that time alone. Raises Forbidden for a
    person who wrote or submitted it.
    """
    if draft.state == "released":
        return draft
    _expect(draft, "published", *LIVING)
    needs = draft.needs_approval or must_be_approved(channel, key, draft.fields)
    expect_alive_at(draft.fields, at)
    if draft.approval is not None and draft.publish_at is not None and at != draft.publish_at > now:
        expect_to_approve(draft, key, f"another time for this draft than {draft.publish_at:%Y-%m-%dT%H:%M:%SZ}")
    if draft.approval is not None or not needs:
        return _scheduled(draft, at, now, key)
    if draft.state == "submitted" and key.person not in draft.writers:
        return replace(approve(draft, key, now, at), publish_at=_to_the_millisecond(at))
    if draft.state == "submitted":
        raise Conflict("This draft waits for a second person. You wrote or submitted it, so another must approve it.")
    return _stepped(replace(draft, state="submitted", needs_approval=needs), now, "submitted", key)


def discard(draft: Draft, key: Identity, now: datetime) -> Draft:
    """Ended without a line. Raises Conflict if it is on the air already."""
    if draft.state == "discarded":
        return draft
    _expect(draft, "discarded", *LIVING)
    return _stepped(replace(draft, state="discarded"), now, "discarded", key)


class Settled(NamedTuple):
    """A draft whose time has come. `line`: what goes out with it; None if nothing does."""

    draft: Draft
    line: Line | None
    is_change: bool


class NotDue(TickerError):
    """The draft is not due, by the newswire's clock; or not scheduled any more."""


def settle(draft: Draft, before: Line | None, channel: Channel, cursor: Cursor, now: datetime) -> Settled:
    """Release a scheduled draft, as the event that `cursor` names; or say why it can't be released now.

    `before`: the line that it changes, as it stands now; None if there is none. `now`: by the newswire's clock; the
    cursor is ahead of it if the clock was put back. Raises NotDue.
    """
    if draft.due is None or draft.due > now:
        raise NotDue("The draft is not due.")
    if now - draft.due > timedelta(seconds=channel.late_after):
        return Settled(_stepped(replace(draft, state="missed", approval=None), now, "missed"), None, False)
    try:
        line = _line_of(draft, before, channel, cursor)
    except (Conflict, Invalid) as error:
        conflict = _stepped(replace(draft, state="conflict", approval=None), now, "conflict", note=error.detail)
        return Settled(conflict, None, False)
    released = _stepped(replace(draft, state="released", line=line.id), now, "released")
    return Settled(released, line, line is not before)


def _line_of(draft: Draft, before: Line | None, channel: Channel, cursor: Cursor) -> Line:
    if draft.new is not None:
        return begin(draft.new, channel, cursor)
    assert draft.patch is not None
    if before is None:
        raise Conflict("The line is not kept any more.")
    expect_version(draft, before)
    return amend(before, draft.patch, cursor)


def expect_version(draft: Draft, line: Line) -> None:
    """Raises Conflict if the line has changed since the draft was written."""
    if draft.version != line.version:
        raise Conflict(
            f"The line was changed meanwhile: the draft was written against version {draft.version}, and the line is "
            f"at version {line.version} now ({line.status}). Read it, then edit the draft with this version."
        )


def act_of(draft: Draft) -> Act:
    """Who does what a draft does when it is released: who wrote it, who agreed to it, who gave it its time, and who
    passed over a warning."""
    wrote = (step.by for step in draft.history if step.by and step.did in _WRITING)
    timed = draft.timed
    return Act(
        by=draft.by,
        refile=draft.patch is not None and draft.patch.refile,
        draft=draft.id,
        approval=draft.approval,
        confirmed=draft.confirmed,
        writers=tuple(dict.fromkeys(each for each in wrote if each != draft.by)),
        released_by=None if timed is None else timed.by,
        confirmed_by={
            name: step.by for step in draft.history for name in step.confirmed if step.by and name in draft.confirmed
        },
    )


def pass_over(draft: Draft, names: tuple[str, ...]) -> Draft:
    """The draft, with the warnings that were passed over; the last step has newly passed over those that are new."""
    *before, last = draft.history
    more = tuple(name for name in names if name not in draft.confirmed)
    last = replace(last, confirmed=tuple(dict.fromkeys((*last.confirmed, *more))))
    return replace(draft, confirmed=names, history=(*before, last))


# Taking steps


def _scheduled(draft: Draft, at: datetime, now: datetime, key: Identity) -> Draft:
    due = _to_the_millisecond(at)
    return _stepped(replace(draft, state="scheduled", publish_at=due), now, "scheduled", key)


def _stepped(draft: Draft, now: datetime, did: Deed, key: Identity | None = None, note: str | None = None) -> Draft:
    actor, person = (None, None) if key is None else (key.actor, key.person)
    step = Step(at=now, did=did, by=actor, person=person, note=note)
    return replace(draft, revision=draft.revision + 1, updated=now, history=_within_limits((*draft.history, step)))


def _within_limits(history: tuple[Step, ...]) -> tuple[Step, ...]:
    """The first step says who made it, so it stays. Of the others the oldest goes whose person has done the same later
    (an edit before anything else), so that everyone who has had a hand in it stays known."""
    if len(history) <= HISTORY_MAX:
        return history
    latest = {(step.person, step.did): n for n, step in enumerate(history)}
    repeated = [n for n, step in enumerate(history) if n and latest[step.person, step.did] > n]
    edits = [n for n in repeated if history[n].did == "edited"]
    old = next(iter(edits or repeated), 1)
    return history[:old] + history[old + 1 :]


def _expect(draft: Draft, done: str, *states: State) -> None:
    if draft.state not in states:
        next_step = f"Its line is {draft.line}: withhold or cancel that."
        if draft.state != "released":
            next_step = f"Only one that is {' or '.join(states)} can be {done}."
        raise Conflict(f"The draft is {draft.state}. {next_step}")


def _only(patch: Patch, *names: str) -> bool:
    given: Iterable[str] = (name for name, value in asdict(patch).items() if value is not UNSET and value is not False)
    return set(given) <= set(names)


def microseconds(at: datetime) -> int:
    """Since 1970."""
    return round(at.timestamp() * 1_000_000)


def _to_the_millisecond(at: datetime) -> datetime:
    """Rounded up: the newswire counts milliseconds, and nothing goes out before its time."""
    over = at.microsecond % 1000
    return at + timedelta(microseconds=1000 - over) if over else at
