"""The newswire on Redis: what its contract doesn't say, because a file has no scripts, no network and no peers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from tests.patience import WITHIN
from tests.redis_servers import RedisServer, TcpProxy, until
from ticker.channel import DAY, HOUR, Channel
from ticker.errors import Invalid, KeyReused, Misconfigured, NewswireUnavailable, NotFound
from ticker.line import Cursor, Draft, Event, Line, Patch, begin, checked
from ticker.newswire import ONCE_FOR, Once, Receipt
from ticker.newswire.redis import RedisNewswire, idempotency, publishing
from ticker.newswire.redis.topology import POOL, connection
from ticker.newswire.stores import Presence

EN, ES, AR = (
    Channel(slug=slug, title=slug, language=slug, direction="ltr", label="Breaking", expires_in=None)
    for slug in ("en", "es", "ar")
)
CHANNELS = {channel.slug: channel for channel in (EN, ES, AR)}
CHANGE_WITHIN, COMMAND_WITHIN = publishing.ANSWER_WITHIN, connection.ANSWER_WITHIN
IN_TIME = 10 * CHANGE_WITHIN  # seconds; for a busy machine, and half of what twenty in turn would take

pytestmark = pytest.mark.usefixtures("patience_with_redis")


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), clock=True) as server:
        yield server


@pytest.fixture
def server(own_server: RedisServer) -> RedisServer:
    """An empty server that is awake, and whose clock is right."""
    own_server.resume()
    own_server.step(0)
    own_server.do("FLUSHALL")
    return own_server


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., Awaitable[RedisNewswire]]]:
    """Opens newswires that are closed with the test."""
    wires: list[RedisNewswire] = []

    async def open_one(url: str, node: str = "one", channels: dict[str, Channel] = CHANNELS) -> RedisNewswire:
        async with asyncio.timeout(WITHIN):
            while True:
                wire = RedisNewswire(url, node)
                # Where the machine was too busy to answer in time.
                with contextlib.suppress(Misconfigured, NewswireUnavailable):
                    await wire.open(channels)
                    wires.append(wire)
                    return wire

    yield open_one
    for wire in wires:
        await wire.close()


Opened = Callable[..., Awaitable[RedisNewswire]]


@pytest.fixture
def one_command_is_given_up_soon(patience_with_redis: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the product does it, where an answer gets lost."""
    monkeypatch.setattr(connection, "ANSWER_WITHIN", COMMAND_WITHIN)


async def publish(wire: RedisNewswire, text: str = "Rain", *, to: Channel = EN, **given: Any) -> Receipt:
    once = given.pop("once", None)
    return await wire.publish(to, checked(Draft(text=text, **given)), by="Ada", once=once)


async def history(wire: RedisNewswire, channel: str = "en") -> list[Event]:
    """Asked for again where the machine was too busy to answer in time."""
    async with asyncio.timeout(WITHIN):
        while True:
            with contextlib.suppress(NewswireUnavailable):
                page = await wire.events(channel, None, 10_000)
                assert not page.more
                return page.events


def assert_chain(events: list[Event]) -> None:
    assert [event.prev for event in events] == [None, *(event.cursor for event in events[:-1])]
    cursors = [Cursor.parse(event.cursor) for event in events]
    assert cursors == sorted(set(cursors))


# The script


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
        receipts = await asyncio.gather(*(publish(wires[n % 3], f"Line {n}") for n in range(90)))
        events = await history(wires[0])
        assert_chain(events)
        assert {event.cursor for event in events} == {receipt.line.id for receipt in receipts}
        assert len(events) == 90
        for tail in tails:
            assert [await asyncio.wait_for(anext(tail), WITHIN) for _ in events] == events


async def test_one_request_sent_to_every_node_at_once_is_published_once(server: RedisServer, opened: Opened) -> None:
    wires = [await opened(server.url, f"node{n}") for n in range(3)]
    once = Once("ada:1", "fingerprint")
    receipts = await asyncio.gather(*(publish(wires[n % 3], once=once) for n in range(12)))
    assert len({receipt.line.id for receipt in receipts}) == 1
    assert [receipt.replayed for receipt in receipts].count(False) == 1
    assert len(await history(wires[0])) == 1


