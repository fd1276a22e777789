"""What a node says when it starts, and where its secrets go: to a terminal, or into a file for one user."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import pty
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import measuring
from tests.conftest import ADMIN_KEY
from tests.patience import AT_LEISURE, WITHIN, environment
from ticker.introduction import _beside, reachable

SERVE = [sys.executable, "-m", "ticker", "serve", "--port", "0"]
SECRET = re.compile(r"ticker_[a-z0-9]+_[\w-]{43}|#once=[\w.-]+")


@contextlib.contextmanager
def serving(folder: Path, *options: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A node whose standard output is a pipe, as under systemd or in a container."""
    variables = environment(folder / "constants", AT_LEISURE) | env
    process = subprocess.Popen(
        [*SERVE, *options], cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        measuring.end(process)
        process.communicate()


def address(first: str) -> str:
    """Where it says that it is, once it serves there."""
    url = first.split()[-1]
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/readyz").status_code == 200:
                return url
        time.sleep(0.02)
    raise AssertionError(f"nothing serves at {url}")


def rest(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it still says, and its log, until it has ended."""
    assert process.stdout
    assert process.stderr
    said = process.stdout.read(), process.stderr.read()
    process.wait(WITHIN)
    return said


def told(process: subprocess.Popen[str]) -> str:
    """All that it says, to its end, which it is asked for once it serves."""
    assert process.stdout
    first = process.stdout.readline()
    address(first)
    process.send_signal(signal.SIGTERM)
    said, log = rest(process)
    assert process.returncode == 0, log
    assert not SECRET.search(log)
    return first + said


def test_without_a_terminal_the_first_key_goes_into_a_file_for_this_user_alone(tmp_path: Path) -> None:
    file = tmp_path / "lines-sign-in.txt"
    file.write_text("left from another time")
    file.chmod(0o644)
    with serving(tmp_path, "--newswire", "sqlite:///lines.db") as node:
        assert node.stdout
        url = address(node.stdout.readline())
        key, link = SECRET.findall(file.read_text())
        answer = httpx.get(f"{url}/v1/keys", headers={"Authorization": f"Bearer {key}"})
        assert [each["role"] for each in answer.json()["keys"]] == ["admin"]
        assert httpx.post(f"{url}/desk/session", json={"once": link.removeprefix("#once=")}).status_code == 204
        node.send_signal(signal.SIGTERM)
        said, log = rest(node)
    assert str(file) in said
    assert not SECRET.search(said + log)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.unlink()
    with serving(tmp_path, "--newswire", "sqlite:///lines.db") as node:
        assert "Ticker is on at" in told(node)
    assert not file.exists()


def test_a_terminal_is_told_and_no_file_is_made(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(SERVE, cwd=tmp_path, env=environment(tmp_path / "constants", AT_LEISURE), stdout=theirs)
    os.close(theirs)
    said = b""
    while b"#once=" not in said:
        said += os.read(ours, 4_096)
    measuring.end(process)
    os.close(ours)
    assert b"The first key" in said
    assert len(SECRET.findall(said.decode())) == 2
    assert not (tmp_path / "ticker-sign-in.txt").exists()


def test_a_key_that_can_be_put_nowhere_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "ticker-sign-in.txt").mkdir()
    with serving(tmp_path) as node:
        said, log = node.communicate(timeout=WITHIN)
    assert (node.returncode, said) == (2, "")
    assert "ticker-sign-in.txt" in log
    assert "--print-key" in log
    with serving(tmp_path, TICKER_ADMIN_KEY=ADMIN_KEY) as node:  # nothing to be put anywhere
        assert "Ticker is on at" in told(node)
    with serving(tmp_path, "--print-key") as node:
        assert len(SECRET.findall(told(node))) == 2


def test_the_demos_link_and_key_are_no_less_secret(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo", TICKER_ADMIN_KEY=ADMIN_KEY) as node:
        said = told(node)
    file = tmp_path / "ticker-sign-in.txt"
    assert str(file) in said
    assert ADMIN_KEY not in said
    assert not SECRET.search(said)
    assert "#once=" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "/demo" in said
    assert "curl" in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_address_that_is_told_leads_here_from_other_machines_too(tmp_path: Path, host: str) -> None:
    with serving(tmp_path, "--host", host, TICKER_ADMIN_KEY=ADMIN_KEY) as node:
        assert node.stdout
        url = address(node.stdout.readline())
        assert "0.0.0.0" not in url
        assert "::" not in url
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert f'src="{url}/ticker.js"' in httpx.get(f"{url}/embed").text.replace("&#34;", '"')


def test_an_address_of_its_own_is_told_as_it_is_given() -> None:
    assert reachable("ticker.example") == "ticker.example"
    assert reachable("127.0.0.1") == "127.0.0.1"
    assert reachable("::1") == "[::1]"


@pytest.mark.parametrize("everywhere", ["", "0.0.0.0", "::"])
def test_a_node_that_listens_everywhere_tells_an_address_of_this_machine(everywhere: str) -> None:
    assert not ipaddress.ip_address(reachable(everywhere)).is_unspecified


def test_secrets_lie_beside_the_newswire_or_where_the_node_was_started(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        assert _beside("sqlite:////var/lib/ticker/en.db") == Path("/var/lib/ticker/en-sign-in.txt")
        assert _beside("sqlite:///ticker.db") == tmp_path / "ticker-sign-in.txt"
        assert _beside("redis://:word@host/0") == tmp_path / "ticker-sign-in.txt"
