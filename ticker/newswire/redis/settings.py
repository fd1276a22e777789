"""Whether the nodes that share this Redis declare a channel alike. Knows settings by name; changes none of them.

Every few seconds a node says just a digest, and asks for the settings of another only if it knows none by that digest.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping

import msgspec

from ticker.channel import Channel, as_declared
from ticker.newswire.redis.asking import Asking
from ticker.newswire.redis.clock import ServerClock
from ticker.newswire.redis.roll import KEPT_FOR, Roll
from ticker.newswire.trouble import Trouble
from ticker.text import shown

NAMED_MAX = 3  # nodes that a sentence names for each value, and differences that `/readyz` tells

Declared = Mapping[str, Mapping[str, str]]  # by channel and setting
Differences = dict[tuple[str, str], dict[str, list[str]]]  # by channel and setting: for each value, its nodes

log = logging.getLogger("ticker.newswire")


class SharedSettings:
    """What each node's ticker.toml sets of its channels. A channel that only one of them has is no difference."""

    def __init__(self, asking: Asking, node: str, clock: ServerClock, channels: Mapping[str, Channel]) -> None:
        self._asking = asking
        self._node = node
        self._channels = channels
        self._roll = Roll(asking, "settings", node, clock)
        self._known: dict[str, Declared] = {}  # by digest
        self._differ: str | None = None
        self._differing: dict[tuple[str, str], Trouble] = {}

    def differ(self) -> str | None:
        """In a sentence, which settings differ, if any do."""
        return self._differ

    async def say(self) -> None:
        """Say what this node's settings are, and see what the others' are. Version 0.1.0 says nothing."""
        if not self._roll.is_due():
            return
        ours = {slug: as_declared(channel) for slug, channel in self._channels.items()}
        encoded = msgspec.json.encode(ours, order="deterministic")
        digest = hashlib.sha256(encoded).hexdigest()
        await self._asking.do("SET", self._key(digest), encoded, "EX", KEPT_FOR)
        others = await self._roll.call(digest)
        known = {digest: ours, **{each: await self._by(each) for each in sorted(set(others.values()) - {digest})}}
        self._known = {each: declared for each, declared in known.items() if declared}
        self._note(differences({self._node: ours, **{node: known[each] for node, each in others.items()}}))

    async def _by(self, digest: str) -> Declared:
        """The settings of that digest; none if they are gone, or written as a newer version may write them."""
        if known := self._known.get(digest):
            return known
        encoded = await self._asking.do("GET", self._key(digest))
        try:
            return msgspec.json.decode(encoded or b"{}", type=dict[str, dict[str, str]])
        except msgspec.DecodeError:
            return {}

    def _note(self, found: Differences) -> None:
        for where, values in found.items():
            trouble = self._differing.setdefault(where, Trouble(log, f"All nodes have the same {_named(where)} again"))
            each = (f"{_quoted(value)} on {_some(nodes)}" for value, nodes in values.items())
            trouble.begins(f"{_differ_in(where)}: {'; '.join(each)}. {_advice(where)}", repr([*values]))
        for where in self._differing.keys() - found.keys():
            self._differing.pop(where).ends()
        # Anyone may read it, so it names no node.
        told = [f"{_differ_in(where)}: {' or '.join(map(_quoted, values))}." for where, values in found.items()]
        more = f" {len(told) - NAMED_MAX} more settings differ." if len(told) > NAMED_MAX else ""
        self._differ = " ".join(told[:NAMED_MAX]) + more if told else None

    async def leave(self) -> None:
        await self._roll.leave()

    def _key(self, digest: str) -> str:
        return f"{self._asking.keys_key}:settings:{digest}"


def differences(by_node: Mapping[str, Declared]) -> Differences:
    """What the nodes set differently. A setting that only some of them know says that their versions differ."""
    found: Differences = {}
    for node, channels in sorted(by_node.items()):
        for slug, declared in channels.items():
            for setting, value in declared.items():
                found.setdefault((slug, setting), {}).setdefault(value, []).append(node)
    return {where: dict(sorted(values.items())) for where, values in sorted(found.items()) if len(values) > 1}


def _named(where: tuple[str, str]) -> str:
    channel, setting = where
    return f"{shown(setting)} for the channel {shown(channel)}"


def _differ_in(where: tuple[str, str]) -> str:
    return f"Nodes that share this Redis differ in {_named(where)}"


def _quoted(value: str) -> str:
    return f'"{shown(value)}"'


def _some(nodes: list[str]) -> str:
    more = f" and {len(nodes) - NAMED_MAX} more" if len(nodes) > NAMED_MAX else ""
    return ", ".join(shown(node) for node in nodes[:NAMED_MAX]) + more


def _advice(where: tuple[str, str]) -> str:
    """What to do, and what holds meanwhile."""
    kept = " Until then nothing is deleted that one of them keeps." if where[1] in ("history", "tombstones") else ""
    return f"Give them the same ticker.toml.{kept}"
