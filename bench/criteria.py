"""Each limit beside what was measured, and whether it is met. Knows figures; measures nothing."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Literal, NamedTuple

from bench import soak
from bench.figures import OURS, ratios, spread, values
from bench.load import FAULTS
from bench.results import Part
from bench.widget import MODES

GROWTH = 1.05  # of memory; more is growth, less is the allocator's own variation
SILENCE = 25.0  # seconds between two frames at most: the protocol's beat

Parts = dict[str, Part]


class Criterion(NamedTuple):
    """One limit. `measure` gives the figure of each round; nothing if it wasn't measured."""

    number: str
    what: str
    than: Literal["≤", "<", "≥"]
    limit: float
    measure: Callable[[Parts], list[float]]
    digits: int = 2

    def verdict(self, measured: list[float]) -> str:
        if not measured:
            return "**not measured**"
        middle = statistics.median(measured)
        holds = {"≤": middle <= self.limit, "<": middle < self.limit, "≥": middle >= self.limit}[self.than]
        return "met" if holds else "**not met**"

    def row(self, parts: Parts) -> list[str]:
        measured = self.measure(parts)
        shown = spread(measured, self.digits)
        return [self.number, self.what, f"{self.than} {self.limit:,g}", shown, self.verdict(measured)]


def _ratio(name: str, peer: str) -> Callable[[Parts], list[float]]:
    return lambda parts: ratios(parts["fanout"], name, peer) if "fanout" in parts else []


def _own(name: str) -> Callable[[Parts], list[float]]:
    return lambda parts: values(parts["fanout"], OURS, name) if "fanout" in parts else []


def _of(part: str, measure: Callable[[Part], float | list[float] | None]) -> Callable[[Parts], list[float]]:
    def measured(parts: Parts) -> list[float]:
        found = measure(parts[part]) if part in parts else None
        return found if isinstance(found, list) else [] if found is None else [found]

    return measured


def _wrong(part: Part) -> float:
    faults: dict[str, int] = part["faults"]
    return sum(count for fault, count in faults.items() if fault in FAULTS)


def _wrong_beside_peers(part: Part) -> float | None:
    return sum(part["faults"].get(OURS, {}).values()) if OURS in part["figures"] else None


def _grown(what: str) -> Callable[[Part], float]:
    return lambda part: part["growth"]["many"][what] / part["growth"]["first"][what]


def _line(mode: str) -> Callable[[Part], list[float]]:
    return lambda part: part[mode]["arrival_ms"]


CRITERIA = (
    Criterion("1", "CPU per delivery, relative to the bare loop", "≤", 1.15, _ratio("cpu_delivery", "bare")),
    Criterion("1", "CPU per delivery, relative to Nchan", "<", 1, _ratio("cpu_delivery", "nchan")),
    Criterion("1", "CPU per delivery, relative to Node `ws`", "<", 1, _ratio("cpu_delivery", "ws")),
    Criterion("1", "CPU per delivery, relative to `websockets.broadcast`", "<", 1, _ratio("cpu_delivery", "broadcast")),
    Criterion("2", "resident memory per reader, kB", "≤", 4, _own("memory")),
    Criterion("2", "CPU per connect, relative to Node `ws`", "≤", 1, _ratio("cpu_connect", "ws")),
    Criterion("3", "publish → last reader, relative to the bare loop", "≤", 1.2, _ratio("last", "bare")),
    Criterion(
        "3", "first → last reader (the fan-out alone), relative to the bare loop", "≤", 1.2, _ratio("spread", "bare")
    ),
    Criterion("3", "burst, deliveries a second, relative to the bare loop", "≥", 2, _ratio("burst", "bare")),
    Criterion("3", "burst, deliveries a second, relative to Nchan", "≥", 5, _ratio("burst", "nchan")),
    Criterion("3", "lines lost, duplicated, out of order or malformed", "≤", 0, _of("fanout", _wrong_beside_peers), 0),
    Criterion("4", "p99 while 500 readers a second join, relative to p99 without joins", "≤", 2, _own("joins_ratio")),
    Criterion("4", "p99 of the other readers with 10 % stalled, relative to before", "≤", 1.2, _own("stalled_ratio")),
    Criterion("4", "lines that the other readers lost with 10 % stalled, %", "≤", 0, _own("stalled_lost"), 1),
    Criterion(
        "4", "duration of the run with 10 % stalled, minutes", "≥", 10, _of("stalled", lambda part: part["minutes"]), 0
    ),
    Criterion(
        "4", "its memory: most in the second half, relative to the first", "≤", GROWTH, _of("stalled", soak.growth)
    ),
    Criterion("4", "its other readers: lines wrong, readers dropped", "≤", 0, _of("stalled", _wrong), 0),
    Criterion("5", "readers held on one node", "≥", 15_000, _of("soak", lambda part: part["readers"]), 0),
    Criterion("5", "for how many minutes", "≥", 5, _of("soak", lambda part: part["minutes"]), 0),
    Criterion("5", "lines wrong, readers dropped", "≤", 0, _of("soak", _wrong), 0),
    Criterion("5", "longest time without a frame, s", "≤", SILENCE, _of("soak", lambda part: part["silence"]), 1),
    Criterion("5", "memory: most in the second half, relative to the first", "≤", GROWTH, _of("soak", soak.growth)),
    Criterion(
        "W", "`/ticker.js`, br, bytes", "≤", 9_000, _of("widget", lambda part: part["sizes"].get("served_br")), 0
    ),
    Criterion("W", "parse and define, ms", "<", 5, _of("widget", lambda part: part["define_ms"]), 1),
    *(
        Criterion("W", f"a line's arrival: script, style and layout, {mode}, ms", "<", 2, _of("widget", _line(mode)))
        for mode in MODES
    ),
    Criterion("W", "heap after 10,000 lines, relative to after 1,000", "≤", GROWTH, _of("widget", _grown("heap"))),
    Criterion("W", "DOM nodes, likewise", "≤", 1, _of("widget", _grown("nodes"))),
    Criterion("W", "listeners, likewise", "≤", 1, _of("widget", _grown("listeners"))),
)
