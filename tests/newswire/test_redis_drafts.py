"""Redis: drafts that several nodes release, and what is in doubt when an answer is lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.newswire.drafting import ADA, a_lock, as_it_stands, keep, keep_change, now, settle, settle_in_time
from tests.newswire.on_redis import AR, CHANGE_WITHIN, CHANNELS, EN, ES, IN_TIME, Opened, assert_chain, history, publish
from tests.patience import WITHIN
from tests.redis_servers import AOF, Cluster, RedisServer, TcpProxy
from ticker import draft as rules
from ticker.draft import ENDED, LIVING, Draft, Edit, NotDue
from ticker.errors import Conflict, Locked, NewswireUnavailable
from ticker.line import NewLine, Patch
from ticker.newswire import IdempotencyKey, Settlement
from ticker.newswire.redis import RedisNewswire, publishing
from ticker.newswire.redis.asking import Script

pytestmark = pytest.mark.usefixtures("patience_with_redis")

ONCE = IdempotencyKey("ada:1", "fingerprint")


def noted(note: str) -> Callable[[Draft], Draft]:
    return lambda draft: rules.edit(draft, Edit(note_to_desk=note), EN, ADA, draft.updated)


def returned(draft: Draft) -> Draft:
    return rules.send_back(draft, ADA, draft.updated, "No")


def discarded(draft: Draft) -> Draft:
    return rules.discard(draft, ADA, draft.updated)


# Several nodes


async def test_three_nodes_that_settle_at_once_release_each_draft_once(server: RedisServer, opened: Opened) -> None:
    wires = [await opened(server.url, f"node{n}") for n in range(3)]
    channels = list(CHANNELS.values())
    drafts = [await keep(wires[0], channels[n % 3], f"Line {n}", due_in=-1) for n in range(30)]
    asked = [settle(wire, channels[n % 3], draft) for n, draft in enumerate(drafts) for wire in wires]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert Counter(type(result) for result in results) == {Settlement: 30, NotDue: 60}
    for channel in channels:
        events = await history(wires[0], channel.slug)
        assert_chain(events)
        assert len(events) == len({event.act.draft for event in events}) == 10
    assert await wires[1].upcoming(CHANNELS, 100) == []


async def test_nodes_that_follow_the_queue_release_what_is_due_first_first(server: RedisServer, opened: Opened) -> None:
    wires = [await opened(server.url, f"node{n}") for n in range(3)]
    began = wires[0].now() - timedelta(seconds=60)
    drafts = []
    for number in range(40):
        draft = rules.write(EN, ADA, began + timedelta(microseconds=number), new=NewLine(text=f"Line {number}"))
        due = began + timedelta(milliseconds=(number * 7) % 20)
        drafts.append(await wires[number % 3].keep_draft(rules.schedule(draft, EN, ADA, began, due)))

    async def release(wire: RedisNewswire) -> None:
        while due := await wire.upcoming(CHANNELS, 5):
            with contextlib.suppress(NotDue):
                await wire.settle(EN, due[0].draft, as_it_stands)

    await asyncio.gather(*(release(wire) for wire in wires))
    events = await history(wires[0])
    expected = sorted(drafts, key=lambda draft: (draft.publish_at, draft.created))
    assert [event.act.draft for event in events] == [draft.id for draft in expected]


async def test_a_change_on_one_node_is_heard_on_every_other(server: RedisServer, opened: Opened) -> None:
    wires = [await opened(server.url, f"node{n}") for n in range(2)]
    heard: asyncio.Queue[str] = asyncio.Queue()
    wires[1].on_desk_change(heard.put_nowait)
    async with wires[1].tail():
        for _ in CHANNELS:  # it says once of each that it may have changed
            await heard.get()
        assert heard.empty()
        draft = await keep(wires[0], EN, due_in=-1)
        assert await asyncio.wait_for(heard.get(), WITHIN) == "en"
        await wires[0].change_draft("en", draft.id, noted("Look"))
        assert await asyncio.wait_for(heard.get(), WITHIN) == "en"
        await wires[0].lock("es", a_lock())
        assert await asyncio.wait_for(heard.get(), WITHIN) == "es"
        await wires[0].unlock("es", a_lock("Another"))
        await wires[0].unlock("es", a_lock())
        assert await asyncio.wait_for(heard.get(), WITHIN) == "es"
        await settle(wires[0], EN, draft)
        assert await asyncio.wait_for(heard.get(), WITHIN) == "en"
        assert heard.empty()


async def test_what_changed_while_nobody_listened_is_heard_after_the_reconnect(
    server: RedisServer, opened: Opened
) -> None:
    other = await opened(server.url, "other")
    with TcpProxy(server.port) as proxy:
        wire = await opened(proxy.url)
        heard: list[str] = []
        wire.on_desk_change(heard.append)
        async with wire.tail() as tail:
            proxy.refuse()
            await keep(other, EN, due_in=60)
            heard.clear()
            with pytest.raises(NewswireUnavailable):
                await anext(tail)
        proxy.heal()
        assert heard == []
        async with wire.tail():
            assert set(heard) == set(CHANNELS)


async def test_a_node_that_hears_nothing_from_redis_hears_its_own_drafts(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url)
    heard: list[str] = []
    wire.on_desk_change(heard.append)
    draft = await keep(wire, EN, due_in=-1)
    assert heard == ["en"]
    await wire.change_draft("en", draft.id, noted("Look"))
    await wire.lock("en", a_lock())
    await wire.unlock("en", a_lock())
    await settle(wire, EN, draft)
    assert heard == ["en"] * 5


# An answer that is lost


class Lossy:
    """A newswire of which the next answers of a script are lost, though the server runs it."""

    def __init__(self, wire: RedisNewswire) -> None:
        self.wire = wire
        self.lost = 0
        self._topology = wire._topology
        self._send = self._topology._in_turn
        self._topology._in_turn = self._in_turn  # type: ignore[method-assign]
        self._shas: set[str] = set()

    def lose(self, script: str, count: int = 1) -> None:
        self._shas = {Script.named(script).sha}
        self.lost = count

    async def _in_turn(self, commands: list[Any]) -> list[Any]:
        answers = await self._send(commands)
        if self.lost and commands[0][0] == "EVALSHA" and commands[0][1] in self._shas:
            if isinstance(answers[0], Exception):
                return answers  # the server doesn't know it yet
            self.lost -= 1
            raise ConnectionError("the answer was lost")
        return answers


@pytest.fixture
async def lossy(server: RedisServer, opened: Opened) -> Lossy:
    wire = await opened(server.url)
    await settle(wire, EN, await keep(wire, EN, "First", due_in=-1))  # the server knows the scripts
    return Lossy(wire)


@pytest.mark.parametrize("once", [None, ONCE])
async def test_a_draft_is_kept_once_though_the_answer_was_lost(lossy: Lossy, once: IdempotencyKey | None) -> None:
    lossy.lose("keep_draft.lua", 3)
    draft = await keep(lossy.wire, EN, due_in=60, once=once)
    assert lossy.lost == 0
    assert await lossy.wire.draft("en", draft.id) == draft
    assert [each.id for each in (await lossy.wire.drafts("en", LIVING, 10)).drafts] == [draft.id]


async def test_a_change_is_made_once_though_the_answer_was_lost(lossy: Lossy) -> None:
    draft = await keep(lossy.wire, EN, due_in=60)
    lossy.lose("keep_draft.lua", 2)
    changed = await lossy.wire.change_draft("en", draft.id, lambda kept: noted(f"{kept.note_to_desk or ''} once")(kept))
    assert lossy.lost == 0
    assert (changed.note_to_desk, changed.revision) == (" once", draft.revision + 1)
    assert await lossy.wire.draft("en", draft.id) == changed


async def test_a_change_that_can_be_made_once_only_is_not_refused_for_a_lost_answer(lossy: Lossy) -> None:
    draft = await keep(lossy.wire, EN, due_in=60)
    lossy.lose("keep_draft.lua")
    sent_back = await lossy.wire.change_draft("en", draft.id, returned)
    assert sent_back.state == "open"
    assert [step.did for step in sent_back.history].count("returned") == 1


async def test_a_change_is_made_once_though_another_came_before_the_answer_was_missed(
    lossy: Lossy, server: RedisServer, opened: Opened
) -> None:
    other = await opened(server.url, "other")
    draft = await keep(lossy.wire, EN, due_in=60)
    lossy.lose("keep_draft.lua")
    calls = 0

    def appended(kept: Draft) -> Draft:
        nonlocal calls
        calls += 1
        return noted(f"{kept.note_to_desk or ''} once")(kept)

    interfering = asyncio.create_task(until_noted(other, draft))
    changed = await lossy.wire.change_draft("en", draft.id, appended)
    await interfering
    kept = await other.draft("en", draft.id)
    assert str(kept.note_to_desk).count("once") == 1
    assert str(changed.note_to_desk).count("once") == 1


async def until_noted(wire: RedisNewswire, draft: Draft) -> None:
    while not (await wire.draft("en", draft.id)).note_to_desk:
        pass
    await wire.change_draft("en", draft.id, lambda kept: noted(f"{kept.note_to_desk} and more")(kept))


@pytest.mark.parametrize("count", [1, 3])
async def test_a_node_says_that_it_has_released_a_draft_though_the_answer_was_lost(lossy: Lossy, count: int) -> None:
    for number in range(5):
        draft = await keep(lossy.wire, EN, f"Line {number}", due_in=-1)
        lossy.lose("publish.lua", count)
        settled = await settle(lossy.wire, EN, draft)
        assert lossy.lost < count
        assert settled.draft == await lossy.wire.draft("en", draft.id)
        assert settled.draft.state == "released"
        assert settled.outcome
        assert settled.outcome.event == (await history(lossy.wire))[-1]
        assert settled.outcome.event.act.draft == draft.id
    assert len(await history(lossy.wire)) == 6


async def test_a_change_of_a_line_is_released_once_though_the_answer_was_lost(lossy: Lossy) -> None:
    line = (await publish(lossy.wire)).line
    draft = await keep_change(lossy.wire, EN, line, text="Snow", due_in=-1)
    lossy.lose("publish.lua", 2)
    settled = await settle(lossy.wire, EN, draft)
    assert settled.draft == await lossy.wire.draft("en", draft.id)
    assert settled.outcome
    assert settled.outcome.line == await lossy.wire.line("en", line.id)
    assert settled.outcome.line.version == 2


@pytest.mark.parametrize("script", ["keep_draft.lua", "publish.lua"])
async def test_a_draft_published_at_once_is_so_though_the_answer_was_lost(lossy: Lossy, script: str) -> None:
    draft = await keep(lossy.wire, EN)
    lossy.lose(script)
    minute = timedelta(seconds=60)

    def publish_or_wait(kept: Draft, at: datetime) -> Draft:
        return rules.schedule(kept, EN, ADA, at, at if script == "publish.lua" else at + minute)

    settled = await lossy.wire.settle(EN, draft.id, publish_or_wait)
    assert lossy.lost == 0
    assert settled.draft == await lossy.wire.draft("en", draft.id)
    assert [step.did for step in settled.draft.history].count("scheduled") == 1
    assert (settled.outcome is not None) == (script == "publish.lua")


async def test_what_goes_out_without_a_line_is_told_though_the_answer_was_lost(lossy: Lossy) -> None:
    line = (await publish(lossy.wire)).line
    same = await keep_change(lossy.wire, EN, line, text="Rain", due_in=-1)
    lossy.lose("keep_draft.lua")
    settled = await settle(lossy.wire, EN, same)
    assert settled.outcome
    assert (settled.draft.state, settled.outcome.line, settled.outcome.event) == ("released", line, None)
    passed = await keep_change(lossy.wire, EN, line, text="Snow", due_in=-1)
    await lossy.wire.amend(EN, line.id, Patch(pinned=True), act=rules.act_of(passed))
    lossy.lose("keep_draft.lua")
    assert (await settle(lossy.wire, EN, passed)).draft.state == "conflict"


@pytest.mark.usefixtures("one_command_is_given_up_soon")
async def test_answers_that_a_connection_swallows_release_nothing_twice(server: RedisServer, opened: Opened) -> None:
    with TcpProxy(server.port) as proxy:
        wire, other = await opened(proxy.url), await opened(server.url, "other")
        await publish(wire, "First")
        drafts = [await keep(wire, channel, "Rain", due_in=-1) for channel in (EN, ES)]
        edited = await keep(wire, AR)
        proxy.stall(up=False, newcomers=False)
        settled, also, changed, kept = await asyncio.gather(
            settle(wire, EN, drafts[0]),
            settle(wire, ES, drafts[1]),
            wire.change_draft("ar", edited.id, noted("once")),
            keep(wire, AR, "New", due_in=60, once=ONCE),
        )
        assert {settled.draft.state, also.draft.state} == {"released"}
        assert settled.draft == await other.draft("en", drafts[0].id)
        assert changed == await other.draft("ar", edited.id)
        assert kept == await other.draft("ar", kept.id)
        assert [event.line.text for event in await history(other)] == ["First", "Rain"]
        assert len(await history(other, "es")) == 1
        proxy.heal()


async def test_connections_that_are_cut_again_and_again_release_each_draft_once(
    server: RedisServer, opened: Opened
) -> None:
    with TcpProxy(server.port) as proxy:
        wires = [await opened(proxy.url, "one"), await opened(proxy.url, "two")]
        other = await opened(server.url, "other")
        drafts = [await keep(other, EN, f"Line {n}", due_in=-1) for n in range(40)]
        done = asyncio.Event()

        async def cut() -> None:
            while not done.is_set():
                await asyncio.sleep(0.013)
                await asyncio.to_thread(proxy.cut)

        cutting = asyncio.create_task(cut())

        async def release(wire: RedisNewswire) -> int:
            released = 0
            for draft in drafts:
                with contextlib.suppress(NotDue):
                    settled = await settle(wire, EN, draft)
                    assert settled.draft.state == "released"
                    released += 1
            return released

        counts = await asyncio.gather(*(release(wire) for wire in wires))
        done.set()
        await cutting
        events = await history(other)
        assert_chain(events)
        assert [event.act.draft for event in events] == [draft.id for draft in drafts]
        assert sum(counts) == 40, "each node knows which ones it has released"


async def test_drafts_outlive_a_server_that_is_killed_and_started_again(tmp_path: Path, opened: Opened) -> None:
    with RedisServer(tmp_path / "redis", *AOF) as server:
        wires = [await opened(server.url, f"node{n}") for n in range(2)]
        drafts = [await keep(wires[0], EN, f"Line {n}", due_in=-1) for n in range(30)]
        done = asyncio.Event()

        def kill_and_start() -> None:
            server.kill()
            server.start()

        async def restart() -> None:
            for _ in range(3):
                await asyncio.sleep(0.05)
                await asyncio.to_thread(kill_and_start)
            done.set()

        async def release(wire: RedisNewswire) -> None:
            for draft in drafts:
                while True:
                    try:
                        await settle_in_time(wire, EN, draft)
                        break
                    except NewswireUnavailable:
                        continue

        await asyncio.gather(restart(), *(release(wire) for wire in wires))
        assert done.is_set()
        events = await history(wires[0])
        assert_chain(events)
        assert [event.act.draft for event in events] == [draft.id for draft in drafts]
        kept = await wires[0].drafts("en", ENDED, 100)
        assert {draft.line for draft in kept.drafts} == {event.line.id for event in events}


@pytest.mark.usefixtures("one_command_is_given_up_soon")
async def test_a_draft_that_waits_for_a_server_that_hangs_is_given_up_in_time(
    server: RedisServer, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = await opened(server.url)
    draft = await keep(wire, EN, due_in=-1)
    server.pause()
    with monkeypatch.context() as hasty:
        hasty.setattr(publishing, "ANSWER_WITHIN", CHANGE_WITHIN)
        async with asyncio.timeout(IN_TIME):
            for ask in (settle(wire, EN, draft), wire.change_draft("en", draft.id, noted("Late")), keep(wire, EN)):
                with pytest.raises(NewswireUnavailable):
                    await ask
    server.resume()
    assert (await settle(wire, EN, draft)).draft.state == "released"
    assert len(await history(wire)) == 1


# By the server's clock


@pytest.mark.parametrize("step", [-3.0, 3.0])
async def test_a_step_of_the_clock_releases_nothing_early_and_loses_nothing(
    server: RedisServer, opened: Opened, step: float
) -> None:
    """Each node learns of a step only when the server tells it the time."""
    wires = [await opened(server.url, f"node{n}") for n in range(2)]
    drafts = [await keep(wires[0], EN, f"Line {n}", due_in=0.5 + n / 10) for n in range(10)]
    stepped = asyncio.create_task(step_later(server, step))
    released_at: dict[str, float] = {}

    async def release(wire: RedisNewswire) -> None:
        for draft in drafts:
            if await settle_in_time(wire, EN, draft):
                released_at[draft.id] = server._time()

    async with asyncio.timeout(WITHIN):
        await asyncio.gather(*(release(wire) for wire in wires))
    await stepped
    events = await history(wires[0])
    assert_chain(events)
    assert [event.act.draft for event in events] == [draft.id for draft in drafts]
    for draft in drafts:
        assert draft.due
        assert released_at[draft.id] >= draft.due.timestamp()
    for event, draft in zip(events, drafts, strict=True):
        assert draft.due
        assert event.line.published >= draft.due


async def step_later(server: RedisServer, seconds: float) -> None:
    await asyncio.sleep(0.7)
    await asyncio.to_thread(server.step, seconds)


async def test_a_node_whose_idea_of_the_clock_is_ahead_asks_again_a_few_times_and_no_more(
    server: RedisServer, opened: Opened
) -> None:
    wire = await opened(server.url)
    draft = await keep(wire, EN, due_in=60)
    late = await keep(wire, EN, "Late", due_in=EN.late_after * -1 + 60)
    line = (await publish(wire)).line
    same = await keep_change(wire, EN, line, text="Rain", due_in=60)
    for each in (draft, same):
        wire._clock.offset += 120
        before = commands(server)
        with pytest.raises(NotDue):
            await settle(wire, EN, each)
        assert commands(server) - before < 20
        assert await wire.draft("en", each.id) == each
        assert abs(wire.now().timestamp() - server._time()) < 1, "it goes by the server's clock now"
    wire._clock.offset += 120
    assert (await settle(wire, EN, late)).draft.state == "released", "it isn't missed, by the server's clock"
    wire._clock.offset += 120
    settled = await wire.settle(EN, draft.id, now(EN))
    assert settled.outcome
    assert settled.outcome.line.published.timestamp() < server._time() + 1
    assert len(await history(wire)) == 3


def commands(server: RedisServer) -> int:
    return int(server.do("INFO", "stats")["total_commands_processed"])


@pytest.mark.parametrize("step", [-60, 60])
async def test_whoever_waits_for_a_draft_learns_of_a_step_of_the_clock_by_looking(
    server: RedisServer, opened: Opened, step: int
) -> None:
    wire = await opened(server.url)
    draft = await keep(wire, EN, due_in=30)
    server.step(step)
    await wire.upcoming(CHANNELS, 10)
    assert draft.due
    left = (draft.due - wire.now()).total_seconds()
    assert abs(left - 30 + step) < 20


async def test_nothing_is_early_by_the_servers_clock_even_if_the_node_is_a_little_ahead(
    server: RedisServer, opened: Opened
) -> None:
    wire = await opened(server.url)
    for number in range(5):
        draft = await keep(wire, EN, f"Line {number}", due_in=0.3)
        wire._clock.offset += 0.5
        await settle_in_time(wire, EN, draft)
        assert draft.due
        assert server._time() >= draft.due.timestamp()


async def test_whoever_took_a_draft_for_due_too_early_is_told_to_look_again(
    server: RedisServer, opened: Opened
) -> None:
    wire = await opened(server.url)
    draft = await keep(wire, EN, due_in=60)
    wire._clock.offset += 120
    heard: list[str] = []
    wire.on_desk_change(heard.append)
    with pytest.raises(NotDue):
        await settle(wire, EN, draft)
    assert heard == ["en"]


async def test_a_recall_in_the_hold_and_a_release_are_one_or_the_other_over_nodes(
    server: RedisServer, opened: Opened
) -> None:
    wires = [await opened(server.url, f"node{n}") for n in range(3)]
    for number in range(20):
        draft = await keep(wires[0], EN, f"Line {number}", due_in=0.02)
        released, recalled = await asyncio.gather(
            settle_in_time(wires[1], EN, draft), recall(wires[2], draft, 0.015 + number / 2_000)
        )
        assert (released is None) == recalled
    assert_chain(await history(wires[0]))


async def recall(wire: RedisNewswire, draft: Draft, after: float) -> bool:
    await asyncio.sleep(after)
    try:
        await wire.change_draft("en", draft.id, discarded)
    except Conflict:
        return False
    return True


async def test_a_lock_on_one_node_holds_up_every_other_from_then_on(server: RedisServer, opened: Opened) -> None:
    wires = [await opened(server.url, f"node{n}") for n in range(3)]
    drafts = [await keep(wires[0], EN, f"Line {n}", due_in=-1) for n in range(30)]

    async def lock() -> str | None:
        await asyncio.sleep(0.01)
        await wires[0].lock("en", a_lock())
        return (await wires[0].heads())["en"]

    asked = [settle(wires[n % 3], EN, draft) for n, draft in enumerate(drafts)]
    head, *results = await asyncio.gather(lock(), *asked, return_exceptions=True)
    assert {type(result) for result in results} <= {Settlement, Locked}
    assert (await wires[1].heads())["en"] == head
    await wires[2].unlock("en", a_lock())
    for draft, result in zip(drafts, results, strict=True):
        if isinstance(result, Locked):
            assert (await settle(wires[1], EN, draft)).draft.state == "released"
    assert len(await history(wires[0])) == 30


# Kept apart


async def test_drafts_leave_nothing_behind_but_what_is_forgotten_soon(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url)
    draft = await keep(wire, EN, due_in=60)
    await wire.change_draft("en", draft.id, discarded)
    await settle(wire, EN, await keep(wire, EN, due_in=-1))
    await wire.settle(EN, (await keep(wire, EN)).id, now(EN))
    for name in server.do("KEYS", "ticker:{en}:once:*"):
        assert 0 < server.do("TTL", name) <= 120
    assert server.do("ZCARD", "ticker:{en}:due") == 0
    assert server.do("ZCARD", "ticker:{en}:drafts:released") == 2
    for state in LIVING:
        assert server.do("ZCARD", f"ticker:{{en}}:drafts:{state}") == 0
    assert server.do("ZCARD", "ticker:{en}:drafts:discarded") == 1


async def test_what_is_due_first_is_found_at_once_among_a_thousand(server: RedisServer, opened: Opened) -> None:
    wire = await opened(server.url)
    for _ in range(20):
        await asyncio.gather(*(keep(wire, EN, due_in=3_600) for _ in range(50)))
    began = time.monotonic()
    assert len(await wire.upcoming(CHANNELS, 200)) == 200
    assert len((await wire.drafts("en", ("submitted", "open"), 100)).drafts) == 0
    assert time.monotonic() - began < 1


# A cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


async def test_channels_on_several_shards_have_their_drafts_there_and_one_queue(
    cluster: Cluster, opened: Opened
) -> None:
    cluster.until_healthy()
    prefix = f"test-{uuid4().hex}"
    owners = {cluster.owner(f"{prefix}:{{{slug}}}:head").port for slug in CHANNELS}
    assert len(owners) > 1, "the channels of this test should be spread"
    wires = [await opened(f"{cluster.url}?prefix={prefix}", f"node{n}") for n in range(2)]
    heard: asyncio.Queue[str] = asyncio.Queue()
    wires[1].on_desk_change(heard.put_nowait)
    channels = list(CHANNELS.values())
    async with wires[1].tail():
        for _ in CHANNELS:
            await heard.get()
        drafts = [await keep(wires[0], channels[n % 3], f"Line {n}", due_in=n - 10) for n in range(6)]
        for draft in drafts:
            assert await asyncio.wait_for(heard.get(), WITHIN) == draft.channel
    due = await wires[1].upcoming(CHANNELS, 10)
    assert [each.draft for each in due] == [draft.id for draft in drafts]
    for each in due:
        results = await asyncio.gather(
            *(wire.settle(CHANNELS[each.channel], each.draft, as_it_stands) for wire in wires), return_exceptions=True
        )
        assert Counter(type(result) for result in results) == {Settlement: 1, NotDue: 1}
    await wires[0].lock("es", a_lock())
    assert set(await wires[1].locks()) == {"es"}
    again = await keep(wires[1], ES, due_in=-1, once=ONCE)
    with pytest.raises(Locked):
        await settle(wires[0], ES, again)
    assert await wires[0].remembered("es", ONCE) == again
    await wires[0].trim()
