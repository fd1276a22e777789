"""What is not public yet, at the desk: the hold, schedules, approval, warnings and the lock, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import until
from tests.browser.desk import OTHER_WORDS, WORDS, complaints, connection, line, publish, texts, tombstone, write
from tests.conftest import RunningNode
from tests.desk import Object, Person, drafts_of, lines_of

CONFIG = """timezone = "Europe/Madrid"
[channels.en]
language = "en"
hold = "30s"
approve = ["flash"]
[channels.quick]
language = "en"
hold = { urgent = "1s" }
[channels.ar]
language = "ar"
title = "العربية"
"""

pytestmark = pytest.mark.usefixtures("desk_at_leisure")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("desk-drafts"), config=CONFIG, constants={})
    yield node
    node.close()


@pytest.fixture
def ed(node: RunningNode) -> Iterator[Person]:
    ed = Person(node, "Ed", "editor")
    yield ed
    ed.close()


@pytest.fixture
def colleague(browser: Browser) -> Iterator[Page]:
    """Somebody else's browser."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def enter(page: Page, node: Any, token: str, channel: str = "en") -> None:
    page.goto(f"{node.url}/desk?channel={channel}")
    page.get_by_label("Your key").fill(token)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(connection(page)).to_have_text("Live")


def draft(page: Page, words: str) -> Locator:
    return page.locator("#waiting > li").filter(has_text=words)


def drafts(node: RunningNode, state: str, channel: str = "en") -> list[Object]:
    found: list[Object] = node.http.get(f"{drafts_of(channel)}?state={state}").json()["drafts"]
    return found


@pytest.mark.parametrize("how", ["Escape", "u", "the button"])
def test_what_was_published_is_taken_back_with_one_key_and_stands_in_the_form_again(
    node: RunningNode, page: Page, ed: Person, how: str
) -> None:
    enter(page, node, ed.token)
    publish(page, WORDS)
    expect(page.locator("#hold .words")).to_have_text(re.compile(r"Goes out in \d+ s"))
    expect(draft(page, WORDS).locator(".state")).to_have_text("Scheduled")
    if how == "the button":
        page.locator("#hold").get_by_role("button", name="Undo").click()
    else:
        page.keyboard.press(how)
    expect(page.locator("#told")).to_contain_text("Taken back. Nothing went out.")
    expect(page.get_by_label("Text", exact=True)).to_have_value(WORDS)
    expect(page.get_by_label("Text", exact=True)).to_be_focused()
    expect(draft(page, WORDS)).to_have_count(0)
    assert WORDS not in texts(node)
    assert not complaints(page)


def test_what_is_not_taken_back_is_on_air_when_the_hold_is_over(node: RunningNode, page: Page, ed: Person) -> None:
    enter(page, node, ed.token, "quick")
    publish(page, WORDS)
    expect(line(page, WORDS)).to_be_visible()
    expect(page.locator("#told")).to_contain_text("On air since")
    expect(page.get_by_label("Text", exact=True)).to_have_value("")
    expect(page.locator("#hold")).to_be_hidden()
    assert texts(node, "quick").count(WORDS) == 1


def test_a_line_is_scheduled_on_the_newsrooms_clock_and_recalled(node: RunningNode, page: Page, ed: Person) -> None:
    enter(page, node, ed.token)
    write(page, WORDS)
    page.get_by_text("Schedule…").click()
    expect(page.locator("#zone")).to_have_text("in Europe/Madrid")
    page.get_by_role("button", name="Schedule", exact=True).click()
    expect(page.locator("#later .fault")).to_have_text("Choose the day and the time first.")
    year = int(page.evaluate("new Date().getFullYear()")) + 1
    page.get_by_label("Goes out at").fill(f"{year}-03-28T02:30" if sunday(page, year, 28) else night(page, year))
    page.get_by_role("button", name="Schedule", exact=True).click()
    expect(page.locator("#later .fault")).to_contain_text("never show this time")
    tomorrow = page.evaluate("new Date(Date.now() + 86_400_000).toISOString().slice(0, 10)")
    page.get_by_label("Goes out at").fill(f"{tomorrow}T10:00")
    page.get_by_role("button", name="Schedule", exact=True).click()
    expect(page.locator("#told")).to_contain_text("Scheduled for")
    row = draft(page, WORDS)
    expect(row.locator(".due")).to_contain_text("10:00 (Europe/Madrid), in")
    [kept] = [each for each in drafts(node, "scheduled") if each["text"] == WORDS]
    assert kept["due"]["newsroom"][:16] == f"{tomorrow}T10:00"
    row.get_by_role("button", name="Recall").click()
    expect(row).to_have_count(0)


