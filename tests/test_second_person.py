"""Nothing goes out without whom it needs; what was taken off the air stays off. An attacker tried all of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.conftest import RunningNode
from tests.desk import Object, Person, draft_of, drafts_of, line_of, lines_of
from tests.redis_servers import RedisServer, until
from ticker.desk.checks import RECENT_MAX

CONFIG = """[channels.en]
language = "en"
hold = "0s"
[channels.strict]
language = "en"
hold = "0s"
approve = ["flash", "correct", "cancel"]
[channels.braked]
language = "en"
hold = "0s"
burst_brake = "2 in 10m"
[channels.flashy]
language = "en"
flash_brake = "2 in 10m"
[channels.secret]
language = "en"
flash_brake = "2 in 10m"
[channels.brief]
language = "en"
flash_brake = "2 in 1m"
[channels.short]
language = "en"
flash_brake = "2 in 2s"
"""


class Desk(NamedTuple):
    node: RunningNode
    cora: Person  # a contributor
    ed: Person
    eve: Person  # another editor
    ann: Person  # a chief
    bob: Person  # another one


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("second")
    server = RedisServer(folder / "redis") if request.param == "redis" else None
    node = RunningNode(folder, *(["--newswire", server.url] if server else []), config=CONFIG)
    people = [
        Person(node, name, role)
        for name, role in (
            ("Cora", "contributor"),
            ("Ed", "editor"),
            ("Eve", "editor"),
            ("Ann", "chief"),
            ("Bob", "chief"),
        )
    ]
    yield Desk(node, *people)
    for person in people:
        person.close()
    node.close()
    if server:
        server.close()


def a_line(desk: Desk, channel: str, text: str = "Rain in town") -> Object:
    return desk.ed.ask("POST", lines_of(channel), 201, {"text": text})


def shown(desk: Desk, line: Object) -> Object:
    found: Object = desk.node.get(line_of(line))
    return found


def versions(desk: Desk, line: Object) -> list[Object]:
    found: list[Object] = desk.ed.ask("GET", f"{line_of(line)}/audit", 200)["versions"]
    return found


# A note is words


def test_other_words_in_the_note_of_a_release_need_a_second_person(desk: Desk) -> None:
    line = a_line(desk, "strict")
    noted = {"status": "usable", "note": "The mayor has resigned"}
    for given in (noted, noted | {"publish_in": 600}):  # it is on the air already: this is a correction
        draft = desk.ed.ask("PATCH", line_of(line), 202, given)
        assert (draft["state"], draft["needs_approval"]) == ("submitted", True)
    assert shown(desk, line)["note"] is None
    desk.ed.ask("PATCH", line_of(line), 200, {"status": "withheld", "note": "Being checked"})
    draft = desk.ed.ask("PATCH", line_of(line), 202, noted)
    assert (draft["kind"], draft["state"]) == ("release", "submitted")
    again = desk.ed.ask("POST", drafts_of("strict"), 201, noted | {"line": line["id"], "publish_in": 600})
    assert desk.ed.ask("POST", f"{draft_of(again)}/submit", 200)["state"] == "submitted"
    assert shown(desk, line)["status"] == "withheld"
    assert desk.ed.ask("PATCH", line_of(line), 200, {"status": "usable"})["note"] is None  # no words, no second person


def test_another_note_of_a_line_that_is_withheld_already_is_no_withholding(desk: Desk) -> None:
    line = a_line(desk, "strict")
    desk.ed.ask("PATCH", line_of(line), 200, {"status": "withheld", "note": "Being checked"})
    noted = {"status": "withheld", "note": "The mayor has resigned"}
    draft = desk.ed.ask("PATCH", line_of(line), 202, noted)
    assert (draft["kind"], draft["note"]) == ("correct", noted["note"])
    other = a_line(desk, "en")
    desk.ed.ask("PATCH", line_of(other), 200, {"status": "withheld", "note": "Being checked"})
    desk.ann.ask("PUT", "/v1/lock", 200, {"reason": "Taken over", "channels": ["en"]})
    desk.ed.ask("PATCH", line_of(other), 423, noted)
    desk.ed.ask("PATCH", line_of(other), 200, {"status": "withheld"})
    desk.bob.ask("DELETE", "/v1/lock", 200)
    assert shown(desk, line)["note"] == shown(desk, other)["note"] == "Being checked"


@pytest.mark.parametrize("field", ["text", "source", "note"])
def test_what_is_not_meant_for_the_public_is_seen_in_every_field_that_it_reads(desk: Desk, field: str) -> None:
    marked = {"text": "Rain", field: "Ed: DO NOT PUBLISH"}
    problem = desk.ed.ask("POST", lines_of("en"), 409, marked)
    assert [(each["code"], each["field"]) for each in problem["warnings"]] == [("marker", field)]
    line = a_line(desk, "en")
    desk.ed.ask("PATCH", line_of(line), 409, {field: marked[field]})
    draft = desk.ed.ask("POST", drafts_of("en"), 201, marked)
    desk.ed.ask("POST", f"{draft_of(draft)}/submit", 409)
    desk.ed.ask("PATCH", line_of(line), 200, {field: marked[field], "confirm": ["marker"]})
    desk.ed.ask("PATCH", line_of(line), 200, {field: marked[field], "pinned": True})  # nothing new is said


def test_a_withhold_goes_on_without_a_note_that_is_not_meant_for_the_public(desk: Desk) -> None:
    line = a_line(desk, "en")
    problem = desk.ed.ask("PATCH", line_of(line), 409, {"status": "withheld", "note": "XXX wrong"})
    assert problem["detail"].startswith("The line is withheld. The note has “XXX” in it")
    assert (shown(desk, line)["status"], shown(desk, line)["note"]) == ("withheld", None)
    problem = desk.ann.ask("DELETE", line_of(line), 409, {"note": "XXX wrong"})
    assert [each["field"] for each in problem["warnings"]] == ["note"]
    assert shown(desk, line)["status"] == "withheld"
    desk.ann.ask("DELETE", line_of(line), 422, {"note": "XXX wrong", "confirm": ["all"]})
    desk.ann.ask("DELETE", line_of(line), 200, {"note": "XXX wrong", "confirm": ["marker"]})
    assert (shown(desk, line)["status"], shown(desk, line)["note"]) == ("canceled", "XXX wrong")
    assert versions(desk, line)[-1]["confirmed"] == ["marker"]


# Off the air is off the air


@pytest.mark.parametrize("how", ["PATCH", "DELETE"])
@pytest.mark.parametrize("given", [{"status": "usable"}, {"status": "usable", "text": "Rain in the hills"}])
def test_a_line_that_is_withheld_again_does_not_come_back_by_itself(desk: Desk, how: str, given: Object) -> None:
    line = a_line(desk, "en")
    desk.ed.ask("PATCH", line_of(line), 200, {"status": "withheld"})
    waiting = desk.ed.ask("PATCH", line_of(line), 202, given | {"publish_in": 600})
    asked = desk.cora.ask("PATCH", line_of(line), 202, given)
    written = desk.ed.ask("POST", drafts_of("en"), 201, given | {"line": line["id"]})
    beside = desk.ed.ask("PATCH", line_of(line), 202, {"text": "Rain in the south", "publish_in": 600})
    if how == "PATCH":
        desk.eve.ask("PATCH", line_of(line), 200, {"status": "withheld"})
    else:
        desk.eve.ask("DELETE", line_of(line), 202)
    for each, state in ((waiting, "conflict"), (asked, "conflict"), (written, "open"), (beside, "scheduled")):
        draft = desk.ed.ask("GET", draft_of(each), 200)
        assert draft["state"] == state
    last = desk.ed.ask("GET", draft_of(waiting), 200)["history"][-1]
    assert (last["did"], last["by"]) == ("conflict", desk.eve.actor)
    assert "withheld again" in last["note"]
    assert shown(desk, line)["status"] == "withheld"


@pytest.mark.parametrize("how", ["waits", "braked", "locked", "canceled under the lock"])
def test_a_withhold_that_can_not_change_the_note_stops_a_release_too(desk: Desk, how: str) -> None:
    channel = "strict" if how == "waits" else "en"
    line = a_line(desk, channel)
    desk.ed.ask("PATCH", line_of(line), 200, {"status": "withheld"})
    release = desk.ed.ask("PATCH", line_of(line), 202, {"status": "usable", "publish_in": 600})
    assert release["state"] == "scheduled"
    if "lock" in how:
        desk.ann.ask("PUT", "/v1/lock", 200, {"reason": "Taken over", "channels": [channel]})
    if how == "canceled under the lock":
        desk.ann.ask("DELETE", line_of(line), 423, {"note": "Wrong"})
    else:
        note = "XXX wrong" if how == "braked" else "Another note"
        status = {"waits": 202, "braked": 409, "locked": 423}[how]
        desk.eve.ask("PATCH", line_of(line), status, {"status": "withheld", "note": note})
    if "lock" in how:
        desk.bob.ask("DELETE", "/v1/lock", 200)
    assert desk.ed.ask("GET", draft_of(release), 200)["state"] == "conflict"
    # An editor decides: the draft names the version again, and may be submitted again.
    assert desk.ed.ask("PATCH", draft_of(release), 200, {"version": release["version"]})["state"] == "open"
    desk.ed.ask("DELETE", draft_of(release), 200)


@pytest.mark.parametrize("undone", ["withheld", "returned"])
def test_what_was_undone_while_it_waited_for_its_turn_does_not_go_out(desk: Desk, undone: str) -> None:
    """On a channel that counts, one change after another is judged."""
    for _ in range(5):
        line = desk.ann.ask("POST", lines_of("braked"), 201, {"text": "Rain in town", "confirm": ["burst"]})
        desk.ed.ask("PATCH", line_of(line), 200, {"status": "withheld"})
        draft = desk.cora.ask("PATCH", line_of(line), 202, {"status": "usable"})
        with ThreadPoolExecutor(45) as pool:
            for n in range(40):
                pool.submit(desk.bob.http.post, lines_of("braked"), json={"text": f"Rain {n}"})
            time.sleep(0.005)
            released = pool.submit(
                desk.ann.http.post, f"{draft_of(draft)}/publish", headers={"If-Match": draft["etag"]}
            )
            time.sleep(0.01)
            if undone == "withheld":
                answer = desk.eve.http.patch(line_of(line), json={"status": "withheld"})
            else:
                answer = desk.eve.http.post(f"{draft_of(draft)}/return", json={"reason": "Wait"})
            decided = released.result()
        if undone == "withheld":
            assert answer.status_code == 200
            assert shown(desk, line)["status"] == "withheld"
        elif answer.status_code == 200:
            assert decided.status_code == 412, decided.text
            assert shown(desk, line)["status"] == "withheld"


def test_a_note_given_with_a_withhold_does_not_come_back_with_the_line(desk: Desk) -> None:
    line = a_line(desk, "strict")
    noted = {"note": "The mayor has resigned"}
    desk.ed.ask("PATCH", line_of(line), 200, {"status": "withheld"} | noted)
    desk.ed.ask("PATCH", line_of(line), 202, {"status": "usable"} | noted)
    assert shown(desk, line)["status"] == "withheld"


def test_two_who_withhold_at_once_do_not_write_over_each_other_s_note(desk: Desk) -> None:
    for _ in range(10):
        line = a_line(desk, "strict")
        with ThreadPoolExecutor(2) as pool:
            asked = [
                pool.submit(each.http.patch, line_of(line), json={"status": "withheld", "note": f"By {each.name}"})
                for each in (desk.ed, desk.eve)
            ]
            answers = sorted(each.result().status_code for each in asked)
        assert answers == [200, 202], "one of them is a correction, which needs a second person"
        assert len(versions(desk, line)) == 2


# An approval is for these words at this time


def test_nobody_moves_what_was_approved_for_another_time(desk: Desk) -> None:
    flash = {"text": "Polls have closed", "urgency": "flash", "publish_in": 3_600}
    draft = desk.ed.ask("POST", lines_of("strict"), 202, flash)
    due = desk.ann.ask("POST", f"{draft_of(draft)}/approve", 200)["publish_at"]
    for sooner in ({}, {"publish_in": 1}, {"publish_in": 7_200}):
        problem = desk.ed.ask("POST", f"{draft_of(draft)}/publish", 403, sooner)
        assert "another time" in problem["detail"]
    kept = desk.ed.ask("GET", draft_of(draft), 200)
    assert (kept["state"], kept["publish_at"]) == ("scheduled", due)
    desk.ed.ask("PATCH", draft_of(draft), 200, {"publish_in": 60})  # which takes the approval away
    desk.ed.ask("POST", f"{draft_of(draft)}/publish", 409)
    assert desk.ed.ask("GET", draft_of(draft), 200)["state"] == "submitted"
    desk.ann.ask("POST", f"{draft_of(draft)}/approve", 200)
    assert desk.eve.ask("POST", f"{draft_of(draft)}/publish", 200)["state"] == "released"


# What is judged is what is changed


def test_a_slip_is_mended_in_the_words_that_it_was_compared_with(desk: Desk) -> None:
    with ThreadPoolExecutor(2) as pool:
        for n in range(30):
            line = a_line(desk, "en", f"Rain in town {n}")
            refile = {"text": f"Rain in tomn {n}", "refile": True}
            mended = pool.submit(desk.ed.http.patch, line_of(line), json=refile, headers={"If-Match": "*"})
            other = pool.submit(desk.eve.http.patch, line_of(line), json={"text": "Fire at the port"})
            assert other.result().status_code == 200
            answer = mended.result()
            assert answer.status_code in (200, 409), answer.text
            if answer.status_code == 200:
                assert answer.json()["version"] == 2, "it took other words off the air, as a slip of the pen"


def test_many_slips_are_a_correction(desk: Desk) -> None:
    line = a_line(desk, "en", "Three killed")
    desk.ed.ask("PATCH", line_of(line), 200, {"text": "Tine killed", "refile": True})
    problem = desk.ed.ask("PATCH", line_of(line), 409, {"text": "Nine killed", "refile": True})
    assert [each["code"] for each in problem["warnings"]] == ["refile"]
    for pinned in (True, False):  # which says nothing
        desk.ed.ask("PATCH", line_of(line), 200, {"pinned": pinned})
        desk.ed.ask("PATCH", line_of(line), 409, {"text": "Nine killed", "refile": True})
    desk.ed.ask("PATCH", line_of(line), 200, {"text": "Nine killed"})
    desk.ed.ask("PATCH", line_of(line), 200, {"text": "Nine kiled", "refile": True})


def test_a_slip_in_canceled_words_tells_nothing_of_them(desk: Desk) -> None:
    line = a_line(desk, "en", "Rain in town")
    desk.ann.ask("DELETE", line_of(line), 200, {"note": "Wrong"})
    guesses = ({"text": "Rain in towm", "refile": True}, {"text": "Something else", "refile": True})
    assert len({desk.cora.ask("PATCH", line_of(line), 409, guess)["detail"] for guess in guesses}) == 1
    desk.ann.ask("DELETE", line_of(line), 409, {"note": "Another note"})


# Time


def test_flashes_are_counted_at_the_time_at_which_they_go_out(desk: Desk) -> None:
    flash = {"text": "Quake", "urgency": "flash"}
    old = desk.cora.ask("POST", lines_of("brief"), 202, flash | {"publish_in": 0.2})
    until(lambda: desk.ed.ask("GET", draft_of(old), 200)["due"]["in"] < -5)
    for _ in range(2):
        desk.ed.ask("POST", lines_of("brief"), 202, flash | {"publish_in": 600})
    problem = desk.ann.ask("POST", f"{draft_of(old)}/approve", 409, {"publish_in": 600})
    assert [each["code"] for each in problem["warnings"]] == ["flash-brake"]
    approved = desk.ann.ask("POST", f"{draft_of(old)}/approve", 200, {"publish_in": 1_200})
    assert approved["due"]["in"] > 1_000
    desk.ann.ask("POST", f"{draft_of(old)}/approve", 409, {"sources": "The mayor"})  # told, not dropped


def test_an_approver_s_time_takes_the_place_of_the_writer_s(desk: Desk) -> None:
    draft = desk.cora.ask("POST", lines_of("en"), 202, {"text": "Rain", "publish_in": 60})
    approved = desk.ann.ask("POST", f"{draft_of(draft)}/approve", 200, {"publish_in": 600})
    assert approved["due"]["in"] > 500


def test_a_submitted_draft_that_gets_a_time_later_is_scheduled(desk: Desk) -> None:
    draft = desk.ed.ask("POST", drafts_of("en"), 201, {"text": "Rain"})
    assert desk.ed.ask("POST", f"{draft_of(draft)}/submit", 200)["state"] == "submitted"
    desk.ed.ask("PATCH", draft_of(draft), 200, {"publish_in": 600})
    assert desk.ed.ask("POST", f"{draft_of(draft)}/submit", 200)["state"] == "scheduled"
    moved = desk.eve.ask("PATCH", draft_of(draft), 200, {"publish_in": 900})
    assert (moved["history"][-1]["did"], moved["history"][-1]["by"]) == ("scheduled", desk.eve.actor)


def test_what_can_not_go_out_is_refused_at_once(desk: Desk) -> None:
    line = desk.ed.ask("POST", lines_of("en"), 201, {"text": "Rain", "expires_in": 60})
    desk.ed.ask("PATCH", line_of(line), 200, {"status": "withheld"})
    for who in (desk.ed, desk.cora):
        problem = who.ask("PATCH", line_of(line), 409, {"status": "usable", "publish_in": 600})
        assert "expired" in problem["detail"]
    desk.ed.ask("PATCH", line_of(line), 202, {"status": "usable", "publish_in": 600, "expires_in": 60})


# One request, one answer


def test_a_repeat_is_answered_as_before_when_it_would_go_another_way_now(desk: Desk) -> None:
    line = a_line(desk, "strict")
    body = {"note": "Wrong"}
    draft = desk.ed.ask("DELETE", line_of(line), 202, body, Idempotency_Key="cancel-once" + line["id"])
    desk.ann.ask("POST", f"{draft_of(draft)}/publish", 200)
    again = desk.ed.ask("DELETE", line_of(line), 202, body, Idempotency_Key="cancel-once" + line["id"])
    assert again["id"] == draft["id"]
    desk.ed.ask("DELETE", line_of(line), 422, {"note": "Other"}, Idempotency_Key="cancel-once" + line["id"])
    flash = {"text": "Quake", "urgency": "flash", "on_brake": "draft"}
    for n in range(2):
        desk.ed.ask("POST", lines_of("short"), 201, flash | {"text": f"Quake {n}"})
    draft = desk.ed.ask("POST", lines_of("short"), 202, flash, Idempotency_Key="flash-once")
    until(
        lambda: (
            desk.ed.http.post(f"{lines_of('short')}/check", json=flash | {"confirm": []}).json()["warnings"][0]["code"]
            != "flash-brake"
        )
    )
    assert desk.ed.ask("POST", lines_of("short"), 202, flash, Idempotency_Key="flash-once")["id"] == draft["id"]


def test_a_cancellation_that_is_due_in_weeks_does_not_stand_for_one_now(desk: Desk) -> None:
    line = a_line(desk, "en")
    desk.ed.ask("PATCH", line_of(line), 200, {"status": "withheld"})
    later = desk.ann.ask(
        "POST", drafts_of("en"), 201, {"line": line["id"], "status": "canceled", "publish_in": 1_000_000}
    )
    desk.ann.ask("POST", f"{draft_of(later)}/submit", 200)
    now = desk.ed.ask("DELETE", line_of(line), 202)
    assert (now["state"], now["id"] != later["id"]) == ("submitted", True)


# Who did what


def test_the_audit_names_everybody_who_had_a_hand_in_a_draft(desk: Desk) -> None:
    draft = desk.cora.ask("POST", lines_of("strict"), 409, {"text": "XXX rain"})
    draft = desk.cora.ask("POST", lines_of("strict"), 202, {"text": "XXX rain", "confirm": ["marker"]})
    desk.ed.ask("PATCH", draft_of(draft), 200, {"text": "XXX rain in town", "source": "TK TK"})
    desk.ann.ask("POST", f"{draft_of(draft)}/approve", 409)
    desk.ann.ask("POST", f"{draft_of(draft)}/approve", 200, {"confirm": ["marker"], "publish_in": 600})
    line = desk.bob.ask("POST", f"{draft_of(draft)}/publish", 200, {"confirm": ["marker"]})["line"]
    (version,) = desk.ed.ask("GET", f"{lines_of('strict')}/{line}/audit", 200)["versions"]
    assert version["by"] == desk.cora.actor
    assert version["writers"] == [desk.ed.actor]
    assert version["approval"]["by"] == desk.ann.actor
    assert version["released_by"] == desk.bob.actor
    assert version["confirmed_by"] == {"marker": desk.ann.actor}
    assert version["confirmed"] == ["marker"]


def test_a_line_put_on_the_air_by_itself_has_nobody_else(desk: Desk) -> None:
    (version,) = versions(desk, a_line(desk, "en"))
    assert (version["writers"], version["released_by"], version["confirmed_by"]) == ([], None, {})


def test_a_burst_is_counted_for_the_key_that_puts_the_lines_on_the_air(desk: Desk) -> None:
    drafts = [desk.cora.ask("POST", lines_of("braked"), 202, {"text": f"Rain {n}"}) for n in range(4)]
    for draft in drafts[:2]:
        desk.eve.ask("POST", f"{draft_of(draft)}/publish", 200)
    problem = desk.eve.ask("POST", f"{draft_of(drafts[2])}/publish", 409)
    assert [each["code"] for each in problem["warnings"]] == ["burst"]
    desk.ed.ask("POST", f"{draft_of(drafts[3])}/publish", 200)


def test_flashes_that_can_not_all_be_counted_need_a_confirmation(desk: Desk) -> None:
    line = a_line(desk, "flashy")
    pins = itertools.cycle([True, False])
    for _ in range(RECENT_MAX - 2):
        desk.node.http.patch(line_of(line), json={"pinned": next(pins)}).raise_for_status()
    desk.ed.ask("POST", lines_of("flashy"), 201, {"text": "Quake", "urgency": "flash"})
    problem = desk.ed.ask("POST", lines_of("flashy"), 409, {"text": "Storm", "urgency": "flash"})
    assert "can't be counted" in problem["warnings"][0]["detail"]
    desk.ed.ask("POST", lines_of("flashy"), 201, {"text": "Storm", "urgency": "flash", "confirm": ["flash-brake"]})


# What belongs to others


def test_a_contributor_is_given_no_draft_of_others_to_cancel_with(desk: Desk) -> None:
    line = a_line(desk, "en")
    theirs = desk.ed.ask("DELETE", line_of(line), 202, {"note": "It was another town"})
    own = desk.cora.ask("DELETE", line_of(line), 202, {"note": "The mayor has resigned"})
    assert own["id"] != theirs["id"]
    assert desk.ed.ask("GET", draft_of(theirs), 200)["note"] == "It was another town"


def test_another_note_for_a_cancellation_that_waits_is_not_dropped(desk: Desk) -> None:
    line = a_line(desk, "en")
    draft = desk.ed.ask("DELETE", line_of(line), 202, {"note": "It was another town"})
    again = desk.ed.ask("DELETE", line_of(line), 202, {"note": "It was another street"})
    assert (again["id"], again["note"]) == (draft["id"], "It was another street")
    problem = desk.eve.ask("DELETE", line_of(line), 409, {"note": "It was another country"})
    assert draft["id"] in problem["detail"]
    assert desk.eve.ask("DELETE", line_of(line), 202)["note"] == "It was another street"
    assert desk.eve.ask("POST", f"{draft_of(draft)}/approve", 200)["approved_by"] == desk.eve.actor
    until(lambda: shown(desk, line)["status"] == "canceled")


def test_a_contributor_s_list_ends_with_their_own(desk: Desk) -> None:
    for n in range(3):
        desk.ed.ask("POST", drafts_of("brief"), 201, {"text": f"Rain {n}"})
    own = [desk.cora.ask("POST", drafts_of("brief"), 201, {"text": f"Snow {n}"})["id"] for n in range(2)]
    first = desk.cora.ask("GET", f"{drafts_of('brief')}?limit=1&state=open", 200)
    rest = desk.cora.ask("GET", f"{drafts_of('brief')}?limit=1&state=open&after={first['next']}", 200)
    assert [each["id"] for each in first["drafts"] + rest["drafts"]] == own[::-1]
    assert rest["next"] is None


def test_a_contributor_is_not_told_of_flashes_that_are_scheduled(desk: Desk) -> None:
    flash = {"text": "Quake", "urgency": "flash"}
    for _ in range(2):
        desk.ed.ask("POST", lines_of("secret"), 202, flash | {"publish_in": 600})
    desk.cora.ask("POST", lines_of("secret"), 202, flash | {"publish_in": 600})
    desk.ed.ask("POST", lines_of("secret"), 409, flash | {"publish_in": 600})


def test_the_tag_of_a_contributor_s_list_tells_nothing_of_others(desk: Desk) -> None:
    def tag() -> str:
        return str(desk.cora.http.get(drafts_of("en")).headers["etag"])

    before = tag()
    desk.ed.ask("POST", drafts_of("en"), 201, {"text": "Rain"})
    assert tag() == before
    assert desk.cora.http.get(drafts_of("en"), headers={"If-None-Match": before}).status_code == 304
    desk.cora.ask("POST", drafts_of("en"), 201, {"text": "Snow"})
    assert tag() != before


# The lock


def test_of_two_who_lock_at_once_neither_can_unlock(desk: Desk) -> None:
    for _ in range(8):
        with ThreadPoolExecutor(2) as pool:
            for each in (desk.ann, desk.bob):
                pool.submit(each.ask, "PUT", "/v1/lock", 200, {"reason": "Taken over", "channels": ["en"]})
        for each in (desk.ann, desk.bob):
            each.ask("DELETE", "/v1/lock", 403)
        desk.node.http.delete("/v1/lock").raise_for_status()


def test_who_has_locked_can_not_unlock_because_somebody_has_locked_after_them(desk: Desk) -> None:
    for chief in (desk.ann, desk.bob):
        desk.ann.ask("PUT", "/v1/lock", 200, {"reason": "Taken over", "channels": ["en"]})
        locks = chief.http.put("/v1/lock", json={"reason": "Taken over", "channels": ["en"]})
        desk.ann.ask("DELETE", "/v1/lock", 403)
        if chief is desk.bob:
            desk.bob.ask("DELETE", "/v1/lock", 403)
            desk.node.http.delete("/v1/lock").raise_for_status()  # an admin may
        else:
            desk.bob.ask("DELETE", "/v1/lock", 412, If_Match='"other"')
            desk.bob.ask("PUT", "/v1/lock", 412, {"reason": "Taken over"}, If_Match='"other"')
            desk.bob.ask("DELETE", "/v1/lock", 200, If_Match=locks.headers["etag"])
    assert desk.ann.ask("GET", "/v1/lock", 200) == {"locks": []}
