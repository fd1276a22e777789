"""What becomes of a draft: every state and deed, who must agree, and when it is due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar, get_args

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import UNSET
from msgspec.structs import replace

from ticker import draft as rules
from ticker.channel import APPROVABLE, URGENCIES, Channel
from ticker.draft import AHEAD_MAX, ENDED, HISTORY_MAX, LIVING, Draft, Edit, Kind, NotDue, State
from ticker.errors import Conflict, Forbidden, Invalid, TickerError
from ticker.identity import Key, Role
from ticker.line import Cursor, Line, NewLine, Patch, amend, begin, checked

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
EN = Channel(slug="en", title="English", language="en", direction="ltr", label="Breaking")
STRICT = replace(EN, approve=("flash", "correct", "cancel"))
RAIN = NewLine(text="Rain")
FLASH = NewLine(text="Flood", urgency="flash")


def a_key(name: str, role: Role = "editor", owner: str | None = None) -> Key:
    return Key(id=name.lower(), name=name, role=role, channels=(), hash="", created=NOW, owner=owner)


ADA, BOB, CARL = a_key("Ada"), a_key("Bob", "chief"), a_key("Carl", "contributor")
ADAS_OTHER = a_key("Other", "chief", owner="Ada Lovelace")
ADAS = a_key("Ada", owner="ada LOVELACE")


def cursor_at(at: datetime) -> Cursor:
    return Cursor(round(at.timestamp() * 1000), 0)


def a_line(**fields: Any) -> Line:
    return begin(checked(NewLine(**{"text": "Rain", **fields})), EN, cursor_at(NOW - HOUR))


def settled(draft: Draft, at: datetime, line: Line | None = None, channel: Channel = EN) -> rules.Settled:
    return rules.settle(draft, line, channel, cursor_at(at), at)


def a_draft(state: State, *, needs: bool = False) -> Draft:
    """Ada's, in this state; `needs` an approval."""
    channel = STRICT if needs else EN
    new = FLASH if needs else RAIN
    draft = rules.write(channel, ADA, NOW, new=new)
    submitted = rules.submit(draft, channel, ADA, NOW)
    scheduled = (
        rules.approve(submitted, BOB, NOW, NOW + SECOND)
        if needs
        else rules.schedule(draft, channel, ADA, NOW, NOW + SECOND)
    )
    match state:
        case "open":
            return draft
        case "submitted":
            return submitted
        case "scheduled":
            return scheduled
        case "released":
            return settled(scheduled, NOW + SECOND).draft
        case "missed":
            return settled(scheduled, NOW + HOUR).draft
        case "discarded":
            return rules.discard(draft, ADA, NOW)
        case "conflict":
            late = replace(scheduled, new=replace(new, expires=NOW))
            return replace(settled(late, NOW + SECOND).draft, new=new)


# Every state and deed

DEEDS: dict[str, Callable[[Draft, Channel], Draft]] = {
    "edit": lambda draft, channel: rules.edit(draft, Edit(new=NewLine(text="Snow"), confirmed=()), channel, ADA, NOW),
    "edit-unchecked": lambda draft, channel: rules.edit(draft, Edit(new=NewLine(text="Snow")), channel, ADA, NOW),
    "submit": lambda draft, channel: rules.submit(draft, channel, a_key("Dora"), NOW),
    "approve": lambda draft, _: rules.approve(draft, a_key("Eve"), NOW, NOW),
    "return": lambda draft, _: rules.send_back(draft, BOB, NOW, "Why?"),
    "publish": lambda draft, channel: rules.schedule(draft, channel, a_key("Eve"), NOW, NOW),
    "discard": lambda draft, _: rules.discard(draft, ADA, NOW),
    "settle": lambda draft, channel: settled(draft, NOW + SECOND, channel=channel).draft,
}

