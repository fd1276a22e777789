"""That CI passes over no test in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.patience import WITHIN

PASSES = "def test_passes(): pass\n"
UNRUN = {
    "skipped": "import pytest\n\n@pytest.mark.skip\ndef test_skipped(): pass\n",
    "skipped as it is collected": "import pytest\n\npytest.importorskip('a_module_of_nobody')\n",
    "expected to fail": "import pytest\n\n@pytest.mark.xfail\ndef test_fails(): assert False\n",
}


def run(folder: Path, tests: str, *options: str, ci: str) -> int:
    """pytest's exit status."""
    (folder / "test_one.py").write_text(PASSES)
    (folder / "test_two.py").write_text(tests)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.skips", "-p", "no:cacheprovider", *options, str(folder)],
        env=os.environ | {"CI": ci, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        timeout=WITHIN,
        check=False,
    )
    return done.returncode


@pytest.mark.parametrize("tests", UNRUN.values(), ids=UNRUN)
def test_a_test_that_is_not_run_fails_the_run_in_ci_alone(tmp_path: Path, tests: str) -> None:
    assert run(tmp_path, tests, ci="true") == 1
    assert run(tmp_path, tests, ci="") == 0


def test_so_it_is_with_several_processes(tmp_path: Path) -> None:
    assert run(tmp_path, UNRUN["skipped"], "-n", "2", ci="true") == 1
    assert run(tmp_path, PASSES, "-n", "2", ci="true") == 0