async def test_a_change_that_changed_nothing_is_remembered_too(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url)
    line = (await publish(wire, "Rain")).line
    once = Once("ada:1", "fingerprint")
    assert await wire.amend(EN, line.id, Patch(text="Rain"), by="Ada", once=once) == Receipt(line, None)
    await wire.amend(EN, line.id, Patch(text="Snow"), by="Bob")
    again = await wire.amend(EN, line.id, Patch(text="Rain"), by="Ada", once=once)
    assert again == Receipt(line, None, replayed=True)
    assert (await wire.line("en", line.id)).text == "Snow"
    with pytest.raises(KeyReused):
        await wire.amend(EN, line.id, Patch(text="Hail"), by="Ada", once=Once("ada:1", "another"))


async def test_a_request_that_comes_again_when_its_line_has_expired_is_not_refused(
    server: RedisServer, opened: Opened
) -> None:
    wire = await opened(server.url)
    expires = (await publish(wire, to=AR, expires_in=60)).line.expires
    once = Once("ada:1", "fingerprint")
    first = await publish(wire, expires=expires, once=once)
    server.step(HOUR)
    await wire.presence.report({})
    with pytest.raises(Invalid):
        await publish(wire, expires=expires)
    assert await publish(wire, expires=expires, once=once) == Receipt(first.line, None, replayed=True)


async def test_a_request_is_remembered_for_a_day_however_often_it_comes(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url)
    await publish(wire, once=Once("ada:1", "fingerprint"))
    key = "ticker:{en}:once:ada:1"
    server.do("EXPIRE", key, 100)
    assert (await publish(wire, once=Once("ada:1", "fingerprint"))).replayed
    assert server.do("TTL", key) <= 100


async def test_a_claim_whose_node_died_before_it_published_holds_nobody_up(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url)
    once = Once("ada:1", "to en")
    assert await wire._publishing.idempotency.claim("en", once, 0) == 1  # and here it died
    await publish(wire, to=ES, once=Once("ada:1", "to es"))
    with pytest.raises(idempotency.Fenced):  # had it only slept, it would find that it is too late
        await wire._publishing.attempt(EN, a_change, "Ada", idempotency.ReceiptKey("en", "its-nonce", once), 1)
    with pytest.raises(KeyReused):
        await publish(wire, once=once)
    assert (len(await history(wire)), len(await history(wire, "es"))) == (0, 1)


async def test_a_node_that_died_between_fence_and_claim_leaves_the_key_usable(
    server: RedisServer, opened: Opened
) -> None:
    wire = await opened(server.url)
    once = Once("ada:1", "to en")
    claim = await wire._publishing.idempotency.claim("en", once, 0)
    await wire._asking.run(
        wire._publishing.idempotency.fence, [wire._asking.key("en", "once:ada:1")], [claim, idempotency.NONCE_FOR]
    )
    first = await publish(wire, once=once)
    assert await publish(wire, once=once) == Receipt(first.line, None, replayed=True)
    line = first.line
    claim = await wire._publishing.idempotency.claim("en", Once("ada:2", "amend"), 0)
    await wire._asking.run(
        wire._publishing.idempotency.fence, [wire._asking.key("en", "once:ada:2")], [claim, idempotency.NONCE_FOR]
    )
    nothing = await wire.amend(EN, line.id, Patch(text="Rain"), by="Ada", once=Once("ada:2", "amend"))
    assert nothing == Receipt(line, None)


async def fence_off(wire: RedisNewswire, key: str, claim: int) -> None:
    fence = wire._publishing.idempotency.fence
    await wire._asking.run(fence, [wire._asking.key("en", key)], [claim, idempotency.NONCE_FOR])


async def a_change(cursor: Cursor) -> tuple[Line, bool]:
    return begin(checked(Draft(text="Too late")), EN, cursor), True


async def test_one_key_on_every_channel_and_node_at_once_is_used_once(server: RedisServer, opened: Opened) -> None:
    wires = [await opened(server.url, f"node{n}") for n in range(3)]
    for number in range(10):
        tries = [
            publish(wire, to=channel, once=Once(f"ada:{number}", channel.slug))
            for wire in wires
            for channel in CHANNELS.values()
        ]
        results = await asyncio.gather(*tries, return_exceptions=True)
        receipts = [result for result in results if isinstance(result, Receipt)]
        assert [receipt.replayed for receipt in receipts].count(False) == 1, results
        assert {type(result) for result in results} == {Receipt, KeyReused}, results
    assert sum([len(await history(wires[0], slug)) for slug in CHANNELS]) == 10