# What becomes of a draft in each state that needs nobody's approval, and of one that does; — is refused.
TABLE = """
            open        submitted   scheduled   missed      conflict    released    discarded
edit        open        submitted   scheduled   open        open        —           —
            open        submitted   submitted   open        open        —           —
edit-unchecked open     submitted   open        open        open        —           —
            open        submitted   submitted   open        open        —           —
submit      submitted   —           —           submitted   submitted   —           —
            submitted   —           —           submitted   submitted   —           —
approve     —           scheduled   —           —           —           —           —
            —           scheduled   —           —           —           —           —
return      —           open        open        —           —           —           —
            —           open        open        —           —           —           —
publish     scheduled   scheduled   scheduled   scheduled   scheduled   released    —
            submitted   scheduled   scheduled   submitted   submitted   released    —
discard     discarded   discarded   discarded   discarded   discarded   —           discarded
            discarded   discarded   discarded   discarded   discarded   —           discarded
settle      —           —           released    —           —           —           —
            —           —           released    —           —           —           —
"""


def the_table() -> list[tuple[str, bool, State, str]]:
    head, *rows = TABLE.strip("\n").splitlines()
    states = head.split()
    assert sorted(states) == sorted(get_args(State))
    cases: list[tuple[str, bool, State, str]] = []
    deed = ""
    for number, row in enumerate(rows):
        cells = row.split()
        if number % 2 == 0:
            deed = cells.pop(0)
        cases += [(deed, number % 2 == 1, state, becomes) for state, becomes in zip(states, cells, strict=True)]  # type: ignore[misc]
    assert {deed for deed, *_ in cases} == set(DEEDS)
    return cases


@pytest.mark.parametrize(("deed", "needs", "state", "becomes"), the_table())
def test_a_deed_does_what_the_table_says(deed: str, needs: bool, state: State, becomes: str) -> None:
    channel = STRICT if needs else EN
    draft = a_draft(state, needs=needs)
    assert draft.state == state
    if state == "missed" or (deed in ("edit", "edit-unchecked", "submit") and state in ("open", "conflict")):
        draft = replace(draft, publish_at=None)  # with a time, what nobody has to approve is scheduled at once
    if becomes == "—":
        with pytest.raises((Conflict, NotDue)):
            DEEDS[deed](draft, channel)
        return
    after = DEEDS[deed](draft, channel)
    assert after.state == becomes
    if after is draft:
        return
    assert after.revision == draft.revision + 1
    assert len(after.history) == len(draft.history) + 1
    if needs and becomes == "scheduled":
        assert after.approval
    if deed in ("edit", "edit-unchecked", "return", "submit"):
        assert after.approval is None


def test_states_either_live_or_have_ended() -> None:
    assert sorted((*LIVING, *ENDED)) == sorted(get_args(State))


def test_submitting_what_has_a_time_and_needs_nobody_schedules_it() -> None:
    draft = rules.write(EN, ADA, NOW, new=RAIN, publish_at=NOW + HOUR)
    assert draft.due is None
    submitted = rules.submit(draft, EN, ADA, NOW)
    assert (submitted.state, submitted.due) == ("scheduled", NOW + HOUR)
    assert rules.submit(draft, EN, ADA, NOW + 2 * HOUR).due == NOW + 2 * HOUR, "a time that has passed is now"
    assert rules.submit(submitted, EN, ADA, NOW) is submitted


def test_what_is_due_is_in_whole_milliseconds_and_never_before_its_time() -> None:
    late = timedelta(microseconds=1)
    for draft in (
        rules.schedule(a_draft("open"), EN, ADA, NOW, NOW + late),
        rules.submit(rules.write(EN, ADA, NOW, new=RAIN, publish_at=NOW + late), EN, ADA, NOW),
        rules.edit(a_draft("scheduled"), Edit(publish_at=NOW + late), EN, ADA, NOW),
        rules.approve(a_draft("submitted", needs=True), BOB, NOW, NOW + late),
        rules.schedule(a_draft("submitted", needs=True), STRICT, BOB, NOW, NOW + late),
    ):
        assert draft.due == NOW + timedelta(milliseconds=1)


def test_repeating_an_approval_a_publication_or_a_discard_changes_nothing() -> None:
    approved = a_draft("scheduled", needs=True)
    assert rules.approve(approved, BOB, NOW, NOW) is approved
    released = a_draft("released", needs=True)
    assert rules.approve(released, BOB, NOW, NOW) is released
    assert rules.schedule(released, STRICT, ADA, NOW, NOW) is released
    discarded = a_draft("discarded")
    assert rules.discard(discarded, BOB, NOW) is discarded


