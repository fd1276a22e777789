"""What an operator can set, and `ticker.toml`. Knows the shape of the settings; knows nothing that uses them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct

from ticker import text
from ticker.channel import (
    APPROVABLE,
    DAY,
    HOLD,
    MARKERS,
    STEP_UPS,
    URGENCIES,
    Brake,
    Channel,
    Direction,
    StepUpAct,
    direction_of,
    label_for,
)
from ticker.errors import Misconfigured

ADMIN_KEY_MIN = 32  # characters; 32 of base64 hold 192 bits
MAX_LINES_MAX = 100  # a board is sent whole to every newcomer
DURATION_MAX = 10 * 365 * 86_400  # seconds; as for a line's own expires_in
HOLD_MAX = 60  # seconds; a line that waits longer is scheduled, not held
BRAKE_MAX = 10_000  # lines
MARKERS_MAX = 50  # each is looked for in every line
DEFAULT_CHANNEL = "breaking"

T = TypeVar("T")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_NO_ZONE = '{}: timezone is {}, which is not in the IANA time zone database. Write it as timezone = "Europe/Madrid".'
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")


class Settings(Struct, frozen=True, kw_only=True):
    """One node's settings. `public_url` is where readers and editors find it, without a slash at the end."""

    channels: dict[str, Channel]
    timezone: ZoneInfo = ZoneInfo("UTC")
    """The newsroom's, in which times are shown to editors."""
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


def duration(value: str, *, least: int = 1) -> int:
    """Seconds, at least `least`, from `90s`, `30m`, `2h` or `7d`. Raises ValueError."""
    written = value.strip()
    match = _DURATION.fullmatch(written)
    if not match:
        wrong = "is negative" if _DURATION.fullmatch(written.removeprefix("-")) else "is not a duration"
        raise ValueError(f"{_shown(value)} {wrong}. Write it as 90s, 30m, 2h or 7d.")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds < least:
        raise ValueError(f"{_shown(value)} is too short; {least}s is the minimum.")
    if seconds > DURATION_MAX:
        raise ValueError(f"{_shown(value)} is too long; {DURATION_MAX // 86_400}d is the maximum.")
    return seconds


def read_channels(path: Path | None) -> dict[str, Channel]:
    """The channels that a `ticker.toml` declares. Raises Misconfigured."""
    return read_file(path).channels


class Declared(NamedTuple):
    """What a `ticker.toml` declares."""

    channels: dict[str, Channel]
    timezone: ZoneInfo


def read_file(path: Path | None) -> Declared:
    """What a `ticker.toml` declares; with no file, one channel: `breaking`. Raises Misconfigured."""
    if path is None:
        return Declared({DEFAULT_CHANNEL: _channel(DEFAULT_CHANNEL, {})}, ZoneInfo("UTC"))
    try:
        declared = tomllib.loads(path.read_text("utf-8-sig"))  # Windows editors put a byte order mark first
    except OSError as error:
        raise Misconfigured(f"{path} can't be read: {error.strerror}.") from error
    except ValueError as error:  # TOML's, UTF-8's, and that of a number with thousands of digits
        raise Misconfigured(f"{path} is not TOML: {text.shown(str(error))}.") from error
    except RecursionError as error:
        raise Misconfigured(f"{path} is nested too deep. A channel is a flat table.") from error
    tables = declared.pop("channels", {})
    timezone = _timezone(path, declared.pop("timezone", "UTC"))
    if declared:
        raise Misconfigured(f"{path}: {_names(declared)} is unknown. The file has timezone and [channels.…] tables.")
    if not isinstance(tables, dict) or not tables or not all(isinstance(table, dict) for table in tables.values()):
        raise Misconfigured(f"{path} declares no channel. Write [channels.en] with title and language below it.")
    channels = {}
    for slug, table in tables.items():
        try:
            channels[slug] = _channel(slug, dict(table))
        except ValueError as error:
            raise Misconfigured(f"{path}, [channels.{slug}]: {error}") from error
    return Declared(channels, timezone)


