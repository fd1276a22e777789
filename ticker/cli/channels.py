"""`ticker channel list`: channels, by way of a node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ticker.cli.options import option, speaks_to_a_node

if TYPE_CHECKING:
    from ticker.client import Client


@click.group()
def channel() -> None:
    """Look at channels. They are declared in ticker.toml."""


@channel.command("list")
@option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@speaks_to_a_node
def list_channels(client: Client, as_json: bool) -> None:
    """List the node's channels."""
    channels = client.call("GET", "/v1/channels")["channels"]
    if as_json:
        click.echo(json.dumps(channels, ensure_ascii=False, indent=2))
        return
    for each in channels:
        click.echo(f"{each['slug']:<16}  {each['language']:<8}  {each['direction']}  {each['title']}")