# Connections


async def test_a_node_listens_on_one_connection_that_says_which_node_it_is(server: RedisServer, opened: Opened) -> None:
    wires = [await opened(server.url, name) for name in ("paris-1", "paris-2")]
    async with wires[0].tail(), wires[1].tail():
        await asyncio.gather(*(publish(wire, to=channel) for wire in wires for channel in CHANNELS.values()))
        # Redis lists a connection that has been closed until it looks at it next.
        each = str(2 * len(CHANNELS))
        until(lambda: listening(server) == [("ticker-paris-1", each), ("ticker-paris-2", each)])
        until(lambda: {client["name"] for client in server.clients()} == {"ticker-paris-1", "ticker-paris-2"})
    until(lambda: not listening(server))


def listening(server: RedisServer) -> list[tuple[str, str]]:
    """The connections that are subscribed: their names, and to how many channels."""
    return sorted((client["name"], client["sub"]) for client in server.clients(flags="P"))


async def test_many_at_once_wait_for_a_connection_instead_of_failing(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url, "busy")
    line = (await publish(wire)).line
    lines = await asyncio.gather(*(wire.line("en", line.id) for _ in range(500)))
    assert lines == [line] * 500
    assert 1 < len(server.clients(name="ticker-busy")) <= POOL


@pytest.mark.usefixtures("one_command_is_given_up_soon")
async def test_a_probe_without_anybody_listening_goes_there_and_back(server: RedisServer, opened: Opened) -> None:
    with TcpProxy(server.port) as proxy:
        wire = await opened(proxy.url)
        async with asyncio.timeout(WITHIN):
            while not await answers(wire):
                pass
        until(lambda: not listening(server))
        proxy.stall()
        with pytest.raises(NewswireUnavailable):
            await wire.probe()
        proxy.heal()


async def answers(wire: RedisNewswire) -> bool:
    with contextlib.suppress(NewswireUnavailable):
        await wire.probe()
        return True
    return False


async def test_a_node_whose_name_ends_like_a_channel_hears_itself(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url, "live")
    async with wire.tail() as tail:
        event = (await publish(wire)).event
        assert await asyncio.wait_for(anext(tail), WITHIN) == event


async def test_who_is_canceled_just_as_the_answer_comes_is_canceled(server: RedisServer) -> None:
    """Or a relay would wait for ever for the end of what follows Redis no more."""
    came = asyncio.get_running_loop().create_future()
    asking = asyncio.create_task(RedisNewswire(server.url, "one")._asking.asked(asyncio.wait_for(came, WITHIN)))
    for _ in range(5):
        await asyncio.sleep(0)
    came.set_result("an answer")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


def test_a_connection_that_has_just_been_closed_is_no_answer_and_no_more(server: RedisServer) -> None:
    """On the loop that nodes run on, which says so in a way of its own."""

    async def ask() -> dict[str, str | None]:
        wire = RedisNewswire(server.url, "one")
        await wire.open(CHANNELS)
        for idle in wire._topology._client.connection_pool._available_connections:  # type: ignore[attr-defined]
            idle._writer.transport.abort()
        with pytest.raises(NewswireUnavailable):
            await wire.heads()
        heads = await wire.heads()
        await wire.close()
        return heads

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(ask()) == dict.fromkeys(CHANNELS)


# What is in doubt


@pytest.mark.usefixtures("one_command_is_given_up_soon")
async def test_an_answer_lost_on_the_wire_does_not_publish_twice(server: RedisServer, opened: Opened) -> None:
    with TcpProxy(server.port) as proxy:
        wire, other = await opened(proxy.url), await opened(server.url, "two")
        await publish(wire, "First")
        proxy.stall(up=False, newcomers=False)
        receipts = await asyncio.gather(publish(wire, "Lost"), publish(wire, "After it", to=ES))
        assert [receipt.replayed for receipt in receipts] == [False, False]
        assert [event.line.text for event in await history(other)] == ["First", "Lost"]
        assert receipts[0].event == (await history(other))[1]
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


# The clock