def sunday(page: Page, year: int, day: int) -> bool:
    return bool(page.evaluate(f"new Date(Date.UTC({year}, 2, {day})).getUTCDay() === 0"))


def night(page: Page, year: int) -> str:
    """Half past two in the night of March's last Sunday."""
    day = page.evaluate(f"31 - new Date(Date.UTC({year}, 2, 31)).getUTCDay()")
    return f"{year}-03-{day}T02:30"


def test_a_contributor_submits_and_an_editor_returns_and_approves(
    node: RunningNode, page: Page, colleague: Page, ed: Person
) -> None:
    cora = Person(node, "Cora", "contributor")
    enter(page, node, cora.token, "quick")
    expect(page.locator("#publish")).to_have_text("Submit for approval on Quick")
    expect(page.get_by_text("Schedule…")).to_be_hidden()
    write(page, WORDS + " again")
    page.locator("#publish").click()
    expect(page.locator("#told")).to_contain_text("goes out when a second person agrees")
    expect(draft(page, WORDS).get_by_role("button", name="Approve")).to_have_count(0)

    editors = colleague
    enter(editors, node, ed.token, "quick")
    row = draft(editors, WORDS)
    row.get_by_role("button", name="Return…").click()
    row.get_by_label("Reason").fill("Which islands?")
    row.locator("form button[type=submit]").click()
    mine = draft(page, WORDS)
    expect(mine.locator(".why")).to_have_text("Returned by Ed: Which islands?")
    mine.get_by_role("button", name="Edit").click()
    mine.locator("textarea").fill(OTHER_WORDS)
    mine.locator("form button[type=submit]").click()
    mine = draft(page, OTHER_WORDS)
    mine.get_by_role("button", name="Submit").click()

    row = draft(editors, OTHER_WORDS)
    row.get_by_role("button", name="Approve").click()
    row.get_by_label("Sources").fill("Harbour office")
    row.locator("form button[type=submit]").click()
    expect(line(editors, OTHER_WORDS)).to_be_visible()
    expect(line(page, OTHER_WORDS)).to_be_visible()
    [released] = [each for each in drafts(node, "released", "quick") if each["text"] == OTHER_WORDS]
    assert released["approval"]["sources"] == "Harbour office"
    cora.close()


def test_a_warning_is_ticked_by_its_own_box(node: RunningNode, page: Page, ed: Person) -> None:
    enter(page, node, ed.token, "quick")
    publish(page, "XXX rain")
    box = page.locator("#warnings").get_by_role("checkbox")
    expect(box).to_be_focused()
    expect(page.locator("#warnings")).to_contain_text("“XXX” in it")
    expect(page.get_by_label("Text", exact=True)).to_have_value("XXX rain")
    page.locator("#publish").click()
    expect(page.locator("#told")).to_contain_text("Not published")
    page.locator("#warnings").get_by_role("checkbox").check()
    page.locator("#publish").click()
    expect(line(page, "XXX rain")).to_be_visible()
    expect(page.locator("#warnings")).to_be_empty()


def test_other_words_of_what_is_scheduled_are_warned_of_before_they_are_saved(
    node: RunningNode, page: Page, ed: Person
) -> None:
    waiting = ed.ask("POST", lines_of("en"), 202, {"text": "Rain in the hills", "publish_in": 600})
    enter(page, node, ed.token)
    row = draft(page, "Rain in the hills")
    row.get_by_role("button", name="Edit").click()
    row.get_by_role("textbox", name="Text").fill("XXX in the hills")
    row.get_by_role("button", name="Save").click()
    expect(row.locator(".trouble")).to_contain_text("Tick each warning")
    assert ed.ask("GET", f"{drafts_of('en')}/{waiting['id']}", 200)["text"] == "Rain in the hills"
    row.get_by_role("checkbox").check()
    row.get_by_role("button", name="Save").click()
    expect(draft(page, "XXX in the hills").locator(".state")).to_have_text("Scheduled")
    ed.ask("DELETE", f"{drafts_of('en')}/{waiting['id']}", 200)
    assert not [each for each in complaints(page) if "409" not in each]


