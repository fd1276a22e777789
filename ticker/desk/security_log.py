"""What an operator must be able to look up after an attack, one line an event. Knows no key's secret, no route.

A line is `EVENT name=value …`. It holds key ids and roles, and addresses if the operator asks for them; never a secret
or a part of one. Text that a stranger chose is escaped and cut, so that it can't pass for a line of this log.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from starlette.requests import Request

MINUTE = 60.0  # seconds over which events are counted, from the first of them
LINES_MAX = 100  # refusals of one kind that are logged in a minute; the rest is logged as a number
SHOWN_MAX = 100  # characters of what a stranger chose
ADDRESS_MAX = 64  # characters; no IP address has more, and a proxy may pass on anything

log = logging.getLogger("ticker.security")
_PLAIN = re.compile(r"[A-Za-z0-9_.:/+-]+")


class Address(NamedTuple):
    """Where a request came from: the address itself, and the network that its sender has all of (IPv6: a /64)."""

    shown: str
    network: str


NOWHERE = Address("-", "-")


def address_of(request: Request) -> Address:
    return address(request.client.host) if request.client and len(request.client.host) <= ADDRESS_MAX else NOWHERE


@lru_cache(maxsize=1024)
def address(host: str) -> Address:
    """What isn't an IP address counts as one and the same."""
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])  # the zone is the sender's own text
    except ValueError:
        return NOWHERE
    if isinstance(ip, ipaddress.IPv4Address):
        return Address(str(ip), str(ip))
    if mapped := ip.ipv4_mapped:
        return Address(str(mapped), str(mapped))
    return Address(str(ip), str(ipaddress.ip_network((ip, 64), strict=False)))


class Window:
    """Counts up to `limit` events within a minute of the first. Then it is full until that minute is over.

    `filled` is called when it is full, `emptied` when it no longer is, with the number of events that found no room.
    """

    __slots__ = ("_count", "_emptied", "_filled", "_limit", "_turned_away", "_until")

    def __init__(self, limit: int, filled: Callable[[], None], emptied: Callable[[int], None]) -> None:
        self._limit = limit
        self._filled = filled
        self._emptied = emptied
        self._count = self._turned_away = 0
        self._until = 0.0

    @property
    def seconds_left(self) -> int:
        """Until it takes events again; 0 while it does."""
        if self._count < self._limit:
            return 0
        return max(1, math.ceil(self._until - asyncio.get_running_loop().time()))

    def turn_away(self) -> None:
        """Count an event for which there is no room."""
        self._turned_away += 1

    def take(self) -> None:
        """Count an event for which there is room."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._until:
            self._count, self._until = 0, loop.time() + MINUTE
        self._count += 1
        if self._count == self._limit:
            loop.call_at(self._until, self._empty)
            self._filled()

    def _empty(self) -> None:
        turned_away = self._turned_away
        self._count, self._turned_away, self._until = 0, 0, 0.0
        self._emptied(turned_away)


class SecurityLog:
    """Writes the lines. `addresses`: with the address that each event came from."""

    def __init__(self, *, addresses: bool = False) -> None:
        self._addresses = addresses
        self._refusals: dict[str, Window] = {}

    def note(self, event: str, address: Address | None = None, **facts: str) -> None:
        self._write(logging.INFO, event, address, facts)

    def refused(self, event: str, address: Address | None = None, **facts: str) -> None:
        """The same for a refusal, which strangers can bring about as often as they like. There are few kinds."""
        if event not in self._refusals:
            self._refusals[event] = Window(
                int(LINES_MAX),
                lambda: self._write(logging.WARNING, "flood-begins", None, {"of": event}),
                lambda more: self._write(logging.WARNING, "flood-ends", None, {"of": event, "unlogged": str(more)}),
            )
        window = self._refusals[event]
        if window.seconds_left:
            window.turn_away()
            return
        self._write(logging.WARNING, event, address, facts)
        window.take()

    def warn(self, event: str, address: Address | None = None, **facts: str) -> None:
        self._write(logging.WARNING, event, address, facts)

    def _write(self, level: int, event: str, address: Address | None, facts: dict[str, str]) -> None:
        if address and self._addresses:
            facts = {**facts, "address": address.shown}
        log.log(level, "%s", " ".join([event, *(f"{name}={_escaped(value)}" for name, value in facts.items())]))


def _escaped(value: str) -> str:
    """Unchanged if it can't be misread, else as a JSON string in ASCII: one line, no bidi, no terminal codes."""
    cut = value if len(value) <= SHOWN_MAX else f"{value[:SHOWN_MAX]}…"
    return cut if _PLAIN.fullmatch(cut) else json.dumps(cut).replace("\x7f", "\\u007f")
