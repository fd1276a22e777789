"""What a line is: its fields, its limits, its life cycle. Pure: no clock, no input or output.

    usable ──withhold──▶ withheld ──reinstate──▶ usable
       └────────cancel──────┴──▶ canceled          for good: nothing leads out of it

Rule 1: a withheld or canceled line goes out without its words (`public`).
Rule 2: every change makes a new version; a change that changes nothing makes none.
Rule 3: times come from the newswire's clock, by way of the event's cursor.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, Self, TypeVar, assert_never

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict, replace

from ticker import text as rules
from ticker.channel import Channel, Direction, direction_of
from ticker.errors import Conflict, FieldError, Invalid, Malformed, Stale
from ticker.identity import Actor
from ticker.link import link

Urgency = Literal["flash", "bulletin", "urgent", "update"]
Status = Literal["usable", "withheld", "canceled"]

IF_MATCH_MAX = 4_096  # characters; a tag has some 20
# Apache, Caddy and lighttpd write "…-gzip", Jetty "…--gzip", some ";gzip"; Apache 2.2 writes it after the quote.
_ENCODING = r"(?i:(?:--?|;)(?:gzip|x-gzip|br|zstd|deflate|compress)){0,2}"
_BY_A_PROXY = re.compile(rf'(?:W/)?"(?P<version>[0-9]{{1,15}}-[0-9]{{1,15}}){_ENCODING}"{_ENCODING}')

EXPIRES_IN_MAX = 10 * 365 * 86_400  # seconds; for anything longer, use `null`: never


class Cursor(NamedTuple):
    """Names an event of a channel: milliseconds of the newswire's clock, and a counter.

    Opaque outside the newswire: compare for equality only.
    """

    ms: int
    n: int

    def __str__(self) -> str:
        return f"{self.ms}-{self.n}"

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.ms // 1000, UTC).replace(microsecond=self.ms % 1000 * 1000)

    @classmethod
    def parse(cls, value: str, what: str = "a cursor") -> Self:
        """Raises Malformed if `value` isn't `MS-N` in its one spelling: no sign, no leading zero."""
        ms, dash, n = value.partition("-")
        if not (dash and _is_number(ms) and _is_number(n)):
            raise Malformed(f"{rules.shown(value)!r} is not {what}, which looks like 1763892000000-0.")
        return cls(int(ms), int(n))

    @classmethod
    def of_line(cls, line_id: str) -> Self:
        """The cursor that a line's id is. Raises Malformed."""
        return cls.parse(line_id, "the id of a line")


def _is_number(digits: str) -> bool:
    """Whether it is a number as we write it, so that two different strings never name one event."""
    return digits.isascii() and digits.isdigit() and len(digits) <= 15 and (digits == "0" or digits[0] != "0")


class Line(Struct, frozen=True, kw_only=True):
    """One breaking item, as kept. Field names follow IPTC ninjs if it has one."""

    id: str
    channel: str
    text: str | UnsetType
    urgency: Urgency
    status: Status
    version: int
    published: datetime
    updated: datetime
    corrected: datetime | None
    """When its words last changed; None for words that stand as first published."""
    expires: datetime | None
    pinned: bool
    url: str | UnsetType | None
    source: str | UnsetType | None
    story: str | None
    note: str | None
    language: str
    direction: Direction

    @property
    def etag(self) -> str:
        """The version's entity tag (RFC 9110, 8.8.3), quotes included."""
        return f'"{self.version}-{int(self.updated.timestamp() * 1000)}"'

    def public(self, tombstones_for: int) -> Line:
        """The line as the public may see it while it is the line's last version. A tombstone has no words, and
        expires as a tombstone does: `tombstones_for` seconds after it became one."""
        match self.status:
            case "usable":
                return self
            case "withheld" | "canceled":
                gone = self.updated + timedelta(seconds=tombstones_for)
                return replace(self.wordless(), expires=gone)
            case _:
                assert_never(self.status)

    def public_since(self, tombstones_for: int, status: Status) -> Line:
        """The line as the public may see it when its status is `status` by now. What a withdrawn line said
        before is gone with all its notes; the note that says why it was withdrawn stays."""
        line = self.public(tombstones_for)
        if status == "usable" or status == self.status:
            return line
        return replace(line.wordless(), note=None, story=None if status == "canceled" else line.story)

    def wordless(self) -> Line:
        """The line without what it said: no text, link or source. A canceled one belongs to no story either."""
        return replace(
            self, text=UNSET, url=UNSET, source=UNSET, story=None if self.status == "canceled" else self.story
        )


