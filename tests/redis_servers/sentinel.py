"""Three sentinels over a primary and a replica."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import redis

from tests.patience import WITHIN
from tests.redis_servers.patience import PATIENT, WATCHFUL
from tests.redis_servers.server import RedisServer, until


class Sentinel(RedisServer):
    """One sentinel. It watches nothing yet."""

    def __init__(self, folder: Path) -> None:
        self.id = f"{secrets.randbits(160):040x}"
        super().__init__(folder, config=f"sentinel myid {self.id}\n")

    def watch(self, primary: RedisServer, replica: RedisServer, others: list[Sentinel]) -> None:
        """Watch one service, named `news`. Told who is there, it need not find out, which takes ten seconds."""
        self.kill()
        known = [f"sentinel known-sentinel news 127.0.0.1 {other.port} {other.id}\n" for other in others]
        self.config.write_text(
            f"sentinel myid {self.id}\n"
            f"sentinel monitor news 127.0.0.1 {primary.port} 2\n"
            f"sentinel down-after-milliseconds news {PATIENT}\n"
            "sentinel failover-timeout news 6000\n"
            "sentinel parallel-syncs news 1\n"
            f"sentinel known-replica news 127.0.0.1 {replica.port}\n" + "".join(known)
        )
        self.start()

    def silent_for(self, milliseconds: int) -> None:
        self.do("SENTINEL SET", "news", "down-after-milliseconds", milliseconds)

    def start(self, wait: bool = True) -> None:
        command = [self.program, str(self.config), "--sentinel", "--port", str(self.port), "--dir", str(self.folder)]
        command += ["--bind", "127.0.0.1", "--logfile", str(self.folder / "log.txt")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        if wait:
            self.until_up()

    def until_up(self) -> None:
        until(lambda: self.do("PING"))
        with contextlib.suppress(redis.ResponseError):  # before Redis 7
            # One that was not run for two seconds takes the clock to be wrong, and does nothing for thirty.
            self.do("SENTINEL DEBUG", "tilt-trigger", 1_000 * int(WITHIN), "info-period", 1_000)

    def primary(self) -> int:
        return int(self.do("SENTINEL GET-MASTER-ADDR-BY-NAME", "news")[1])


class Sentinels:
    """A primary, a replica, and three sentinels that watch over them."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.primary = RedisServer(folder / "one", *options)
        self.replica = RedisServer(folder / "two", *options, "--replicaof", "127.0.0.1", str(self.primary.port))
        until(lambda: self.replica.do("INFO", "replication")["master_link_status"] == "up")
        self.sentinels = [Sentinel(folder / f"sentinel{n}") for n in range(3)]
        for sentinel in self.sentinels:
            others = [other for other in self.sentinels if other is not sentinel]
            sentinel.watch(self.primary, self.replica, others)
        for sentinel in self.sentinels:
            until(lambda asked: self._complete(asked.do("SENTINEL MASTER", "news")), sentinel)

    @staticmethod
    def _complete(state: dict[str, Any]) -> bool:
        return int(state["num-other-sentinels"]) == 2 and int(state["num-slaves"]) == 1

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(sentinel.address for sentinel in self.sentinels)}/news"

    def server(self, port: int) -> RedisServer:
        return next(server for server in (self.primary, self.replica) if server.port == port)

    @contextlib.contextmanager
    def watchful(self) -> Iterator[None]:
        """Meanwhile a primary that is silent is replaced."""
        for sentinel in self.sentinels:
            sentinel.silent_for(WATCHFUL)
        yield
        for sentinel in self.sentinels:
            sentinel.silent_for(PATIENT)

    def fail_over(self, to: RedisServer) -> None:
        """By hand; asked for again where it was given up, because the machine was busy."""
        asked = self.sentinels[0]

        def done() -> bool:
            if asked.primary() != to.port:
                asked.do("SENTINEL FAILOVER", "news")  # refused where one is under way
            return asked.primary() == to.port

        until(done)
        self.until_primary_is(to)

    def until_primary_is(self, server: RedisServer) -> None:
        until(lambda: all(sentinel.primary() == server.port for sentinel in self.sentinels))
        until(lambda: server.do("ROLE")[0] == "master")

    def close(self) -> None:
        for server in (*self.sentinels, self.primary, self.replica):
            server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
