"""`ticker publish`, `correct`, `withhold`, `release`, `cancel`, `list`, `show` and `tail`: lines, by way of a node."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from ticker import terminal
from ticker.cli import options
from ticker.cli.fields import (
    change,
    changes_a_line,
    checked_body,
    describes_a_line,
    expires_in,
    fields,
    given_words,
    wishes,
)
from ticker.cli.options import (
    drafts_path,
    line_path,
    lines_path,
    option,
    print_answer,
    speaks_to_a_node,
    speaks_with_a_key,
)
from ticker.errors import Invalid, Misconfigured
from ticker.line import NewLine, Patch, checked

if TYPE_CHECKING:
    from ticker.client import Client

MANY = 20  # lines of a file; more are seldom meant


@click.command()
@options.channel
@click.argument("words", required=False, metavar="[TEXT]")
@option("--file", "file", type=click.File("r", "utf-8-sig"), help="Publish each line of this file. -: standard input.")
@option("--yes", is_flag=True, help=f"Publish more than {MANY} lines of a file without asking.")
@describes_a_line
@option("--pinned", is_flag=True, default=None, help="Keep it above the other lines.")
@options.at
@options.within
@option("--draft", "as_draft", is_flag=True, help="Publish nothing: save it as a draft, for `ticker draft`.")
@option(
    "--check", is_flag=True, help="Publish nothing: print the warnings. The exit status is 1 if one of them blocks."
)
@options.confirm
@options.on_brake
@options.note_to_desk
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

    If it has to wait (--at, --in, or a second person), the id of a draft is printed, which starts with d_. Standard
    error says what it waits for.

    With --file, each line of the file is published as one line. The file has the newest line first, so its last line is
    published first. Nothing is published unless every line of the file is valid.
    """
    if (words is None) == (file is None):
        raise click.UsageError('Give either TEXT or --file, as in: ticker publish -c en "text"')
    if as_draft and (given["confirm"] or given["on_brake"]):
        raise click.UsageError(
            "Warnings stop a draft only when it is submitted. Leave out --confirm and --on-brake; give --confirm to "
            "`ticker draft submit`."
        )
    from ticker.client import ServerRefused, Unreachable

    texts = _lines_of(file) if file else [given_words(str(words))]
    wished = wishes(given)
    bodies = [checked_body({"text": text, **fields(**given)}, NewLine) | wished for text in texts]
    if check:
        found = [client.call("POST", f"{lines_path(channel)}/check", body) for body in bodies]
        _print_checks(found, as_json)
        return
    if len(bodies) > MANY and sys.stdin.isatty() and not yes:
        what = "Save as drafts" if as_draft else "Publish"
        click.confirm(f"{what}: {len(bodies)} lines on {channel}?", abort=True, err=True)
    path = drafts_path(channel) if as_draft else lines_path(channel)
    for number, body in enumerate(bodies, 1):
        try:
            answer = client.call("POST", path, body)
        except (ServerRefused, Unreachable):
            if number > 1:
                click.echo(
                    f"ticker: {number - 1} of {len(bodies)} lines were sent, the last of the file first. It stopped at "
                    f"{body['text']!r}. Delete the lines below that one before you publish the file again.",
                    err=True,
                )
            raise
        print_answer(answer, as_json)
        if len(bodies) > 1 and sys.stderr.isatty():
            click.echo(f"\r{number}/{len(bodies)}", err=True, nl=number == len(bodies))


@click.command()
@options.channel
@click.argument("line_id", metavar="ID")
@click.argument("words", required=False, metavar="[TEXT]")
@changes_a_line
@options.on_brake
@options.as_json
@speaks_with_a_key
def correct(
    client: Client, channel: str, line_id: str, words: str | None, refile: bool, as_json: bool, **given: Any
) -> None:
    """Correct a line. TEXT replaces its text on every banner; each option replaces the field that it names.

    An empty value removes a field: --link "" removes the link. TEXT - reads it from standard input.

    If the correction has to wait (--at, --in, or a second person), the line stays as it is, and the id of a draft is
    printed, which starts with d_.
    """
    wished = wishes(given)
    body = change(words, refile, given)
    if not body.keys() - {"refile"}:
        raise click.UsageError(
            'Say what to correct: TEXT, or an option such as --source. As in: ticker correct -c en ID "text"'
        )
    print_answer(client.call("PATCH", line_path(channel, line_id), body | wished), as_json)


