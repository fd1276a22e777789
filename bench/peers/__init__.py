"""The servers side by side: how each is installed, started and published to. Knows ports; knows no figure.

All send the same bytes to a reader: the frame that Ticker makes of a line. What differs is stated in `note`.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import msgspec

from bench.load import BuildFailed, build
from bench.machine import SERVER_CORE
from ticker.channel import Channel
from ticker.fanout.frames import line_object
from ticker.identity import Actor
from ticker.line import Act, Event, Line

HERE = Path(__file__).parent
STARTS_WITHIN = 20.0  # seconds
ADMIN_KEY = "a-key-for-the-benchmark-of-at-least-32-characters"
CHANNEL = Channel(slug="bench", title="Bench", language="en", direction="ltr", label="Breaking", max_lines=5)
TEXT = "Ferries sail again after the storm, seq=000000"
"""The load generator writes each line's number over the noughts."""


class NotToBeHad(Exception):
    """A peer can't be started here; says why, for the report."""


class Peer(ABC):
    """One server. `start`, then `pid`, `port` and so on hold until `stop`."""

    name: ClassVar[str]
    title: ClassVar[str]
    path: ClassVar[str] = "/live"
    publish_path: ClassVar[str] = "/publish"
    note: ClassVar[str] = ""
    rounds: ClassVar[int | None] = None  # None: all that are asked for

    def __init__(self, folder: Path, core: int = SERVER_CORE) -> None:
        self.folder = folder
        self.core = core
        self.port = self.publish_port = free_port()
        self.version = ""
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def command(self) -> list[str]:
        """What to run; sets `version`. Raises NotToBeHad."""

    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("TICKER_")}

    def request(self) -> bytes:
        """What publishes a line, whole, for the load generator to send."""
        return post(self.publish_path, self.publish_port, sample_frame(), "application/json")

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def request_file(self) -> Path:
        file = self.folder / "request"
        file.write_bytes(self.request())
        return file

    def start(self) -> None:
        """Raises NotToBeHad."""
        command = self.command()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment(),
                stdout=log,
                stderr=log,
                preexec_fn=lambda: os.sched_setaffinity(0, {self.core}),
            )
        until = time.monotonic() + STARTS_WITHIN
        for port in (self.port, self.publish_port):
            while not reachable(port):
                if self._process.poll() is not None or time.monotonic() > until:
                    said = (self.folder / "log").read_text("utf-8", "replace").strip().splitlines()[-3:]
                    self.stop()
                    raise NotToBeHad(f"it did not start: {' / '.join(said)[:300]}")
                time.sleep(0.05)

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class Bare(Peer):
    name = "bare"
    title = "a bare C loop of `send()`"
    note = "one write per line and reader; it parses, checks and keeps nothing, so no server can cost less"

    def command(self) -> list[str]:
        try:
            program = build(HERE / "bare.c")
        except BuildFailed as error:
            raise NotToBeHad(str(error)) from error
        compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True)
        self.version = compiler.stdout.splitlines()[0]
        return [str(program), str(self.port)]


class Nchan(Peer):
    name = "nchan"
    title = "Nchan (nginx)"
    note = "one worker process; 300 messages kept in memory"

    CONFIG = """
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid nginx.pid;
error_log stderr error;
load_module {module};
events {{ worker_connections {files}; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    nchan_shared_memory_size 128M;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /live {{
            nchan_subscriber websocket; nchan_channel_id bench; nchan_subscriber_first_message newest;
        }}
        location = /publish {{
            nchan_publisher; nchan_channel_id bench;
            nchan_message_buffer_length 300; nchan_message_timeout 10m;
        }}
    }}
}}
"""

    def command(self) -> list[str]:
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if not nginx:
            raise NotToBeHad("nginx is not installed (Debian: nginx-light and libnginx-mod-nchan)")
        told = subprocess.run([nginx, "-V"], capture_output=True, text=True, check=False).stderr
        folders = [*re.findall(r"--modules-path=(\S+)", told), "/usr/lib/nginx/modules", "/usr/share/nginx/modules"]
        modules = [Path(folder) / "ngx_nchan_module.so" for folder in folders]
        if not (module := next((module for module in modules if module.exists()), None)):
            raise NotToBeHad("nginx has no Nchan module (Debian: libnginx-mod-nchan)")
        self.version = re.search(r"nginx/\S+", told).group()  # type: ignore[union-attr]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            asked = ["dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"]
            module_version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
            self.version += f", Nchan {module_version.split(':')[-1]}"
        files = min(65_536, int(os.sysconf("SC_OPEN_MAX")))
        (self.folder / "nginx.conf").write_text(self.CONFIG.format(port=self.port, module=module, files=files))
        return [nginx, "-p", str(self.folder), "-c", "nginx.conf", "-e", "stderr"]