class Approval(Struct, frozen=True, kw_only=True):
    """That a second person agreed to a change before it was made. For editors, never for the public."""

    by: Actor
    at: datetime
    sources: str | None = None
    """What it was checked against, in the approver's words."""
    checked_by: str | None = None
    """Who checked it, in the approver's words."""


class Act(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who changed a line, and by which way. For editors, never for the public."""

    by: Actor
    refile: bool = False
    """Whether new words were a slip mended, not a correction."""
    draft: str | None = None
    """The id of the draft that was released, if it was one."""
    approval: Approval | None = None
    confirmed: tuple[str, ...] = ()
    """The warnings that were passed over, by name."""
    writers: tuple[Actor, ...] = ()
    """Who else had a hand in the draft, but for the one who made it (`by`)."""
    released_by: Actor | None = None
    """Who gave the draft its time: approved, scheduled or published it."""
    confirmed_by: dict[str, Actor] = {}
    """Who passed over which warning of the draft."""


class Event(Struct, frozen=True, kw_only=True):
    """One change to one line. `line` is whole, as the change left it; `prev` is the channel's event before."""

    channel: str
    cursor: str
    prev: str | None
    line: Line
    act: Act


class NewLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an editor sends to publish. A misspelt field is refused; if it were ignored, the editor's intention would be
    lost."""

    text: str
    urgency: Urgency = "urgent"
    url: str | None = None
    source: str | None = None
    story: str | None = None
    note: str | None = None
    pinned: bool = False
    language: str | UnsetType = UNSET
    direction: Direction | UnsetType = UNSET
    expires: datetime | UnsetType | None = UNSET
    expires_in: int | UnsetType = UNSET


class Patch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an editor sends to change a line (JSON merge patch, RFC 7396)."""

    text: str | UnsetType = UNSET
    urgency: Urgency | UnsetType = UNSET
    url: str | UnsetType | None = UNSET
    source: str | UnsetType | None = UNSET
    story: str | UnsetType | None = UNSET
    note: str | UnsetType | None = UNSET
    pinned: bool | UnsetType = UNSET
    language: str | UnsetType = UNSET
    direction: Direction | UnsetType = UNSET
    expires: datetime | UnsetType | None = UNSET
    expires_in: int | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    refile: bool = False
    """Whether new words mend a slip of the pen: the line isn't marked as corrected then."""


_RULES: Final[dict[str, Callable[[str], str]]] = {
    "text": lambda value: rules.one_line(value, rules.TEXT_MAX),
    "source": lambda value: rules.one_line(value, rules.SOURCE_MAX),
    "note": lambda value: rules.one_line(value, rules.NOTE_MAX),
    "url": link,
    "story": rules.slug,
    "language": rules.language_tag,
}

Input = TypeVar("Input", NewLine, Patch)


def checked(given: Input) -> Input:
    """The given fields, normalised as they will be published. Raises Invalid, which names every field at fault."""
    errors: list[FieldError] = []
    clean: dict[str, str] = {}
    for name, rule in _RULES.items():
        value = getattr(given, name)
        if isinstance(value, str):
            try:
                clean[name] = rule(value)
            except ValueError as broken:
                errors.append(FieldError(name, str(broken)))
    if isinstance(given.expires, datetime):
        if given.expires.tzinfo is None:
            errors.append(
                FieldError("expires", "The time has no offset. Write it as in 2026-05-04T16:30:00Z (RFC 3339).")
            )
        elif not 2 <= given.expires.year <= 9998:  # in UTC it may be in a year that no calendar has
            errors.append(
                FieldError("expires", "This time is too far in the future. For a line that never expires, send null.")
            )
    if given.expires_in is not UNSET:
        if given.expires is not UNSET:
            errors.append(FieldError("expires_in", "Give either expires or expires_in, not both."))
        if not 1 <= given.expires_in <= EXPIRES_IN_MAX:
            errors.append(FieldError("expires_in", f"It is a number of seconds from 1 to {EXPIRES_IN_MAX}."))
    if errors:
        raise Invalid(*errors)
    return replace(given, **clean)


def withholds(line: Line, patch: Patch) -> bool:
    """Whether it takes the line off the air and does nothing else. Nothing holds up such a change. Another note of a
    line that is withheld already does not: it is words."""
    return line.status == "usable" and patch == Patch(status="withheld", note=patch.note)


def begin(new_line: NewLine, channel: Channel, cursor: Cursor) -> Line:
    """A new line, from checked words. Raises Invalid if it would expire before it is published."""
    now = cursor.time
    expires = _expiry(new_line, now)
    if expires is UNSET:
        expires = None if channel.expires_in is None else now + timedelta(seconds=channel.expires_in)
    if expires is not None and expires <= now:
        raise Invalid(
            FieldError("expires", f"This time is in the past: by the newswire's clock it is {now:%Y-%m-%dT%H:%M:%SZ}.")
        )
    language = channel.language if new_line.language is UNSET else new_line.language
    direction = channel.direction if new_line.language is UNSET else direction_of(language)
    return Line(
        id=str(cursor),
        channel=channel.slug,
        text=new_line.text,
        urgency=new_line.urgency,
        status="usable",
        version=1,
        published=now,
        updated=now,
        corrected=None,
        expires=expires,
        pinned=new_line.pinned,
        url=new_line.url,
        source=new_line.source,
        story=new_line.story,
        note=new_line.note,
        language=language,
        direction=direction if new_line.direction is UNSET else new_line.direction,
    )


def amend(line: Line, patch: Patch, cursor: Cursor) -> Line:
    """The line after a checked patch; the same object if the patch changes nothing.

    The note gives the reason of the last change of words or status: such a change without a note clears it. Words
    that mend a slip (`refile`) leave it, and leave the mark of the last correction.
    Raises Conflict if the life cycle doesn't allow it.
    """
    now = cursor.time
    if line.status == "canceled":
        if patch.status == "canceled" and patch.note in (UNSET, line.note):
            return line
        raise Conflict("This line was canceled, for good. Publish a new one.")
    changes: dict[str, Any] = {
        name: value
        for name, value in asdict(patch).items()
        if value is not UNSET and name not in ("expires", "expires_in", "refile") and value != getattr(line, name)
    }
    if (expires := _expiry(patch, now)) is not UNSET and expires != line.expires:
        changes["expires"] = expires
    if "language" in changes and patch.direction is UNSET:
        changes["direction"] = direction_of(changes["language"])
    if not changes:
        return line
    is_correction = "text" in changes and not patch.refile
    if is_correction:
        changes["corrected"] = now
    if (is_correction or "status" in changes) and patch.note is UNSET:
        changes["note"] = None
    after = replace(line, **changes, version=line.version + 1, updated=now)
    if line.status == "withheld" and after.status == "usable" and after.expires is not None and after.expires <= now:
        raise Conflict("This line has expired while it was held. Release it with expires_in or expires.")
    return after


def expect(line: Line, if_match: str | None) -> None:
    """Raises Stale where `if_match` (If-Match, RFC 9110, 13.1.1) names other versions than this one.

    Proxies that compress answers weaken tags, or write the encoding behind them. A tag of ours names the version
    itself, so that with either it is the same version.
    """
    if if_match is None or if_match.strip() == "*":
        return
    if len(if_match) > IF_MATCH_MAX:
        raise Malformed(f"If-Match has more than {IF_MATCH_MAX} characters. Send the version that you have seen.")
    tags = (_BY_A_PROXY.fullmatch(tag.strip()) for tag in if_match.split(","))
    if line.etag[1:-1] not in {tag["version"] for tag in tags if tag}:
        raise Stale(f"The line is at version {line.version} now. Read it again before you change it.")


def _expiry(given: NewLine | Patch, now: datetime) -> datetime | UnsetType | None:
    if given.expires_in is not UNSET:
        return now + timedelta(seconds=given.expires_in)
    if isinstance(given.expires, datetime):
        return given.expires.astimezone(UTC)
    return given.expires
