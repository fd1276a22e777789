"""`ticker draft …`: lines that are not public yet, by way of a node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click

from ticker import terminal
from ticker.cli import options
from ticker.cli.fields import change, changes_a_line, wishes, without_the_empty
from ticker.cli.options import drafts_path, option, print_answer, publish_in, speaks_with_a_key
from ticker.cli.steps import read, take

if TYPE_CHECKING:
    from ticker.client import Client

PAGE = 200  # drafts that are asked for at once

draft_id = click.argument("draft_id", metavar="ID")


@click.group()
def draft() -> None:
    """Write, hand over, decide and recall drafts: lines and changes that are not public yet.

    Make one with `ticker publish --draft`. It is open until it is submitted. Then somebody approves, publishes or
    returns it. One that is scheduled goes out by itself, at its time. docs/desk.md has a picture of this.
    """


@draft.command("list")
@options.channel
@option(
    "--state",
    metavar="STATES",
    help="open, submitted, scheduled, missed, conflict, released or discarded; several with commas.  "
    "[default: all but released and discarded]",
)
@option("--json", "as_json", is_flag=True, help="Print them as JSON, one a line.")
@speaks_with_a_key
def list_drafts(client: Client, channel: str, state: str | None, as_json: bool) -> None:
    """List drafts, with the one changed last first."""
    any_found = False
    for each in _all(client, channel, state):
        any_found = True
        click.echo(json.dumps(each, ensure_ascii=False) if as_json else terminal.draft(each))
    if not any_found:
        click.echo(f"There is no such draft on {channel}.", err=True)


def _all(client: Client, channel: str, state: str | None) -> Iterator[dict[str, Any]]:
    query = {"limit": str(PAGE)} | ({"state": state} if state else {})
    while True:
        page = client.call("GET", f"{drafts_path(channel)}?{urlencode(query)}")
        yield from page["drafts"]
        if page["next"] is None:
            return
        query["after"] = page["next"]


@draft.command("show")
@options.channel
@draft_id
@options.as_json
@speaks_with_a_key
def show_draft(client: Client, channel: str, draft_id: str, as_json: bool) -> None:
    """Print one draft with all its fields and its history."""
    found = read(client, channel, draft_id)
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else terminal.whole_draft(found))


@draft.command("edit")
@options.channel
@draft_id
@click.argument("words", required=False, metavar="[TEXT]")
@changes_a_line
@option("--unschedule", is_flag=True, help="Take its time away, so that it doesn't go out by itself.")
@option(
    "--line-version",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="If the draft's line has changed: write the draft against this version, which you have read.",
)
@options.as_json
@speaks_with_a_key
def edit(
    client: Client,
    channel: str,
    draft_id: str,
    words: str | None,
    refile: bool,
    unschedule: bool,
    line_version: int | None,
    as_json: bool,
    note_to_desk: str | None,
    **given: Any,
) -> None:
    """Change a draft. TEXT replaces its text; each option replaces the field that it names.

    An empty value removes a field: --link "" removes the link. TEXT - reads it from standard input.

    A change takes an approval away: a second person must approve the draft again.
    """
    if unschedule and (given["at"] is not None or given["within"] is not None):
        raise click.UsageError("--unschedule takes the time away that --at or --in gives. Give only one of them.")
    body = wishes(given) | ({"publish_at": None} if unschedule else {})
    body |= change(words, refile, given)
    body |= {} if note_to_desk is None else without_the_empty({"note_to_desk": note_to_desk})
    body |= {} if line_version is None else {"version": line_version}
    if not body.keys() - {"refile", "confirm"}:
        raise click.UsageError(
            'Say what to change: TEXT, or an option such as --at. As in: ticker draft edit -c en ID "text"'
        )
    print_answer(take(client, channel, draft_id, "edit", body), as_json)


@draft.command("submit")
@options.channel
@draft_id
@options.confirm
@options.as_json
@speaks_with_a_key
def submit(client: Client, channel: str, draft_id: str, confirm: tuple[str, ...], as_json: bool) -> None:
    """Hand a draft over to those who decide. With a time, and if nobody else must agree, it is scheduled."""
    print_answer(take(client, channel, draft_id, "submit", {"confirm": list(confirm)}), as_json)


@draft.command("approve")
@options.channel
@draft_id
@option("--sources", metavar="TEXT", help="What you checked it against. The audit keeps it.")
@option("--checked-by", metavar="TEXT", help="Who checked it. The audit keeps it.")
@options.within
@options.confirm
@options.as_json
@speaks_with_a_key
def approve(
    client: Client,
    channel: str,
    draft_id: str,
    confirm: tuple[str, ...],
    within: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Agree to a draft that another person submitted.

    It goes out at its own time. If it has none, it goes out after --in. Without --in, it goes out after the channel's
    hold: some seconds in which `ticker draft discard` recalls it.
    """
    body = {name: value for name, value in given.items() if value is not None} | {"confirm": list(confirm)}
    print_answer(take(client, channel, draft_id, "approve", body | _time(within)), as_json)


@draft.command("return")
@options.channel
@draft_id
@option("--reason", metavar="TEXT", required=True, help="Why. The writer reads it; readers never do.")
@options.as_json
@speaks_with_a_key
def send_back(client: Client, channel: str, draft_id: str, reason: str, as_json: bool) -> None:
    """Return a submitted or scheduled draft to its writer. It is open again, and does not go out."""
    print_answer(take(client, channel, draft_id, "return", {"reason": reason}), as_json)


@draft.command("publish")
@options.channel
@draft_id
@options.within
@options.confirm
@options.as_json
@speaks_with_a_key
def publish_draft(
    client: Client, channel: str, draft_id: str, within: str | None, confirm: tuple[str, ...], as_json: bool
) -> None:
    """Publish a draft at once, or after --in. If a second person must agree, it is submitted."""
    body = {"confirm": list(confirm), **_time(within)}
    print_answer(take(client, channel, draft_id, "publish", body), as_json)


@draft.command("discard")
@options.channel
@draft_id
@options.as_json
@speaks_with_a_key
def discard(client: Client, channel: str, draft_id: str, as_json: bool) -> None:
    """Recall a draft for good: it won't go out. If it is on the air already, the error names its line."""
    print_answer(take(client, channel, draft_id, "discard"), as_json)


def _time(within: str | None) -> dict[str, Any]:
    return {} if within is None else {"publish_in": publish_in(within)}
