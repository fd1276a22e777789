"""What a line carries, as options, and what they make of a request. Knows a line's rules; knows no command.

Publish, correct and `draft edit` share them, so that a field has one name, one help and one check.
"""

from __future__ import annotations

import sys
from typing import Any, TypeVar

import click
import msgspec

from ticker.cli import options
from ticker.cli.options import Command, duration, option, publish_in
from ticker.errors import Misconfigured
from ticker.line import NewLine, Patch, checked

URGENCIES = click.Choice(["flash", "bulletin", "urgent", "update"])
CLEARED = frozenset({"url", "source", "story", "note", "note_to_desk"})  # what an empty value takes away

Input = TypeVar("Input", NewLine, Patch)

expires_in = option("--expires-in", metavar="DURATION", help="How long it is shown: 90s, 30m, 2h, 7d or never.")


def describes_a_line(command: Command) -> Command:
    """Options for what a line carries beside its words. What isn't given is the channel's, or stays as it is."""
    return _each(
        command,
        option("--urgency", type=URGENCIES, help="How urgent it is, from flash, the highest, to update."),
        option("--link", metavar="URL", help="A link to more about it (http or https)."),
        option("--source", metavar="TEXT", help="Where it comes from. Readers see it."),
        option(
            "--story", metavar="SLUG", help="The story that it belongs to. It ties lines together, on every channel."
        ),
        expires_in,
        option("--language", metavar="TAG", help="The language, if it isn't the channel's: en or pt-BR (BCP 47)."),
        option("--direction", type=click.Choice(["ltr", "rtl"]), help="Only if the language doesn't determine it."),
        option("--note", metavar="TEXT", help="The reason, or a remark. Readers see it."),
    )


def changes_a_line(command: Command) -> Command:
    """Those, and what else may be changed of a line that stands or waits."""
    return _each(
        command,
        describes_a_line,
        option("--pinned/--not-pinned", default=None, help="Keep it above the other lines, or no longer."),
        option("--refile", is_flag=True, help="TEXT only mends a slip: the line isn't marked as corrected."),
        options.at,
        options.within,
        options.confirm,
        options.note_to_desk,
    )


def _each(command: Command, *decorators: Any) -> Command:
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def fields(*, link: str | None = None, expires_in: str | None = None, **given: Any) -> dict[str, Any]:
    """Those that were given, as the API names them."""
    found = {name: value for name, value in {**given, "url": link}.items() if value is not None}
    if expires_in == "never":
        found["expires"] = None
    elif expires_in is not None:
        found["expires_in"] = duration(expires_in)
    return found


def change(words: str | None, refile: bool, given: dict[str, Any]) -> dict[str, Any]:
    """A merge patch of a line's fields: an empty value takes a field away. Raises Invalid."""
    body: dict[str, Any] = {} if words is None else {"text": given_words(words)}
    body |= without_the_empty(fields(**given))
    return checked_body(body | ({"refile": True} if refile else {}), Patch)


def without_the_empty(given: dict[str, Any]) -> dict[str, Any]:
    """In a merge patch, null takes a field away."""
    return {name: None if value == "" and name in CLEARED else value for name, value in given.items()}


def wishes(given: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that say how it goes out, taken out of the others and named as the API names them."""
    at, within = given.pop("at"), given.pop("within")
    if at is not None and within is not None:
        raise click.UsageError("--at and --in both say when. Give only one of them.")
    named = {name: given.pop(name, None) for name in ("confirm", "on_brake", "note_to_desk")}
    found = {name: list(value) if name == "confirm" else value for name, value in named.items() if value}
    if at is not None:
        found["publish_at"] = at
    if within is not None:
        found["publish_in"] = publish_in(within)
    return found


def checked_body(body: dict[str, Any], kind: type[Input]) -> dict[str, Any]:
    """The body, which fits a line's rules. Raises Invalid: what the node would refuse isn't sent."""
    checked(msgspec.convert(body, kind))
    return body


def given_words(words: str) -> str:
    if words != "-":
        return words
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Misconfigured(
            f"Standard input is not UTF-8: {error.reason} at byte {error.start}. Convert it first. Nothing was sent."
        ) from error
