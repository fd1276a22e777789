"""What a channel's language decides: which way it runs, and how it says "Breaking"."""

from __future__ import annotations

from pathlib import Path

import pytest

from ticker.channel import DAY, HOUR, LABELS, Brake, Channel, as_declared, direction_of, label_for
from ticker.settings import duration, read_channels
from ticker.text import SOURCE_MAX, language_tag, one_line


@pytest.mark.parametrize(
    ("language", "direction"), [("ar", "rtl"), ("he-IL", "rtl"), ("en", "ltr"), ("ar-Latn", "ltr")]
)
def test_a_language_gives_its_direction(language: str, direction: str) -> None:
    assert direction_of(language) == direction


@pytest.mark.parametrize("language", ["ar", "AR", "ar-EG", "ar-Arab-EG"])
def test_every_form_of_a_language_has_its_label(language: str) -> None:
    assert label_for(language) == "عاجل"


def test_an_unknown_language_has_the_english_label() -> None:
    assert label_for("tlh") == "Breaking"


@pytest.mark.parametrize("language", LABELS)
def test_each_label_could_stand_as_public_words(language: str) -> None:
    label = label_for(language)
    assert language_tag(language)
    assert one_line(label, SOURCE_MAX) == label


@pytest.mark.parametrize("language", ["ar", "fa", "he", "ur"])
def test_the_right_to_left_languages_that_have_a_label_run_so(language: str) -> None:
    assert language in LABELS
    assert direction_of(language) == "rtl"


IN_TICKER_TOML = """
[channels.en]
title = "Title"
language = "pt-BR"
direction = "rtl"
label = "Label"
max_lines = 3
expires_in = "90s"
tombstones = "5h"
history = "3d"
approve = ["flash", "cancel"]
hold = { flash = "5s", update = "0s" }
late_after = "20m"
flash_brake = "3 in 10m"
burst_brake = "20 in 90s"
markers = ["TK TK", "EMBARGO"]
step_up = ["flash"]
repeat_canceled = true
"""


def test_all_that_sets_a_channel_apart_is_read_and_declared(tmp_path: Path) -> None:
    file = tmp_path / "ticker.toml"
    file.write_text(IN_TICKER_TOML)
    channel = Channel(
        slug="en",
        title="Title",
        language="pt-BR",
        direction="rtl",
        label="Label",
        max_lines=3,
        expires_in=90,
        tombstones_for=5 * HOUR,
        history_for=3 * DAY,
        approve=("flash", "cancel"),
        hold={"flash": 5, "bulletin": 3, "urgent": 3, "update": 0},
        late_after=20 * 60,
        flash_brake=Brake(3, 600),
        burst_brake=Brake(20, 90),
        markers=("TK TK", "EMBARGO"),
        step_up=("flash",),
        repeat_canceled=True,
    )
    assert read_channels(file) == {"en": channel}
    declared = as_declared(channel)
    assert len(declared) == len(Channel.__struct_fields__) - 1, "each field but the slug"
    assert declared == {
        "title": "Title",
        "language": "pt-BR",
        "direction": "rtl",
        "label": "Label",
        "max_lines": "3",
        "expires_in": "90s",
        "tombstones": "5h",
        "history": "3d",
        "approve": "flash, cancel",
        "step_up": "flash",
        "hold": "flash 5s, bulletin 3s, urgent 3s, update 0s",
        "late_after": "20m",
        "flash_brake": "3 in 10m",
        "burst_brake": "20 in 90s",
        "markers": "TK TK, EMBARGO",
        "repeat_canceled": "true",
    }


@pytest.mark.parametrize("seconds", [1, 59, 60, 90, 3_600, 5_400, DAY, 3 * DAY, DAY + 1])
def test_a_brake_is_declared_as_ticker_toml_has_it(seconds: int) -> None:
    channel = Channel(slug="en", title="", language="en", direction="ltr", label="", flash_brake=Brake(3, seconds))
    _, _, span = as_declared(channel)["flash_brake"].partition(" in ")
    assert duration(span) == seconds


def test_no_brake_and_nobody_to_approve_is_declared_in_words() -> None:
    declared = as_declared(Channel(slug="en", title="", language="en", direction="ltr", label=""))
    assert (declared["flash_brake"], declared["burst_brake"], declared["approve"]) == ("off", "off", "nobody")


@pytest.mark.parametrize(
    ("seconds", "declared"), [(None, "never"), (59, "59s"), (60, "1m"), (7_200, "2h"), (DAY, "1d"), (DAY + 1, "86401s")]
)
def test_a_duration_is_declared_in_its_largest_whole_unit(seconds: int | None, declared: str) -> None:
    channel = Channel(slug="en", title="", language="en", direction="ltr", label="", expires_in=seconds)
    assert as_declared(channel)["expires_in"] == declared
