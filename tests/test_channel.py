"""What a channel's language decides: which way it runs, and how it says "Breaking"."""

from __future__ import annotations

from pathlib import Path

import pytest

from ticker.channel import DAY, HOUR, LABELS, Channel, as_declared, direction_of, label_for
from ticker.settings import read_channels
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


def test_what_a_channel_declares_is_all_that_sets_it_apart_and_can_be_read_again(tmp_path: Path) -> None:
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
    )
    declared = as_declared(channel)
    assert len(declared) == len(Channel.__struct_fields__) - 1, "each field but the slug"
    assert declared | {"expires_in": "90s", "tombstones": "5h", "history": "3d"} == declared
    lines = [f'{name} = "{value}"' if name != "max_lines" else f"{name} = {value}" for name, value in declared.items()]
    file = tmp_path / "ticker.toml"
    file.write_text("\n".join(["[channels.en]", *lines]))
    assert read_channels(file) == {"en": channel}


@pytest.mark.parametrize(
    ("seconds", "declared"), [(None, "never"), (59, "59s"), (60, "1m"), (7_200, "2h"), (DAY, "1d"), (DAY + 1, "86401s")]
)
def test_a_duration_is_declared_in_its_largest_whole_unit(seconds: int | None, declared: str) -> None:
    channel = Channel(slug="en", title="", language="en", direction="ltr", label="", expires_in=seconds)
    assert as_declared(channel)["expires_in"] == declared
