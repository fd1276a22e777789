"""The command line. Knows options and exit statuses; what is done is done elsewhere.

Exit status: 0 done · 1 the node refused · 2 wrong usage or configuration · 3 the node can't be reached.
Words and values that break a line's rules are wrong usage, however they are given: nothing is sent. Whether
there is such a channel, line or key, and who may change it, the node knows alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import re
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar
from urllib.parse import quote, urlsplit

import click
import msgspec
from msgspec import structs

from ticker import __version__, introduction, terminal
from ticker import demo as demos
from ticker.client import Client, ServerRefused, Unreachable
from ticker.errors import FieldError, Invalid, Misconfigured, TickerError
from ticker.key import TOKEN_MAX
from ticker.line import Draft, Patch, checked
from ticker.newswire import open_newswire
from ticker.redacting import without_secrets
from ticker.serving import node as serving
from ticker.serving.workers import keep_running
from ticker.settings import ADMIN_KEY_MIN, Settings, duration, read_channels

REFUSED, MISUSED, UNREACHABLE = 1, 2, 3
URGENCIES = click.Choice(["flash", "bulletin", "urgent", "update"])
OPTIONS = {"text": "TEXT", "url": "--link", "expires_in": "--expires-in", "channels": "--channel", "name": "NAME"}
"""What a command calls the fields of the API that it names otherwise."""
SAME_NAME = frozenset({"urgency", "source", "story", "note", "language", "direction", "role"})
CLEARED = frozenset({"url", "source", "story", "note"})  # what a line may be without
OURS = frozenset({"TICKER_ADMIN_KEY"})  # variables that are no option's

log = logging.getLogger("ticker")

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
        except Invalid as error:
            _fail(_at_fault((each.field, each.detail) for each in error.errors), MISUSED)
        except Misconfigured as error:
            _fail(error.detail, MISUSED)
        except TickerError as error:  # the newswire went away just while the node started
            _fail(error.detail, UNREACHABLE)
        except ServerRefused as error:
            hint = " Name a key with --key or TICKER_KEY." if error.status == 401 else ""
            _fail(f"{_at_fault(error.errors) or error}{hint}", REFUSED)
        except Unreachable as error:
            hint = "" if error.answered else " Is --url (TICKER_URL) right, and the node up?"
            _fail(f"{error}{hint}", UNREACHABLE)

    return run


def _at_fault(errors: Iterable[tuple[str, str]]) -> str:
    """Each field at fault by the name that it has on the command line, and what is wrong with it."""
    return " ".join(f"{f'{name}: ' if (name := _given_as(field)) else ''}{detail}" for field, detail in errors)


def _given_as(field: str) -> str:
    return OPTIONS.get(field) or (f"--{field}" if field in SAME_NAME else field)


class _Seconds(click.FloatRange):
    """No less than 0, and a number: `nan` is none."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return seconds


def _speaks_to_a_node(command: Command) -> Command:
    """Options of every command that asks a node what everybody may know; the command gets `client`."""
    return _asks(command)


def _speaks_with_a_key(command: Command) -> Command:
    """Options of every command that changes something, or asks for what is the editors'; it gets `client`."""
    keyed = _option("--key", envvar="TICKER_KEY", help="Your key. Better in TICKER_KEY: options are seen by others.")
    return keyed(_asks(command))


