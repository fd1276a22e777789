"""Whether a newswire can live there; if not, the one sentence to act on. Knows what Redis refuses; mends nothing."""

from __future__ import annotations

import logging
from typing import Any

from redis import exceptions as failure

from ticker.errors import Misconfigured
from ticker.newswire.redis.topology import Topology
from ticker.newswire.redis.topology.cluster import Clustered
from ticker.newswire.redis.topology.connection import reason, refusal

RIGHTS = (  # all that a node needs; tests see that it is enough
    "on >PASSWORD ~{prefix}:* resetchannels &{prefix}:* +@read +@write +@scripting +@pubsub +@connection "
    "-@dangerous +info +time +wait +client|setname +cluster|slots"
)

_NOT_ALLOWED = "The user executing the script can't", "ACL failure in script"  # Redis 6.2 and 7.0; 8.0 and Valkey

log = logging.getLogger("ticker.newswire")


async def check(topology: Topology, key: str, script: str, name: str) -> str | None:
    """Why it takes no changes just now, though readers can be served; None if it does. Raises Misconfigured, and
    BusyLoadingError or MasterDownError if it will do but isn't up yet.

    `script` does to `key` all that a newswire does and leaves no trace; `name` is a channel to listen to.
    """
    where = ",".join(f"{host}:{port}" for host, port in topology.servers)
    try:
        for server, info in await topology.infos():
            _check_server(topology, server, info)
        await topology.send("EVAL", script, 1, key, name, topology.publish_command)
        for subscription in await topology.listen([name]):
            await subscription.close()
    except (Misconfigured, failure.BusyLoadingError, failure.MasterDownError):
        raise
    except failure.AuthenticationError as error:
        raise Misconfigured(
            f"Redis at {where} refuses the user name or password. Correct them in the newswire's URL."
        ) from error
    except failure.NoPermissionError as error:
        raise _not_allowed(error, where, topology.prefix) from error
    except failure.ResponseError as error:
        if any(words in str(error) for words in _NOT_ALLOWED):
            raise _not_allowed(error, where, topology.prefix) from error
        if isinstance(error, failure.ReadOnlyError):
            raise Misconfigured(f"Redis at {where} is a replica and can't be written. Name its primary.") from error
        if "cluster support disabled" in str(error):
            raise Misconfigured(f"Redis at {where} is no cluster. Use redis://{where}.") from error
        # Full, or without its disk: readers can be served all the same.
        _, sentence = refusal(error) or ("", f"It says: {reason(error)}.")
        return f"Redis at {where} takes no new lines just now. {sentence}"
    except (failure.RedisError, OSError) as error:
        raise Misconfigured(f"Redis at {where} can't be reached: {reason(error)}. {topology.advice}") from error
    return None


def _not_allowed(error: Exception, where: str, prefix: str) -> Misconfigured:
    return Misconfigured(
        f"Redis at {where} doesn't allow this user all that it needs ({reason(error)}). "
        f"Allow it: ACL SETUSER NAME {RIGHTS.format(prefix=prefix)}"
    )


def _check_server(topology: Topology, where: str, info: dict[str, Any]) -> None:
    """What a server says of itself. Raises Misconfigured where it won't do, and warns where it might not."""
    version = str(info["redis_version"])  # Valkey gives the Redis that it is compatible with
    numbers = tuple(int(part) for part in version.split(".")[:2])
    if numbers < topology.oldest:
        raise Misconfigured(
            f"Redis at {where} is version {version}; Ticker needs {topology.oldest[0]}.{topology.oldest[1]} or newer. "
            "Upgrade it."
        )
    if info.get("role") == "slave":
        raise Misconfigured(
            f"Redis at {where} is a replica and can't be written. Name its primary "
            f"({info.get('master_host')}:{info.get('master_port')}), or use redis+sentinel://."
        )
    if info.get("cluster_enabled") and not isinstance(topology, Clustered):
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
    if topology.wait_replicas > int(info.get("connected_slaves", 0)):
        log.warning("Redis at %s has fewer replicas than wait_replicas=%d asks for", where, topology.wait_replicas)
