"""What a channel's language decides: which way it runs, and how it says "Breaking"."""

from __future__ import annotations

import pytest

from ticker.channel import LABELS, direction_of, label_for
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
