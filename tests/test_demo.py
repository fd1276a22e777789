"""The demo goes on for as long as its node runs, and leaves no more behind than a board shows."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.conftest import RunningNode
from tests.patience import NO_BEATS, WITHIN
from ticker.demo import OPENING, SCRIPTS, Correct, Retract, Say
from ticker.line import NewLine, Patch, checked

AT_ONCE = {f"ticker.demo.{name}": 0.005 for name in ("PACE", "WATCHED", "ALONE", "LOOK")} | {
    "ticker.demo.MARKED_FOR": 1
}
TO_BEGIN_WITH = {"ticker.demo.PACE": 0.005, "ticker.demo.ALONE": 3_600.0, "ticker.demo.WATCHED": 3_600.0}


@pytest.fixture
def start(start_node: Callable[..., RunningNode]) -> Callable[..., RunningNode]:
    def start(constants: dict[str, float], **given: Any) -> RunningNode:
        return start_node("--demo", constants=NO_BEATS | constants, **given)

    return start


def events(node: RunningNode, channel: str) -> Iterator[dict[str, Any]]:
    """All of a channel, as long as they come."""
    after, deadline = "", time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        page = node.http.get(f"/v1/channels/{channel}/events?limit=1000{after}").json()["events"]
        yield from page
        if page:
            after, deadline = f"&after={page[-1]['cursor']}", time.monotonic() + WITHIN
        time.sleep(0.02)
    raise AssertionError("the demo has stopped")


def board(node: RunningNode, channel: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = node.http.get(f"/v1/channels/{channel}/lines").json()["lines"]
    return lines


def until_lines(node: RunningNode, channel: str, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + WITHIN
    while len(lines := board(node, channel)) < count:
        assert time.monotonic() < deadline, "the demo's lines did not come"
        time.sleep(0.02)
    return lines


def test_a_newcomer_sees_six_lines_at_once_and_nothing_is_hurried_afterwards(
    start: Callable[..., RunningNode],
) -> None:
    node = start(TO_BEGIN_WITH)
    for channel in ("en", "ar", "es"):
        assert len(until_lines(node, channel, OPENING)) == OPENING


def test_it_corrects_retracts_and_flashes_and_begins_again_with_one_line_a_story(
    start: Callable[..., RunningNode],
) -> None:
    node = start(AT_ONCE, config="[channels.en]\n")
    seen: list[dict[str, Any]] = []
    for number, event in enumerate(events(node, "en")):
        seen.append(event["line"])
        if number % 7 == 0:
            usable = [line["story"] for line in board(node, "en") if line["status"] == "usable"]
            assert len(usable) == len(set(usable)) <= 10
        if sum(line["story"] == "harbour-bridge" and line["version"] == 1 for line in seen) == 3:
            break
    assert sum(line["status"] == "canceled" for line in seen) >= 2
    assert sum(bool(line.get("corrected")) and line["status"] == "usable" for line in seen) >= 2
    assert {line["urgency"] for line in seen} == {"flash", "bulletin", "urgent", "update"}


def test_after_a_restart_it_goes_on_with_what_stands(start: Callable[..., RunningNode]) -> None:
    node = start(TO_BEGIN_WITH)
    before = {line["id"] for line in until_lines(node, "en", OPENING)}
    node.stop()
    node.start()
    after = until_lines(node, "en", OPENING)
    assert len({line["story"] for line in after}) == len(after)
    assert len(before & {line["id"] for line in after}) >= OPENING - 2


def test_an_editors_line_is_left_alone_and_one_that_an_editor_retracts_ends_nothing(
    start: Callable[..., RunningNode],
) -> None:
    node = start(AT_ONCE, config="[channels.en]\n")
    ours = node.publish("en", SCRIPTS["en"][0].text + " Says an editor.", story="harbour-bridge", pinned=True)  # type: ignore[union-attr]
    canceled = 0
    for event in events(node, "en"):
        line = event["line"]
        if line["version"] == 1 and line["id"] != ours["id"] and canceled < 5:
            node.http.delete(f"/v1/channels/en/lines/{line['id']}")
            canceled += 1
        elif canceled == 5 and line["version"] == 1 and line["urgency"] == "flash":
            break
    assert node.get(f"/v1/channels/en/lines/{ours['id']}")["version"] == 1


def test_with_no_channels_declared_it_speaks_english(start: Callable[..., RunningNode]) -> None:
    node = start(
        TO_BEGIN_WITH, config="[channels.breaking]\n[channels.ur]\nlanguage = 'ur'\n[channels.mx]\nlanguage = 'es-MX'\n"
    )
    first = {"breaking": "en", "ur": "en", "mx": "es"}
    for channel, language in first.items():
        assert SCRIPTS[language][0].text in [  # type: ignore[union-attr]
            line["text"] for line in until_lines(node, channel, OPENING)
        ]


def test_it_is_slow_while_nobody_watches_and_goes_on_when_somebody_does(start: Callable[..., RunningNode]) -> None:
    node = start(TO_BEGIN_WITH | {"ticker.demo.WATCHED": 0.1, "ticker.demo.LOOK": 0.05})
    until_lines(node, "en", OPENING)
    count = len(node.get("/v1/channels/en/events")["events"])
    with connect(f"{node.url.replace('http', 'ws')}/v1/live?channel=en") as socket:
        socket.recv(WITHIN)
        for _ in range(3):
            socket.recv(WITHIN)
    assert len(node.get("/v1/channels/en/events")["events"]) >= count + 2


@pytest.mark.parametrize("language", SCRIPTS)
def test_every_script_is_fit_to_be_published(language: str) -> None:
    script = SCRIPTS[language]
    assert all(isinstance(change, Say) for change in script[:OPENING])
    stories = [change.story for change in script if isinstance(change, Say)]
    assert len(stories) == len(set(stories)) > 10  # a line of each, and more than a board shows
    for change, before in zip(script, itertools.accumulate([each.story] for each in script), strict=True):
        match change:
            case Say(story, urgency, text):
                checked(NewLine(text=text, urgency=urgency, story=story))
            case Correct(story, text, note):
                checked(Patch(text=text, note=note))
                assert story in before[:-1]
            case Retract(story, note):
                checked(Patch(note=note))
                assert story in before[:-1]
