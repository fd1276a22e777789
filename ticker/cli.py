"""The command line. Knows terminals; what is done is done elsewhere.

Exit status: 0 done · 1 the node refused · 2 wrong usage or configuration · 3 the node can't be reached.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

import click
from msgspec import structs

from ticker import __version__, text
from ticker.client import Client, ServerRefused, Unreachable
from ticker.errors import Misconfigured, TickerError
from ticker.key import TOKEN_MAX
from ticker.newswire import open_newswire
from ticker.redacting import without_secrets
from ticker.serving import node as serving
from ticker.serving.workers import keep_running
from ticker.settings import ADMIN_KEY_MIN, Settings, read_channels

REFUSED, MISUSED, UNREACHABLE = 1, 2, 3
URGENCIES = click.Choice(["flash", "bulletin", "urgent", "update"])

P = ParamSpec("P")
R = TypeVar("R")
Command = Callable[..., Any]


def _option(*names: str, **given: Any) -> Callable[[Command], Command]:
    """An option, whose help names its environment variable: every one has one."""
    return click.option(*names, show_envvar=True, **given)


def _fail(sentence: str, status: int) -> NoReturn:
    click.echo(f"ticker: {sentence}", err=True)
    sys.exit(status)


def _answered(command: Callable[P, R]) -> Callable[P, R]:
    """Say in one sentence what went wrong, and exit with a status that scripts can use."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except Misconfigured as error:
            _fail(error.detail, MISUSED)
        except TickerError as error:  # the newswire went away just while the node started
            _fail(error.detail, UNREACHABLE)
        except ServerRefused as error:
            hint = " Name a key with --key or TICKER_KEY." if error.status == 401 else ""
            _fail(f"{error}{hint}", REFUSED)
        except Unreachable as error:
            _fail(f"{error}. Is --url (TICKER_URL) right, and the node up?", UNREACHABLE)

    return run


def _speaks_to_a_node(command: Command) -> Command:
    """Options of every command that speaks to a node; the command gets `client`."""

    @_option("--url", envvar="TICKER_URL", default="http://127.0.0.1:8000", show_default=True, help="The node.")
    @_option("--key", envvar="TICKER_KEY", help="Your key. Better in TICKER_KEY: options are seen by other users.")
    @_option(
        "--retry-for",
        envvar="TICKER_RETRY_FOR",
        type=click.FloatRange(min=0),
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="Try again for so long while the node can't be reached. A change is made once however often it is sent.",
    )
    @wraps(command)
    @_answered
    def run(*args: Any, url: str, key: str | None, retry_for: float, **kwargs: Any) -> Any:
        if key and not key.isascii():
            raise click.UsageError("A key holds no such character; look at --key or TICKER_KEY again.")
        return command(*args, client=Client(url, key, retry_for), **kwargs)

    return run


_channel = _option("-c", "--channel", envvar="TICKER_CHANNEL", required=True, help="The channel's slug, such as en.")
_as_json = _option("--json", "as_json", is_flag=True, help="Print the whole line as JSON.")
_config = _option(
    "--config",
    envvar="TICKER_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the channels are declared.  [default: ticker.toml, where there is one]",
)
_newswire = _option(
    "--newswire",
    envvar="TICKER_NEWSWIRE",
    default="sqlite:///ticker.db",
    show_default=True,
    help="Where lines are kept: sqlite:///FILE, redis://…, redis+sentinel://… or redis+cluster://….",
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "auto_envvar_prefix": "TICKER"}
)
@click.version_option(__version__, prog_name="ticker")
def main() -> None:
    """A breaking-news live ticker that a newsroom runs itself.

    Start a node with `ticker serve`; publish with `ticker publish -c CHANNEL "text"`. Each option can
    also be set in the environment, as TICKER_… (--url is TICKER_URL).

    \b
    Exit status: 0 done, 1 the node refused, 2 wrong usage or configuration,
    3 the node can't be reached.
    """


# A node


