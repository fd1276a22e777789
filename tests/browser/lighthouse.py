"""What a page pays for its banner: Lighthouse's scores of the demo page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ARGUMENTS, chromium
from tests.conftest import RunningNode

ROOT = Path(__file__).parents[2]
LIGHTHOUSE = ROOT / ".venv" / "lighthouse" / "node_modules" / ".bin" / "lighthouse"
CATEGORIES = ("performance", "accessibility", "best-practices")
AT_LEAST = 0.95
TRIES = 3  # what else the machine does just then counts as the page's slowness; the best of them is the page's own


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("lighthouse"), constants={})
    for number in range(12):
        node.publish("en", f"Line number {number} of a day on which much happens all along the coast")
        node.publish("ar", f"السطر {number} من يوم حافل بالأخبار على طول الساحل")
    node.publish("en", "Harbour Bridge is open again", urgency="flash", url="https://paper.example/bridge")
    yield node
    node.close()


def scores(url: str, report: Path) -> dict[str, Any]:
    assert LIGHTHOUSE.exists() or shutil.which("lighthouse"), "Lighthouse is missing: make .venv/lighthouse"
    program = str(LIGHTHOUSE) if LIGHTHOUSE.exists() else "lighthouse"
    subprocess.run(
        [
            program,
            url,
            "--quiet",
            f"--only-categories={','.join(CATEGORIES)}",
            "--output=json",
            f"--output-path={report}",
            f"--chrome-flags=--headless=new {' '.join(ARGUMENTS)}",
        ],
        env=os.environ | {"CHROME_PATH": chromium(whole=True)},
        check=True,
        timeout=100,
    )
    found = json.loads(report.read_text())
    return {name: found["categories"][name]["score"] for name in CATEGORIES} | {
        "shift": found["audits"]["cumulative-layout-shift"]["numericValue"]
    }


@pytest.mark.timeout(320)
def test_lighthouse_finds_next_to_nothing_on_the_demo_page(node: RunningNode, tmp_path: Path) -> None:
    """As on a middling phone on a slow line, which is what it takes every page for."""
    for number in range(TRIES):
        found = scores(f"{node.url}/demo", tmp_path / f"{number}.json")
        print(found)
        if found["performance"] >= AT_LEAST:
            break
    assert {name: found[name] for name in CATEGORIES if found[name] < AT_LEAST} == {}
    assert found["shift"] == 0
