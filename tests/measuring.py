"""Which tests `make test` measures the coverage of ticker/ with, and how the others are left out (ADR 15).

Knows pytest and coverage; knows no test. Without `--cov` nothing here has an effect.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

TESTS = Path(__file__).parent

UNMEASURED = {
    "what they measure is time, CPU or memory, and tracing costs all three": (
        "test_attack.py",
        "test_bench.py",
        "test_limits.py",
        "test_linear.py",
        "test_many_readers.py",
    ),
    "they are random runs, in which other branches are taken whenever the code changes": (
        "newswire/test_newswires_agree.py",
        "test_chaos.py",
        "test_chaos_drafts.py",
        "test_drafts_fuzz.py",
    ),
    "they are about the widget, the pages and the docs, and a slower node makes them slow": (
        "browser/",
        "test_desk_docs.py",
        "test_docs.py",
        "test_fold.py",
        "test_protocol.py",
        "test_types.py",
    ),
    "they are about packages, containers and proxies, and start nodes from copies": (
        "test_compose.py",
        "test_packaging.py",
        "test_proxies.py",
        "test_release.py",
    ),
    "they add nothing to the others": (
        "newswire/test_due_matrix.py",
        "test_matrix.py",
        "test_skips.py",
    ),
}
"""By the reason: files and folders of tests/. Neither they nor the nodes and commands that they start are traced."""

_LEFT_OUT = tuple(name for names in UNMEASURED.values() for name in names)
_IN_PROCESSES = "COVERAGE_PROCESS_CONFIG"  # where coverage finds in a process that a test starts what it is to do

SAVES_WITHIN = 10.0  # seconds
SITE = """
import signal
import sys

if "coverage" in sys.modules:

    def save_and_end(number, frame):
        sys.modules["coverage"].Coverage.current().save()
        signal.raise_signal(signal.SIGKILL)

    signal.signal(signal.SIGUSR1, save_and_end)
"""
"""What a process does at its start so that `end` loses nothing of what was measured in it."""


def end(process: subprocess.Popen[Any]) -> None:
    """End a process at once, without its cooperation, as SIGKILL does; a process that is measured saves its data."""
    process.send_signal(signal.SIGUSR1)
    try:
        process.wait(SAVES_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()  # it was stopped, or hangs


def is_measured(path: Path) -> bool:
    return not path.relative_to(TESTS).as_posix().startswith(_LEFT_OUT)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """End the two tracers that a worker of pytest-xdist has by now, as a process that was started and as one that might
    start workers: pytest-cov adds a third, and knows how to pause that one alone."""
    if hasattr(session.config, "workerinput"):
        while tracer := coverage.Coverage.current():
            tracer.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    plugin = item.config.pluginmanager.get_plugin("_cov")
    if plugin is None or plugin.cov_controller is None or is_measured(item.path):
        return (yield)
    in_processes = os.environ.pop(_IN_PROCESSES)
    plugin.cov_controller.pause()
    try:
        return (yield)
    finally:
        plugin.cov_controller.resume()
        os.environ[_IN_PROCESSES] = in_processes
