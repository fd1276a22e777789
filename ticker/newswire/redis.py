"""The newswire of many nodes: Redis pub/sub is the fast path, a stream per channel is the truth.

One script keeps, numbers and announces an event (`publish.lua`); it is given the cursor that the event
follows, so that of two nodes that publish at once one is told to look again. What is in doubt when a
connection breaks is asked again under the same receipt: a line goes out once.

An Idempotency-Key holds over all channels, which in a Cluster live on different servers. So a request first
claims its key for its channel, in the slot of the keys. Whoever finds it claimed for another channel fences that
claim off in that channel's slot: either the other request has its receipt there already, and this one is refused,
or it can't be made any more with that claim. Only then the claim is replaced, by one of a higher generation.

The ear never reconnects in silence: whatever ends it ends `tail`, and whoever follows catches up.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import msgspec
from msgspec import Struct
from redis import exceptions as failure

from ticker.board import RESERVE, TOMBSTONES
from ticker.channel import DAY, Channel
from ticker.errors import Gone, KeyReused, Misconfigured, NewswireFull, NewswireUnavailable, NotFound, TickerError
from ticker.key import Key
from ticker.line import Cursor, Draft, Event, Line, Patch, amend, begin, expect
from ticker.newswire import (
    CLOCK_OFF,
    KEY_REUSED,
    ONCE_FOR,
    PRESENCE_FOR,
    Inspection,
    Once,
    Page,
    Presence,
    Receipt,
    Snapshot,
)
from ticker.newswire.topology import NotReplicated, Topology
from ticker.newswire.topology.check import check
from ticker.newswire.topology.connection import Ear, reason, refusal
from ticker.newswire.topology.url import topology
from ticker.newswire.trouble import Trouble

ANSWER_WITHIN = 4.0  # seconds a change is tried for, over reconnects and a failover that is quick
RETRY_AFTER = 0.02, 0.3  # seconds between two tries: first, most
NONCE_FOR = 120  # seconds a receipt nobody named is kept, and a fence: longer than anybody tries for
CLAIM_FOR = ONCE_FOR + NONCE_FOR  # seconds; a claim outlives the receipt of the request that made it
PROBE_EVERY = 1.0  # seconds
DEAF_AFTER = 3.0  # seconds without our own probe until the ear counts as deaf; with the probe, 4 of the promised 5
HISTORY_MAX = 200_000  # events a channel; some 200 MB of Redis at most, whatever `history` says
PINNED_PLACE = 10**13  # milliseconds; above any time of day, so that pinned lines are among the newest
LOADING_EVERY = 0.5  # seconds between two looks whether a server that starts has loaded what it keeps
SAY_EVERY = 60.0  # seconds between two renewals of what this node's history asks for
SAID_FOR = DAY  # seconds that counts after the node was last seen: one that was away overnight finds its history
HOUSEKEEPING = 3_600.0  # seconds between two trimmings of lines that can't show any more

NOT_UP_YET = failure.BusyLoadingError, failure.MasterDownError

T = TypeVar("T")
log = logging.getLogger("ticker.newswire")

_decode_line = msgspec.json.Decoder(Line).decode
_decode_event = msgspec.json.Decoder(Event).decode
_decode_key = msgspec.json.Decoder(Key).decode
_encode = msgspec.json.encode


class _Script:
    """A Lua script, by its hash; sent whole where the server doesn't know it (NOSCRIPT)."""

    def __init__(self, name: str) -> None:
        self.source = (files("ticker.newswire") / name).read_text("utf-8")
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


class _Keeping(Struct, frozen=True):
    """What is kept under an Idempotency-Key, or under the nonce of a change that named none."""

    fingerprint: str
    nonce: str
    event: Event | None
    line: Line


_decode_keeping = msgspec.json.Decoder(_Keeping).decode


class _ReceiptKey(NamedTuple):
    """Where the receipt of one request is kept: under its Idempotency-Key, or under its nonce."""

    slug: str
    nonce: str
    once: Once | None

    @property
    def name(self) -> str:
        return self.once.key if self.once else self.nonce

    @property
    def remember_for(self) -> int:
        return ONCE_FOR if self.once else NONCE_FOR


