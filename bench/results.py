"""Where figures are kept, one JSON file a part of the run, so that the report can be written again. Knows files."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine

Part = dict[str, Any]


class Results:
    """A folder of parts: `fanout`, `widget`, `soak`, `stalled`. Each says when, where and by what it was measured."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, name: str, part: Part) -> None:
        about = {
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "command": " ".join(["python -m bench", *sys.argv[1:]]),
            "machine": machine.description(),
        }
        text = json.dumps({**about, **part}, indent=1, ensure_ascii=False)
        (self.folder / f"{name}.json").write_text(text + "\n", "utf-8")

    def clear(self) -> None:
        for file in self.folder.glob("*.json"):
            file.unlink()

    def kept(self) -> dict[str, Part]:
        return {file.stem: json.loads(file.read_text("utf-8")) for file in sorted(self.folder.glob("*.json"))}
