"""Boards, lines and history, as Redis keeps them. Knows what is read; changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ticker.board import RESERVE, TOMBSTONES
from ticker.channel import Channel
from ticker.line import Cursor, Event, Line, Status
from ticker.newswire import Page, Snapshot, no_event, no_line, no_versions
from ticker.newswire.redis.asking import Asking, Script
from ticker.newswire.redis.records import decode_event, decode_line

PINNED_PLACE = 10**13  # milliseconds; above any time of day, so that pinned lines are among the newest


class Reading:
    def __init__(self, asking: Asking, channels: Mapping[str, Channel]) -> None:
        self._asking = asking
        self._channels = channels
        self._snapshot = Script.named("snapshot.lua")

    async def head(self, slug: str) -> str:
        return (await self._asking.do("GET", self._asking.key(slug, "head")) or b"").decode()

    async def heads(self) -> dict[str, str | None]:
        return {slug: await self.head(slug) or None for slug in self._channels}

    async def snapshot(self, channel: Channel) -> Snapshot:
        keys = [self._asking.key(channel.slug, part) for part in ("head", "lines", "index")]
        head, lines = await self._asking.run(self._snapshot, keys, [RESERVE + TOMBSTONES - 1])
        return Snapshot(head.decode() or None, [decode_line(line) for line in lines if line])

    async def line(self, channel: str, line_id: str) -> Line:
        Cursor.of_line(line_id)
        body = await self._asking.do("HGET", self._asking.key(channel, "lines"), line_id)
        if body is None:
            raise no_line(channel, line_id)
        return decode_line(body)

    async def lines(self, channel: str, ids: Collection[str]) -> dict[str, Line]:
        if not ids:
            return {}
        bodies = await self._asking.do("HMGET", self._asking.key(channel, "lines"), *ids)
        return {line_id: decode_line(body) for line_id, body in zip(ids, bodies, strict=True) if body}

    async def versions(self, channel: str, line_id: str) -> list[Event]:
        Cursor.of_line(line_id)
        cursors = await self._asking.do("LRANGE", self._asking.key(channel, f"versions:{line_id}"), 0, -1)
        found = [await self.range(channel, cursor.decode(), cursor.decode(), 1) for cursor in cursors]
        events = [event for page in found for event in page]
        if not events:
            raise no_versions(channel, line_id)
        return events

    async def recent(self, channel: str, since: int, limit: int) -> list[Event]:
        """The newest events from `since` on, in milliseconds; newest first."""
        found = await self._asking.do(
            "XREVRANGE", self._asking.key(channel, "events"), "+", f"{since}-0", "COUNT", limit
        )
        return [decode_event(body_of(fields)) for _, fields in found]

    async def events(self, channel: str, after: str | None, limit: int) -> Page:
        start = "-"
        if after is not None:
            Cursor.parse(after)
            if not await self.range(channel, after, after, 1) and after != await self.head(channel):
                raise no_event(channel, after)
            start = f"({after}"
        found = await self.range(channel, start, "+", limit + 1)
        events = found[:limit]
        ids = {event.line.id for event in events}
        now = await self.lines(channel, ids)
        withdrawn: dict[str, Status] = {
            line_id: now[line_id].status if line_id in now else "canceled"
            for line_id in ids
            if line_id not in now or now[line_id].status != "usable"
        }
        return Page(events, withdrawn, more=len(found) > limit)

    async def range(self, channel: str, start: str, end: str, count: int) -> list[Event]:
        """A stretch of the stream, as the server gives it: [[id, [field, value]], …]."""
        found = await self._asking.do("XRANGE", self._asking.key(channel, "events"), start, end, "COUNT", count)
        return [decode_event(body_of(fields)) for _, fields in found]


def body_of(fields: list[bytes] | dict[bytes, bytes]) -> bytes:
    """The event in an entry of the stream."""
    return fields[1] if isinstance(fields, list) else fields[b"event"]
