"""`ticker lock` and `unlock`: stop everything but withholding, by way of a node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ticker import terminal
from ticker.cli.options import option, speaks_with_a_key

if TYPE_CHECKING:
    from ticker.client import Client

channels = option(
    "-c",
    "--channel",
    "channels",
    allow_from_autoenv=False,  # a variable of the shell must not make a lock smaller than it looks
    multiple=True,
    help="A channel; may be repeated. No variable sets it.  [default: all channels]",
)
as_json = option("--json", "as_json", is_flag=True, help="Print the locks as JSON.")


@click.command()
@channels
@option("--reason", help="Why, for the other editors.")
@option("--show", is_flag=True, help="Lock nothing: print which channels are locked.")
@as_json
@speaks_with_a_key
def lock(client: Client, channels: tuple[str, ...], reason: str | None, show: bool, as_json: bool) -> None:
    """Lock the desk: nothing goes out until it is unlocked, but lines can be withheld. Needs a chief's key."""
    if show == (reason is not None):
        raise click.UsageError(
            'Give either --reason or --show, as in: ticker lock --reason "An account was taken over"'
        )
    if show:
        _print(client.call("GET", "/v1/lock"), as_json)
    else:
        _print(client.call("PUT", "/v1/lock", {"reason": reason, **_named(channels)}), as_json)


@click.command()
@channels
@as_json
@speaks_with_a_key
def unlock(client: Client, channels: tuple[str, ...], as_json: bool) -> None:
    """Unlock the desk. Another person than the one who locked it must do so, or an admin."""
    _print(client.call("DELETE", "/v1/lock", _named(channels)), as_json)


def _named(channels: tuple[str, ...]) -> dict[str, Any]:
    return {"channels": list(channels)} if channels else {}


def _print(answer: dict[str, Any], as_json: bool) -> None:
    click.echo(json.dumps(answer, ensure_ascii=False) if as_json else terminal.locks(answer["locks"]))
