"""Many readers held for minutes, some of them deaf: is anybody dropped, does anything grow? Knows Ticker alone.

Lines come for half of each minute; the other half is quiet, so that beats alone keep the readers.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from bench import machine
from bench.load import Load
from bench.peers import NotToBeHad, Ticker
from bench.progress import Progress
from bench.results import Part

SLICE = 30.0  # seconds with lines, and seconds without
SEGMENT = 1_448  # bytes; see bench.trials
COME = 1_000  # readers a second


class Soak(NamedTuple):
    """What is held, and for how long."""

    name: str
    readers: int
    minutes: float
    rate: float  # lines a second, while they come
    stalled_percent: int = 0
    quiet: bool = True  # whether every other half minute is without lines

    @property
    def seconds(self) -> float:
        return self.minutes * 60 + self.readers / COME + 5


# The deaf need lines all the time, and many: the kernel takes 256 kB for each before the node notices.
HELD = Soak("soak", readers=15_000, minutes=5, rate=1)
STALLED = Soak("stalled", readers=5_000, minutes=10, rate=10, stalled_percent=10, quiet=False)


def run(soak: Soak, progress: Progress) -> Part:
    """Hold the readers; a look every half minute. Raises NotToBeHad."""
    deaf = soak.readers * soak.stalled_percent // 100
    reading = soak.readers - deaf
    series: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="ticker-bench-", ignore_cleanup_errors=True) as folder:
        peer = Ticker(Path(folder))
        peer.start()
        load = Load(peer.port, peer.path, peer.publish_port, peer.request_file)
        try:
            load.connect(10)
            load.lines(10, rate=100)
            load.close_readers(keep=0)
            time.sleep(1)
            empty, files, kernel = (
                machine.resident_kb(peer.pid),
                machine.open_files(peer.pid),
                machine.kernel_socket_kb(),
            )
            progress.at(f"{soak.name}: {reading:,} readers come")
            if (came := load.connect(reading, rate=COME)["connected"]) != reading:
                raise NotToBeHad(f"only {came} of {reading} readers got in; {machine.raise_file_limit()} files allowed")
            if deaf:
                load.connect(deaf, deaf=1, segment=SEGMENT)
            replaced = published = beats = boards = 0
            silence = 0.0
            began = time.monotonic()
            progress.done(soak.readers / COME + 5)
            while (passed := time.monotonic() - began) < soak.minutes * 60 - 1:
                progress.at(f"{soak.name}: {passed / 60:.1f} of {soak.minutes:g} minutes")
                length = min(SLICE, soak.minutes * 60 - passed)
                if soak.quiet and len(series) % 2:
                    answer = load.wait(length)
                    last = None
                else:
                    answer = load.lines(max(1, round(length * soak.rate)), rate=soak.rate)
                    last = answer["groups"][0]["last"]
                    published += answer["sent"]
                beats += answer["beats"]
                boards += answer["boards"]
                silence = max(silence, answer["silence"])
                resident, kernel_now = machine.resident_kb(peer.pid), machine.kernel_socket_kb()
                connected = machine.open_files(peer.pid) - files
                if gone := max(0, soak.readers - connected) if deaf else 0:  # the node has let them go: others come
                    replaced += gone
                    load.close_readers(deaf=gone)
                    load.connect(gone, deaf=1, segment=SEGMENT)
                series.append(
                    {
                        "minute": round((time.monotonic() - began) / 60, 2),
                        "connected": connected,
                        "resident_kb": resident,
                        "kernel_kb": kernel_now - kernel,
                        "last_ms": last,
                        "deaf_let_go": gone,
                    }
                )
                progress.done(length)
        finally:
            load.end()
            peer.stop()
    return {
        **soak._asdict(),
        "version": peer.version,
        "files_allowed": machine.raise_file_limit(),
        "empty_kb": empty,
        "deaf": deaf,
        "published": published,
        "beats": beats,
        "boards": boards,
        "silence": silence,
        "replaced": replaced,
        "faults": load.faults,
        "series": series,
    }


def growth(part: Part) -> float:
    """The most memory in the second half of the time, of the most in the first half; 1 where nothing grows."""
    memory: list[float] = [look["resident_kb"] for look in part["series"]]
    half = max(1, len(memory) // 2)
    return max(memory[half:] or memory) / max(memory[:half])
