"""A real node for every test that wants one: its own process, port, file and keys."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.ports import free_port

# httpx waits 5 s by itself: enough for a node, not for a machine that does something else just then.
patience = inspect.signature(httpx.get).parameters["timeout"].default
patience.connect = patience.read = patience.write = patience.pool = 30.0

settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

WITHIN = 30.0  # seconds a node may take to start, on a machine that is busy with other tests
NO_BEATS = {"ticker.fanout.relay.BEAT": 3_600.0}  # none comes between two frames of which a test says what they are

ROOT = Path(__file__).parent.parent
ADMIN_KEY = "an-admin-key-for-tests-of-at-least-32-characters"
CHANNELS = """
[channels.en]
title = "English"
language = "en"

[channels.ar]
title = "العربية"
language = "ar"

[channels.es]
title = "Español"
language = "es"
"""


class RunningNode:
    """`ticker serve` in a process of its own, which can be stopped, killed and started again.

    `constants` are put in place of the product's own at each start: another patience than it has, for one.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        config: str = CHANNELS,
        admin_key: str | None = ADMIN_KEY,
        constants: Mapping[str, float] = NO_BEATS,
    ) -> None:
        self.folder = folder
        self.options = options
        self.key = admin_key or ""
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ticker.toml").write_text(config, "utf-8")
        self._env = {k: v for k, v in os.environ.items() if not k.startswith("TICKER_")}
        if admin_key:
            self._env["TICKER_ADMIN_KEY"] = admin_key
        self._set(constants)
        self.start()
        self.http = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=30)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def _set(self, constants: Mapping[str, float]) -> None:
        """Python imports `sitecustomize` before anything else."""
        folder = self.folder / "constants"
        folder.mkdir(exist_ok=True)
        rows = []
        for name, value in constants.items():
            module, _, constant = name.rpartition(".")
            assert hasattr(importlib.import_module(module), constant), f"there is no {name}"
            rows.append(f"import {module}\n{name} = {value}\n")
        (folder / "sitecustomize.py").write_text("".join(rows))
        self._env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))

    def start(self) -> None:
        """Start it (again), on the port it has had before, and wait until it answers."""
        command = [sys.executable, "-m", "ticker", "serve", "--port", str(self.port), *self.options]
        self._log = (self.folder / "log.txt").open("a")
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=self._env, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        assert self.process.stdout
        said = self.process.stdout.readline()
        if not re.search(rf"http://[^:]+:{self.port}\b", said):
            raise AssertionError(f"the node did not start: {said}{self.log}")
        self.said = said
        deadline = time.monotonic() + WITHIN
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            assert time.monotonic() < deadline, self.log
            time.sleep(0.01)

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    def stop(self) -> int:
        """SIGTERM, as an operator stops it; its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9: no goodbye."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self.process
        self.process.send_signal(number)
        status = self.process.wait(60)
        assert self.process.stdout
        self.process.stdout.close()
        self._log.close()
        return status

    def close(self) -> None:
        self.http.close()
        if self.process and self.process.poll() is None:
            self.kill()

    # What editors do

    def publish_until_kept(self, channel: str, text: str) -> dict[str, Any]:
        """As a program does that is told to try again: under one Idempotency-Key, for as long as the answer is 503."""
        deadline = time.monotonic() + WITHIN
        once = {"Idempotency-Key": str(uuid.uuid4())}
        while True:
            answer = self.http.post(f"/v1/channels/{channel}/lines", json={"text": text}, headers=once)
            if answer.status_code != 503:
                return self._done(answer)
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def publish(self, channel: str, text: str, **fields: Any) -> dict[str, Any]:
        return self._done(self.http.post(f"/v1/channels/{channel}/lines", json={"text": text, **fields}))

    def correct(self, channel: str, line_id: str, **fields: Any) -> dict[str, Any]:
        return self._done(self.http.patch(f"/v1/channels/{channel}/lines/{line_id}", json=fields))

    def cancel(self, channel: str, line_id: str, note: str | None = None) -> dict[str, Any]:
        body = {"json": {"note": note}} if note else {}
        return self._done(self.http.request("DELETE", f"/v1/channels/{channel}/lines/{line_id}", **body))

    # What readers see

    def get(self, path: str) -> Any:
        return self._done(httpx.get(f"{self.url}{path}"))

    def board(self, channel: str) -> list[dict[str, Any]]:
        return self.get(f"/v1/channels/{channel}/lines")["lines"]

    @staticmethod
    def _done(answer: httpx.Response) -> Any:
        assert answer.is_success, f"{answer.status_code} {answer.text}"
        return answer.json()


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Any]:
    """Starts nodes that end with the test."""
    nodes: list[RunningNode] = []

    def start(*options: str, name: str = "node", **given: Any) -> RunningNode:
        nodes.append(RunningNode(tmp_path / name, *options, **given))
        return nodes[-1]

    yield start
    for node in nodes:
        node.close()


@pytest.fixture
def node(start_node: Any) -> RunningNode:
    """One node with the channels en, ar and es."""
    return start_node()
