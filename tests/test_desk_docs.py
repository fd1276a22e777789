"""docs/desk.md: its commands are run here, and nobody outside learns a word too early."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.conftest import ROOT, RunningNode
from tests.patience import WITHIN
from ticker.identity import ROLES, Action, may

PAGE = (ROOT / "docs" / "desk.md").read_text("utf-8")
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)
EXPECTED = re.compile(r"  # ([0-9]{3})$", re.M)
WATCHED = (
    "/v1/channels/en/lines",
    "/v1/channels/en/events",
    "/channels/en",
    "/embed/en",
    "/v1/channels",
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    config = '[channels.en]\nlanguage = "en"\napprove = ["flash", "cancel"]\n'
    node = RunningNode(tmp_path_factory.mktemp("desk-docs"), config=config)
    yield node
    node.close()


class Watcher(threading.Thread):
    """Somebody outside: a reader's socket, and every public address, again and again."""

    def __init__(self, node: RunningNode) -> None:
        super().__init__()
        self.frames: list[str] = []
        self.pages: list[str] = []
        self._node = node
        self._ended = threading.Event()

    def run(self) -> None:
        with connect(f"ws://127.0.0.1:{self._node.port}/v1/live?channel=en") as reader, httpx.Client() as http:
            while not self._ended.is_set():
                self.pages += [http.get(f"{self._node.url}{path}").text for path in WATCHED]
                while True:
                    try:
                        self.frames.append(str(reader.recv(0.02)))
                    except TimeoutError:
                        break

    def end(self) -> None:
        self._ended.set()
        self.join(WITHIN)


def test_two_people_step_by_step(node: RunningNode, tmp_path: Path) -> None:
    script = "\n".join(BLOCK.findall(PAGE)).replace("http://127.0.0.1:8000", node.url)
    watcher = Watcher(node)
    watcher.start()
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={
            "PATH": f"{ROOT / '.venv' / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "TICKER_URL": node.url,
            "TICKER_KEY": node.key,
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=WITHIN,
    )
    watcher.end()
    assert ran.returncode == 0, ran.stderr
    assert re.findall(r"^[0-9]{3}$", ran.stdout, re.M) == EXPECTED.findall(script)

    versions = json.loads((tmp_path / "answer.json").read_text())["versions"]
    assert [(each["by"]["name"], each["refile"], each["status"]) for each in versions] == [
        ("Cora, phone", False, "usable"),
        ("Ben", True, "usable"),
        ("Ben", False, "usable"),
        ("Ben", False, "withheld"),
        ("Ben", False, "canceled"),
    ]
    assert all(each["by"]["id"] for each in versions)
    assert versions[0]["approval"]["by"]["name"] == "Ben"
    assert versions[0]["approval"]["checked_by"] == "Ben, by phone"
    assert versions[-1]["approval"]["by"]["name"] == "Ann"

    # What the readers saw: what was on the air, in this order, and nothing else.
    frames = [json.loads(frame) for frame in watcher.frames]
    lines = [frame["line"] for frame in frames if frame["type"] == "line"]
    assert [(line["version"], line.get("text")) for line in lines] == [
        (version["version"], version["text"] if version["status"] == "usable" else None) for version in versions
    ]
    said = "\n".join([*watcher.frames, *watcher.pages])
    for secret in ("Which coast", "Quake hits the coast", "by phone", "USGS", "taken over", "Trains run", "d_", "Cora"):
        assert secret not in said, secret


def test_the_table_of_roles_is_the_codes() -> None:
    rows = re.findall(r"^\| `([a-z]+)`: [^|]+\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.M)
    assert len(rows) == 8
    for action, *cells in rows:
        given: Action = action
        assert [cell.strip() == "yes" for cell in cells] == [may(role, given) for role in ROLES], action
