"""What a channel is: one edition or desk, its language and its limits. Knows no lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, get_args

from msgspec import Struct, field

from ticker.text import is_right_to_left, shown

Direction = Literal["ltr", "rtl"]

# "Breaking", as newsrooms of the language put it on screen.
LABELS = {
    "ar": "عاجل",
    "bg": "Извънредно",
    "bn": "ব্রেকিং",
    "cs": "Mimořádně",
    "da": "Seneste nyt",
    "de": "Eilmeldung",
    "el": "Έκτακτο",
    "en": "Breaking",
    "es": "Última hora",
    "fa": "خبر فوری",
    "fi": "Juuri nyt",
    "fr": "Dernière minute",
    "he": "מבזק",
    "hi": "ब्रेकिंग",
    "hu": "Rendkívüli",
    "id": "Terkini",
    "it": "Ultim'ora",
    "ja": "速報",
    "ko": "속보",
    "ms": "Berita terkini",
    "nl": "Laatste nieuws",
    "no": "Siste nytt",
    "pl": "Z ostatniej chwili",
    "pt": "Última hora",
    "ro": "Ultima oră",
    "ru": "Срочно",
    "sv": "Just nu",
    "sw": "Habari mpya",
    "th": "ด่วน",
    "tr": "Son dakika",
    "uk": "Терміново",
    "ur": "بریکنگ نیوز",
    "vi": "Tin nóng",
    "zh": "突发",
}

HOUR = 3_600
DAY = 24 * HOUR


URGENCIES = ("flash", "bulletin", "urgent", "update")
StepUpAct = Literal["flash", "cancel"]
STEP_UPS: tuple[StepUpAct, ...] = get_args(StepUpAct)
APPROVABLE = (*URGENCIES, "correct", "cancel")
HOLD: Mapping[str, int] = dict.fromkeys(URGENCIES, 3)  # seconds; long enough to see the slip, too short to be late
MARKERS = ("DO NOT PUBLISH", "NOT FOR PUBLICATION", "LOREM IPSUM", "TK TK", "XXX")


class Brake(NamedTuple):
    """`most` lines in `seconds`: the next one needs a confirmation."""

    most: int
    seconds: int


class Channel(Struct, frozen=True, kw_only=True):
    """A channel as `ticker.toml` declares it. Times are seconds."""

    slug: str
    title: str
    language: str
    direction: Direction
    label: str
    max_lines: int = 10
    """Usable lines on the board; tombstones take no line's place."""
    expires_in: int | None = 2 * HOUR
    """Default for a line that names none; None is never."""
    tombstones_for: int = DAY
    """How long a withheld or canceled line is shown as such, so that a returning reader learns of it."""
    history_for: int = 90 * DAY
    """How long events are kept. What stands on the board stays, however old."""
    approve: tuple[str, ...] = ()
    """What a second person must agree to: urgencies, `correct`, `cancel`."""
    step_up: tuple[StepUpAct, ...] = ()
    """What a session needs a passkey's touch for, just before: `flash`, `cancel`."""
    hold: Mapping[str, int] = field(default_factory=lambda: dict(HOLD))
    """By urgency, for how long the desk can undo what it publishes."""
    late_after: int = 15 * 60
    """A draft that couldn't be released for longer than this after it was due is not released by itself any more."""
    flash_brake: Brake | None = None
    """How many flashes, in how many seconds, need a confirmation to be followed by another. None: any number."""
    burst_brake: Brake | None = None
    """The same for lines of one key."""
    markers: tuple[str, ...] = MARKERS
    """Words that say that a text isn't meant for the public."""
    repeat_canceled: bool = False
    """Whether the public ledger of corrections repeats what a canceled line said."""


def as_declared(channel: Channel) -> dict[str, str]:
    """What `ticker.toml` sets of a channel, by the names and in the words that it has there."""
    return {
        "title": channel.title,
        "language": channel.language,
        "direction": channel.direction,
        "label": channel.label,
        "max_lines": str(channel.max_lines),
        "expires_in": "never" if channel.expires_in is None else _span(channel.expires_in),
        "tombstones": _span(channel.tombstones_for),
        "history": _span(channel.history_for),
        "approve": ", ".join(channel.approve) or "nobody",
        "step_up": ", ".join(channel.step_up) or "nothing",
        "hold": ", ".join(f"{urgency} {_span(seconds)}" for urgency, seconds in channel.hold.items()),
        "late_after": _span(channel.late_after),
        "flash_brake": _limit(channel.flash_brake),
        "burst_brake": _limit(channel.burst_brake),
        "markers": ", ".join(channel.markers),
        "repeat_canceled": "true" if channel.repeat_canceled else "false",
    }


def _limit(brake: Brake | None) -> str:
    return "off" if brake is None else f"{brake.most} in {_span(brake.seconds)}"


def _span(seconds: int) -> str:
    """Without a fraction, in the largest unit that allows it."""
    if seconds == 0:
        return "0s"
    for unit, size in (("d", DAY), ("h", HOUR), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def direction_of(language: str) -> Direction:
    return "rtl" if is_right_to_left(language) else "ltr"


def base_language(language: str) -> str:
    """Under which our words for a language (BCP 47) are kept: `pt` for `pt-BR`, `no` for both its written forms."""
    base = language.lower().split("-")[0]
    return "no" if base in ("nb", "nn") else base


def label_for(language: str) -> str:
    """The word for "Breaking" in a language (BCP 47); English if we don't know it."""
    return LABELS.get(base_language(language), LABELS["en"])


def no_such_channel(slug: str, known: Iterable[str] | None = None) -> str:
    """The sentence for a slug that names no channel. For editors, it lists the channels that exist."""
    there_are = "at /v1/channels" if known is None else ", ".join(known)
    return f"There is no channel {shown(slug)!r}. The channels are {there_are}."
