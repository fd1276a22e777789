"""The list of attacks. Knows what each is called and how it is carried out; knows no bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

from tests.attack.stranger import Stranger

Way = Literal["direct", "caddy"]
Wage = Callable[[Stranger], Awaitable[None]]

DIRECTLY: tuple[Way, ...] = ("direct",)
BOTH_WAYS: tuple[Way, ...] = ("direct", "caddy")


class Attack(NamedTuple):
    name: str
    wage: Wage
    ways: tuple[Way, ...]
    quick: bool
    """Whether the short run has it too."""
    few_files: bool
    """Whether it is also for a node that may open few files."""
    readers: bool
    """Whether its connections may be readers in good standing, which stay."""


ATTACKS: list[Attack] = []


def attack(
    name: str,
    *,
    ways: tuple[Way, ...] = DIRECTLY,
    quick: bool = False,
    few_files: bool = False,
    readers: bool = False,
) -> Callable[[Wage], Wage]:
    def keep(wage: Wage) -> Wage:
        assert all(name != each.name for each in ATTACKS), name
        ATTACKS.append(Attack(name, wage, ways, quick, few_files, readers))
        return wage

    return keep


def load() -> list[Attack]:
    """All of them, in the order in which they are carried out: what holds connections first, as it takes longest."""
    from tests.attack import holds, frames, requests, questions, floods  # noqa: F401, I001

    return ATTACKS
