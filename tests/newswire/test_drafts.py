"""Drafts and the desk's lock, as every newswire promises them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from tests.acting import act
from tests.newswire.drafting import ADA, BOB, CARL, a_key, a_lock, as_it_stands, keep, keep_change, now, settle
from tests.newswire.wires import (
    BOTH,
    EN,
    ES,
    MOMENT,
    START,
    Clock,
    Store,
    a_channel,
    amend,
    amended,
    assert_chain,
    heard,
    history,
    publish,
    until,
)
from tests.patience import WITHIN
from ticker import draft as rules
from ticker.channel import Channel
from ticker.draft import ENDED, KEPT_FOR, LIVING, Draft, Edit, NotDue, State
from ticker.errors import Conflict, KeyReused, Locked, NotFound, Refused
from ticker.line import Cursor, Line, NewLine, Patch, checked
from ticker.newswire import Due, IdempotencyKey, Newswire, Outcome

pytestmark = pytest.mark.usefixtures("patience_with_redis")

DRAFTS = "ticker.newswire.sqlite.drafts.LIVING_MAX", "ticker.newswire.redis.drafts.LIVING_MAX"


async def listed(wire: Newswire, *states: State, limit: int = 100) -> list[str]:
    """Page by page, of `limit` drafts."""
    ids: list[str] = []
    after = None
    while True:
        page = await wire.drafts("en", states, limit, after)
        ids += [draft.id for draft in page.drafts]
        if not page.more:
            return ids
        after = page.drafts[-1].place


def noted(note: str) -> Callable[[Draft], Draft]:
    return lambda draft: rules.edit(draft, Edit(note_to_desk=note), EN, ADA, draft.updated)


async def is_forgotten(wire: Newswire, draft: Draft) -> bool:
    try:
        await wire.draft(draft.channel, draft.id)
    except NotFound:
        return True
    return False


# Kept, listed, changed


async def test_a_draft_is_read_as_it_was_kept_also_after_a_restart(store: Store) -> None:
    wire = await store.open()
    draft = await keep(wire, EN, due_in=60, source="AP", expires_in=60, language="ar")
    assert await wire.draft("en", draft.id) == draft
    wire = await store.open()
    assert await wire.draft("en", draft.id) == draft
    assert await wire.upcoming(BOTH, 10) == [Due("en", draft.id, ms(draft.due))]


async def test_a_draft_of_another_channel_or_none_is_not_found(newswire: Newswire) -> None:
    draft = await keep(newswire, EN)
    for channel, draft_id in (("es", draft.id), ("en", "d_0"), ("en", ""), ("en", "x" * 300), ("en", "\x00")):
        with pytest.raises(NotFound):
            await newswire.draft(channel, draft_id)
        with pytest.raises(NotFound):
            await newswire.change_draft(channel, draft_id, lambda kept: kept)
        with pytest.raises(NotFound):
            await newswire.settle(BOTH[channel], draft_id, as_it_stands)


async def test_a_draft_is_in_no_history_board_or_line(newswire: Newswire) -> None:
    async with newswire.tail() as tail:
        await keep(newswire, EN, "Not yet", due_in=60)
        event = await publish(newswire)
        assert await heard(tail, 1) == [event]
    assert await history(newswire) == [event]
    assert await newswire.snapshot(EN) == (event.cursor, [event.line])


async def test_drafts_are_listed_by_state_and_page_the_one_changed_last_first(newswire: Newswire) -> None:
    drafts = [await keep(newswire, EN, f"Line {n}", due_in=60 if n % 2 else None) for n in range(9)]
    await keep(newswire, ES, "Otro", due_in=60)
    ids = [draft.id for draft in reversed(drafts)]
    assert await listed(newswire, *LIVING, limit=2) == ids
    assert await listed(newswire, "scheduled", limit=1) == ids[1::2]
    assert await listed(newswire, "open", limit=2) == ids[::2]
    assert await listed(newswire, *ENDED) == []
    assert (await newswire.drafts("en", (), 5)).drafts == []
    moment = newswire.now()
    gone = await newswire.change_draft("en", ids[3], lambda kept: rules.discard(kept, ADA, moment))
    first = await newswire.change_draft("en", ids[-1], noted_at(newswire, "Look"))
    assert await listed(newswire, *LIVING, limit=3) == [first.id, *(each for each in ids[:-1] if each != gone.id)]
    assert await listed(newswire, *ENDED) == [gone.id]
    assert set(await listed(newswire, *LIVING, *ENDED, limit=2)) == set(ids)


async def test_a_page_goes_on_where_it_was_if_its_last_draft_is_changed_meanwhile(newswire: Newswire) -> None:
    ids = [(await keep(newswire, EN, f"Line {n}")).id for n in range(4)][::-1]
    page = await newswire.drafts("en", LIVING, 2)
    last = page.drafts[-1]
    await newswire.change_draft("en", last.id, noted_at(newswire, "Look"))
    assert [each.id for each in (await newswire.drafts("en", LIVING, 9, last.place)).drafts] == ids[2:]
    await newswire.change_draft("en", last.id, lambda kept: rules.discard(kept, ADA, newswire.now()))
    assert [each.id for each in (await newswire.drafts("en", LIVING, 9, last.place)).drafts] == ids[2:]


def noted_at(wire: Newswire, note: str) -> Callable[[Draft], Draft]:
    return lambda draft: rules.edit(draft, Edit(note_to_desk=note), EN, ADA, wire.now())


async def test_a_draft_changed_at_the_same_moment_as_others_is_listed_once(newswire: Newswire) -> None:
    moment = newswire.now()
    drafts = [rules.write(EN, ADA, moment, new=NewLine(text=f"Line {n}")) for n in range(5)]
    for draft in drafts:
        await newswire.keep_draft(draft)
    assert await listed(newswire, "open", limit=2) == sorted((draft.id for draft in drafts), reverse=True)


async def test_of_changes_at_once_none_is_lost(newswire: Newswire) -> None:
    draft = await keep(newswire, EN)
    await asyncio.gather(*(newswire.change_draft("en", draft.id, appended(f"{n}")) for n in range(20)))
    kept = await newswire.draft("en", draft.id)
    assert kept.note_to_desk
    assert sorted(kept.note_to_desk.split(), key=int) == [str(n) for n in range(20)]
    assert (kept.revision, len(kept.history)) == (21, 21)


def appended(word: str) -> Callable[[Draft], Draft]:
    return lambda draft: noted(f"{draft.note_to_desk or ''} {word}")(draft)


async def test_a_change_that_is_refused_or_changes_nothing_keeps_nothing(newswire: Newswire) -> None:
    draft = await keep(newswire, EN, due_in=60)
    with pytest.raises(Conflict):
        await newswire.change_draft("en", draft.id, lambda kept: rules.approve(kept, BOB, kept.updated, kept.updated))
    assert await newswire.change_draft("en", draft.id, lambda kept: kept) == draft
    assert await newswire.draft("en", draft.id) == draft


async def test_more_drafts_than_a_channel_may_have_are_refused_until_one_ends(
    newswire: Newswire, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in DRAFTS:
        monkeypatch.setattr(name, 3)
    drafts = [await keep(newswire, EN, due_in=60 if n else None) for n in range(3)]
    with pytest.raises(Refused, match="3 drafts"):
        await keep(newswire, EN)
    await keep(newswire, ES)
    await newswire.change_draft("en", drafts[0].id, noted("Still there"))
    await newswire.change_draft("en", drafts[1].id, lambda kept: rules.discard(kept, ADA, kept.updated))
    await keep(newswire, EN)


# A request that comes twice


async def test_a_request_that_became_a_draft_becomes_the_same_draft_again(newswire: Newswire) -> None:
    once = IdempotencyKey("ada:1", "fingerprint")
    assert await newswire.remembered("en", once) is None
    draft = await keep(newswire, EN, once=once)
    assert await newswire.remembered("en", once) == draft
    edited = await newswire.change_draft("en", draft.id, noted("Later"))
    assert await newswire.remembered("en", once) == edited
    assert await keep(newswire, EN, "Rain", once=once) == edited
    assert await listed(newswire, "open") == [draft.id]


async def test_one_request_for_a_draft_many_times_at_once_becomes_one(newswire: Newswire) -> None:
    once = IdempotencyKey("ada:1", "fingerprint")
    drafts = await asyncio.gather(*(keep(newswire, EN, once=once) for _ in range(10)))
    assert {draft.id for draft in drafts} == set(await listed(newswire, "open"))
    assert len({draft.id for draft in drafts}) == 1


async def test_a_key_of_a_draft_is_refused_for_anything_else(newswire: Newswire) -> None:
    await keep(newswire, EN, once=IdempotencyKey("ada:1", "fingerprint"))
    line = (await publish(newswire)).line
    for fingerprint in ("another", "fingerprint"):
        with pytest.raises(KeyReused):
            await publish(newswire, once=IdempotencyKey("ada:1", fingerprint))
    with pytest.raises(KeyReused):
        await newswire.amend(EN, line.id, Patch(text="Snow"), act=act(), once=IdempotencyKey("ada:1", "another"))
    for ask in (keep(newswire, EN, once=IdempotencyKey("ada:1", "another")), publish_to_es(newswire)):
        with pytest.raises(KeyReused):
            await ask
    with pytest.raises(KeyReused):
        await keep(newswire, ES, once=IdempotencyKey("ada:1", "on es"))
    with pytest.raises(KeyReused):
        await newswire.remembered("en", IdempotencyKey("ada:1", "another"))
    assert len(await history(newswire)) == 1


async def publish_to_es(wire: Newswire) -> Any:
    return await publish(wire, to=ES, once=IdempotencyKey("ada:1", "on es"))


async def test_a_key_of_a_line_is_refused_for_a_draft(newswire: Newswire) -> None:
    once = IdempotencyKey("ada:1", "fingerprint")
    event = await publish(newswire, once=once)
    assert await newswire.remembered("en", once) == Outcome(event.line, None, replayed=True)
    for channel, key in ((EN, once), (EN, IdempotencyKey("ada:1", "another")), (ES, IdempotencyKey("ada:1", "es"))):
        with pytest.raises(KeyReused):
            await keep(newswire, channel, once=key)
    assert await listed(newswire, *LIVING) == []


# Due


def ms(at: datetime | None) -> int:
    assert at
    return round(at.timestamp() * 1000)


async def test_what_is_not_due_stays_as_it_is(newswire: Newswire) -> None:
    for draft in (await keep(newswire, EN, due_in=60), await keep(newswire, EN)):
        with pytest.raises(NotDue):
            await settle(newswire, EN, draft)
        assert await newswire.draft("en", draft.id) == draft
    assert await history(newswire) == []


async def test_what_is_due_goes_out_in_the_step_that_releases_it(newswire: Newswire) -> None:
    before = await publish(newswire, "Before")
    draft = await keep(newswire, EN, "Rain", due_in=-1, source="AP", expires_in=60)
    async with newswire.tail() as tail:
        settled = await settle(newswire, EN, draft)
        assert settled.outcome
        event = settled.outcome.event
        assert event
        assert await heard(tail, 1) == [event]
    assert (event.prev, event.line.text, event.line.source) == (before.cursor, "Rain", "AP")
    assert event.act.draft == draft.id
    assert event.act.by == ADA.actor
    assert (settled.draft.state, settled.draft.line) == ("released", event.line.id)
    assert await newswire.draft("en", draft.id) == settled.draft
    assert event.line.expires == event.line.published + timedelta(seconds=60), "counted from the release"
    assert await newswire.versions("en", event.line.id) == [event]
    assert await newswire.upcoming(BOTH, 10) == []
    assert await listed(newswire, "released") == [draft.id]
    assert_chain(await history(newswire))
    with pytest.raises(NotDue):
        await settle(newswire, EN, draft)


async def test_a_draft_goes_out_once_however_many_ask_at_once(newswire: Newswire) -> None:
    drafts = [await keep(newswire, EN, f"Line {n}", due_in=-1) for n in range(5)]
    asked = [settle(newswire, EN, draft) for draft in drafts for _ in range(6)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(not isinstance(result, NotDue) for result in results) == 5, results
    assert sorted(str(event.line.text) for event in await history(newswire)) == [f"Line {n}" for n in range(5)]


async def test_the_audit_names_who_approved_a_draft_and_how_it_was_checked(newswire: Newswire) -> None:
    moment = newswire.now()
    draft = rules.submit(rules.write(EN, CARL, moment, new=NewLine(text="Rain")), EN, CARL, moment)
    await newswire.keep_draft(draft)
    await newswire.change_draft(
        "en",
        draft.id,
        lambda kept: rules.approve(kept, BOB, moment, moment - timedelta(seconds=1), "Two sources", "Eve"),
    )
    outcome = (await settle(newswire, EN, draft)).outcome
    assert outcome
    (event,) = await newswire.versions("en", outcome.line.id)
    assert event.act.by == CARL.actor
    assert event.act.approval
    assert (event.act.approval.by, event.act.approval.sources, event.act.approval.checked_by) == (
        BOB.actor,
        "Two sources",
        "Eve",
    )


async def test_a_draft_can_be_changed_and_released_in_one_step(newswire: Newswire) -> None:
    draft = await keep(newswire, EN)
    settled = await newswire.settle(EN, draft.id, now(EN))
    assert settled.outcome
    assert settled.outcome.event
    assert [step.did for step in settled.draft.history] == ["created", "scheduled", "released"]
    assert await newswire.draft("en", draft.id) == settled.draft
    again = await keep(newswire, EN, by=CARL)
    submitted = await newswire.settle(EN, again.id, now(EN, CARL))
    assert (submitted.draft.state, submitted.outcome) == ("submitted", None)
    assert await newswire.draft("en", again.id) == submitted.draft
    held = await newswire.settle(
        EN,
        (await keep(newswire, EN)).id,
        lambda kept, at: rules.schedule(kept, EN, ADA, at, at + timedelta(seconds=60)),
    )
    assert (held.draft.state, held.outcome) == ("scheduled", None)
    assert [due.draft for due in await newswire.upcoming(BOTH, 10)] == [held.draft.id]
    with pytest.raises(Conflict):
        await newswire.settle(EN, draft.id, lambda kept, at: rules.send_back(kept, ADA, at, "No"))
    assert len(await history(newswire)) == 1


async def test_a_discarded_draft_never_goes_out(newswire: Newswire) -> None:
    draft = await keep(newswire, EN, due_in=-1)
    await newswire.change_draft("en", draft.id, lambda kept: rules.discard(kept, ADA, kept.updated))
    with pytest.raises(NotDue):
        await settle(newswire, EN, draft)
    assert await newswire.upcoming(BOTH, 10) == []
    assert await history(newswire) == []


async def test_a_recall_and_a_release_at_once_are_one_or_the_other(newswire: Newswire) -> None:
    for number in range(20):
        draft = await keep(newswire, EN, f"Line {number}", due_in=-1)
        released, recalled = await asyncio.gather(
            settle(newswire, EN, draft),
            newswire.change_draft("en", draft.id, lambda kept: rules.discard(kept, ADA, kept.updated)),
            return_exceptions=True,
        )
        state = (await newswire.draft("en", draft.id)).state
        texts = [event.line.text for event in await history(newswire)]
        if state == "released":
            assert isinstance(recalled, Conflict)
        else:
            assert isinstance(released, NotDue)
        assert texts.count(f"Line {number}") == (state == "released")


async def test_upcoming_is_by_due_time_then_by_age_and_of_these_channels_alone(newswire: Newswire) -> None:
    at = newswire.now() + timedelta(seconds=60)
    due = [30, 10, 10, 10, 20, 10]
    drafts = []
    for number, seconds in enumerate(due):
        channel = (EN, ES)[number % 2]
        moment = newswire.now()
        draft = rules.write(channel, ADA, moment, new=NewLine(text=f"Line {number}"))
        drafts.append(rules.schedule(draft, channel, ADA, moment, at + timedelta(seconds=seconds)))
    for draft in reversed(drafts):  # the order in which they are kept says nothing
        await newswire.keep_draft(draft)
    first = sorted(drafts, key=lambda draft: (draft.due, draft.created))
    expected = [Due(draft.channel, draft.id, ms(draft.due)) for draft in first]
    assert await newswire.upcoming(BOTH, 10) == expected
    assert await newswire.upcoming(BOTH, 3) == expected[:3]
    assert await newswire.upcoming(["es"], 10) == [each for each in expected if each.channel == "es"]
    assert await newswire.upcoming([], 10) == []
    moved = await newswire.change_draft(
        "en", first[0].id if first[0].channel == "en" else first[1].id, due_at(at + timedelta(seconds=90))
    )
    assert (await newswire.upcoming(BOTH, 10))[-1] == Due("en", moved.id, ms(moved.due))


def due_at(at: datetime) -> Callable[[Draft], Draft]:
    return lambda draft: rules.edit(draft, Edit(publish_at=at), EN, ADA, draft.updated)


# Due, by the newswire's clock


async def test_nothing_goes_out_before_its_time_and_what_is_a_little_late_still_does(clocked: Store) -> None:
    clock = Clock()
    wire = await clocked.open(clock=clock)
    draft, late = await keep(wire, EN, "In time", due_in=2 * MOMENT), await keep(wire, EN, "Late", due_in=3 * MOMENT)
    clock.now += MOMENT
    await wire.presence.report({})
    with pytest.raises(NotDue):
        await settle(wire, EN, draft)
    clock.now += MOMENT + 1
    await wire.presence.report({})
    outcome = (await settle(wire, EN, draft)).outcome
    assert outcome
    assert draft.due
    assert outcome.line.published >= draft.due
    with pytest.raises(NotDue):
        await settle(wire, EN, late)
    clock.now += EN.late_after
    await wire.presence.report({})
    assert (await settle(wire, EN, late)).draft.state == "released"


async def test_what_is_too_late_is_missed_until_an_editor_decides(clocked: Store) -> None:
    clock = Clock()
    wire = await clocked.open(clock=clock)
    draft = await keep(wire, EN, due_in=0)
    clock.now += EN.late_after + MOMENT
    await wire.presence.report({})
    settled = await settle(wire, EN, draft)
    assert (settled.draft.state, settled.outcome) == ("missed", None)
    assert await wire.draft("en", draft.id) == settled.draft
    assert await wire.upcoming(BOTH, 10) == []
    assert await history(wire) == []
    assert await listed(wire, "missed") == [draft.id]
    with pytest.raises(NotDue):
        await settle(wire, EN, draft)
    assert (await wire.settle(EN, draft.id, now(EN))).draft.state == "released"


@pytest.mark.parametrize("hours", [1, 3])
async def test_a_clock_that_was_put_back_makes_no_draft_late_or_early(clocked: Store, hours: int) -> None:
    """The newest line is ahead of the clock then, by longer than a draft may be late."""
    clock = Clock()
    wire = await clocked.open(clock=clock)
    await publish(wire, "Ahead")
    clock.now -= hours * 3_600
    await wire.presence.report({})
    early, due = await keep(wire, EN, "Early", due_in=2 * MOMENT), await keep(wire, EN, "Due", due_in=-1)
    with pytest.raises(NotDue):
        await settle(wire, EN, early)
    assert (await settle(wire, EN, due)).draft.state == "released"
    assert (await wire.settle(EN, (await keep(wire, EN, "Now")).id, now(EN))).draft.state == "released"
    events = await history(wire)
    assert [event.line.text for event in events] == ["Ahead", "Due", "Now"]
    assert_chain(events)


async def test_a_draft_is_forgotten_thirty_days_after_its_end_and_never_before(clocked: Store) -> None:
    clock = Clock()
    wire: Any = await clocked.open(clock=clock)
    released, discarded = await keep(wire, EN, due_in=-1), await keep(wire, EN)
    waits, opened = await keep(wire, EN, due_in=80 * 86_400), await keep(wire, EN)
    await settle(wire, EN, released)
    await wire.change_draft("en", discarded.id, lambda kept: rules.discard(kept, ADA, wire.now()))

    wire = await clocked.open(clock=Clock(START + KEPT_FOR - MOMENT))
    await wire.trim()
    for draft in (released, discarded, waits, opened):
        await wire.draft("en", draft.id)
    wire = await clocked.open(clock=Clock(START + KEPT_FOR + MOMENT))
    for draft in (released, discarded):
        await until(lambda draft=draft: is_forgotten(wire, draft))  # type: ignore[misc]
    assert await listed(wire, *ENDED) == []
    assert {draft.id for draft in (waits, opened)} == set(await listed(wire, *LIVING))


# A change of a line that stands


async def test_a_correction_that_is_due_is_made_as_if_it_was_made_now(newswire: Newswire) -> None:
    line = (await publish(newswire, "Rain")).line
    draft = await keep_change(newswire, EN, line, text="Snow", due_in=-1)
    settled = await settle(newswire, EN, draft)
    assert settled.outcome
    assert settled.outcome.line == await newswire.line("en", line.id)
    assert (settled.outcome.line.text, settled.outcome.line.version) == ("Snow", 2)
    assert settled.outcome.line.corrected
    assert settled.draft.line == line.id
    assert_chain(await history(newswire))


CHANGES: dict[str, Patch] = {
    "corrected": Patch(text="Hail"),
    "withheld": Patch(status="withheld"),
    "canceled": Patch(status="canceled"),
    "refiled": Patch(text="Rains", refile=True),
    "pinned": Patch(pinned=True),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fields", [{"text": "Snow"}, {"status": "canceled"}, {"status": "usable"}])
async def test_a_line_changed_meanwhile_is_a_conflict_and_nothing_is_overwritten(
    newswire: Newswire, change: str, fields: dict[str, Any]
) -> None:
    line = (await publish(newswire, "Rain")).line
    draft = await keep_change(newswire, EN, line, by=BOB, due_in=-1, **fields)
    changed = await newswire.amend(EN, line.id, CHANGES[change], act=act())
    settled = await settle(newswire, EN, draft)
    assert (settled.draft.state, settled.outcome) == ("conflict", None)
    assert "version 1" in str(settled.draft.history[-1].note)
    assert await newswire.draft("en", draft.id) == settled.draft
    assert await newswire.line("en", line.id) == changed.line
    assert len(await history(newswire)) == 2
    assert await newswire.upcoming(BOTH, 10) == []


async def test_a_change_that_changes_nothing_is_released_without_an_event(newswire: Newswire) -> None:
    line = (await publish(newswire, "Rain")).line
    draft = await keep_change(newswire, EN, line, text="Rain", due_in=-1)
    settled = await settle(newswire, EN, draft)
    assert (settled.draft.state, settled.draft.line) == ("released", line.id)
    assert settled.outcome == Outcome(line, None)
    assert await newswire.draft("en", draft.id) == settled.draft
    assert len(await history(newswire)) == 1


async def test_a_line_that_would_have_expired_by_its_release_is_a_conflict(newswire: Newswire) -> None:
    draft = await keep(newswire, EN, due_in=-60, expires=newswire.now() - timedelta(seconds=1))
    assert (await settle(newswire, EN, draft)).draft.state == "conflict"
    assert await history(newswire) == []


async def test_amendments_and_due_changes_of_one_line_at_once_overwrite_nothing(newswire: Newswire) -> None:
    line = (await publish(newswire, "Rain")).line
    drafts = [await keep_change(newswire, EN, line, text=f"Draft {n}", due_in=-1) for n in range(5)]
    drafts.append(await keep_change(newswire, EN, line, text="Rain", due_in=-1))
    settlements = asyncio.gather(*(settle(newswire, EN, draft) for draft in drafts))
    amendments = asyncio.gather(*(amend(newswire, line.id, text=f"Amended {n}") for n in range(5)))
    settled, _ = await asyncio.gather(settlements, amendments)
    events = await history(newswire)
    assert_chain(events)
    released = [each for each in settled if each.outcome and each.outcome.event]
    assert len(events) == 1 + 5 + len(released)
    assert len(released) <= 1
    for each in released:
        assert each.outcome
        assert each.outcome.line.version == 2, "it was written against the first version"
    assert {each.draft.state for each in settled} <= {"released", "conflict"}


# The lock


async def test_while_a_channel_is_locked_nothing_goes_out_on_it_but_a_withhold(newswire: Newswire) -> None:
    line, other = (await publish(newswire, "Rain")).line, (await publish(newswire, "Hail")).line
    draft = await keep(newswire, EN, due_in=-1)
    waiting = await keep(newswire, EN)
    lock = a_lock()
    await newswire.lock("en", lock)
    assert await newswire.locks() == {"en": lock}
    refused = [
        publish(newswire),
        amend(newswire, line.id, text="Snow"),
        amend(newswire, line.id, status="canceled"),
        amend(newswire, line.id, status="withheld", text="Snow"),
        amend(newswire, line.id, status="withheld", pinned=True),
        settle(newswire, EN, draft),
        newswire.settle(EN, waiting.id, now(EN)),
    ]
    for ask in refused:
        with pytest.raises(Locked, match="Wrong flash"):
            await ask
    assert await newswire.draft("en", draft.id) == draft
    assert await newswire.draft("en", waiting.id) == waiting
    assert [due.draft for due in await newswire.upcoming(BOTH, 10)] == [draft.id]

    assert (await amend(newswire, line.id, status="withheld", note="Wrong")).line.status == "withheld"
    assert (await amend(newswire, other.id, status="withheld")).line.status == "withheld"
    with pytest.raises(Locked):
        await amend(newswire, other.id, status="usable")
    assert (await amend(newswire, other.id, status="withheld")).event is None
    await publish(newswire, to=ES)
    await keep(newswire, EN, due_in=60)
    noted_draft = await newswire.change_draft("en", waiting.id, noted("Wait"))
    assert noted_draft.note_to_desk == "Wait"

    await newswire.unlock("en", lock)
    assert await newswire.locks() == {}
    assert (await settle(newswire, EN, draft)).draft.state == "released"
    await publish(newswire)
    assert_chain(await history(newswire))


async def test_a_lock_is_taken_off_only_as_it_was_read(newswire: Newswire) -> None:
    first, second = a_lock("First"), a_lock("Second", by=a_key("Eve", "chief"))
    await newswire.lock("en", first)
    await newswire.lock("en", second)
    second = replace(second, before=(first.person,))  # who locked first is remembered
    await newswire.unlock("en", first)
    assert await newswire.locks() == {"en": second}
    await newswire.lock("es", first)
    assert await newswire.locks() == {"en": second, "es": first}
    await newswire.unlock("en", second)
    await newswire.unlock("en", second)
    assert await newswire.locks() == {"es": first}


async def test_a_lock_outlives_a_restart(store: Store) -> None:
    await (await store.open()).lock("en", a_lock())
    wire = await store.open()
    assert await wire.locks() == {"en": a_lock()}
    with pytest.raises(Locked):
        await publish(wire)


async def test_what_can_not_go_out_anyway_waits_for_the_unlock_too(clocked: Store) -> None:
    """Missed, in conflict or no change: that is decided when the desk is unlocked, not meanwhile."""
    clock = Clock()
    wire = await clocked.open(clock=clock)
    line = (await publish(wire, "Rain")).line
    drafts = [
        await keep_change(wire, EN, line, text="Rain", due_in=-1),
        await keep(wire, EN, "Expired", due_in=-60, expires=wire.now() - timedelta(seconds=1)),
        await keep_change(wire, EN, line, text="Snow", due_in=-EN.late_after - MOMENT),
    ]
    await wire.lock("en", a_lock())
    for draft in drafts:
        with pytest.raises(Locked):
            await settle(wire, EN, draft)
        assert await wire.draft("en", draft.id) == draft
    await wire.unlock("en", a_lock())
    assert [(await settle(wire, EN, draft)).draft.state for draft in drafts] == ["released", "conflict", "missed"]
    assert len(await history(wire)) == 1


async def test_a_lock_and_lines_at_once_leave_nothing_out_after_the_lock(newswire: Newswire) -> None:
    async def lock() -> str | None:
        await newswire.lock("en", a_lock())
        return (await newswire.heads())["en"]

    published = [publish(newswire, f"Line {n}") for n in range(20)]
    *results, head = await asyncio.gather(*published[:10], lock(), *published[10:], return_exceptions=True)
    head = next(each for each in (*results, head) if each is None or isinstance(each, str))
    assert (await newswire.heads())["en"] == head


# What desks hear


async def test_each_change_of_a_draft_or_a_lock_is_heard(newswire: Newswire) -> None:
    calls: list[str] = []
    came = asyncio.Event()

    def hear(channel: str) -> None:
        calls.append(channel)
        came.set()

    newswire.on_desk_change(hear)
    async with newswire.tail():
        draft = await keep(newswire, EN, due_in=-1)
        lock = a_lock()
        deeds: list[Callable[[], Any]] = [
            lambda: keep(newswire, ES),
            lambda: newswire.change_draft("en", draft.id, noted("Look")),
            lambda: newswire.lock("en", lock),
            lambda: newswire.unlock("en", lock),
            lambda: settle(newswire, EN, draft),
        ]
        for number, deed in enumerate(deeds):
            await asyncio.sleep(0.05)  # what comes twice has come
            calls.clear()
            came.clear()
            await deed()
            await asyncio.wait_for(came.wait(), WITHIN)
            assert set(calls) == {"en" if number else "es"}


async def test_a_change_whose_caller_has_gone_is_heard_too(newswire: Newswire) -> None:
    heard_of = asyncio.Event()
    newswire.on_desk_change(lambda _: heard_of.set())
    async with newswire.tail():
        await asyncio.sleep(0.05)
        heard_of.clear()
        asked = asyncio.create_task(keep(newswire, EN, due_in=60))
        while not await newswire.upcoming(BOTH, 1) and not asked.done():
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait_for(heard_of.wait(), WITHIN)


# What was said of late


async def test_recent_events_come_newest_first_and_no_older_ones(clocked: Store) -> None:
    clock = Clock()
    wire = await clocked.open(clock=clock)
    assert await wire.recent("en", wire.now(), 10) == []
    await publish(wire, "Old")
    clock.now += 2 * MOMENT
    await wire.presence.report({})
    since = wire.now() - timedelta(seconds=MOMENT)
    events = [await publish(wire, f"Line {n}") for n in range(3)]
    events.append(await amended(wire, events[0].line.id, text="Snow"))
    await publish(wire, to=ES)
    assert await wire.recent("en", since, 10) == events[::-1]
    assert await wire.recent("en", since, 2) == events[:1:-1]


# What the newswire keeps of a draft


async def test_a_draft_of_every_kind_comes_back_as_it_was(newswire: Newswire) -> None:
    line: Line = (await publish(newswire, "Rain")).line
    channel: Channel = a_channel("en", approve=("flash",))
    moment = newswire.now()
    given: list[dict[str, Any]] = [
        {"new": checked(NewLine(text="Flash", urgency="flash", expires=None, direction="rtl"))},
        {"patch": checked(Patch(url=None, pinned=True)), "line": line},
        {"patch": checked(Patch(text="Snow", refile=True)), "line": line, "note_to_desk": "Slip"},
        {"patch": checked(Patch(status="canceled", note="Wrong")), "line": line},
        {"patch": checked(Patch(status="usable", expires_in=60)), "line": line},
    ]
    for each in given:
        draft = rules.submit(rules.write(channel, ADA, moment, **each), channel, ADA, moment)
        assert await newswire.keep_draft(draft) == draft
        assert await newswire.draft("en", draft.id) == draft
        returned = await newswire.change_draft(
            "en", draft.id, lambda kept: replace(rules.send_back(kept, BOB, moment, "Why?"), confirmed=("marker",))
        )
        assert await newswire.draft("en", draft.id) == returned
    assert Cursor.parse(line.id)
