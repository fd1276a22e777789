"""`ticker serve` and `ticker check`: a node of one's own."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click
from msgspec import structs

from ticker.cli import options
from ticker.cli.environment import admin_key, config_file, node_name, unknown_variables
from ticker.cli.options import Seconds, answered, duration, fail, option, status_of
from ticker.errors import Misconfigured, TickerError
from ticker.newswire import open_newswire
from ticker.redacting import without_secrets
from ticker.settings import Settings, read_channels

log = logging.getLogger("ticker")


@click.command()
@options.config
@options.newswire
@option("--host", envvar="TICKER_HOST", default="127.0.0.1", show_default=True, help="Address to listen on.")
@option(
    "--port",
    envvar="TICKER_PORT",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0: any free one.",
)
@option("--public-url", envvar="TICKER_PUBLIC_URL", help="Where the world finds this node, for links that it prints.")
@option(
    "--drain",
    envvar="TICKER_DRAIN",
    type=Seconds(),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="When stopping, send readers to other nodes over so long.",
)
@option(
    "--connection-age",
    envvar="TICKER_CONNECTION_AGE",
    metavar="DURATION",
    help="Send each reader elsewhere after about so long (30m, 2h; drawn by lot), so that new nodes get their share.",
)
@option(
    "--keep-alive",
    envvar="TICKER_KEEP_ALIVE",
    metavar="DURATION",
    default="20s",
    show_default=True,
    help="Close a connection that was idle between two requests for so long. A proxy's own limit must be shorter.",
)
@option(
    "--io-uring/--no-io-uring",
    envvar="TICKER_IO_URING",
    default=True,
    show_default=True,
    help="Send lines by io_uring where the kernel and the container allow it; else, or with no, by send(2).",
)
@option(
    "--workers",
    envvar="TICKER_WORKERS",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes behind this port, each with its own readers; more than one needs Redis.",
)
@option(
    "--log-level",
    envvar="TICKER_LOG_LEVEL",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
    show_default=True,
)
@option(
    "--log-addresses",
    envvar="TICKER_LOG_ADDRESSES",
    is_flag=True,
    help="Name the client's address with each security event in the log (sign-ins, keys, refusals).",
)
@option(
    "--demo",
    envvar="TICKER_DEMO",
    is_flag=True,
    help="Publish lines of our own for as long as it runs, and print a link to the desk.",
)
@option(
    "--print-key",
    envvar="TICKER_PRINT_KEY",
    is_flag=True,
    help="Print keys and sign-in links where standard output is no terminal, too: they may end in a log.",
)
@answered
def serve(
    config: Path | None,
    newswire: str,
    host: str,
    port: int,
    public_url: str | None,
    drain: float,
    connection_age: str | None,
    keep_alive: str,
    io_uring: bool,
    workers: int,
    log_level: str,
    log_addresses: bool,
    demo: bool,
    print_key: bool,
) -> None:
    """Run a node until SIGTERM or Ctrl-C.

    The first start, where no key is kept and TICKER_ADMIN_KEY isn't set, makes an admin key, and a link that
    signs in to the desk. It prints them once to a terminal; where there is none, it puts them in a file beside
    the newswire that nobody else can read, and says where.
    """
    from ticker import demo as demos
    from ticker import introduction
    from ticker.serving import node as serving

    serving.configure_log(log_level.upper())
    if unknown := unknown_variables():
        log.warning("%s in the environment: no option of ours. `ticker serve --help` names them", ", ".join(unknown))
    channels = read_channels(config_file(config))
    key = admin_key()
    if workers > 1 and newswire.startswith("sqlite:"):
        raise Misconfigured(
            f"{without_secrets(newswire)} serves one process, and --workers asks for {workers}. "
            "Several share a newswire on Redis (--newswire redis://HOST)."
        )
    listener = serving.bind(host, port, shared=workers > 1)
    bound = listener.getsockname()[1]
    settings = Settings(
        channels=demos.channels(channels) if demo else channels,
        newswire=newswire,
        node=node_name(),
        public_url=_public_url(public_url) if public_url else f"http://{introduction.reachable(host)}:{bound}",
        admin_key=key,
        connection_age=None if connection_age is None else duration(connection_age),
        keep_alive=duration(keep_alive),
        io_uring=io_uring,
        log_addresses=log_addresses,
        print_key=print_key,
    )
    if workers == 1:
        serving.run(serving.serve(settings, listener, drain=drain, demo=demo))
        return
    asyncio.run(serving.introduce(settings, demo=demo))
    sys.exit(_run_workers(workers, settings, host, bound, drain=drain, demo=demo))


def _run_workers(count: int, settings: Settings, host: str, port: int, *, drain: float, demo: bool) -> int:
    """Several processes behind one port, until SIGTERM or Ctrl-C. The exit status."""
    from ticker.serving import node as serving
    from ticker.serving.workers import keep_running

    def work(index: int) -> None:
        try:
            own = structs.replace(settings, node=f"{settings.node}-{index}")
            shared = serving.bind(host, port, shared=True)
            serving.run(serving.serve(own, shared, drain=drain, demo=demo and index == 0, introduced=True))
        except TickerError as error:
            fail(error.detail, status_of(error))

    return keep_running(count, work)


@click.command()
@options.config
@options.newswire
@answered
def check(config: Path | None, newswire: str) -> None:
    """Say whether a node could start here: configuration, newswire, clock.

    It changes nothing and makes no file. Run it where no node is running on the same file.
    """
    channels = read_channels(config_file(config))
    count = "1 channel" if len(channels) == 1 else f"{len(channels)} channels"
    click.echo(f"configuration  ok: {count} ({', '.join(channels)})")
    if unknown := unknown_variables():
        click.echo(f"environment    {', '.join(unknown)}: no option of ours, and nobody reads it")
    if not admin_key():
        click.echo("admin key      none in TICKER_ADMIN_KEY: keys that are kept hold; the first start makes one")
    else:
        click.echo("admin key      ok: TICKER_ADMIN_KEY is set")
    try:
        found = asyncio.run(open_newswire(newswire, f"check-{node_name()}").inspect(channels))
    except TickerError as error:
        raise Misconfigured(error.detail) from error
    click.echo(f"newswire       ok: {found.state}")
    if found.clock:
        raise Misconfigured(found.clock)
    click.echo("clock          ok")


def _public_url(value: str) -> str:
    parts = urlsplit(value)
    if "@" in parts.netloc:
        raise Misconfigured("--public-url holds a user name or a password, and everybody is told it. Leave them out.")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise Misconfigured(f"--public-url is {value!r}; it looks like https://ticker.example.")
    return value.rstrip("/")
