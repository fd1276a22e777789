"""The newswire on Redis, opened and closed. Knows its rooms; does nothing that one of them does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from redis import exceptions as failure

from ticker.channel import Channel
from ticker.draft import Draft, Place, State
from ticker.errors import Misconfigured, NewswireUnavailable
from ticker.line import Act, Event, Line, NewLine, Patch
from ticker.lock import Lock
from ticker.newswire import DraftPage, Due, IdempotencyKey, Inspection, Outcome, Page, Settlement, Snapshot
from ticker.newswire.redis.asking import Asking, Script, end
from ticker.newswire.redis.clock import ServerClock
from ticker.newswire.redis.corrections import Corrections
from ticker.newswire.redis.drafts import Drafts
from ticker.newswire.redis.following import Following
from ticker.newswire.redis.histories import Histories
from ticker.newswire.redis.locks import Locks
from ticker.newswire.redis.migrations import Migrations
from ticker.newswire.redis.nodes import Nodes
from ticker.newswire.redis.presence import Readers
from ticker.newswire.redis.publishing import Publishing
from ticker.newswire.redis.reading import Reading
from ticker.newswire.redis.settings import SharedSettings
from ticker.newswire.redis.stores import Keys, People, Secrets, Sessions
from ticker.newswire.redis.topology import Topology
from ticker.newswire.redis.topology.check import check
from ticker.newswire.redis.topology.connection import reason
from ticker.newswire.redis.topology.url import topology
from ticker.newswire.redis.trimming import Trimming
from ticker.newswire.trouble import Trouble

LOADING_EVERY = 0.5  # seconds between two looks whether a server that starts has loaded what it keeps

NOT_UP_YET = failure.BusyLoadingError, failure.MasterDownError

log = logging.getLogger("ticker.newswire")


class RedisNewswire:
    """A newswire on Redis or Valkey 6.2 and later: single, behind Sentinel, or a Cluster (7.0 and later)."""

    def __init__(self, url: str, node: str) -> None:
        self._topology: Topology = topology(url, node)
        self._channels: dict[str, Channel] = {}  # shared with the rooms; `open` says which
        self._asking = Asking(self._topology)
        self._migrations = Migrations(self._asking)
        self._clock = ServerClock(self._asking)
        self._reading = Reading(self._asking, self._channels)
        self._publishing = Publishing(self._asking, self._clock, self._reading)
        self._following = Following(self._asking, node, self._channels, self._publishing.note)
        changed = self._following.desk_changed  # by this node: it need not hear it back from Redis
        self._drafts = Drafts(self._asking, self._clock, self._reading, self._publishing, changed)
        self._locks = Locks(self._asking, changed)
        self._histories = Histories(self._asking, node, self._clock, self._channels)
        self.keys = Keys(self._asking)
        self.people = People(self._asking)
        self.sessions = Sessions(self._asking, self._clock)
        self.secrets = Secrets(self._asking)
        self._nodes = Nodes(self._asking, node, self._clock)
        self._settings = SharedSettings(self._asking, node, self._clock, self._channels)
        self.presence = Readers(self._asking, node, self._clock, self._histories, (self._nodes, self._settings))
        self.corrections = Corrections(self._asking)
        self._trimming = Trimming(
            self._asking,
            self._clock,
            self._channels,
            self._reading,
            self._histories,
            self.presence,
            self._drafts,
            self.corrections,
        )
        self._housekeeping: asyncio.Task[None] | None = None

    # Opening and closing

    async def open(self, channels: Mapping[str, Channel]) -> None:
        self._channels.update(channels)
        try:
            await self._topology.open()
            if sentence := await self._checked():
                self._following.refusing.begins(sentence, "check")
            await self._migrations.migrate(self._channels)
            await self._clock.ask()
            with contextlib.suppress(NewswireUnavailable):  # it refuses changes just now: housekeeping says it later
                await self._histories.say()  # before this node keeps anything, so that no other node deletes it
        except BaseException:
            await self._topology.close()
            raise
        self._housekeeping = asyncio.create_task(self._trimming.go_on())

    async def _check(self) -> str | None:
        slug = next(iter(self._channels))
        script = Script.named("check.lua").source
        return await check(self._topology, self._asking.key(slug, "check"), script, self._following.own_channel(slug))

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
        self._channels.update(channels)
        servers = ",".join(f"{host}:{port}" for host, port in self._topology.servers)
        try:
            await self._topology.open()
            if sentence := await self._check():
                raise Misconfigured(sentence)
            await self._migrations.look(self._channels)
            await self._clock.ask()
        except NOT_UP_YET as error:
            raise Misconfigured(f"Redis is not ready yet. A node would wait for it: {reason(error)}.") from error
        finally:
            await self._topology.close()
        return Inspection(f"Redis at {servers} can be written", self.clock_is_off())

    async def close(self) -> None:
        if self._housekeeping:
            await end(self._housekeeping)
            await self.presence.leave(self._channels)
        await self._topology.close()

    async def trim(self) -> None:
        await self._trimming.trim()

    # What the rooms do

    def now(self) -> datetime:
        return self._clock.now()

    def clock_is_off(self) -> str | None:
        return self._clock.is_off()

    def versions_are_mixed(self) -> str | None:
        return self._nodes.mixed()

    def settings_differ(self) -> str | None:
        return self._settings.differ()

    async def publish(
        self, channel: Channel, new_line: NewLine, *, act: Act, once: IdempotencyKey | None = None
    ) -> Outcome:
        return await self._publishing.publish(channel, new_line, act, once)

    async def amend(
        self,
        channel: Channel,
        line_id: str,
        patch: Patch,
        *,
        act: Act,
        if_match: str | None = None,
        once: IdempotencyKey | None = None,
    ) -> Outcome:
        return await self._publishing.amend(channel, line_id, patch, act, if_match, once)

    async def remembered(self, channel: str, once: IdempotencyKey) -> Outcome | Draft | None:
        return await self._drafts.remembered(channel, once)

    async def keep_draft(self, draft: Draft, *, once: IdempotencyKey | None = None) -> Draft:
        return await self._drafts.keep(draft, once)

    async def draft(self, channel: str, draft_id: str) -> Draft:
        return await self._drafts.get(channel, draft_id)

    async def drafts(
        self, channel: str, states: Collection[State], limit: int, after: Place | None = None
    ) -> DraftPage:
        return await self._drafts.page(channel, states, limit, after)

    async def change_draft(self, channel: str, draft_id: str, change: Callable[[Draft], Draft]) -> Draft:
        return await self._drafts.change(channel, draft_id, change)

    async def settle(self, channel: Channel, draft_id: str, prepare: Callable[[Draft, datetime], Draft]) -> Settlement:
        return await self._drafts.settle(channel, draft_id, prepare)

    async def upcoming(self, channels: Collection[str], limit: int) -> list[Due]:
        return await self._drafts.upcoming(channels, limit)

    async def locks(self) -> dict[str, Lock]:
        return await self._locks.all(self._channels)

    async def lock(self, channel: str, lock: Lock) -> None:
        await self._locks.put_on(channel, lock)

    async def unlock(self, channel: str, lock: Lock) -> None:
        await self._locks.take_off(channel, lock)

    def on_desk_change(self, heard: Callable[[str], None]) -> None:
        self._following.at_the_desk.append(heard)

    async def recent(self, channel: str, since: datetime, limit: int) -> list[Event]:
        return await self._reading.recent(channel, int(since.timestamp() * 1000), limit)

    async def snapshot(self, channel: Channel) -> Snapshot:
        return await self._reading.snapshot(channel)

    async def line(self, channel: str, line_id: str) -> Line:
        return await self._reading.line(channel, line_id)

    async def lines(self, channel: str, ids: Collection[str]) -> dict[str, Line]:
        return await self._reading.lines(channel, ids)

    async def versions(self, channel: str, line_id: str) -> list[Event]:
        return await self._reading.versions(channel, line_id)

    async def events(self, channel: str, after: str | None, limit: int) -> Page:
        return await self._reading.events(channel, after, limit)

    async def heads(self) -> dict[str, str | None]:
        return await self._reading.heads()

    def tail(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        return self._following.tail()

    async def probe(self) -> None:
        await self._following.probe()
