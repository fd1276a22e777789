"""The peers side by side, in turn, round after round. Knows rounds; knows no trial's inside and no report."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import machine, trials
from bench.load import LoadEnded
from bench.peers import NotToBeHad, Peer, Ticker
from bench.progress import Progress
from bench.results import Results
from bench.trials import Figures, Scale

START = 1.0  # seconds to start and stop a peer; for the bar alone


def _plan(kinds: list[type[Peer]], rounds: int) -> list[list[tuple[type[Peer], tuple[str, ...]]]]:
    """Round by round, who is measured by what. The order turns, so that none always follows the same one.

    What is aimed at is measured in each round. The joins and the stalled, for which the peers are a landmark, are
    measured in their first round alone; so is a peer that nothing is aimed at.
    """
    plan: list[list[tuple[type[Peer], tuple[str, ...]]]] = []
    for number in range(rounds):
        turn = number % len(kinds)
        plan.append(
            [
                (kind, trials.ALL if kind is Ticker or number == 0 else trials.BASIC)
                for kind in kinds[turn:] + kinds[:turn]
                if kind.rounds is None or number < kind.rounds
            ]
        )
    return plan


def expected_seconds(kinds: list[type[Peer]], rounds: int, scale: Scale) -> float:
    steps = [taken for step in _plan(kinds, rounds) for _, taken in step]
    return sum(START + sum(scale.seconds(trial) for trial in taken) for taken in steps)


@contextmanager
def started(kind: type[Peer]) -> Iterator[Peer]:
    """A peer that runs. Raises NotToBeHad."""
    with tempfile.TemporaryDirectory(prefix="ticker-bench-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)  # nginx's worker is another user
        peer = kind(Path(folder))
        peer.start()
        try:
            yield peer
        finally:
            peer.stop()


def _telling(progress: Progress, at: str) -> Callable[[str], None]:
    return lambda trial: progress.at(f"{at}, {trial}")


def run(
    kinds: list[type[Peer]], rounds: int, scale: Scale, patience: float, results: Results, progress: Progress
) -> None:
    """Measure every peer; what is known is kept after each round, so that a run broken off has that."""
    figures: dict[str, list[Figures]] = {kind.name: [] for kind in kinds}
    faults: dict[str, dict[str, int]] = {kind.name: {} for kind in kinds}
    boards = dict.fromkeys(figures, 0)
    versions: dict[str, str] = {}
    absent: dict[str, str] = {}
    busy = 0.0
    for number, step in enumerate(_plan(kinds, rounds)):
        busy = max(busy, machine.wait_for_calm(patience))
        for kind, taken in step:
            at = f"round {number + 1} of {rounds}: {kind.name}"
            if kind.name not in absent:
                try:
                    with started(kind) as peer:
                        versions[kind.name] = peer.version
                        measured, load = trials.take(peer, scale, taken, _telling(progress, at))
                    figures[kind.name].append(measured)
                    boards[kind.name] += load.boards
                    for name, count in load.faults.items():
                        faults[kind.name][name] = faults[kind.name].get(name, 0) + count
                except (NotToBeHad, LoadEnded) as error:
                    absent[kind.name] = f"{error} (round {number + 1})"
                    progress.say(f"{kind.name} is left out from here on: {error}")
            progress.done(START + sum(scale.seconds(trial) for trial in taken))
        part = {
            "busy": busy,
            "rounds": number + 1,
            "scale": scale._asdict(),
            "versions": versions,
            "absent": absent,
            "figures": {name: rows for name, rows in figures.items() if rows},
            "faults": {name: wrong for name, wrong in faults.items() if wrong},
            "boards": {name: count for name, count in boards.items() if count},
        }
        results.keep("fanout", part)
