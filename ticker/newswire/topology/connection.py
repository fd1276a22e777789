"""One connection to Redis: what is asked on it, and what is heard. Knows one server; knows not why it is that one.

Every connection has a time limit. None of them reconnects in silence: a command that fails is tried again
by whoever knows whether it may be, and an ear that is cut off says so.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any, Self

from redis import exceptions as failure
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CONNECT_WITHIN = 1.0  # seconds
ANSWER_WITHIN = 2.0  # seconds for one command

Server = tuple[str, int]
Command = tuple[Any, ...]


def connect(server: Server, connections: int, options: Mapping[str, Any]) -> Redis:
    """A client of one server, over so many connections at most. Nothing is sent yet."""
    return Redis(
        host=server[0],
        port=server[1],
        max_connections=connections,
        socket_timeout=ANSWER_WITHIN,
        socket_connect_timeout=CONNECT_WITHIN,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # Redis 6.2, Valkey and the proxies before them all speak it, and we need nothing of 3
        **options,
    )


async def ask(client: Redis, commands: list[Command]) -> list[Any]:
    """The answers to commands on one connection; errors that the server answers are among them."""
    with _a_closed_connection_is_gone():
        if len(commands) == 1:
            try:
                return [await client.execute_command(*commands[0])]  # type: ignore[no-untyped-call]
            except failure.ResponseError as error:
                return [_as_if_outside(error)]
        async with client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            return [_as_if_outside(answer) for answer in await pipeline.execute(raise_on_error=False)]


def _as_if_outside(answer: Any) -> Any:
    """Redis 6.2 wraps what a script was refused: `ERR Error running script (…): @user_script: 1: -OOM …`."""
    if isinstance(answer, failure.ResponseError) and str(answer).startswith("Error running script"):
        for code, error in _REFUSALS.items():
            if f" -{code} " in str(answer):
                return error(str(answer))
    return answer


_REFUSALS = {"OOM": failure.OutOfMemoryError, "READONLY": failure.ReadOnlyError}


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

    async def open(self) -> Self:
        """Subscribe, and see each subscription confirmed."""
        try:
            with _a_closed_connection_is_gone():
                await self._subscribe()
        except BaseException:
            await self.close()
            raise
        return self

    async def _subscribe(self) -> None:
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


@contextlib.contextmanager
def _a_closed_connection_is_gone() -> Iterator[None]:
    """uvloop raises a RuntimeError where a connection is written to that has just been closed."""
    try:
        yield
    except RuntimeError as error:
        raise failure.ConnectionError(str(error)) from error


def reason(error: Exception) -> str:
    """What went wrong, as the end of a sentence."""
    return str(error).rstrip(".") or type(error).__name__
