"""The run: every peer through the same trials, in turn, round after round. Knows the trials; knows no report.

The server has core 0 to itself, the load generator core 1. Trials of one peer in one round, on one fresh process:

    connect   readers come at a steady rate: CPU per connect, resident memory per reader
    steady    lines at a steady rate: CPU per delivery, publish → first, median, p99, last reader
    joins     the same while further readers come, 500 a second: what it does to those who are there
    burst     lines as fast as they are taken, by 50 editors at once: deliveries a second
    stalled   a tenth of the readers stop reading: what it does to the others, and to the server's memory
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from bench import machine, nodes, report, soak
from bench.load import BUILT, Load, LoadEnded
from bench.peers import PEERS, NotToBeHad, Peer
from bench.progress import Progress

WARM_UP = 10  # readers and lines before the first look at memory, so that what is loaded late is loaded
SETTLE = 0.5  # seconds between a trial and the look at what it cost
STALLED_SEGMENT = 1_448  # bytes; the MSS of Ethernet: with loopback's a kernel holds megabytes for each deaf reader
STALLED_PATIENCE = 3.0  # seconds without a delivery after which the rest counts as lost
PATIENCE = 120.0  # seconds to wait for a calm machine before each round

KEPT = BUILT / "results.json"

Figures = dict[str, float]


class Scale(NamedTuple):
    """How much of everything."""

    readers: int = 5_000
    connect_rate: int = 1_000
    lines: int = 40
    rate: float = 5
    joins: int = 500
    join_lines: int = 20
    burst_readers: int = 4_000
    burst_lines: int = 200
    publishers: int = 50
    stalled_readers: int = 1_000
    stalled_percent: int = 10
    fill_lines: int = 300
    stalled_lines: int = 40
    stalled_rate: float = 20


QUICK = Scale(
    readers=1_000,
    lines=10,
    joins=100,
    join_lines=5,
    burst_readers=800,
    burst_lines=50,
    stalled_readers=200,
    stalled_lines=20,
)


def trials(peer: Peer, scale: Scale) -> tuple[Figures, dict[str, int], int]:
    """All figures of one peer in one round, its faults, and how often a reader's state was repaired by a board."""
    load = Load(peer.port, peer.path, peer.publish_port, peer.request_file)
    try:
        figures = dict(_figures(peer, load, scale))
    finally:
        load.end()
    return figures, load.faults, load.boards


def _figures(peer: Peer, load: Load, scale: Scale) -> Iterator[tuple[str, float]]:
    pid = peer.pid
    load.connect(WARM_UP)
    load.lines(WARM_UP, rate=100)
    load.close_readers(keep=0)
    time.sleep(SETTLE)

    memory, cpu = machine.resident_kb(pid), machine.cpu_seconds(pid)
    came = load.connect(scale.readers, rate=scale.connect_rate)
    time.sleep(SETTLE)
    if came["connected"] != scale.readers:
        raise NotToBeHad(f"only {came['connected']} of {scale.readers} readers got in")
    yield "cpu_connect", (machine.cpu_seconds(pid) - cpu) / scale.readers * 1e6
    yield "connect_rate", scale.readers / came["seconds"]
    yield "memory", (machine.resident_kb(pid) - memory) / scale.readers

    cpu = machine.cpu_seconds(pid)
    steady = load.lines(scale.lines, rate=scale.rate)
    time.sleep(SETTLE)
    quiet = steady["groups"][0]
    yield "cpu_delivery", (machine.cpu_seconds(pid) - cpu) / max(1, steady["deliveries"]) * 1e6
    yield "bytes", steady["bytes"] / max(1, steady["deliveries"])
    for name in ("first", "median", "p99", "last"):
        yield name, quiet[name]

    joins = load.lines(scale.join_lines, rate=scale.rate, join=scale.joins)
    yield "joins_p99", joins["groups"][0]["p99"]
    yield "joins_ratio", joins["groups"][0]["p99"] / quiet["p99"]
    load.close_readers(joined=1)
    load.close_readers(keep=scale.burst_readers)
    time.sleep(SETTLE)

    cpu = machine.cpu_seconds(pid)
    burst = load.lines(scale.burst_lines, rate=0, publishers=scale.publishers)
    time.sleep(SETTLE)
    yield "burst", burst["deliveries"] / burst["seconds"]
    yield "burst_cpu", (machine.cpu_seconds(pid) - cpu) / max(1, burst["deliveries"]) * 1e6

    reading = scale.stalled_readers * (100 - scale.stalled_percent) // 100
    load.close_readers(keep=reading)
    time.sleep(SETTLE)
    before = load.lines(scale.stalled_lines, rate=scale.stalled_rate)["groups"][0]
    memory = machine.resident_kb(pid)
    deaf = scale.stalled_readers - reading
    load.connect(deaf, deaf=1, segment=STALLED_SEGMENT)
    wrong = dict(load.faults)
    filled = load.lines(scale.fill_lines, rate=scale.stalled_rate * 5, patience=STALLED_PATIENCE)
    answer = load.lines(scale.stalled_lines, rate=scale.stalled_rate, patience=STALLED_PATIENCE)
    load.faults = wrong  # what is lost here has a figure of its own
    after = answer["groups"][0]
    expected = filled["expected"] + answer["expected"]
    yield "stalled_lost", 100 * (1 - (filled["deliveries"] + answer["deliveries"]) / expected)
    if after["deliveries"] == answer["expected"]:  # else the quickest ones would look good
        yield "stalled_p99", after["p99"]
        yield "stalled_ratio", after["p99"] / before["p99"]
    yield "stalled_memory", (machine.resident_kb(pid) - memory) / deaf


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


