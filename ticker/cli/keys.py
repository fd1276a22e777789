"""`ticker key create`, `list` and `revoke`: keys, by way of a node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ticker.cli.options import UNREACHABLE, fail, option, path_part, speaks_with_a_key

if TYPE_CHECKING:
    from ticker.client import Client


@click.group()
def key() -> None:
    """Make, list and revoke keys. Needs an admin's key."""


@key.command("create")
@click.argument("name")
@option(
    "--role",
    type=click.Choice(["contributor", "editor", "chief", "admin"]),
    default="editor",
    show_default=True,
    help="contributor: drafts; editor: lines of its channels; chief: lines of all, cancels, locks; admin: keys too.",
)
@option("--channel", "channels", multiple=True, help="A channel that it works on; may be repeated.  [default: all]")
@option("--owner", help="Whose key it is: two keys of one owner are one person, who can't approve their own drafts.")
@option("--person", metavar="ID", help="The person whose key it is: it does no more than they may.")
@speaks_with_a_key
def create_key(
    client: Client, name: str, role: str, channels: tuple[str, ...], owner: str | None, person: str | None
) -> None:
    """Make a key and print only the key on standard output. It can't be shown again."""
    if channels and role in ("chief", "admin"):
        raise click.UsageError(f"The role {role} has access to every channel: --channel is for other roles.")
    given = {"owner": owner, "person": person}
    body = {"name": name, "role": role, "channels": list(channels)} | {k: v for k, v in given.items() if v}
    from ticker.client import Unreachable

    try:
        made = client.call("POST", "/v1/keys", body)
    except Unreachable as error:
        if not error.unsettled:
            raise
        fail(
            f"{error} The key may have been made, and then nobody has it. Look with `ticker key list`, revoke it with "
            "`ticker key revoke ID`, and make another one.",
            UNREACHABLE,
        )
    click.echo(f"Key {made['id']} for {made['name']}, {made['role']}. Store it now: it is not shown again.", err=True)
    click.echo(made["key"])


@key.command("list")
@option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@speaks_with_a_key
def list_keys(client: Client, as_json: bool) -> None:
    """List the keys that are kept."""
    keys = client.call("GET", "/v1/keys")["keys"]
    if as_json:
        click.echo(json.dumps(keys, ensure_ascii=False, indent=2))
        return
    for each in keys:
        channels = ", ".join(each["channels"]) or "all channels"
        state = f"revoked {each['revoked']}" if each["revoked"] else f"last used {each['last_used'] or 'never'}"
        click.echo(f"{each['id']}  {each['role']:<11}  {each['name']}{_of(each)}  ({channels}; {state})")


def _of(key: dict[str, Any]) -> str:
    owner = key.get("owner") or key.get("person")
    return f" of {owner}" if owner else ""


@key.command("revoke")
@click.argument("key_id", metavar="ID")
@speaks_with_a_key
def revoke_key(client: Client, key_id: str) -> None:
    """Revoke a key; it stops working at once, everywhere."""
    revoked = client.call("DELETE", f"/v1/keys/{path_part(key_id, 'ID')}")
    click.echo(f"Revoked: {revoked['name']} ({revoked['id']})", err=True)
