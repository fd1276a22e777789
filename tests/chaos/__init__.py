"""Breaks every part that can break, again and again, while lines go out; then checks that nothing was lost, duplicated
or damaged.

    python -m tests.chaos --seed 7 --faults 100 --readers 200 [--minutes 10] [--rollbacks 3]

Three nodes, each behind a proxy of its own, on one Redis that syncs every write (`world`, `faults`). Editors publish,
correct, hold, release and cancel; each request has an Idempotency-Key and is repeated, to any node, until it is
answered (`editors`). Readers do what the contract asks of readers (`readers`). What must hold: `verdict`.
"""

from __future__ import annotations

from typing import Any

CHANNELS = "en", "ar"
MAX_LINES = 10
TOMBSTONES = 100
ADMIN_KEY = "an-admin-key-for-chaos-of-at-least-32-characters"
NODES = 3

Object = dict[str, Any]


def numbers(cursor: str) -> tuple[int, int]:
    ms, _, n = cursor.partition("-")
    return int(ms), int(n)