def _asks(command: Command) -> Command:
    @_option("--url", envvar="TICKER_URL", default="http://127.0.0.1:8000", show_default=True, help="The node.")
    @_option(
        "--retry-for",
        envvar="TICKER_RETRY_FOR",
        type=_Seconds(),
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="Try again for so long while the node can't be reached. A change is made once however often it is sent.",
    )
    @wraps(command)
    @_answered
    def run(*args: Any, url: str, retry_for: float, key: str | None = None, **kwargs: Any) -> Any:
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
_expires_in = _option("--expires-in", metavar="DURATION", help="90s, 30m, 2h, 7d or never, from now on.")


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
    type=_Seconds(),
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
    "--demo",
    envvar="TICKER_DEMO",
    is_flag=True,
    help="Publish lines of our own for as long as it runs, and print a link to the desk.",
)
@_option(
    "--print-key",
    envvar="TICKER_PRINT_KEY",
    is_flag=True,
    help="Print keys and sign-in links where standard output is no terminal, too: they may end in a log.",
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
    print_key: bool,
) -> None:
    """Run a node until SIGTERM or Ctrl-C.

    The first start, where no key is kept and TICKER_ADMIN_KEY isn't set, makes an admin key, and a link that
    signs in to the desk. It prints them once to a terminal; where there is none, it puts them in a file beside
    the newswire that nobody else can read, and says where.
    """
    serving.configure_log(log_level.upper())
    if unknown := _unknown_variables():
        log.warning("%s in the environment: no option of ours. `ticker serve --help` names them", ", ".join(unknown))
    channels = read_channels(_config_file(config))
    admin_key = _admin_key()
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
        node=_node_name(),
        public_url=_public_url(public_url) if public_url else f"http://{introduction.reachable(host)}:{bound}",
        admin_key=admin_key,
        connection_age=None if connection_age is None else _duration(connection_age),
        keep_alive=_duration(keep_alive),
        io_uring=io_uring,
        log_addresses=log_addresses,
        print_key=print_key,
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
    """Say whether a node could start here: configuration, newswire, clock.

    It changes nothing and makes no file. Run it where no node is running on the same file.
    """
    channels = read_channels(_config_file(config))
    count = "1 channel" if len(channels) == 1 else f"{len(channels)} channels"
    click.echo(f"configuration  ok: {count} ({', '.join(channels)})")
    if unknown := _unknown_variables():
        click.echo(f"environment    {', '.join(unknown)}: no option of ours, and nobody reads it")
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


