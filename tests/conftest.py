"""A real node for every test that wants one: its own process, port, file and keys."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.measuring import end
from tests.measuring import pytest_runtest_protocol as pytest_runtest_protocol
from tests.measuring import pytest_sessionstart as pytest_sessionstart
from tests.patience import AT_LEISURE, NO_BEATS, ON_REDIS, WITHIN, be_patient, environment
from tests.ports import free_port
from tests.skips import pytest_sessionfinish as pytest_sessionfinish
from tests.skips import pytest_terminal_summary as pytest_terminal_summary
from ticker import __version__
from ticker.readers.widget import KINDS

be_patient()

# The same examples each time: a test that fails in CI also fails on the machine of the person who made the change.
settings.register_profile("ours", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")

ROOT = Path(__file__).parent.parent
ADMIN_KEY = "an-admin-key-for-tests-of-at-least-32-characters"
# Without the hold: what the desk publishes goes out at once. With it: tests/browser/test_desk_drafts.py.
CHANNELS = """
[channels.en]
title = "English"
language = "en"
hold = "0s"

[channels.ar]
title = "العربية"
language = "ar"
hold = "0s"

[channels.es]
title = "Español"
language = "es"
hold = "0s"
"""


def as_released(folder: Path) -> Path:
    """The folder, with a copy of the product in it that a node started there runs; of this version, as released."""
    for name in ("ticker", "web"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    web = folder / "web"
    (web / "released").mkdir(exist_ok=True)
    for kind in KINDS:
        shutil.copy(web / f"ticker{kind}", web / "released" / f"ticker-{__version__}{kind}")
    return folder


class RunningNode:
    """`ticker serve` in a process of its own, which can be stopped, killed and started again.

    `{port}` in an option becomes the node's own. `wrapper` is a command that starts it: one that limits what it may
    have, for one.

    `constants` are put in place of the product's own at each start: another patience than it has, for one.

    A newswire that is elsewhere may be away for a moment, where the machine is busy. The node says so, and this
    does then what programs do: it asks again, under the same Idempotency-Key. A file is never away.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        config: str = CHANNELS,
        admin_key: str | None = ADMIN_KEY,
        constants: Mapping[str, float] = NO_BEATS,
        wrapper: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.options = options
        self.wrapper = wrapper
        self.key = admin_key or ""
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ticker.toml").write_text(config, "utf-8")
        self._env = environment(folder / "constants", {**AT_LEISURE, **constants})
        self._env["TICKER_PRINT_KEY"] = "1"  # to the pipe that we read
        if admin_key:
            self._env["TICKER_ADMIN_KEY"] = admin_key
        self._elsewhere = any(option.startswith("redis") for option in options)
        self.start()
        authorized = {"Authorization": f"Bearer {self.key}"}
        # A connection for each request: one that is kept is closed by the node after 5 s, maybe just as we ask again.
        once = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.Client(base_url=self.url, headers=authorized, limits=once)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def start(self) -> None:
        """Start it (again), on the port it has had before, and wait until it answers."""
        deadline = time.monotonic() + WITHIN
        while not self._started():
            assert self._elsewhere, f"the node did not start: {self.said}{self.log}"
            assert time.monotonic() < deadline, f"the node did not start: {self.said}{self.log}"
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            assert time.monotonic() < deadline, self.log
            time.sleep(0.01)

    def _started(self) -> bool:
        """Whether it says where it is; else it has ended."""
        options = [option.replace("{port}", str(self.port)) for option in self.options]
        command = [*self.wrapper, sys.executable, "-m", "ticker", "serve", "--port", str(self.port), *options]
        self._log = (self.folder / "log.txt").open("a")
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=self._env, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        assert self.process.stdout
        self.said = self.process.stdout.readline()
        if re.search(rf"http://[^:]+:{self.port}\b|https://", self.said):  # or by its public name
            return True
        self._end(signal.SIGTERM)
        return False

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    def stop(self) -> int:
        """SIGTERM, as an operator stops it; its exit status."""
        return self._end(signal.SIGTERM)

    def said_until_its_end(self) -> str:
        """What it wrote to standard output, and what it still writes while it is stopped."""
        assert self.process
        assert self.process.stdout
        self.process.terminate()
        said = self.said + self.process.stdout.read()
        assert self.stop() == 0
        return said

    def kill(self) -> None:
        """kill -9: no goodbye."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self.process
        self.process.send_signal(number)
        return self._ended()

    def _ended(self) -> int:
        assert self.process
        status = self.process.wait(WITHIN)
        assert self.process.stdout
        self.process.stdout.close()
        self._log.close()
        return status

    def close(self) -> None:
        self.http.close()
        if self.process and self.process.poll() is None:
            end(self.process)
            self._ended()

    # What editors do

    def publish(self, channel: str, text: str, **fields: Any) -> dict[str, Any]:
        """In any script: most tests don't care for the channel's language."""
        return self._change(
            "POST", f"/v1/channels/{channel}/lines", json={"text": text, "confirm": ["script"], **fields}
        )

    def correct(self, channel: str, line_id: str, **fields: Any) -> dict[str, Any]:
        return self._change("PATCH", f"/v1/channels/{channel}/lines/{line_id}", json=fields)

    def cancel(self, channel: str, line_id: str, note: str | None = None) -> dict[str, Any]:
        body = {"json": {"note": note}} if note else {}
        return self._change("DELETE", f"/v1/channels/{channel}/lines/{line_id}", **body)

    def _change(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        once = {"Idempotency-Key": str(uuid.uuid4())} if self._elsewhere else {}
        answered: dict[str, Any] = self._answered(lambda: self.http.request(method, path, headers=once, **body))
        return answered

    # What readers see

    def get(self, path: str) -> Any:
        return self._answered(lambda: httpx.get(f"{self.url}{path}"))

    def board(self, channel: str) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = self.get(f"/v1/channels/{channel}/lines")["lines"]
        return lines

    def _answered(self, ask: Callable[[], httpx.Response]) -> Any:
        deadline = time.monotonic() + WITHIN
        while (answer := ask()).status_code == 503 and self._elsewhere and time.monotonic() < deadline:
            time.sleep(0.02)
        assert answer.is_success, f"{answer.status_code} {answer.text}"
        return answer.json()


@pytest.fixture
def patience_with_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """For newswires in the test's own process."""
    for name, value in (ON_REDIS | {"ticker.newswire.redis.presence.PRESENCE_FOR": WITHIN}).items():
        monkeypatch.setattr(name, value)


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
    node: RunningNode = start_node()
    return node
