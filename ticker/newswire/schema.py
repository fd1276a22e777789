"""What is kept has a number, and steps from each number to the next. Knows files of steps; knows no backend."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import NamedTuple

from ticker.errors import Misconfigured

_NAME = re.compile(r"(\d{4})_\w+\.(?:sql|lua)")


class Migration(NamedTuple):
    """A step to a schema from the one before it. `what` is said of it in the log: the first line of its file."""

    number: int
    what: str
    script: str


def read_migrations(package: str) -> list[Migration]:
    """Those that lie in a package, in their order: numbered from 1, and none is left out."""
    found = {}
    for file in files(package).iterdir():
        if named := _NAME.fullmatch(file.name):
            script = file.read_text("utf-8")
            found[int(named[1])] = script
    migrations = [Migration(n, found[n].partition("\n")[0].removeprefix("-- "), found[n]) for n in sorted(found)]
    assert [step.number for step in migrations] == list(range(1, len(migrations) + 1)), f"{package} lacks a step"
    return migrations


def of_another_version(place: str, schema: int, known: int, remedy: str) -> Misconfigured:
    """What is kept is newer than this version knows. `remedy`: what else an operator can do."""
    return Misconfigured(
        f"{place} was written by another version of Ticker (schema {schema}, this one reads {known}). "
        f"Start that version, or {remedy}."
    )
