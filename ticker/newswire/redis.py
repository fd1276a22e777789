"""The newswire of many nodes: Redis pub/sub is the fast path, a stream per channel is the truth.

One script keeps, numbers and announces an event (`publish.lua`); it is given the cursor that the event
follows, so that of two nodes that publish at once one is told to look again. What is in doubt when a
connection breaks is asked again under the same receipt: a line goes out once.

The ear never reconnects in silence: whatever ends it ends `tail`, and whoever follows catches up.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import msgspec
from msgspec import Struct
from redis import exceptions as failure

from ticker.board import RESERVE, TOMBSTONES
from ticker.channel import Channel
from ticker.errors import Gone, KeyReused, NewswireFull, NewswireUnavailable, NotFound, TickerError
from ticker.key import Key
from ticker.line import Cursor, Draft, Event, Line, Patch, amend, begin, expect
from ticker.newswire import ONCE_FOR, Once, Page, Presence, Receipt, Snapshot
from ticker.newswire.topology import NotReplicated, Topology
from ticker.newswire.topology.check import check
from ticker.newswire.topology.connection import Ear, reason
from ticker.newswire.topology.url import topology

ANSWER_WITHIN = 4.0  # seconds a change is tried for, over reconnects and a failover that is quick
RETRY_AFTER = 0.02, 0.3  # seconds between two tries: first, most
NONCE_FOR = 120  # seconds a receipt nobody named is kept: longer than anybody tries for
PROBE_EVERY = 1.0  # seconds
DEAF_AFTER = 3.0  # seconds without our own probe until the ear counts as deaf; with the probe, 4 of the promised 5
HISTORY_MAX = 200_000  # events a channel; some 200 MB of Redis at most, whatever `history` says
PINNED_PLACE = 10**13  # milliseconds; above any time of day, so that pinned lines are among the newest
PRESENCE_FOR = 15.0  # seconds a node's count stands without being renewed
HOUSEKEEPING = 3_600.0  # seconds between two trimmings of lines that can't show any more

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
        self._first = _Script("first.lua")
        self._swap = _Script("swap.lua")
        self._forget = _Script("forget.lua")
        self._heads: dict[str, str] = {}
        self._clock_offset = 0.0  # seconds that the server's clock is ahead of our monotonic one
        self._turns: dict[str, asyncio.Lock] = {}
        self._ears: list[Ear] = []
        self._housekeeping: asyncio.Task[None] | None = None

    # Opening and closing

    async def open(self, channels: Mapping[str, Channel]) -> None:
        self._channels = dict(channels)
        self._turns = {slug: asyncio.Lock() for slug in channels}
        try:
            await self._topology.open()
            slug = next(iter(channels))
            await check(self._topology, self._key(slug, "check"), _Script("check.lua").source, self._probe(slug))
            await self._set_clock()
        except BaseException:
            await self._topology.close()
            raise
        self._housekeeping = asyncio.create_task(self._keep_house())

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
        async with self._turns[channel.slug]:
            while time.monotonic() < give_up:
                try:
                    if doubt and (kept := await self._kept(receipt_key)) and kept.nonce == receipt_key.nonce:
                        return Receipt(kept.line, kept.event)  # our own try, whose answer was lost
                    if receipt := await self._try(channel, change, by, receipt_key):
                        return receipt
                except (NewswireFull, _NotYetReplicated):
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
    ) -> Receipt | None:
        """None where somebody else was first; the head that follows is known then."""
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
            if once and not await self._do("SET", self._key_of(receipt_key), _encode(keeping), "NX", "EX", ONCE_FOR):
                kept = await self._kept(receipt_key)
                return _receipt(kept, receipt_key) if kept else None
            return Receipt(line, None)
        verdict, answer, now = await self._send(channel, event, head, keeping, receipt_key)
        self._clock_is(now)
        match verdict:
            case b"kept":
                self._heads[slug] = event.cursor
                return Receipt(line, event)
            case b"once":
                return _receipt(_decode_keeping(answer), receipt_key)
            case _:
                self._heads[slug] = answer.decode()
                return None

    async def _kept(self, receipt_key: _ReceiptKey) -> _Keeping | None:
        """What stands under a receipt's key, once as many replicas have it as were asked for."""
        key = self._key_of(receipt_key)
        kept = await self._do("GET", key)
        if kept and self._topology.wait_replicas:
            await self._asked(self._topology.send_and_wait("EXPIRE", key, receipt_key.remember_for))
        return _decode_keeping(kept) if kept else None

    async def _send(
        self, channel: Channel, event: Event, head: str, keeping: _Keeping, receipt_key: _ReceiptKey
    ) -> tuple[bytes, bytes, int]:
        slug = channel.slug
        line = event.line
        first, cursor = Cursor.parse(line.id), Cursor.parse(event.cursor)
        answer: tuple[bytes, bytes, int] = await self._run(
            self._publish_script,
            [
                self._key(slug, "head"),
                self._key(slug, "events"),
                self._key(slug, "lines"),
                self._key(slug, "index"),
                self._key(slug, f"versions:{line.id}"),
                self._key_of(receipt_key),
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
                f"{cursor.ms - channel.history_for * 1000}-0",
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

    async def _set_clock(self) -> None:
        seconds, microseconds = await self._do("TIME")
        self._clock_is(int(seconds) * 1000 + int(microseconds) // 1000)

    def _clock_is(self, now: int) -> None:
        """Follow the server's clock; it is the newswire's, whatever ours says."""
        self._clock_offset = now / 1000 - time.monotonic()

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
        Cursor.parse(line_id, "line's id")
        body = await self._do("HGET", self._key(channel, "lines"), line_id)
        if body is None:
            raise NotFound(f"There is no line {line_id} in the channel {channel}.")
        return _decode_line(body)

    async def versions(self, channel: str, line_id: str) -> list[Event]:
        Cursor.parse(line_id, "line's id")
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
        usable = {
            line_id for line_id, body in zip(ids, bodies, strict=True) if body and _decode_line(body).status == "usable"
        }
        return Page(events, frozenset(ids) - usable, more=len(found) > limit)

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
                    await self._do(self._topology.publish_command, own, b"")
                await self._asked(self._topology.look())
            except NewswireUnavailable as error:
                heard.put_nowait(error)
                return
            await asyncio.sleep(PROBE_EVERY)
            if min(ear.heard_at for ear in ears) < time.monotonic() - DEAF_AFTER:
                heard.put_nowait(NewswireUnavailable(f"Nothing was heard from Redis for {DEAF_AFTER:g} s."))
                return

    async def probe(self) -> None:
        if self._ears:
            self._expect_ears()
            return
        async with self.tail():  # nobody follows: try it, there and back
            since = time.monotonic()
            while min(ear.heard_at for ear in self._ears) < since:
                await asyncio.sleep(0.01)
                self._expect_ears()

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
        return sorted((_decode_key(body) for body in bodies), key=lambda key: key.created)

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

    async def take_secret(self, name: str) -> bytes | None:
        secret: bytes | None = await self._do("GETDEL", f"{self._keys_key}:secret:{name}")
        return secret

    # Presence

    async def report(self, readers: Mapping[str, int]) -> None:
        await self._set_clock()  # nodes that publish nothing must agree on the time, too
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

    async def _keep_house(self) -> None:
        """Let go of what is too old. The stream also trims itself as it grows."""
        while True:
            try:
                for channel in self._channels.values():
                    await self._trim(channel)
            except NewswireUnavailable as error:
                log.warning("Old lines could not be trimmed: %s", error.detail)
            except Exception:  # a fault of ours: Redis would fill until somebody restarts the node
                log.exception("Old lines could not be trimmed")
            await asyncio.sleep(HOUSEKEEPING)

    async def _trim(self, channel: Channel) -> None:
        index, lines = self._key(channel.slug, "index"), self._key(channel.slug, "lines")
        now = self._server_now()
        await self._do("XTRIM", self._key(channel.slug, "events"), "MINID", f"{now - channel.history_for * 1000}-0")
        presence = self._key(channel.slug, "presence")
        for node, report in dict(await self._do("HGETALL", presence)).items():
            if int(report.decode().partition("@")[2]) < now - HOUSEKEEPING * 1000:
                await self._do("HDEL", presence, node)  # it was killed, and could not say so
        oldest = await self._range(channel.slug, "-", "+", 1)
        oldest_kept = Cursor.parse(oldest[0].cursor).ms if oldest else now - channel.history_for * 1000
        old = set(await self._do("ZRANGEBYSCORE", index, "-inf", f"({oldest_kept}"))
        beyond = set(await self._do("ZREVRANGE", index, RESERVE + TOMBSTONES, -1))
        for line_id in old | beyond:
            body = await self._do("HGET", lines, line_id)
            line = _decode_line(body) if body else None
            if line and line.updated.timestamp() * 1000 >= oldest_kept:
                continue
            until = line and line.public(channel.tombstones_for).expires
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

        return await self._asked(ask())

    async def _asked(self, answer: Awaitable[T]) -> T:
        """The answer. Raises NewswireUnavailable for whatever kept Redis from giving one."""
        task = asyncio.current_task()
        assert task
        canceled = task.cancelling()
        try:
            return await answer
        except failure.OutOfMemoryError as error:
            raise NewswireFull("Redis has no memory left for another line. Give it more (maxmemory).") from error
        except NotReplicated as error:
            raise _NotYetReplicated(
                f"The change is on air, but fewer than {self._topology.wait_replicas} replicas have it yet. "
                "Repeat it with the same Idempotency-Key to hear when they do."
            ) from error
        except (failure.RedisError, OSError) as error:
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
        raise KeyReused("This Idempotency-Key came with another request before. Take a new key for a new request.")
    return Receipt(kept.line, None, replayed=True)
