"""Drafts that are due go out, and what can't go out holds up nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.newswire.drafting import a_lock, keep
from tests.newswire.wires import BOTH, EN, ES, MOMENT, START, Clock, Store, history, until
from ticker.background import releasing
from ticker.background.releasing import Releasing
from ticker.newswire import Due, Newswire


@asynccontextmanager
async def running(wire: Newswire) -> AsyncIterator[None]:
    task = asyncio.create_task(Releasing(wire, BOTH).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def texts(wire: Newswire, channel: str) -> list[str]:
    return [event.line.text or "" for event in await history(wire, channel)]


async def state(wire: Newswire, draft: str, channel: str = "en") -> str:
    return (await wire.draft(channel, draft)).state


async def test_a_locked_channel_holds_up_no_other_and_goes_on_when_it_is_unlocked(newswire: Newswire) -> None:
    await newswire.lock("en", a_lock())
    waiting = [await keep(newswire, EN, text, due_in=0) for text in ("First", "Second")]
    await keep(newswire, ES, "Lluvia", due_in=0)
    async with running(newswire):

        async def spanish_is_out() -> bool:
            return await texts(newswire, "es") == ["Lluvia"]

        async def english_is_out() -> bool:
            return await texts(newswire, "en") == ["First", "Second"]

        await until(spanish_is_out)
        assert [await state(newswire, draft.id) for draft in waiting] == ["scheduled", "scheduled"]
        await newswire.unlock("en", (await newswire.locks())["en"])
        await until(english_is_out)


async def test_more_than_it_looks_at_together_goes_out_in_order(
    newswire: Newswire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releasing, "AT_ONCE", 2)
    expected = [f"Line {number}" for number in range(5)]
    for text in expected:
        await keep(newswire, EN, text, due_in=0)
    async with running(newswire):

        async def all_are_out() -> bool:
            return await texts(newswire, "en") == expected

        await until(all_are_out)


async def test_what_is_missed_is_said_in_the_log(clocked: Store, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(START)
    wire = await clocked.open(clock=clock)
    draft = await keep(wire, EN, due_in=60)
    clock.now += 60 + EN.late_after + MOMENT
    async with running(wire):

        async def is_missed() -> bool:
            return await state(wire, draft.id) == "missed"

        await until(is_missed)
    assert f"The draft {draft.id} of en was due at " in caplog.text
    assert await texts(wire, "en") == []


async def test_what_is_gone_or_not_due_after_all_is_no_trouble(newswire: Newswire) -> None:
    """Another node was first, or an editor was."""
    service = Releasing(newswire, BOTH)
    later = await keep(newswire, EN, due_in=3_600)
    assert await service._release(Due("en", later.id, 0)) is None
    assert await service._release(Due("en", "d_gone", 0)) is True
    assert await state(newswire, later.id) == "scheduled"
