"""The ledger of corrections, as Redis keeps it. Knows entries; decides on none.

One sorted set for each channel, whose members are sorted as bytes: each begins with its cursor, of a fixed width. The
same entry twice is one.
"""

from __future__ import annotations

import msgspec

from ticker.corrections import Correction
from ticker.line import Cursor
from ticker.newswire.redis.asking import Asking

_decode = msgspec.json.Decoder(Correction).decode
_WIDTH = 15  # digits, as many as a cursor's numbers may have
_BODY_AT = 2 * _WIDTH + 1


class Corrections:
    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def upto(self, channel: str) -> str | None:
        upto = await self._asking.do("GET", self._upto(channel))
        return upto.decode() if upto else None

    async def keep(self, channel: str, found: list[Correction], upto: str) -> None:
        for each in found:  # first, or a node that stops between the two would leave some out
            member = _place(Cursor.parse(each.cursor)) + msgspec.json.encode(each)
            await self._asking.do("ZADD", self._entries(channel), 0, member)
        await self._asking.do("SET", self._upto(channel), upto)

    async def page(self, channel: str, before: Cursor | None, limit: int) -> list[Correction]:
        newest = b"(" + _place(before) if before else b"+"
        members = await self._asking.do("ZREVRANGEBYLEX", self._entries(channel), newest, "-", "LIMIT", 0, limit)
        return [_decode(member[_BODY_AT:]) for member in members]

    async def reset(self, channel: str) -> None:
        await self._asking.do("DEL", self._entries(channel))
        await self._asking.do("DEL", self._upto(channel))

    async def trim(self, channel: str, oldest: int) -> None:
        """Let go of those that are older than this, in milliseconds."""
        await self._asking.do("ZREMRANGEBYLEX", self._entries(channel), "-", b"(" + _place(Cursor(oldest, 0)))

    def _entries(self, channel: str) -> str:
        return self._asking.key(channel, "corrections")

    def _upto(self, channel: str) -> str:
        return self._asking.key(channel, "corrections-upto")


def _place(cursor: Cursor) -> bytes:
    return b"%0*d-%0*d" % (_WIDTH, cursor.ms, _WIDTH, cursor.n)
