"""A request that comes twice, as every newswire promises it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from tests.acting import act
from tests.newswire.wires import (
    EN,
    ES,
    MOMENT,
    START,
    Clock,
    Store,
    amended,
    heard,
    history,
    publish,
)
from ticker.errors import (
    Invalid,
    KeyReused,
)
from ticker.line import NewLine, Patch, checked
from ticker.newswire import IDEMPOTENCY_FOR, IdempotencyKey, Newswire, Outcome

pytestmark = pytest.mark.usefixtures("patience_with_redis")


async def test_a_request_that_comes_again_gets_the_same_receipt_and_publishes_nothing(newswire: Newswire) -> None:
    once = IdempotencyKey("ada:1", "fingerprint")
    first = await publish(newswire, once=once)
    await amended(newswire, first.line.id, text="Snow")
    async with newswire.tail() as tail:
        again = await newswire.publish(EN, checked(NewLine(text="Rain")), act=act(), once=once)
        assert again == Outcome(first.line, None, replayed=True)
        other = await publish(newswire, once=IdempotencyKey("ada:2", "fingerprint"))
        assert await heard(tail, 1) == [other]
    assert len(await history(newswire)) == 3


async def test_a_key_with_another_request_is_refused(newswire: Newswire) -> None:
    first = await publish(newswire, once=IdempotencyKey("ada:1", "fingerprint"))
    with pytest.raises(KeyReused):
        await publish(newswire, once=IdempotencyKey("ada:1", "another"))
    with pytest.raises(KeyReused):
        await newswire.amend(EN, first.line.id, Patch(text="Snow"), act=act(), once=IdempotencyKey("ada:1", "another"))


async def test_an_amendment_that_comes_again_is_made_once(newswire: Newswire) -> None:
    first = await publish(newswire)
    once, patch = IdempotencyKey("ada:1", "fingerprint"), Patch(pinned=True)
    outcome = await newswire.amend(EN, first.line.id, patch, act=act(), if_match=first.line.etag, once=once)
    again = await newswire.amend(EN, first.line.id, patch, act=act(), if_match=first.line.etag, once=once)
    assert again == Outcome(outcome.line, None, replayed=True)


async def test_the_same_request_many_times_at_once_publishes_one_line(newswire: Newswire) -> None:
    once, new_line = IdempotencyKey("ada:1", "fingerprint"), checked(NewLine(text="Rain"))
    outcomes = await asyncio.gather(*(newswire.publish(EN, new_line, act=act(), once=once) for _ in range(20)))
    assert len({outcome.line.id for outcome in outcomes}) == 1
    assert [outcome.replayed for outcome in outcomes].count(False) == 1
    assert len(await history(newswire)) == 1


async def test_a_key_that_was_used_on_one_channel_is_refused_on_another(newswire: Newswire) -> None:
    """The fingerprint covers the path, so the same words on another channel are another request."""
    line = (await publish(newswire, to=ES)).line
    first = await publish(newswire, once=IdempotencyKey("ada:1", "to en"))
    with pytest.raises(KeyReused):
        await publish(newswire, to=ES, once=IdempotencyKey("ada:1", "to es"))
    with pytest.raises(KeyReused):  # also where nothing would change, and where there is nothing to change
        await newswire.amend(ES, line.id, Patch(text="Rain"), act=act(), once=IdempotencyKey("ada:1", "to es"))
    with pytest.raises(KeyReused):
        await newswire.amend(ES, "1-0", Patch(text="Snow"), act=act(), once=IdempotencyKey("ada:1", "to es"))
    again = await newswire.publish(EN, checked(NewLine(text="Rain")), act=act(), once=IdempotencyKey("ada:1", "to en"))
    assert again == Outcome(first.line, None, replayed=True)
    nothing = await newswire.amend(ES, line.id, Patch(text="Rain"), act=act(), once=IdempotencyKey("ada:2", "to es"))
    assert nothing == Outcome(line, None)
    with pytest.raises(KeyReused):
        await publish(newswire, once=IdempotencyKey("ada:2", "to en"))
    assert len(await history(newswire, "es")) == 1


async def test_one_key_on_both_channels_at_once_is_one_request_on_one_of_them(newswire: Newswire) -> None:
    for number in range(20):
        tries = [
            publish(newswire, f"Rain {number}", to=channel, once=IdempotencyKey(f"ada:{number}", channel.slug))
            for channel in (EN, ES, EN, ES)
        ]
        results = await asyncio.gather(*tries, return_exceptions=True)
        refused = [isinstance(result, KeyReused) for result in results]
        assert refused in ([True, False] * 2, [False, True] * 2), results
    assert len(await history(newswire)) + len(await history(newswire, "es")) == 20


async def test_a_key_that_was_refused_on_one_channel_is_free_on_another_and_back(newswire: Newswire) -> None:
    for channel in (EN, ES, EN, ES):
        with pytest.raises(Invalid):
            await publish(
                newswire, to=channel, expires=datetime(2001, 1, 1, tzinfo=UTC), once=IdempotencyKey("a:1", channel.slug)
            )
    kept = await publish(newswire, to=EN, once=IdempotencyKey("a:1", "en"))
    assert (await newswire.snapshot(EN)).lines == [kept.line]
    with pytest.raises(KeyReused):
        await publish(newswire, to=ES, once=IdempotencyKey("a:1", "es"))


async def test_a_refused_request_leaves_its_key_free(newswire: Newswire) -> None:
    once = IdempotencyKey("ada:1", "fingerprint")
    with pytest.raises(Invalid):
        await publish(newswire, expires=datetime(2001, 1, 1, tzinfo=UTC), once=once)
    assert (await publish(newswire, once=IdempotencyKey("ada:1", "mended"))).prev is None


async def test_a_key_is_remembered_for_a_day_also_across_a_restart(clocked: Store) -> None:
    once, new_line = IdempotencyKey("ada:1", "fingerprint"), checked(NewLine(text="Rain"))
    first = await publish(await clocked.open(clock=Clock()), once=once)
    wire = await clocked.open(clock=Clock(START + IDEMPOTENCY_FOR - MOMENT))
    assert await wire.publish(EN, new_line, act=act(), once=once) == Outcome(first.line, None, replayed=True)
    wire = await clocked.open(clock=Clock(START + IDEMPOTENCY_FOR + MOMENT))
    assert not (await wire.publish(EN, new_line, act=act(), once=once)).replayed