class NodeWs(Peer):
    name = "ws"
    title = "Node `ws`"
    note = "permessage-deflate off"

    def command(self) -> list[str]:
        node, npm = shutil.which("node"), shutil.which("npm")
        if not node or not npm:
            raise NotToBeHad("node and npm are not installed")
        source = HERE / "node"
        package = source / "node_modules" / "ws" / "package.json"
        wanted = json.loads((source / "package.json").read_text())["dependencies"]["ws"]
        if not package.exists() or json.loads(package.read_text())["version"] != wanted:
            quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
            done = subprocess.run([npm, "install", *quiet], cwd=source, capture_output=True, text=True, check=False)
            if done.returncode:
                raise NotToBeHad(f"npm can't install ws {wanted}: {done.stderr.strip()[-200:]}")
        engine = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        self.version = f"ws {wanted}, Node {engine.removeprefix('v')}"
        return [node, str(source / "server.js"), str(self.port)]


class Broadcast(Peer):
    name = "broadcast"
    title = "`websockets.broadcast`"
    note = "compression and keepalive pings off"

    def command(self) -> list[str]:
        self.version = python_package("websockets")
        self.publish_port = free_port()
        return [sys.executable, str(HERE / "broadcast.py"), str(self.port), str(self.publish_port)]


class Plain(Peer):
    name = "plain"
    title = "Starlette, `await send_text()`"
    rounds = 1  # a landmark, and slow; nothing is aimed at it
    note = "under uvicorn, asyncio loop, websockets-sansio; compression and keepalive pings off"

    def command(self) -> list[str]:
        self.version = f"{python_package('starlette')}, {python_package('uvicorn')}"
        return [sys.executable, str(HERE / "plain.py"), str(self.port)]


class Ticker(Peer):
    name = "ticker"
    title = "**Ticker**"
    path = f"/v1/live?channel={CHANNEL.slug}"
    publish_path = f"/v1/channels/{CHANNEL.slug}/lines"
    note = "default options: each line checked, kept in SQLite and on disk before it is sent; beats are sent too"
    newswire = "sqlite:///bench.db"
    max_lines = CHANNEL.max_lines

    def command(self) -> list[str]:
        self.version = python_package("breaking-ticker")
        declared = f'[channels.{CHANNEL.slug}]\ntitle = "{CHANNEL.title}"\nmax_lines = {self.max_lines}\n'
        (self.folder / "ticker.toml").write_text(declared)
        (self.folder / "bench.db").unlink(missing_ok=True)
        serve = ["serve", "--port", str(self.port), "--newswire", self.newswire, "--drain", "0"]
        return [sys.executable, "-m", "ticker", *serve, "--log-level", "WARNING"]

    def environment(self) -> dict[str, str]:
        root = str(HERE.parent.parent)
        return {**super().environment(), "TICKER_ADMIN_KEY": ADMIN_KEY, "PYTHONPATH": root}

    def request(self) -> bytes:
        body = json.dumps({"text": TEXT}).encode()
        return post(self.publish_path, self.port, body, "application/json", f"Authorization: Bearer {ADMIN_KEY}")


PEERS: tuple[type[Peer], ...] = (Bare, Ticker, Nchan, NodeWs, Broadcast, Plain)


def post(path: str, port: int, body: bytes, media_type: str, *headers: str) -> bytes:
    head = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        *headers,
        f"Content-Type: {media_type}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def sample_frame() -> bytes:
    """The JSON that Ticker sends for the line that the benchmark publishes, with a time like any other."""
    now = datetime.now(UTC).replace(microsecond=123_000)
    stamp = int(now.timestamp() * 1000)
    line = Line(
        id=f"{stamp}-0",
        channel=CHANNEL.slug,
        text=TEXT,
        urgency="urgent",
        status="usable",
        version=1,
        published=now,
        updated=now,
        corrected=None,
        expires=now + timedelta(hours=2),
        pinned=False,
        url=None,
        source=None,
        story=None,
        note=None,
        language=CHANNEL.language,
        direction=CHANNEL.direction,
    )
    event = Event(
        channel=CHANNEL.slug, cursor=line.id, prev=f"{stamp - 200}-0", line=line, act=Act(by=Actor(None, "bench"))
    )
    return msgspec.json.encode(line_object(event, CHANNEL))


def python_package(name: str) -> str:
    """Raises NotToBeHad."""
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError as error:
        raise NotToBeHad(f"the Python package {name} is not installed") from error


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def reachable(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
