"""That coverage is measured where it should be: the list of what is left out is right, and nothing measured is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.measuring import TESTS, UNMEASURED, end, is_measured
from tests.patience import WITHIN, environment


def test_what_is_left_out_is_there() -> None:
    names = [name for names in UNMEASURED.values() for name in names]
    assert [name for name in names if not (TESTS / name).exists()] == []
    assert not is_measured(TESTS / "browser" / "feed" / "test_feed_tabs.py")
    assert is_measured(TESTS / "test_api.py")


@pytest.mark.parametrize("is_traced", [True, False])
def test_a_process_that_is_ended_saves_what_was_measured_in_it(tmp_path: Path, is_traced: bool) -> None:
    script, rules = tmp_path / "waits.py", tmp_path / "rules"
    script.write_text("print('here', flush=True)\ninput()\n")
    rules.write_text(f"[run]\nparallel = true\ndata_file = {tmp_path}/data\n")
    env = environment(tmp_path / "constants") | ({"COVERAGE_PROCESS_START": str(rules)} if is_traced else {})
    env.pop("COVERAGE_PROCESS_CONFIG", None)
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as process:
        assert process.stdout
        assert process.stdout.readline() == b"here\n"
        end(process)
    assert process.wait(WITHIN) == (-signal.SIGKILL if is_traced else -signal.SIGUSR1)
    assert bool([*tmp_path.glob("data.*")]) is is_traced


def test_a_process_that_does_not_listen_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.measuring.SAVES_WITHIN", 0.1)
    deaf = ["sh", "-c", "trap '' USR1; echo here; exec sleep 3600"]
    with subprocess.Popen(deaf, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"here\n"
        end(process)
    assert process.wait(WITHIN) == -signal.SIGKILL
