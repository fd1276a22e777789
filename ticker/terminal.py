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
    count = "1 line" if len(lines) == 1 else f"{len(lines)} lines"
    head = f"── {given['channel']} · {count} · {given['cursor'] or 'nothing yet'}"
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
    by = f"  by {line['by']}" if "by" in line else ""
    note = f"  ({line['note']})" if line.get("note") and line.get("text") else ""
    return f"{line['version']:>3}  {told(line)}{note}{by}"


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
