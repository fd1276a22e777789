"""The table of docs/desk.md: what becomes of a draft if its line is changed after it was written."""

from __future__ import annotations

import itertools
import re

from tests.conftest import ROOT

KINDS = ("publish", "correct", "cancel", "release")
MEANWHILE = ("corrected", "withheld", "canceled", "reinstated", "expired", "refiled", "pinned", "withheld again")
STAGES = ("edited", "approved", "due", "due too late")
ROW = re.compile(r"^\| ([a-z, ]+) \| ([a-z, ]+) \| ([a-z, ]+) \| ([a-z, ]+) \| ([a-z]+) \| ([a-z]+) \|$", re.M)

Case = tuple[str, str, str]
"""The draft's kind, what became of its line, and what is then done with the draft."""


def table() -> dict[Case, str]:
    """The rule of each case."""
    rules: dict[Case, str] = {}
    for kinds, changes, *outcomes in ROW.findall((ROOT / "docs" / "desk.md").read_text("utf-8")):
        if kinds.split(", ")[0] not in KINDS:
            continue
        meanwhile = MEANWHILE if changes == "anything" else changes.split(", ")
        stages = zip(STAGES, outcomes, strict=True)
        for kind, change, (stage, outcome) in itertools.product(kinds.split(", "), meanwhile, list(stages)):
            assert (kind, change, stage) not in rules, "two rules for one case"
            rules[kind, change, stage] = outcome
    return rules


RULES = table()


def begins_withheld(kind: str, change: str) -> bool:
    """Whether the line of the case was withheld when the draft was written."""
    return kind == "release" or change in ("reinstated", "withheld again")


def cases(*stages: str) -> list[tuple[str, str, str, str]]:
    return [(*case, outcome) for case, outcome in RULES.items() if case[2] in stages]
