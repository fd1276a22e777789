"""Two newswires, one answer: random calls over both, whose answers are compared. Cursors are named by their place."""

from __future__ import annotations

import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from tests.acting import act
from tests.newswire.drafting import ADA, BOB, CARL, a_lock, as_it_stands
from tests.newswire.wires import START, Clock, a_channel
from tests.redis_servers import RedisStore
from ticker import draft as rules
from ticker.board import Board
from ticker.channel import DAY, HOUR
from ticker.draft import ENDED, LIVING, Draft, Edit, Place
from ticker.errors import TickerError
from ticker.identity import Key, hashed
from ticker.line import Event, NewLine, Patch, checked
from ticker.newswire import IdempotencyKey, Newswire, Outcome, Page, Settlement
from ticker.newswire.sqlite import SqliteNewswire

pytestmark = pytest.mark.usefixtures("patience_with_redis")

CHANNELS = {
    slug: a_channel(slug, max_lines=4, expires_in=expires_in, tombstones_for=12 * HOUR, history_for=3 * DAY)
    for slug, expires_in in (("en", 5 * HOUR), ("ar", None), ("es", 5 * HOUR))
}
SEEDS = range(40)
CALLS = 150  # a seed; in steps of 5 s they stay within the half hour to which times are told
SECONDS = 25  # for all seeds together; what was not reached then is left out
ODD = ["", "0-0", "1-0", "-1-0", "yesterday", "1", "1-", "-1", "1-x", "00-0", "1_0-0", "9" * 16 + "-0", "9" * 15 + "-0"]
TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|0?\d{13}\S*")
BEGAN: list[float] = []
BEGAN_AT = datetime.fromtimestamp(START, UTC)


class Pair:
    """Both newswires, and a name for each of their cursors: the channel's n-th event."""

    def __init__(self, sqlite: Newswire, redis: Newswire, clock: Clock) -> None:
        self.wires = sqlite, redis
        self.clock = clock
        self._names: list[dict[tuple[str, str], str]] = [{}, {}]
        self.cursors: dict[str, list[tuple[str, str]]] = {slug: [] for slug in CHANNELS}

    async def ask(self, call: Callable[[Newswire, int], Awaitable[Any]]) -> tuple[Any, Any]:
        """Both answers, in one spelling. What is an error is told by its type, its field and its words."""
        self.clock.now += 5  # so that no two channels have one cursor; Redis may be a second off
        answers = []
        for side, wire in enumerate(self.wires):
            try:
                answers.append(await call(wire, side))
            except TickerError as error:
                answers.append(error)
        changes = [answer.outcome if isinstance(answer, Settlement) else answer for answer in answers]
        outcomes = [answer for answer in changes if isinstance(answer, Outcome) and answer.event]
        if len(outcomes) == 2:
            events = [outcome.event for outcome in outcomes if outcome.event]
            slug = events[0].channel
            for names, event in zip(self._names, events, strict=True):
                names[slug, event.cursor] = f"{slug}#{len(self.cursors[slug])}"
            self.cursors[slug].append((events[0].cursor, events[1].cursor))
        return self.told(answers[0], 0), self.told(answers[1], 1)

    def told(self, answer: Any, side: int) -> Any:
        match answer:
            case TickerError():
                return type(answer).__name__, TIMES.sub("…", answer.detail)
            case Outcome(line, event, replayed):
                return self.told(line, side), self.told(event, side), replayed
            case Page(events, withdrawn, more):
                names = {self._names[side].get((events[0].channel, each), each): of for each, of in withdrawn.items()}
                return [self.told(event, side) for event in events], names, more
            case list() | tuple():
                return [self.told(each, side) for each in answer]
            case Draft():
                history = [(step.did, step.by, TIMES.sub("…", str(step.note))) for step in answer.history]
                line_id = self._names[side].get((answer.channel, answer.line or ""), answer.line)
                told = replace(
                    answer, line=line_id, publish_at=None, created=BEGAN_AT, updated=BEGAN_AT, history=(), approval=None
                )
                approval = answer.approval and (answer.approval.by, answer.approval.sources)
                return told, history, approval, _coarse(answer.publish_at), _coarse(answer.updated)
            case Event():
                slug = answer.channel
                cursors = [self._names[side].get((slug, each or ""), each) for each in (answer.cursor, answer.prev)]
                how = answer.act if answer.act.approval is None else replace(answer.act, approval=None)
                return *cursors, self.told(answer.line, side), how
            case msgspec.Struct() if hasattr(answer, "etag"):
                fields = msgspec.structs.asdict(answer)
                fields["id"] = self._names[side].get((fields["channel"], fields["id"]), fields["id"])
                return {name: _coarse(value) for name, value in fields.items()}
            case dict():
                return {slug: self._names[side].get((slug, head or ""), head) for slug, head in answer.items()}
            case _:
                return answer