def _timezone(path: Path, name: object) -> ZoneInfo:
    try:
        return ZoneInfo(name if isinstance(name, str) else "")
    except (ValueError, OSError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise Misconfigured(_NO_ZONE.format(path, _shown(name))) from error


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
        approve=_named("approve", _approvable, table.pop("approve", [])),
        step_up=_named("step_up", _step_up, table.pop("step_up", [])),
        hold=_named("hold", _hold, table.pop("hold", {})),
        late_after=_named("late_after", duration, _string(table, "late_after", "15m")),
        flash_brake=_named("flash_brake", _brake, _string(table, "flash_brake", "off")),
        burst_brake=_named("burst_brake", _brake, _string(table, "burst_brake", "off")),
        markers=_named("markers", _markers, table.pop("markers", list(MARKERS))),
        repeat_canceled=_boolean(table, "repeat_canceled", default=False),
    )
    if table:
        raise ValueError(
            f"{_names(table)} is unknown. A channel has title, language, direction, label, max_lines, expires_in, "
            "tombstones, history, approve, step_up, hold, late_after, flash_brake, burst_brake, markers and "
            "repeat_canceled."
        )
    return channel


def _approvable(given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(each in APPROVABLE for each in given):
        raise ValueError(f'{_shown(given)} is not a list of {", ".join(APPROVABLE)}. Write it as ["flash", "cancel"].')
    return tuple(dict.fromkeys(given))


def _step_up(given: object) -> tuple[StepUpAct, ...]:
    if not isinstance(given, list) or not all(each in STEP_UPS for each in given):
        raise ValueError(f'{_shown(given)} is not a list of {", ".join(STEP_UPS)}. Write it as ["flash", "cancel"].')
    return tuple(dict.fromkeys(given))


def _hold(given: object) -> dict[str, int]:
    """By urgency, in seconds. One duration is for all."""
    try:
        if isinstance(given, str):
            return dict.fromkeys(URGENCIES, _hold_of(given))
        if isinstance(given, dict) and given.keys() <= set(URGENCIES):
            return {**HOLD, **{urgency: _hold_of(value) for urgency, value in given.items()}}
    except (TypeError, AttributeError):  # one of them is not words
        pass
    raise ValueError(f'{_shown(given)} is not a hold. Write it as "3s" or {{ flash = "5s", update = "0s" }}.')


def _hold_of(value: str) -> int:
    seconds = duration(value, least=0)
    if seconds > HOLD_MAX:
        raise ValueError(f"{_shown(value)} is too long; {HOLD_MAX}s is the maximum.")
    return seconds


def _brake(value: str) -> Brake | None:
    if value == "off":
        return None
    count, of, span = value.partition(" in ")
    if not of or not count.isascii() or not count.isdigit() or not 1 <= int(count) <= BRAKE_MAX:
        raise ValueError(f'{_shown(value)} is not a limit. Write it as "3 in 10m", or "off".')
    seconds = duration(span)
    if seconds > DAY:
        raise ValueError(f"{_shown(value)} looks back too far; 24h is the maximum.")
    return Brake(int(count), seconds)


def _markers(given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or len(given) > MARKERS_MAX or not all(isinstance(each, str) for each in given):
        raise ValueError(f'{_shown(given)} is not a list of at most {MARKERS_MAX} texts. Write it as ["TK TK", "XXX"].')
    return tuple(_words(each) for each in given)


def _names(table: dict[str, Any]) -> str:
    return ", ".join(text.shown(name) for name in sorted(table)[:10])


def _shown(value: object) -> str:
    return text.shown(repr(value))


def _words(value: str) -> str:
    return text.one_line(value, text.SOURCE_MAX)


def _named(name: str, rule: Callable[[Any], T], value: Any) -> T:
    """What the rule makes of the value; its complaint with the field's name."""
    try:
        return rule(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _boolean(table: dict[str, Any], name: str, *, default: bool) -> bool:
    value = table.pop(name, default)
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {_shown(value)}; it is true or false, without quotes.")
    return value


def _string(table: dict[str, Any], name: str, default: str) -> str:
    value = table.pop(name, default)
    if not isinstance(value, str):
        raise ValueError(f'{name} is {_shown(value)}; write it in quotes, as in {name} = "{default}".')
    return value
