"""What a node's commands find where they are called: variables, the usual file, the machine's name."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import click

from ticker.cli.main import main
from ticker.cli.options import Option
from ticker.errors import Misconfigured
from ticker.identity import TOKEN_MAX
from ticker.settings import ADMIN_KEY_MIN

OURS = frozenset({"TICKER_ADMIN_KEY"})  # variables that are no option's


def config_file(given: Path | None) -> Path | None:
    usual = Path("ticker.toml")
    return given or (usual if usual.exists() else None)


def node_name() -> str:
    """Which machine and process: what an operator looks for in CLIENT LIST."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
    return f"{host}-{os.getpid()}"


def admin_key() -> str | None:
    value = os.environ.get("TICKER_ADMIN_KEY", "").strip() or None  # a header can't end in white space
    if value is not None and len(value) < ADMIN_KEY_MIN:
        raise Misconfigured(
            f"TICKER_ADMIN_KEY has {len(value)} characters; it needs at least {ADMIN_KEY_MIN}. "
            "`openssl rand -base64 32` makes a good one."
        )
    if value is not None and not (value.isascii() and value.isprintable() and len(value) <= TOKEN_MAX):
        raise Misconfigured(
            f"TICKER_ADMIN_KEY must be at most {TOKEN_MAX} printable ASCII characters, because nothing else can be "
            "sent as a key. `openssl rand -base64 32` makes a good one."
        )
    return value


def unknown_variables() -> list[str]:
    """Variables that look like options of Ticker but are none: a misspelt one would have no effect, and nobody would
    notice."""
    known = OURS | set(_variables(main, click.Context(main, info_name="ticker", auto_envvar_prefix="TICKER")))
    return sorted(name for name in os.environ if name.startswith("TICKER_") and name not in known)


def _variables(command: click.Command, context: click.Context) -> Iterator[str]:
    for option in command.params:
        if isinstance(option, Option) and (named := option.variable(context)):
            yield named
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if child := command.get_command(context, name):
                yield from _variables(child, click.Context(child, info_name=name, parent=context))
