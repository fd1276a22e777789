"""Frames as a node sends them, for tests that give them to the widget themselves."""

from __future__ import annotations

from typing import Any


def line_of(line_id: str, **fields: Any) -> dict[str, Any]:
    line = {
        "id": line_id,
        "channel": "en",
        "text": f"Line {line_id}",
        "urgency": "urgent",
        "status": "usable",
        "version": 1,
        "published": "2030-01-01T12:00:00.000Z",
        "updated": "2030-01-01T12:00:00.000Z",
        "corrected": None,
        "expires": None,
        "pinned": False,
        "url": None,
        "source": None,
        "story": None,
        "note": None,
        "language": "en",
        "direction": "ltr",
    }
    return line | fields


def board_frame(lines: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    board = {
        "type": "board",
        "channel": "en",
        "cursor": "9-0",
        "now": "2030-01-01T12:00:00.000Z",
        "lines": lines,
        "title": "English",
        "label": "Breaking",
        "language": "en",
        "direction": "ltr",
        "max_lines": 3,
    }
    return board | fields


def event(cursor: str, prev: str | None, line: dict[str, Any]) -> dict[str, Any]:
    return {"type": "line", "channel": "en", "cursor": cursor, "prev": prev, "line": line}
