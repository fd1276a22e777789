"""How Redis is reached: one server, behind Sentinel, or a Cluster. Knows connections; knows no lines.

Every connection has a time limit. None of them reconnects in silence: a command that fails is tried again
by whoever knows whether it may be, and an ear that is cut off says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from redis import exceptions as failure
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot

from ticker.errors import Misconfigured

CONNECT_WITHIN = 1.0  # seconds
ANSWER_WITHIN = 2.0  # seconds for one command
POOL = 32  # connections a node; editors and programs share them, readers need none
WAIT_WITHIN = 1_000  # milliseconds for replicas to confirm
TRY_AGAIN_AFTER = 0.05  # seconds, while a slot is between two servers of a cluster
OLDEST = (6, 2)  # XTRIM MINID, and GETDEL
OLDEST_CLUSTER = (7, 0)  # sharded pub/sub
OPTIONS = frozenset(
    "prefix wait_replicas sentinel_username sentinel_password ssl_ca_certs ssl_certfile ssl_keyfile".split()
)

RIGHTS = (  # all that a node needs; tests see that it is enough
    "on >PASSWORD ~{prefix}:* &{prefix}:* +@read +@write +@scripting +@pubsub +@connection "
    "-@dangerous +info +time +wait +cluster|slots"
)

Server = tuple[str, int]
Servers = list[Server]
Command = tuple[Any, ...]

log = logging.getLogger("ticker.newswire")


class NotReplicated(Exception):
    """A change is kept, but not by as many replicas as were asked for."""


class Ear:
    """One connection that listens. Whatever ends it is raised by `next`; it never comes back by itself.

    redis-py's own PubSub reconnects and subscribes again before it says that something was wrong.
    """

    def __init__(self, client: Redis, names: list[str], sharded: bool) -> None:
        self._client = client
        self._connection: Any = None
        self._sharded = sharded
        self.names = names
        self.heard_at = 0.0

    async def open(self) -> None:
        """Subscribe, and see each subscription confirmed."""
        connection = self._connection = await self._client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        if self._sharded:
            for name in self.names:  # each is of another slot, perhaps, and one command takes one slot
                await connection.send_command("SSUBSCRIBE", name)
        else:
            await connection.send_command("SUBSCRIBE", *self.names)
        missing = len(self.names)
        while missing:  # what is announced meanwhile is read from the stream afterwards
            missing -= (await connection.read_response())[0] in (b"subscribe", b"ssubscribe")

    async def next(self) -> tuple[str, bytes]:
        """The next message: the channel it came on, and what it says."""
        while True:
            kind, name, said = await self._connection.read_response(timeout=math.inf, disconnect_on_error=False)
            match kind:
                case b"message" | b"smessage":
                    return name.decode(), said
                case b"sunsubscribe":
                    raise failure.ConnectionError("the slot has moved to another server")

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)
        await self._client.aclose()


class Topology(ABC):
    """A way to Redis: commands go by connections of a pool, ears have connections of their own."""

    publish_command: ClassVar[str] = "PUBLISH"
    advice: ClassVar[str] = "Start it, or correct the newswire's URL."

    def __init__(self, servers: Servers, options: dict[str, Any], prefix: str, wait_replicas: int) -> None:
        self.servers = servers
        self.options = options
        self.prefix = prefix
        self.wait_replicas = wait_replicas
        self._places = asyncio.Semaphore(POOL)

    @abstractmethod
    async def open(self) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def listen(self, names: list[str]) -> list[Ear]:
        """Ears for all these channels, subscribed; each knows which are its own."""

    @abstractmethod
    async def _ask(self, commands: list[Command]) -> list[Any]:
        """Commands on one connection to the server that the first one's key lives on. Errors are among the answers."""

    @abstractmethod
    async def _infos(self) -> list[tuple[str, dict[str, Any]]]:
        """What each server that we write to says of itself, and its address."""

    @abstractmethod
    async def look(self) -> None:
        """Raises ConnectionError where the ears listen to servers that have been replaced."""

    async def send(self, *command: Any) -> Any:
        """One command, to whichever server its key lives on."""
        (answer,) = await self._in_turn([command])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def send_and_wait(self, *command: Any) -> Any:
        """One command, and then WAIT on the same connection. Raises NotReplicated."""
        if not self.wait_replicas:
            return await self.send(*command)
        answer, replicas = await self._in_turn([command, ("WAIT", self.wait_replicas, WAIT_WITHIN)])
        if isinstance(answer, Exception):
            raise answer
        if isinstance(replicas, Exception) or replicas < self.wait_replicas:
            raise NotReplicated
        return answer

    def _connect(self, server: Server, connections: int) -> Redis:
        return Redis(host=server[0], port=server[1], max_connections=connections, **self.options)

    async def _in_turn(self, commands: list[Command]) -> list[Any]:
        """Whoever comes when every connection is taken waits: redis-py's pools refuse."""
        async with asyncio.timeout(ANSWER_WITHIN):
            await self._places.acquire()
        try:
            return await self._ask(commands)
        finally:
            self._places.release()

    async def check(self, key: str, script: str, name: str) -> None:
        """Whether a newswire can live here. Raises Misconfigured with the one sentence to act on.

        `script` does to `key` all that a newswire does and leaves no trace; `name` is a channel to listen to.
        """
        where = self._where
        try:
            for server, info in await self._infos():
                self._check_server(server, info)
            await self.send("EVAL", script, 1, key, name, self.publish_command)
            for ear in await self.listen([name]):
                await ear.close()
        except Misconfigured:
            raise
        except failure.AuthenticationError as error:
            raise Misconfigured(
                f"Redis at {where} refuses the user name or password. Correct them in the newswire's URL."
            ) from error
        except failure.NoPermissionError as error:
            raise self._not_allowed(error) from error
        except failure.ResponseError as error:
            if "The user executing the script can't" in str(error):
                raise self._not_allowed(error) from error
            if isinstance(error, failure.ReadOnlyError):
                raise Misconfigured(f"Redis at {where} is a replica and can't be written. Name its primary.") from error
            if "cluster support disabled" in str(error):
                raise Misconfigured(f"Redis at {where} is no cluster. Use redis://{where}.") from error
            # Full, or without its disk: readers can be served all the same.
            log.warning("Redis at %s takes no new lines just now: %s", where, error)
        except (failure.RedisError, OSError) as error:
            raise Misconfigured(f"Redis at {where} can't be reached: {reason(error)}. {self.advice}") from error

    def _not_allowed(self, error: Exception) -> Misconfigured:
        return Misconfigured(
            f"Redis at {self._where} doesn't allow this user all that it needs ({reason(error)}). "
            f"Allow it: ACL SETUSER NAME {RIGHTS.format(prefix=self.prefix)}"
        )

    @property
    def _where(self) -> str:
        return ",".join(f"{host}:{port}" for host, port in self.servers)

    def _check_server(self, where: str, info: dict[str, Any]) -> None:
        version = str(info["redis_version"])  # Valkey gives the Redis that it is compatible with
        numbers = tuple(int(part) for part in version.split(".")[:2])
        oldest = OLDEST_CLUSTER if isinstance(self, Clustered) else OLDEST
        if numbers < oldest:
            raise Misconfigured(
                f"Redis at {where} is version {version}; Ticker needs {oldest[0]}.{oldest[1]} or newer. Upgrade it."
            )
        if info.get("role") == "slave":
            raise Misconfigured(
                f"Redis at {where} is a replica and can't be written. Name its primary "
                f"({info.get('master_host')}:{info.get('master_port')}), or use redis+sentinel://."
            )
        if info.get("cluster_enabled") and not isinstance(self, Clustered):
            raise Misconfigured(f"Redis at {where} is part of a cluster. Use redis+cluster://{where}.")
        policy = str(info.get("maxmemory_policy", "")) if int(info.get("maxmemory", 0)) else ""
        if policy.startswith("allkeys-"):
            raise Misconfigured(
                f"Redis at {where} throws keys away when its memory is full ({policy}), and published lines with "
                "them. Set maxmemory-policy to noeviction."
            )
        if policy.startswith("volatile-"):
            log.warning("Redis at %s may forget Idempotency-Keys when its memory is full (%s)", where, policy)
        if not info.get("aof_enabled"):
            log.warning(
                "Redis at %s keeps no append-only file: a crash loses what it acknowledged since its last save", where
            )
        if self.wait_replicas > int(info.get("connected_slaves", 0)):
            log.warning("Redis at %s has fewer replicas than wait_replicas=%d asks for", where, self.wait_replicas)


