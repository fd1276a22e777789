"""This machine and its processes, as /proc tells. Knows Linux; knows no peer."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Iterator
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
TICKS = os.sysconf("SC_CLK_TCK")
CALM = 0.15  # share of both cores that others may use before a run; more and it would be their figures too


def raise_file_limit() -> int:
    """A reader is a file, twice: here the limit is raised for all that is started. Returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def family(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from family(int(child))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its descendants, to 10 ms."""
    ticks = 0
    for member in family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime, stime (proc(5): fields 14 and 15)
    return ticks / TICKS


def resident_kb(pid: int) -> int:
    """Resident memory of a process and its descendants; the kernel's socket buffers are not in it."""
    total = 0
    for member in family(pid):
        for row in Path(f"/proc/{member}/status").read_text().splitlines():
            if row.startswith("VmRSS:"):
                total += int(row.split()[1])
    return total


def open_files(pid: int) -> int:
    """How many files, sockets among them, a process holds open. A reader whom a server let go is not among them."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def kernel_socket_kb() -> int:
    """What the kernel holds for all TCP sockets of this machine, in both directions."""
    for row in Path("/proc/net/sockstat").read_text().splitlines():
        if row.startswith("TCP:"):
            return int(row.split()[-1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    return 0


def busy_share(seconds: float) -> float:
    """How much of all cores was in use over the next `seconds`."""

    def read() -> tuple[int, int]:
        values = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(values), values[3] + values[4]

    total, idle = read()
    time.sleep(seconds)
    total_after, idle_after = read()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def wait_for_calm(patience: float) -> float:
    """Wait until others leave the machine alone; the share that they used at last. Gives up after `patience` s."""
    until = time.monotonic() + patience
    while (share := busy_share(2.0)) > CALM and time.monotonic() < until:
        pass
    return share


def description() -> dict[str, str]:
    rows = [row.split(":", 1) for row in Path("/proc/cpuinfo").read_text().splitlines() if ":" in row]
    about = {name.strip(): value.strip() for name, value in reversed(rows)}
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1_048_576
    return {
        "Processor": f"{about.get('model name', platform.machine())}, {os.cpu_count()} cores",
        "Memory": f"{memory:.0f} GB",
        "Kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }
