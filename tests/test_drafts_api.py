"""Drafts over HTTP: what waits, who may do what with it, and that nobody outside learns of it."""

from __future__ import annotations

import itertools
import re
import statistics
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, get_args
from zoneinfo import ZoneInfo

import httpx
import pytest
from websockets.sync.client import connect

from tests.conftest import RunningNode
from tests.desk import Object, Person, draft_of, drafts_of, line_of, lines_of
from tests.patience import WITHIN
from tests.redis_servers import RedisServer, until
from ticker.identity import ROLES, Action, may

CONFIG = """timezone = "Europe/Madrid"
[channels.en]
language = "en"
hold = "0s"
[channels.strict]
language = "en"
approve = ["flash", "correct", "cancel"]
[channels.braked]
language = "en"
flash_brake = "2 in 10m"
burst_brake = "3 in 10m"
[channels.flashy]
language = "en"
flash_brake = "2 in 10m"
[channels.flashy-too]
language = "en"
flash_brake = "2 in 10m"
[channels.raised]
language = "en"
flash_brake = "2 in 10m"
[channels.counted]
language = "en"
flash_brake = "2 in 10m"
burst_brake = "4 in 10m"
[channels.ar]
language = "ar"
"""

CHANNELS = set(re.findall(r"channels\.([\w-]+)", CONFIG))


class Desk(NamedTuple):
    node: RunningNode
    cora: Person  # a contributor
    cora_too: Person  # the same person's editor's key
    ed: Person
    ann: Person  # a chief
    bob: Person  # another one

    def close(self) -> None:
        for person in self[1:]:
            person.close()
        self.node.close()


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("drafts")
    server = RedisServer(folder / "redis") if request.param == "redis" else None
    options = ["--newswire", server.url] if server else []
    node = RunningNode(folder, *options, config=CONFIG)
    desk = Desk(
        node,
        Person(node, "Cora", "contributor", owner="Cora"),
        Person(node, "Cora too", "editor", owner="CORA"),
        Person(node, "Ed", "editor"),
        Person(node, "Ann", "chief"),
        Person(node, "Bob", "chief"),
    )
    yield desk
    desk.close()
    if server:
        server.close()


def released(who: Person, draft: Object) -> Object:
    """The draft, once it has gone out."""
    until(lambda: who.ask("GET", draft_of(draft), 200)["state"] == "released")
    return who.ask("GET", draft_of(draft), 200)


# What waits


def test_a_line_that_is_due_later_is_a_draft_until_then(desk: Desk) -> None:
    answer = desk.ed.http.post(lines_of("en"), json={"text": "Polls close", "publish_in": 0.3, "story": "polls"})
    assert answer.status_code == 202
    draft = answer.json()
    assert answer.headers["location"] == draft_of(draft)
    assert re.fullmatch(r"d_[0-9a-f]{32}", draft["id"])
    assert (draft["state"], draft["kind"], draft["text"], draft["story"]) == (
        "scheduled",
        "publish",
        "Polls close",
        "polls",
    )
    assert draft["by"] == desk.ed.actor
    assert (draft["due"]["timezone"], 0 < draft["due"]["in"] <= 0.3) == ("Europe/Madrid", True)
    after = released(desk.ed, draft)
    line = desk.node.get(f"{lines_of('en')}/{after['line']}")
    assert (line["text"], line["status"], line["version"]) == ("Polls close", "usable", 1)
    assert draft["publish_at"] <= line["published"]
    assert moment(line["published"]) - moment(draft["publish_at"]) < timedelta(seconds=WITHIN)
    assert [step["did"] for step in after["history"]] == ["created", "submitted", "scheduled", "released"]


def moment(time: str) -> datetime:
    return datetime.fromisoformat(time)


def test_expiry_counts_from_the_release(desk: Desk) -> None:
    draft = desk.ed.ask("POST", lines_of("en"), 202, {"text": "Live now", "publish_in": 0.2, "expires_in": 60})
    line = desk.node.get(f"{lines_of('en')}/{released(desk.ed, draft)['line']}")
    assert moment(line["expires"]) - moment(line["published"]) == timedelta(seconds=60)


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"publish_at": "2020-01-01T00:00:00Z"}, "publish_at", "in the past"),
        ({"publish_at": "2030-01-01T00:00:00Z"}, "publish_at", "90 days"),
        ({"publish_in": 90 * 86_400 + 1}, "publish_in", "90 days"),
        ({"publish_in": -1}, "publish_in", "from 0"),
        ({"publish_in": "soon"}, "publish_in", "number of seconds"),
        ({"publish_at": "soon"}, "publish_at", "RFC 3339"),
        ({"publish_at": "9999-12-31T23:59:59-23:00"}, "publish_at", "90 days"),
        ({"publish_at": "0001-01-01T00:00:00+23:00"}, "publish_at", ""),
        ({"publish_in": 60, "publish_at": "2026-12-01T00:00:00Z"}, "publish_in", "not both"),
        ({"confirm": ["all"]}, "confirm", "no warning"),
        ({"on_brake": "publish"}, "on_brake", "refuse or draft"),
    ],
)
def test_what_is_not_understood_is_refused(desk: Desk, given: Object, field: str, said: str) -> None:
    before = len(desk.ed.ask("GET", drafts_of("en"), 200)["drafts"])
    problem = desk.ed.ask("POST", lines_of("en"), 422, {"text": "Rain", **given})
    assert [error["field"] for error in problem["errors"]] == [field]
    assert said in problem["detail"]
    assert len(desk.ed.ask("GET", drafts_of("en"), 200)["drafts"]) == before


def test_an_embargo_that_the_line_would_not_outlive_is_refused(desk: Desk) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    given = {"text": "Rain", "publish_in": 600, "expires": soon}
    assert "before it goes out" in desk.ed.ask("POST", lines_of("en"), 422, given)["detail"]


@pytest.mark.parametrize(
    ("local", "said"),
    [
        ("2027-01-05T10:00:00", "2027-01-05T10:00:00+01:00"),
        ("{twice}", "show it twice"),
        ("{never}", "never show it"),
    ],
)
def test_a_time_without_an_offset_is_refused_with_what_it_may_mean(desk: Desk, local: str, said: str) -> None:
    madrid = ZoneInfo("Europe/Madrid")
    year = datetime.now(madrid).year + 1
    given = local.format(twice=night_of(year, 10, madrid), never=night_of(year, 3, madrid))
    problem = desk.ed.ask("POST", lines_of("en"), 422, {"text": "Rain", "publish_at": given})
    assert said in problem["detail"]
    assert "Europe/Madrid" in problem["detail"]


def night_of(year: int, month: int, zone: ZoneInfo) -> str:
    """Half past two in the night of the month's last Sunday, when clocks there change."""
    last = datetime(year, month, 31)
    return f"{last - timedelta(days=(last.weekday() + 1) % 7):%Y-%m-%d}T02:30:00"


# Recall


def test_what_was_recalled_in_time_never_goes_out(desk: Desk) -> None:
    draft = desk.ed.ask("POST", lines_of("en"), 202, {"text": "Too fast", "publish_in": 3})
    assert desk.ed.ask("DELETE", draft_of(draft), 200)["state"] == "discarded"
    assert desk.ed.ask("DELETE", draft_of(draft), 200)["state"] == "discarded"
    assert desk.ed.ask("POST", f"{draft_of(draft)}/publish", 409)["detail"].startswith("The draft is discarded")


def test_a_recall_that_comes_too_late_names_the_line(desk: Desk) -> None:
    draft = released(desk.ed, desk.ed.ask("POST", lines_of("en"), 202, {"text": "Gone", "publish_in": 0}))
    problem = desk.ed.ask("DELETE", draft_of(draft), 409)
    assert draft["line"] in problem["detail"]


# Approval


def test_a_second_person_agrees_under_no_key_of_the_first(desk: Desk) -> None:
    flash = {"text": "Quake on the coast", "urgency": "flash"}
    draft = desk.cora_too.ask("POST", lines_of("strict"), 202, flash)
    assert (draft["state"], draft["needs_approval"]) == ("submitted", True)
    assert "second person" in desk.cora_too.ask("POST", f"{draft_of(draft)}/approve", 403)["detail"]
    assert desk.cora_too.ask("POST", f"{draft_of(draft)}/publish", 409)
    agreed = desk.ed.ask("POST", f"{draft_of(draft)}/approve", 200, {"sources": "USGS", "publish_in": 0})
    assert (agreed["state"], agreed["approved_by"]) == ("scheduled", desk.ed.actor)
    line = released(desk.ed, agreed)["line"]
    (version,) = desk.ed.ask("GET", f"{lines_of('strict')}/{line}/audit", 200)["versions"]
    assert (version["by"], version["draft"]) == (desk.cora_too.actor, draft["id"])
    assert (version["approval"]["by"], version["approval"]["sources"]) == (desk.ed.actor, "USGS")


def test_who_is_to_agree_sees_the_time_that_it_is_for(desk: Desk) -> None:
    draft = desk.cora.ask("POST", lines_of("strict"), 202, {"text": "Rain", "publish_in": 600})
    assert (draft["state"], draft["due"]["timezone"], 590 < draft["due"]["in"] <= 600) == (
        "submitted",
        "Europe/Madrid",
        True,
    )
    assert desk.ed.ask("DELETE", draft_of(draft), 200)["due"] is None


def test_an_edit_takes_the_approval_away(desk: Desk) -> None:
    draft = desk.cora.ask("POST", lines_of("strict"), 202, {"text": "Rain"})
    desk.ed.ask("POST", f"{draft_of(draft)}/approve", 200, {"publish_in": 600})
    edited = desk.cora.ask("PATCH", draft_of(draft), 200, {"text": "Snow"})
    assert (edited["state"], edited["approved_by"]) == ("submitted", None)
    desk.ed.ask("DELETE", draft_of(draft), 200)


def test_nobody_agrees_to_words_that_were_changed_under_their_eyes(desk: Desk) -> None:
    draft = desk.cora.ask("POST", lines_of("strict"), 202, {"text": "Rain"})
    seen = desk.ed.http.get(draft_of(draft)).headers["etag"]
    desk.cora.ask("PATCH", draft_of(draft), 200, {"text": "Snow"})
    assert desk.ed.ask("POST", f"{draft_of(draft)}/approve", 412, {}, If_Match=seen)["status"] == 412
    assert desk.ed.ask("PATCH", draft_of(draft), 412, {"text": "Hail"}, If_Match=seen)["status"] == 412
    desk.ed.ask("DELETE", draft_of(draft), 200)


def test_an_urgency_that_needs_agreement_is_not_reached_by_a_correction(desk: Desk) -> None:
    line = desk.ed.ask("POST", lines_of("strict"), 201, {"text": "Quake"})
    draft = desk.ed.ask("PATCH", line_of(line), 202, {"urgency": "flash"})
    assert (draft["kind"], draft["state"], draft["line"], draft["version"]) == ("correct", "submitted", line["id"], 1)
    assert desk.node.get(line_of(line))["urgency"] == "urgent"
    assert desk.ed.ask("PATCH", line_of(line), 200, {"pinned": True, "urgency": "urgent"})["pinned"]


@pytest.mark.parametrize("channel", ["en", "strict"])
def test_an_editors_cancel_withholds_at_once_and_waits_for_a_second_person(desk: Desk, channel: str) -> None:
    line = desk.ed.ask("POST", lines_of(channel), 201, {"text": "Wrong town"})
    draft = desk.ed.ask("DELETE", line_of(line), 202, {"note": "It was another town"})
    withheld = desk.node.get(line_of(line))
    assert (withheld["status"], withheld["note"]) == ("withheld", "It was another town")
    assert desk.ed.ask("DELETE", line_of(line), 202)["id"] == draft["id"]  # one is enough
    desk.ann.ask("POST", f"{draft_of(draft)}/publish", 200)
    assert desk.node.get(line_of(line))["status"] == "canceled"
    assert desk.ed.ask("DELETE", line_of(line), 200)["status"] == "canceled"


def test_two_who_ask_to_cancel_a_line_ask_in_one_draft(desk: Desk) -> None:
    line = desk.ed.ask("POST", lines_of("en"), 201, {"text": "Wrong town"})
    asked = desk.cora.ask("DELETE", line_of(line), 202, {"note": "It was another town"})
    again = desk.ed.ask("DELETE", line_of(line), 202)  # which withholds it, so that it has a new version
    assert (again["id"], again["state"], again["version"], again["note"]) == (
        asked["id"],
        "submitted",
        2,
        "It was another town",
    )
    assert desk.cora.ask("DELETE", line_of(line), 202)["id"] == asked["id"]
    assert "second person" in desk.ed.ask("POST", f"{draft_of(asked)}/approve", 403)["detail"], "it is theirs too"
    desk.ann.ask("POST", f"{draft_of(asked)}/publish", 200)
    assert desk.node.get(line_of(line))["status"] == "canceled"


def test_a_withhold_never_waits_and_what_comes_with_it_does(desk: Desk) -> None:
    line = desk.ed.ask("POST", lines_of("strict"), 201, {"text": "Quake"})
    desk.ed.ask("PATCH", line_of(line), 422, {"status": "withheld", "publish_in": 5})
    draft = desk.ed.ask("PATCH", line_of(line), 202, {"status": "withheld", "text": "Storm"})
    assert desk.node.get(line_of(line))["status"] == "withheld"
    assert (draft["kind"], draft["text"], draft["version"]) == ("correct", "Storm", 2)
    other = desk.ed.ask("POST", lines_of("en"), 201, {"text": "Quake"})
    assert desk.ed.ask("PATCH", line_of(other), 409, {"status": "withheld", "text": "XXX"})["warnings"]
    assert desk.node.get(line_of(other))["status"] == "withheld"


def test_a_contributor_reads_no_audit(desk: Desk) -> None:
    """Held words are in it."""
    line = desk.ed.ask("POST", lines_of("en"), 201, {"text": "Quake"})
    desk.cora.ask("GET", f"{line_of(line)}/audit", 403)


# Brakes


def test_a_brake_blocks_until_it_is_confirmed_by_its_name(desk: Desk) -> None:
    problem = desk.ed.ask("POST", lines_of("en"), 409, {"text": "XXX rain"})
    assert [(each["code"], each["field"], each["blocking"]) for each in problem["warnings"]] == [
        ("marker", "text", True)
    ]
    desk.ed.ask("POST", lines_of("en"), 409, {"text": "XXX rain", "confirm": ["script"]})
    line = desk.ed.ask("POST", lines_of("en"), 201, {"text": "XXX rain", "confirm": ["marker", "script"]})
    (version,) = desk.ed.ask("GET", f"{line_of(line)}/audit", 200)["versions"]
    assert version["confirmed"] == ["marker"]
    assert desk.ed.http.post(lines_of("en"), data={"text": "XXX snow", "confirm": "marker,script"}).status_code == 201


def test_other_words_of_a_scheduled_draft_pass_the_brakes_too(desk: Desk) -> None:
    """Nobody looks at them again before they go out."""
    draft = desk.ed.ask("POST", lines_of("en"), 202, {"text": "Rain", "publish_in": 600})
    for change, code in (
        ({"text": "DO NOT PUBLISH rain", "publish_in": 0}, "marker"),
        ({"text": "مطر غزير في المدينة"}, "script"),
    ):
        problem = desk.ed.ask("PATCH", draft_of(draft), 409, change)
        assert [each["code"] for each in problem["warnings"]] == [code]
        kept = desk.ed.ask("GET", draft_of(draft), 200)
        assert (kept["state"], kept["text"], kept["etag"]) == ("scheduled", "Rain", draft["etag"])
    edited = desk.ed.ask("PATCH", draft_of(draft), 200, {"text": "XXX rain", "confirm": ["marker"]})
    assert edited["state"] == "scheduled"
    # What was confirmed stays confirmed for these words, at another time too; and the audit has it.
    assert desk.ed.ask("PATCH", draft_of(draft), 200, {"note_to_desk": "Soon"})["state"] == "scheduled"
    desk.ed.ask("PATCH", draft_of(draft), 200, {"publish_in": 0})
    line = released(desk.ed, draft)["line"]
    (version,) = desk.ed.ask("GET", f"{lines_of('en')}/{line}/audit", 200)["versions"]
    assert (version["text"], version["confirmed"]) == ("XXX rain", ["marker"])


def test_an_urgency_or_a_line_s_other_text_passes_the_brakes_in_a_scheduled_draft(desk: Desk) -> None:
    for _ in range(2):
        desk.cora_too.ask("POST", lines_of("flashy"), 201, {"text": "Quake", "urgency": "flash"})
    draft = desk.ed.ask("POST", lines_of("flashy"), 202, {"text": "Rain", "publish_in": 300})
    problem = desk.ed.ask("PATCH", draft_of(draft), 409, {"urgency": "flash"})
    assert [each["code"] for each in problem["warnings"]] == ["flash-brake"]
    line = desk.ed.ask("POST", lines_of("en"), 201, {"text": "Teh ferry"})
    change = {"line": line["id"], "text": "The ferry", "refile": True, "publish_in": 600}
    correction = desk.ed.ask("POST", drafts_of("en"), 201, change)
    desk.ed.ask("POST", f"{draft_of(correction)}/submit", 200)
    problem = desk.ed.ask("PATCH", draft_of(correction), 409, {"text": "The ferry sank"})
    assert [each["code"] for each in problem["warnings"]] == ["refile"]
    problem = desk.ed.ask("PATCH", draft_of(correction), 409, {"text": "TK TK"})
    assert [each["code"] for each in problem["warnings"]] == ["marker", "refile"]
    for each in (draft, correction):
        desk.ed.ask("DELETE", draft_of(each), 200)


def test_what_is_handed_over_are_the_words_that_were_checked(desk: Desk) -> None:
    with ThreadPoolExecutor(2) as pool:
        for _ in range(40):
            draft = desk.ed.ask("POST", drafts_of("en"), 201, {"text": "Rain", "publish_in": 600})
            edit = pool.submit(desk.ann.http.patch, draft_of(draft), json={"text": "XXX rain"})
            handed_over = pool.submit(desk.ed.http.post, f"{draft_of(draft)}/submit")
            assert edit.result().status_code in (200, 409, 412)
            assert handed_over.result().status_code in (200, 409, 412)
            kept = desk.ed.ask("GET", draft_of(draft), 200)
            assert (kept["state"], kept["text"]) != ("scheduled", "XXX rain")
            desk.ed.ask("DELETE", draft_of(draft), 200)


def test_words_that_wait_for_a_person_are_looked_at_when_they_are_handed_on(desk: Desk) -> None:
    draft = desk.ed.ask("POST", drafts_of("en"), 201, {"text": "Rain", "publish_in": 600})
    desk.ed.ask("PATCH", draft_of(draft), 200, {"text": "XXX rain"})
    desk.ed.ask("POST", f"{draft_of(draft)}/submit", 409)
    desk.ed.ask("DELETE", draft_of(draft), 200)
    desk.ed.ask("PATCH", draft_of(draft), 422, {"confirm": ["rain"]})


@pytest.mark.parametrize(
    ("channel", "fields", "codes"),
    [
        ("en", {"text": "Test"}, ["marker"]),
        ("en", {"text": "DO-NOT-PUBLISH until noon"}, ["marker"]),
        ("en", {"text": "Lorem ipsum dolor"}, ["marker"]),
        ("en", {"text": "TKTK killed in storm"}, ["marker"]),
        ("ar", {"text": "اختبار"}, ["marker"]),
        ("en", {"text": "زلزال قوي يضرب الساحل"}, ["script"]),
        ("ar", {"text": "Strong quake hits the coast"}, ["script"]),
        ("en", {"text": "زلزال قوي يضرب الساحل", "language": "ar"}, []),
        ("en", {"text": "Testing of the vaccine begins"}, []),
        ("en", {"text": "Super Bowl XXXI"}, []),
        ("ar", {"text": "حلف NATO يجتمع في بروكسل"}, []),
    ],
)
def test_what_the_brakes_hold(desk: Desk, channel: str, fields: Object, codes: list[str]) -> None:
    answer = desk.ed.ask("POST", f"{lines_of(channel)}/check", 200, fields)
    assert [each["code"] for each in answer["warnings"] if each["blocking"]] == codes
    status = desk.ed.http.post(lines_of(channel), json=fields).status_code
    assert status == (409 if codes else 201)


def test_a_line_of_a_program_that_can_not_confirm_becomes_a_draft(desk: Desk) -> None:
    draft = desk.ed.ask("POST", lines_of("en"), 202, {"text": "XXX rain", "on_brake": "draft"})
    assert (draft["state"], "XXX" in draft["note_to_desk"]) == ("submitted", True)
    assert desk.ann.ask("POST", f"{draft_of(draft)}/approve", 409)["warnings"][0]["code"] == "marker"
    desk.ann.ask("POST", f"{draft_of(draft)}/approve", 200, {"confirm": ["marker"], "publish_in": 0})
    assert released(desk.ann, draft)["line"]


def test_a_third_flash_and_a_fourth_line_of_one_key_need_a_confirmation(desk: Desk) -> None:
    flash = {"urgency": "flash"}
    for number in (1, 2):
        desk.ann.ask("POST", lines_of("braked"), 201, {"text": f"Flash {number}", **flash})
    problem = desk.ann.ask("POST", lines_of("braked"), 409, {"text": "Flash 3", **flash})
    assert [each["code"] for each in problem["warnings"]] == ["flash-brake"]
    line = desk.ann.ask("POST", lines_of("braked"), 201, {"text": "No flash"})
    assert desk.ann.ask("PATCH", line_of(line), 409, flash)["warnings"][0]["code"] == "flash-brake"
    assert desk.ann.ask("PATCH", line_of(line), 200, {"status": "withheld"})
    problem = desk.ann.ask("POST", lines_of("braked"), 409, {"text": "One more"})
    assert [each["code"] for each in problem["warnings"]] == ["burst"]
    desk.bob.ask("POST", lines_of("braked"), 201, {"text": "Another person's"})


def codes(problem: Object) -> list[str]:
    return [each["code"] for each in problem["warnings"]]


def test_what_is_scheduled_counts_for_the_brakes_as_what_is_on_air_does(desk: Desk) -> None:
    """A programme that has run wild publishes with a hold, too."""
    flash = {"urgency": "flash"}
    later = {"publish_in": 3_000}
    drafts = [desk.ann.ask("POST", lines_of("counted"), 202, {"text": f"Flash {n}", **flash, **later}) for n in "12"]
    assert codes(desk.ann.ask("POST", lines_of("counted"), 409, {"text": "Flash 3", **flash, **later})) == [
        "flash-brake"
    ]
    desk.ann.ask("POST", lines_of("counted"), 201, {"text": "Flash 4", **flash})
    drafts.append(desk.ann.ask("POST", lines_of("counted"), 202, {"text": "Flash 5", **flash, "publish_in": 9_000}))
    # Nor are three of them brought together afterwards.
    assert codes(desk.ann.ask("PATCH", draft_of(drafts[-1]), 409, {"publish_in": 2_900})) == ["flash-brake"]
    assert codes(desk.ann.ask("POST", f"{draft_of(drafts[-1])}/publish", 409, {"publish_in": 3_100})) == ["flash-brake"]
    moved = {"publish_in": 2_900, "confirm": ["flash-brake"]}
    assert desk.ann.ask("PATCH", draft_of(drafts[-1]), 200, moved)["state"] == "scheduled"
    # Four lines of one key: three scheduled, one on air.
    assert codes(desk.ann.ask("POST", lines_of("counted"), 409, {"text": "No flash"})) == ["burst"]
    assert codes(desk.ann.ask("POST", lines_of("counted"), 409, {"text": "No flash", **later})) == ["burst"]
    desk.bob.ask("POST", lines_of("counted"), 201, {"text": "Another person's"})
    for draft in drafts:
        desk.ann.ask("DELETE", draft_of(draft), 200)
    desk.ann.ask("POST", lines_of("counted"), 201, {"text": "No flash"})


def test_a_line_that_became_a_flash_counts_as_one(desk: Desk) -> None:
    lines = [desk.bob.ask("POST", lines_of("raised"), 201, {"text": f"Line {n}"}) for n in range(3)]
    for line in lines[:2]:
        desk.bob.ask("PATCH", line_of(line), 200, {"urgency": "flash"})
        desk.bob.ask("PATCH", line_of(line), 200, {"text": f"Corrected {line['id']}"})  # the same flash
    assert codes(desk.bob.ask("PATCH", line_of(lines[2]), 409, {"urgency": "flash"})) == ["flash-brake"]
    assert codes(desk.bob.ask("POST", lines_of("raised"), 409, {"text": "Flash", "urgency": "flash"})) == [
        "flash-brake"
    ]


def test_many_at_once_pass_no_brake_that_one_after_another_would_not(desk: Desk) -> None:
    with ThreadPoolExecutor(8) as pool:
        flash = {"text": "Flash", "urgency": "flash"}
        asked = [pool.submit(desk.ann.http.post, lines_of("flashy-too"), json=flash) for _ in range(8)]
        assert sorted(each.result().status_code for each in asked) == [201, 201, *6 * [409]]


def test_a_slip_is_mended_silently_and_more_than_a_slip_is_not(desk: Desk) -> None:
    line = desk.ed.ask("POST", lines_of("en"), 201, {"text": "Teh 5 trains are late"})
    mended = desk.ed.ask("PATCH", line_of(line), 200, {"text": "The 5 trains are late", "refile": True})
    assert (mended["version"], mended["corrected"]) == (2, None)
    for text in ("The 6 trains are late", "The 5 trains are not late"):
        problem = desk.ed.ask("PATCH", line_of(line), 409, {"text": text, "refile": True})
        assert [each["code"] for each in problem["warnings"]] == ["refile"]
    given = {"text": "The 6 trains are late", "refile": True, "confirm": ["refile"]}
    assert desk.ed.ask("PATCH", line_of(line), 200, given)["corrected"] is None
    assert desk.ed.ask("PATCH", line_of(line), 422, {"refile": True})["errors"][0]["field"] == "text"
    given = {"text": "The 6 trains are latex", "refile": True, "pinned": True}
    assert desk.ed.ask("PATCH", line_of(line), 422, given)["errors"][0]["field"] == "pinned"
    audit = desk.ed.ask("GET", f"{line_of(line)}/audit", 200)["versions"]
    assert [version["refile"] for version in audit] == [False, True, True]


def test_a_check_publishes_nothing_and_says_what_to_look_at(desk: Desk) -> None:
    known = desk.ed.ask("POST", lines_of("en"), 201, {"text": "Bridge over the river closed for repairs"})
    desk.ed.ask("POST", lines_of("ar"), 201, {"text": "إغلاق الجسر", "story": "bridge"})
    before = desk.node.get(f"{lines_of('en')}")["cursor"]
    given = {"text": "Bridge  over river is closed for repairs\u200b", "url": "http://example.com/", "story": "bridge"}
    answer = desk.ed.ask("POST", f"{lines_of('en')}/check", 200, given)
    assert {each["code"] for each in answer["warnings"]} == {"no-source", "link", "spaces", "invisible", "duplicate"}
    assert not any(each["blocking"] for each in answer["warnings"])
    assert [line["id"] for line in answer["similar"]] == [known["id"]]
    assert [each["channel"] for each in answer["reach"]["channels"]] == ["en", "ar"]
    assert set(answer["reach"]["lacking"]) == CHANNELS - {"en", "ar"}
    assert desk.node.get(f"{lines_of('en')}")["cursor"] == before
    arabic = {"text": "إِغْلَاقُ الجِسْر", "story": "other"}
    assert desk.ed.ask("POST", f"{lines_of('ar')}/check", 200, arabic)["similar"]


# One request, with each outcome


@pytest.mark.parametrize(
    ("channel", "body"),
    [
        ("en", {"text": "Later", "publish_in": 600}),
        ("strict", {"text": "Flash", "urgency": "flash"}),
        ("en", {"text": "XXX", "on_brake": "draft"}),
    ],
)
def test_a_request_that_comes_twice_becomes_one_draft(desk: Desk, channel: str, body: Object) -> None:
    once = str(uuid.uuid4())
    first = desk.ed.ask("POST", lines_of(channel), 202, body, Idempotency_Key=once)
    again = desk.ed.http.post(lines_of(channel), json=body, headers={"Idempotency-Key": once})
    assert (again.status_code, again.json()["id"]) == (202, first["id"])
    assert again.headers["idempotency-replayed"] == "true"
    desk.ed.ask("POST", lines_of(channel), 422, {**body, "text": "Other"}, Idempotency_Key=once)
    desk.ed.ask("DELETE", draft_of(first), 200)


# The lock


def test_while_the_desk_is_locked_nothing_goes_out_but_a_withhold(desk: Desk) -> None:
    line, other = (desk.ann.ask("POST", lines_of("en"), 201, {"text": text}) for text in ("Rain", "Hail"))
    held = desk.ann.ask("PATCH", line_of(other), 200, {"status": "withheld"})
    draft = desk.ed.ask("POST", lines_of("en"), 202, {"text": "Due soon", "publish_in": 0.3})
    locks = desk.ann.ask("PUT", "/v1/lock", 200, {"reason": "An account was taken over"})["locks"]
    assert [(each["channel"], each["reason"], each["by"]) for each in locks] == [
        (slug, "An account was taken over", desk.ann.actor) for slug in sorted(CHANNELS)
    ]
    assert desk.cora.ask("GET", "/v1/lock", 200)["locks"] == locks
    problem = desk.ann.ask("POST", lines_of("en"), 423, {"text": "Snow"})
    assert "An account was taken over" in problem["detail"]
    desk.ann.ask("PATCH", line_of(line), 423, {"text": "Snow"})
    desk.ann.ask("PATCH", line_of(line), 423, {"text": "Snow", "refile": True, "confirm": ["refile"]})
    desk.ann.ask("PATCH", line_of(held), 423, {"status": "usable"})
    desk.ann.ask("POST", f"{draft_of(draft)}/publish", 423)
    assert desk.ed.ask("PATCH", line_of(line), 200, {"status": "withheld"})["status"] == "withheld"
    assert desk.ann.ask("DELETE", line_of(line), 423)
    until(lambda: moment(desk.node.get(lines_of("en"))["now"]) > moment(draft["publish_at"]) + timedelta(seconds=0.3))
    assert desk.ed.ask("GET", draft_of(draft), 200)["state"] == "scheduled"
    assert "Another person" in desk.ann.ask("DELETE", "/v1/lock", 403)["detail"]
    desk.ed.ask("DELETE", "/v1/lock", 403)
    assert desk.bob.ask("DELETE", "/v1/lock", 200)["locks"] == []
    assert released(desk.ed, draft)["line"]


def test_a_cancel_under_the_lock_withholds_at_once(desk: Desk) -> None:
    line = desk.ann.ask("POST", lines_of("en"), 201, {"text": "Wrong"})
    desk.bob.ask("PUT", "/v1/lock", 200, {"reason": "A check", "channels": ["en"]})
    desk.ann.ask("POST", lines_of("ar"), 201, {"text": "مطر"})
    desk.ann.ask("DELETE", line_of(line), 423)
    assert desk.node.get(line_of(line))["status"] == "withheld"
    desk.node.http.delete("/v1/lock")  # an admin may, even if another person locked it
    assert desk.ann.ask("DELETE", line_of(line), 200)["status"] == "canceled"


@pytest.mark.parametrize(
    "body", [{}, {"reason": ""}, {"reason": "x", "channels": []}, {"reason": "x", "channels": ["xx"]}]
)
def test_a_lock_that_says_nothing_is_refused(desk: Desk, body: Object) -> None:
    desk.ann.ask("PUT", "/v1/lock", 422, body)
    assert desk.ann.ask("GET", "/v1/lock", 200)["locks"] == []


# Nobody outside


def test_a_draft_is_nothing_to_those_who_may_not_see_it(desk: Desk) -> None:
    draft = desk.ed.ask("POST", drafts_of("en"), 201, {"text": "Secret embargo", "note_to_desk": "Secret note"})
    unknown = "d_" + "0" * 32
    with httpx.Client(base_url=desk.node.url) as nobody:
        for template in (
            "/v1/channels/en/drafts/{}",
            "/v1/channels/en/lines/{}",
            "/v1/channels/en/lines/{}/versions",
            "/v1/channels/en/lines/{}/audit",
            "/channels/en/{}",
            "/v1/channels/en/events?after={}",
        ):
            answers = [nobody.get(template.format(each)) for each in (draft["id"], unknown)]
            assert_alike(answers[0], answers[1], draft["id"], unknown)
        for method, action in itertools.product(("GET", "POST", "PATCH", "DELETE"), ("", "/approve", "/publish")):
            answers = [
                nobody.request(method, f"/v1/channels/en/drafts/{each}{action}") for each in (draft["id"], unknown)
            ]
            assert_alike(answers[0], answers[1], draft["id"], unknown)
    for method, action in itertools.product(("GET", "POST", "PATCH", "DELETE"), ("", "/submit", "/approve", "/return")):
        answers = [
            desk.cora.http.request(method, f"{drafts_of('en')}/{each}{action}", json={})
            for each in (draft["id"], unknown)
        ]
        assert answers[0].status_code in (403, 404, 405)
        assert_alike(answers[0], answers[1], draft["id"], unknown)
    assert draft["id"] not in [each["id"] for each in desk.cora.ask("GET", drafts_of("en"), 200)["drafts"]]
    desk.ed.ask("GET", f"{drafts_of('ar')}/{draft['id']}", 404)


def test_an_answer_takes_as_long_for_a_draft_as_for_none(desk: Desk) -> None:
    """To those who may not see it. Noise passes by itself, so it counts if one of some tries is alike."""
    draft = desk.ed.ask("POST", drafts_of("en"), 201, {"text": "Secret embargo " * 10, "note_to_desk": "Secret note"})
    ids = (draft["id"], "d_" + "0" * 32)
    with httpx.Client(base_url=desk.node.url) as nobody:
        for who, template in (
            (nobody, "/v1/channels/en/drafts/{}"),
            (nobody, "/v1/channels/en/lines/{}"),
            (desk.cora.http, "/v1/channels/en/drafts/{}"),
        ):
            paths = [template.format(each) for each in ids]
            ratios = [ratio_of_medians(who, paths[0], paths[1]) for _ in range(3)]
            while not any(0.85 <= ratio <= 1.15 for ratio in ratios) and len(ratios) < 12:
                ratios.append(ratio_of_medians(who, paths[0], paths[1]))
            assert any(0.85 <= ratio <= 1.15 for ratio in ratios), f"{template}: {ratios}"


def ratio_of_medians(who: httpx.Client, one: str, other: str) -> float:
    """How much longer the answers to the one take, asked for in turn with the other."""
    took: dict[str, list[float]] = {one: [], other: []}
    for path in [one, other, other, one] * 50:
        began = time.perf_counter()
        who.get(path)
        took[path].append(time.perf_counter() - began)
    return statistics.median(took[one]) / statistics.median(took[other])


def assert_alike(one: httpx.Response, other: httpx.Response, one_id: str, other_id: str) -> None:
    timely = ("date", "connection")  # the connection is kept if the body came with the head

    def shape(answer: httpx.Response, draft_id: str) -> tuple[int, dict[str, str], str]:
        headers = {name: value for name, value in answer.headers.items() if name not in timely}
        return answer.status_code, headers, answer.text.replace(draft_id, "ID")

    assert shape(one, one_id) == shape(other, other_id)


def test_no_word_of_a_draft_is_public_or_logged_before_its_time(desk: Desk) -> None:
    with connect(f"ws://127.0.0.1:{desk.node.port}/v1/live?channel=en") as reader:
        reader.recv(WITHIN)
        line = desk.ed.ask("POST", lines_of("en"), 201, {"text": "Known already"})
        given = {"text": "Secret embargo", "source": "Secret AP", "note_to_desk": "Secret note", "publish_in": 600}
        draft = desk.ed.ask("POST", lines_of("en"), 202, given)
        change = desk.ed.ask("PATCH", line_of(line), 202, {"text": "Secret correction", "publish_in": 600})
        desk.ed.ask("POST", f"{draft_of(draft)}/return", 200, {"reason": "Secret reason"})
        desk.ed.ask("POST", lines_of("en"), 409, {"text": "Secret XXX"})
        desk.ed.ask("POST", f"{lines_of('en')}/check", 200, {"text": "Secret check"})
        desk.ed.ask("DELETE", draft_of(change), 200)
        desk.ed.ask("POST", lines_of("en"), 201, {"text": "The end"})
        heard = [str(reader.recv(WITHIN)) for _ in range(2)]
    said = {path: httpx.get(desk.node.url + path).text for path in public(line)}
    said |= {"reader": "".join(heard), "log": desk.node.log, "stdout": desk.node.said}
    assert "The end" in said["reader"]
    for where, words in said.items():
        assert "ecret" not in words, where
        assert draft["id"] not in words, where


def public(line: Object) -> list[str]:
    return [
        lines_of("en"),
        line_of(line),
        f"{line_of(line)}/versions",
        "/v1/channels/en/events",
        "/v1/channels",
        "/channels/en",
        "/embed/en",
        "/demo",
        "/readyz",
    ]


# Who may do what


def test_the_lists_have_what_they_say(desk: Desk) -> None:
    mine = desk.cora.ask("POST", drafts_of("en"), 201, {"text": "Cora's own"})
    assert [each["id"] for each in desk.cora.ask("GET", f"{drafts_of('en')}?state=open", 200)["drafts"]] == [mine["id"]]
    every: list[str] = []
    after = ""
    while True:
        page = desk.ed.ask("GET", f"{drafts_of('en')}?state=open,released,discarded&limit=3{after}", 200)
        every += [each["id"] for each in page["drafts"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert len(every) == len(set(every)) > 3
    assert mine["id"] in every
    answer = desk.ed.http.get(drafts_of("en"))
    assert desk.ed.http.get(drafts_of("en"), headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    desk.cora.ask("PATCH", draft_of(mine), 200, {"text": "Cora's own, again"})
    until(
        lambda: desk.ed.http.get(drafts_of("en"), headers={"If-None-Match": answer.headers["etag"]}).status_code == 200
    )
    for query in ("state=none", "limit=0", "limit=1000", "limit=x", "states=open"):
        desk.ed.ask("GET", f"{drafts_of('en')}?{query}", 422)


# What becomes a draft, for a second person to agree to.
PROPOSED = {("contributor", "publish"), ("contributor", "cancel"), ("editor", "cancel")}


@pytest.mark.parametrize("reached", [True, False], ids=["reached", "not reached"])
@pytest.mark.parametrize("own", [True, False], ids=["own", "another's"])
@pytest.mark.parametrize("action", get_args(Action))
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_the_table_says(desk: Desk, role: Any, action: Action, own: bool, reached: bool) -> None:
    limited = role in ("contributor", "editor")
    who = Person(desk.node, f"{role} {uuid.uuid4()}", role, *(["en" if reached else "ar"] if limited else []))
    try:
        reaches = reached or not limited
        status = tried(desk, who, action, own=own and reaches)
        if not reaches and action not in ("lock", "administer"):
            assert status == 403
        elif may(role, action):
            assert status in (200, 201)
        elif (role, action) in PROPOSED:
            assert status == 202
        elif action in ("edit", "approve") and not own:
            assert status == 404  # a contributor doesn't see it
        elif action == "edit":
            assert status == 200  # one's own
        else:
            assert status == 403
    finally:
        who.close()


def tried(desk: Desk, who: Person, action: Action, *, own: bool) -> int:
    """The answer's status to a request that takes this action, on one's own line or draft or on Bob's."""
    author = who if own else desk.bob
    http = who.http
    match action:
        case "draft":
            return http.post(drafts_of("en"), json={"text": "A draft"}).status_code
        case "publish":
            return http.post(lines_of("en"), json={"text": "A line"}).status_code
        case "withhold" | "cancel":
            line = a_line(desk, author)
            if action == "withhold":
                return http.patch(line_of(line), json={"status": "withheld"}).status_code
            return http.request("DELETE", line_of(line)).status_code
        case "edit":
            draft = author.ask("POST", drafts_of("en"), 201, {"text": "A draft"})
            return http.patch(draft_of(draft), json={"text": "Another"}).status_code
        case "approve":
            draft = author.ask("POST", drafts_of("en"), 201, {"text": "A draft"})
            author.ask("POST", f"{draft_of(draft)}/submit", 200)
            return http.post(f"{draft_of(draft)}/return", json={"reason": "Which one?"}).status_code
        case "lock":
            status = http.put("/v1/lock", json={"reason": "A test", "channels": ["ar"]}).status_code
            desk.node.http.delete("/v1/lock")
            return status
        case "administer":
            return http.get("/v1/keys").status_code


def a_line(desk: Desk, author: Person) -> Object:
    """On the air, with any author."""
    answer = author.http.post(lines_of("en"), json={"text": "A line"})
    if answer.status_code == 202:  # a contributor's
        desk.ann.ask("POST", f"{draft_of(answer.json())}/approve", 200, {"publish_in": 0})
        draft = released(desk.ann, answer.json())
        found: Object = desk.node.get(f"{lines_of('en')}/{draft['line']}")
        return found
    line: Object = answer.json()
    return line
