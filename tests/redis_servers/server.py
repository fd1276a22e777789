"""One `redis-server` of the tests' own."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVarTuple

import httpx
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.patience import WITHIN
from tests.ports import free_port

Given = TypeVarTuple("Given")


def until(holds: Callable[[*Given], Any], *given: *Given, within: float = WITHIN, every: float = 0.02) -> Any:
    """Wait until it holds of what is given; what it says. Where Redis or a node can't be reached, it does not yet."""
    deadline = time.monotonic() + within
    while True:
        with contextlib.suppress(redis.RedisError, httpx.HTTPError, OSError):
            if said := holds(*given):
                return said
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(every)


class RedisServer:
    """`redis-server` in a process of its own, which can be stopped, killed, paused and started again.

    It is the first in PATH: that is how the tests are run on another version, or on Valkey under that name.
    Given `clock`, the server's clock can be put wrong and right with `step`.
    """

    program = "redis-server"

    def __init__(
        self, folder: Path, *options: str, password: str | None = None, clock: bool = False, config: str = ""
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.options = options
        self.password = password
        self.process: subprocess.Popen[bytes] | None = None
        self._clients: dict[str | None, redis.Redis] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "redis.conf"
        self.config.write_text(config)
        self._env = dict(os.environ)
        self._clock = folder / "clock"
        if clock:
            self.step(0)
            self._env |= {"LD_PRELOAD": str(_stepped_clock(folder)), "STEPPED_CLOCK": str(self._clock)}
        atexit.register(self.kill)  # whatever else goes wrong, none outlives the run
        self.start()

    @property
    def url(self) -> str:
        password = f":{self.password}@" if self.password else ""
        return f"redis://{password}127.0.0.1:{self.port}/0"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, wait: bool = True) -> None:
        """Start it (again), on the same port and with what it has kept."""
        command = [self.program, str(self.config), "--port", str(self.port), "--dir", str(self.folder)]
        command += ["--bind", "127.0.0.1", "--logfile", str(self.folder / "log.txt"), "--save", ""]
        command += ["--repl-diskless-sync-delay", "0"]  # there is one replica: none to wait five seconds for
        if self.password:
            command += ["--requirepass", self.password, "--masterauth", self.password]
        self.process = subprocess.Popen([*command, *self.options], env=self._env, stdout=subprocess.DEVNULL)
        if wait:
            self.until_up()

    def until_up(self) -> None:
        until(lambda: self.do("PING") and not self.do("INFO", "persistence")["loading"])

    def stop(self) -> None:
        """SIGTERM: what it holds is saved, where it saves at all."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: connections stand, nothing answers."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def step(self, seconds: float) -> None:
        """Put its clock so many seconds off, at once."""
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(struct.pack("d", seconds))
        if self.process:  # Valkey 9 looks at the clock now and then
            until(lambda: abs(self._time() - time.time() - seconds) < 0.01)

    def _time(self) -> float:
        answer = self.do("TIME")
        return float(answer[0]) + float(answer[1]) / 1e6

    def do(self, *command: Any, user: str | None = None) -> Any:
        if user not in self._clients:
            self._clients[user] = redis.Redis(
                port=self.port,
                username=user,
                password=self.password,
                client_name="the-test",
                socket_timeout=WITHIN,
                socket_connect_timeout=WITHIN,
                retry=Retry(NoBackoff(), 1),  # where the server has been restarted since
                protocol=2,
                decode_responses=True,
            )
        return self._clients[user].execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py's own

    def clients(self, **having: str) -> list[dict[str, str]]:
        """CLIENT LIST, but for the tests' own connections."""
        listed = self.do("CLIENT LIST")
        return [
            client
            for client in listed
            if client["name"] != "the-test" and all(client[key] == value for key, value in having.items())
        ]

    def snapshot(self, name: str = "before") -> Path:
        """A copy of what it has kept until now, as a back-up takes it."""
        copy = self.folder.with_name(f"{self.folder.name}-{name}")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.folder, copy)
        return copy

    def roll_back(self, copy: Path) -> None:
        """Start again from an older copy: what came after it is lost."""
        self.kill()
        shutil.rmtree(self.folder)
        shutil.copytree(copy, self.folder)
        self.start()

    def _end(self, number: signal.Signals) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            if number is not signal.SIGCONT:
                self.process.send_signal(signal.SIGCONT)  # a paused one hears SIGTERM only then
            self.process.wait(WITHIN)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _stepped_clock(folder: Path) -> Path:
    built = folder / "stepped_clock.so"
    source = Path(__file__).parent.with_name("stepped_clock.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", built, source, "-lm"], check=True)
    return built


def has_replica(primary: RedisServer) -> bool:
    """Whether a replica follows it, and is in step."""
    state = primary.do("INFO", "replication")
    replicas = [said for name, said in state.items() if name.startswith("slave") and isinstance(said, dict)]
    return any(replica["state"] == "online" for replica in replicas)


def until_copied(primary: RedisServer, replica: RedisServer) -> None:
    """Wait until the replica has all that the primary has: without wait_replicas, a failover may lose the rest."""
    written = int(primary.do("INFO", "replication")["master_repl_offset"])
    until(lambda: int(replica.do("INFO", "replication")["slave_repl_offset"]) >= written)


def until_heard(server: RedisServer, nodes: int = 1) -> None:
    """Wait until so many nodes listen to this server: they have noticed that it is the primary."""
    until(lambda: sum(client["name"].startswith("ticker-") for client in server.clients(flags="P")) == nodes)


AOF = "--appendonly", "yes", "--appendfsync", "always"
"""Nothing acknowledged is lost when the server is killed."""