class _Fenced(Exception):
    """The request's claim on its Idempotency-Key does not hold any more."""

    def __init__(self, fence: int) -> None:
        super().__init__(fence)
        self.fence = fence


class _Refused(NewswireUnavailable):
    """Redis has said that it keeps nothing now: to ask again at once is of no use. `kind`: its word for it."""

    def __init__(self, why: str, kind: str) -> None:
        super().__init__(f"{why} Nothing was published.")
        self.why = why
        self.kind = kind


class _NotYetReplicated(NewswireUnavailable):
    """Kept and announced, but not yet by as many replicas as the operator asked for."""


class RedisNewswire:
    """A newswire on Redis or Valkey 6.2 and later: single, behind Sentinel, or a Cluster (7.0 and later)."""

    def __init__(self, url: str, node: str) -> None:
        self._topology: Topology = topology(url, node)
        self._node = node
        self._prefix = self._topology.prefix
        self._channels: dict[str, Channel] = {}
        self._publish_script = _Script("publish.lua")
        self._snapshot_script = _Script("snapshot.lua")
        self._claim_script = _Script("claim.lua")
        self._fence = _Script("fence.lua")
        self._remember = _Script("remember.lua")
        self._first = _Script("first.lua")
        self._swap = _Script("swap.lua")
        self._forget = _Script("forget.lua")
        self._heads: dict[str, str] = {}
        self._clock_offset = 0.0  # seconds that the server's clock is ahead of our monotonic one
        self._turns: dict[str, asyncio.Lock] = {}
        self._ears: list[Ear] = []
        self._said_at = 0  # milliseconds
        self._unkept: dict[str, str] = {}  # by the ear's own channel: why a change was refused when last tried
        self._refusing = Trouble(log, "Redis takes changes again")
        self._wrong_clock = Trouble(log, "This machine's clock agrees with Redis' again")
        self._untrimmed = Trouble(log, "Old lines can be trimmed again")
        self._unreplicated = Trouble(log, "Enough replicas confirm changes again")
        self._housekeeping: asyncio.Task[None] | None = None

    # Opening and closing

    async def open(self, channels: Mapping[str, Channel]) -> None:
        self._channels = dict(channels)
        self._turns = {slug: asyncio.Lock() for slug in channels}
        try:
            await self._topology.open()
            if sentence := await self._checked():
                self._refusing.begins(sentence, "check")
            await self._set_clock()
            with contextlib.suppress(NewswireUnavailable):  # it refuses changes just now: housekeeping says it later
                await self._say_histories()  # before anything of ours is kept, so that nobody lets go of it
        except BaseException:
            await self._topology.close()
            raise
        self._housekeeping = asyncio.create_task(self._keep_house())

    async def _check(self) -> str | None:
        slug = next(iter(self._channels))
        return await check(self._topology, self._key(slug, "check"), _Script("check.lua").source, self._probe(slug))

    async def _checked(self) -> str | None:
        """The check, once Redis has loaded what it keeps; it may take minutes, and is worth waiting for."""
        loading = Trouble(log, "Redis has loaded what it keeps")
        while True:
            try:
                found = await self._check()
            except NOT_UP_YET as error:
                loading.begins(f"Redis is not ready yet, so this node waits for it: {reason(error)}")
                await asyncio.sleep(LOADING_EVERY)
            else:
                loading.ends()
                return found

    async def inspect(self, channels: Mapping[str, Channel]) -> Inspection:
        self._channels = dict(channels)
        servers = ",".join(f"{host}:{port}" for host, port in self._topology.servers)
        try:
            await self._topology.open()
            if sentence := await self._check():
                raise Misconfigured(sentence)
            await self._set_clock()
        except NOT_UP_YET as error:
            raise Misconfigured(f"Redis is not ready yet; a node would wait for it: {reason(error)}.") from error
        finally:
            await self._topology.close()
        return Inspection(f"Redis at {servers} can be written", self.clock_is_off())

    async def close(self) -> None:
        if self._housekeeping:
            await _end(self._housekeeping)
            for slug in self._channels:
                try:
                    await asyncio.wait_for(self._do("HDEL", self._key(slug, "presence"), self._node), 1)
                except (NewswireUnavailable, TimeoutError):
                    break  # our counts expire by themselves
        await self._topology.close()

    # Publishing

    async def publish(self, channel: Channel, draft: Draft, *, by: str, once: Once | None = None) -> Receipt:
        async def change(cursor: Cursor) -> tuple[Line, bool]:
            return begin(draft, channel, cursor), True

        return await self._change(channel, change, by, once)

    async def amend(
        self,
        channel: Channel,
        line_id: str,
        patch: Patch,
        *,
        by: str,
        if_match: str | None = None,
        once: Once | None = None,
    ) -> Receipt:
        async def change(cursor: Cursor) -> tuple[Line, bool]:
            before = await self.line(channel.slug, line_id)
            expect(before, if_match)
            after = amend(before, patch, cursor)
            return after, after is not before

        return await self._change(channel, change, by, once)

    async def _change(
        self,
        channel: Channel,
        change: Callable[[Cursor], Awaitable[tuple[Line, bool]]],
        by: str,
        once: Once | None,
    ) -> Receipt:
        """Make the change after the channel's head, looking again as often as somebody else was first.

        `change` reads what it needs itself: where the head hasn't moved since, nor has any line. It says
        what the line is then, and whether that is a change at all.
        """
        receipt_key = _ReceiptKey(channel.slug, uuid4().hex, once)
        give_up = time.monotonic() + ANSWER_WITHIN
        pause = RETRY_AFTER[0]
        doubt: NewswireUnavailable | None = None
        claim = fence = 0
        async with self._turns[channel.slug]:
            while time.monotonic() < give_up:
                try:
                    if doubt and (kept := await self._kept(receipt_key)) and kept.nonce == receipt_key.nonce:
                        return Receipt(kept.line, kept.event)  # our own try, whose answer was lost
                    if once and claim <= fence:
                        claim = await self._claim(channel.slug, once, fence)
                    if receipt := await self._try(channel, change, by, receipt_key, claim):
                        return receipt
                except _Fenced as lost:
                    fence = lost.fence
                except _NotYetReplicated:
                    raise
                except (NewswireFull, _Refused) as error:
                    if doubt:  # an earlier try may have been kept
                        raise doubt from error
                    raise
                except NewswireUnavailable as error:
                    doubt = error
                    self._heads.pop(channel.slug, None)
                    await asyncio.sleep(random.uniform(pause / 2, pause))
                    pause = min(pause * 2, RETRY_AFTER[1])
        raise doubt or NewswireUnavailable("Too many changes came before this one. Nothing was published.")

    async def _try(
        self,
        channel: Channel,
        change: Callable[[Cursor], Awaitable[tuple[Line, bool]]],
        by: str,
        receipt_key: _ReceiptKey,
        claim: int,
    ) -> Receipt | None:
        """None where somebody else was first; the head that follows is known then. Raises _Fenced."""
        slug, nonce, once = receipt_key
        head = self._heads.get(slug)
        if head is None:
            head = self._heads[slug] = await self._head(slug)
        cursor = self._cursor_after(head)
        try:
            line, changed = await change(cursor)
        except NewswireUnavailable:
            raise
        except TickerError:  # perhaps because this very request has been through before
            if kept := await self._kept(receipt_key):
                return _receipt(kept, receipt_key)
            raise
        event = Event(channel=slug, cursor=str(cursor), prev=head or None, line=line, by=by) if changed else None
        keeping = _Keeping(once.fingerprint if once else "", nonce, event, line)
        if event is None:
            if once is None:
                return Receipt(line, None)
            remember = [_encode(keeping), ONCE_FOR, claim]
            verdict, answer = await self._run(self._remember, [self._key_of(receipt_key)], remember)
        else:
            asked_at = time.monotonic()
            verdict, answer, now = await self._send(channel, event, head, keeping, receipt_key, claim)
            self._clock_is(now, asked_at)
        match verdict:
            case b"kept":
                if event:
                    self._heads[slug] = event.cursor
                return Receipt(line, event)
            case b"once":
                return _receipt(_decode_keeping(answer), receipt_key)
            case b"fenced":
                raise _Fenced(int(answer))
            case _:
                self._heads[slug] = answer.decode()
                return None

    async def _claim(self, slug: str, once: Once, fence: int) -> int:
        """Claim an Idempotency-Key for a channel; the generation of the claim, which is above `fence`.

        Raises KeyReused if a request on another channel was made under it.
        """
        key = f"{self._keys_key}:once:{once.key}"
        ours, replaces = f"{fence + 1} {slug}", ""
        while True:
            held = (await self._run(self._claim_script, [key], [ours, replaces, CLAIM_FOR])).decode()
            generation, _, holder = held.partition(" ")
            if holder == slug and int(generation) > fence:
                return int(generation)
            if holder != slug and await self._run(
                self._fence, [self._key(holder, f"once:{once.key}")], [generation, NONCE_FOR]
            ):
                raise KeyReused(KEY_REUSED)
            ours, replaces = f"{max(int(generation), fence) + 1} {slug}", held

    async def _kept(self, receipt_key: _ReceiptKey) -> _Keeping | None:
        """What stands under a receipt's key, once as many replicas have it as were asked for."""
        key = self._key_of(receipt_key)
        kept = await self._do("GET", key)
        if kept and self._topology.wait_replicas:
            await self._asked(self._topology.send_and_wait("EXPIRE", key, receipt_key.remember_for))
        return _decode_keeping(kept) if kept and not kept.isdigit() else None

    async def _send(
        self, channel: Channel, event: Event, head: str, keeping: _Keeping, receipt_key: _ReceiptKey, claim: int
    ) -> tuple[bytes, bytes, int]:
        slug = channel.slug
        line = event.line
        first = Cursor.parse(line.id)
        answer: tuple[bytes, bytes, int] = await self._run(
            self._publish_script,
            [
                self._key(slug, "head"),
                self._key(slug, "events"),
                self._key(slug, "lines"),
                self._key(slug, "index"),
                self._key(slug, f"versions:{line.id}"),
                self._key_of(receipt_key),
                self._key(slug, "histories"),
            ],
            [
                head,
                event.cursor,
                _encode(event),
                line.id,
                _encode(line),
                first.ms + (PINNED_PLACE if line.pinned else 0),
                _encode(keeping),
                receipt_key.remember_for,
                channel.history_for,
                self._topology.publish_command,
                self._key(slug, "live"),
                HISTORY_MAX,
                SAID_FOR,
                claim,
            ],
            wait=True,
        )
        return answer

    def _cursor_after(self, head: str) -> Cursor:
        now = int((time.monotonic() + self._clock_offset) * 1000)
        if not head:
            return Cursor(now, 0)
        last = Cursor.parse(head)
        return Cursor(now, 0) if now > last.ms else Cursor(last.ms, last.n + 1)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._server_now() / 1000, UTC)

    def clock_is_off(self) -> str | None:
        ahead = time.time() - self._server_now() / 1000
        if abs(ahead) <= CLOCK_OFF:
            return None
        return (
            f"This machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} Redis'. "
            "Lines show and expire by Redis' clock; set the one that is wrong (NTP)."
        )

    async def _set_clock(self) -> None:
        asked_at = time.monotonic()
        seconds, microseconds = await self._do("TIME")
        self._clock_is(int(seconds) * 1000 + int(microseconds) // 1000, asked_at)
        if sentence := self.clock_is_off():
            self._wrong_clock.begins(sentence)
        else:
            self._wrong_clock.ends()

    def _clock_is(self, now: int, asked_at: float) -> None:
        """Follow the server's clock; it is the newswire's, whatever ours says. It was `now` between the asking and
        the answer, so what we took it for stands if that allows it: a slow answer is no step of the clock."""
        most, least = now / 1000 - asked_at, now / 1000 - time.monotonic()
        self._clock_offset = min(max(self._clock_offset, least), most)

    # Reading

    async def _head(self, slug: str) -> str:
        return (await self._do("GET", self._key(slug, "head")) or b"").decode()

    async def heads(self) -> dict[str, str | None]:
        return {slug: await self._head(slug) or None for slug in self._channels}

    async def snapshot(self, channel: Channel) -> Snapshot:
        keys = [self._key(channel.slug, part) for part in ("head", "lines", "index")]
        head, lines = await self._run(self._snapshot_script, keys, [RESERVE + TOMBSTONES - 1])
        return Snapshot(head.decode() or None, [_decode_line(line) for line in lines if line])

    async def line(self, channel: str, line_id: str) -> Line:
        Cursor.of_line(line_id)
        body = await self._do("HGET", self._key(channel, "lines"), line_id)
        if body is None:
            raise NotFound(f"There is no line {line_id} in the channel {channel}.")
        return _decode_line(body)

    async def versions(self, channel: str, line_id: str) -> list[Event]:
        Cursor.of_line(line_id)
        cursors = await self._do("LRANGE", self._key(channel, f"versions:{line_id}"), 0, -1)
        found = [await self._range(channel, cursor.decode(), cursor.decode(), 1) for cursor in cursors]
        events = [event for page in found for event in page]
        if not events:
            raise NotFound(f"There is no line {line_id} in the channel {channel}, or its history has been trimmed.")
        return events

    async def events(self, channel: str, after: str | None, limit: int) -> Page:
        start = "-"
        if after is not None:
            Cursor.parse(after)
            if not await self._range(channel, after, after, 1) and after != await self._head(channel):
                raise Gone(
                    f"The event {after} is not in the history of {channel}. Take the board, then go on from its cursor."
                )
            start = f"({after}"
        found = await self._range(channel, start, "+", limit + 1)
        events = found[:limit]
        ids = list({event.line.id for event in events})
        bodies = await self._do("HMGET", self._key(channel, "lines"), *ids) if ids else []
        now = {
            line_id: _decode_line(body).status if body else "canceled"
            for line_id, body in zip(ids, bodies, strict=True)
        }
        withdrawn = {line_id: status for line_id, status in now.items() if status != "usable"}
        return Page(events, withdrawn, more=len(found) > limit)

    async def _range(self, channel: str, start: str, end: str, count: int) -> list[Event]:
        """A stretch of the stream, as the server gives it: [[id, [field, value]], …]."""
        found = await self._do("XRANGE", self._key(channel, "events"), start, end, "COUNT", count)
        return [_decode_event(fields[1] if isinstance(fields, list) else fields[b"event"]) for _, fields in found]

    # Following

    @asynccontextmanager
    async def tail(self) -> AsyncIterator[AsyncIterator[Event]]:
        heard: asyncio.Queue[Event | NewswireUnavailable] = asyncio.Queue()
        names = {self._key(slug, "live"): slug for slug in self._channels}
        ears = await self._asked(self._topology.listen([*names, *(self._probe(slug) for slug in self._channels)]))
        now = time.monotonic()
        for ear in ears:
            ear.heard_at = now
        self._ears = ears
        self._unkept.clear()
        tasks = [asyncio.create_task(self._hear(ear, names, heard)) for ear in ears]
        tasks.append(asyncio.create_task(self._sound(ears, heard)))

        async def events() -> AsyncIterator[Event]:
            while True:
                item = await heard.get()
                if isinstance(item, NewswireUnavailable):
                    raise item
                yield item

        try:
            yield events()
        finally:
            self._ears = []
            await _end(*tasks)
            await asyncio.gather(*(ear.close() for ear in ears), return_exceptions=True)

    async def _hear(self, ear: Ear, names: dict[str, str], heard: asyncio.Queue[Event | NewswireUnavailable]) -> None:
        try:
            while True:
                name, data = await ear.next()
                ear.heard_at = time.monotonic()
                if name in names:
                    event = _decode_event(data)
                    known = self._heads.get(event.channel)
                    if known and Cursor.parse(known) < Cursor.parse(event.cursor):
                        self._heads[event.channel] = event.cursor
                    heard.put_nowait(event)
        except (failure.RedisError, OSError, msgspec.DecodeError) as error:
            heard.put_nowait(NewswireUnavailable(f"The connection that hears Redis has ended: {reason(error)}."))

    async def _sound(self, ears: list[Ear], heard: asyncio.Queue[Event | NewswireUnavailable]) -> None:
        """Say something on each ear's own channel; who doesn't hear it is deaf, whatever its connection says."""
        probes = {self._probe(slug) for slug in self._channels}
        while True:
            try:
                for ear in ears:
                    own = next(name for name in ear.names if name in probes)
                    await self._try_to_keep(own)
                    await self._do(self._topology.publish_command, own, b"")
                await self._asked(self._topology.look())
            except NewswireUnavailable as error:
                heard.put_nowait(error)
                return
            await asyncio.sleep(PROBE_EVERY)
            if min(ear.heard_at for ear in ears) < time.monotonic() - DEAF_AFTER:
                heard.put_nowait(NewswireUnavailable(f"Nothing was heard from Redis for {DEAF_AFTER:g} s."))
                return

    async def _try_to_keep(self, key: str) -> None:
        """Write something that is gone soon, as a change would be; and say once that it isn't kept, and once that
        it is again."""
        try:
            await self._do("SET", key, b"", "PX", int(PROBE_EVERY * 10_000))
        except (NewswireFull, _Refused) as error:
            kind, why = (error.kind, error.why) if isinstance(error, _Refused) else ("OOM", error.detail)
            self._unkept[key] = why
            self._refusing.begins(f"Nothing can be published: {why}", kind, logging.ERROR)
        else:
            self._unkept.pop(key, None)
            if not self._unkept:
                self._refusing.ends()

    async def probe(self) -> None:
        if self._ears:
            self._expect_ears()
            self._expect_to_keep()
            return
        async with self.tail():  # nobody follows: try it, there and back
            since = time.monotonic()
            while min(ear.heard_at for ear in self._ears) < since:
                await asyncio.sleep(0.01)
                self._expect_ears()
            self._expect_to_keep()

    def _expect_to_keep(self) -> None:
        for why in self._unkept.values():
            raise NewswireUnavailable(why)

    def _expect_ears(self) -> None:
        if not self._ears or min(ear.heard_at for ear in self._ears) < time.monotonic() - DEAF_AFTER:
            raise NewswireUnavailable("This node does not hear Redis.")

    # Keys, and what is kept for a while

    async def keep_key(self, key: Key) -> None:
        await self._do("HSET", self._keys_key, key.id, _encode(key))

    async def keep_first_key(self, key: Key) -> bool:
        return bool(await self._run(self._first, [self._keys_key], [key.id, _encode(key)]))

    async def key(self, key_id: str) -> Key | None:
        body = await self._do("HGET", self._keys_key, key_id)
        return _decode_key(body) if body else None

    async def keys(self) -> list[Key]:
        bodies = await self._do("HVALS", self._keys_key)
        return sorted((_decode_key(body) for body in bodies), key=lambda key: (key.created, key.id))

    async def touch_key(self, key_id: str, used: datetime) -> None:
        await self._replace_key(key_id, lambda key: msgspec.structs.replace(key, last_used=used))

    async def revoke_key(self, key_id: str, when: datetime) -> Key | None:
        def revoke(key: Key) -> Key:
            return key if key.revoked else msgspec.structs.replace(key, revoked=when)

        return await self._replace_key(key_id, revoke)

    async def _replace_key(self, key_id: str, change: Callable[[Key], Key]) -> Key | None:
        """Put another in a key's place, unless somebody else has done so meanwhile: then look again."""
        while True:
            body = await self._do("HGET", self._keys_key, key_id)
            if body is None:
                return None
            key = change(_decode_key(body))
            if await self._run(self._swap, [self._keys_key], [key_id, body, _encode(key)]):
                return key

    async def keep_secret(self, name: str, secret: bytes, seconds: int) -> None:
        await self._do("SET", f"{self._keys_key}:secret:{name}", secret, "EX", seconds)

    async def secret(self, name: str) -> bytes | None:
        secret: bytes | None = await self._do("GET", f"{self._keys_key}:secret:{name}")
        return secret

    async def take_secret(self, name: str) -> bytes | None:
        secret: bytes | None = await self._do("GETDEL", f"{self._keys_key}:secret:{name}")
        return secret

    # Presence

    async def report(self, readers: Mapping[str, int]) -> None:
        await self._set_clock()  # nodes that publish nothing must agree on the time, too
        await self._say_histories()
        for slug, count in readers.items():
            key = self._key(slug, "presence")
            await self._do("HSET", key, self._node, f"{count}@{self._server_now()}")
            await self._do("EXPIRE", key, int(PRESENCE_FOR) * 4)

    async def presence(self, channel: str) -> Presence:
        reports = await self._do("HGETALL", self._key(channel, "presence"))
        oldest = self._server_now() - int(PRESENCE_FOR * 1000)
        counts = [
            int(count)
            for count, at in (report.decode().split("@") for report in dict(reports).values())
            if int(at) > oldest
        ]
        return Presence(sum(counts), len(counts))

    def _probe(self, slug: str) -> str:
        """A channel of Redis's that this node alone listens to."""
        return self._key(slug, f"probe:{self._node}")

    def _server_now(self) -> int:
        return int((time.monotonic() + self._clock_offset) * 1000)

    # Housekeeping

    async def _say_histories(self) -> None:
        """Tell the other nodes how long this one keeps what: nobody deletes what another one keeps."""
        now = self._server_now()  # a step of its clock is reason to say it anew
        if abs(now - self._said_at) < SAY_EVERY * 1000:
            return
        for channel in self._channels.values():
            key = self._key(channel.slug, "histories")
            said = f"{channel.history_for}:{channel.tombstones_for}@{now}"
            await self._do("HSET", key, self._node, said)
            await self._do("EXPIRE", key, 2 * SAID_FOR)
        self._said_at = now

    async def _histories(self, channel: Channel) -> tuple[int, int]:
        """For how many seconds events and tombstones are kept: as long as the node asks for that keeps them longest."""
        key = self._key(channel.slug, "histories")
        history, tombstones = channel.history_for, channel.tombstones_for
        for node, said in dict(await self._do("HGETALL", key)).items():
            asked, _, at = said.decode().partition("@")
            if int(at) < self._server_now() - SAID_FOR * 1000:
                await self._do("HDEL", key, node)
                continue
            its_history, _, its_tombstones = asked.partition(":")
            history, tombstones = max(history, int(its_history)), max(tombstones, int(its_tombstones))
        return history, tombstones

    async def _keep_house(self) -> None:
        while True:
            try:
                await self.trim()
                self._untrimmed.ends()
            except NewswireUnavailable as error:
                self._untrimmed.begins(f"Old lines could not be trimmed: {error.detail}")
            except Exception:  # a fault of ours: Redis would fill until somebody restarts the node
                log.exception("Old lines could not be trimmed")
            await asyncio.sleep(HOUSEKEEPING)

    async def trim(self) -> None:
        """Let go of what is too old. The stream also trims itself as it grows."""
        await self._say_histories()
        for channel in self._channels.values():
            await self._trim(channel)

    async def _trim(self, channel: Channel) -> None:
        index, lines = self._key(channel.slug, "index"), self._key(channel.slug, "lines")
        history_for, tombstones_for = await self._histories(channel)
        now = self._server_now()
        await self._do("XTRIM", self._key(channel.slug, "events"), "MINID", f"{max(0, now - history_for * 1000)}-0")
        presence = self._key(channel.slug, "presence")
        for node, report in dict(await self._do("HGETALL", presence)).items():
            if int(report.decode().partition("@")[2]) < now - HOUSEKEEPING * 1000:
                await self._do("HDEL", presence, node)  # it was killed, and could not say so
        oldest = await self._range(channel.slug, "-", "+", 1)
        oldest_kept = Cursor.parse(oldest[0].cursor).ms if oldest else now - history_for * 1000
        old = set(await self._do("ZRANGEBYSCORE", index, "-inf", f"({oldest_kept}"))
        pinned = PINNED_PLACE, f"({PINNED_PLACE + oldest_kept}"
        old |= set(await self._do("ZRANGEBYSCORE", index, *pinned))
        beyond = set(await self._do("ZREVRANGE", index, RESERVE + TOMBSTONES, -1))
        for line_id in old | beyond:
            body = await self._do("HGET", lines, line_id)
            line = _decode_line(body) if body else None
            if line and line.updated.timestamp() * 1000 >= oldest_kept:
                continue
            until = line and line.public(tombstones_for).expires
            if line is None or line_id in beyond or (until and until.timestamp() * 1000 <= now):
                await self._run(self._forget, [lines, index], [line_id, body or b""])

    # Asking

    def _key(self, slug: str, part: str) -> str:
        """One hash tag a channel, so that a script reaches all its keys on one server."""
        return f"{self._prefix}:{{{slug}}}:{part}"

    @property
    def _keys_key(self) -> str:
        return f"{self._prefix}:{{keys}}"

    def _key_of(self, receipt: _ReceiptKey) -> str:
        return self._key(receipt.slug, f"once:{receipt.name}")

    async def _do(self, *command: Any) -> Any:
        return await self._asked(self._topology.send(*command))

    async def _run(self, script: _Script, keys: list[str], arguments: list[Any], *, wait: bool = False) -> Any:
        rest = (len(keys), *keys, *arguments)

        async def send(*command: Any) -> Any:
            if wait:
                return await self._topology.send_and_wait(*command)
            return await self._topology.send(*command)

        async def ask() -> Any:
            try:
                return await send("EVALSHA", script.sha, *rest)
            except failure.NoScriptError:
                return await send("EVAL", script.source, *rest)

        answer = await self._asked(ask())
        if wait:
            self._unreplicated.ends()
        return answer

    async def _asked(self, answer: Awaitable[T]) -> T:
        """The answer. Raises NewswireUnavailable for whatever kept Redis from giving one."""
        task = asyncio.current_task()
        assert task
        canceled = task.cancelling()
        try:
            return await answer
        except NotReplicated as error:
            self._unreplicated.begins(
                f"Changes are on air, and fewer than {self._topology.wait_replicas} replicas confirm them. Start them."
            )
            raise _NotYetReplicated(
                f"The change is on air, but fewer than {self._topology.wait_replicas} replicas have it yet. "
                "Repeat it with the same Idempotency-Key to hear when they do."
            ) from error
        except (failure.RedisError, OSError) as error:
            kind, why = refusal(error) or ("", "")
            if kind == "OOM":
                raise NewswireFull(why) from error
            if kind:
                raise _Refused(why, kind) from error
            raise NewswireUnavailable(
                f"Redis did not answer as it should ({reason(error)}). If this was a change, it may "
                "have gone through: repeat it with the same Idempotency-Key, or look at the board."
            ) from error
        finally:
            # `asyncio.wait_for` of Python 3.11, which redis-py uses, swallows one that comes together with the answer.
            if task.cancelling() > canceled:
                raise asyncio.CancelledError


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Cancel the tasks until they have ended: redis-py swallows a cancellation that meets it connecting."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.2)
    await asyncio.gather(*tasks, return_exceptions=True)


def _receipt(kept: _Keeping, receipt_key: _ReceiptKey) -> Receipt:
    """The answer to a request under whose key something is kept. Raises KeyReused."""
    _, nonce, once = receipt_key
    if kept.nonce == nonce:  # an earlier try of ours, whose answer was lost
        return Receipt(kept.line, kept.event)
    if once is None or kept.fingerprint != once.fingerprint:
        raise KeyReused(KEY_REUSED)
    return Receipt(kept.line, None, replayed=True)
