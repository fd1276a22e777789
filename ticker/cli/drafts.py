"""`ticker draft …`: lines that are not public yet, by way of a node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click

from ticker import terminal
from ticker.cli import options
from ticker.cli.lines import drafts_path, print_answer
from ticker.cli.options import duration, option, path_part, speaks_with_a_key

if TYPE_CHECKING:
    from ticker.client import Client

PAGE = 200  # drafts that are asked for at once

draft_id = click.argument("draft_id", metavar="ID")


@click.group()
def draft() -> None:
    """Drafts: lines and changes that are not public yet.

    A draft is open, submitted, scheduled, released, missed, in conflict or discarded; docs/desk.md has the picture.
    """


@draft.command("list")
@options.channel
@option("--state", help="One or more, with commas, such as submitted,scheduled.  [default: all that have not ended]")
@option("--json", "as_json", is_flag=True, help="Print them as JSON, one a line.")
@speaks_with_a_key
def list_drafts(client: Client, channel: str, state: str | None, as_json: bool) -> None:
    """List drafts, the one changed last first."""
    for each in _all(client, channel, state):
        click.echo(json.dumps(each, ensure_ascii=False) if as_json else terminal.draft(each))


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
    found = client.call("GET", _path(channel, draft_id))
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else terminal.whole_draft(found))


@draft.command("submit")
@options.channel
@draft_id
@options.confirm
@options.as_json
@speaks_with_a_key
def submit(client: Client, channel: str, draft_id: str, confirm: tuple[str, ...], as_json: bool) -> None:
    """Hand a draft over. If nobody else has to agree and it has a time, it is scheduled for then."""
    print_answer(client.call("POST", f"{_path(channel, draft_id)}/submit", {"confirm": list(confirm)}), as_json)


@draft.command("approve")
@options.channel
@draft_id
@option("--sources", help="What you checked it against, for the audit.")
@option("--checked-by", help="Who checked it, for the audit.")
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
    """Agree to what another person submitted.

    It goes out at its time. Without one, it goes out after the channel's hold, in which it can be discarded; --in says
    another time.
    """
    body = {name: value for name, value in given.items() if value is not None} | {"confirm": list(confirm)}
    if within is not None:
        body["publish_in"] = duration(within, "publish_in")
    print_answer(client.call("POST", f"{_path(channel, draft_id)}/approve", body), as_json)


@draft.command("return")
@options.channel
@draft_id
@option("--reason", required=True, help="Why, for its writer.")
@options.as_json
@speaks_with_a_key
def send_back(client: Client, channel: str, draft_id: str, reason: str, as_json: bool) -> None:
    """Return a submitted or scheduled draft to its writer."""
    print_answer(client.call("POST", f"{_path(channel, draft_id)}/return", {"reason": reason}), as_json)


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
    """Publish a draft now, or in some seconds. If a second person must agree, it is submitted."""
    body: dict[str, Any] = {"confirm": list(confirm)}
    if within is not None:
        body["publish_in"] = duration(within, "publish_in")
    print_answer(client.call("POST", f"{_path(channel, draft_id)}/publish", body), as_json)


@draft.command("discard")
@options.channel
@draft_id
@options.as_json
@speaks_with_a_key
def discard(client: Client, channel: str, draft_id: str, as_json: bool) -> None:
    """Recall a draft: it won't go out. If it is on the air already, the error names its line."""
    print_answer(client.call("DELETE", _path(channel, draft_id)), as_json)


def _path(channel: str, draft_id: str) -> str:
    return f"{drafts_path(channel)}/{path_part(draft_id, 'ID')}"
