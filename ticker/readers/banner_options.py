"""How a banner is to look, as an address may ask for it. Pure: addresses in, attributes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self, get_args

import msgspec
from msgspec import Struct

from ticker import text
from ticker.channel import Channel, Direction, direction_of
from ticker.line import Line, Urgency

MODES = ("rotate", "list", "scroll")
THEMES = ("light", "dark")
PLACES = ("top", "bottom")
URGENCIES: tuple[Urgency, ...] = get_args(Urgency)  # the most urgent first
YES = ("", "1", "true", "on")
ROW_HEIGHTS = {"": (4.5, 5.5), "scroll": (3.5, 3)}  # em, by mode: beside the label, and below it
LINE_HEIGHTS = (5, 9)  # em of a line in a list that is as high as its lines, wide and narrow
NARROW_ROW, NARROW_LIST = "42em", "24em"  # what is less wide is narrow
SHOWN_MAX = 100  # lines; no board has more


class BannerOptions(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="kebab"):
    """The banner's attributes that are about its look, by their names. Empty is the banner's own default.

    No label and no other words: whoever writes an address could put them in the newsroom's mouth.
    """

    mode: str = ""
    theme: str = ""
    lang: str = ""
    dir: str = ""
    max: str = ""
    min_urgency: str = ""
    sticky: str = ""
    controls: str = ""
    dismissible: bool = False
    hide_when_empty: bool = False

    @classmethod
    def asked(cls, query: Mapping[str, str]) -> Self:
        """What a query asks for; what we don't know, and what can't be, is as if not said."""
        return cls(
            mode=_one_of(MODES[1:], query.get("mode")),
            theme=_one_of(THEMES, query.get("theme")),
            lang=_language(query.get("lang", "")),
            dir=_one_of(get_args(Direction), query.get("dir")),
            max=_one_of(tuple(map(str, range(1, SHOWN_MAX + 1))), query.get("max")),
            min_urgency=_one_of(URGENCIES[:-1], query.get("min-urgency")),
            sticky=_one_of(PLACES, query.get("sticky")),
            controls=_one_of(("none",), query.get("controls")),
            dismissible=query.get("dismissible") in YES,
            hide_when_empty=query.get("hide-when-empty") in YES,
        )

    @property
    def attributes(self) -> dict[str, str]:
        """What isn't the default, for the tag or for a query."""
        given: dict[str, str | bool] = msgspec.to_builtins(self)
        return {name: "" if value is True else str(value) for name, value in given.items()}

    @property
    def room(self) -> str:
        """A style sheet that keeps the banner's place free until its script is there; empty where it keeps none.

        By the width that it is given, as the banner's own (web/ticker.js): the same heights, or the page moves.
        """
        if self.hide_when_empty:
            return ""
        chosen = f'[mode="{self.mode}"]' if self.mode else ""
        chosen += f'[max="{self.max}"]' if self.mode == "list" and self.max else ""
        waiting = f"breaking-ticker{chosen}:not(:defined)"
        if self.mode == "list":
            narrow_from = NARROW_LIST
            wide_height, narrow_height = (f"{_list_height(self.max, each)}em" for each in LINE_HEIGHTS)
        else:
            narrow_from = NARROW_ROW
            wide, narrow = ROW_HEIGHTS[self.mode]
            wide_height, narrow_height = f"calc({wide}em + 2px)", f"calc(max(44px, 2.75em) + {narrow}em + 2px)"
        if wide_height == narrow_height:
            return f"\n{waiting} {{ display: block; block-size: {wide_height} }}\n"
        return (
            f"\n{waiting} {{ display: block; container-type: inline-size }}\n"
            f'{waiting}::before {{ content: ""; display: block; block-size: {wide_height} }}\n'
            f"@container (width < {narrow_from}) {{ {waiting}::before {{ block-size: {narrow_height} }} }}\n"
        )

    def direction(self, channel: Channel) -> str:
        return self.dir or (direction_of(self.lang) if self.lang else channel.direction)

    def chosen(self, lines: Iterable[Line]) -> list[Line]:
        """Those that the banner would show, in their order; tombstones take no line's place."""
        urgent = URGENCIES[: URGENCIES.index(self.min_urgency) + 1] if self.min_urgency in URGENCIES else URGENCIES
        room = int(self.max or SHOWN_MAX)
        chosen = []
        for line in lines:
            if line.urgency in urgent and room > 0:
                chosen.append(line)
                room -= line.status == "usable"
        return chosen


def _list_height(shown: str, each: int) -> int:
    """Em: a row for the label, and so many for each line, up to what fits a column."""
    return min(each * int(shown) + 3, 34) if shown else 34


def _one_of(words: tuple[str, ...], given: str | None) -> str:
    return given if given in words else ""


def _language(given: str) -> str:
    try:
        return text.language_tag(given)
    except ValueError:
        return ""
