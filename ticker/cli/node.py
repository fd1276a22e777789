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
from ticker.settings import Settings, read_file

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
@option("--public-url", envvar="TICKER_PUBLIC_URL", help="The node's public address, for the links that it prints.")
@option(
    "--drain",
    envvar="TICKER_DRAIN",
    type=Seconds(),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="When stopping, how long to spread sending the readers to other nodes.",
)
@option(
    "--connection-age",
    envvar="TICKER_CONNECTION_AGE",
    metavar="DURATION",
    help="Send each reader to another node after about this time (30m, 2h), so that new nodes get their share.",
)
@option(
    "--keep-alive",
    envvar="TICKER_KEEP_ALIVE",
    metavar="DURATION",
    default="20s",
    show_default=True,
    help="Close a connection after this idle time between two requests. A proxy's own limit must be shorter.",
)
@option(
    "--io-uring/--no-io-uring",
    envvar="TICKER_IO_URING",
    default=True,
    show_default=True,
    help="Send lines by io_uring if the kernel and the container allow it; otherwise by send(2).",
)
@option(
    "--workers",
    envvar="TICKER_WORKERS",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes behind this port, each with readers of its own. More than one needs Redis.",
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
    help="Write the client's address with each security event in the log (sign-ins, keys, refusals).",
)
@option(
    "--demo",
    envvar="TICKER_DEMO",
    is_flag=True,
    help="Publish demo lines while the node runs, and print a link to the desk.",
)
@option(
    "--print-key",
    envvar="TICKER_PRINT_KEY",
    is_flag=True,
    help="Print keys and sign-in links even if standard output is not a terminal. They may end up in a log.",
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

    If there is no key yet and TICKER_ADMIN_KEY isn't set, the first start makes an admin key, and a link that signs in
    to the desk. It prints them once to a terminal. If there is no terminal, it writes them to a file beside the
    newswire that nobody else can read, and says where.
    """
    from ticker import demo as demos
    from ticker import introduction
    from ticker.serving import node as serving

    serving.configure_log(log_level.upper())
    if unknown := unknown_variables():
        log.warning(
            "%s in the environment is not an option of Ticker. `ticker serve --help` lists the options",
            ", ".join(unknown),
        )
    channels, timezone = read_file(config_file(config))
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
        timezone=timezone,
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
    """Check whether a node could start here: configuration, newswire, clock.

    It changes nothing and creates no file. Run it while no node uses the same file.
    """
    channels, _ = read_file(config_file(config))
    count = "1 channel" if len(channels) == 1 else f"{len(channels)} channels"
    click.echo(f"configuration  ok: {count} ({', '.join(channels)})")
    if unknown := unknown_variables():
        click.echo(f"environment    {', '.join(unknown)}: not an option of Ticker; it has no effect")
    if not admin_key():
        click.echo(
            "admin key      TICKER_ADMIN_KEY is not set: existing keys stay valid; if there is none, the first "
            "start makes one"
        )
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
        raise Misconfigured(
            "--public-url contains a user name or a password, and everybody can see it. Leave them out."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise Misconfigured(f"--public-url is {value!r}; it looks like https://ticker.example.")
    return value.rstrip("/")
