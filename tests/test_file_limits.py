"""A connection is an open file: how a node shares out what it is allowed, and that it says so."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.patience import WITHIN, environment
from ticker.readers.admission import CONNECTIONS_MAX, CONNECTIONS_SHARE, FILES_KEPT, FILES_MIN, Room


@pytest.mark.parametrize("files", [64, FILES_MIN - 1])
def test_with_too_few_files_a_node_does_not_start_and_says_why_in_one_sentence(files: int, tmp_path: Path) -> None:
    """It would be ready, and have no room for anybody."""
    command = f"ulimit -n {files}; exec {sys.executable} -m ticker serve --port 0"
    started = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(tmp_path / "env"), capture_output=True, timeout=WITHIN
    )
    assert (started.returncode, started.stdout) == (2, b"")
    (sentence,) = re.findall(r"^ticker: .*", started.stderr.decode(), re.M)
    assert f"may open {files} files" in sentence
    assert f"at least {FILES_MIN}" in sentence
    assert "Traceback" not in started.stderr.decode()


def test_a_node_takes_the_hard_limit_and_says_how_it_shares_it_out(node: Any) -> None:
    soft, hard = resource.prlimit(node.pid, resource.RLIMIT_NOFILE)
    assert soft == hard
    room = Room.of(hard)
    assert f"Up to {hard} open files: room for {room.readers} readers and {room.connections} other" in node.log


def test_the_operators_page_says_how_they_are_shared_out() -> None:
    page = (ROOT / "docs" / "operate.md").read_text("utf-8")
    (said,) = re.findall(r"With fewer than (\d+) it does not start", page)
    assert int(said) == FILES_MIN
    (kept, most) = re.findall(r"a quarter of the open files less (\d+), and ([\d,]+) at most", page)[0]
    assert (int(kept), number(most), 4) == (FILES_KEPT, CONNECTIONS_MAX, CONNECTIONS_SHARE)
    (files, readers) = re.findall(r"of ([\d,]+): ([\d,]+)\)", page)[0]
    assert Room.of(number(files)).readers == number(readers)


def number(written: str) -> int:
    return int(written.replace(",", ""))