def _describes_a_line(command: Command) -> Command:
    """Options for what a line carries beside its words. What isn't given is the channel's, or stays as it is."""
    options = [
        _option("--urgency", type=URGENCIES, help="How urgent: flash before bulletin, urgent and update."),
        _option("--link", metavar="URL", help="Where readers find more (http or https)."),
        _option("--source", help="Who says so, as readers see it."),
        _option("--story", metavar="SLUG", help="Ties lines of one story together, across channels too."),
        _expires_in,
        _option("--language", metavar="TAG", help="BCP 47, such as en or pt-BR."),
        _option("--direction", type=click.Choice(["ltr", "rtl"]), help="Where the language doesn't say."),
        _option("--note", help="Why, or a remark, as readers see it."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@_channel
@click.argument("words", required=False, metavar="TEXT")
@_option("--file", "file", type=click.File("r", "utf-8-sig"), help="Publish each line of a file (-: standard input).")
@_describes_a_line
@_option("--pinned", is_flag=True, default=None, help="Keep it above the others.")
@_as_json
@_speaks_with_a_key
def publish(client: Client, channel: str, words: str | None, file: Any, as_json: bool, **given: Any) -> None:
    """Publish TEXT as a line, and print its id. TEXT - reads it from standard input.

    With --file, each line of the file is a line of its own. The file is taken as a ticker stands, newest
    first: its last line is published first. Nothing is published unless every line of it can be.
    """
    if (words is None) == (file is None):
        raise click.UsageError('Give either TEXT or --file, as in: ticker publish -c en "text"')
    texts = _lines_of(file) if file else [_given_words(words)]
    bodies = [_checked({"text": text, **_fields(**given)}, Draft) for text in texts]
    for number, body in enumerate(bodies, 1):
        try:
            answer = client.call("POST", _lines_path(channel), body)
        except (ServerRefused, Unreachable):
            if number > 1:
                click.echo(
                    f"ticker: {number - 1} of {len(bodies)} lines are published; stopped at {body['text']!r}", err=True
                )
            raise
        _print_line(answer, as_json)
        if len(bodies) > 1 and sys.stderr.isatty():
            click.echo(f"\r{number}/{len(bodies)}", err=True, nl=number == len(bodies))


@main.command()
@_channel
@click.argument("line_id", metavar="ID")
@click.argument("words", required=False, metavar="[TEXT]")
@_describes_a_line
@_option("--pinned/--not-pinned", default=None, help="Keep it above the others, or no longer.")
@_as_json
@_speaks_with_a_key
def correct(client: Client, channel: str, line_id: str, words: str | None, as_json: bool, **given: Any) -> None:
    """Put a line right: TEXT takes the place of its words on every banner; each option, of what it names.

    An empty value takes away what was there: --link "" for a line that has no link any more.
    """
    body: dict[str, Any] = {"text": _given_words(words)} if words is not None else {}
    body |= {name: None if value == "" and name in CLEARED else value for name, value in _fields(**given).items()}
    if not body:
        raise click.UsageError("Say what to correct: TEXT, or one of the options.")
    body = _checked(body, Patch)
    _print_line(client.call("PATCH", _line_path(channel, line_id), body), as_json)


@main.command()
@_channel
@click.argument("line_id", metavar="ID")
@_option("--note", help="Why, as readers see it.")
@_as_json
@_speaks_with_a_key
def withhold(client: Client, channel: str, line_id: str, note: str | None, as_json: bool) -> None:
    """Take a line's words off every banner until they are released."""
    body = _checked({"status": "withheld", **_fields(note=note)}, Patch)
    _print_line(client.call("PATCH", _line_path(channel, line_id), body), as_json)


@main.command()
@_channel
@click.argument("line_id", metavar="ID")
@_option("--note", help="What was found, as readers see it.")
@_expires_in
@_as_json
@_speaks_with_a_key
def release(client: Client, channel: str, line_id: str, as_json: bool, **given: Any) -> None:
    """Put a withheld line back on every banner; with --expires-in where it expired meanwhile."""
    body = _checked({"status": "usable", **_fields(**given)}, Patch)
    _print_line(client.call("PATCH", _line_path(channel, line_id), body), as_json)


@main.command()
@_channel
@click.argument("line_id", metavar="ID")
@_option("--note", help="Why, as readers see it.")
@_as_json
@_speaks_with_a_key
def cancel(client: Client, channel: str, line_id: str, note: str | None, as_json: bool) -> None:
    """Retract a line, for good: its words leave every banner and don't come back."""
    body = _checked(_fields(note=note), Patch)
    _print_line(client.call("DELETE", _line_path(channel, line_id), body), as_json)


@main.command("list")
@_channel
@_option("--json", "as_json", is_flag=True, help="Print the board as JSON.")
@_speaks_to_a_node
def list_lines(client: Client, channel: str, as_json: bool) -> None:
    """Print what a channel shows now, as readers see it: pinned lines first, then the newest."""
    board = client.call("GET", _lines_path(channel))
    click.echo(json.dumps(board, ensure_ascii=False) if as_json else terminal.board(board))


@main.command()
@_channel
@click.argument("line_id", metavar="ID")
@_option("--versions", is_flag=True, help="Every version of it: what was said, when, and why it changed.")
@_option("--audit", is_flag=True, help="The same for editors: with who changed it, and with words withdrawn since.")
@_as_json
@_speaks_with_a_key
def show(client: Client, channel: str, line_id: str, versions: bool, audit: bool, as_json: bool) -> None:
    """Print one line with all that it carries."""
    if versions and audit:
        raise click.UsageError("Give either --versions or --audit.")
    part = "/audit" if audit else "/versions" if versions else ""
    found = client.call("GET", f"{_line_path(channel, line_id)}{part}")
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    elif part:
        click.echo("\n".join(terminal.version(each) for each in found["versions"]))
    else:
        click.echo(terminal.whole(found))


@main.command()
@_option("-c", "--channel", "channels", envvar="TICKER_CHANNEL", required=True, multiple=True, help="May be repeated.")
@_option("--json", "as_json", is_flag=True, help="Print each frame as it comes, one JSON object a line.")
@_speaks_to_a_node
def tail(client: Client, channels: tuple[str, ...], as_json: bool) -> None:
    """Print what readers are sent, as it is sent, until Ctrl-C."""

    async def follow() -> None:
        async for frame in client.frames(list(channels)):
            click.echo(json.dumps(frame, ensure_ascii=False) if as_json else terminal.frame(frame))

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
@_option(
    "--channel", "channels", multiple=True, help="A channel that an editor works on; may be repeated.  [default: all]"
)
@_speaks_with_a_key
def create_key(client: Client, name: str, role: str, channels: tuple[str, ...]) -> None:
    """Make a key and print it, alone, on standard output. It can't be shown again."""
    if channels and role != "editor":
        raise click.UsageError(f"The role {role} reaches every channel: --channel is for the role editor.")
    made = client.call("POST", "/v1/keys", {"name": name, "role": role, "channels": list(channels)})
    click.echo(f"Key {made['id']} for {made['name']}, {made['role']}. Keep it now; it is not shown again.", err=True)
    click.echo(made["key"])


@key.command("list")
@_option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@_speaks_with_a_key
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
@_speaks_with_a_key
def revoke_key(client: Client, key_id: str) -> None:
    """Revoke a key; it stops working at once, everywhere."""
    revoked = client.call("DELETE", f"/v1/keys/{_named(key_id, 'ID')}")
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


def _unknown_variables() -> list[str]:
    """Variables that look like options of ours and are none: a misspelt one would be left out in silence."""
    known = OURS | set(_variables(main, click.Context(main, info_name="ticker", auto_envvar_prefix="TICKER")))
    return sorted(name for name in os.environ if name.startswith("TICKER_") and name not in known)


def _variables(command: click.Command, context: click.Context) -> Iterator[str]:
    for option in command.params:
        if isinstance(option, click.Option):
            yield str(option.envvar or f"{context.auto_envvar_prefix}_{option.name}".upper())
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _variables(child, click.Context(child, info_name=name, parent=context))


def _public_url(value: str) -> str:
    parts = urlsplit(value)
    if "@" in parts.netloc:
        raise Misconfigured("--public-url holds a user name or a password, and everybody is told it. Leave them out.")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise Misconfigured(f"--public-url is {value!r}; it looks like https://ticker.example.")
    return value.rstrip("/")


def _lines_path(channel: str) -> str:
    return f"/v1/channels/{_named(channel, '--channel')}/lines"


def _line_path(channel: str, line_id: str) -> str:
    return f"{_lines_path(channel)}/{_named(line_id, 'ID')}"


def _named(name: str, option: str) -> str:
    """A name as one part of a path, whatever is in it."""
    if not name.strip():
        raise click.UsageError(f"{option} is empty.")
    return quote(name, safe="")


def _fields(*, link: str | None = None, expires_in: str | None = None, **given: Any) -> dict[str, Any]:
    """Those that were given, as the API names them."""
    fields = {name: value for name, value in {**given, "url": link}.items() if value is not None}
    if expires_in == "never":
        fields["expires"] = None
    elif expires_in is not None:
        fields["expires_in"] = _duration(expires_in)
    return fields


Input = TypeVar("Input", Draft, Patch)


def _checked(body: dict[str, Any], kind: type[Input]) -> dict[str, Any]:
    """The body, which fits a line's rules. Raises Invalid: what the node would refuse isn't sent."""
    checked(msgspec.convert(body, kind))
    return body


def _duration(value: str) -> int:
    try:
        return duration(value)
    except ValueError as error:
        raise Invalid(FieldError("expires_in", str(error))) from error


def _given_words(words: str | None) -> str:
    if words != "-":
        return str(words)
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Misconfigured(f"Standard input is not UTF-8: {error.reason} at byte {error.start}.") from error


def _lines_of(file: Any) -> list[str]:
    """The file's lines, oldest (last) first. Nothing leaves before each of them would be taken."""
    try:
        lines = [line for line in file.read().split("\n") if line.strip()]
    except UnicodeDecodeError as error:
        raise Misconfigured(f"The file is not UTF-8: {error.reason} at byte {error.start}.") from error
    if not lines:
        raise Misconfigured("The file holds no line. Nothing was published.")
    for number, line in enumerate(lines, 1):
        try:
            checked(Draft(text=line))
        except Invalid as error:
            raise Misconfigured(f"Line {number} of the file: {error.detail} Nothing was published.") from error
    return lines[::-1]


def _print_line(line: dict[str, Any], as_json: bool) -> None:
    click.echo(json.dumps(line, ensure_ascii=False) if as_json else line["id"])
