"""Every address of drafts and the lock, asked at random by people of every role, with what nobody should send.

A node answers no input with a 5xx, and each draft's history is a walk through the picture of draft.py.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import RunningNode
from tests.desk import Object, Person, drafts_of, lines_of
from tests.fuzz import EXAMPLES

CONFIG = '[channels.en]\nlanguage = "en"\napprove = ["flash", "cancel"]\nflash_brake = "3 in 1m"\n'

# What may follow what. `None`: the beginning.
PICTURE = {
    None: {"created"},
    "open": {"edited", "submitted", "scheduled", "discarded", "conflict"},
    "submitted": {"edited", "approved", "returned", "scheduled", "discarded", "conflict", "submitted"},
    "scheduled": {"edited", "returned", "released", "missed", "conflict", "scheduled", "discarded", "submitted"},
    "missed": {"edited", "submitted", "scheduled", "discarded", "conflict"},
    "conflict": {"edited", "submitted", "scheduled", "discarded"},
    "released": set(),
    "discarded": set(),
}
LEADS_TO = {"created": "open", "approved": "scheduled", "returned": "open"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("drafts-fuzz"), config=CONFIG)
    yield node
    node.close()


class Crowd:
    """People of every role, and what they have made so far."""

    def __init__(self, node: RunningNode) -> None:
        roles = {"cora": "contributor", "ed": "editor", "flo": "editor", "ann": "chief", "bob": "admin"}
        self.people = {name: Person(node, name, role) for name, role in roles.items()}
        self.nobody = httpx.Client(base_url=node.url)
        self.drafts: list[str] = []
        self.lines: list[str] = []

    def client(self, name: str) -> httpx.Client:
        return self.people[name].http if name in self.people else self.nobody

    def close(self) -> None:
        for person in self.people.values():
            person.close()
        self.nobody.close()


@pytest.fixture(scope="module")
def crowd(node: RunningNode) -> Iterator[Crowd]:
    crowd = Crowd(node)
    yield crowd
    crowd.close()


some = ["Rain", "Snow", "XXX", "Test", "زلزال", "", " ", "a" * 281, "\ud800", "a\nb"]
words = st.sampled_from(some) | st.text(max_size=20)
odd = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words | st.lists(words, max_size=2)
times = st.sampled_from(
    ["2020-01-01T00:00:00Z", "2026-12-01T00:00:00", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+14:00", "soon"]
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "text": words,
        "urgency": st.sampled_from(["flash", "urgent", "loud"]),
        "publish_in": st.sampled_from([0, 0.01, 0.2, 30, -1, 1e308, 10**400, "1"]),
        "publish_at": times | odd,
        "expires": times | odd,
        "expires_in": st.sampled_from([1, 60, -1, 1.5]),
        "confirm": st.sampled_from([[], ["marker"], ["marker", "script", "flash-brake", "refile"], ["x"], "marker"]),
        "on_brake": st.sampled_from(["refuse", "draft", "x"]),
        "note_to_desk": words,
        "status": st.sampled_from(["usable", "withheld", "canceled", "x"]),
        "refile": st.booleans() | odd,
        "pinned": st.booleans(),
        "version": st.integers(0, 3) | odd,
        "line": st.just("LINE") | odd,
        "reason": words,
        "sources": words,
        "checked_by": words,
        "channels": st.sampled_from([["en"], [], ["xx"], None]),
        "bogus": odd,
    },
)
actions = st.sampled_from(
    [
        ("POST", "lines"),
        ("POST", "lines"),
        ("POST", "check"),
        ("PATCH", "line"),
        ("DELETE", "line"),
        ("GET", "audit"),
        ("POST", "drafts"),
        ("POST", "drafts"),
        ("GET", "drafts"),
        ("GET", "draft"),
        ("PATCH", "draft"),
        ("DELETE", "draft"),
        ("POST", "submit"),
        ("POST", "approve"),
        ("POST", "return"),
        ("POST", "publish"),
        ("GET", "lock"),
        ("PUT", "lock"),
        ("DELETE", "lock"),
    ]
)


def address(crowd: Crowd, where: str, pick: int) -> str:
    drafts, lines = crowd.drafts or ["d_" + "0" * 32], crowd.lines or ["1-0"]
    draft, line = drafts[-1 - pick % min(8, len(drafts))], lines[-1 - pick % min(8, len(lines))]
    match where:
        case "lines":
            return lines_of("en")
        case "check":
            return f"{lines_of('en')}/check"
        case "line":
            return f"{lines_of('en')}/{line}"
        case "audit":
            return f"{lines_of('en')}/{line}/audit"
        case "drafts":
            return drafts_of("en")
        case "draft":
            return f"{drafts_of('en')}/{draft}"
        case "lock":
            return "/v1/lock"
        case action:
            return f"{drafts_of('en')}/{draft}/{action}"


@EXAMPLES
@given(
    who=st.sampled_from(["cora", "ed", "flo", "ann", "bob", "nobody"]),
    action=actions,
    pick=st.integers(0, 7),
    body=fields | odd | st.none(),
    form=st.booleans(),
    if_match=st.sampled_from([None, None, None, "*", '"1-1"', "x"]),
)
def test_whatever_is_asked_no_node_breaks_and_no_draft_leaves_the_picture(
    node: RunningNode,
    crowd: Crowd,
    who: str,
    action: tuple[str, str],
    pick: int,
    body: Any,
    form: bool,
    if_match: str | None,
) -> None:
    method, where = action
    if isinstance(body, dict) and body.get("line") == "LINE":
        body = body | {"line": crowd.lines[-1] if crowd.lines else "1-0"}
    headers = {} if if_match is None else {"If-Match": if_match}
    given: dict[str, Any] = {}
    if method != "GET" and body is not None:
        if form and isinstance(body, dict):
            given = {"data": {name: str(value).encode("utf-8", "replace") for name, value in body.items()}}
        else:
            given = {"content": json.dumps(body).encode("utf-8", "replace")}
            headers["Content-Type"] = "application/json"
    answer = crowd.client(who).request(method, address(crowd, where, pick), headers=headers, **given)
    assert answer.status_code < 500, answer.text
    if who == "nobody":
        assert answer.status_code == 401
    if answer.status_code == 201 and where == "lines":
        crowd.lines.append(answer.json()["id"])
    if answer.status_code in (200, 201, 202) and answer.json().get("id", "").startswith("d_"):
        draft = answer.json()
        if draft["id"] not in crowd.drafts:
            crowd.drafts.append(draft["id"])
        assert_in_the_picture(draft)
    if where == "lock" and random.Random(pick).random() < 0.7:
        node.http.delete("/v1/lock")


def assert_in_the_picture(draft: Object) -> None:
    state: str | None = None
    for step in draft["history"]:
        did = step["did"]
        assert did in PICTURE[state], f"{did} follows {state}"
        if did != "edited":
            state = LEADS_TO.get(did, did)
        elif state in ("missed", "conflict"):
            state = "open"
    if draft["history"][-1]["did"] != "edited":
        assert draft["state"] == state
    if draft["needs_approval"] and draft["state"] in ("scheduled", "released"):
        assert draft["approved_by"] is not None
        assert draft["approved_by"] != draft["by"]
    waits_for_a_time = draft["state"] in ("open", "submitted") and draft["publish_at"] is not None
    assert (draft["state"] == "scheduled" or waits_for_a_time) == (draft["due"] is not None)
