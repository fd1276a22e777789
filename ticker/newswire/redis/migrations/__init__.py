"""What Redis keeps, brought up step by step, once for all nodes. Knows every schema there has been; knows no line.

Each channel, and the editors' keys, have a marker of their own beside what they keep, for in a Cluster they live on
different servers: a step and its number are one script on one server. Of several nodes that start at once one takes
the step, and the others find it taken. The steps lie beside this, one file each. One that has been released is never
changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple

from ticker.errors import Misconfigured, NewswireFull
from ticker.newswire.redis.asking import Asking, Refused, Script
from ticker.newswire.schema import Migration, of_another_version, read_migrations

MIGRATIONS = read_migrations(__name__)
NUMBERED_ONLY = 3  # up to this schema nothing but the number changes, so what is kept can be read without the step

_STEP = """\
if (redis.call('GET', KEYS[1]) or '0') ~= '{before}' then
    return 0
end
do
{script}
end
redis.call('SET', KEYS[1], '{number}')
return 1
"""

log = logging.getLogger("ticker.newswire")


class _Part(NamedTuple):
    """What is brought up in one step: its keys, of one hash tag, the marker first; and its schema."""

    keys: list[str]
    schema: int
    is_empty: bool


class Migrations:
    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._place = ",".join(f"{host}:{port}" for host, port in asking.topology.servers)

    async def look(self, channels: Iterable[str]) -> list[_Part]:
        """What is kept, and its schemas. Raises Misconfigured if a newer version has written it."""
        key = self._asking.key
        parts = [await self._part([key("keys", "schema-of-keys"), self._asking.keys_key])]
        for slug in channels:
            keys = [key(slug, part) for part in ("schema", "head", "events", "lines", "index")]
            parts.append(await self._part(keys))
        newest = max(part.schema for part in parts)
        if newest > len(MIGRATIONS):
            place = f"The newswire on Redis at {self._place}"
            raise of_another_version(place, newest, len(MIGRATIONS), "name another prefix (?prefix=NAME)")
        return parts

    async def _part(self, keys: list[str]) -> _Part:
        schema = int(await self._asking.do("GET", keys[0]) or 0)
        return _Part(keys, schema, not await self._asking.do("EXISTS", keys[1]))

    async def migrate(self, channels: Iterable[str]) -> None:
        """Bring up what is kept, and say so before. Raises Misconfigured."""
        parts = await self.look(channels)
        oldest = min([part.schema for part in parts if not part.is_empty], default=len(MIGRATIONS))
        if steps := MIGRATIONS[oldest:]:
            log.warning(
                "Redis at %s keeps what an older version wrote (schema %d). This node brings it up to schema %d, "
                "once for all nodes: %s",
                self._place,
                oldest,
                len(MIGRATIONS),
                " ".join(step.what for step in steps),
            )
        try:
            for part in parts:
                for step in MIGRATIONS[part.schema :]:
                    await self._take(step, part)
        except (NewswireFull, Refused) as error:
            if len(MIGRATIONS) > NUMBERED_ONLY and steps:
                raise Misconfigured(
                    f"Redis at {self._place} takes no changes just now, so what an older version wrote can't be "
                    f"brought up to this one. {error.detail}"
                ) from error

    async def _take(self, step: Migration, part: _Part) -> None:
        script = _STEP.format(before=step.number - 1, script=step.script, number=step.number)
        await self._asking.run(Script(script), part.keys, [])
