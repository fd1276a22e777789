"""Hearing what is announced, and proving that it is heard. Knows subscriptions; knows no reader.

The subscription never reconnects in silence: when it ends, `tail` ends too, and the follower catches up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import msgspec
from redis import exceptions as failure

from ticker.channel import Channel
from ticker.errors import NewswireFull, NewswireUnavailable
from ticker.line import Event
from ticker.newswire.redis.asking import Asking, Refused, end
from ticker.newswire.redis.records import decode_event
from ticker.newswire.redis.topology.connection import Subscription, reason
from ticker.newswire.trouble import Trouble

PROBE_EVERY = 1.0  # seconds
DEAF_AFTER = (
    3.0  # seconds without our own probe until a subscription counts as dead: 4 of the promised 5, with PROBE_EVERY
)

log = logging.getLogger("ticker.newswire")


class Following:
    """`note` is called with every event that arrives, before anyone else gets it."""

    def __init__(
        self, asking: Asking, node: str, channels: Mapping[str, Channel], note: Callable[[Event], None]
    ) -> None:
        self._asking = asking
        self._node = node
        self._channels = channels
        self._note = note
        self._subscriptions: list[Subscription] = []
        self._unkept: dict[str, str] = {}  # by the subscription's own channel: why a change was refused when last tried
        self.at_the_desk: list[Callable[[str], None]] = []
        self.refusing = Trouble(log, "Redis takes changes again")

    def own_channel(self, slug: str) -> str:
        """A channel of Redis's that this node alone listens to."""
        return self._asking.key(slug, f"probe:{self._node}")

    @asynccontextmanager
    async def tail(self) -> AsyncIterator[AsyncIterator[Event]]:
        heard: asyncio.Queue[Event | NewswireUnavailable] = asyncio.Queue()
        names = {self._asking.key(slug, "live"): slug for slug in self._channels}
        desks = {self._asking.key(slug, "desk"): slug for slug in self._channels}
        all_names = [*names, *desks, *(self.own_channel(slug) for slug in self._channels)]
        subscriptions = await self._asking.asked(self._asking.topology.listen(all_names))
        now = time.monotonic()
        for subscription in subscriptions:
            subscription.heard_at = now
        self._subscriptions = subscriptions
        self._unkept.clear()
        tasks = [asyncio.create_task(self._hear(subscription, names, desks, heard)) for subscription in subscriptions]
        tasks.append(asyncio.create_task(self._probe_loop(subscriptions, heard)))
        for slug in self._channels:
            self.desk_changed(slug)  # it may have, while nobody listened

        async def events() -> AsyncIterator[Event]:
            while True:
                item = await heard.get()
                if isinstance(item, NewswireUnavailable):
                    raise item
                yield item

        try:
            yield events()
        finally:
            self._subscriptions = []
            await end(*tasks)
            await asyncio.gather(*(subscription.close() for subscription in subscriptions), return_exceptions=True)

    async def _hear(
        self,
        subscription: Subscription,
        names: dict[str, str],
        desks: dict[str, str],
        heard: asyncio.Queue[Event | NewswireUnavailable],
    ) -> None:
        try:
            while True:
                name, data = await subscription.next()
                subscription.heard_at = time.monotonic()
                if name in names:
                    event = decode_event(data)
                    self._note(event)
                    heard.put_nowait(event)
                elif name in desks:
                    self.desk_changed(desks[name])
        except (failure.RedisError, OSError, msgspec.DecodeError) as error:
            heard.put_nowait(NewswireUnavailable(f"The connection for messages from Redis has ended: {reason(error)}."))

    def desk_changed(self, slug: str) -> None:
        for heard in self.at_the_desk:
            heard(slug)

    async def _probe_loop(
        self, subscriptions: list[Subscription], heard: asyncio.Queue[Event | NewswireUnavailable]
    ) -> None:
        """Publish a probe on each subscription's own channel. One that misses it is dead, even if connected."""
        probes = {self.own_channel(slug) for slug in self._channels}
        while True:
            try:
                for subscription in subscriptions:
                    own = next(name for name in subscription.names if name in probes)
                    await self._try_to_keep(own)
                    await self._asking.do(self._asking.topology.publish_command, own, b"")
                await self._asking.asked(self._asking.topology.look())
            except NewswireUnavailable as error:
                heard.put_nowait(error)
                return
            await asyncio.sleep(PROBE_EVERY)
            if min(subscription.heard_at for subscription in subscriptions) < time.monotonic() - DEAF_AFTER:
                heard.put_nowait(NewswireUnavailable(f"Nothing was received from Redis for {DEAF_AFTER:g} s."))
                return

    async def _try_to_keep(self, key: str) -> None:
        """Write something that is gone soon, as a change would be; and say once that it isn't kept, and once that
        it is again."""
        try:
            await self._asking.do("SET", key, b"", "PX", int(PROBE_EVERY * 10_000))
        except (NewswireFull, Refused) as error:
            kind, why = (error.kind, error.why) if isinstance(error, Refused) else ("OOM", error.detail)
            self._unkept[key] = why
            self.refusing.begins(f"Nothing can be published: {why}", kind, logging.ERROR)
        else:
            self._unkept.pop(key, None)
            if not self._unkept:
                self.refusing.ends()

    async def probe(self) -> None:
        if self._subscriptions:
            self._expect_subscriptions()
            self._expect_to_keep()
            return
        async with self.tail():  # nobody follows: try it, there and back
            since = time.monotonic()
            while min(subscription.heard_at for subscription in self._subscriptions) < since:
                await asyncio.sleep(0.01)
                self._expect_subscriptions()
            self._expect_to_keep()

    def _expect_to_keep(self) -> None:
        for why in self._unkept.values():
            raise NewswireUnavailable(why)

    def _expect_subscriptions(self) -> None:
        if (
            not self._subscriptions
            or min(subscription.heard_at for subscription in self._subscriptions) < time.monotonic() - DEAF_AFTER
        ):
            raise NewswireUnavailable("This node receives nothing from Redis.")