def test_who_is_to_agree_sees_the_time_that_a_draft_is_for(node: RunningNode, page: Page, ed: Person) -> None:
    body = {"text": "Flood at noon", "urgency": "flash", "publish_in": 3_600}
    waiting = ed.ask("POST", lines_of("en"), 202, body)
    enter(page, node, ed.token)
    expect(draft(page, "Flood at noon").locator(".due")).to_contain_text(re.compile(r"\(Europe/Madrid\), in (59|1)"))
    ed.ask("DELETE", f"{drafts_of('en')}/{waiting['id']}", 200)


def test_a_draft_is_saved_and_published_later(node: RunningNode, page: Page, ed: Person) -> None:
    enter(page, node, ed.token, "quick")
    write(page, "Saved for later")
    page.get_by_role("button", name="Save draft").click()
    expect(page.locator("#told")).to_contain_text("Saved among the drafts")
    draft(page, "Saved for later").get_by_role("button", name="Publish now").click()
    expect(line(page, "Saved for later")).to_be_visible()


def test_a_lock_shows_on_every_desk_and_lines_can_still_be_withheld_with_one_key(
    node: RunningNode, page: Page, colleague: Page, ed: Person
) -> None:
    ed.ask("POST", lines_of("ar"), 201, {"text": "عودة العبّارات"})
    ann, bob = Person(node, "Ann", "chief"), Person(node, "Bob", "chief")
    enter(page, node, ed.token, "ar")
    expect(page.get_by_role("button", name="Lock…")).to_be_hidden()
    chiefs = colleague
    enter(chiefs, node, ann.token, "ar")
    chiefs.get_by_role("button", name="Lock…").click()
    chiefs.get_by_label("Reason").fill("An account was taken over")
    chiefs.get_by_label("Only here").check()
    chiefs.get_by_role("button", name="Lock", exact=True).click()
    for each in (chiefs, page):
        expect(each.locator("#lock")).to_contain_text("The desk is locked by Ann")
        expect(each.locator("#lock")).to_contain_text("An account was taken over")
    publish(page, "مطر")
    expect(page.locator("#told")).to_contain_text("The desk is locked")
    line(page, "عودة").locator("article").focus()
    page.keyboard.press("w")
    expect(tombstone(page, "withheld")).to_be_visible()
    chiefs.locator("#lock").get_by_role("button", name="Unlock").click()
    expect(chiefs.locator("#said")).to_contain_text("Another person")
    bob.ask("DELETE", "/v1/lock", 200)
    for each in (chiefs, page):
        expect(each.locator("#lock")).to_be_hidden()
    ann.close()
    bob.close()


def test_a_draft_in_conflict_says_so_loudly_and_can_be_settled(node: RunningNode, page: Page, ed: Person) -> None:
    kept = ed.ask("POST", lines_of("quick"), 201, {"text": "Ferries stop"})
    path = f"{lines_of('quick')}/{kept['id']}"
    ed.ask("PATCH", path, 202, {"text": "Ferries run", "publish_in": 600})
    enter(page, node, ed.token, "quick")
    row = draft(page, "Ferries run")
    expect(row.locator(".kind")).to_contain_text("Correction")
    ed.ask("PATCH", path, 200, {"pinned": True})
    row.get_by_role("button", name="Publish now").click()
    expect(row.locator(".state")).to_have_text("Conflict")
    row.get_by_role("button", name="Edit").click()
    row.locator("form button[type=submit]").click()
    expect(row.locator(".trouble")).to_contain_text("Its line has changed since: look at it on the board.")
    row.locator("form button[type=submit]").click()
    expect(row.locator(".state")).to_have_text("Draft")
    row.get_by_role("button", name="Publish now").click()
    expect(line(page, "Ferries run")).to_be_visible()
    until(page, lambda: texts(node, "quick").count("Ferries run") == 1)
