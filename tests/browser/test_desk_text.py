"""What is pasted and typed at the desk, and in which language it is, in a real Chromium against a real node."""

from __future__ import annotations

import contextlib
import re
from random import Random
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.desk import OTHER_WORDS, WORDS, SignedIn, line, publish, texts, tombstone, write
from ticker.text import TEXT_MAX, is_right_to_left, one_line

pytestmark = pytest.mark.usefixtures("desk_at_leisure")


# What is pasted


def paste(page: Page, field: Locator, words: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("(words) => navigator.clipboard.writeText(words)", words)
    field.focus()
    page.keyboard.press("Control+V")


SPACE_LIKE = ["\t", "\v", "\f", "\n", "\r\n", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\u2003", "\u2028", "\u2029"]


def test_what_is_like_a_space_is_pasted_as_one(node: Any, desk: Page, channel: str) -> None:
    text = desk.get_by_label("Text", exact=True)
    for space in SPACE_LIKE:
        text.fill("")
        paste(desk, text, f"Ferry{space}service")
        expect(text).to_have_value("Ferry service")
    for space in ("\u00a0", "\u202f", "\u3000"):
        text.fill(f"Pluie{space}: alerte")
        expect(text).to_have_value(f"Pluie{space}: alerte")
    publish(desk, "Pluie\u00a0: alerte")
    expect(desk.locator("#told")).to_contain_text("On air since")
    assert texts(node, channel) == ["Pluie\u00a0: alerte"]
    expect(desk.locator("#compose .taken").first).to_be_empty()


INVISIBLE = {
    "\u200b": "zero-width space (U+200B)",
    "\u2060": "word joiner (U+2060)",
    "\ufeff": "byte order mark (U+FEFF)",
    "\ufffc": "placeholder of an object (U+FFFC)",
    "\u00ad": "soft hyphen (U+00AD)",
    "\u202b": "stray direction mark (U+202B)",
    "\u2067": "stray direction mark (U+2067)",
    "\u2069": "stray direction mark (U+2069)",
    "\U000e0041": "tag character (U+E0041)",
}


def test_what_nobody_sees_is_taken_out_and_named(node: Any, desk: Page, channel: str) -> None:
    text = desk.get_by_label("Text", exact=True)
    for character, name in INVISIBLE.items():
        text.fill("")
        paste(desk, text, f"Ferry ser{character}vice")
        expect(text).to_have_value("Ferry service")
        expect(desk.locator('#compose [data-field="text"] .taken')).to_have_text(f"Invisible, taken out: {name}.")
        expect(desk.locator("#compose .count")).to_have_text("13 / 280")
    text.fill("\ufeffTwo \u200bof\u200b them")
    expect(desk.locator('#compose [data-field="text"] .taken')).to_contain_text("zero-width space (U+200B) 2 times")
    desk.get_by_role("button", name="Publish to").click()
    expect(desk.locator("#told")).to_contain_text("On air since")
    assert texts(node, channel) == ["Two of them"]
    expect(desk.locator('#compose [data-field="text"] .taken')).to_be_empty()


@pytest.mark.parametrize(
    "words",
    [
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f wins",
        "We say می\u200cخواهم in Persian",
        "👩\u200d👧",
        "\u2067אב\u2069 is read first",
    ],
    ids=["a flag", "ZWNJ", "ZWJ", "an isolate that is closed"],
)
def test_what_is_invisible_and_spells_something_is_kept(node: Any, desk: Page, channel: str, words: str) -> None:
    paste(desk, desk.get_by_label("Text", exact=True), words)
    desk.get_by_role("button", name="Publish to").click()
    expect(desk.locator("#told")).to_contain_text("On air since")
    assert texts(node, channel) == [words]


def test_marks_that_are_typed_one_by_one_may_be_closed_yet(node: Any, desk: Page) -> None:
    text = desk.get_by_label("Text", exact=True)
    text.focus()
    desk.keyboard.insert_text("a \u2067אב")
    expect(text).to_have_value("a \u2067אב")
    desk.keyboard.insert_text("\u2069")
    desk.keyboard.press("Tab")
    expect(text).to_have_value("a \u2067אב\u2069")
    text.evaluate("(area) => { area.focus(); area.setSelectionRange(6, 6); }")
    desk.keyboard.insert_text("\u2067")
    desk.keyboard.press("Tab")
    expect(text).to_have_value("a \u2067אב\u2069")


@pytest.mark.parametrize(
    ("character", "name"),
    [("\x07", "control character (U+0007)"), ("\u202e", "direction override (U+202E)"), ("\ufdd0", "(U+FDD0)")],
)
def test_what_is_refused_is_shown_where_it_stands_before_it_is_sent(
    node: Any, signed_in: SignedIn, desk: Page, channel: str, character: str, name: str
) -> None:
    text = desk.get_by_label("Text", exact=True)
    paste(desk, text, f"Ferry ser{character}vice")
    place = desk.locator('#compose [data-field="text"] .refused p')
    expect(place).to_contain_text("Ferry ser")
    expect(place.locator("mark")).to_contain_text(name)
    desk.get_by_role("button", name="Publish to").click()
    expect(desk.locator('#compose [data-field="text"] .fault')).to_contain_text("can’t be published")
    expect(text).to_be_focused()
    assert text.evaluate("(area) => area.value.slice(area.selectionStart, area.selectionEnd)") == character
    assert [method for method, _ in signed_in.carried] == ["POST"]  # signing in
    desk.get_by_role("button", name="Take it out").click()
    expect(text).to_have_value("Ferry service")
    expect(place).to_have_count(0)
    desk.get_by_role("button", name="Publish to").click()
    expect(line(desk, "Ferry service")).to_be_visible()


def test_every_field_of_a_correction_is_pasted_into_by_the_same_rule(node: Any, desk: Page, channel: str) -> None:
    node.publish(channel, "Pluie\u00a0: alerte")
    row = line(desk, "Pluie")
    row.get_by_role("button", name="Correct").click()
    for label in ("Corrected text", "Public note", "Source"):
        paste(desk, row.get_by_label(label), "\u200b two\nrows")
    expect(row.get_by_label("Corrected text")).to_have_value("Pluie\u00a0: alerte two rows")
    expect(row.get_by_label("Public note")).to_have_value(re.compile("^ ?two rows$"))
    expect(row.get_by_label("Source")).to_have_value(re.compile("^ ?two rows$"))
    paste(desk, row.get_by_label("Link"), "https://\u200bharbour.example/\u2060timetable")
    expect(row.get_by_label("Link")).to_have_value("https://harbour.example/timetable")
    expect(row.locator(".taken", has_text="zero-width space")).to_have_count(4)
    row.get_by_label("Public note").fill("A bell \x07 rings")
    row.get_by_role("button", name="Save correction").click()
    expect(row.locator('[data-field="note"] .fault')).to_contain_text("can’t be published")
    row.get_by_role("button", name="Take it out").click()
    row.get_by_role("button", name="Save correction").click()
    expect(row.locator("form")).to_have_count(0)
    [kept] = node.get(f"/v1/channels/{channel}/lines")["lines"]
    assert (kept["text"], kept["note"], kept["source"]) == ("Pluie\u00a0: alerte two rows", "A bell rings", "two rows")


TRICKY = [
    *" \t\n\r\x00\x07\x1c\x1f\x85\u00a0\u202f\u3000\u2028\u2029\ufeff\u200b\u200c\u200d\u200e\u200f\u061c\u0301\u0338",
    *"\u034f\u0915\u094d\u1100\u1161\u212b\u3164\u2066\u2067\u2068\u2069\u202a\u202b\u202c\u202d\u202e\ufe0f\u180e\u1820",
    *"\ufffc\ufff9\u00ad\u2060\u2800\U000e0067\U000e007f\ufdd0🇯🇴👩👧\U0001f3fd❤aß1.#éمیאא漢か\u3099",
    *"\U00013000\U00013430\U0001d159\U00010900",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
]


def test_what_the_desk_sends_is_kept_as_it_is(node: Any, page: Page) -> None:
    """The two rules, in ticker/text.py and paste.js, are one: the server changes nothing more."""
    random = Random(19)
    pasted = ["".join(random.choices(TRICKY, k=random.randint(1, 14))) for _ in range(5_000)]
    page.goto(f"{node.url}/desk")
    sent = page.evaluate(
        """async (pasted) => {
          const { cleaned, folded } = await import("/assets/desk/paste.js");
          return pasted.map((words) => [folded(words), folded(cleaned(words).text)]);
        }""",
        pasted,
    )
    taken = 0
    for words, (at_once, shown_before) in zip(pasted, sent, strict=True):
        assert at_once == shown_before
        with contextlib.suppress(ValueError):  # refused: the desk has shown where
            kept = one_line(re.sub(r"[\n\r]+", " ", words), TEXT_MAX)  # of rows the desk makes one line
            assert at_once == kept
            taken += 1
    assert taken > len(pasted) / 3  # enough of them to say so


# Language and direction


def test_a_line_is_in_its_channels_language_unless_the_editor_says_another(node: Any, desk: Page) -> None:
    desk.get_by_label("Channel").select_option("ar")
    text, language, direction = (desk.get_by_label(name, exact=True) for name in ("Text", "Language", "Direction"))
    expect(language).to_have_value("ar")
    expect(direction).to_have_value("rtl")
    language.fill("fr")
    expect(direction).to_have_value("ltr")
    expect(text).to_have_attribute("lang", "fr")
    expect(text).to_have_attribute("dir", "ltr")
    publish(desk, "Le pont est ouvert")
    row = line(desk, "Le pont est ouvert")
    expect(row.locator("article > .text")).to_have_attribute("lang", "fr")
    expect(row.locator("article > .text")).to_have_css("direction", "ltr")
    expect(language).to_have_value("ar")  # the next line's
    expect(direction).to_have_value("rtl")

    row.get_by_role("button", name="Correct").click()
    expect(row.get_by_label("Language")).to_have_value("fr")
    row.get_by_label("Language").fill("fa")
    expect(row.get_by_label("Direction")).to_have_value("rtl")
    expect(row.get_by_label("Corrected text")).to_have_attribute("dir", "rtl")
    row.get_by_label("Direction").select_option("Left to right")
    row.get_by_role("button", name="Save correction").click()
    expect(row.locator("form")).to_have_count(0)
    kept = next(each for each in node.get("/v1/channels/ar/lines")["lines"] if each["text"] == "Le pont est ouvert")
    assert (kept["language"], kept["direction"]) == ("fa", "ltr")


def test_a_language_that_is_none_is_refused_at_its_field(node: Any, desk: Page) -> None:
    desk.get_by_label("Language", exact=True).fill("French, please")
    publish(desk, WORDS)
    expect(desk.locator('#compose [data-field="language"] .fault')).to_contain_text("BCP 47")
    expect(desk.get_by_label("Text", exact=True)).to_have_value(WORDS)


def test_the_desk_and_the_server_know_the_same_languages_that_run_from_right_to_left(node: Any, page: Page) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    tags = [a + b for a in letters for b in letters] + [a + b + c for a in letters for b in letters for c in letters]
    tags += [
        "AR",
        "ar-EG",
        "az-Arab",
        "az-Arab-IR",
        "ar-Latn",
        "uz-Cyrl",
        "ku-arab",
        "de-1996",
        "ff-Adlm",
        "he-Hebr-IL",
    ]
    page.goto(f"{node.url}/desk")
    found = page.evaluate(
        """async (tags) => {
          const { directionOf } = await import("/assets/desk/language.js");
          return tags.filter((tag) => directionOf(tag) === "rtl");
        }""",
        tags,
    )
    assert found == [tag for tag in tags if is_right_to_left(tag)]


def test_what_is_on_air_or_typed_is_never_translated(node: Any, desk: Page, channel: str) -> None:
    kept = node.publish(channel, WORDS, source=WORDS)
    node.correct(channel, node.publish(channel, WORDS)["id"], status="withheld", note=WORDS)
    publish(desk, OTHER_WORDS)
    expect(desk.locator("#told")).to_contain_text("On air since")
    write(desk, OTHER_WORDS)
    row = desk.locator(f'#lines > li[data-id="{kept["id"]}"]')
    row.get_by_role("button", name="Correct").click()
    row.get_by_label("Corrected text").fill(OTHER_WORDS)
    node.correct(channel, kept["id"], text=f"{WORDS} again")
    expect(row.locator(".newer-text")).to_contain_text(WORDS)
    tombstone(desk, "withheld").get_by_role("button", name="Release").click()
    expect(tombstone(desk, "withheld").locator(".words")).to_have_text(WORDS)
    row.get_by_role("button", name="Cancel…").click()
    translated = """(words) => [...document.body.querySelectorAll("*")].filter((each) => each.translate
      && (words.some((some) => each.value?.includes?.(some) || [...each.childNodes].some(
        (node) => node.nodeType === Node.TEXT_NODE && node.data.includes(some)))))
      .map(({ outerHTML }) => outerHTML)"""
    assert desk.evaluate(translated, [WORDS, OTHER_WORDS]) == []
    fields = "textarea, input:not([type=radio], [type=checkbox], [name=url], #key, [name=username])"
    assert (
        desk.evaluate(
            "(fields) => [...document.querySelectorAll(fields)].filter((each) => each.translate).length", fields
        )
        == 0
    )
