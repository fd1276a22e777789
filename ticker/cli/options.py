"""What commands share: their options, how they speak to a node, and how they fail. Knows no command."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar
from urllib.parse import quote

import click

from ticker import settings
from ticker.errors import FieldError, Invalid, Misconfigured, TickerError

if TYPE_CHECKING:
    from click.types import OptionHelpExtra

REFUSED, MISUSED, UNREACHABLE = 1, 2, 3
OPTIONS = {
    "text": "TEXT",
    "url": "--link",
    "expires_in": "--expires-in",
    "channels": "--channel",
    "name": "NAME",
    "publish_at": "--at",
    "publish_in": "--in",
    "note_to_desk": "--note-to-desk",
    "checked_by": "--checked-by",
    "on_brake": "--on-brake",
    "version": "--line-version",
}
"""What a command calls the fields of the API that it names otherwise."""
SAME_NAME = frozenset(
    "urgency source sources story note language direction pinned refile role owner person email confirm reason "
    "state".split()
)

P = ParamSpec("P")
R = TypeVar("R")
Command = Callable[..., Any]


class Option(click.Option):
    """An option whose variable follows one rule: TICKER_ and its name in capitals if commands share it
    (`envvar`); else the command's name stands between the two. What Python calls it doesn't matter."""

    def variable(self, ctx: click.Context) -> str | None:
        """The environment variable that sets it; None if only the command line can."""
        if self.envvar:
            return str(self.envvar)
        if not self.allow_from_autoenv or ctx.auto_envvar_prefix is None:
            return None
        name = next(name for name in self.opts if name.startswith("--"))
        return f"{ctx.auto_envvar_prefix}_{name[2:].replace('-', '_').upper()}"

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        named = self.variable(ctx)
        return os.environ.get(named) or None if named else None

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        extra = super().get_help_extra(ctx)
        if named := self.variable(ctx):
            extra["envvars"] = (named,)
        return extra


def option(*names: str, **given: Any) -> Callable[[Command], Command]:
    """An option, whose help names its environment variable."""
    return click.option(*names, cls=Option, show_envvar=True, **given)


class Seconds(click.FloatRange):
    """No less than 0, and a number: `nan` is none."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return seconds


channel = option(
    "-c", "--channel", envvar="TICKER_CHANNEL", metavar="SLUG", required=True, help="The channel, such as en."
)
as_json = option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
confirm = option(
    "--confirm",
    multiple=True,
    metavar="WARNING",
    help="Go on in spite of this warning, such as marker or script. May be repeated.",
)
on_brake = option(
    "--on-brake",
    type=click.Choice(["refuse", "draft"]),
    help="If a warning blocks it: refuse it, or submit it as a draft, which a second person decides.  "
    "[default: refuse]",
)
at = option(
    "--at", "at", metavar="TIME", help="When it goes out: a time with its offset, such as 2026-05-04T16:30:00+02:00."
)
within = option(
    "--in", "within", metavar="DURATION", help="When it goes out, from now on: 5s, 10m or 2h. 0s is at once."
)
note_to_desk = option("--note-to-desk", metavar="TEXT", help="A remark for the other editors. Readers never see it.")
config = option(
    "--config",
    envvar="TICKER_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file that declares the channels.  [default: ticker.toml, if it exists]",
)
newswire = option(
    "--newswire",
    envvar="TICKER_NEWSWIRE",
    default="sqlite:///ticker.db",
    show_default=True,
    help="Where lines are kept: sqlite:///FILE, redis://…, redis+sentinel://… or redis+cluster://….",
)


def speaks_to_a_node(command: Command) -> Command:
    """Options of every command that asks a node what everybody may know; the command gets `client`."""
    return _asks(command)


def speaks_with_a_key(command: Command) -> Command:
    """Options of every command that changes something, or asks for what is the editors'; it gets `client`."""
    keyed = option(
        "--key",
        envvar="TICKER_KEY",
        metavar="KEY",
        help="Your key. Better set TICKER_KEY: other users can see options.",
    )
    return keyed(_asks(command))


