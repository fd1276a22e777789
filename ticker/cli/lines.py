"""`ticker publish`, `correct`, `withhold`, `release`, `cancel`, `list`, `show` and `tail`: lines, by way of a node."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from ticker import terminal
from ticker.cli import options
from ticker.cli.options import Command, duration, option, path_part, speaks_to_a_node, speaks_with_a_key
from ticker.errors import Invalid, Misconfigured
from ticker.line import NewLine, Patch, checked

if TYPE_CHECKING:
    from ticker.client import Client

URGENCIES = click.Choice(["flash", "bulletin", "urgent", "update"])
CLEARED = frozenset({"url", "source", "story", "note"})  # what a line may be without

expires_in = option("--expires-in", metavar="DURATION", help="90s, 30m, 2h, 7d or never, from now on.")


def _describes_a_line(command: Command) -> Command:
    """Options for what a line carries beside its words. What isn't given is the channel's, or stays as it is."""
    carried = [
        option("--urgency", type=URGENCIES, help="How urgent: flash before bulletin, urgent and update."),
        option("--link", metavar="URL", help="A link to more (http or https)."),
        option("--source", help="The source, as readers see it."),
        option("--story", metavar="SLUG", help="Ties lines of one story together, across channels too."),
        expires_in,
        option("--language", metavar="TAG", help="BCP 47, such as en or pt-BR."),
        option("--direction", type=click.Choice(["ltr", "rtl"]), help="If the language doesn't determine it."),
        option("--note", help="The reason, or a remark, as readers see it."),
    ]
    for each in reversed(carried):
        command = each(command)
    return command


MANY = 20  # lines of a file; more are seldom meant

note_to_desk = option("--note-to-desk", help="A remark for the other editors, if it waits.")


@click.command()
@options.channel
@click.argument("words", required=False, metavar="TEXT")
@option("--file", "file", type=click.File("r", "utf-8-sig"), help="Publish each line of a file (-: standard input).")
@option("--yes", is_flag=True, help=f"Don't ask before more than {MANY} lines of a file.")
@_describes_a_line
@option("--pinned", is_flag=True, default=None, help="Keep it above the others.")
@options.at
@options.within
@option("--draft", "as_draft", is_flag=True, help="Save it as a draft; `ticker draft` goes on with it.")
@option(
    "--check", is_flag=True, help="Publish nothing: print what to look at first. Exit status 1 if a warning blocks."
)
@options.confirm
@option(
    "--on-brake",
    type=click.Choice(["refuse", "draft"]),
    help="What becomes of a line that a warning blocks. draft: a person decides.  [default: refuse]",
)
@note_to_desk
@options.as_json
@speaks_with_a_key
def publish(
    client: Client,
    channel: str,
    words: str | None,
    file: Any,
    yes: bool,
    as_draft: bool,
    check: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Publish TEXT as a line, and print its id. TEXT - reads it from standard input.

    With --at or --in it goes out later, and if a second person must agree, when they have: then the id of the draft is
    printed, which starts with d_.

    With --file, each line of the file is published as one line. The file has the newest line first, so its last line is
    published first. Nothing is published unless every line of the file is valid.
    """
    if (words is None) == (file is None):
        raise click.UsageError('Give either TEXT or --file, as in: ticker publish -c en "text"')
    if as_draft and (given["confirm"] or given["on_brake"]):
        raise click.UsageError("A draft is checked when it is submitted. Give --confirm to `ticker draft submit`.")
    from ticker.client import ServerRefused, Unreachable

    texts = _lines_of(file) if file else [_given_words(words)]
    wishes = _wishes(given)
    bodies = [_checked({"text": text, **_fields(**given)}, NewLine) | wishes for text in texts]
    if check:
        found = [client.call("POST", f"{_lines_path(channel)}/check", body) for body in bodies]
        _print_checks(found, as_json)
        return
    if len(bodies) > MANY and sys.stdin.isatty() and not yes:
        click.confirm(f"Publish {len(bodies)} lines on {channel}?", abort=True, err=True)
    path = drafts_path(channel) if as_draft else _lines_path(channel)
    for number, body in enumerate(bodies, 1):
        try:
            answer = client.call("POST", path, body)
        except (ServerRefused, Unreachable):
            if number > 1:
                click.echo(
                    f"ticker: {number - 1} of {len(bodies)} lines are published; stopped at {body['text']!r}", err=True
                )
            raise
        print_answer(answer, as_json)
        if len(bodies) > 1 and sys.stderr.isatty():
            click.echo(f"\r{number}/{len(bodies)}", err=True, nl=number == len(bodies))


@click.command()
@options.channel
@click.argument("line_id", metavar="ID")
@click.argument("words", required=False, metavar="[TEXT]")
@_describes_a_line
@option("--pinned/--not-pinned", default=None, help="Keep it above the others, or no longer.")
@option("--refile", is_flag=True, help="TEXT mends a slip of the pen: the line is not marked as corrected.")
@options.at
@options.within
@options.confirm
@note_to_desk
@options.as_json
@speaks_with_a_key
def correct(
    client: Client, channel: str, line_id: str, words: str | None, refile: bool, as_json: bool, **given: Any
) -> None:
    """Correct a line. TEXT replaces its text on every banner; each option replaces the field that it names.

    An empty value removes a field: --link "" removes the link.
    """
    wishes = _wishes(given)
    body: dict[str, Any] = {"text": _given_words(words)} if words is not None else {}
    body |= {name: None if value == "" and name in CLEARED else value for name, value in _fields(**given).items()}
    if not body:
        raise click.UsageError("Give what to correct: TEXT, or one of the options.")
    body |= {"refile": True} if refile else {}
    body = _checked(body, Patch) | wishes
    print_answer(client.call("PATCH", _line_path(channel, line_id), body), as_json)


