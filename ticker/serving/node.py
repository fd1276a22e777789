"""One process that serves one node: its socket, its limits, its signals, its end. Knows uvicorn; knows no route."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator
from functools import partial
from typing import Any, cast

import uvicorn
import uvloop

from ticker import introduction
from ticker.app import Node
from ticker.demo import play
from ticker.desk.keys import Keyring
from ticker.errors import Misconfigured
from ticker.newswire import open_newswire
from ticker.readers.admission import FILES_MIN, Room
from ticker.serving.connections import UNREAD_MAX
from ticker.serving.door import Door
from ticker.serving.entrance import Entrance
from ticker.settings import Settings

BACKLOG = 4_096  # connections the kernel holds while we are busy: every open page comes back at once
ACCEPT_AT_ONCE = 8  # connections taken from the kernel in a turn of the event loop, which takes one from each listener
GRACE = 12  # seconds that requests under way may still take: a change is tried for some seconds when Redis hangs
SWITCH_EVERY = 0.0005  # seconds until the newswire's thread, which keeps lines, gets its turn of a busy loop; 5 ms else
READY_WITHIN = 10.0  # seconds until the boards are loaded

log = logging.getLogger("ticker")


class _Server(uvicorn.Server):
    """uvicorn's server, which first sends its readers elsewhere."""

    def __init__(self, config: uvicorn.Config, node: Node, drain: float) -> None:
        super().__init__(config)
        self._node = node
        self._drain = drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if readers := len(self._node.relay.hub):
            log.info("Sending %d readers to other nodes over %g s", readers, self._drain)
        await self._node.relay.hub.drain(self._drain, watched=self._node.is_watched)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT without raising them again at the end: the newswire is still to be closed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket to listen on; `shared` with others that bind the same port. Raises Misconfigured."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio won't turn Nagle's algorithm off and every second answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_MAX)  # each connection's; twice that, to be exact
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Misconfigured(
            f"Can't listen on {host}:{port}: {error.strerror}. Try another --port or --host."
        ) from error
    listener.setblocking(False)
    return listener


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a node until it ends, on the event loop that costs least (docs/adr/0008)."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


async def serve(
    settings: Settings, listener: socket.socket, *, drain: float, demo: bool, introduced: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT. Raises Misconfigured if the newswire can't be opened.

    `introduced`: what a person wants to know has been printed already.
    """
    _raise_file_limit()
    sys.setswitchinterval(SWITCH_EVERY)
    node = Node(settings)
    async with node.running():
        try:
            await asyncio.wait_for(node.relay.until_ready(), READY_WITHIN)
        except TimeoutError as error:
            raise Misconfigured(f"The newswire gave no board within {READY_WITHIN:g} s; the log says why.") from error
        config = uvicorn.Config(
            node.app,
            http=cast("Any", partial(Door, Entrance(node.live, keep_alive=settings.keep_alive))),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=_trusted_proxies(os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")),
            backlog=BACKLOG,
            timeout_graceful_shutdown=GRACE,
        )
        listener.listen(BACKLOG)  # before the address is printed: a client that connects at once waits a moment
        if not introduced:
            await introduction.introduce(settings, node.keyring, demo=demo)
        _quieten_garbage_collector()
        playing = asyncio.create_task(play(node.newswire, node.relay)) if demo else None
        # If thousands of connections are busy, a turn is long, and a newcomer would wait for as many turns as others
        # came before.
        await _Server(config, node, drain).serve([listener, *(listener.dup() for _ in range(ACCEPT_AT_ONCE - 1))])
        if playing:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)


async def introduce(settings: Settings, *, demo: bool) -> None:
    """Say where the node will be, before its workers start. Raises Misconfigured."""
    newswire = open_newswire(settings.newswire, settings.node)
    await newswire.open(settings.channels)
    try:
        await introduction.introduce(settings, Keyring(newswire, settings.admin_key), demo=demo)
    finally:
        await newswire.close()


def _trusted_proxies(given: str) -> list[str] | str:
    """Whose X-Forwarded-… is believed. An IPv4 address comes as an IPv6 one too, on a socket that takes both."""
    if given.strip() == "*":
        return "*"
    trusted = []
    for each in filter(None, map(str.strip, given.split(","))):
        trusted.append(each)
        with contextlib.suppress(ValueError):
            network = ipaddress.IPv4Network(each, strict=False)
            trusted.append(f"::ffff:{network.network_address}/{96 + network.prefixlen}")
    return trusted


def _raise_file_limit() -> None:
    """A connection is a file: take as many as the system lets this process have. Raises Misconfigured."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < FILES_MIN:
        raise Misconfigured(
            f"This process may open {hard} files, and each connection is one. It needs at least {FILES_MIN}. "
            "Raise the limit (ulimit -n, LimitNOFILE)."
        )
    room = Room.of(hard)
    log.info("Up to %d open files: room for %d readers and %d other connections", hard, *room)


def _quieten_garbage_collector() -> None:
    """Collecting is most of a handshake's cost while each leaves cycles behind (ARCHITECTURE, settled 3)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def configure_log(level: str) -> None:
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    for name in ("uvicorn", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)  # invalid requests of strangers need no action