def _asks(command: Command) -> Command:
    @option(
        "--url", envvar="TICKER_URL", default="http://127.0.0.1:8000", show_default=True, help="The node's address."
    )
    @option(
        "--retry-for",
        envvar="TICKER_RETRY_FOR",
        type=Seconds(),
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to try again if the node can't be reached. What is sent again is done only once.",
    )
    @wraps(command)
    @answered
    def run(*args: Any, url: str, retry_for: float, key: str | None = None, **kwargs: Any) -> Any:
        from ticker.client import Client, ServerRefused, Unreachable

        if key and not key.isascii():
            raise click.UsageError("A key has only ASCII characters. Check --key or TICKER_KEY.")
        try:
            return command(*args, client=Client(url, key, retry_for), **kwargs)
        except ServerRefused as error:
            hint = " Name a key with TICKER_KEY or --key." if error.status == 401 else ""
            said = _at_fault(error.errors) or _braked(error.warnings) or str(error)
            fail(f"{said}{hint}", REFUSED)
        except Unreachable as error:
            hint = "" if error.answered else " Is --url (TICKER_URL) right, and the node up?"
            doubt = (
                " What you asked for may have been done all the same: look before you repeat it."
                if error.unsettled
                else ""
            )
            fail(f"{error}{doubt}{hint}", UNREACHABLE)

    return run


def answered(command: Callable[P, R]) -> Callable[P, R]:
    """Say in one sentence what went wrong, and exit with a status that scripts can use."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except Invalid as error:
            fail(_at_fault((each.field, each.detail) for each in error.errors), MISUSED)
        except TickerError as error:
            fail(error.detail, status_of(error))

    return run


def status_of(error: TickerError) -> int:
    """The exit status. What is no mistake in the configuration is a newswire that went away while the node started."""
    return MISUSED if isinstance(error, Misconfigured) else UNREACHABLE


def fail(sentence: str, status: int) -> NoReturn:
    click.echo(f"ticker: {sentence}", err=True)
    sys.exit(status)


def _at_fault(errors: Iterable[tuple[str, str]]) -> str:
    """Each field at fault by the name that it has on the command line, and what is wrong with it."""
    return " ".join(f"{f'{name}: ' if (name := _given_as(field)) else ''}{detail}" for field, detail in errors)


def _braked(warnings: Iterable[tuple[str, str]]) -> str:
    """Each warning that blocks, and what confirms them."""
    said = list(warnings)
    if not said:
        return ""
    confirm = " ".join(dict.fromkeys(f"--confirm {code}" for code, _ in said))
    return (
        f"{' '.join(detail for _, detail in said)} Nothing was published. If it is meant so, repeat it with {confirm}."
    )


def _given_as(field: str) -> str:
    return OPTIONS.get(field) or (f"--{field}" if field in SAME_NAME else field)


def duration(value: str, field: str = "expires_in", *, least: int = 1) -> int:
    """Seconds, from `90s`, `30m`, `2h` or `7d`. Raises Invalid."""
    try:
        return settings.duration(value, least=least)
    except ValueError as error:
        raise Invalid(FieldError(field, str(error))) from error


def publish_in(value: str) -> int:
    """Seconds until something is published; 0 is at once. Raises Invalid."""
    from ticker.draft import AHEAD_MAX

    seconds = duration(value, "publish_in", least=0)
    if seconds > AHEAD_MAX:
        raise Invalid(FieldError("publish_in", f"{value} is too far ahead; {AHEAD_MAX // 86_400}d is the maximum."))
    return seconds


def path_part(name: str, option: str) -> str:
    """A name as one part of a path, with every character escaped. `option` is where it was given."""
    if not name.strip():
        raise click.UsageError(f"{option} is empty.")
    return quote(name, safe="")


def lines_path(channel: str) -> str:
    return f"/v1/channels/{path_part(channel, '--channel')}/lines"


def line_path(channel: str, line_id: str) -> str:
    return f"{lines_path(channel)}/{path_part(line_id, 'ID')}"


def drafts_path(channel: str) -> str:
    return f"/v1/channels/{path_part(channel, '--channel')}/drafts"


def draft_path(channel: str, draft_id: str) -> str:
    return f"{drafts_path(channel)}/{path_part(draft_id, 'ID')}"


def print_answer(answer: dict[str, Any], as_json: bool) -> None:
    """The id of a line or a draft; of a draft also, on standard error, what it waits for."""
    click.echo(json.dumps(answer, ensure_ascii=False) if as_json else answer["id"])
    if "state" in answer:
        from ticker import terminal

        click.echo(terminal.waits(answer), err=True)
