"""Many readers held for minutes, some of them deaf: is anybody dropped, does anything grow? Knows Ticker alone."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from bench import machine
from bench.load import Load
from bench.peers import NotToBeHad, Ticker

RATE = 1.0  # lines a second
SLICE = 15  # seconds between two looks
SEGMENT = 1_448  # bytes; see bench.run


def run(readers: int, minutes: float, stalled_percent: int) -> None:
    deaf = readers * stalled_percent // 100
    with tempfile.TemporaryDirectory(prefix="ticker-bench-", ignore_cleanup_errors=True) as folder:
        peer = Ticker(Path(folder))
        try:
            peer.start()
        except NotToBeHad as error:
            sys.exit(f"bench: {error}")
        load = Load(peer.port, peer.path, peer.publish_port, peer.request_file)
        try:
            empty = machine.resident_kb(peer.pid)
            load.connect(readers - deaf)
            if deaf:
                load.connect(deaf, deaf=1, segment=SEGMENT)
            print(
                f"{readers - deaf} readers and {deaf} that never read; {RATE:g} line a second for {minutes:g} minutes\n"
            )
            print("| minute | reading | resident | a reader | last (median) | beats | boards | faults |")
            print("|---|---|---|---|---|---|---|---|")
            started = time.monotonic()
            while (passed := time.monotonic() - started) < minutes * 60:
                answer = load.lines(int(SLICE * RATE), rate=RATE)
                resident = machine.resident_kb(peer.pid)
                print(
                    f"| {passed / 60:.1f} | {answer['groups'][0]['readers']} | {resident / 1024:.1f} MB "
                    f"| {(resident - empty) / readers:.2f} kB | {answer['groups'][0]['last']:.1f} ms "
                    f"| {answer['beats']} | {answer['boards']} | {load.faults or 'none'} |",
                    flush=True,
                )
        finally:
            load.end()
            peer.stop()
    sys.exit(1 if load.faults else 0)
