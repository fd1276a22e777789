"""Where CI runs, a test that is skipped fails the run: every part is there, so one that can't run guards nothing."""

from __future__ import annotations

import os

import pytest


def pytest_sessionfinish(session: pytest.Session) -> None:
    if unrun(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if count := unrun(terminalreporter.config):
        terminalreporter.write_line(f"{count} skipped or expected to fail. In CI every test runs and passes.", red=True)


def unrun(config: pytest.Config) -> int:
    """How many tests were skipped or failed as expected, if this is CI (the variable `CI`); in a worker of xdist, 0."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI"):
        return 0
    return sum(len(reporter.stats.get(outcome, ())) for outcome in ("skipped", "xfailed"))