def test_what_was_released_says_which_line_it_is() -> None:
    with pytest.raises(Conflict, match=str(a_draft("released").line)):
        rules.discard(a_draft("released"), ADA, NOW)


# Edits


@pytest.mark.parametrize(
    "given",
    [
        Edit(new=replace(FLASH, text="Deluge")),
        Edit(publish_at=NOW + HOUR),
        Edit(note_to_desk="Look"),
        Edit(publish_at=None),
    ],
)
def test_an_edit_takes_an_approval_away_and_other_words_what_was_confirmed(given: Edit) -> None:
    approved = replace(a_draft("scheduled", needs=True), confirmed=("marker",))
    edited = rules.edit(approved, given, STRICT, BOB, NOW)
    assert (edited.state, edited.approval, edited.due) == ("submitted", None, None)
    assert edited.confirmed == (() if given.new else ("marker",))


def test_other_words_stay_scheduled_only_if_they_were_checked() -> None:
    scheduled = replace(a_draft("scheduled"), confirmed=("script",))
    unchecked = rules.edit(scheduled, Edit(new=FLASH), EN, ADA, NOW)
    assert (unchecked.state, unchecked.due, unchecked.confirmed) == ("open", None, ())
    checked = rules.edit(scheduled, Edit(new=FLASH, confirmed=("marker",)), EN, ADA, NOW)
    assert (checked.state, checked.due, checked.confirmed) == ("scheduled", scheduled.due, ("marker",))
    same = rules.edit(scheduled, Edit(new=scheduled.new, note_to_desk="Look"), EN, ADA, NOW)
    assert (same.state, same.confirmed) == ("scheduled", ("script",))
    other = replace(scheduled, new=None, patch=Patch(text="Rain"), version=1)
    moved = rules.edit(other, Edit(version=2), EN, ADA, NOW)  # the words are compared with those of the line
    assert (moved.state, moved.confirmed) == ("open", ())


def test_an_edit_that_changes_nothing_is_none() -> None:
    approved = a_draft("scheduled", needs=True)
    given = Edit(new=FLASH, publish_at=approved.publish_at, note_to_desk=None)
    assert rules.edit(approved, given, STRICT, BOB, NOW) is approved


def test_an_edit_to_what_needs_approval_is_no_longer_scheduled() -> None:
    scheduled = rules.schedule(rules.write(STRICT, ADA, NOW, new=RAIN), STRICT, ADA, NOW, NOW + HOUR)
    edited = rules.edit(scheduled, Edit(new=FLASH), STRICT, ADA, NOW)
    assert (edited.state, edited.needs_approval) == ("submitted", True)
    again = rules.edit(edited, Edit(new=RAIN), STRICT, ADA, NOW)
    assert (again.state, again.needs_approval) == ("submitted", True), "once asked for, it is asked for"


def test_a_contributor_s_edit_of_an_editor_s_draft_must_be_approved() -> None:
    edited = rules.edit(a_draft("scheduled"), Edit(new=FLASH), EN, CARL, NOW)
    assert (edited.state, edited.needs_approval) == ("submitted", True)


def test_without_a_time_nothing_stays_scheduled() -> None:
    assert rules.edit(a_draft("scheduled"), Edit(publish_at=None), EN, ADA, NOW).state == "open"


def test_a_history_is_bounded_and_who_wrote_stays_known() -> None:
    draft = rules.write(STRICT, CARL, NOW, new=FLASH)
    draft = rules.edit(draft, Edit(new=replace(FLASH, text="Deluge")), STRICT, ADA, NOW)
    for number in range(3 * HISTORY_MAX):
        draft = rules.edit(draft, Edit(note_to_desk=f"{number}"), STRICT, a_key("Eve"), NOW)
        if number % 3 == 0:
            draft = rules.send_back(rules.submit(draft, STRICT, CARL, NOW), a_key("Eve"), NOW, "Not yet")
    assert len(draft.history) == HISTORY_MAX
    assert draft.history[0].did == "created"
    assert draft.author == CARL.person
    assert draft.writers == {CARL.person, ADA.person, "key:eve"}
    with pytest.raises(Forbidden):
        rules.approve(rules.submit(draft, STRICT, CARL, NOW), ADA, NOW, NOW)


