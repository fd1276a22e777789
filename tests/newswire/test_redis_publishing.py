"""Redis: what several nodes publish at once, and what is in doubt."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from pathlib import Path

import pytest

from tests.acting import act
from tests.newswire.on_redis import (
    AR,
    CHANGE_WITHIN,
    CHANNELS,
    EN,
    ES,
    IN_TIME,
    Opened,
    assert_chain,
    history,
    publish,
)
from tests.patience import WITHIN
from tests.redis_servers import RedisServer, TcpProxy
from ticker.channel import HOUR
from ticker.errors import Invalid, KeyReused, NewswireUnavailable
from ticker.line import Cursor, NewLine, Patch, begin, checked
from ticker.newswire import IdempotencyKey, Outcome
from ticker.newswire.redis import RedisNewswire, idempotency, publishing
from ticker.newswire.redis.publishing import Proposal

pytestmark = pytest.mark.usefixtures("patience_with_redis")


async def test_a_server_that_has_forgotten_the_scripts_is_told_them_again(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url)
    for number in range(3):
        await publish(wire, f"Line {number}")
        server.do("SCRIPT FLUSH")
    assert len((await wire.snapshot(EN)).lines) == 3
    assert_chain(await history(wire))


async def test_lines_from_several_nodes_at_once_make_one_chain(server: RedisServer, opened: Opened) -> None:
    wires = [await opened(server.url, f"node{n}") for n in range(3)]
    async with contextlib.AsyncExitStack() as stack:
        tails = [await stack.enter_async_context(wire.tail()) for wire in wires]
        outcomes = await asyncio.gather(*(publish(wires[n % 3], f"Line {n}") for n in range(90)))
        events = await history(wires[0])
        assert_chain(events)
        assert {event.cursor for event in events} == {outcome.line.id for outcome in outcomes}
        assert len(events) == 90
        for tail in tails:
            assert [await asyncio.wait_for(anext(tail), WITHIN) for _ in events] == events


async def test_one_request_sent_to_every_node_at_once_is_published_once(server: RedisServer, opened: Opened) -> None:
    wires = [await opened(server.url, f"node{n}") for n in range(3)]
    once = IdempotencyKey("ada:1", "fingerprint")
    outcomes = await asyncio.gather(*(publish(wires[n % 3], once=once) for n in range(12)))
    assert len({outcome.line.id for outcome in outcomes}) == 1
    assert [outcome.replayed for outcome in outcomes].count(False) == 1
    assert len(await history(wires[0])) == 1


async def test_a_change_that_changed_nothing_is_remembered_too(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url)
    line = (await publish(wire, "Rain")).line
    once = IdempotencyKey("ada:1", "fingerprint")
    assert await wire.amend(EN, line.id, Patch(text="Rain"), act=act(), once=once) == Outcome(line, None)
    await wire.amend(EN, line.id, Patch(text="Snow"), act=act("Bob"))
    again = await wire.amend(EN, line.id, Patch(text="Rain"), act=act(), once=once)
    assert again == Outcome(line, None, replayed=True)
    assert (await wire.line("en", line.id)).text == "Snow"
    with pytest.raises(KeyReused):
        await wire.amend(EN, line.id, Patch(text="Hail"), act=act(), once=IdempotencyKey("ada:1", "another"))


async def test_a_request_that_comes_again_when_its_line_has_expired_is_not_refused(
    server: RedisServer, opened: Opened
) -> None:
    wire = await opened(server.url)
    expires = (await publish(wire, to=AR, expires_in=60)).line.expires
    once = IdempotencyKey("ada:1", "fingerprint")
    first = await publish(wire, expires=expires, once=once)
    server.step(HOUR)
    await wire.presence.report({})
    with pytest.raises(Invalid):
        await publish(wire, expires=expires)
    assert await publish(wire, expires=expires, once=once) == Outcome(first.line, None, replayed=True)


async def test_a_request_is_remembered_for_a_day_however_often_it_comes(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url)
    await publish(wire, once=IdempotencyKey("ada:1", "fingerprint"))
    key = "ticker:{en}:once:ada:1"
    server.do("EXPIRE", key, 100)
    assert (await publish(wire, once=IdempotencyKey("ada:1", "fingerprint"))).replayed
    assert server.do("TTL", key) <= 100


async def test_a_claim_whose_node_died_before_it_published_holds_nobody_up(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url)
    once = IdempotencyKey("ada:1", "to en")
    assert await wire._publishing.idempotency.claim("en", once, 0) == 1  # and here it died
    await publish(wire, to=ES, once=IdempotencyKey("ada:1", "to es"))
    with pytest.raises(idempotency.Fenced):  # had it only slept, it would find that it is too late
        await wire._publishing.attempt(EN, a_change, idempotency.OutcomeKey("en", "its-nonce", once), 1)
    with pytest.raises(KeyReused):
        await publish(wire, once=once)
    assert (len(await history(wire)), len(await history(wire, "es"))) == (0, 1)


async def test_a_node_that_died_between_fence_and_claim_leaves_the_key_usable(
    server: RedisServer, opened: Opened
) -> None:
    wire = await opened(server.url)
    once = IdempotencyKey("ada:1", "to en")
    claim = await wire._publishing.idempotency.claim("en", once, 0)
    await wire._asking.run(
        wire._publishing.idempotency.fence, [wire._asking.key("en", "once:ada:1")], [claim, idempotency.NONCE_FOR]
    )
    first = await publish(wire, once=once)
    assert await publish(wire, once=once) == Outcome(first.line, None, replayed=True)
    line = first.line
    claim = await wire._publishing.idempotency.claim("en", IdempotencyKey("ada:2", "amend"), 0)
    await wire._asking.run(
        wire._publishing.idempotency.fence, [wire._asking.key("en", "once:ada:2")], [claim, idempotency.NONCE_FOR]
    )
    nothing = await wire.amend(EN, line.id, Patch(text="Rain"), act=act(), once=IdempotencyKey("ada:2", "amend"))
    assert nothing == Outcome(line, None)


async def fence_off(wire: RedisNewswire, key: str, claim: int) -> None:
    fence = wire._publishing.idempotency.fence
    await wire._asking.run(fence, [wire._asking.key("en", key)], [claim, idempotency.NONCE_FOR])


async def a_change(cursor: Cursor) -> Proposal:
    return Proposal(begin(checked(NewLine(text="Too late")), EN, cursor), True, act())


async def test_one_key_on_every_channel_and_node_at_once_is_used_once(server: RedisServer, opened: Opened) -> None:
    wires = [await opened(server.url, f"node{n}") for n in range(3)]
    for number in range(10):
        tries = [
            publish(wire, to=channel, once=IdempotencyKey(f"ada:{number}", channel.slug))
            for wire in wires
            for channel in CHANNELS.values()
        ]
        results = await asyncio.gather(*tries, return_exceptions=True)
        outcomes = [result for result in results if isinstance(result, Outcome)]
        assert [outcome.replayed for outcome in outcomes].count(False) == 1, results
        assert {type(result) for result in results} == {Outcome, KeyReused}, results
    assert sum([len(await history(wires[0], slug)) for slug in CHANNELS]) == 10


# What is in doubt


@pytest.mark.usefixtures("one_command_is_given_up_soon")
async def test_an_answer_lost_on_the_wire_does_not_publish_twice(server: RedisServer, opened: Opened) -> None:
    with TcpProxy(server.port) as proxy:
        wire, other = await opened(proxy.url), await opened(server.url, "two")
        await publish(wire, "First")
        proxy.stall(up=False, newcomers=False)
        outcomes = await asyncio.gather(publish(wire, "Lost"), publish(wire, "After it", to=ES))
        assert [outcome.replayed for outcome in outcomes] == [False, False]
        assert [event.line.text for event in await history(other)] == ["First", "Lost"]
        assert outcomes[0].event == (await history(other))[1]
        proxy.heal()
        assert len(await history(wire)) == 2


@pytest.mark.usefixtures("one_command_is_given_up_soon")
async def test_changes_that_wait_for_a_server_that_hangs_are_all_refused_in_time(
    server: RedisServer, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what they asked for doesn't go out later, when the server reads what has waited in its socket."""
    wire = await opened(server.url)
    await publish(wire, "First")
    server.pause()
    began = time.monotonic()
    with monkeypatch.context() as hasty:
        hasty.setattr(publishing, "ANSWER_WITHIN", CHANGE_WITHIN)
        async with asyncio.timeout(IN_TIME):
            tried = await asyncio.gather(*(publish(wire, f"Late {n}") for n in range(20)), return_exceptions=True)
    assert {type(error) for error in tried} == {NewswireUnavailable}
    await asyncio.sleep(max(0, 6.5 - (time.monotonic() - began)))
    server.resume()
    await publish(wire, "Second")
    assert [event.line.text for event in await history(wire)] == ["First", "Second"]