async def test_cursors_grow_and_follow_the_servers_clock_when_it_steps(server: RedisServer, opened: Opened) -> None:
    wires = [await opened(server.url, name) for name in ("one", "two")]
    events = []
    for step in (0, 90, 90, -3_600, 0, 7_200, 7_200.5):
        server.step(step)
        for wire in wires:
            receipt = await publish(wire)
            assert receipt.event
            events.append(receipt.event)
            ahead = Cursor.parse(receipt.line.id).ms / 1000 - time.time()
            expected = max(step, 90 if events[2:] and step < 7_000 else step)
            assert abs(ahead - expected) < 30, (step, ahead)
    assert_chain(await history(wires[0]))
    assert await history(wires[0]) == events


async def test_presence_is_the_sum_over_nodes_that_report_also_after_the_clock_has_stepped(
    server: RedisServer, opened: Opened
) -> None:
    one, two = await opened(server.url, "one"), await opened(server.url, "two")
    await one.presence.report({"en": 7, "es": 1})
    await two.presence.report({"en": 5, "es": 0})
    assert await one.presence.of("en") == await two.presence.of("en") == Presence(12, 2)
    server.step(DAY)
    await one.presence.report({"en": 7, "es": 1})
    assert await one.presence.of("en") == Presence(7, 1)
    await two.presence.report({"en": 6, "es": 0})
    assert await one.presence.of("en") == await two.presence.of("en") == Presence(13, 2)
    await two.close()
    async with asyncio.timeout(WITHIN):  # who leaves says so, and doesn't wait long for an answer
        while await one.presence.of("en") != Presence(7, 1):
            await asyncio.sleep(0.01)


# History


async def test_the_board_does_not_depend_on_what_was_trimmed(
    server: RedisServer, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "HISTORY_MAX", 100)
    wire = await opened(server.url)
    stands = (await publish(wire, "Stands", pinned=True)).line
    for number in range(20):
        await asyncio.gather(*(publish(wire, f"Line {number}-{n}") for n in range(25)))
    events = await history(wire)
    assert 100 <= len(events) < 350
    snapshot = await wire.snapshot(EN)
    assert stands in snapshot.lines
    assert len(snapshot.lines) == 501
    assert snapshot.cursor == events[-1].cursor
    held = (await wire.amend(EN, stands.id, Patch(status="withheld"), by="Bob")).line
    assert held in (await wire.snapshot(EN)).lines


async def test_all_keys_of_a_channel_are_in_one_slot_and_everything_else_expires(
    server: RedisServer, opened: Opened
) -> None:
    wire = await opened(server.url)
    line = (await publish(wire, once=Once("ada:1", "f"))).line
    await wire.amend(EN, line.id, Patch(text="Snow"), by="Bob")
    await wire.presence.report({"en": 1})
    keys = set(server.do("KEYS", "*"))
    assert server.do("TTL", "ticker:{keys}:once:ada:1") >= ONCE_FOR - WITHIN
    keys.remove("ticker:{keys}:once:ada:1")
    keys -= {f"ticker:{{{slug}}}:{part}" for slug in ("es", "ar") for part in ("histories", "schema")}
    keys.remove("ticker:{keys}:schema-of-keys")
    assert all(key.startswith("ticker:{en}:") for key in keys)
    assert {key.split(":")[2] for key in keys if server.do("TTL", key) == -1} == {
        *("head", "events", "lines", "index", "schema")
    }


async def test_a_prefix_keeps_two_newswires_on_one_server_apart(server: RedisServer, opened: Opened) -> None:
    one, two = await opened(f"{server.url}?prefix=one"), await opened(f"{server.url}?prefix=two")
    async with two.tail() as tail:
        await publish(one, "One's")
        event = (await publish(two, "Two's")).event
        assert await asyncio.wait_for(anext(tail), WITHIN) == event
    assert [event.line.text for event in await history(two)] == ["Two's"]


async def test_a_newswire_opens_over_a_server_that_is_full(server: RedisServer, opened: Opened) -> None:
    """A node that restarts while there is no room must still serve its readers."""
    wire = await opened(server.url)
    line = (await publish(wire)).line
    server.do("CONFIG SET", "maxmemory", 1)
    try:
        again = await opened(server.url, "again")
        assert (await again.snapshot(EN)).lines == [line]
        async with again.tail():
            await until_refused(again, "no memory left")
    finally:
        server.do("CONFIG SET", "maxmemory", 0)
    assert (await publish(again)).event


async def until_refused(wire: RedisNewswire, why: str) -> None:
    """Wait until the probe says so."""
    async with asyncio.timeout(WITHIN):
        while True:
            try:
                await wire.probe()
            except NewswireUnavailable as error:
                if why in error.detail:
                    return
            await asyncio.sleep(0.05)


