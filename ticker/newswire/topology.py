"""How Redis is reached: one server, behind Sentinel, or a Cluster. Knows connections; knows no lines.

Every connection has a time limit. None of them reconnects in silence: a command that fails is tried again
by whoever knows whether it may be, and an ear that is cut off says so.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import defaultdict
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from redis import exceptions as failure
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from ticker.errors import Misconfigured

CONNECT_WITHIN = 1.0  # seconds
ANSWER_WITHIN = 2.0  # seconds for one command
POOL = 32  # connections a node; editors and programs share them, readers need none
WAIT_WITHIN = 1_000  # milliseconds for replicas to confirm
OLDEST = (6, 2)  # XTRIM MINID, and GETDEL
OLDEST_CLUSTER = (7, 0)  # sharded pub/sub
OPTIONS = frozenset(
    "prefix wait_replicas sentinel_username sentinel_password ssl_ca_certs ssl_certfile ssl_keyfile".split()
)

Servers = list[tuple[str, int]]

log = logging.getLogger("ticker.newswire")


class NotReplicated(Exception):
    """A change is kept, but not by as many replicas as were asked for."""


class Ear:
    """One connection that listens. Whatever ends it is raised by `next`; it never comes back by itself."""

    def __init__(self, client: Redis, names: list[str], sharded: bool) -> None:
        self._client = client
        self._pubsub = client.pubsub()
        self._sharded = sharded
        self.names = names
        self.heard_at = 0.0

    async def open(self) -> None:
        """Subscribe, and see each subscription confirmed."""
        if self._sharded:
            for name in self.names:  # each is of another slot, perhaps, and one command takes one slot
                await self._pubsub.ssubscribe(name)
        else:
            await self._pubsub.subscribe(*self.names)
        for _ in self.names:
            if await self._pubsub.get_message(timeout=ANSWER_WITHIN) is None:
                raise failure.TimeoutError("a subscription was not confirmed")

    async def next(self) -> tuple[str, bytes]:
        """The next message: the channel it came on, and what it says."""
        while True:
            message = await self._pubsub.get_message(timeout=None)
            if message is None:
                continue
            match message["type"]:
                case "message" | "smessage":
                    return message["channel"].decode(), message["data"]
                case "sunsubscribe":
                    raise failure.ConnectionError("the slot has moved to another server")

    async def close(self) -> None:
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        await self._client.aclose()


class Topology(ABC):
    """A way to Redis. `client` sends commands; ears listen on connections of their own."""

    publish_command: ClassVar[str] = "PUBLISH"

    def __init__(self, servers: Servers, options: dict[str, Any], prefix: str, wait_replicas: int) -> None:
        self.servers = servers
        self.options = options
        self.prefix = prefix
        self.wait_replicas = wait_replicas
        self.client: Any = None

    @abstractmethod
    async def open(self) -> None: ...

    @abstractmethod
    async def listen(self, names: list[str]) -> list[Ear]:
        """Ears for all these channels, subscribed; each knows which are its own."""

    async def close(self) -> None:
        if self.client is not None:
            await self.client.aclose()

    async def send(self, *command: Any) -> Any:
        """One command, to whichever server its key lives on."""
        return await self.client.execute_command(*command)

    async def send_and_wait(self, key: str, *command: Any) -> Any:
        """One command, and then WAIT on the same connection. Raises NotReplicated."""
        if not self.wait_replicas:
            return await self.send(*command)
        async with self.client.pipeline(transaction=False) as pipeline:
            pipeline.execute_command(*command)
            pipeline.execute_command("WAIT", self.wait_replicas, WAIT_WITHIN)
            answer, replicas = await pipeline.execute(raise_on_error=False)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(replicas, Exception) or replicas < self.wait_replicas:
            raise NotReplicated
        return answer

    async def check(self, key: str) -> None:
        """Whether a newswire can live here. Raises Misconfigured with the one sentence to act on."""
        where = ", ".join(f"{host}:{port}" for host, port in self.servers)
        try:
            info = await self._info(key)
            await self._check_server(where, info)
            try:
                await self.send("EVAL", "return redis.call('TYPE', KEYS[1])", 1, key)
            except failure.NoPermissionError as error:
                raise Misconfigured(
                    f"Redis at {where} doesn't let this user run scripts ({error}). "
                    f"Allow it: ACL SETUSER … +@all ~{self.prefix}:* &{self.prefix}:*"
                ) from error
        except Misconfigured:
            raise
        except failure.AuthenticationError as error:
            raise Misconfigured(
                f"Redis at {where} refuses the user name or password. Correct them in the newswire's URL."
            ) from error
        except failure.NoPermissionError as error:
            raise Misconfigured(f"Redis at {where} doesn't give this user enough rights: {error}.") from error
        except (failure.RedisError, OSError) as error:
            raise Misconfigured(
                f"Redis at {where} can't be reached: {error or type(error).__name__}. {self.advice}"
            ) from error

    advice: ClassVar[str] = "Start it, or correct the newswire's URL."

    async def _info(self, key: str) -> dict[str, Any]:
        del key
        info: dict[str, Any] = await self.client.info()
        return info

    async def _check_server(self, where: str, info: dict[str, Any]) -> None:
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
        if int(info.get("maxmemory", 0)) and str(info.get("maxmemory_policy", "")).startswith("allkeys-"):
            raise Misconfigured(
                f"Redis at {where} throws keys away when its memory is full ({info['maxmemory_policy']}), and "
                "published lines with them. Set maxmemory-policy to noeviction."
            )
        if not info.get("aof_enabled"):
            log.warning(
                "Redis at %s keeps no append-only file: a crash loses what it acknowledged since its last save", where
            )


class Single(Topology):
    """`redis://` and `rediss://`."""

    async def open(self) -> None:
        self.client = self._connect(POOL)

    async def listen(self, names: list[str]) -> list[Ear]:
        return [await _opened(Ear(self._connect(1), names, sharded=False))]

    def _connect(self, connections: int) -> Redis:
        ((host, port),) = self.servers
        return Redis(host=host, port=port, max_connections=connections, **self.options)


class BehindSentinel(Topology):
    """`redis+sentinel://`: whichever server Sentinel says is the primary."""

    advice = "Start the sentinels, or correct the newswire's URL: redis+sentinel://HOST:26379,HOST:26379/SERVICE."

    def __init__(self, servers: Servers, service: str, sentinel: dict[str, Any], *given: Any) -> None:
        super().__init__(servers, *given)
        self._service = service
        self._sentinel_options = sentinel

    async def open(self) -> None:
        limits = {
            name: self.options[name] for name in ("socket_timeout", "socket_connect_timeout", "retry", "protocol")
        }
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
            self.servers, sentinel_kwargs={**limits, **self._sentinel_options}, **self.options
        )
        self.client = self._sentinel.master_for(self._service, max_connections=POOL)

    async def close(self) -> None:
        await super().close()
        await self._sentinel.aclose()

    async def listen(self, names: list[str]) -> list[Ear]:
        return [await _opened(Ear(self._sentinel.master_for(self._service, max_connections=1), names, sharded=False))]


class Clustered(Topology):
    """`redis+cluster://`: sharded pub/sub, with one ear per shard that has a channel of ours."""

    publish_command = "SPUBLISH"
    advice = "Start the cluster, or correct the newswire's URL: redis+cluster://HOST:PORT,HOST:PORT."

    async def open(self) -> None:
        nodes = [ClusterNode(host, port) for host, port in self.servers]
        options = {name: value for name, value in self.options.items() if name not in ("db", "retry")}
        self.client = RedisCluster(startup_nodes=nodes, max_connections=POOL, cluster_error_retry_attempts=1, **options)

    async def _info(self, key: str) -> dict[str, Any]:
        await self.client.initialize()
        node = self.client.get_node_from_key(key)
        answer = await self.client.execute_command("INFO", target_nodes=node)
        info: dict[str, Any] = answer if "redis_version" in answer else next(iter(answer.values()))
        return info

    async def send_and_wait(self, key: str, *command: Any) -> Any:
        if not self.wait_replicas:
            return await self.send(*command)
        # The shard's own primary: WAIT speaks of the writes of its connection, and a cluster client has many.
        async with self._connect(key) as client, client.pipeline(transaction=False) as pipeline:
            pipeline.execute_command(*command)
            pipeline.execute_command("WAIT", self.wait_replicas, WAIT_WITHIN)
            answer, replicas = await pipeline.execute(raise_on_error=False)
        if isinstance(answer, failure.MovedError):
            await self.client.nodes_manager.initialize()
            raise failure.ConnectionError(str(answer))
        if isinstance(answer, Exception):
            raise answer
        if isinstance(replicas, Exception) or replicas < self.wait_replicas:
            raise NotReplicated
        return answer

    async def listen(self, names: list[str]) -> list[Ear]:
        await self.client.nodes_manager.initialize()  # an ear may have ended because a slot has moved
        by_server: dict[str, list[str]] = defaultdict(list)
        for name in names:
            by_server[self.client.get_node_from_key(name).name].append(name)
        ears: list[Ear] = []
        try:
            for group in by_server.values():
                ear = Ear(self._connect(group[0]), group, sharded=True)
                await ear.open()
                ears.append(ear)
        except BaseException:
            for ear in ears:
                await ear.close()
            raise
        return ears

    def _connect(self, key: str) -> Redis:
        """A client of the server that this key lives on, and of no other."""
        node = self.client.get_node_from_key(key)
        options = {name: value for name, value in self.options.items() if name != "db"}
        return Redis(host=node.host, port=node.port, max_connections=1, **options)


async def _opened(ear: Ear) -> Ear:
    try:
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
        wait_replicas = int(given.get("wait_replicas", 0))
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
        case _:
            if len(servers) > 1:
                raise Misconfigured(f"redis:// names one server. {_FORMS}")
            options["db"] = _database(path)
            return Single(servers, options, prefix, wait_replicas)


_FORMS = (
    "It is redis://[USER:PASSWORD@]HOST[:PORT][/DB], redis+sentinel://HOST,HOST,HOST/SERVICE or "
    "redis+cluster://HOST,HOST; rediss for TLS."
)


def _server(host: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    if not parts.hostname:
        raise ValueError("it names no host")
    return parts.hostname, parts.port or default_port


def _database(path: str) -> int:
    if path and not path.isdigit():
        raise Misconfigured(f"The newswire's URL ends in {path!r}; there stands the number of a database, such as 0.")
    return int(path or 0)
