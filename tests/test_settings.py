"""`ticker.toml`: what it may say, and the one sentence an operator gets for what it may not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import WITHIN, environment
from ticker.channel import DAY, HOUR, Channel
from ticker.errors import Misconfigured
from ticker.settings import duration, read_channels


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "ticker.toml"


def read(config: Path, content: str) -> dict[str, Channel]:
    config.write_text(content, "utf-8")
    return read_channels(config)


def refusal(config: Path, content: str) -> str:
    with pytest.raises(Misconfigured) as refused:
        read(config, content)
    return refused.value.detail


# Good


def test_without_a_file_there_is_one_channel() -> None:
    assert read_channels(None) == {
        "breaking": Channel(slug="breaking", title="Breaking", language="en", direction="ltr", label="Breaking")
    }


def test_an_empty_table_has_every_default(config: Path) -> None:
    channel = read(config, "[channels.sports]")["sports"]
    assert (channel.title, channel.language, channel.direction, channel.label) == ("Sports", "en", "ltr", "Breaking")
    assert (channel.max_lines, channel.expires_in, channel.tombstones_for) == (10, 2 * HOUR, DAY)
    assert channel.history_for == 90 * DAY


def test_language_gives_direction_and_label(config: Path) -> None:
    channel = read(config, '[channels.ar]\ntitle = "العربية"\nlanguage = "ar"')["ar"]
    assert (channel.title, channel.direction, channel.label) == ("العربية", "rtl", "عاجل")


def test_everything_can_be_set(config: Path) -> None:
    table = """
        [channels.ar]
        title = "  العربية "
        language = "ar-EG"
        direction = "ltr"
        label = "خبر"
        max_lines = 5
        expires_in = "never"
        tombstones = "90s"
        history = "7d"
    """
    assert read(config, table)["ar"] == Channel(
        slug="ar",
        title="العربية",
        language="ar-EG",
        direction="ltr",
        label="خبر",
        max_lines=5,
        expires_in=None,
        tombstones_for=90,
        history_for=7 * DAY,
    )


def test_a_byte_order_mark_is_taken(config: Path) -> None:
    config.write_bytes(b'\xef\xbb\xbf[channels.en]\ntitle = "News"')
    assert read_channels(config)["en"].title == "News"


def test_channels_keep_the_order_of_the_file(config: Path) -> None:
    assert list(read(config, "[channels.z]\n[channels.a]\n[channels.m]")) == ["z", "a", "m"]


@pytest.mark.parametrize(
    ("value", "seconds"), [("90s", 90), ("30m", 1_800), ("2h", 7_200), ("7d", 604_800), (" 1s ", 1), ("09m", 540)]
)
def test_durations(value: str, seconds: int) -> None:
    assert duration(value) == seconds


@pytest.mark.parametrize("value", ["", "٣s", "-", "2", "h", "1.5h", "2 h", "2h30m", "2H", "1w", "never", "--1h"])
def test_what_is_no_duration_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration(value)


@pytest.mark.parametrize(
    ("value", "why"), [("0s", "is too short; 1s is"), ("00d", "is too short"), ("-1h", "negative")]
)
def test_a_duration_of_no_length_is_refused_with_the_reason(value: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        duration(value)


def test_no_time_at_all_is_taken_where_it_means_at_once() -> None:
    assert [duration(value, least=0) for value in ("0s", "0m", "00d")] == [0, 0, 0]
    with pytest.raises(ValueError, match="negative"):
        duration("-5s", least=0)


# Bad


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "7"),
        ("title", '""'),
        ("title", '"two\\nrows"'),
        ("title", '"' + "x" * 81 + '"'),
        ("language", '"english"'),
        ("language", "1"),
        ("direction", '"up"'),
        ("direction", "true"),
        ("label", '"\\u202e!"'),
        ("label", "[]"),
        ("max_lines", "0"),
        ("max_lines", "101"),
        ("max_lines", '"10"'),
        ("max_lines", "true"),
        ("max_lines", "2.0"),
        ("expires_in", '"soon"'),
        ("expires_in", '"0s"'),
        ("expires_in", "7200"),
        ("tombstones", '"never"'),
        ("tombstones", "false"),
        ("history", '"1 year"'),
        ("history", '""'),
        ("approve", '"flash"'),
        ("approve", '["flash", "all"]'),
        ("hold", "3"),
        ("hold", '"soon"'),
        ("hold", "{ flash = 5 }"),
        ("hold", '{ alert = "5s" }'),
        ("hold", '"301s"'),
        ("late_after", '"0s"'),
        ("flash_brake", '"3 an hour"'),
        ("flash_brake", '"0 in 10m"'),
        ("burst_brake", '"3 in 25h"'),
        ("markers", '"XXX"'),
        ("markers", "[1]"),
        ("repeat_canceled", '"true"'),
        ("repeat_canceled", "1"),
        ("expires", '"2h"'),
        ("Title", '"News"'),
    ],
    ids=lambda given: given[:12],
)
def test_a_bad_field_is_refused_with_its_file_channel_and_name(config: Path, field: str, value: str) -> None:
    sentence = refusal(config, f"[channels.fine]\n[channels.sports]\n{field} = {value}")
    assert sentence.startswith(f"{config}, [channels.sports]: ")
    assert field in sentence.removeprefix(f"{config}, [channels.sports]: ")


@pytest.mark.parametrize("field", ["expires_in", "tombstones", "history"])
def test_a_duration_longer_than_any_calendar_is_refused(config: Path, field: str) -> None:
    sentence = refusal(config, f'[channels.sports]\n{field} = "999999999d"')
    assert "[channels.sports]" in sentence
    assert field in sentence


@pytest.mark.parametrize("slug", ["Sports", "a b", "", "-a", "العربية", "x" * 65])
def test_a_bad_slug_is_refused_as_it_was_written(config: Path, slug: str) -> None:
    sentence = refusal(config, f'[channels."{slug}"]')
    assert sentence.startswith(f"{config}, [channels.{slug}]: A slug has")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "declares no channel"),
        ("[channels]", "declares no channel"),
        ("channels = 3", "declares no channel"),
        ("[channels]\nen = true", "declares no channel"),
        ("[[channels]]\ntitle = 'x'", "declares no channel"),
        ("[channel.en]\n[channels.en]", "channel is unknown"),
        ("port = 80\n[channels.en]", "port is unknown"),
        ("timezone = 'Mars/Olympus'\n[channels.en]", "timezone"),
        ("timezone = 1\n[channels.en]", "timezone"),
        ("[channels.en", "is not TOML"),
        ("[channels.en]\n[channels.en]", "is not TOML"),
    ],
)
def test_a_bad_file_is_refused_with_its_name(config: Path, content: str, why: str) -> None:
    sentence = refusal(config, content)
    assert str(config) in sentence
    assert why in sentence


def test_a_file_that_is_not_utf_8_is_refused(config: Path) -> None:
    config.write_bytes('[channels.en]\ntitle = "Última"'.encode("latin-1"))
    with pytest.raises(Misconfigured, match="is not TOML"):
        read_channels(config)


@pytest.mark.parametrize(
    "content",
    [
        "a = " + "[" * 9_000,
        "[channels.en]\nmax_lines = " + "9" * 9_000,
        '[channels.en]\ntitle = "' + "x" * 60_000 + '"',
        '[channels.en]\ndirection = "' + "x" * 60_000 + '"',
        '[channels.en]\nexpires_in = "' + "\u202e" * 60_000 + '"',
        "[channels.en]\n" + "".join(f"k{n} = 1\n" for n in range(9_000)),
        '[channels.en]\n"' + "x" * 60_000 + '" = 1',
        "[channels.en]\nmax_lines = [" + "1, " * 9_000 + "]",
    ],
    ids=range(8),
)
def test_what_is_too_much_is_refused_in_a_short_sentence(config: Path, content: str) -> None:
    sentence = refusal(config, content).removeprefix(str(config))
    assert len(sentence) < 1_000
    assert sentence.isprintable()


@pytest.mark.parametrize("place", ["missing.toml", "."])
def test_a_file_that_cant_be_read_is_refused_with_its_name(tmp_path: Path, place: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        read_channels(tmp_path / place)
    assert f"{tmp_path / place} can't be read" in refused.value.detail


def test_a_node_says_what_is_wrong_in_one_sentence_and_exits_with_2(config: Path) -> None:
    config.write_text("[channels.en]\nmax_lines = 0")
    for command in ("check", "serve"):
        said = subprocess.run(
            [sys.executable, "-m", "ticker", command, "--config", config],
            cwd=config.parent,
            env=environment(config.parent / "constants"),
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
        )
        assert said.returncode == 2
        assert said.stdout == ""
        assert f"ticker: {config}, [channels.en]: max_lines is 0" in said.stderr
        assert "Traceback" not in said.stderr
    assert not (config.parent / "ticker.db").exists()
