"""What the newswire's URL says: which way to Redis, and with what options. Pure; reaches nobody."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ticker.errors import Misconfigured
from ticker.newswire.redis.topology import Topology
from ticker.newswire.redis.topology.cluster import Clustered
from ticker.newswire.redis.topology.connection import Server, keep_secret
from ticker.newswire.redis.topology.sentinel import BehindSentinel
from ticker.newswire.redis.topology.single import Single

OPTIONS = frozenset(
    "prefix wait_replicas sentinel_username sentinel_password ssl_ca_certs ssl_certfile ssl_keyfile".split()
)

_ENCODE = "In a user's name or password, write / ? # @ : and % as %2F %3F %23 %40 %3A and %25."
_FORMS = (
    "It is redis://[USER:PASSWORD@]HOST[:PORT][/DB], redis+sentinel://HOST,HOST,HOST/SERVICE or "
    "redis+cluster://HOST,HOST; rediss for TLS."
)


def topology(url: str, node: str) -> Topology:
    """The way that a URL describes. Raises Misconfigured."""
    try:
        parts = urlsplit(url)
        misplaced = parts.fragment or "@" in parts.path + parts.query
    except ValueError:  # it quotes the URL, password and all
        misplaced = True
    if misplaced:
        raise Misconfigured(f"The newswire's URL can't be read. {_ENCODE} {_FORMS}")
    try:
        given = _options(parts.query)
        user, _, hosts = parts.netloc.rpartition("@")
        servers = [_server(host, 26379 if "sentinel" in parts.scheme else 6379) for host in hosts.split(",")]
        wait_replicas = _count(given.get("wait_replicas", "0"))
    except ValueError as error:
        raise Misconfigured(f"The newswire's URL can't be read: {error}. {_ENCODE} {_FORMS}") from None
    if unknown := given.keys() - OPTIONS:
        raise Misconfigured(
            f"The newswire's URL has the unknown option {min(unknown)}. It takes {', '.join(sorted(OPTIONS))}."
        )
    secure, _, kind = parts.scheme.partition("+")
    tls: dict[str, Any] = {option: value for option, value in given.items() if option.startswith("ssl_")}
    if secure == "rediss":
        tls["ssl"] = True
    elif tls:
        raise Misconfigured("The newswire's URL names a certificate but no TLS. Write rediss:// in place of redis://.")
    shared = tls | {"client_name": f"ticker-{node}"}  # by servers and sentinels
    name, _, password = user.partition(":")
    options = shared | {"username": unquote(name) or None, "password": unquote(password) or None}
    keep_secret(password, unquote(password), given.get("sentinel_password"))
    prefix = given.get("prefix", "ticker")
    path = parts.path.strip("/")
    match kind:
        case "sentinel":
            service, _, db = path.partition("/")
            if not service:
                raise Misconfigured(f"The newswire's URL names no service. {_FORMS}")
            options["db"] = _database(db)
            sentinel = shared | {
                option.removeprefix("sentinel_"): value
                for option, value in given.items()
                if option.startswith("sentinel_")
            }
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


# Sentences here quote nothing of what stands where a password might: it may have got there by a slip.


def _server(host: str, default_port: int) -> Server:
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("a port is a number up to 65535") from None
    if not name:
        raise ValueError("it names no host")
    return name, port or default_port


def _options(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, strict_parsing=bool(query)))
    except ValueError:
        raise ValueError("its options are written as ?NAME=VALUE&NAME=VALUE") from None


def _count(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise ValueError(f"wait_replicas is {value!r}, and a number of replicas belongs there")
    return int(value)


def _database(path: str) -> int:
    if path and not (path.isascii() and path.isdigit()):
        raise Misconfigured(
            f"The newswire's URL ends in something else than the number of a database, such as 0. {_ENCODE}"
        )
    return int(path or 0)
