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
    "they are about time or memory, and tracing costs both": (
        "test_attack.py",
        "test_bench.py",
        "test_linear.py",
        "test_many_readers.py",
    ),
    "they are long or random runs: what they reach changes with every change": (
        "newswire/test_newswires_agree.py",
        "test_chaos.py",
        "test_chaos_drafts.py",
        "test_drafts_fuzz.py",
    ),
    "they are about the widget, the pages or the documentation, and a traced node makes them slow": (
        "browser/",
        "test_desk_docs.py",
        "test_docs.py",
        "test_fold.py",
        "test_protocol.py",
        "test_types.py",
    ),
    "they are about packages, containers or proxies, and a traced node makes them slow": (
        "test_compose.py",
        "test_packaging.py",
        "test_proxies.py",
        "test_release.py",
    ),
    "they are slow and reach almost nothing that other tests don't reach": (
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
    """End a process at once. It gets no goodbye, as with SIGKILL, but saves its data if it is measured."""
    process.send_signal(signal.SIGUSR1)
    try:
        process.wait(SAVES_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()  # it hangs, or ignores the signal


def is_measured(path: Path) -> bool:
    return not path.relative_to(TESTS).as_posix().startswith(_LEFT_OUT)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop the two tracers that run in a worker of pytest-xdist by now: coverage's own, since it is a process that was
    started, and one of pytest-cov. pytest-cov then starts a third one, and can pause only that."""
    if hasattr(session.config, "workerinput"):
        while tracer := coverage.Coverage.current():
            tracer.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Pause the measurement for a test that is left out, with its fixtures and all that it starts."""
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
