"""The tail, as every newswire promises it."""

from __future__ import annotations

import asyncio

import pytest

from tests.newswire.wires import (
    EN,
    ES,
    amended,
    assert_chain,
    heard,
    history,
    publish,
)
from ticker.line import Cursor
from ticker.newswire import Newswire

pytestmark = pytest.mark.usefixtures("patience_with_redis")


async def test_two_hundred_lines_at_once_are_announced_once_each_in_the_order_of_history(
    newswire: Newswire,
) -> None:
    async with newswire.tail() as tail, newswire.tail() as other:
        made = await asyncio.gather(*(publish(newswire, f"Line {n}") for n in range(200)))
        announced = await heard(tail, 200)
        assert await heard(other, 200) == announced
        assert_chain(announced)
        assert {event.line.text for event in announced} == {f"Line {n}" for n in range(200)}
        assert sorted(made, key=lambda event: Cursor.parse(event.cursor)) == announced
        assert await history(newswire, limit=7) == announced
        last = await publish(newswire, to=ES)
        assert await heard(tail, 1) == [last]  # and nothing twice


async def test_a_tail_begins_where_it_is_asked_for(newswire: Newswire) -> None:
    await publish(newswire)
    async with newswire.tail() as tail:
        after = [await publish(newswire), await publish(newswire, to=ES)]
        after.append(await amended(newswire, after[0].line.id, status="canceled"))
        assert await heard(tail, 3) == after


async def test_what_is_announced_can_be_read_already(newswire: Newswire) -> None:
    async with newswire.tail() as tail:
        publishing = asyncio.create_task(publish(newswire))
        [event] = await heard(tail, 1)
        assert await newswire.snapshot(EN) == (event.cursor, [event.line])
        assert await publishing == event