@click.command()
@options.channel
@click.argument("line_id", metavar="ID")
@option("--note", help="The reason, as readers see it.")
@options.as_json
@speaks_with_a_key
def withhold(client: Client, channel: str, line_id: str, note: str | None, as_json: bool) -> None:
    """Take a line's text off every banner until the line is released."""
    body = _checked({"status": "withheld", **_fields(note=note)}, Patch)
    print_answer(client.call("PATCH", _line_path(channel, line_id), body), as_json)


@click.command()
@options.channel
@click.argument("line_id", metavar="ID")
@option("--note", help="The result of the check, as readers see it.")
@expires_in
@options.as_json
@speaks_with_a_key
def release(client: Client, channel: str, line_id: str, as_json: bool, **given: Any) -> None:
    """Put a withheld line back on every banner. Use --expires-in if it has expired meanwhile."""
    body = _checked({"status": "usable", **_fields(**given)}, Patch)
    print_answer(client.call("PATCH", _line_path(channel, line_id), body), as_json)


@click.command()
@options.channel
@click.argument("line_id", metavar="ID")
@option("--note", help="The reason, as readers see it.")
@options.as_json
@speaks_with_a_key
def cancel(client: Client, channel: str, line_id: str, note: str | None, as_json: bool) -> None:
    """Cancel a line for good: its text leaves every banner and doesn't come back.

    If a second person must agree, the line is withheld at once, and the id of the draft is printed, which starts with
    d_.
    """
    body = _checked(_fields(note=note), Patch)
    print_answer(client.call("DELETE", _line_path(channel, line_id), body), as_json)


@click.command("list")
@options.channel
@option("--json", "as_json", is_flag=True, help="Print the board as JSON.")
@speaks_to_a_node
def list_lines(client: Client, channel: str, as_json: bool) -> None:
    """Print what a channel shows now, as readers see it: pinned lines first, then the newest."""
    board = client.call("GET", _lines_path(channel))
    click.echo(json.dumps(board, ensure_ascii=False) if as_json else terminal.board(board))


@click.command()
@options.channel
@click.argument("line_id", metavar="ID")
@option("--versions", is_flag=True, help="Every version: its text, when it changed, and why.")
@option("--audit", is_flag=True, help="The same for editors: with who changed it, and with withdrawn text.")
@options.as_json
@speaks_with_a_key
def show(client: Client, channel: str, line_id: str, versions: bool, audit: bool, as_json: bool) -> None:
    """Print one line with all its fields."""
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


@click.command()
@option("-c", "--channel", "channels", envvar="TICKER_CHANNEL", required=True, multiple=True, help="May be repeated.")
@option("--json", "as_json", is_flag=True, help="Print each frame as it comes, one JSON object a line.")
@speaks_to_a_node
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


def _lines_path(channel: str) -> str:
    return f"/v1/channels/{path_part(channel, '--channel')}/lines"


def _line_path(channel: str, line_id: str) -> str:
    return f"{_lines_path(channel)}/{path_part(line_id, 'ID')}"


def _fields(*, link: str | None = None, expires_in: str | None = None, **given: Any) -> dict[str, Any]:
    """Those that were given, as the API names them."""
    fields = {name: value for name, value in {**given, "url": link}.items() if value is not None}
    if expires_in == "never":
        fields["expires"] = None
    elif expires_in is not None:
        fields["expires_in"] = duration(expires_in)
    return fields


Input = TypeVar("Input", NewLine, Patch)


def _checked(body: dict[str, Any], kind: type[Input]) -> dict[str, Any]:
    """The body, which fits a line's rules. Raises Invalid: what the node would refuse isn't sent."""
    checked(msgspec.convert(body, kind))
    return body


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
        raise Misconfigured("The file contains no line. Nothing was published.")
    for number, line in enumerate(lines, 1):
        try:
            checked(NewLine(text=line))
        except Invalid as error:
            raise Misconfigured(f"Line {number} of the file: {error.detail} Nothing was published.") from error
    return lines[::-1]


def print_answer(answer: dict[str, Any], as_json: bool) -> None:
    """The id of a line or a draft; of a draft also, on standard error, what it waits for."""
    click.echo(json.dumps(answer, ensure_ascii=False) if as_json else answer["id"])
    if "state" in answer:
        click.echo(terminal.waits(answer), err=True)


def _print_checks(found: list[dict[str, Any]], as_json: bool) -> None:
    for each in found:
        click.echo(json.dumps(each, ensure_ascii=False) if as_json else terminal.check(each))
    if any(warning["blocking"] for each in found for warning in each["warnings"]):
        sys.exit(options.REFUSED)


def _wishes(given: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that say how it goes out, taken out of the others and named as the API names them."""
    at, within = given.pop("at"), given.pop("within")
    named = {name: given.pop(name, None) for name in ("confirm", "on_brake", "note_to_desk")}
    wishes = {name: list(value) if name == "confirm" else value for name, value in named.items() if value}
    if at is not None:
        wishes["publish_at"] = at
    if within is not None:
        wishes["publish_in"] = duration(within, "publish_in")
    return wishes


def drafts_path(channel: str) -> str:
    return f"/v1/channels/{path_part(channel, '--channel')}/drafts"