# Several nodes, each with a ticker.toml of its own


def with_history(seconds: int) -> dict[str, Channel]:
    return {slug: msgspec.structs.replace(channel, history_for=seconds) for slug, channel in CHANNELS.items()}


async def test_a_node_with_a_shorter_history_deletes_nothing_that_another_keeps(
    server: RedisServer, opened: Opened
) -> None:
    one = await opened(server.url, "long", with_history(10 * DAY))
    first = await publish(one, "First", pinned=True, expires_in=HOUR)
    await one.amend(EN, first.line.id, Patch(text="Second"), by="Ada")
    for days in (2, 4):
        server.step(days * DAY)
        await one.presence.report({})  # as it does every two seconds; here two days have passed between two of them
        other = await opened(server.url, f"short-{days}", with_history(HOUR))
        await other.trim()
        for number in range(300):  # whole nodes of the stream
            await publish(other, f"Line {days} {number}", to=with_history(HOUR)["en"], expires_in=HOUR)
        await other.trim()
        assert (await history(one))[0].line == first.line
        assert [event.line.text for event in await other.versions("en", first.line.id)] == ["First", "Second"]
        assert (await other.line("en", first.line.id)).text == "Second"


async def test_a_node_that_is_gone_for_good_keeps_nothing_any_more(server: RedisServer, opened: Opened) -> None:
    one = await opened(server.url, "long", with_history(10 * DAY))
    first = await publish(one, "First", pinned=True, expires_in=HOUR)
    await one.close()
    server.step(DAY - HOUR)
    other = await opened(server.url, "short", with_history(HOUR))
    await other.trim()
    assert await history(other)
    server.step(DAY + HOUR)
    await other.presence.report({})
    await other.trim()
    assert await history(other) == []
    with pytest.raises(NotFound):
        await other.line("en", first.line.id)
    assert server.do("HKEYS", "ticker:{en}:histories") == ["short"]


async def test_a_node_that_shows_retractions_for_less_long_forgets_none_of_anothers(
    server: RedisServer, opened: Opened
) -> None:
    showing = {slug: msgspec.structs.replace(channel, tombstones_for=9 * DAY) for slug, channel in CHANNELS.items()}
    one = await opened(
        server.url, "long", {slug: msgspec.structs.replace(c, history_for=DAY) for slug, c in showing.items()}
    )
    gone = (await publish(one, "Wrong")).line
    await one.amend(EN, gone.id, Patch(status="canceled"), by="Ada")
    server.step(3 * DAY)
    await one.presence.report({})
    other = await opened(server.url, "short", with_history(HOUR))
    await other.trim()
    assert [line.id for line in (await one.snapshot(EN)).lines] == [gone.id]


# The newswire's clock


async def test_every_node_goes_by_the_clock_of_redis(
    server: RedisServer, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    wires = [await opened(server.url, name) for name in ("one", "two")]
    for step in (0, 3 * HOUR, -3 * HOUR):
        server.step(step)
        for wire in wires:
            await wire.presence.report({})
            assert abs(wire.now().timestamp() - time.time() - step) < WITHIN / 2
            said = wire.clock_is_off()
            assert (said is None) == (step == 0), said
            if said:
                assert f"s {'behind' if step > 0 else 'ahead of'} Redis'" in said
    server.step(0)
    for wire in wires:
        await wire.presence.report({})
        await wire.presence.report({})
    told = [record.message for record in caplog.records if "clock" in record.message]
    assert len(told) == 2 * len(wires), told  # once when it begins, once when it is over
    assert sum("agrees" in line for line in told) == len(wires)


async def test_a_slow_answer_is_no_step_of_the_clock(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url)
    before = wire._clock.offset
    now = wire._clock.milliseconds()
    wire._clock.follow(now - 3_000, time.monotonic() - 5)  # said three seconds ago, by a server asked five seconds ago
    assert wire._clock.offset == before
    wire._clock.follow(now + 60_000, time.monotonic() - 5)
    assert wire._clock.offset - before == pytest.approx(60, abs=1)


def test_the_scripts_say_what_their_keys_and_arguments_are() -> None:
    for script in Path(publishing.__file__).parent.rglob("*.lua"):
        text = script.read_text()
        assert text.startswith("-- "), script
        assert "KEYS" in text.split("\nlocal")[0], script