class Single(Topology):
    """`redis://` and `rediss://`."""

    async def open(self) -> None:
        self._client = self._connect(self.servers[0], POOL)

    async def close(self) -> None:
        await self._client.aclose()

    async def listen(self, names: list[str]) -> list[Ear]:
        return [await _opened(Ear(self._connect(self.servers[0], 1), names, sharded=False))]

    async def look(self) -> None:
        pass  # whatever answers at that address is the one

    async def _ask(self, commands: list[Command]) -> list[Any]:
        return await _asked(self._client, commands)

    async def _infos(self) -> list[tuple[str, dict[str, Any]]]:
        return [(self._where, await self._client.info())]


class BehindSentinel(Topology):
    """`redis+sentinel://`: whichever server Sentinel says is the primary.

    One that hung while another took its place wakes up as a primary, for a moment, and what it acknowledges then
    is lost. So not one connection to it is kept: redis-py's own pool keeps those that wait for an answer. Nor
    does its own way of asking sentinels say why one didn't answer.
    """

    advice = "Start the sentinels, or correct the newswire's URL: redis+sentinel://HOST:26379,HOST:26379/SERVICE."

    def __init__(self, servers: Servers, service: str, sentinel: dict[str, Any], *given: Any) -> None:
        super().__init__(servers, *given)
        self._service = service
        self._sentinel_options = sentinel

    async def open(self) -> None:
        shared = ("socket_timeout", "socket_connect_timeout", "socket_keepalive", "retry", "protocol", "client_name")
        options = {name: self.options[name] for name in shared} | self._sentinel_options
        self._sentinels = [Redis(host=host, port=port, max_connections=2, **options) for host, port in self.servers]
        self._primary: Server | None = None
        self._client: Redis | None = None
        self._listened_to: Server | None = None
        self._doubted = False
        self._asking = asyncio.Lock()

    async def close(self) -> None:
        clients = [*self._sentinels, *([self._client] if self._client else [])]
        await asyncio.gather(*(client.aclose() for client in clients), return_exceptions=True)

    async def listen(self, names: list[str]) -> list[Ear]:
        await self._find()
        assert self._primary
        self._listened_to = self._primary
        return [await _opened(Ear(self._connect(self._primary, 1), names, sharded=False))]

    async def look(self) -> None:
        await self._find()
        if self._primary != self._listened_to:
            raise failure.ConnectionError("another server is the primary now")

    async def _ask(self, commands: list[Command]) -> list[Any]:
        client = self._client
        if client is None or self._doubted:
            client = await self._find()
        try:
            answers = await _asked(client, commands)
        except (failure.RedisError, OSError):
            self._doubted = True
            raise
        if isinstance(answers[0], failure.ReadOnlyError):
            self._doubted = True
            raise failure.ConnectionError("this server is a replica now")
        return answers

    async def _infos(self) -> list[tuple[str, dict[str, Any]]]:
        client = await self._find()
        assert self._primary
        return [("{}:{}".format(*self._primary), await client.info())]

    async def _find(self) -> Redis:
        """The primary's client. Where it is another than before, connections to that one are closed, used or not."""
        async with asyncio.timeout(ANSWER_WITHIN), self._asking:
            primary = await self._discover()
            self._doubted = False
            if self._client is None or primary != self._primary:
                before, self._client, self._primary = self._client, self._connect(primary, POOL), primary
                if before:
                    await before.aclose()
            return self._client

    async def _discover(self) -> Server:
        """The primary's address, from the first sentinel that knows it; that one is asked first from then on."""
        problem: Exception = failure.ConnectionError(f"no sentinel knows a service {self._service!r}")
        for place, sentinel in enumerate(self._sentinels):
            try:
                (found,) = await _asked(sentinel, [("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)])
                if isinstance(found, Exception):
                    raise found
            except (failure.RedisError, OSError) as error:
                problem = error
                continue
            if found:
                self._sentinels.insert(0, self._sentinels.pop(place))
                return found[0].decode(), int(found[1])
        raise problem


class Clustered(Topology):
    """`redis+cluster://`: sharded pub/sub, with one ear per shard that has a channel of ours.

    Which server has which slots is kept here, and asked again when a server points elsewhere or fails. redis-py's
    cluster client sends ASKING on one connection and the command on another, and repeats on its own what may
    have been done; it also keeps WAIT apart from what it is to wait for.
    """

    publish_command = "SPUBLISH"
    advice = "Start the cluster, or correct the newswire's URL: redis+cluster://HOST:PORT,HOST:PORT."

    async def open(self) -> None:
        self._clients: dict[Server, Redis] = {}
        self._shards: list[_Shard] = []
        self._suspect: Server | None = None  # the last that failed, asked last
        self._reading = asyncio.Lock()

    async def close(self) -> None:
        await asyncio.gather(*(client.aclose() for client in self._clients.values()), return_exceptions=True)

    async def _ask(self, commands: list[Command]) -> list[Any]:
        slot = key_slot(_key_of(commands[0]).encode())
        give_up = time.monotonic() + ANSWER_WITHIN
        server, asking = await self._owner(slot), False
        while True:
            try:
                answers = await _asked(self._client(server), [("ASKING",), *commands] if asking else commands)
            except (failure.RedisError, OSError):
                # Perhaps it has failed over. Whether the command may be repeated isn't known here.
                self._shards, self._suspect = [], server
                raise
            answers = answers[asking:]
            if not isinstance(answers[0], _ELSEWHERE) or time.monotonic() > give_up:
                return answers
            match answers[0]:
                case failure.MovedError() as moved:
                    self._shards = []
                    server, asking = (moved.host or server[0], moved.port), False
                case failure.AskError() as ask:
                    server, asking = (ask.host or server[0], ask.port), True
                case _:  # between two servers: try again from the start
                    await asyncio.sleep(TRY_AGAIN_AFTER)
                    server, asking = await self._owner(slot), False

    async def look(self) -> None:
        pass  # a server that has been replaced says so: it ends the subscription, or the connection

    async def _infos(self) -> list[tuple[str, dict[str, Any]]]:
        await self._read_shards(self._shards)
        servers = dict.fromkeys(shard.server for shard in self._shards)
        return [(f"{host}:{port}", await self._client((host, port)).info()) for host, port in servers]

    async def listen(self, names: list[str]) -> list[Ear]:
        await self._read_shards(self._shards)  # an ear may have ended because a slot has moved
        by_server: dict[Server, list[str]] = defaultdict(list)
        for name in names:
            by_server[await self._owner(key_slot(name.encode()))].append(name)
        ears: list[Ear] = []
        try:
            for server, own in by_server.items():
                ears.append(await _opened(Ear(self._connect(server, 1), own, sharded=True)))
        except BaseException:
            for ear in ears:
                await ear.close()
            raise
        return ears

    async def _owner(self, slot: int) -> Server:
        if not self._shards:
            await self._read_shards(self._shards)
        for shard in self._shards:
            if shard.first <= slot <= shard.last:
                return shard.server
        self._shards = []
        raise failure.ConnectionError(f"no server of the cluster has slot {slot}")

    async def _read_shards(self, stale: list[_Shard]) -> None:
        """Ask any server that answers who has which slots."""
        async with self._reading:
            if self._shards and self._shards is not stale:
                return  # somebody else has just asked
            problem: Exception = failure.ConnectionError("no server was named")
            known = dict.fromkeys([*random.sample([*self._clients], len(self._clients)), *self.servers])
            for server in sorted(known, key=lambda server: server == self._suspect):
                try:
                    (found,) = await _asked(self._client(server), [("CLUSTER", "SLOTS")])
                    if isinstance(found, Exception):
                        raise found
                except (failure.RedisError, OSError) as error:
                    problem = error
                    continue
                self._shards = [
                    _Shard(first, last, (primary[0].decode() or server[0], primary[1]))
                    for first, last, primary, *_ in found
                ]
                await self._leave_others()
                return
            raise problem

    async def _leave_others(self) -> None:
        """Close connections to servers that aren't primaries now, used or not, for the reason that Sentinel has."""
        for server in self._clients.keys() - {shard.server for shard in self._shards}:
            await self._clients.pop(server).aclose()

    def _client(self, server: Server) -> Redis:
        if server not in self._clients:
            self._clients[server] = self._connect(server, POOL)
        return self._clients[server]


class _Shard(NamedTuple):
    """Some of the cluster's slots, and the primary that has them."""

    first: int
    last: int
    server: Server


_ELSEWHERE = (failure.MovedError, failure.AskError, failure.TryAgainError, failure.ClusterDownError)


async def _asked(client: Redis, commands: list[Command]) -> list[Any]:
    """The answers to commands on one connection; errors that the server answers are among them."""
    with _a_closed_connection_is_gone():
        if len(commands) == 1:
            try:
                return [await client.execute_command(*commands[0])]  # type: ignore[no-untyped-call]
            except failure.ResponseError as error:
                return [error]
        async with client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            return await pipeline.execute(raise_on_error=False)


@contextlib.contextmanager
def _a_closed_connection_is_gone() -> Iterator[None]:
    """uvloop raises a RuntimeError where a connection is written to that has just been closed."""
    try:
        yield
    except RuntimeError as error:
        raise failure.ConnectionError(str(error)) from error


def _key_of(command: Command) -> str:
    """The first key of a command, which says where in a cluster it goes. Without one, all nodes ask one server."""
    if command[0] in ("EVAL", "EVALSHA"):
        return str(command[3])
    return str(command[1]) if len(command) > 1 else ""


def reason(error: Exception) -> str:
    """What went wrong, as the end of a sentence."""
    return str(error).rstrip(".") or type(error).__name__


async def _opened(ear: Ear) -> Ear:
    try:
        with _a_closed_connection_is_gone():
            await ear.open()
    except BaseException:
        await ear.close()
        raise
    return ear


def topology(url: str, node: str) -> Topology:
    """The way that a URL describes. Raises Misconfigured."""
    try:
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        user, _, hosts = parts.netloc.rpartition("@")
        servers = [_server(host, 26379 if "sentinel" in parts.scheme else 6379) for host in hosts.split(",")]
        wait_replicas = _count(given.get("wait_replicas", "0"))
    except ValueError as error:
        raise Misconfigured(f"The newswire's URL can't be read: {error}. {_FORMS}") from error
    if unknown := given.keys() - OPTIONS:
        raise Misconfigured(
            f"The newswire's URL has the unknown option {min(unknown)}. It takes {', '.join(sorted(OPTIONS))}."
        )
    name, _, password = user.partition(":")
    options: dict[str, Any] = {
        "username": unquote(name) or None,
        "password": unquote(password) or None,
        "socket_timeout": ANSWER_WITHIN,
        "socket_connect_timeout": CONNECT_WITHIN,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "client_name": f"ticker-{node}",
        "protocol": 2,  # Redis 6.2, Valkey and the proxies before them all speak it, and we need nothing of 3
    }
    secure, _, kind = parts.scheme.partition("+")
    tls = {option: value for option, value in given.items() if option.startswith("ssl_")}
    if secure == "rediss":
        options |= {"ssl": True, **tls}
    elif tls:
        raise Misconfigured("The newswire's URL names a certificate but no TLS. Write rediss:// in place of redis://.")
    prefix = given.get("prefix", "ticker")
    path = parts.path.strip("/")
    match kind:
        case "sentinel":
            service, _, db = path.partition("/")
            if not service:
                raise Misconfigured(f"The newswire's URL names no service. {_FORMS}")
            options["db"] = _database(db)
            sentinel: dict[str, Any] = {
                option.removeprefix("sentinel_"): value
                for option, value in given.items()
                if option.startswith("sentinel_")
            }
            if secure == "rediss":
                sentinel |= {"ssl": True, **tls}
            return BehindSentinel(servers, service, sentinel, options, prefix, wait_replicas)
        case "cluster":
            if path:
                raise Misconfigured("A cluster has one database, number 0. Leave the path out of the newswire's URL.")
            return Clustered(servers, options, prefix, wait_replicas)
        case "":
            if len(servers) > 1:
                raise Misconfigured(f"redis:// names one server. {_FORMS}")
            options["db"] = _database(path)
            return Single(servers, options, prefix, wait_replicas)
        case _:
            raise Misconfigured(f"{parts.scheme}:// names no newswire that this version knows. {_FORMS}")


_FORMS = (
    "It is redis://[USER:PASSWORD@]HOST[:PORT][/DB], redis+sentinel://HOST,HOST,HOST/SERVICE or "
    "redis+cluster://HOST,HOST; rediss for TLS."
)


def _server(host: str, default_port: int) -> Server:
    parts = urlsplit(f"//{host}")
    if not parts.hostname:
        raise ValueError("it names no host")
    return parts.hostname, parts.port or default_port


def _count(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise ValueError(f"wait_replicas is {value!r}, and a number of replicas belongs there")
    return int(value)


def _database(path: str) -> int:
    if path and not path.isdigit():
        raise Misconfigured(f"The newswire's URL ends in {path!r}; there stands the number of a database, such as 0.")
    return int(path or 0)
