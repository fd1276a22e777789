"""What becomes of a draft that is due when its line was changed meanwhile: the table of docs/desk.md."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from tests.acting import act
from tests.matrix import begins_withheld, cases
from tests.newswire.wires import EN, amend, history, publish
from ticker import draft as rules
from ticker.channel import Channel
from ticker.draft import Draft, NotDue
from ticker.identity import Key
from ticker.line import NewLine, Patch, checked
from ticker.newswire import Newswire

ANN = Key(id="ann", name="Ann", role="chief", channels=(), hash="", created=datetime.now(UTC))
BEN = replace(ANN, id="ben", name="Ben")
LATE = replace(EN, late_after=0)
PATCHES = {"correct": Patch(text="Snow"), "cancel": Patch(status="canceled"), "release": Patch(status="usable")}
CHANGES = {
    "corrected": Patch(text="Hail"),
    "withheld": Patch(status="withheld", note="Being checked"),
    "canceled": Patch(status="canceled"),
    "reinstated": Patch(status="usable"),
    "refiled": Patch(text="Rainn", refile=True),
    "pinned": Patch(pinned=True),
}


@pytest.mark.parametrize(("kind", "meanwhile", "stage", "outcome"), cases("due", "due too late"))
async def test_a_draft_of_a_line_that_was_changed_meanwhile(
    newswire: Newswire, kind: str, meanwhile: str, stage: str, outcome: str
) -> None:
    expires = newswire.now() + timedelta(milliseconds=300) if meanwhile == "expired" else None
    line = (await publish(newswire, expires=expires)).line
    if begins_withheld(kind, meanwhile):
        line = (await amend(newswire, line.id, status="withheld")).line
    now = newswire.now()
    new = checked(NewLine(text="Sunshine")) if kind == "publish" else None
    draft = rules.write(
        EN,
        ANN,
        now,
        new=new,
        patch=PATCHES.get(kind),
        line=None if new else line,
        publish_at=rules.due_at(None, 0.001, now),
    )
    await newswire.keep_draft(rules.submit(draft, EN, ANN, now))
    if meanwhile == "withheld again":  # as the desk does it
        now = newswire.now()
        await newswire.change_draft("en", draft.id, lambda kept: rules.hold_back(kept, BEN, now))
    elif meanwhile != "expired":
        await newswire.amend(EN, line.id, CHANGES[meanwhile], act=act())
    before = await history(newswire)
    channel = LATE if stage == "due too late" else EN
    if kind == "release" and meanwhile == "withheld again":
        with pytest.raises(NotDue):
            await settle_when(newswire, draft, expires, channel)
        settled = await newswire.draft("en", draft.id)
    else:
        settled = await settle_when(newswire, draft, expires, channel)
    assert settled.state == outcome
    assert await newswire.draft("en", draft.id) == settled
    after = await history(newswire)
    assert len(after) == len(before) + (outcome == "released")
    if outcome == "released":
        assert after[-1].act.draft == draft.id
        assert settled.line == after[-1].line.id


async def settle_when(newswire: Newswire, draft: Draft, expired: datetime | None, channel: Channel) -> Draft:
    """Once it is due, and the line has expired if it is to."""
    assert draft.publish_at
    ready = max(draft.publish_at, expired or draft.publish_at) + timedelta(milliseconds=5)
    while newswire.now() <= ready:
        await asyncio.sleep(0.005)
    return (await newswire.settle(channel, draft.id, lambda kept, now: kept)).draft