@main.command()
@_config
@_newswire
@_option("--host", envvar="TICKER_HOST", default="127.0.0.1", show_default=True, help="Address to listen on.")
@_option(
    "--port",
    envvar="TICKER_PORT",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0: any free one.",
)
@_option("--public-url", envvar="TICKER_PUBLIC_URL", help="Where the world finds this node, for links that it prints.")
@_option(
    "--drain",
    envvar="TICKER_DRAIN",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="When stopping, send readers to other nodes over so long.",
)
@_option(
    "--connection-age",
    envvar="TICKER_CONNECTION_AGE",
    metavar="DURATION",
    help="Send each reader elsewhere after about so long (30m, 2h; drawn by lot), so that new nodes get their share.",
)
@_option(
    "--keep-alive",
    envvar="TICKER_KEEP_ALIVE",
    metavar="DURATION",
    default="20s",
    show_default=True,
    help="Close a connection that was idle between two requests for so long. A proxy's own limit must be shorter.",
)
@_option(
    "--io-uring/--no-io-uring",
    envvar="TICKER_IO_URING",
    default=True,
    show_default=True,
    help="Send lines by io_uring where the kernel and the container allow it; else, or with no, by send(2).",
)
@_option(
    "--workers",
    envvar="TICKER_WORKERS",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes behind this port, each with its own readers; more than one needs Redis.",
)
@_option(
    "--log-level",
    envvar="TICKER_LOG_LEVEL",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
    show_default=True,
)
@_option(
    "--log-addresses",
    envvar="TICKER_LOG_ADDRESSES",
    is_flag=True,
    help="Name the client's address with each security event in the log (sign-ins, keys, refusals).",
)
@_option(
    "--demo", envvar="TICKER_DEMO", is_flag=True, help="Publish some lines of our own, and print a link to the desk."
)
@_answered
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
) -> None:
    """Run a node until SIGTERM or Ctrl-C.

    The first start, where no key is kept and TICKER_ADMIN_KEY isn't set, makes an admin key and prints it
    once, with a link that signs in to the desk.
    """
    serving.configure_log(log_level.upper())
    channels = read_channels(_config_file(config))
    admin_key = _admin_key()
    if workers > 1 and newswire.startswith("sqlite:"):
        raise Misconfigured(
            f"{without_secrets(newswire)} serves one process, and --workers asks for {workers}. "
            "Several share a newswire on Redis (--newswire redis://HOST)."
        )
    listener = serving.bind(host, port, shared=workers > 1)
    bound = listener.getsockname()[1]
    shown_host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    settings = Settings(
        channels=channels,
        newswire=newswire,
        node=_node_name(),
        public_url=(public_url or f"http://{shown_host}:{bound}").rstrip("/"),
        admin_key=admin_key,
        connection_age=None if connection_age is None else _duration(connection_age),
        keep_alive=_duration(keep_alive),
        io_uring=io_uring,
        log_addresses=log_addresses,
    )
    if workers == 1:
        serving.run(serving.serve(settings, listener, drain=drain, demo=demo))
        return
    asyncio.run(serving.introduce(settings, demo=demo))

    def work(index: int) -> None:
        try:
            own = structs.replace(settings, node=f"{settings.node}-{index}")
            shared = serving.bind(host, bound, shared=True)
            serving.run(serving.serve(own, shared, drain=drain, demo=demo and index == 0, introduced=True))
        except TickerError as error:
            _fail(error.detail, MISUSED if isinstance(error, Misconfigured) else UNREACHABLE)

    sys.exit(keep_running(workers, work))


@main.command()
@_config
@_newswire
@_answered
def check(config: Path | None, newswire: str) -> None:
    """Say whether a node could start here: configuration, newswire, clock. Changes nothing that readers see."""
    channels = read_channels(_config_file(config))
    click.echo(f"configuration  ok: {len(channels)} channels ({', '.join(channels)})")
    if not _admin_key():
        click.echo("admin key      none in TICKER_ADMIN_KEY: keys that are kept hold; the first start makes one")
    else:
        click.echo("admin key      ok: TICKER_ADMIN_KEY is set")

    try:
        found = asyncio.run(open_newswire(newswire, f"check-{_node_name()}").inspect(channels))
    except TickerError as error:
        raise Misconfigured(error.detail) from error
    click.echo(f"newswire       ok: {found.state}")
    if found.clock:
        raise Misconfigured(found.clock)
    click.echo("clock          ok")


# Lines