@click.command()
@options.channel
@click.argument("line_id", metavar="ID")
@option("--note", metavar="TEXT", help="The reason. Readers see it.")
@options.confirm
@options.as_json
@speaks_with_a_key
def withhold(
    client: Client, channel: str, line_id: str, note: str | None, confirm: tuple[str, ...], as_json: bool
) -> None:
    """Take a line's text off every banner, until `ticker release` puts it back. It never has to wait.

    A warning can only be about the note: the line is withheld then, without it.
    """
    body = checked_body({"status": "withheld", **fields(note=note)}, Patch)
    print_answer(client.call("PATCH", line_path(channel, line_id), body | _confirming(confirm)), as_json)


@click.command()
@options.channel
@click.argument("line_id", metavar="ID")
@option("--note", metavar="TEXT", help="The result of the check. Readers see it.")
@expires_in
@options.confirm
@options.as_json
@speaks_with_a_key
def release(client: Client, channel: str, line_id: str, confirm: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Put a withheld line back on every banner. If it has expired meanwhile, give --expires-in.

    If a second person must agree (to a note, where corrections need one), the id of a draft is printed, which starts
    with d_.
    """
    body = checked_body({"status": "usable", **fields(**given)}, Patch)
    print_answer(client.call("PATCH", line_path(channel, line_id), body | _confirming(confirm)), as_json)


@click.command()
@options.channel
@click.argument("line_id", metavar="ID")
@option("--note", metavar="TEXT", help="The reason. Readers see it.")
@options.confirm
@options.as_json
@speaks_with_a_key
def cancel(
    client: Client, channel: str, line_id: str, note: str | None, confirm: tuple[str, ...], as_json: bool
) -> None:
    """Cancel a line for good: its text leaves every banner and doesn't come back.

    If a second person must agree, the line is only withheld for now, and the id of a draft is printed, which starts
    with d_.
    """
    body = checked_body(fields(note=note), Patch)
    print_answer(client.call("DELETE", line_path(channel, line_id), body | _confirming(confirm)), as_json)


def _confirming(names: tuple[str, ...]) -> dict[str, object]:
    return {"confirm": list(names)} if names else {}


@click.command("list")
@options.channel
@option("--json", "as_json", is_flag=True, help="Print the board as JSON.")
@speaks_to_a_node
def list_lines(client: Client, channel: str, as_json: bool) -> None:
    """Print what a channel shows now, as readers see it: pinned lines first, then the newest."""
    board = client.call("GET", lines_path(channel))
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
    found = client.call("GET", f"{line_path(channel, line_id)}{part}")
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    elif part:
        click.echo("\n".join(terminal.version(each) for each in found["versions"]))
    else:
        click.echo(terminal.whole(found))


@click.command()
@option(
    "-c",
    "--channel",
    "channels",
    envvar="TICKER_CHANNEL",
    metavar="SLUG",
    required=True,
    multiple=True,
    help="A channel. May be repeated.",
)
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


def _lines_of(file: Any) -> list[str]:
    """The file's lines, oldest (last) first. Nothing leaves before each of them would be taken."""
    try:
        lines = [line for line in file.read().split("\n") if line.strip()]
    except UnicodeDecodeError as error:
        raise Misconfigured(
            f"The file is not UTF-8: {error.reason} at byte {error.start}. Save it as UTF-8."
        ) from error
    if not lines:
        raise Misconfigured("The file contains no line. Write one line of text a row. Nothing was published.")
    for number, line in enumerate(lines, 1):
        try:
            checked(NewLine(text=line))
        except Invalid as error:
            raise Misconfigured(f"Line {number} of the file: {error.detail} Nothing was published.") from error
    return lines[::-1]


def _print_checks(found: list[dict[str, Any]], as_json: bool) -> None:
    for each in found:
        click.echo(json.dumps(each, ensure_ascii=False) if as_json else terminal.check(each))
    if any(warning["blocking"] for each in found for warning in each["warnings"]):
        sys.exit(options.REFUSED)
