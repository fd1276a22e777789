"""Who acts in tests of the newswire: an editor of this name."""

from __future__ import annotations

from ticker.identity import Actor
from ticker.line import Act


def act(name: str = "Ada") -> Act:
    return Act(by=Actor(name.lower(), name))
