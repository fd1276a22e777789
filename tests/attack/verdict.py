"""What must hold, and the table that shows it."""

from __future__ import annotations

from collections.abc import Sequence

from tests.attack import GROWTH_MAX, HELD_MAX
from tests.attack.world import NOBODY, Figures, World

MIB = 1_048_576


class Verdict:
    """Over one node. `late_max` in seconds."""

    def __init__(self, world: World, late_max: float, readers_attacks: set[str]) -> None:
        self.faults: list[str] = []
        self._world = world
        self._late_max = late_max
        self._readers_attacks = readers_attacks
        self._editor_failures = 0
        self._lost = 0
        self.rows: list[tuple[Figures, list[str]]] = []

    def add(self, figures: Figures) -> list[str]:
        """What is wrong at the end of an attack, in a few words each."""
        world = self._world
        wrong = []
        if figures.late and figures.late[-1] > self._late_max and figures.attack != NOBODY:
            wrong.append(f"a line was {figures.late[-1] * 1000:.0f} ms late")
        if figures.missing:
            wrong.append(f"{figures.missing} lines did not reach every reader")
        if (grown := self.growth(figures)) > GROWTH_MAX:
            wrong.append(f"memory grew by {grown / MIB:.0f} MB")
        if failures := world.failures[self._editor_failures :]:
            wrong.append(f"the editor was not served {len(failures)} times: {failures[0]}")
        if lost := world.lost - self._lost:
            wrong.append(f"{lost} readers lost their connection")
        if not world.node.is_alive:
            wrong.append("the node has ended")
        self._editor_failures, self._lost = len(world.failures), world.lost
        self.rows.append((figures, wrong))
        self.faults += [f"{figures.attack}: {words}" for words in wrong]
        return wrong

    def growth(self, figures: Figures) -> int:
        world = self._world
        return figures.resident + figures.kernel - world.resident_before - world.kernel_before

    def judge(self) -> None:
        """What shows at the end alone: connections that were held, and what the log says."""
        for attack, seconds in self.held().items():
            if seconds > HELD_MAX:
                self.faults.append(f"{attack}: a connection was held for {seconds:.0f} s or more")
        if tracebacks := self._world.node.log.count("Traceback"):
            _, _, first = self._world.node.log.partition("Traceback")
            self.faults.append(f"the node's log has {tracebacks} tracebacks; the first: {first[:2_000]}")

    def held(self) -> dict[str, float]:
        """For how many seconds an attack's connections lasted at most; of readers, how long they were waited for."""
        longest: dict[str, float] = {}
        for life in self._world.lives.values():
            as_reader = life.attack in self._readers_attacks
            seconds = life.longest_unsent if as_reader else life.until - life.since
            longest[life.attack] = max(longest.get(life.attack, 0.0), seconds)
        return longest

    def table(self) -> str:
        held = self.held()
        heads = (
            *("attack", "connections", "MB sent", "lines"),
            *("p50", "p95", "max ms", "editor ms", "core", "no core", "MB", "kernel", "held s", ""),
        )
        rows: list[Sequence[str]] = [heads]
        for figures, wrong in self.rows:
            rows.append(
                (
                    figures.attack,
                    f"{figures.done.get('connections', 0):,}",
                    f"{figures.done.get('sent', 0) / 1e6:.1f}",
                    str(len(figures.late)),
                    *_times(figures.late),
                    f"{figures.longest * 1000:.0f}",
                    f"{figures.core:.0%}",
                    f"{figures.waited:.0%}",
                    f"{(figures.resident - self._world.resident_before) / MIB:+.1f}",
                    f"{(figures.kernel - self._world.kernel_before) / MIB:+.1f}",
                    f"{held.get(figures.attack, 0):.0f}" if figures.attack != NOBODY else "",
                    "; ".join(wrong)[:100],
                )
            )
        widths = [max(len(row[at]) for row in rows) for at in range(len(heads))]
        return "\n".join(
            "  ".join(
                [
                    row[0].ljust(widths[0]),
                    *(cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)),
                    row[-1],
                ]
            ).rstrip()
            for row in rows
        )


def _times(late: list[float]) -> tuple[str, str, str]:
    """Median, 95th percentile and the most, in ms."""
    if not late:
        return "–", "–", "–"
    at = (len(late) // 2, int(len(late) * 0.95), len(late) - 1)
    p50, p95, most = (f"{late[place] * 1000:.0f}" for place in at)
    return p50, p95, most
