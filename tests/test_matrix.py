"""What becomes of a draft that is edited or approved when its line was changed meanwhile: the table of docs/desk.md."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.conftest import RunningNode
from tests.desk import Object, Person, draft_of, drafts_of, line_of, lines_of
from tests.matrix import KINDS, MEANWHILE, RULES, STAGES, begins_withheld, cases
from tests.redis_servers import RedisServer, until


class Desk(NamedTuple):
    node: RunningNode
    cora: Person
    ann: Person


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("matrix")
    server = RedisServer(folder / "redis") if request.param == "redis" else None
    node = RunningNode(
        folder, *(["--newswire", server.url] if server else []), config='[channels.en]\nlanguage = "en"\n'
    )
    desk = Desk(node, Person(node, "Cora", "contributor"), Person(node, "Ann", "chief"))
    yield desk
    desk.cora.close()
    desk.ann.close()
    node.close()
    if server:
        server.close()


def test_every_case_has_a_rule() -> None:
    assert set(RULES) == set(itertools.product(KINDS, MEANWHILE, STAGES))


FIELDS: dict[str, dict[str, Any]] = {
    "publish": {"text": "Sunshine"},
    "correct": {"text": "Snow and ice"},
    "cancel": {"status": "canceled"},
    "release": {"status": "usable"},
}
EDITS: dict[str, dict[str, Any]] = {
    "publish": {"text": "Sunshine again"},
    "correct": {"text": "Snow, ice and hail"},
    "cancel": {"note": "Wrong town"},
    "release": {"note": "Checked"},
}
CHANGES: dict[str, dict[str, Any]] = {
    "corrected": {"text": "Rain in the hills"},
    "withheld": {"status": "withheld", "note": "Being checked"},
    "reinstated": {"status": "usable"},
    "refiled": {"text": "Rainn", "refile": True},
    "pinned": {"pinned": True},
    "withheld again": {"status": "withheld"},
}


@pytest.mark.parametrize(("kind", "meanwhile", "stage", "outcome"), cases("edited", "approved"))
def test_a_draft_of_a_line_that_was_changed_meanwhile(
    desk: Desk, kind: str, meanwhile: str, stage: str, outcome: str
) -> None:
    line = desk.node.publish("en", "Rain", expires_in=1 if meanwhile == "expired" else 3_600)
    if begins_withheld(kind, meanwhile):
        line = desk.ann.ask("PATCH", line_of(line), 200, {"status": "withheld"})
    of_it = {} if kind == "publish" else {"line": line["id"]}
    draft = desk.cora.ask("POST", drafts_of("en"), 201, FIELDS[kind] | of_it)
    desk.cora.ask("POST", f"{draft_of(draft)}/submit", 200)
    after = changed(desk, line, meanwhile)
    if stage == "approved":
        assert approved(desk, draft) == outcome
    else:
        assert edited(desk, draft, EDITS[kind], after, is_new=kind == "publish") == outcome


def changed(desk: Desk, line: Object, meanwhile: str) -> Object:
    if meanwhile == "canceled":
        return desk.ann.ask("DELETE", line_of(line), 200)
    if meanwhile == "expired":
        until(lambda: not any(each["id"] == line["id"] for each in usable(desk)))
        return line
    return desk.ann.ask("PATCH", line_of(line), 200, CHANGES[meanwhile])


def usable(desk: Desk) -> list[Object]:
    return [each for each in desk.node.get(lines_of("en"))["lines"] if each["status"] == "usable"]


def approved(desk: Desk, draft: Object) -> str:
    answer = desk.ann.http.post(f"{draft_of(draft)}/approve", json={"publish_in": 600})
    state = desk.ann.ask("GET", draft_of(draft), 200)["state"]
    return f"refused, {state}" if answer.status_code == 409 else str(state)


def edited(desk: Desk, draft: Object, edit: Object, line: Object, *, is_new: bool) -> str:
    answer = desk.cora.http.patch(draft_of(draft), json=edit)
    if answer.status_code == 200:
        assert answer.json().items() >= edit.items()
        return "saved"
    assert answer.status_code == 409, answer.text
    assert not is_new
    assert desk.cora.ask("GET", draft_of(draft), 200)["state"] == "submitted"
    again = desk.cora.http.patch(draft_of(draft), json=edit | {"version": line["version"]})
    return "refused until it names the new version" if again.status_code == 200 else "refused"
