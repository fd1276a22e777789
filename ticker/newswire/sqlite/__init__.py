"""The embedded newswire: one file, one node.

`SqliteNewswire` is composed of rooms. Each knows one thing: the `file`, its `migrations`, `transactions` on it,
`checking` that it is whole, the `clock`, `writing`, `reading`, `following`, the `stores` and `trimming`.
"""

from ticker.newswire.sqlite.newswire import SqliteNewswire

__all__ = ["SqliteNewswire"]
