"""Two nodes on one Redis: what a line's way to the other node adds. Knows Ticker and redis-server alone.

Node A has core 0, node B and the load generator share core 1, and readers are few: on two cores the fan-out
of many would be what is measured. Each of A and B is asked to publish in turn.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.load import Load
from bench.machine import LOAD_CORE, SERVER_CORE
from bench.peers import NotToBeHad, Ticker, free_port, reachable

READERS = 50  # a node; 0.5 ms of fan-out
ROUNDS = 5


class Node(Ticker):
    """Ticker on Redis."""

    def __init__(self, folder: Path, core: int, newswire: str) -> None:
        super().__init__(folder, core)
        self.newswire = newswire


def run(lines: int) -> None:
    redis = shutil.which("redis-server")
    if not redis:
        sys.exit("bench: redis-server is not installed (Debian: redis-server)")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ticker-bench-", ignore_cleanup_errors=True) as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        process = subprocess.Popen(
            [redis, *options], stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE})
        )
        url = f"redis://127.0.0.1:{port}/0"
        a, b = Node(Path(folder, "a"), SERVER_CORE, url), Node(Path(folder, "b"), LOAD_CORE, url)
        try:
            while not reachable(port):
                time.sleep(0.05)
            a.start()
            alone = _lasts(a, [a], lines)
            b.start()
            near, far = zip(*(_last(a, [a, b], lines) for _ in range(ROUNDS)), strict=True)
            near_b, far_b = zip(*(_last(b, [b, a], lines) for _ in range(ROUNDS)), strict=True)
        except NotToBeHad as error:
            sys.exit(f"bench: {error}")
        finally:
            a.stop()
            b.stop()
            process.terminate()
            process.wait()
    print(f"publish → last of {READERS} readers, median over {lines} lines, median of {ROUNDS} runs (min–max), ms:\n")
    print("| | same node | other node | other − same |\n|---|---|---|---|")
    print(f"| one node | {_spread(alone)} | – | – |")
    for title, same, other in (("published at A", near, far), ("published at B", near_b, far_b)):
        more = [there - here for here, there in zip(same, other, strict=True)]
        print(f"| two nodes, {title} | {_spread(same)} | {_spread(other)} | {_spread(more)} |")


def _lasts(publisher: Node, nodes: list[Node], lines: int) -> list[float]:
    return [_last(publisher, nodes, lines)[0] for _ in range(ROUNDS)]


def _last(publisher: Node, nodes: list[Node], lines: int) -> list[float]:
    """For each node, how long its last reader waited, in ms."""
    load = Load(publisher.port, publisher.path, publisher.publish_port, publisher.request_file)
    try:
        for group, node in enumerate(nodes):
            load.connect(READERS, port=node.port, group=group)
        answer = load.lines(lines, rate=20, spin=0)
    finally:
        load.end()
    if load.faults:
        sys.exit(f"bench: {load.faults}")
    return [answer["groups"][group]["last"] for group in range(len(nodes))]


def _spread(values: list[float] | tuple[float, ...]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"
