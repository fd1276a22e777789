"""`ticker person add`, `list`, `link` and `revoke`: people, by way of a node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ticker.cli.options import REFUSED, fail, option, path_part, speaks_with_a_key

if TYPE_CHECKING:
    from ticker.client import Client


@click.group()
def person() -> None:
    """Add, list, invite and revoke people, who sign in with passkeys. Needs an admin's key."""


@person.command("add")
@click.argument("name")
@option(
    "--role",
    type=click.Choice(["contributor", "editor", "chief", "admin"]),
    default="editor",
    show_default=True,
    help="contributor: drafts; editor: lines of their channels; chief: lines of all, cancels, locks; admin: people and "
    "keys too.",
)
@option("--channel", "channels", multiple=True, help="A channel that they work on; may be repeated.  [default: all]")
@option("--email", help="To remember where the link goes. Nothing is sent there.")
@option("--owner", help="What keys name as their owner that were made before: those keys are this person's too.")
@speaks_with_a_key
def add_person(
    client: Client, name: str, role: str, channels: tuple[str, ...], email: str | None, owner: str | None
) -> None:
    """Add a person, and print only the link that invites them on standard output.

    Hand it over yourself: whoever opens it first can register a passkey. It works once, within three days.
    """
    if channels and role in ("chief", "admin"):
        raise click.UsageError(f"The role {role} has access to every channel: --channel is for other roles.")
    given = {"email": email, "owner": owner}
    body = {"name": name, "role": role, "channels": list(channels)} | {k: v for k, v in given.items() if v}
    made = client.call("POST", "/v1/people", body)
    click.echo(f"Added: {made['name']} ({made['id']}), {made['role']}.", err=True)
    if made["link"] is None:
        click.echo(
            f"There is no link yet. {made['no_link']} Then make one with: ticker person link {made['id']}", err=True
        )
    else:
        _print_link(made)


@person.command("list")
@option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@speaks_with_a_key
def list_people(client: Client, as_json: bool) -> None:
    """List the people who may sign in, and those who no longer may."""
    people = client.call("GET", "/v1/people")["people"]
    if as_json:
        click.echo(json.dumps(people, ensure_ascii=False, indent=2))
        return
    for each in people:
        channels = ", ".join(each["channels"]) or "all channels"
        click.echo(f"{each['id']}  {each['role']:<11}  {each['name']}  ({channels}; {_state(each)})")


def _state(person: dict[str, Any]) -> str:
    if person["revoked"]:
        return f"revoked {person['revoked']}"
    count = len(person["passkeys"])
    passkeys = "1 passkey" if count == 1 else f"{count} passkeys"
    invited = f", invited until {person['invited_until']}" if person["invited_until"] else ""
    return f"{passkeys}{invited}, last used {person['last_used'] or 'never'}"


@person.command("link")
@click.argument("person_id", metavar="ID")
@option("--reset", is_flag=True, help="A device was lost: remove their passkeys, and sign them out everywhere.")
@speaks_with_a_key
def link(client: Client, person_id: str, reset: bool) -> None:
    """Make a new link with which a person can register a passkey, and print only the link on standard output.

    Links made before no longer work.
    """
    made = client.call("POST", f"/v1/people/{path_part(person_id, 'ID')}/link", {"reset": reset})
    if made["link"] is None:
        fail(f"There is no link. {made['no_link']}", REFUSED)
    _print_link(made)


def _print_link(made: dict[str, Any]) -> None:
    click.echo(f"The link works once, until {made['invited_until']}. It is not shown again.", err=True)
    click.echo(made["link"])


@person.command("revoke")
@click.argument("person_id", metavar="ID")
@speaks_with_a_key
def revoke_person(client: Client, person_id: str) -> None:
    """End a person's access: they are signed out at once, everywhere, and their keys are revoked."""
    revoked = client.call("DELETE", f"/v1/people/{path_part(person_id, 'ID')}")
    click.echo(f"Revoked: {revoked['name']} ({revoked['id']})", err=True)
