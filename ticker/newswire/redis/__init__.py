"""The newswire of many nodes: Redis pub/sub is the fast path, a stream per channel is the truth.

`RedisNewswire` is composed of rooms. Each knows one thing: `asking` a server, the `clock` of it, `publishing` with
`idempotency`, `reading`, `following`, the `stores` and `presence`, `histories` and `trimming`, `migrations`.
`scripts/` holds what must happen in one step; `topology/` says how the servers are reached.
"""

from ticker.newswire.redis.newswire import RedisNewswire

__all__ = ["RedisNewswire"]
