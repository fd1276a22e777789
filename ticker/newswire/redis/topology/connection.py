"""One connection to Redis: commands and messages. Knows one server; doesn't know why it is that one.

Every connection has a time limit. None of them reconnects in silence: a command that fails is tried again
by the caller, who knows whether that is safe, and a subscription that is cut off says so.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from redis import exceptions as failure
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ticker.redacting import HIDDEN

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


_REFUSALS: dict[str, Callable[[str], failure.ResponseError]] = {
    "OOM": failure.OutOfMemoryError,
    "READONLY": failure.ReadOnlyError,
    "NOREPLICAS": lambda said: failure.ResponseError(f"NOREPLICAS {said}"),
    "MISCONF": lambda said: failure.ResponseError(f"MISCONF {said}"),
}


class Subscription:
    """One connection that listens. `next` raises anything that ends it; it never reconnects by itself.

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
    """uvloop raises a RuntimeError on a write to a connection that has just been closed."""
    try:
        yield
    except RuntimeError as error:
        raise failure.ConnectionError(str(error)) from error


_secrets: set[str] = set()


def keep_secret(*secrets: str | None) -> None:
    """Passwords that no message may contain, even if a server or redis-py quotes them."""
    _secrets.update(secret for secret in secrets if secret)


def reason(error: Exception) -> str:
    """What went wrong, as the end of a sentence, and without any password."""
    said = str(error).partition(", with args beginning with")[0]  # Redis quotes an AUTH that it doesn't know
    for secret in sorted(_secrets, key=len, reverse=True):
        said = said.replace(secret, HIDDEN)
    return said.rstrip(".") or type(error).__name__


def refusal(error: Exception) -> tuple[str, str] | None:
    """Why a server takes no change for certain, and what to do: a word, and a sentence. None: it may have taken it."""
    code = str(error).partition(" ")[0]
    match error:
        case failure.OutOfMemoryError():
            return "OOM", "Redis has no memory left for another line. Give it more (maxmemory)."
        case failure.ReadOnlyError():
            return "READONLY", "Redis is a replica and can't be written. Make it a primary, or name the primary."
        case failure.AuthenticationError() | failure.NoPermissionError():
            return "NOPERM", f"Redis doesn't allow this user to write ({reason(error)}). Look at its ACL."
        case failure.ResponseError() if code == "NOREPLICAS":
            return code, "Redis has fewer replicas than its min-replicas-to-write asks for. Start them, or lower it."
        case failure.ResponseError() if code == "MISCONF":
            return code, "Redis can't save to its disk (MISCONF). Make room on it; Redis' log says what is wrong."
        case _:
            return None