# Who must agree


def test_the_same_person_can_not_approve_under_any_key() -> None:
    draft = rules.submit(rules.write(STRICT, ADAS, NOW, new=FLASH), STRICT, ADAS, NOW)
    for key in (ADAS, ADAS_OTHER):
        with pytest.raises(Forbidden):
            rules.approve(draft, key, NOW, NOW)
        with pytest.raises(Conflict):
            rules.schedule(draft, STRICT, key, NOW, NOW)
    assert rules.approve(draft, BOB, NOW, NOW).state == "scheduled"


@pytest.mark.parametrize("hand", ["wrote", "edited", "submitted", "edited before another"])
def test_nobody_approves_what_they_had_a_hand_in(hand: str) -> None:
    words = Edit(new=replace(FLASH, text="Deluge"))
    draft = rules.write(STRICT, ADAS if hand == "wrote" else CARL, NOW, new=FLASH)
    if hand.startswith("edited"):
        draft = rules.edit(draft, words, STRICT, ADAS, NOW)
    if hand.endswith("another"):
        draft = rules.edit(draft, Edit(publish_at=NOW + HOUR), STRICT, CARL, NOW)
    draft = rules.submit(draft, STRICT, ADAS if hand == "submitted" else CARL, NOW)
    with pytest.raises(Forbidden):
        rules.approve(draft, ADAS_OTHER, NOW, NOW)
    assert rules.approve(draft, BOB, NOW, NOW).state == "scheduled"


def test_publishing_what_another_submitted_is_an_approval() -> None:
    published = rules.schedule(a_draft("submitted", needs=True), STRICT, BOB, NOW, NOW)
    assert published.approval
    assert (published.state, published.approval.by, published.due) == ("scheduled", BOB.actor, NOW)
    assert rules.act_of(published).approval == published.approval


def test_what_is_missed_must_be_approved_again() -> None:
    missed = a_draft("missed", needs=True)
    assert missed.approval is None
    assert rules.schedule(missed, STRICT, ADA, NOW, NOW).state == "submitted"


def test_an_approval_schedules_for_the_draft_s_time_or_the_one_given() -> None:
    for publish_at, due in ((NOW + HOUR, NOW + HOUR), (None, NOW + SECOND), (NOW - HOUR, NOW + SECOND)):
        draft = rules.write(STRICT, ADA, NOW - 2 * HOUR, new=FLASH, publish_at=publish_at)
        approved = rules.approve(rules.submit(draft, STRICT, ADA, NOW), BOB, NOW, NOW + SECOND, "AP", "Eve")
        assert approved.due == due
        assert approved.approval
        assert (approved.approval.sources, approved.approval.checked_by) == ("AP", "Eve")


# Role, kind, urgency: what the channel's `approve` must hold for a second person to be asked; "always" and "never".
MUST_BE_APPROVED: dict[tuple[Role, Kind], str] = {
    ("contributor", "publish"): "always",
    ("contributor", "correct"): "always",
    ("contributor", "cancel"): "always",
    ("contributor", "release"): "always",
    ("editor", "publish"): "urgency",
    ("editor", "correct"): "urgency or correct",
    ("editor", "cancel"): "always",
    ("editor", "release"): "never",
    ("chief", "publish"): "urgency",
    ("chief", "correct"): "urgency or correct",
    ("chief", "cancel"): "cancel",
    ("chief", "release"): "never",
    ("admin", "publish"): "urgency",
    ("admin", "correct"): "urgency or correct",
    ("admin", "cancel"): "cancel",
    ("admin", "release"): "never",
}


