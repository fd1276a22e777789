"""A cluster, and slots that move in it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import redis

from tests.patience import WITHIN
from tests.ports import free_port
from tests.redis_servers.patience import PATIENT, WATCHFUL
from tests.redis_servers.server import RedisServer, has_replica, until

SLOTS = 16_384


class Cluster:
    """Three primaries, with a replica each if asked for."""

    def __init__(self, folder: Path, *options: str, replicas: int = 0) -> None:
        self.servers = [self._server(folder / f"server{n}", options) for n in range(3 * (1 + replicas))]
        primaries = self.servers[:3]
        bounds = [0, 5_461, 10_923, SLOTS]
        for primary, first, end in zip(primaries, bounds, bounds[1:], strict=False):
            primary.do("CLUSTER ADDSLOTSRANGE", first, end - 1)
        for number, server in enumerate(self.servers):
            server.do("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for server in self.servers[1:]:
            self.servers[0].do("CLUSTER MEET", "127.0.0.1", server.port, server.bus_port)  # type: ignore[attr-defined]
        for server in self.servers:
            until(lambda asked: len(self._nodes(asked)) == len(self.servers), server)
        for number, replica in enumerate(self.servers[3:]):
            of = self.id_of(primaries[number % 3])
            until(lambda asked, of: asked.do("CLUSTER REPLICATE", of), replica, of)  # once it knows it by its id
        self.until_healthy()

    @staticmethod
    def _server(folder: Path, options: tuple[str, ...]) -> RedisServer:
        bus = free_port()
        own = ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", str(PATIENT)]
        own += ["--cluster-replica-validity-factor", "0"]  # a replica may take over however long the vote has taken
        server = RedisServer(folder, *own, *options)
        server.bus_port = bus  # type: ignore[attr-defined]
        return server

    @staticmethod
    def _nodes(server: RedisServer) -> dict[str, Any]:
        nodes: dict[str, Any] = server.do("CLUSTER NODES")
        return nodes

    @contextlib.contextmanager
    def watchful(self) -> Iterator[None]:
        """Meanwhile a primary that is silent is replaced."""
        self._silent_for(WATCHFUL)
        yield
        for server in self.running():  # one that was only slow may count as dead too, and would for very long
            until(lambda asked: self._state(asked) == "ok", server)
        self._silent_for(PATIENT)

    def _silent_for(self, milliseconds: int) -> None:
        for server in self.running():
            server.do("CONFIG SET", "cluster-node-timeout", milliseconds)

    def until_healthy(self) -> None:
        """Every server thinks so, and every primary has a replica that is in step, where there are replicas."""
        for server in self.servers:
            until(lambda asked: self._state(asked) == "ok", server)
        if len(self.servers) > 3:
            until(lambda: len(self.primaries()) == 3 and all(has_replica(primary) for primary in self.primaries()))

    @staticmethod
    def _state(server: RedisServer) -> str:
        state = server.do("CLUSTER INFO")
        text = state.get("cluster_state") if isinstance(state, dict) else state
        return "ok" if text and ("cluster_state:ok" in text or text == "ok") else "fail"

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(server.address for server in self.servers)}"

    def id_of(self, server: RedisServer) -> str:
        return str(server.do("CLUSTER MYID"))

    def running(self) -> list[RedisServer]:
        return [server for server in self.servers if server.process and server.process.poll() is None]

    def primaries(self) -> list[RedisServer]:
        return [server for server in self.running() if server.do("ROLE")[0] == "master"]

    def replica_of(self, primary: RedisServer) -> RedisServer:
        return next(
            server
            for server in self.running()
            if server.do("ROLE")[0] == "slave" and int(server.do("ROLE")[2]) == primary.port
        )

    def owner(self, key: str) -> RedisServer:
        """The primary that a key lives on."""
        asked = self.running()[0]
        slot = asked.do("CLUSTER KEYSLOT", key)
        for first, last, (_, port, *_), *_ in self._slots(asked):
            if first <= slot <= last:
                return next(server for server in self.servers if server.port == port)
        raise AssertionError(f"nobody serves slot {slot}")

    @staticmethod
    def _slots(server: RedisServer) -> list[Any]:
        answer = server.do("CLUSTER SLOTS")
        if isinstance(answer, dict):  # redis-py's reading: {(first, last): {"primary": (host, port, …)}}
            return [(first, last, found["primary"]) for (first, last), found in answer.items()]
        return list(answer)

    @contextlib.contextmanager
    def moving(self, key: str, to: RedisServer) -> Iterator[Callable[..., None]]:
        """The key's slot on its way to another server, live; keys go by the function given, and the rest at the end."""
        source = self.owner(key)
        slot = source.do("CLUSTER KEYSLOT", key)
        to.do("CLUSTER SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.do("CLUSTER SETSLOT", slot, "MIGRATING", self.id_of(to))

        def move(*keys: str) -> None:
            source.do("MIGRATE", "127.0.0.1", to.port, "", 0, 1_000 * int(WITHIN), "KEYS", *keys)

        yield move
        while keys := source.do("CLUSTER GETKEYSINSLOT", slot, 10):
            move(*keys)
        for server in (to, source, *self.servers):
            with contextlib.suppress(redis.RedisError):  # replicas hear of it by themselves
                server.do("CLUSTER SETSLOT", slot, "NODE", self.id_of(to))

    def move(self, key: str, to: RedisServer, pause: float = 0.0) -> None:
        """Move the key's slot; for `pause` seconds its keys are in two places."""
        with self.moving(key, to) as move_one:
            if pause:
                move_one(key)
                time.sleep(pause)

    def close(self) -> None:
        for server in self.servers:
            server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
