"""What an operator can set, and `ticker.toml`. Knows the shape of the settings; knows nothing that uses them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from ticker import text
from ticker.channel import Channel, Direction, direction_of, label_for
from ticker.errors import Misconfigured

ADMIN_KEY_MIN = 32  # characters; 32 of base64 hold 192 bits
MAX_LINES_MAX = 100  # a board is sent whole to every newcomer
DURATION_MAX = 10 * 365 * 86_400  # seconds; as for a line's own expires_in
DEFAULT_CHANNEL = "breaking"

T = TypeVar("T")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")


class Settings(Struct, frozen=True, kw_only=True):
    """One node's settings. `public_url` is where readers and editors find it, without a slash at the end."""

    channels: dict[str, Channel]
    newswire: str = "sqlite:///ticker.db"
    node: str = "node"
    """This node's name, as the others and the newswire's operators see it."""
    public_url: str
    admin_key: str | None = None
    connection_age: int | None = None
    """Seconds after which a reader is sent elsewhere, on average; None: it may stay."""
    keep_alive: float = 20.0
    """Seconds that a connection may be idle between two requests. A proxy that keeps connections gives up earlier."""
    io_uring: bool = True
    """Whether lines may go out by io_uring, where the kernel has it."""
    log_addresses: bool = False
    """Whether the log of security events names the address that each came from."""
    print_key: bool = False
    """Whether keys may be printed where standard output is no terminal."""


def duration(value: str) -> int:
    """Seconds, from `90s`, `30m`, `2h` or `7d`. Raises ValueError."""
    match = _DURATION.fullmatch(value.strip())
    if not match or int(match[1]) == 0:
        raise ValueError(f"{_shown(value)} is not a duration. Write it as 90s, 30m, 2h or 7d.")
    if (seconds := int(match[1]) * _UNITS[match[2]]) > DURATION_MAX:
        raise ValueError(f"{_shown(value)} is too long; {DURATION_MAX // 86_400}d is the maximum.")
    return seconds


def read_channels(path: Path | None) -> dict[str, Channel]:
    """The channels that a `ticker.toml` declares; with no file, one: `breaking`. Raises Misconfigured."""
    if path is None:
        return {DEFAULT_CHANNEL: _channel(DEFAULT_CHANNEL, {})}
    try:
        declared = tomllib.loads(path.read_text("utf-8-sig"))  # Windows editors put a byte order mark first
    except OSError as error:
        raise Misconfigured(f"{path} can't be read: {error.strerror}.") from error
    except ValueError as error:  # TOML's, UTF-8's, and that of a number with thousands of digits
        raise Misconfigured(f"{path} is not TOML: {text.shown(str(error))}.") from error
    except RecursionError as error:
        raise Misconfigured(f"{path} is nested too deep. A channel is a flat table.") from error
    tables = declared.pop("channels", {})
    if declared:
        raise Misconfigured(f"{path}: {_names(declared)} is unknown. The file has only [channels.…] tables.")
    if not isinstance(tables, dict) or not tables or not all(isinstance(table, dict) for table in tables.values()):
        raise Misconfigured(f"{path} declares no channel. Write [channels.en] with title and language below it.")
    channels = {}
    for slug, table in tables.items():
        try:
            channels[slug] = _channel(slug, dict(table))
        except ValueError as error:
            raise Misconfigured(f"{path}, [channels.{slug}]: {error}") from error
    return channels


def _channel(slug: str, table: dict[str, Any]) -> Channel:
    """Raises ValueError with one sentence."""
    text.slug(slug)
    language = text.language_tag(_string(table, "language", "en"))
    direction = _string(table, "direction", direction_of(language))
    if direction not in ("ltr", "rtl"):
        raise ValueError(f"direction is {_shown(direction)}; it is ltr or rtl.")
    direction_typed: Direction = "rtl" if direction == "rtl" else "ltr"
    max_lines = table.pop("max_lines", 10)
    if type(max_lines) is not int or not 1 <= max_lines <= MAX_LINES_MAX:
        raise ValueError(f"max_lines is {_shown(max_lines)}; it is a number from 1 to {MAX_LINES_MAX}.")
    expires_in = _string(table, "expires_in", "2h")
    channel = Channel(
        slug=slug,
        title=_named("title", _words, _string(table, "title", slug.capitalize())),
        language=language,
        direction=direction_typed,
        label=_named("label", _words, _string(table, "label", label_for(language))),
        max_lines=max_lines,
        expires_in=None if expires_in == "never" else _named("expires_in", duration, expires_in),
        tombstones_for=_named("tombstones", duration, _string(table, "tombstones", "24h")),
        history_for=_named("history", duration, _string(table, "history", "90d")),
    )
    if table:
        raise ValueError(
            f"{_names(table)} is unknown. A channel has title, language, direction, label, "
            "max_lines, expires_in, tombstones and history."
        )
    return channel


def _names(table: dict[str, Any]) -> str:
    return ", ".join(text.shown(name) for name in sorted(table)[:10])


def _shown(value: object) -> str:
    return text.shown(repr(value))


def _words(value: str) -> str:
    return text.one_line(value, text.SOURCE_MAX)


def _named(name: str, rule: Callable[[str], T], value: str) -> T:
    """What the rule makes of the value; its complaint with the field's name."""
    try:
        return rule(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _string(table: dict[str, Any], name: str, default: str) -> str:
    value = table.pop(name, default)
    if not isinstance(value, str):
        raise ValueError(f'{name} is {_shown(value)}; write it in quotes, as in {name} = "{default}".')
    return value
