"""The figures of the side-by-side run, with their units, ratios and spread. Knows no process and no page."""

from __future__ import annotations

import statistics
from typing import NamedTuple

from bench.peers import PEERS, Ticker
from bench.results import Part

OURS = Ticker.name
TITLES = {kind.name: kind.title for kind in PEERS}
NOTES = {kind.name: kind.note for kind in PEERS}


class Figure(NamedTuple):
    """One thing that is measured."""

    name: str
    title: str
    unit: str
    digits: int
    less_is_better: bool = True
    plotted: bool = False
    compared: bool = True  # whether a multiple of a peer's says anything


FIGURES = (
    Figure("cpu_delivery", "CPU per delivery", "µs", 1, plotted=True),
    Figure("last", "publish → last reader", "ms", 1, plotted=True),
    Figure("spread", "first → last reader: the fan-out alone", "ms", 1),
    Figure("first", "publish → first reader: the work before the fan-out", "ms", 1),
    Figure("median", "publish → median reader", "ms", 1),
    Figure("p99", "publish → p99 reader", "ms", 1),
    Figure("burst", "burst, deliveries a second", "k/s", 0, less_is_better=False, plotted=True),
    Figure("burst_cpu", "CPU per delivery in the burst", "µs", 2),
    Figure("cpu_connect", "CPU per connect", "µs", 0, plotted=True),
    Figure("memory", "resident memory per reader", "kB", 1, plotted=True),
    Figure("cpu_publish", "CPU per line published, ten readers", "µs", 0),
    Figure("all_p99", "p99 of all deliveries", "ms", 1),
    Figure("joins_p99", "the same while 500 readers a second join", "ms", 1, plotted=True),
    Figure("joins_ratio", "with joins ÷ without", "×", 2, compared=False),
    Figure("joins_typical", "the same for the p99 of the median line", "×", 2, compared=False),
    Figure("stalled_p99", "p99 of all deliveries, 10 % stalled", "ms", 1),
    Figure("stalled_ratio", "with 10 % stalled ÷ before", "×", 2, compared=False),
    Figure("stalled_typical", "the same for the p99 of the median line", "×", 2, compared=False),
    Figure("stalled_lost", "lines that the other readers lost, 10 % stalled", "%", 1, compared=False),
    Figure("stalled_memory", "memory a stalled reader adds", "kB", 1, compared=False),
    Figure("bytes", "bytes per delivery, with framing", "B", 0, compared=False),
    Figure("load_steady", "load generator busy, steady", "%", 0, compared=False),
    Figure("load_burst", "load generator busy, burst", "%", 0, compared=False),
)
SCALED = {"burst": 1e-3}


def values(fanout: Part, peer: str, name: str) -> list[float]:
    return [row[name] * SCALED.get(name, 1) for row in fanout["figures"].get(peer, []) if name in row]


def ratios(fanout: Part, name: str, peer: str) -> list[float]:
    """Ticker's figure as a multiple of a peer's, round by round."""
    rounds = zip(fanout["figures"].get(OURS, []), fanout["figures"].get(peer, []), strict=False)
    return [ours[name] / theirs[name] for ours, theirs in rounds if ours.get(name) and theirs.get(name)]


def spread(measured: list[float], digits: int) -> str:
    """Median (least–most)."""
    if not measured:
        return "–"
    shown = f"{statistics.median(measured):,.{digits}f}"
    return shown if len(measured) == 1 else f"{shown} ({min(measured):,.{digits}f}–{max(measured):,.{digits}f})"
