"""From a newswire on disk to the boards and the hub: gaps are repaired, boards are refilled, and readiness is reported
correctly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acting import act
from tests.patience import WITHIN
from tests.readers import Fold, numbers
from ticker.channel import Channel
from ticker.errors import NewswireUnavailable
from ticker.fanout import relay as relay_module
from ticker.fanout import relayed as relayed_module
from ticker.fanout.calls import Calls
from ticker.fanout.frames import Encoding
from ticker.fanout.relay import Relay
from ticker.line import Event, Line, NewLine, Patch, checked
from ticker.newswire import Page, Snapshot
from ticker.newswire.sqlite import SqliteNewswire

CHANNELS = {
    slug: Channel(slug=slug, title=slug, language="en", direction="ltr", label="Breaking", max_lines=10)
    for slug in ("en", "ar")
}


class Wire(SqliteNewswire):
    """The newswire on disk, whose way to this node can be disturbed: as a network does to one that is elsewhere."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.lost: set[str] = set()  # words, or the note, of what is kept and whose announcement gets lost
        self.away = False
        self.tried = 0
        self.before_snapshot: list[str] = []  # lines that are published just before a board is read

    @contextlib.asynccontextmanager
    async def tail(self) -> AsyncIterator[AsyncIterator[Event]]:
        self.tried += 1
        async with super().tail() as events:

            async def what_comes_through() -> AsyncIterator[Event]:
                async for event in events:
                    if self.away:
                        raise NewswireUnavailable("The newswire went away.")
                    words = event.line.text if event.line.status == "usable" else None
                    if not self.lost & {words, event.line.note}:
                        yield event

            yield what_comes_through()

    async def snapshot(self, channel: Channel) -> Snapshot:
        if self.away:
            raise NewswireUnavailable("The newswire is away.")
        while self.before_snapshot and channel.slug == "en":
            await self.put(self.before_snapshot.pop(0))
        return await super().snapshot(channel)

    async def events(self, channel: str, after: str | None, limit: int) -> Page:
        if self.away:
            raise NewswireUnavailable("The newswire is away.")
        return await super().events(channel, after, limit)

    async def heads(self) -> dict[str, str | None]:
        if self.away:
            raise NewswireUnavailable("The newswire is away.")
        return await super().heads()

    async def put(self, text: str, channel: str = "en", **fields: Any) -> Event:
        outcome = await self.publish(CHANNELS[channel], checked(NewLine(text=text, **fields)), act=act("test"))
        assert outcome.event
        return outcome.event

    async def roll_back(self, channel: str, event: Event) -> None:
        """What a restored back-up does: this event was the last, even if others were acknowledged since."""
        ms, n = numbers(event.cursor)

        def forget(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM event WHERE channel = ? AND (ms, n) > (?, ?)", (channel, ms, n))
            db.execute("DELETE FROM line WHERE channel = ? AND (ms, n) > (?, ?)", (channel, ms, n))
            db.execute("UPDATE channel SET ms = ?, n = ? WHERE slug = ?", (ms, n, channel))

        await self._transactions.write(forget)

    async def change(self, line: Line, **fields: Any) -> Event:
        outcome = await self.amend(CHANNELS[line.channel], line.id, checked(Patch(**fields)), act=act("test"))
        assert outcome.event
        return outcome.event


class Listener:
    """A reader in memory, which folds what it is sent as the contract says."""

    encoding: Encoding = "stream"
    handle = None
    room = 0

    def __init__(self, relay: Relay, *channels: str) -> None:
        self.channels = channels
        self.frames: list[dict[str, Any]] = []
        self.folds = {slug: Fold() for slug in channels}
        self._relay = relay
        self._came = asyncio.Event()
        relay.hub.join(self, [relay.greeting(slug, ()).stream for slug in channels])

    def write(self, data: bytes) -> None:
        for event in data.decode().split("\n\n")[:-1]:
            frame = json.loads(event.partition("data: ")[2])
            self.frames.append(frame)
            self.folds[frame["channel"]].take(frame)
        self._came.set()

    def buffered(self) -> int:
        return 0

    def answered(self) -> bool:
        return True

    def close(self, code: int, reason: str) -> None:
        raise AssertionError("nobody closes readers here")

    def abort(self) -> None:
        raise AssertionError("nobody drops readers here")

    @property
    def kinds(self) -> list[str]:
        return [frame["type"] for frame in self.frames]

    def texts(self, channel: str = "en") -> list[str]:
        return [line.get("text", str(line["status"])) for line in self.folds[channel].lines]

    def greeted_with(self, *texts: str) -> bool:
        """Whether these stood first on the board that it was greeted with."""
        return [line.get("text") for line in self.frames[0]["lines"]][: len(texts)] == list(texts)

    async def until(self, number: int) -> None:
        """Wait for so many frames."""
        async with asyncio.timeout(WITHIN):
            while len(self.frames) < number:
                self._came.clear()
                await self._came.wait()


async def told(relay: Relay, event: Event) -> None:
    """Wait until every reader has been sent the event."""
    assert await relay.arrived(event.channel, event.cursor, WITHIN)
    for _ in range(3):  # turns of the loop: a pass begins in the next, and this is a small audience
        await asyncio.sleep(0)


async def agree(listener: Listener, relay: Relay) -> None:
    """Wait until the reader shows what the node does. It may take its second: a newcomer's board may be that old."""
    deadline = time.monotonic() + relayed_module.GREETING_FOR + WITHIN
    while listener.texts() != on_board(relay):
        assert time.monotonic() < deadline, (listener.texts(), on_board(relay))
        await asyncio.sleep(0.01)


def on_board(relay: Relay, channel: str = "en") -> list[Any]:
    return [line.text if line.status == "usable" else line.status for line in relay.board(channel).lines]


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    wire = Wire(tmp_path / "wire.db")
    await wire.open(CHANNELS)
    yield wire
    await wire.close()


@contextlib.asynccontextmanager
async def running(wire: Wire) -> AsyncIterator[Relay]:
    relay = Relay(wire, CHANNELS, Calls())
    task = asyncio.create_task(relay.run())
    try:
        await asyncio.wait_for(relay.until_ready(), WITHIN)
        yield relay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def relay(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:
    """One that learns from what comes alone: it doesn't look by itself, not even where the disk is slow."""
    monkeypatch.setattr(relay_module, "COMPARE_EVERY", 3_600.0)
    async with running(wire) as relay:
        yield relay


async def ten_and_one(wire: Wire) -> list[Event]:
    """The board is full, and an eleventh line waits behind it."""
    return [await wire.put(f"line {number}") for number in range(11)]


# The way of a line


async def test_every_change_reaches_readers_as_it_was_kept(wire: Wire, relay: Relay) -> None:
    listener = Listener(relay, "en")
    first = await wire.put("Ferries are suspended")
    changes = [
        first,
        await wire.put("Trams are back"),
        await wire.change(first.line, text="Ferries are suspended from 18:00"),
        await wire.change(first.line, status="withheld"),
        await wire.change(first.line, status="usable"),
        await wire.change(first.line, status="canceled"),
    ]
    await listener.until(7)
    assert listener.kinds == ["board"] + ["line"] * 6
    assert [frame["cursor"] for frame in listener.frames[1:]] == [event.cursor for event in changes]
    assert [frame["prev"] for frame in listener.frames[1:]] == [event.prev for event in changes]
    assert listener.texts() == on_board(relay) == ["Trams are back", "canceled"]


async def test_channels_do_not_mix(wire: Wire, relay: Relay) -> None:
    listener = Listener(relay, "ar")
    await wire.put("English alone", "en")
    event = await wire.put("Arabic alone", "ar")
    await listener.until(2)
    assert listener.frames[1]["cursor"] == event.cursor
    assert on_board(relay, "en") == ["English alone"]


async def test_what_was_kept_before_the_start_stands_on_the_first_board(wire: Wire) -> None:
    await wire.put("From yesterday's node")
    async with running(wire) as relay:
        assert Listener(relay, "en").texts() == ["From yesterday's node"]


async def test_a_storm_of_newcomers_is_served_from_one_framed_board(
    wire: Wire, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert relayed_module.GREETING_FOR <= 1  # seconds; a board that is served says what time it is
    monkeypatch.setattr(relayed_module, "GREETING_FOR", 60.0)
    event = await wire.put("Everyone comes at once")
    await told(relay, event)
    held = relay.board_frame("en")
    assert all(relay.board_frame("en") is held for _ in range(100))
    event = await wire.put("And then there is news")
    await told(relay, event)
    assert relay.board_frame("en") is not held


# Gaps


async def test_events_that_got_lost_are_told_before_the_next_one(wire: Wire, relay: Relay) -> None:
    listener = Listener(relay, "en", "ar")
    wire.lost = {"two", "three"}
    for text in ("one", "two", "three", "four", "five"):
        last = await wire.put(text)
    await told(relay, last)
    assert listener.kinds == ["board", "board"] + ["line"] * 5
    assert listener.texts() == on_board(relay) == ["five", "four", "three", "two", "one"]


async def test_a_last_event_that_got_lost_is_missed_before_long(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    assert relay_module.COMPARE_EVERY <= 5  # seconds
    monkeypatch.setattr(relay_module, "COMPARE_EVERY", 0.02)
    await wire.put("one")
    async with running(wire) as relay:
        listener = Listener(relay, "en")
        wire.lost = {"nothing comes after this one"}
        last = await wire.put("nothing comes after this one")
        await told(relay, last)
        assert listener.kinds == ["board", "line"]
        assert listener.texts() == ["nothing comes after this one", "one"]


async def test_words_that_were_withdrawn_meanwhile_are_not_told_in_catching_up(wire: Wire, relay: Relay) -> None:
    first = await wire.put("right")
    await told(relay, first)
    listener = Listener(relay, "en")
    wire.lost = {"wrong, and withdrawn at once"}
    lost = await wire.put("wrong, and withdrawn at once")
    last = await wire.change(lost.line, status="canceled")
    await told(relay, last)
    assert "wrong" not in json.dumps(listener.frames)
    assert listener.texts() == on_board(relay) == ["canceled", "right"]


async def test_the_reasons_of_a_line_that_was_killed_meanwhile_are_not_told_in_catching_up(
    wire: Wire, relay: Relay
) -> None:
    first = await wire.put("right")
    await told(relay, first)
    listener = Listener(relay, "en")
    wire.lost = {"another", "Names somebody"}
    await wire.put("another")
    held = await wire.change(first.line, status="withheld", note="Names somebody")
    last = await wire.change(held.line, status="canceled", note="Wrong")
    await told(relay, last)
    assert "Names somebody" not in json.dumps(listener.frames)
    assert listener.texts() == on_board(relay) == ["another", "canceled"]


async def test_after_a_long_gap_readers_get_one_board(
    wire: Wire, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "CATCH_UP_MAX", 5)
    first = await wire.put("before the gap")
    await told(relay, first)
    listener = Listener(relay, "en")
    wire.lost = {f"line {number}" for number in range(12)}
    for number in range(13):
        last = await wire.put(f"line {number}")
    await told(relay, last)
    assert listener.kinds[-1] == "board"
    assert listener.kinds.count("line") <= 5
    assert listener.texts() == on_board(relay)
    assert listener.folds["en"].cursor == last.cursor


async def test_after_a_rollback_readers_show_what_the_newswire_still_has(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "COMPARE_EVERY", 0.02)
    kept = await wire.put("in the back-up")
    await wire.put("not in the back-up")
    async with running(wire) as relay:
        listener = Listener(relay, "en")
        await wire.roll_back("en", kept)
        await listener.until(2)
        assert listener.kinds == ["board", "board"]
        assert listener.texts() == ["in the back-up"]
        after = await wire.put("after it")
        await told(relay, after)
        assert listener.texts() == on_board(relay) == ["after it", "in the back-up"]


async def test_events_that_a_board_has_brought_already_are_not_sent_again(wire: Wire) -> None:
    """Those come twice that are announced while the board is read."""
    await wire.put("zero")
    wire.before_snapshot = ["one", "two"]
    async with running(wire) as relay:
        listener = Listener(relay, "en")
        last = await wire.put("three")
        await told(relay, last)
        assert listener.kinds == ["board", "line"]
        assert listener.texts() == ["three", "two", "one", "zero"]


async def test_an_editor_whose_line_came_by_way_of_a_board_need_not_wait(wire: Wire) -> None:
    wire.before_snapshot = ["read with the board"]
    async with running(wire) as relay:
        line = relay.board("en").lines[0]
        assert line.text == "read with the board"
        assert await relay.arrived("en", line.id, 1.0)


async def test_the_newswire_may_go_away_and_come_back(wire: Wire, relay: Relay) -> None:
    listener = Listener(relay, "en")
    await wire.put("before")
    await listener.until(2)
    wire.away = True
    await wire.put("nobody is told of this one")
    async with asyncio.timeout(WITHIN):
        while relay.ready:
            await asyncio.sleep(0.005)
    wire.away = False
    await asyncio.wait_for(relay.until_ready(), WITHIN)
    await listener.until(3)
    assert listener.frames[2]["line"]["text"] == "nobody is told of this one"
    after = await wire.put("after")
    await told(relay, after)
    assert listener.texts() == ["after", "nobody is told of this one", "before"]


async def test_a_newswire_that_is_away_for_long_costs_no_memory(wire: Wire) -> None:
    """Each try to follow it must let go of the one before."""
    wire.away = True
    relay = Relay(wire, CHANNELS, Calls())
    task = asyncio.create_task(relay.run())
    async with asyncio.timeout(WITHIN):
        while wire.tried < 4:
            await asyncio.sleep(0.005)
    assert len(wire._following.taps) <= 1
    wire.away = False
    await asyncio.wait_for(relay.until_ready(), WITHIN)
    assert len(wire._following.taps) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not wire._following.taps


# The eleventh line

MOMENTS = 1, 10, 60  # seconds until a line expires; the next where the machine was too busy to look within the last


async def test_the_eleventh_line_comes_back_when_one_of_ten_is_canceled(wire: Wire, relay: Relay) -> None:
    events = await ten_and_one(wire)
    await told(relay, events[-1])
    listener = Listener(relay, "en")
    assert "line 0" not in listener.texts()
    canceled = await wire.change(events[5].line, status="canceled")
    await listener.until(3)
    assert listener.kinds == ["board", "line", "board"]
    assert listener.texts() == on_board(relay)
    assert listener.texts()[-1] == "line 0"
    assert listener.frames[2]["cursor"] == canceled.cursor
    # Who was cut between the two holds this cursor without the line that came back.
    assert relay.greeting("en", [canceled.cursor]).stream.startswith(b"event: board\n")


async def test_the_eleventh_line_comes_back_when_one_of_ten_is_unpinned_or_held(wire: Wire, relay: Relay) -> None:
    pinned = await wire.put("pinned", pinned=True)
    events = await ten_and_one(wire)
    await told(relay, events[-1])
    listener = Listener(relay, "en")
    assert listener.texts()[0] == "pinned"
    await wire.change(pinned.line, pinned=False)
    await listener.until(3)
    await wire.change(events[10].line, status="withheld")
    await listener.until(5)
    assert listener.kinds == ["board", "line", "board", "line", "board"]
    assert listener.texts() == on_board(relay) == ["withheld", *(f"line {number}" for number in range(9, -1, -1))]


async def test_the_eleventh_line_comes_back_when_one_of_ten_expires(wire: Wire, relay: Relay) -> None:
    events = await ten_and_one(wire)
    for seconds in MOMENTS:
        brief = await wire.put("brief", expires_in=seconds)
        await told(relay, brief)
        listener = Listener(relay, "en")
        if listener.greeted_with("brief"):
            break
    assert listener.greeted_with("brief", *(f"line {number}" for number in range(10, 1, -1)))
    await listener.until(2)
    assert listener.kinds == ["board", "board"]
    assert listener.texts() == on_board(relay) == [f"line {number}" for number in range(10, 0, -1)]
    assert events[0].line.text not in listener.texts()


async def test_an_event_in_the_moment_of_an_expiry_does_not_hide_the_eleventh_line(wire: Wire, relay: Relay) -> None:
    """The line that comes back and the event that comes in are told apart, however close they are."""
    events = await ten_and_one(wire)
    for _ in range(3):
        brief = await wire.put("brief", expires_in=1)
        await told(relay, brief)
        listener = Listener(relay, "en")
        assert brief.line.expires
        until = brief.line.expires.timestamp()
        await asyncio.sleep(max(0.0, until - time.time() - 0.03))
        correction = asyncio.create_task(wire.change(events[10].line, text=f"corrected at {until}"))
        await asyncio.sleep(0)
        time.sleep(max(0.0, until - time.time() + 0.001))  # the loop is busy with something else just then
        await told(relay, await correction)
        await agree(listener, relay)


async def test_a_reader_whose_board_is_from_before_the_restart_gets_what_an_expiry_brought_back(wire: Wire) -> None:
    """Its cursor is current, yet a line stands now that it has never been sent."""
    await ten_and_one(wire)
    for seconds in MOMENTS:
        brief = await wire.put("brief", expires_in=seconds)
        async with running(wire) as relay:
            listener = Listener(relay, "en")
            relay.hub.leave(listener)
        if listener.greeted_with("brief"):
            break
    assert listener.greeted_with("brief")
    assert brief.line.expires
    async with asyncio.timeout(WITHIN):
        while datetime.now(brief.line.expires.tzinfo) <= brief.line.expires:
            await asyncio.sleep(0.01)
    async with running(wire) as relay:  # the node after its restart
        listener.write(relay.greeting("en", [brief.cursor]).stream)
        await agree(listener, relay)


# What is promised of time


async def test_arrived_is_false_where_nothing_came(relay: Relay) -> None:
    assert not await relay.arrived("en", "1763892000000-0", 0.05)


async def test_arrived_is_true_for_all_who_wait_and_for_who_asks_later(wire: Wire, relay: Relay) -> None:
    event = await wire.put("Several editors wait for this one")
    waiting = [relay.arrived("en", event.cursor, WITHIN) for _ in range(5)]
    assert await asyncio.gather(*waiting) == [True] * 5
    assert await relay.arrived("en", event.cursor, 0)


async def test_beats_say_where_every_channel_stands_and_stop_with_the_newswire(
    wire: Wire, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert relay_module.BEAT < 25  # seconds, as the contract promises
    monkeypatch.setattr(relay_module, "BEAT", 0.1)
    event = await wire.put("The last before the calm")
    await told(relay, event)
    listener = Listener(relay, "en", "ar")
    beating = asyncio.create_task(relay.beat())
    try:
        await listener.until(6)
        beats = listener.frames[2:6]
        assert [(b["type"], b["channel"], b["cursor"]) for b in beats] == [
            ("beat", "en", event.cursor),
            ("beat", "ar", None),
        ] * 2
        wire.away = True
        await wire.put("This one tells the relay that the newswire is away")
        async with asyncio.timeout(WITHIN):
            while relay.ready:
                await asyncio.sleep(0.005)
        silent_since = len(listener.frames)
        await asyncio.sleep(0.3)  # three beats' time
        assert len(listener.frames) == silent_since
        wire.away = False
        await listener.until(silent_since + 4)
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
