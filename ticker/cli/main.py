"""`ticker`: which commands there are. Each is loaded when it is called, or named in a list."""

from __future__ import annotations

from importlib import import_module

import click

from ticker import __version__

COMMANDS = {
    "serve": "node:serve",
    "check": "node:check",
    "publish": "lines:publish",
    "correct": "lines:correct",
    "withhold": "lines:withhold",
    "release": "lines:release",
    "cancel": "lines:cancel",
    "list": "lines:list_lines",
    "show": "lines:show",
    "draft": "drafts:draft",
    "lock": "locks:lock",
    "unlock": "locks:unlock",
    "tail": "lines:tail",
    "key": "keys:key",
    "person": "people:person",
    "channel": "channels:channel",
}
"""Each command, and where it is: a module of this package, and its name there."""


class LazyGroup(click.Group):
    """Commands that are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (place := COMMANDS.get(cmd_name)) is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(import_module(f"ticker.cli.{module}"), name)
        return command


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "auto_envvar_prefix": "TICKER"},
)
@click.version_option(__version__, prog_name="ticker", allow_from_autoenv=False)  # an image may keep its version there
def main() -> None:
    """A breaking-news live ticker that a newsroom runs itself.

    Start a node with `ticker serve`; publish with `ticker publish -c CHANNEL "text"`. Each option can
    also be set in the environment, as TICKER_… (--url is TICKER_URL).

    \b
    Exit status: 0 done, 1 the node refused, 2 wrong usage or configuration,
    3 the node can't be reached.
    """
