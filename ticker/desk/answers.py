"""What an editor's request is answered once its change is kept. Knows lines and what of them is public."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from ticker.channel import Channel
from ticker.fanout.relay import Relay
from ticker.http.answers import json_answer
from ticker.newswire import Newswire, Outcome

ON_AIR_WITHIN = 2.0  # seconds that an answer waits until this node's readers have the line; it is kept in any case


class Answers:
    def __init__(self, newswire: Newswire, relay: Relay) -> None:
        self._newswire = newswire
        self._relay = relay

    def json(self, content: object, headers: Mapping[str, str] | None = None) -> Response:
        return json_answer(content, headers=headers)

    async def on_air(self, channel: Channel, outcome: Outcome) -> None:
        """Until the first of this node's readers have been sent the change."""
        if outcome.event:
            await self._relay.arrived(channel.slug, outcome.event.cursor, ON_AIR_WITHIN)

    async def published(self, channel: Channel, outcome: Outcome) -> Response:
        """201, and where the line is."""
        location = f"/v1/channels/{channel.slug}/lines/{outcome.line.id}"
        return await self._kept(channel, outcome, 201, {"Location": location})

    async def changed(self, channel: Channel, outcome: Outcome) -> Response:
        return await self._kept(channel, outcome, 200, {})

    async def _kept(self, channel: Channel, outcome: Outcome, status: int, headers: Mapping[str, str]) -> Response:
        line = outcome.line
        await self.on_air(channel, outcome)
        if outcome.replayed:
            headers = {**headers, "Idempotency-Replayed": "true"}
            now = await self._newswire.line(channel.slug, line.id)
            line = line if now.status == "usable" else now  # the same answer, but never words since withdrawn
        return json_answer(line.public(channel.tombstones_for), status, headers={**headers, "ETag": line.etag})
