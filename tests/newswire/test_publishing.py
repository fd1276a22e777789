"""Publishing and amending, as every newswire promises it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.newswire.wires import (
    EN,
    ES,
    amend,
    amended,
    assert_chain,
    heard,
    history,
    publish,
)
from ticker.errors import (
    Conflict,
    Invalid,
    KeyReused,
    Malformed,
    NotFound,
    Stale,
    TickerError,
)
from ticker.line import Cursor
from ticker.newswire import IdempotencyKey, Newswire, Outcome

pytestmark = pytest.mark.usefixtures("patience_with_redis")


async def test_a_published_line_is_on_the_board_in_the_history_and_under_its_id(newswire: Newswire) -> None:
    event = await publish(newswire, "Rain", urgency="flash", source="AP")
    line = event.line
    assert (line.id, line.text, line.source, line.version) == (event.cursor, "Rain", "AP", 1)
    assert (event.channel, event.prev, event.act.by.name) == ("en", None, "Ada")
    assert await newswire.line("en", line.id) == line
    assert await newswire.snapshot(EN) == (event.cursor, [line])
    assert await newswire.versions("en", line.id) == [event]
    assert await newswire.events("en", None, 10) == ([event], {}, False)


async def test_a_line_has_the_time_of_its_cursor(newswire: Newswire) -> None:
    event = await publish(newswire)
    assert event.line.published == Cursor.parse(event.cursor).time
    # Redis's clock is known as exactly as its answers are quick.
    assert abs(datetime.now(UTC) - event.line.published) < timedelta(minutes=1)


async def test_an_amended_line_keeps_its_id_and_every_version(newswire: Newswire) -> None:
    first = await publish(newswire, "Rain")
    second = await amended(newswire, first.line.id, text="Snow", note="Colder")
    third = await amended(newswire, first.line.id, status="withheld")
    assert [event.line.id for event in (second, third)] == [first.cursor] * 2
    assert await newswire.line("en", first.line.id) == third.line
    versions = await newswire.versions("en", first.line.id)
    assert versions == [first, second, third]
    assert [(event.line.text, event.line.version, event.act.by.name) for event in versions] == [
        ("Rain", 1, "Ada"),
        ("Snow", 2, "Bob"),
        ("Snow", 3, "Bob"),
    ]


async def test_each_channel_has_a_chain_of_its_own(newswire: Newswire) -> None:
    here, there = await publish(newswire, to=EN), await publish(newswire, "Lluvia", to=ES)
    here_too = await amended(newswire, here.line.id, text="Snow")
    assert_chain([here, here_too])
    assert there.prev is None
    assert await history(newswire, "es") == [there]
    assert (await newswire.snapshot(ES)).lines == [there.line]
    # Ids are a channel's own: two channels may give the same one in the same millisecond.
    assert (await newswire.line("es", there.line.id)).text == "Lluvia"
    assert (await newswire.line("en", here.line.id)).text == "Snow"


async def test_what_was_never_published_is_not_found(newswire: Newswire) -> None:
    await publish(newswire)
    assert await newswire.snapshot(ES) == (None, [])
    assert await newswire.events("es", None, 10) == ([], {}, False)
    for read in (newswire.line("en", "1-0"), newswire.versions("en", "1-0"), amend(newswire, "1-0", text="Snow")):
        with pytest.raises(NotFound, match="1-0"):
            await read


REFUSALS: dict[type[TickerError], Callable[[Newswire, str], Awaitable[object]]] = {
    Invalid: lambda wire, gone: publish(wire, expires=datetime(2001, 1, 1, tzinfo=UTC)),
    Conflict: lambda wire, gone: amend(wire, gone, text="Snow"),
    Stale: lambda wire, gone: amend(wire, gone, status="canceled", if_match='"1-1"'),
    NotFound: lambda wire, gone: amend(wire, gone, of=ES, text="Snow"),
    Malformed: lambda wire, gone: amend(wire, "the-first", text="Snow"),
    KeyReused: lambda wire, gone: publish(wire, once=IdempotencyKey("k", "another request")),
}


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: error.__name__)
async def test_a_refused_change_is_neither_kept_nor_announced(newswire: Newswire, error: type[TickerError]) -> None:
    gone = await publish(newswire, once=IdempotencyKey("k", "a request"))
    await amended(newswire, gone.line.id, status="canceled")
    before = await newswire.snapshot(EN), await history(newswire)
    async with newswire.tail() as tail:
        with pytest.raises(error):
            await REFUSALS[error](newswire, gone.line.id)
        assert (await newswire.snapshot(EN), await history(newswire)) == before
        after = await publish(newswire)
        assert await heard(tail, 1) == [after]
        assert after.prev == before[0].cursor


async def test_a_change_that_changes_nothing_is_no_event(newswire: Newswire) -> None:
    first = await publish(newswire, "Rain")
    async with newswire.tail() as tail:
        assert await amend(newswire, first.line.id, text="Rain") == Outcome(first.line, None)
        after = await publish(newswire)
        assert await heard(tail, 1) == [after]
    assert_chain([first, after])


async def test_only_one_of_many_editors_changes_the_version_that_all_have_read(newswire: Newswire) -> None:
    line = (await publish(newswire)).line
    changes = [amend(newswire, line.id, text=f"Snow {n}", if_match=line.etag) for n in range(20)]
    results = await asyncio.gather(*changes, return_exceptions=True)
    won = [result for result in results if isinstance(result, Outcome)]
    assert len(won) == 1
    assert [type(result) for result in results if result is not won[0]] == [Stale] * 19
    assert await newswire.line("en", line.id) == won[0].line