@pytest.mark.usefixtures("one_command_is_given_up_soon")
async def test_a_link_too_slow_to_follow_the_clock_over_is_refused_in_time(
    server: RedisServer, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TcpProxy(server.port) as proxy:
        wire = await opened(proxy.url)
        proxy.slow(0.7)
        with monkeypatch.context() as hasty, contextlib.suppress(NewswireUnavailable):
            hasty.setattr(publishing, "ANSWER_WITHIN", CHANGE_WITHIN)
            async with asyncio.timeout(IN_TIME):
                await publish(wire)
        proxy.heal()
        await publish(wire)


# The scripts


def test_the_scripts_say_what_their_keys_and_arguments_are() -> None:
    for script in Path(publishing.__file__).parent.rglob("*.lua"):
        text = script.read_text()
        assert text.startswith("-- "), script
        assert "KEYS" in text.split("\nlocal")[0], script


def test_the_check_does_all_that_a_newswire_does() -> None:
    """A user who may not do one of it is told so at the start, not by the first draft."""
    redis = Path(publishing.__file__).parent
    check = (redis / "scripts" / "check.lua").read_text()
    scripts = "".join(script.read_text() for script in redis.rglob("*.lua") if script.name != "check.lua")
    rooms = "".join(room.read_text() for room in redis.glob("*.py"))
    asked = set(re.findall(r"redis\.call\('([A-Z]+)'", scripts))
    asked |= set(re.findall(r'(?:\bdo|do_and_wait|= )\(?\s*"([A-Z]{3,})",', rooms))
    assert {"XREVRANGE", "ZREVRANGEBYSCORE", "ZRANGEBYSCORE", "HGETALL", "TIME"} <= asked | {"TIME"}
    assert asked - set(re.findall(r"redis\.call\('([A-Z]+)'", check)) == set()
