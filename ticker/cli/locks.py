"""`ticker lock` and `unlock`: stop everything but withholding, by way of a node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ticker import terminal
from ticker.cli.options import REFUSED, fail, option, speaks_with_a_key

if TYPE_CHECKING:
    from ticker.client import Client

channels = option(
    "-c",
    "--channel",
    "channels",
    allow_from_autoenv=False,  # a variable of the shell must not make a lock smaller than it looks
    multiple=True,
    metavar="SLUG",
    help="Only this channel. May be repeated.  [default: all channels; no variable sets it]",
)
as_json = option("--json", "as_json", is_flag=True, help="Print the locks as JSON.")


@click.command()
@channels
@option("--reason", metavar="TEXT", help="Why. The other editors read it.")
@option("--show", is_flag=True, help="Lock nothing: print which channels are locked.")
@as_json
@speaks_with_a_key
def lock(client: Client, channels: tuple[str, ...], reason: str | None, show: bool, as_json: bool) -> None:
    """Lock the desk: nothing goes out until `ticker unlock`. Lines can still be withheld.

    Needs a chief's or an admin's key. Prints what is locked then.
    """
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
    """Unlock the desk. The person who locked it can't, unless they are an admin.

    Needs a chief's or an admin's key. Prints what is still locked.
    """
    from ticker.client import Unreachable

    try:
        answer = client.call("DELETE", "/v1/lock", _named(channels), again=False)
    except Unreachable as error:  # sent again, it would undo a lock that somebody has put on meanwhile
        if not error.unsettled:
            raise
        answer = client.call("GET", "/v1/lock")
        if left := [each for each in answer["locks"] if not channels or each["channel"] in channels]:
            fail(
                f"The answer to the unlocking was lost, and this is locked now: {terminal.locks(left, '; ')}. If it "
                "should be unlocked all the same, run the command again.",
                REFUSED,
            )
    _print(answer, as_json)


def _named(channels: tuple[str, ...]) -> dict[str, Any]:
    return {"channels": list(channels)} if channels else {}


def _print(answer: dict[str, Any], as_json: bool) -> None:
    click.echo(json.dumps(answer, ensure_ascii=False) if as_json else terminal.locks(answer["locks"]))
