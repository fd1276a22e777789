"""Everything that can go wrong on purpose, as one tree. Knows no HTTP but the answer each error deserves.

TickerError                     500
├── Refused                     422  the request is understood and can't be done as it stands
│   ├── Invalid                 422  fields that break a rule; each named in `errors`
│   └── KeyReused               422  an Idempotency-Key came back with another body
├── Malformed                   400  not JSON, not UTF-8, not a cursor
├── Unauthorized                401  no key, or one that doesn't hold
├── Forbidden                   403  a key that holds, but not for this
│   └── StepUp                  403  a passkey must be touched first
├── NotFound                    404  no such channel, line or page
├── Conflict                    409  the life cycle of the line or the draft doesn't allow it
├── Braked                      409  a warning that must be confirmed by its name first
├── OtherSession                409  the page believes that somebody else is signed in
├── Gone                        410  older than the history kept
├── Stale                       412  If-Match names a version that has passed
├── TooLarge                    413
├── UnsupportedType             415
├── Locked                      423  the desk is locked
├── TooManyAttempts             429  too many wrong keys or sign-ins; a right one is still taken
├── Busy                        503  too many come at once; come back in a moment
├── NewswireUnavailable         503  nothing was kept; try again
│   └── NewswireFull            507  the disk is full; nothing was kept
└── Misconfigured                –   said at start, in one sentence; exit 2
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from msgspec import Struct


class FieldError(Struct, frozen=True):
    """One broken rule: the field's name and what to do about it."""

    field: str
    detail: str


class TickerError(Exception):
    """The root. `detail` is one sentence for a person and says what to do next."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something broke on our side"
    slug: ClassVar[str] = "internal"
    retry_after: int | None = None
    """Seconds for `Retry-After`, where trying again makes sense."""
    members: Mapping[str, object] = {}
    """What the answer's body holds beside `detail` (RFC 9457, 3.2)."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Refused(TickerError):
    status = 422
    title = "Refused"
    slug = "refused"


class Invalid(Refused):
    """Fields that break a rule. All of them at once, so that an editor can correct them together."""

    title = "Not valid"
    slug = "invalid"

    def __init__(self, *errors: FieldError, detail: str | None = None) -> None:
        super().__init__(detail or " ".join(e.detail for e in errors))
        self.errors = errors


class KeyReused(Refused):
    title = "Idempotency-Key used for something else"
    slug = "idempotency-key-reused"


class Malformed(TickerError):
    status = 400
    title = "Malformed request"
    slug = "malformed"


class Unauthorized(TickerError):
    status = 401
    title = "A key is needed"
    slug = "unauthorized"


class Forbidden(TickerError):
    status = 403
    title = "This key does not reach that far"
    slug = "forbidden"


class StepUp(Forbidden):
    """What a session alone may not do: a passkey must be touched first. `act` says for what; `person`: who can touch
    theirs at /desk/touch; None if nobody can in this session."""

    title = "A passkey's touch is needed"
    slug = "step-up"

    def __init__(self, act: str, detail: str, person: str | None) -> None:
        super().__init__(detail)
        self.act = act
        self.person = person
        self.members = {"act": act, "person": person}

    def but(self, done: str) -> StepUp:
        """The same, when something was done all the same."""
        return StepUp(self.act, f"{done} {self.detail}", self.person)


class NotFound(TickerError):
    status = 404
    title = "Not found"
    slug = "not-found"


class Conflict(TickerError):
    status = 409
    title = "It can't be changed so"
    slug = "conflict"


class Braked(TickerError):
    """Warnings that block: each can be confirmed by its name. Nothing was published."""

    status = 409
    title = "Look again before this goes out"
    slug = "braked"

    def __init__(self, why: str, advice: str, warnings: object) -> None:
        super().__init__(f"{why} {advice}")
        self.why = why
        self._advice = advice
        self.members = {"warnings": warnings}

    def but(self, done: str) -> Braked:
        """The same, when something was done all the same."""
        return Braked(f"{done} {self.why}", self._advice, self.members["warnings"])


class OtherSession(TickerError):
    """A page's change, meant to be made by one person, came with another's session. Nothing was changed."""

    status = 409
    title = "Somebody else is signed in"
    slug = "other-session"

    def __init__(self, detail: str, signed_in: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.members = {"signed_in": signed_in}


class Gone(TickerError):
    status = 410
    title = "Older than the history kept"
    slug = "gone"


class Stale(TickerError):
    status = 412
    title = "The line has changed meanwhile"
    slug = "stale"


class TooLarge(TickerError):
    status = 413
    title = "Too large"
    slug = "too-large"


class UnsupportedType(TickerError):
    status = 415
    title = "Unsupported media type"
    slug = "unsupported-media-type"


class Locked(TickerError):
    """A chief has locked the desk, all channels or this one."""

    status = 423
    title = "The desk is locked"
    slug = "locked"

    def __init__(self, channel: str, reason: str, by: str) -> None:
        super().__init__(
            f"{by} has locked the channel {channel}: {reason!r}. Nothing goes out until it is unlocked; "
            "withholding works as always."
        )
        self.members = {"lock": {"channel": channel, "reason": reason, "by": by}}


class TooManyAttempts(TickerError):
    """A wrong key or sign-in, while the brake on guessing is on."""

    status = 429
    title = "Too many wrong attempts"
    slug = "too-many-attempts"

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Busy(TickerError):
    """Too many readers come at once, or are here."""

    status = 503
    title = "Too many readers at once"
    slug = "busy"
    retry_after = 3


class NewswireUnavailable(TickerError):
    """The newswire couldn't keep the line. Nothing was published."""

    status = 503
    title = "The newswire is not available"
    slug = "newswire-unavailable"
    retry_after = 2


class NewswireFull(NewswireUnavailable):
    status = 507
    title = "The newswire's disk is full"
    slug = "newswire-full"
    retry_after = 30


class Misconfigured(TickerError):
    """The node can't start so. Said in one sentence on standard error, exit status 2."""

    title = "Configuration"
    slug = "misconfigured"
