"""What lines and frames look like to a person at a terminal. Pure: JSON objects in, words out."""

from __future__ import annotations

from typing import Any

SHOWN = (
    "id channel status urgency text url source story note pinned language direction version "
    "published updated corrected expires"
).split()


def frame(given: dict[str, Any]) -> str:
    match given["type"]:
        case "board":
            return board(given)
        case "line":
            return f"{given['channel']}  {told(given['line'])}"
        case "beat":
            return f"{given['channel']}  ♥ {given['now']}"
        case other:
            return f"{given.get('channel', '')}  {other}"


def board(given: dict[str, Any]) -> str:
    lines = given["lines"]
    head = f"── {given['channel']} · {_count(len(lines), 'line')} · {given['cursor'] or 'nothing yet'}"
    return "\n".join([head, *(f"   {told(line)}" for line in lines)])


def told(line: dict[str, Any]) -> str:
    """In one row. The day is in it: what was said yesterday is not of today."""
    words = line.get("text") or f"[{line['status']}]" + (f" {line['note']}" if line.get("note") else "")
    marks = " (corrected)" if line.get("corrected") and line["status"] == "usable" else ""
    marks += " (pinned)" if line.get("pinned") else ""
    return f"{moment(line['updated'])}  {line['id']}  {line['urgency']:<8}  {words}{marks}"


def whole(line: dict[str, Any]) -> str:
    """Every field that it has, one a row."""
    given = {name: line[name] for name in SHOWN if name in line} | line
    return "\n".join(f"{name:<10}  {_value(value)}" for name, value in given.items())


def version(line: dict[str, Any]) -> str:
    by = f"  by {line['by']['name']}" if line.get("by") else ""
    by += f", approved by {line['approval']['by']['name']}" if line.get("approval") else ""
    by += " (refiled)" if line.get("refile") else ""
    note = f"  ({line['note']})" if line.get("note") and line.get("text") else ""
    return f"{line['version']:>3}  {told(line)}{note}{by}"


def draft(given: dict[str, Any]) -> str:
    """In one row: what it is, when it is due, and what it says."""
    words = given.get("text") or f"[{given['kind']} {given['line']}]"
    due = f" due {_clock(given['due'])} (in {_span(given['due']['in'])})" if given.get("due") else ""
    return f"{given['id']}  {given['state']}{due}  {words}  by {given['by']['name']}"


def waits(given: dict[str, Any]) -> str:
    """What a draft waits for, and the command that goes on with it."""
    which = f"-c {given['channel']} {given['id']}"
    match given["state"]:
        case "open":
            return f"It is open, and does not go out yet. To hand it over: ticker draft submit {which}"
        case "scheduled":
            due = given["due"]
            when = f"{_clock(due)} ({due['timezone']}), in {_span(due['in'])}"
            return f"It goes out at {when}. To recall it: ticker draft discard {which}"
        case "submitted" if given["needs_approval"]:
            return f"It waits for a second person, who approves it with: ticker draft approve {which}"
        case "submitted":
            return f"It is submitted, and waits for an editor: ticker draft publish {which}"
        case "released":
            return f"It is on the air as {given['line']}."
        case "missed":
            return f"It was missed: it could not go out at its time. To publish it now: ticker draft publish {which}"
        case "conflict":
            why = given["history"][-1].get("note") or "Its line has changed since it was written."
            return (
                f"It is in conflict. {why} Read the line: ticker show -c {given['channel']} {given['line']}. If the "
                f"draft is still right: ticker draft edit {which} --line-version NUMBER. If not: "
                f"ticker draft discard {which}"
            )
        case "discarded":
            return "It is discarded, and won't go out."
        case state:
            return f"It is {state}."


def whole_draft(given: dict[str, Any]) -> str:
    """Every field that it has, one a row, then its history."""
    rows = {name: value for name, value in given.items() if name not in ("history", "approval", "due")}
    rows |= {name: value["name"] for name, value in rows.items() if name in ("by", "approved_by") and value}
    if given.get("due"):
        rows["due"] = f"{_clock(given['due'])} ({given['due']['timezone']}), in {_span(given['due']['in'])}"
    steps = []
    for step in given["history"]:
        by = f" by {step['by']['name']}" if step["by"] else ""
        note = f": {step['note']}" if step.get("note") else ""
        steps.append(f"  {moment(step['at'])}  {step['did']}{by}{note}")
    return "\n".join([*(f"{name:<14}  {_value(value)}" for name, value in rows.items()), "history", *steps])


def check(given: dict[str, Any]) -> str:
    """Warnings, lines like it, and whom it would reach."""
    rows = [
        f"{'BLOCKS ' if each['blocking'] else 'advice '} {each['code']}: {each['detail']}" for each in given["warnings"]
    ]
    rows += [f"similar  {told(line)}" for line in given["similar"]]
    rows += [
        f"reach    {each['channel']}: {_count(each['readers'], 'open banner')}" for each in given["reach"]["channels"]
    ]
    if given["reach"]["lacking"]:
        rows.append(f"lacking  no line of this story yet on {', '.join(given['reach']['lacking'])}")
    return "\n".join(rows)


def locks(given: list[dict[str, Any]], between: str = "\n") -> str:
    rows = [
        f"{each['channel']} is locked by {each['by']['name']} since {moment(each['at'])}: {each['reason']}"
        for each in given
    ]
    return between.join(rows) or "The desk is not locked."


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"


def _span(seconds: float) -> str:
    """Whole units, the two largest."""
    left = max(0, round(seconds))
    parts = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "a moment"


def _clock(due: dict[str, Any]) -> str:
    """A time on the newsroom's clocks, to the second, with its offset."""
    at = str(due["newsroom"])
    return f"{at[:10]} {at[11:19]}{at[-6:]}"


def moment(time: str) -> str:
    """An RFC 3339 time in UTC, to the second, as people read it."""
    return f"{time[:10]} {time[11:19]}Z"


def _value(value: object) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