@main.command()
@_channel
@click.argument("words", required=False, metavar="TEXT")
@_option("--file", "file", type=click.File("r", "utf-8"), help="Publish each line of a file (-: standard input).")
@_option("--urgency", type=URGENCIES, help="How urgent.  [default: urgent]")
@_option("--link", "link", metavar="URL", help="Where readers find more (http or https).")
@_option("--source", help="Who says so, as readers see it.")
@_option("--story", metavar="SLUG", help="Ties lines of one story together, across channels too.")
@_option("--expires-in", metavar="DURATION", help="90s, 30m, 2h, 7d or never.  [default: the channel's]")
@_option("--pinned", is_flag=True, help="Keep it above the others.")
@_option("--language", metavar="TAG", help="BCP 47.  [default: the channel's]")
@_as_json
@_speaks_to_a_node
def publish(
    client: Client,
    channel: str,
    words: str | None,
    file: Any,
    as_json: bool,
    expires_in: str | None,
    link: str | None,
    **fields: Any,
) -> None:
    """Publish TEXT as a line, and print its id. TEXT - reads it from standard input.

    With --file, each line of the file is a line of its own. The file is taken as a ticker stands, newest
    first: its last line is published first. Nothing is published unless every line of it can be.
    """
    if (words is None) == (file is None):
        raise click.UsageError('Give either TEXT or --file, as in: ticker publish -c en "text"')
    body = {name: value for name, value in fields.items() if value}
    if link:
        body["url"] = link
    if expires_in == "never":
        body["expires"] = None
    elif expires_in:
        body["expires_in"] = _duration(expires_in)
    texts = _lines_of(file) if file else [_standard_input() if words == "-" else str(words)]
    path = f"/v1/channels/{channel}/lines"
    for number, line in enumerate(texts, 1):
        try:
            answer = client.call("POST", path, {"text": line, **body})
        except (ServerRefused, Unreachable):
            if number > 1:
                click.echo(f"ticker: {number - 1} of {len(texts)} lines are published; stopped at {line!r}", err=True)
            raise
        _print_line(answer, as_json)
        if len(texts) > 1 and sys.stderr.isatty():
            click.echo(f"\r{number}/{len(texts)}", err=True, nl=number == len(texts))


@main.command()
@_channel
@click.argument("line_id", metavar="ID")
@click.argument("words", metavar="TEXT")
@_option("--note", help="Why, as readers see it.")
@_as_json
@_speaks_to_a_node
def correct(client: Client, channel: str, line_id: str, words: str, note: str | None, as_json: bool) -> None:
    """Put a line's words right: TEXT takes their place on every banner."""
    body = {"text": _standard_input() if words == "-" else words, **({"note": note} if note else {})}
    _print_line(client.call("PATCH", f"/v1/channels/{channel}/lines/{line_id}", body), as_json)


@main.command()
@_channel
@click.argument("line_id", metavar="ID")
@_option("--note", help="Why, as readers see it.")
@_as_json
@_speaks_to_a_node
def withhold(client: Client, channel: str, line_id: str, note: str | None, as_json: bool) -> None:
    """Take a line's words off every banner until they are released."""
    body = {"status": "withheld", **({"note": note} if note else {})}
    _print_line(client.call("PATCH", f"/v1/channels/{channel}/lines/{line_id}", body), as_json)


@main.command()
@_channel
@click.argument("line_id", metavar="ID")
@_option("--note", help="What was found, as readers see it.")
@_option("--expires-in", metavar="DURATION", help="A new end, for a line that expired while held.")
@_as_json
@_speaks_to_a_node
def release(
    client: Client, channel: str, line_id: str, note: str | None, expires_in: str | None, as_json: bool
) -> None:
    """Put a withheld line back on every banner."""
    body: dict[str, Any] = {"status": "usable", **({"note": note} if note else {})}
    if expires_in:
        body["expires_in"] = _duration(expires_in)
    _print_line(client.call("PATCH", f"/v1/channels/{channel}/lines/{line_id}", body), as_json)


@main.command()
@_channel
@click.argument("line_id", metavar="ID")
@_option("--note", help="Why, as readers see it.")
@_as_json
@_speaks_to_a_node
def cancel(client: Client, channel: str, line_id: str, note: str | None, as_json: bool) -> None:
    """Retract a line, for good: its words leave every banner and don't come back."""
    _print_line(client.call("DELETE", f"/v1/channels/{channel}/lines/{line_id}", {"note": note}), as_json)


@main.command()
@_option("-c", "--channel", "channels", envvar="TICKER_CHANNEL", required=True, multiple=True, help="May be repeated.")
@_option("--json", "as_json", is_flag=True, help="Print each frame as it comes, one JSON object a line.")
@_speaks_to_a_node
def tail(client: Client, channels: tuple[str, ...], as_json: bool) -> None:
    """Print what readers are sent, as it is sent, until Ctrl-C."""

    async def follow() -> None:
        async for frame in client.frames(list(channels)):
            click.echo(json.dumps(frame, ensure_ascii=False) if as_json else _shown(frame))

    try:
        asyncio.run(follow())
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - nobody reads on; nor is what waits to be flushed there


# Keys and channels


@main.group()
def key() -> None:
    """Make, list and revoke keys. Needs an admin's key."""


@key.command("create")
@click.argument("name")
@_option(
    "--role",
    type=click.Choice(["editor", "chief", "admin"]),
    default="editor",
    show_default=True,
    help="editor: lines of its channels; chief: lines of all; admin: keys too.",
)
@_option("--channel", "channels", multiple=True, help="A channel the editor works on; may be repeated.  [default: all]")
@_speaks_to_a_node
def create_key(client: Client, name: str, role: str, channels: tuple[str, ...]) -> None:
    """Make a key and print it, alone, on standard output. It can't be shown again."""
    made = client.call("POST", "/v1/keys", {"name": name, "role": role, "channels": list(channels)})
    click.echo(f"Key {made['id']} for {made['name']}, {made['role']}. Keep it now; it is not shown again.", err=True)
    click.echo(made["key"])


