"""One step upon a draft, which is taken once, however often it is sent. Knows the API's answers; knows no option.

Rule 1: a step names the revision that was read just before (If-Match). A repeat after a lost answer never undoes what
        somebody did meanwhile.
Rule 2: if the repeat is refused, the draft's history says whether the step was taken. It is compared, never guessed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import click
import msgspec

from ticker import terminal, text
from ticker.cli.options import REFUSED, draft_path, fail, line_path
from ticker.line import Patch, checked

if TYPE_CHECKING:
    from ticker.client import Client

Verb = Literal["submit", "approve", "return", "publish", "discard", "edit"]

LEAVES: Final[dict[Verb, tuple[tuple[str, ...], ...]]] = {
    "submit": (("submitted",), ("submitted", "scheduled")),
    "approve": (("approved",),),
    "return": (("returned",),),
    "publish": (("scheduled",), ("approved",), ("submitted",)),
    "discard": (("discarded",),),
    "edit": (("edited",),),
}
"""What each step leaves in the history, in one of these ways."""
METHODS: Final[dict[Verb, str]] = {"discard": "DELETE", "edit": "PATCH"}
ROUNDING = timedelta(milliseconds=2)  # the node rounds times up to the millisecond
FIELDS: Final = frozenset(Patch.__struct_fields__) - {"refile"}


def read(client: Client, channel: str, draft_id: str) -> dict[str, Any]:
    """The draft. Ends the command if there is none, or none that this key may see."""
    from ticker.client import ServerRefused

    try:
        found: dict[str, Any] = client.call("GET", draft_path(channel, draft_id))
    except ServerRefused as error:
        if error.status == 404 and draft_id in str(error):
            fail(f"{error} `ticker draft list -c {channel}` lists those that you may see.", REFUSED)
        raise
    return found


def take(client: Client, channel: str, draft_id: str, verb: Verb, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The draft after the step. Ends the command if the node refuses it."""
    from ticker.client import ServerRefused

    path = draft_path(channel, draft_id)
    before = read(client, channel, draft_id)
    if body and body.get("refile") and not before["line"]:
        raise click.UsageError("--refile is for a draft that changes a line. This one is of a new line: leave it out.")
    to = path if verb in METHODS else f"{path}/{verb}"
    try:
        answer: dict[str, Any] = client.call(METHODS.get(verb, "POST"), to, body, {"If-Match": before["etag"]})
        return answer
    except ServerRefused as error:
        if error.status == 409 and before["line"] and not error.warnings:
            _expect_current(client, channel, before)
        if error.status != 412:
            raise
        now = read(client, channel, draft_id)
        if not (error.unsettled and _taken(client.key_id, before, now, verb, body or {})):
            fail(_changed(channel, before, now), REFUSED)
        if now["state"] in ("missed", "conflict"):
            fail(f"The draft did not go out. {terminal.waits(now)}", REFUSED)
        return now


def _taken(me: str, before: dict[str, Any], now: dict[str, Any], verb: Verb, body: dict[str, Any]) -> bool:
    """Whether the last that people did to the draft is this very step, and did what was asked."""
    people = [step for step in _new(before, now) if step["by"]]
    if any(step["by"]["id"] != me for step in people) or tuple(step["did"] for step in people) not in LEAVES[verb]:
        return False
    at = datetime.fromisoformat(people[-1]["at"])
    match verb:
        case "return":
            return bool(people[-1].get("note") == _one_line(body["reason"]))
        case "publish" if people[-1]["did"] != "submitted":
            return _is_near(now["publish_at"], at + timedelta(seconds=body.get("publish_in", 0)))
        case "approve" if before["publish_at"] is None and "publish_in" in body:
            return _is_near(now["publish_at"], at + timedelta(seconds=body["publish_in"]))
        case "edit":
            return _says(now, body, at)
        case _:
            return True


def _new(before: dict[str, Any], now: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps taken since."""
    return [step for step in now["history"] if step not in before["history"]]


def _says(now: dict[str, Any], body: dict[str, Any], at: datetime) -> bool:
    """Whether the draft has what an edit asked for."""
    asked = {name: value for name, value in body.items() if name in FIELDS}
    clean = msgspec.to_builtins(checked(msgspec.convert(asked, Patch)))
    if any(name not in now or now[name] != clean[name] for name in asked):
        return False
    if "note_to_desk" in body and now["note_to_desk"] != _one_line(body["note_to_desk"]):
        return False
    if "publish_in" in body:
        return _is_near(now["publish_at"], at + timedelta(seconds=body["publish_in"]))
    if body.get("publish_at"):
        return _is_near(now["publish_at"], datetime.fromisoformat(body["publish_at"]))
    return "publish_at" not in body or now["publish_at"] is None


def _is_near(found: str | None, expected: datetime) -> bool:
    return found is not None and abs(datetime.fromisoformat(found) - expected.astimezone(UTC)) <= ROUNDING


def _one_line(given: str | None) -> str | None:
    """A remark as the node keeps it."""
    return None if given is None else text.one_line(given, text.NOTE_MAX)


def _changed(channel: str, before: dict[str, Any], now: dict[str, Any]) -> str:
    """Who was faster, and what to do."""
    steps = _new(before, now)
    people = [step for step in steps if step["by"]]
    last = (people or steps or now["history"])[-1]
    by = f" by {last['by']['name']}" if last["by"] else ""
    note = f": {last['note'].rstrip('.')}" if last.get("note") else ""
    return (
        f"The draft was changed meanwhile{by} ({last['did']}{note}); read it with "
        f"`ticker draft show -c {channel} {now['id']}`, and repeat your command if it is still right."
    )


def _expect_current(client: Client, channel: str, draft: dict[str, Any]) -> None:
    """Ends the command if the line has changed since the draft was written: what to do then is another command."""
    if draft["state"] in ("released", "discarded"):
        return
    line = client.call("GET", line_path(channel, draft["line"]))
    if line["version"] == draft["version"] or line["status"] == "canceled":
        return
    fail(
        f"The line has changed since this draft was written: it is at version {line['version']} now "
        f"({line['status']}). Read it with `ticker show -c {channel} {line['id']}`. If the draft is still right, write "
        f"it anew against that version: `ticker draft edit -c {channel} {draft['id']} --line-version "
        f"{line['version']}`.",
        REFUSED,
    )