@pytest.mark.parametrize(("role", "kind"), MUST_BE_APPROVED)
@pytest.mark.parametrize("urgency", [*URGENCIES, UNSET])
@pytest.mark.parametrize("approve", [(), *((each,) for each in APPROVABLE), APPROVABLE])
def test_who_must_be_approved(role: Role, kind: Kind, urgency: Any, approve: tuple[str, ...]) -> None:
    expected = {
        "always": True,
        "never": False,
        "urgency": urgency in approve,
        "urgency or correct": urgency in approve or "correct" in approve,
        "cancel": "cancel" in approve,
    }[MUST_BE_APPROVED[role, kind]]
    changes: dict[Kind, NewLine | Patch] = {
        "publish": RAIN if urgency is UNSET else replace(RAIN, urgency=urgency),
        "correct": Patch(text="Snow", urgency=urgency),
        "cancel": Patch(status="canceled"),
        "release": Patch(status="usable"),
    }
    if kind == "publish" and urgency is UNSET:
        urgency = RAIN.urgency
        expected = expected or urgency in approve
    channel, key = replace(EN, approve=approve), a_key("Ada", role)
    assert rules.must_be_approved(channel, key, changes[kind]) == expected
    if kind == "release":  # its note is words: the same as of a correction
        noted = Patch(status="usable", note="Checked")
        assert rules.must_be_approved(channel, key, noted) == (expected or "correct" in approve)


@pytest.mark.parametrize(
    ("patch", "kind"),
    [
        (None, "publish"),
        (Patch(text="Snow"), "correct"),
        (Patch(note="Why"), "correct"),
        (Patch(text="Snow", refile=True), "correct"),
        (Patch(status="usable"), "release"),
        (Patch(status="usable", note="Checked", expires_in=60), "release"),
        (Patch(status="usable", expires=None), "release"),
        (Patch(status="usable", text="Snow"), "correct"),
        (Patch(status="usable", urgency="flash"), "correct"),
        (Patch(status="usable", refile=True), "correct"),
        (Patch(status="canceled"), "cancel"),
        (Patch(status="canceled", note="Wrong", text="Snow"), "cancel"),
    ],
)
def test_what_a_draft_would_do(patch: Patch | None, kind: Kind) -> None:
    assert rules.kind_of(RAIN if patch is None else None, patch) == kind


def test_withholding_never_waits() -> None:
    with pytest.raises(Invalid, match="never waits"):
        rules.write(EN, ADA, NOW, patch=Patch(status="withheld"), line=a_line())


def test_a_canceled_line_has_no_drafts() -> None:
    gone = amend(a_line(), Patch(status="canceled"), cursor_at(NOW))
    with pytest.raises(Conflict):
        rules.write(EN, ADA, NOW, patch=Patch(text="Snow"), line=gone)


# When it is due


@pytest.mark.parametrize(
    ("publish_in", "milliseconds"), [(0, 0), (0.0001, 1), (3, 3_000), (AHEAD_MAX, AHEAD_MAX * 1000)]
)
def test_in_some_seconds(publish_in: float, milliseconds: int) -> None:
    assert rules.due_at(None, publish_in, NOW) == NOW + timedelta(milliseconds=milliseconds)


@pytest.mark.parametrize("publish_in", [-0.001, AHEAD_MAX + 1, float("nan"), float("inf"), float("-inf")])
def test_in_too_many_seconds_or_too_few(publish_in: float) -> None:
    with pytest.raises(Invalid) as refused:
        rules.due_at(None, publish_in, NOW)
    assert refused.value.errors[0].field == "publish_in"


@pytest.mark.parametrize("hours", [-23, -5, 0, 5.5, 14, 23])
def test_at_a_time_with_any_offset(hours: float) -> None:
    zone = timezone(timedelta(hours=hours))
    assert rules.due_at((NOW + HOUR).astimezone(zone), UNSET, NOW) == NOW + HOUR
    with pytest.raises(Invalid, match="in the past"):
        rules.due_at((NOW - SECOND).astimezone(zone), UNSET, NOW)
    assert rules.due_at(NOW + timedelta(seconds=AHEAD_MAX), UNSET, NOW)
    with pytest.raises(Invalid, match="90 days"):
        rules.due_at((NOW + timedelta(seconds=AHEAD_MAX + 1)).astimezone(zone), UNSET, NOW)