@key.command("list")
@_option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@_speaks_to_a_node
def list_keys(client: Client, as_json: bool) -> None:
    """List the keys that are kept."""
    keys = client.call("GET", "/v1/keys")["keys"]
    if as_json:
        click.echo(json.dumps(keys, ensure_ascii=False, indent=2))
        return
    for each in keys:
        channels = ", ".join(each["channels"]) or "all channels"
        state = f"revoked {each['revoked']}" if each["revoked"] else f"last used {each['last_used'] or 'never'}"
        click.echo(f"{each['id']}  {each['role']:<6}  {each['name']}  ({channels}; {state})")


@key.command("revoke")
@click.argument("key_id", metavar="ID")
@_speaks_to_a_node
def revoke_key(client: Client, key_id: str) -> None:
    """Revoke a key; it stops working at once, everywhere."""
    revoked = client.call("DELETE", f"/v1/keys/{key_id}")
    click.echo(f"Revoked: {revoked['name']} ({revoked['id']})", err=True)


@main.group()
def channel() -> None:
    """Look at channels. They are declared in ticker.toml."""


@channel.command("list")
@_option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@_speaks_to_a_node
def list_channels(client: Client, as_json: bool) -> None:
    """List the node's channels."""
    channels = client.call("GET", "/v1/channels")["channels"]
    if as_json:
        click.echo(json.dumps(channels, ensure_ascii=False, indent=2))
        return
    for each in channels:
        click.echo(f"{each['slug']:<16}  {each['language']:<8}  {each['direction']}  {each['title']}")


# What the commands share


def _config_file(given: Path | None) -> Path | None:
    usual = Path("ticker.toml")
    return given or (usual if usual.exists() else None)


def _node_name() -> str:
    """Which machine and process: what an operator looks for in CLIENT LIST."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
    return f"{host}-{os.getpid()}"


def _admin_key() -> str | None:
    value = os.environ.get("TICKER_ADMIN_KEY", "").strip() or None  # a header can't end in white space
    if value is not None and len(value) < ADMIN_KEY_MIN:
        raise Misconfigured(
            f"TICKER_ADMIN_KEY has {len(value)} characters; it needs at least {ADMIN_KEY_MIN}. "
            "`openssl rand -base64 32` makes a good one."
        )
    if value is not None and not (value.isascii() and value.isprintable() and len(value) <= TOKEN_MAX):
        raise Misconfigured(
            f"TICKER_ADMIN_KEY may hold letters, digits and signs of ASCII, {TOKEN_MAX} at most: nothing else can be "
            "sent as a key. `openssl rand -base64 32` makes a good one."
        )
    return value


def _duration(value: str) -> int:
    from ticker.settings import duration

    try:
        return duration(value)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise Misconfigured(f"Standard input is not UTF-8: {error.reason} at byte {error.start}.") from error


def _lines_of(file: Any) -> list[str]:
    """The file's lines, oldest (last) first. Nothing leaves before each of them would be taken."""
    try:
        lines = [line for line in file.read().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise Misconfigured(f"The file is not UTF-8: {error.reason} at byte {error.start}.") from error
    if not lines:
        raise Misconfigured("The file holds no line. Nothing was published.")
    for number, line in enumerate(lines, 1):
        try:
            text.one_line(line, text.TEXT_MAX)
        except ValueError as error:
            raise Misconfigured(f"Line {number} of the file: {error} Nothing was published.") from error
    return lines[::-1]


def _print_line(line: dict[str, Any], as_json: bool) -> None:
    click.echo(json.dumps(line, ensure_ascii=False) if as_json else line["id"])


def _shown(frame: dict[str, Any]) -> str:
    """A frame for a person at a terminal."""
    match frame["type"]:
        case "board":
            head = f"── {frame['channel']} · {len(frame['lines'])} lines · {frame['cursor'] or 'nothing yet'}"
            return "\n".join([head, *(f"   {_told(line)}" for line in frame["lines"])])
        case "line":
            return f"{frame['channel']}  {_told(frame['line'])}"
        case _:
            return f"{frame['channel']}  ♥ {frame['now']}"


def _told(line: dict[str, Any]) -> str:
    words = line.get("text") or f"[{line['status']}]" + (f" {line['note']}" if line.get("note") else "")
    corrected = " (corrected)" if line.get("corrected") and line["status"] == "usable" else ""
    return f"{line['updated'][11:19]}  {line['id']}  {line['urgency']:<8}  {words}{corrected}"
