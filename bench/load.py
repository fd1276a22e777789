"""The load generator's other end: builds load.c, gives it commands, takes its answers. Knows no peer's inside."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bench.machine import LOAD_CORE

HERE = Path(__file__).parent
BUILT = HERE / ".built"

Answer = dict[str, Any]

# What must be nought, or the figures beside it mean nothing. Boards are repairs: the reader got all, differently.
FAULTS = ("missing", "duplicated", "disordered", "malformed", "dropped", "refused", "publish_failed")


class BuildFailed(Exception):
    """A C program can't be compiled; says why."""


def build(source: Path) -> Path:
    """Compile a C file of this folder, unless that is done. Raises BuildFailed."""
    BUILT.mkdir(exist_ok=True)
    program = BUILT / source.stem
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    command = ["cc", "-O2", "-std=gnu17", "-o", str(program), str(source)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise BuildFailed("there is no C compiler (cc)") from error
    except subprocess.CalledProcessError as error:
        raise BuildFailed(f"{source.name} doesn't compile: {error.stderr.strip()[:300]}") from error
    return program


class LoadEnded(Exception):
    """The load generator gave up; what it said last stands on standard error."""


class Load:
    """A running load generator, on its own core. Each method gives a command and returns its answer."""

    def __init__(self, port: int, path: str, publish_port: int, request: Path) -> None:
        self._process = subprocess.Popen(
            [str(build(HERE / "load.c")), str(port), path, str(publish_port), str(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}),
        )
        self.faults: dict[str, int] = {}
        self.boards = 0

    def connect(self, count: int, **options: object) -> Answer:
        return self._ask("connect", count=count, **options)

    def lines(self, count: int, **options: object) -> Answer:
        return self._ask("lines", count=count, **options)

    def close_readers(self, **options: object) -> Answer:
        return self._ask("close", **options)

    def wait(self, seconds: float) -> Answer:
        return self._ask("wait", seconds=seconds)

    def end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout
        self._process.stdout.close()

    def _ask(self, command: str, **options: object) -> Answer:
        assert self._process.stdin
        assert self._process.stdout
        words = [command, *(f"{name}={value}" for name, value in options.items())]
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        if not (row := self._process.stdout.readline()):
            raise LoadEnded("the load generator gave up on it")
        answer: Answer = json.loads(row)
        for fault in FAULTS:
            if answer.get(fault):
                self.faults[fault] = self.faults.get(fault, 0) + answer[fault]
        self.boards += answer.get("boards", 0)
        return answer