@pytest.mark.parametrize("offset", [-23, 0, 23])
@pytest.mark.parametrize("year", [1, 9999])
def test_a_time_that_no_calendar_has_in_utc_is_refused_like_any_other(year: int, offset: int) -> None:
    zone = timezone(timedelta(hours=offset))
    for at in (datetime(year, 1, 1, tzinfo=zone), datetime(year, 12, 31, 23, 59, tzinfo=zone)):
        with pytest.raises(Invalid) as refused:
            rules.due_at(at, UNSET, NOW)
        assert refused.value.errors[0].field == "publish_at"


def test_a_time_needs_an_offset() -> None:
    with pytest.raises(Invalid, match="offset"):
        rules.due_at(datetime(2026, 1, 1, 13), UNSET, NOW)


def test_no_time_is_none() -> None:
    assert rules.due_at(None, UNSET, NOW) is None


def test_a_line_that_would_expire_before_it_goes_out_is_refused() -> None:
    soon = replace(RAIN, expires=NOW + HOUR)
    later = NOW + 2 * HOUR
    with pytest.raises(Invalid) as refused:
        rules.write(EN, ADA, NOW, new=soon, publish_at=later)
    assert refused.value.errors[0].field == "expires"
    draft = rules.write(EN, ADA, NOW, new=soon, publish_at=NOW + SECOND)
    crossing: list[Callable[[], Draft]] = [
        lambda: rules.write(EN, ADA, NOW, new=soon, publish_at=NOW + HOUR),
        lambda: rules.edit(draft, Edit(publish_at=later), EN, ADA, NOW),
        lambda: rules.edit(draft, Edit(new=replace(soon, expires=NOW)), EN, ADA, NOW),
        lambda: rules.schedule(draft, EN, ADA, NOW, later),
        lambda: rules.approve(rules.submit(replace(draft, publish_at=None), STRICT, CARL, NOW), BOB, NOW, later),
    ]
    for cross in crossing:
        with pytest.raises(Invalid):
            cross()
    patch = Patch(text="Snow", expires=NOW + HOUR)
    with pytest.raises(Invalid):
        rules.write(EN, ADA, NOW, patch=patch, line=a_line(), publish_at=later)


def test_expiry_counts_from_the_release() -> None:
    draft = rules.schedule(rules.write(EN, ADA, NOW, new=replace(RAIN, expires_in=60)), EN, ADA, NOW, NOW + HOUR)
    at = NOW + HOUR + SECOND
    line = settled(draft, at).line
    assert line
    assert line.expires == at + timedelta(seconds=60)


# Settling


def test_nothing_is_released_before_it_is_due() -> None:
    draft = a_draft("scheduled")
    with pytest.raises(NotDue):
        settled(draft, NOW + SECOND - timedelta(milliseconds=1))
    ahead = cursor_at(NOW + HOUR)  # the clock was put back; the newest event is ahead of it
    with pytest.raises(NotDue):
        rules.settle(draft, None, EN, ahead, NOW)
    released = rules.settle(draft, None, EN, ahead, NOW + SECOND)
    assert released.line
    assert (released.draft.state, released.line.published) == ("released", NOW + HOUR)


@pytest.mark.parametrize("late_after", [60, 15 * 60])
def test_what_is_late_is_released_until_it_is_too_late(late_after: int) -> None:
    channel = replace(EN, late_after=late_after)
    last = NOW + SECOND + timedelta(seconds=late_after)
    assert settled(a_draft("scheduled"), last, channel=channel).draft.state == "released"
    missed = settled(a_draft("scheduled"), last + timedelta(milliseconds=1), channel=channel)
    assert (missed.draft.state, missed.line, missed.is_change) == ("missed", None, False)


def test_a_change_is_made_to_the_version_that_it_was_written_against() -> None:
    line = a_line()
    draft = rules.schedule(rules.write(EN, ADA, NOW, patch=Patch(text="Snow"), line=line), EN, ADA, NOW, NOW)
    done = settled(draft, NOW, line)
    assert done.line
    assert (done.draft.state, done.line.text, done.line.version) == ("released", "Snow", 2)
    changed = amend(line, Patch(pinned=True), cursor_at(NOW))
    for before, why in ((changed, "version 2"), (None, "not kept")):
        conflict = settled(draft, NOW, before)
        assert (conflict.draft.state, conflict.line) == ("conflict", None)
        assert why in str(conflict.draft.history[-1].note)
    same = settled(replace(draft, patch=Patch(text="Rain")), NOW, line)
    assert (same.draft.state, same.line, same.is_change) == ("released", line, False)