def run(kinds: list[type[Peer]], rounds: int, scale: Scale, patience: float) -> dict[str, Any]:
    """Every peer once a round, in an order that turns, so that none always follows the same one."""
    figures: dict[str, list[Figures]] = {kind.name: [] for kind in kinds}
    faults: dict[str, dict[str, int]] = {kind.name: {} for kind in kinds}
    boards = dict.fromkeys(figures, 0)
    versions: dict[str, str] = {}
    absent: dict[str, str] = {}
    busy = 0.0
    results: dict[str, Any] = {}
    with Progress(rounds * len(kinds)) as progress:
        for number in range(rounds):
            turn = number % len(kinds)
            busy = max(busy, machine.wait_for_calm(patience))
            for kind in kinds[turn:] + kinds[:turn]:
                progress.at(f"round {number + 1} of {rounds}: {kind.name}")
                if kind.name not in absent:
                    try:
                        with started(kind) as peer:
                            versions[kind.name] = peer.version
                            taken, wrong, repaired = trials(peer, scale)
                        figures[kind.name].append(taken)
                        boards[kind.name] += repaired
                        for name, count in wrong.items():
                            faults[kind.name][name] = faults[kind.name].get(name, 0) + count
                    except (NotToBeHad, LoadEnded) as error:
                        absent[kind.name] = f"{error} (round {number + 1})"
                        progress.say(f"{kind.name} is left out from here on: {error}")
                progress.done()
            results = {
                "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
                "command": " ".join(["python -m bench", *sys.argv[1:]]),
                "machine": machine.description(),
                "busy": busy,
                "rounds": number + 1,
                "scale": scale._asdict(),
                "versions": versions,
                "absent": absent,
                "figures": {name: rows for name, rows in figures.items() if rows},
                "faults": {name: wrong for name, wrong in faults.items() if wrong},
                "boards": {name: count for name, count in boards.items() if count},
            }
            KEPT.write_text(json.dumps(results, indent=1))  # a run that is broken off has these: --again
    return results


def main() -> None:
    names = [kind.name for kind in PEERS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each peer is measured (default 5)")
    parser.add_argument("--readers", type=int, help="readers of the steady trial (default 5,000)")
    parser.add_argument("--quick", action="store_true", help="one round with few readers: a minute or so")
    parser.add_argument("--peers", default=",".join(names), help=f"of {', '.join(names)}")
    parser.add_argument("--nodes", action="store_true", help="Ticker alone: two nodes on one Redis")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="Ticker alone: hold --readers for so long")
    parser.add_argument("--stalled", type=int, default=0, metavar="PERCENT", help="with --soak: so many never read")
    parser.add_argument(
        "--out", type=Path, help="where docs/bench.md and its plot go (default: docs; --quick: nowhere)"
    )
    parser.add_argument("--again", action="store_true", help="write the report of the last run again")
    given = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("bench: the server and the load generator need a core each")
    limit = machine.raise_file_limit()
    scale = QUICK if given.quick else Scale()
    if given.readers:
        scale = scale._replace(readers=given.readers, burst_readers=min(scale.burst_readers, given.readers))
    if limit < scale.readers * 1.5 + 100:
        sys.exit(
            f"bench: {limit} open files are allowed; {scale.readers} readers and more that join need more (ulimit -n)"
        )
    os.sched_setaffinity(0, {machine.LOAD_CORE})
    BUILT.mkdir(exist_ok=True)
    if given.nodes:
        nodes.run(20 if given.quick else 200)
        return
    if given.soak:
        soak.run(given.readers or 15_000, given.soak, given.stalled)
        return
    if given.again:
        results = json.loads(KEPT.read_text())
    else:
        kinds = [kind for kind in PEERS if kind.name in given.peers.split(",")]
        results = run(kinds, 1 if given.quick else given.rounds, scale, 0 if given.quick else PATIENCE)
    print(report.table(results))
    out = given.out or (None if given.quick else Path(__file__).parent.parent / "docs")
    if out:
        report.write(results, out)
        print(f"\nWritten: {out / 'bench.md'}")
