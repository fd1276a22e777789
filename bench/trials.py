"""The trials that a peer goes through, on one fresh process of its own. Knows Load and /proc; knows no report.

The server has core 0 to itself, the load generator core 1.

    publish   200 lines to ten readers: what a line costs before it is fanned out
    connect   readers come at a steady rate: CPU per connect, resident memory per reader
    steady    lines at a steady rate: CPU per delivery, publish → first, median, p99, last reader
    joins     the same while further readers come, 500 a second: what it does to those who are there
    burst     lines as fast as they are taken, by 50 editors at once: deliveries a second
    stalled   a tenth of the readers stop reading: what it does to the others, and to the server's memory
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bench import machine
from bench.load import Load
from bench.peers import NotToBeHad, Peer

WARM_UP = 10  # readers and lines before the first look at memory, so that what is loaded late is loaded
SETTLE = 0.3  # seconds between a trial and the look at what it cost
STALLED_SEGMENT = 1_448  # bytes; the MSS of Ethernet: with loopback's a kernel holds megabytes for each deaf reader
STALLED_PATIENCE = 3.0  # seconds without a delivery after which the rest counts as lost

BASIC = ("publish", "connect", "steady", "burst")  # what the peers are compared by
ALL = ("publish", "connect", "steady", "joins", "burst", "stalled")

Figures = dict[str, float]


class Scale(NamedTuple):
    """How much of everything."""

    readers: int = 5_000
    connect_rate: int = 2_000
    lines: int = 25
    rate: float = 6
    joins: int = 500
    join_lines: int = 18
    burst_readers: int = 4_000
    burst_lines: int = 200
    publishers: int = 50
    stalled_percent: int = 10
    stalled_lines: int = 15
    fill_lines: int = 800  # 380 kB for each that reads nothing: more than a kernel takes for it unasked
    fill_readers: int = 100

    def seconds(self, trial: str) -> float:
        """About how long a trial takes; for the bar alone."""
        return {
            "publish": 1.5,
            "connect": self.readers / self.connect_rate + 1,
            "steady": self.lines / self.rate + 1,
            "joins": self.join_lines / self.rate + 1,
            "burst": self.burst_lines * self.burst_readers * 7e-6 + 1,
            "stalled": 2 * self.stalled_lines / self.rate
            + self.fill_lines * (self.fill_readers + self.readers * self.stalled_percent / 100) * 9e-6
            + self.readers / self.connect_rate
            + 1,
        }[trial]


QUICK = Scale(
    readers=1_000,
    lines=15,
    joins=500,
    join_lines=5,
    burst_readers=800,
    burst_lines=100,
    stalled_lines=5,
)


def take(peer: Peer, scale: Scale, trials: tuple[str, ...], begin: Callable[[str], None]) -> tuple[Figures, Load]:
    """All figures of one peer in one round, and the load generator, for its faults. `begin` is called for each
    trial."""
    load = Load(peer.port, peer.path, peer.publish_port, peer.request_file)
    try:
        return dict(_figures(peer, load, scale, trials, begin)), load
    finally:
        load.end()


def _figures(
    peer: Peer, load: Load, scale: Scale, trials: tuple[str, ...], begin: Callable[[str], None]
) -> Iterator[tuple[str, float]]:
    begin("publish")
    yield from _publish(peer, load)
    begin("connect")
    yield from _connect(peer, load, scale)
    begin("steady")
    steady = dict(_steady(peer, load, scale))
    yield from steady.items()
    if "joins" in trials:
        begin("joins")
        yield from _joins(load, scale, steady)
    begin("burst")
    yield from _burst(peer, load, scale)
    if "stalled" in trials:
        begin("stalled")
        yield from _stalled(peer, load, scale)


def _publish(peer: Peer, load: Load) -> Iterator[tuple[str, float]]:
    load.connect(WARM_UP)
    load.lines(WARM_UP, rate=100)
    cpu = machine.cpu_seconds(peer.pid)
    lines = load.lines(200, rate=400)
    yield "cpu_publish", (machine.cpu_seconds(peer.pid) - cpu) / lines["sent"] * 1e6
    load.close_readers(keep=0)
    time.sleep(SETTLE)


def _connect(peer: Peer, load: Load, scale: Scale) -> Iterator[tuple[str, float]]:
    memory, cpu = machine.resident_kb(peer.pid), machine.cpu_seconds(peer.pid)
    came = load.connect(scale.readers, rate=scale.connect_rate)
    time.sleep(SETTLE)
    if came["connected"] != scale.readers:
        raise NotToBeHad(f"only {came['connected']} of {scale.readers} readers got in")
    yield "cpu_connect", (machine.cpu_seconds(peer.pid) - cpu) / scale.readers * 1e6
    yield "connect_rate", scale.readers / came["seconds"]
    yield "memory", (machine.resident_kb(peer.pid) - memory) / scale.readers


def _steady(peer: Peer, load: Load, scale: Scale) -> Iterator[tuple[str, float]]:
    cpu = machine.cpu_seconds(peer.pid)
    steady = load.lines(scale.lines, rate=scale.rate)
    time.sleep(SETTLE)
    yield "cpu_delivery", (machine.cpu_seconds(peer.pid) - cpu) / max(1, steady["deliveries"]) * 1e6
    yield "bytes", steady["bytes"] / max(1, steady["deliveries"])
    yield "load_steady", _busy(steady)
    for name in ("first", "median", "p99", "last", "spread", "all_p99"):
        yield name, steady["groups"][0][name]


def _joins(load: Load, scale: Scale, quiet: Figures) -> Iterator[tuple[str, float]]:
    joins = load.lines(scale.join_lines, rate=scale.rate, join=scale.joins)["groups"][0]
    yield "joins_p99", joins["all_p99"]
    yield "joins_ratio", joins["all_p99"] / quiet["all_p99"]
    yield "joins_typical", joins["p99"] / quiet["p99"]
    load.close_readers(joined=1)


def _burst(peer: Peer, load: Load, scale: Scale) -> Iterator[tuple[str, float]]:
    load.close_readers(keep=scale.burst_readers)
    time.sleep(SETTLE)
    cpu = machine.cpu_seconds(peer.pid)
    burst = load.lines(scale.burst_lines, rate=0, publishers=scale.publishers)
    time.sleep(SETTLE)
    yield "burst", burst["deliveries"] / burst["seconds"]
    yield "burst_cpu", (machine.cpu_seconds(peer.pid) - cpu) / max(1, burst["deliveries"]) * 1e6
    yield "load_burst", _busy(burst)


def _stalled(peer: Peer, load: Load, scale: Scale) -> Iterator[tuple[str, float]]:
    deaf = scale.readers * scale.stalled_percent // 100
    reading = scale.readers - deaf
    load.connect(reading - scale.burst_readers, rate=scale.connect_rate)
    before = load.lines(scale.stalled_lines, rate=scale.rate)["groups"][0]
    memory = machine.resident_kb(peer.pid)
    # Few readers read while the stalled ones are filled, or it would take minutes. Then all the others return.
    load.close_readers(keep=scale.fill_readers)
    load.connect(deaf, deaf=1, segment=STALLED_SEGMENT)
    wrong = dict(load.faults)
    filled = load.lines(scale.fill_lines, rate=0, publishers=scale.publishers, patience=STALLED_PATIENCE)
    load.connect(reading - scale.fill_readers, rate=scale.connect_rate)
    answer = load.lines(scale.stalled_lines, rate=scale.rate, patience=STALLED_PATIENCE)
    load.faults = wrong  # what is lost here has a figure of its own
    after = answer["groups"][0]
    missed = filled["expected"] - filled["deliveries"] + (answer["expected"] - answer["deliveries"])
    yield "stalled_lost", 100 * missed / (filled["expected"] + answer["expected"])
    if (
        answer["groups"][0]["readers"] == reading and after["deliveries"] == answer["expected"]
    ):  # or the quick look good
        yield "stalled_p99", after["all_p99"]
        yield "stalled_ratio", after["all_p99"] / before["all_p99"]
        yield "stalled_typical", after["p99"] / before["p99"]
    yield "stalled_memory", (machine.resident_kb(peer.pid) - memory) / deaf


def _busy(answer: dict[str, float]) -> float:
    """Share of the time in which lines were on their way that the load generator had something to read, in %."""
    return 100 * (1 - answer["idle"] / answer["waited"]) if answer["waited"] else 0.0
