"""Which tests `make test` doesn't measure for coverage, and how they are left out, as a pytest plugin."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

ROOT = Path(__file__).parent

UNMEASURED = (
    "browser/",
    "test_attack.py",
    "test_bench.py",
    "test_chaos.py",
    "test_chaos_drafts.py",
    "test_compose.py",
    "test_desk_docs.py",
    "test_docs.py",
    "test_linear.py",
    "test_many_readers.py",
    "test_packaging.py",
    "test_proxies.py",
    "test_release.py",
)

NODES = "COVERAGE_PROCESS_CONFIG"

def is_measured(path: Path) -> bool:
    name = path.relative_to(ROOT).as_posix()
    return not name.startswith(UNMEASURED)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """In a worker of pytest-xdist two tracers run by now, of which pytest-cov, which adds a third, knows none."""
    if hasattr(session.config, "workerinput"):
        while tracer := coverage.Coverage.current():
            tracer.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    if NODES not in os.environ or is_measured(item.path):
        return (yield)
    measured = item.config.pluginmanager.get_plugin("_cov").cov_controller
    theirs = os.environ.pop(NODES)
    measured.pause()
    try:
        return (yield)
    finally:
        measured.resume()
        os.environ[NODES] = theirs