def _going(draft: Draft, channel: Any, key: Key, moment: datetime, at: datetime | None) -> Draft:
    """Handed over; for the time that it has, also if that has passed."""
    draft = rules.submit(draft, channel, key, moment)
    return draft if draft.due is None or at is None else replace(draft, publish_at=at)


def _coarse(value: Any) -> Any:
    """Redis's clock goes on by itself between two calls: times are told to half an hour."""
    return round(value.timestamp() / 1_800) if isinstance(value, datetime) else value


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    clock = Clock(START + 1)  # and not the time of the cursor that messages name as an example
    store = RedisStore(CHANNELS)
    sqlite = SqliteNewswire(tmp_path / "ticker.db", clock)
    await sqlite.open(CHANNELS)
    yield Pair(sqlite, await store.open(CHANNELS, clock), clock)
    await sqlite.close()
    await store.close()


class Calls:
    """What is asked of both, drawn by lot."""

    def __init__(self, pair: Pair, seed: int) -> None:
        self.lot = random.Random(seed)
        self.pair = pair
        self.drafts: list[tuple[str, str]] = []
        self.drafted: tuple[Any, tuple[str, str]] = CHANNELS["en"], ("1-0", "1-0")
        self.steps_back = seed % 3 == 0  # then, what has expired might be back in one of them and not in the other

    def draw(self) -> tuple[str, Callable[[Newswire, int], Awaitable[Any]]]:
        kinds = [self.publish] * 5 + [self.amend] * 8 + [self.withdraw] * 4
        kinds += [self.board, self.line, self.versions, self.events, self.events, self.heads]
        kinds += [self.secret, self.keys, self.report, self.step]
        kinds += [self.draft, self.draft, self.draft_of_a_change, self.change_draft, self.change_draft]
        kinds += (
            [self.overtake] + [self.settle] * 4 + [self.publish_draft, self.one_draft, self.list_drafts, self.upcoming]
        )
        kinds += [self.lock, self.unlock, self.unlock]
        kind = self.lot.choice([kind for kind in kinds if kind != self.secret or not self.steps_back])
        return kind.__name__, kind()

    # What changes

    def publish(self) -> Any:
        channel, once, fields = self.channel(), self.once(), self.fields()
        new_line = checked(NewLine(**{"text": "Rain", **fields}))
        fingerprint = f"POST {channel.slug} {new_line}"
        return lambda wire, _: wire.publish(
            channel, new_line, act=act(), once=IdempotencyKey(once, fingerprint) if once else None
        )

    def amend(self, **more: Any) -> Any:
        channel, once = self.channel(), self.once()
        patch = checked(Patch(**self.fields(), **more))
        ids, name = self.cursor(channel.slug)
        if_match = self.lot.choice([None, None, None, "*", '"1-1"', "its own", "its own"])
        fingerprint = f"PATCH {channel.slug} {name} {patch}"

        async def ask(wire: Newswire, side: int) -> Outcome:
            tag = (await wire.line(channel.slug, ids[side])).etag if if_match == "its own" else if_match
            key = IdempotencyKey(once, fingerprint) if once else None
            return await wire.amend(channel, ids[side], patch, act=act("Bob"), if_match=tag, once=key)

        return ask

    def withdraw(self) -> Any:
        return self.amend(status=self.lot.choice(["withheld", "withheld", "usable", "usable", "canceled"]))

    def step(self) -> Any:
        self.pair.clock.now += self.lot.choice([HOUR, HOUR, 6 * HOUR, *([-2 * HOUR] if self.steps_back else [DAY])])

        async def trim(wire: Any, _: int) -> None:
            await wire.presence.report({"en": 1})
            await wire.trim()

        return trim

    # Drafts and the lock

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.pair.clock.now, UTC)

    def time(self) -> datetime | None:
        """When a draft is due; never just when a call is made, which is every five seconds."""
        seconds = self.lot.choice([None, -2 * HOUR, -62.5, -62.5, HOUR + 2.5, 7 * HOUR + 2.5])
        return None if seconds is None else self.moment() + timedelta(seconds=seconds)

    def draft(self) -> Any:
        channel, once, key = self.channel(), self.once(), self.key()
        new_line, at = checked(NewLine(**{"text": "Rain", **self.fields()})), self.time()
        moment, submits = self.moment(), self.lot.random() < 0.8
        draft_id = rules.new_id()

        async def ask(wire: Newswire, _: int) -> Draft:
            draft = replace(rules.write(channel, key, moment, new=new_line, publish_at=at), id=draft_id)
            draft = _going(draft, channel, key, moment, at) if submits else draft
            fingerprint = f"DRAFT {channel.slug} {new_line}"
            kept = await wire.keep_draft(draft, once=IdempotencyKey(once, fingerprint) if once else None)
            self.drafts.append((kept.channel, kept.id))
            return kept

        return ask

    def draft_of_a_change(self) -> Any:
        channel, key = self.channel(), self.lot.choice([ADA, BOB])
        status: Any = self.lot.choice([UNSET, UNSET, "canceled", "usable"])
        patch = checked(Patch(**self.fields(), status=status))
        moment, at = self.moment(), self.time()
        ids, _ = self.cursor(channel.slug)
        draft_id = rules.new_id()

        async def ask(wire: Newswire, side: int) -> Draft:
            line = await wire.line(channel.slug, ids[side])
            draft = rules.write(channel, key, moment, patch=patch, line=line, publish_at=at)
            kept = await wire.keep_draft(_going(replace(draft, id=draft_id), channel, key, moment, at))
            self.drafts.append((kept.channel, kept.id))
            self.drafted = channel, ids
            return kept

        return ask

    def overtake(self) -> Any:
        """A change of a line of which there is a draft."""
        (channel, ids), patch = self.drafted, Patch(text=f"Rain at {self.moment():%H:%M:%S}")
        return lambda wire, side: wire.amend(channel, ids[side], patch, act=act())

    def change_draft(self) -> Any:
        (slug, draft_id), key, moment, at = self.known_draft(), self.key(), self.moment(), self.time()
        channel = CHANNELS[slug]
        deeds: list[Callable[[Draft], Draft]] = [
            lambda draft: rules.edit(draft, Edit(note_to_desk="Look", publish_at=at), channel, key, moment),
            lambda draft: rules.edit(draft, Edit(note_to_desk=f"{moment}"), channel, key, moment),
            lambda draft: rules.submit(draft, channel, key, moment),
            lambda draft: rules.approve(draft, key, moment, moment, "AP"),
            lambda draft: rules.send_back(draft, key, moment, "Why?"),
            lambda draft: rules.discard(draft, key, moment),
            lambda draft: draft,
        ]
        deed = self.lot.choice(deeds)
        return lambda wire, _: wire.change_draft(slug, draft_id, deed)

    def settle(self) -> Any:
        slug, draft_id = self.known_draft()

        async def ask(wire: Any, side: int) -> Any:
            if side == 1:
                await wire._clock.ask()
            return await wire.settle(CHANNELS[slug], draft_id, as_it_stands)

        return ask

    def publish_draft(self) -> Any:
        (slug, draft_id), key = self.known_draft(), self.key()
        channel = CHANNELS[slug]
        return lambda wire, _: wire.settle(
            channel, draft_id, lambda draft, at: rules.schedule(draft, channel, key, at, at)
        )

    def one_draft(self) -> Any:
        slug, draft_id = self.known_draft()
        return lambda wire, _: wire.draft(slug, draft_id)

    def list_drafts(self) -> Any:
        slug, limit = self.channel().slug, self.lot.choice([1, 3, 100])
        states = self.lot.choice([LIVING, ENDED, ("scheduled",), ("open", "submitted"), (*LIVING, *ENDED)])
        moment = rules.microseconds(self.moment() + timedelta(minutes=20) - self.lot.randint(0, 9) * timedelta(hours=1))
        after = Place(moment, self.known_draft()[1]) if self.lot.random() < 0.3 else None
        return lambda wire, _: wire.drafts(slug, states, limit, after)

    def upcoming(self) -> Any:
        slugs, limit = self.lot.sample(list(CHANNELS), self.lot.randint(0, 3)), self.lot.choice([1, 5, 100])
        return lambda wire, _: wire.upcoming(slugs, limit)

    def lock(self) -> Any:
        slug, lock = self.channel().slug, self.some_lock()
        return lambda wire, _: wire.lock(slug, lock)

    def unlock(self) -> Any:
        slug, lock = self.channel().slug, self.some_lock()

        async def ask(wire: Newswire, _: int) -> Any:
            await wire.unlock(slug, lock)
            return await wire.locks()

        return ask

    def some_lock(self) -> Any:
        return a_lock("Flood" if self.lot.random() < 0.2 else "Flash")

    def key(self) -> Key:
        return self.lot.choice([ADA, ADA, BOB, CARL])

    def known_draft(self) -> tuple[str, str]:
        if self.drafts and self.lot.random() < 0.95:
            return self.lot.choice(self.drafts[-6:])
        return self.channel().slug, self.lot.choice(["", "d_0", "x" * 200, "é"])

    # What is read

    def board(self) -> Any:
        channel = self.channel()
        now = datetime.fromtimestamp(self.pair.clock.now, UTC) + timedelta(minutes=20)

        async def shown(wire: Newswire, _: int) -> Any:
            cursor, lines = await wire.snapshot(channel)
            return [{channel.slug: cursor}, *Board(channel, cursor, lines).lines(now)]

        return shown

    def line(self) -> Any:
        slug = self.channel().slug
        ids, _ = self.cursor(slug)
        return lambda wire, side: wire.line(slug, ids[side])

    def versions(self) -> Any:
        slug = self.channel().slug
        ids, _ = self.cursor(slug)
        return lambda wire, side: wire.versions(slug, ids[side])

    def events(self) -> Any:
        slug, limit = self.channel().slug, self.lot.choice([1, 2, 7, 1_000])
        after, name = self.cursor(slug)
        return lambda wire, side: wire.events(slug, None if name == "0-0" else after[side], limit)

    def heads(self) -> Any:
        return lambda wire, _: wire.heads()

    def report(self) -> Any:
        slugs = self.lot.sample(list(CHANNELS), self.lot.randint(1, 3))
        counts = {slug: self.lot.randint(0, 3) for slug in slugs}

        async def present(wire: Newswire, _: int) -> Any:
            await wire.presence.report(counts)
            return [tuple(await wire.presence.of(slug)) for slug in slugs]

        return present

    def secret(self) -> Any:
        name, keep = self.lot.choice("abc"), self.lot.random() < 0.6
        seconds, secret = self.lot.choice([HOUR // 2, 3 * HOUR]), self.lot.randbytes(4)
        return lambda wire, _: wire.secrets.keep(name, secret, seconds) if keep else wire.secrets.take(name)

    def keys(self) -> Any:
        when = datetime.fromtimestamp(self.pair.clock.now, UTC)
        key_id = self.lot.choice(["anna", "bert", "carl", "dora"])
        key = Key(id=key_id, name=key_id, role="editor", channels=(), hash=hashed(key_id), created=when)
        act = self.lot.randrange(5)

        async def ask(wire: Newswire, _: int) -> Any:
            match act:
                case 0:
                    return await wire.keys.keep(key)
                case 1:
                    return await wire.keys.keep_first(key)
                case 2:
                    await wire.keys.touch(key_id, when)
                case 3:
                    return str(await wire.keys.revoke(key_id, when))
            return str(await wire.keys.all()), str(await wire.keys.get(key_id))

        return ask

    # Of which parts

    def channel(self) -> Any:
        return self.lot.choice(list(CHANNELS.values()))

    def cursor(self, slug: str) -> tuple[tuple[str, str], str]:
        """A cursor as each of both spells it, and its name; now and then of another channel, or none at all."""
        known = self.pair.cursors[slug if self.lot.random() < 0.95 else self.channel().slug]
        if known and self.lot.random() < 0.85:
            place = self.lot.randrange(len(known))
            if self.lot.random() < 0.05:
                ms_n = [cursor.split("-") for cursor in known[place]]
                spelling = self.lot.choice(["0{}-{}", "{}-0{}", "{}-99{}", "{}.{}", "{}-{}-0"])
                return (spelling.format(*ms_n[0]), spelling.format(*ms_n[1])), f"{spelling} {place}"
            return known[place], f"{place}"
        odd = self.lot.choice(ODD)
        return (odd, odd), odd

    def once(self) -> str:
        return "" if self.steps_back else self.lot.choice(["", "", "", "ada:1", "ada:2", "bob:1", "bob:}2{"])

    def fields(self) -> dict[str, Any]:
        now = datetime.fromtimestamp(self.pair.clock.now, UTC)
        possible: dict[str, list[Any]] = {
            "text": ["Rain", "Snow", "Hail"],
            "urgency": ["flash", "update"],
            "note": [None, "Why", "Colder"],
            "story": [None, "storm"],
            "source": [None, "AP"],
            "url": [None, "https://a.example/"],
            "pinned": [True, False],
            "language": ["ar", "en"],
            "direction": ["ltr", "rtl"],
        }
        names = self.lot.sample(list(possible), self.lot.choice([0, 1, 1, 2, 3]))
        fields = {name: self.lot.choice(possible[name]) for name in names}
        match self.lot.randrange(8):
            case 0:
                fields["expires_in"] = self.lot.choice([HOUR // 2, 3 * HOUR, 2 * DAY])
            case 1:
                fields["expires"] = self.lot.choice([None, now + timedelta(hours=9.5), now - timedelta(hours=3)])
        return fields


@pytest.mark.parametrize("seed", SEEDS)
async def test_both_answer_alike(pair: Pair, seed: int) -> None:
    BEGAN.append(time.monotonic())
    calls = Calls(pair, seed)
    asked: list[str] = []
    for _ in range(CALLS):
        if time.monotonic() - BEGAN[0] > SECONDS and seed > 0:
            return
        name, call = calls.draw()
        asked.append(name)
        one, other = await pair.ask(call)
        assert one == other, asked[-8:]
    assert any(pair.cursors.values())