def test_a_clash_is_noted_once() -> None:
    line = a_line()
    draft = rules.write(EN, ADA, NOW, patch=Patch(text="Snow"), line=line)
    assert rules.clash(draft, line, NOW) is draft
    changed = amend(line, Patch(pinned=True), cursor_at(NOW))
    clashed = rules.clash(draft, changed, NOW)
    assert clashed.state == "conflict"
    assert rules.clash(clashed, changed, NOW) is clashed


def test_an_act_says_which_draft_it_was_and_what_was_confirmed() -> None:
    refiled = rules.write(EN, ADA, NOW, patch=Patch(text="Rains", refile=True), line=a_line())
    act = rules.act_of(replace(refiled, confirmed=("refile",)))
    assert (act.by, act.draft, act.refile, act.confirmed) == (ADA.actor, refiled.id, True, ("refile",))


def test_ids_can_not_be_guessed_and_tell_no_time() -> None:
    ids = {rules.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(each) == 34 and each.startswith("d_") for each in ids)


def test_a_draft_is_written_and_read_as_it_is() -> None:
    for state in get_args(State):
        draft = a_draft(state, needs=True)
        assert msgspec.json.decode(msgspec.json.encode(draft), type=Draft) == draft


# A walk at random


class Walk(RuleBasedStateMachine):
    """Anyone does anything at any time. What comes of it is in the picture, and is released only as it must be."""

    KEYS = ADAS, ADAS_OTHER, BOB, CARL, a_key("Eve")
    STEPS: ClassVar[dict[State, set[State]]] = {
        "open": {"open", "submitted", "scheduled", "conflict", "discarded"},
        "submitted": {"submitted", "open", "scheduled", "conflict", "discarded"},
        "scheduled": {"scheduled", "submitted", "open", "released", "missed", "conflict", "discarded"},
        "missed": {"missed", "open", "submitted", "scheduled", "conflict", "discarded"},
        "conflict": {"conflict", "open", "submitted", "scheduled", "discarded"},
        "released": {"released"},
        "discarded": {"discarded"},
    }

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.line = a_line()
        self.changes = 0
        self.draft: Draft | None = None

    @rule(
        key=st.sampled_from(KEYS),
        channel=st.sampled_from([EN, STRICT]),
        given=st.sampled_from([RAIN, FLASH, Patch(text="Snow"), Patch(status="canceled"), Patch(status="usable")]),
        seconds=st.sampled_from([None, -60, 0, 60, 7_200]),
    )
    @precondition(lambda self: self.draft is None)
    def write(self, key: Key, channel: Channel, given: NewLine | Patch, seconds: int | None) -> None:
        self.channel = channel
        publish_at = None if seconds is None else self.now + timedelta(seconds=seconds)
        if isinstance(given, NewLine):
            self.draft = rules.write(channel, key, self.now, new=given, publish_at=publish_at)
        else:
            self.draft = rules.write(channel, key, self.now, patch=given, line=self.line, publish_at=publish_at)

    @rule(seconds=st.sampled_from([0.001, 1, 60, 1_000]))
    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def the_line_is_corrected(self) -> None:
        self.changes += 1
        self.line = amend(self.line, Patch(text=f"Hail {self.changes}"), cursor_at(self.now))

    def do(self, deed: Callable[[Draft], Draft]) -> None:
        assert self.draft
        before = self.draft
        try:
            after = deed(before)
        except TickerError:
            return
        assert after.state in self.STEPS[before.state]
        assert (after is before) == (after == before)
        if after is not before:
            steps = after.revision - before.revision
            assert steps in (1, 2), "what is submitted may be scheduled by that"
            assert len(after.history) <= HISTORY_MAX
            assert after.history[-1].at == self.now
        assert after.state != "released" or before.state == "released", "settle alone releases"
        self.draft = after

    @rule(key=st.sampled_from(KEYS), text=st.sampled_from(["Snow", "Ice"]), current=st.booleans())
    @precondition(lambda self: self.draft)
    def edit(self, key: Key, text: str, current: bool) -> None:
        assert self.draft
        version = self.line.version if current and self.draft.line else None
        if self.draft.new:
            given = Edit(new=replace(self.draft.new, text=text))
        else:
            given = Edit(patch=replace(self.draft.fields, text=text), version=version)  # type: ignore[arg-type]
        self.do(lambda draft: rules.edit(draft, given, self.channel, key, self.now))

    @rule(key=st.sampled_from(KEYS), seconds=st.sampled_from([None, 0, 60]))
    @precondition(lambda self: self.draft)
    def move(self, key: Key, seconds: int | None) -> None:
        at = None if seconds is None else self.now + timedelta(seconds=seconds)
        self.do(lambda draft: rules.edit(draft, Edit(publish_at=at), self.channel, key, self.now))

    @rule(key=st.sampled_from(KEYS))
    @precondition(lambda self: self.draft)
    def submit(self, key: Key) -> None:
        self.do(lambda draft: rules.submit(draft, self.channel, key, self.now))

    @rule(key=st.sampled_from(KEYS), seconds=st.sampled_from([0, 3]))
    @precondition(lambda self: self.draft)
    def approve(self, key: Key, seconds: int) -> None:
        at = self.now + timedelta(seconds=seconds)
        self.do(lambda draft: rules.approve(draft, key, self.now, at))

    @rule(key=st.sampled_from(KEYS))
    @precondition(lambda self: self.draft)
    def send_back(self, key: Key) -> None:
        self.do(lambda draft: rules.send_back(draft, key, self.now, "Why?"))

    @rule(key=st.sampled_from(KEYS), seconds=st.sampled_from([0, 3, 60]))
    @precondition(lambda self: self.draft)
    def publish(self, key: Key, seconds: int) -> None:
        at = self.now + timedelta(seconds=seconds)
        self.do(lambda draft: rules.schedule(draft, self.channel, key, self.now, at))

    @rule(key=st.sampled_from(KEYS))
    @precondition(lambda self: self.draft)
    def clash(self, key: Key) -> None:
        if self.draft and self.draft.line:
            self.do(lambda draft: rules.clash(draft, self.line, self.now))

    @rule(key=st.sampled_from(KEYS))
    @precondition(lambda self: self.draft and self.draft.revision > 5)
    def discard(self, key: Key) -> None:
        self.do(lambda draft: rules.discard(draft, key, self.now))

    @rule()
    @precondition(lambda self: self.draft)
    def settle(self) -> None:
        assert self.draft
        before = self.draft
        try:
            done = rules.settle(before, self.line if before.line else None, self.channel, cursor_at(self.now), self.now)
        except NotDue:
            assert before.due is None or before.due > self.now
            return
        assert before.due
        assert before.due <= self.now
        assert done.draft.state in ("released", "missed", "conflict")
        if done.draft.state == "released":
            assert not before.needs_approval or before.approval
            assert before.version is None or before.version == self.line.version
            assert done.line
            assert done.draft.line == done.line.id
        else:
            assert done.line is None
        self.draft = done.draft

    @invariant()
    def it_is_in_the_picture(self) -> None:
        draft = self.draft
        if draft is None:
            return
        if draft.state == "scheduled":
            assert draft.publish_at
            assert draft.publish_at.microsecond % 1000 == 0
            assert not draft.needs_approval or draft.approval
        if draft.approval:
            assert draft.state in ("scheduled", "released", "discarded")
            assert draft.approval.by.id not in {step.by.id for step in draft.history if step.by and wrote(step)}
            approver = next(step.person for step in reversed(draft.history) if step.did == "approved")
            assert approver not in draft.writers


def wrote(step: rules.Step) -> bool:
    return step.did in ("created", "edited", "submitted")


Walk.TestCase.settings = settings(max_examples=300, stateful_step_count=25, deadline=None, derandomize=True)
TestWalk = Walk.TestCase
