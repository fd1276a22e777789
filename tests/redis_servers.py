"""Redis servers of the tests' own: one, behind Sentinel, a cluster; and a proxy that breaks what runs through it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar, TypeVarTuple
from uuid import uuid4

import httpx
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.patience import WITHIN
from tests.ports import free_port
from ticker.channel import Channel
from ticker.newswire.redis import RedisNewswire

T = TypeVar("T")

# Milliseconds until a primary counts as dead: always, or a busy machine would make it look so; and while it is.
PATIENT, WATCHFUL = 600_000, 3_000


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
    source = Path(__file__).with_name("stepped_clock.c")
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


# Sentinel


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


# Cluster

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


# A proxy


class _Way:
    """One direction of one connection."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.delay = 0.0


class TcpProxy:
    """Stands between a node and Redis, in a thread of its own, and breaks what runs through it.

    `up` is towards the server, `down` is towards the client.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.refusing = False
        self._stalled = {"up": False, "down": False}
        self._delay = 0.0
        self._ways: list[tuple[str, _Way]] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait(WITHIN)

    # What a test does

    def cut(self) -> None:
        """Every connection is reset; new ones are taken."""
        self._call(self._cut)

    def refuse(self) -> None:
        """Every connection is reset, and so are new ones."""
        self.refusing = True
        self.cut()

    def stall(self, *, up: bool = True, down: bool = True, newcomers: bool = True) -> None:
        """Nothing passes any more in these directions, and nobody is told. It waits, and passes when healed."""
        self._call(lambda: self._stall(up, down, newcomers))

    def slow(self, seconds: float) -> None:
        """Whatever passes, comes so much later."""
        self._delay = seconds

    def heal(self) -> None:
        self.refusing = False
        self._delay = 0.0
        self._call(self._heal)

    def connections(self) -> int:
        return len(self._ways) // 2

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    # How

    def _call(self, work: Callable[[], None]) -> None:
        done = threading.Event()

        def run() -> None:
            work()
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(WITHIN)

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def _stall(self, up: bool, down: bool, newcomers: bool) -> None:
        for name, wanted in (("up", up), ("down", down)):
            self._stalled[name] = wanted and newcomers
            for direction, way in self._ways:
                if direction == name and wanted:
                    way.open.clear()

    def _heal(self) -> None:
        self._stalled = {"up": False, "down": False}
        for _, way in self._ways:
            way.open.set()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(self._loop), return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            beyond, onward = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, onward}
        if self.refusing:  # asked only now: it may have begun meanwhile
            for end in both:
                end.transport.abort()
            return
        self._writers |= both
        up, down = self._way("up"), self._way("down")
        pumps = [
            asyncio.create_task(self._pump(reader, onward, up)),
            asyncio.create_task(self._pump(beyond, writer, down)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._writers -= both
            self._ways.remove(("up", up))
            self._ways.remove(("down", down))
            for end in both:
                end.transport.abort()

    def _way(self, direction: str) -> _Way:
        way = _Way()
        if self._stalled[direction]:
            way.open.clear()
        self._ways.append((direction, way))
        return way

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: _Way) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await way.open.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(data)
                await writer.drain()
            await way.open.wait()

    def close(self) -> None:
        self._call(self._server.close)
        self.refuse()
        self.heal()  # whatever waits, goes; nobody is there to take it
        until(lambda: not self._ways)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WITHIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def old_redis(version: str) -> Iterator[int]:
    """A stand-in for a server too old to be had: it answers INFO with this version, and OK to all else."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError), connection.makefile("rwb") as stream:
            while head := stream.readline():
                words = []
                for _ in range(int(head[1:])):
                    size = int(stream.readline()[1:])
                    words.append(stream.read(size + 2)[:-2].upper())
                if words[0] == b"INFO":
                    info = f"# Server\r\nredis_version:{version}\r\nrole:master\r\n".encode()
                    stream.write(b"$%d\r\n%b\r\n" % (len(info), info))
                else:
                    stream.write(b"+OK\r\n")
                stream.flush()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        ended.set()
        listener.close()


# For the contract

_shared: RedisServer | None = None


def shared_server() -> RedisServer:
    """One server for all the tests of a run that break nothing; each has a prefix of its own."""
    global _shared
    if _shared is None:
        folder = tempfile.TemporaryDirectory(prefix="ticker-redis-")
        server = _shared = RedisServer(Path(folder.name), clock=True)

        def end() -> None:
            server.close()
            folder.cleanup()

        atexit.register(end)
    _shared.step(0)
    return _shared


class RedisStore:
    """Newswires over one part of the shared server. Given a clock, they make the server's clock go by it."""

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self.channels = channels
        self.server = shared_server()
        self.url = f"{self.server.url}?prefix=test-{uuid4().hex}"
        self._open: RedisNewswire | None = None

    async def open(
        self, channels: Mapping[str, Channel] | None = None, clock: Callable[[], float] = time.time
    ) -> RedisNewswire:
        await self.close()
        # At once: by today's clock, the server would forget what was to be kept until some hour of the test's.
        self.server.step(clock() - time.time())
        wire = _ByTheTestsClock(self.url, self.server, clock)
        await wire.open(channels or self.channels)
        self._open = wire
        return wire

    async def close(self) -> None:
        if self._open:
            await self._open.close()
        self._open = None


class _ByTheTestsClock(RedisNewswire):
    def __init__(self, url: str, server: RedisServer, clock: Callable[[], float]) -> None:
        super().__init__(url, "test")
        self._server = server
        self._clock = clock

    async def _asked(self, answer: Awaitable[T]) -> T:
        if self._clock is not time.time:
            self._server.step(self._clock() - time.time())
        return await super()._asked(answer)
