"""Redis servers of the tests' own: one, behind Sentinel, a cluster; and a proxy that breaks what runs through it."""

from tests.redis_servers.cluster import SLOTS, Cluster
from tests.redis_servers.old import old_redis
from tests.redis_servers.proxy import TcpProxy
from tests.redis_servers.sentinel import Sentinel, Sentinels
from tests.redis_servers.server import AOF, RedisServer, has_replica, until, until_copied, until_heard
from tests.redis_servers.store import RedisStore, shared_server

__all__ = [
    "AOF",
    "SLOTS",
    "Cluster",
    "RedisServer",
    "RedisStore",
    "Sentinel",
    "Sentinels",
    "TcpProxy",
    "has_replica",
    "old_redis",
    "shared_server",
    "until",
    "until_copied",
    "until_heard",
]
