"""The API that changes lines, against a real node: what editors send, what they get, what readers then see."""

from __future__ import annotations

import json
import shlex
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.sync.client import connect

from tests.conftest import CHANNELS, RunningNode
from tests.patience import WITHIN

WORDS = "Ärger & Co = 100 % – عاجل 👩‍👩‍👧‍👦 <b>"
FORM = "application/x-www-form-urlencoded"
FRESH = [f"fresh-{n}" for n in range(180)]
unused = iter(FRESH)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """One node for all these tests, with a channel for each."""
    config = CHANNELS + "".join(f"[channels.{slug}]\n" for slug in [*FRESH, "fuzz"])
    node = RunningNode(tmp_path_factory.mktemp("api"), config=config)
    yield node
    node.close()


@pytest.fixture
def channel() -> str:
    """A channel that no other test uses."""
    return next(unused)


@pytest.fixture
def line(node: RunningNode, channel: str) -> dict[str, Any]:
    return node.publish(channel, "Rain", note="First reason")


def lines_of(channel: str) -> str:
    return f"/v1/channels/{channel}/lines"


def path_of(line: dict[str, Any]) -> str:
    return f"/v1/channels/{line['channel']}/lines/{line['id']}"


def post(node: RunningNode, channel: str, body: bytes | str, content_type: str, **headers: str) -> httpx.Response:
    return node.http.post(lines_of(channel), content=body, headers={"Content-Type": content_type, **headers})


def multipart(boundary: str, **fields: str) -> tuple[bytes, str]:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return f"{''.join(parts)}--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def key(node: RunningNode, role: str = "editor", *channels: str) -> httpx.Client:
    """A client with a new key."""
    made = node.http.post(
        "/v1/keys", json={"name": f"{role} {uuid.uuid4()}", "role": role, "channels": channels}
    ).json()
    return httpx.Client(base_url=node.url, headers={"Authorization": f"Bearer {made['key']}"})


def assert_problem(answer: httpx.Response, status: int, *fields: str) -> str:
    """The answer is a problem document (RFC 9457) that names these fields and no others; its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem = answer.json()
    assert problem["status"] == status
    for name in ("type", "title", "detail"):
        assert isinstance(problem[name], str)
        assert problem[name]
    errors = problem.get("errors", [])
    assert sorted(error["field"] for error in errors) == sorted(fields)
    assert all(error["detail"] for error in errors)
    return str(problem["detail"])


# Publishing


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (WORDS.encode(), "text/plain"),
        (WORDS.encode() + b"\r\n", "text/plain; charset=UTF-8"),
        (WORDS.encode(), 'Text/Plain; charset="utf-8"'),
        (json.dumps({"text": WORDS}), "application/json"),
        (json.dumps({"text": WORDS}, ensure_ascii=False).encode(), "application/json; charset=utf-8"),
        (urlencode({"text": WORDS}), FORM),
        (f"text={quote(WORDS)}&urgency=&url=&source=&expires_in=", FORM),
        multipart("frontier", text=WORDS),
    ],
    ids=["text", "text with charset", "quoted charset", "JSON", "JSON in UTF-8", "form", "empty fields", "multipart"],
)
def test_words_are_published_however_they_are_sent(
    node: RunningNode, channel: str, body: bytes | str, content_type: str
) -> None:
    answer = post(node, channel, body, content_type)
    assert answer.status_code == 201
    line = answer.json()
    assert line["text"] == WORDS
    assert (line["urgency"], line["status"], line["version"], line["url"]) == ("urgent", "usable", 1, None)
    assert answer.headers["Location"] == path_of(line)
    assert node.board(channel) == [line]
    read = httpx.get(node.url + answer.headers["Location"])
    assert (read.json(), read.headers["ETag"]) == (line, answer.headers["ETag"])


FIELDS = {
    "text": "Rain",
    "urgency": "flash",
    "url": "https://news.example/rain",
    "source": "AP",
    "story": "storm-2026",
    "note": "A first report",
    "language": "ar",
    "direction": "rtl",
}


def test_every_field_stands_as_it_was_given(node: RunningNode, channel: str) -> None:
    expires = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    line = node.publish(channel, **FIELDS, pinned=True, expires=expires.isoformat())
    assert {name: line[name] for name in FIELDS} == FIELDS
    assert (line["pinned"], line["channel"], line["corrected"]) == (True, channel, None)
    assert line["expires"] == expires.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert line["published"] == line["updated"]
    assert line["published"].endswith("Z")


@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
def test_a_form_takes_every_field_too(node: RunningNode, channel: str, kind: str) -> None:
    fields = {**FIELDS, "pinned": "on", "expires": "never"}
    body, content_type = (urlencode(fields), FORM) if kind == "urlencoded" else multipart("b", **fields)
    line = post(node, channel, body, content_type).json()
    assert {name: line[name] for name in FIELDS} == FIELDS
    assert (line["pinned"], line["expires"]) == (True, None)


def test_expires_in_counts_from_the_line_itself(node: RunningNode, channel: str) -> None:
    line = node.publish(channel, "Rain", expires_in=90)
    published, expires = (datetime.fromisoformat(line[name]) for name in ("published", "expires"))
    assert expires - published == timedelta(seconds=90)


# What a tired editor's curl sends


@pytest.mark.parametrize("words", ["Rain in the north", "Salt & pepper", "It's raining", "50% of it & more", "a=", " "])
def test_words_without_a_field_are_refused_with_the_command_that_works(
    node: RunningNode, channel: str, words: str
) -> None:
    command = assert_problem(post(node, channel, words, FORM), 422)
    assert node.board(channel) == []
    if words.strip() and "=" not in words:
        assert f"text={words}" in shlex.split(command.rstrip(".").replace(", or", ""))


def test_json_sent_as_a_form_is_refused_with_the_header_that_is_missing(node: RunningNode, channel: str) -> None:
    detail = assert_problem(post(node, channel, '{"text": "Rain"}', FORM), 422)
    assert "-H 'Content-Type: application/json'" in detail


@pytest.mark.parametrize("body", ["text=Salt & pepper", "text=AT&T buys T&AT", "text=R&D"])
def test_an_ampersand_that_splits_a_form_is_refused_and_explained(node: RunningNode, channel: str, body: str) -> None:
    answer = post(node, channel, body, FORM)
    assert answer.status_code == 422
    assert "--data-urlencode" in answer.json()["detail"]
    assert node.board(channel) == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("text=Ärger".encode(), FORM),
        (b"text=%FF%FE", FORM),
        ("Ärger".encode("latin-1"), "text/plain"),
        (json.dumps({"text": "Ärger"}, ensure_ascii=False).encode("latin-1"), "application/json"),
        (multipart("b", text="@")[0].replace(b"@", b"\xc4rger"), "multipart/form-data; boundary=b"),
    ],
    ids=["form not encoded", "form", "text", "JSON", "multipart"],
)
def test_bytes_that_are_not_utf_8_are_refused(node: RunningNode, channel: str, body: bytes, content_type: str) -> None:
    assert_problem(post(node, channel, body, content_type), 400)
    assert node.board(channel) == []


# Changing


def test_a_correction_keeps_the_id_and_counts_a_version(node: RunningNode, line: dict[str, Any]) -> None:
    time.sleep(0.001)  # times are told in milliseconds
    answer = node.http.patch(path_of(line), json={"text": "Snow", "note": "Colder than thought"})
    after = answer.json()
    assert answer.status_code == 200
    assert (after["id"], after["version"], after["text"]) == (line["id"], 2, "Snow")
    assert after["corrected"] == after["updated"]
    assert datetime.fromisoformat(after["updated"]) > datetime.fromisoformat(line["updated"])
    assert (after["note"], after["published"]) == ("Colder than thought", line["published"])
    assert node.board(line["channel"]) == [after]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("text=Snow", FORM),
        ("Snow", "text/plain"),
        ('{"text": "Snow"}', "application/merge-patch+json"),
        multipart("b", text="Snow"),
    ],
    ids=["form", "text", "merge patch", "multipart"],
)
def test_a_correction_is_taken_in_every_form(
    node: RunningNode, line: dict[str, Any], body: Any, content_type: str
) -> None:
    answer = node.http.patch(path_of(line), content=body, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["text"]) == (200, "Snow")


def test_a_withheld_line_goes_out_without_its_words_and_comes_back_with_them(node: RunningNode, channel: str) -> None:
    line = node.publish(channel, "Rain", url="https://a.example", source="AP", story="storm")
    held = node.correct(channel, line["id"], status="withheld", note="Being checked")
    assert not {"text", "url", "source"} & held.keys()
    assert (held["status"], held["note"], held["story"], held["version"]) == ("withheld", "Being checked", "storm", 2)
    assert node.board(channel) == [held]
    released = node.correct(channel, line["id"], status="usable")
    assert (released["text"], released["url"], released["source"]) == ("Rain", "https://a.example", "AP")
    assert (released["note"], released["version"], released["expires"]) == (None, 3, line["expires"])
    assert node.board(channel) == [released]


@pytest.mark.parametrize("how", ["JSON", "query", "form", "nothing"])
def test_a_canceled_line_stays_canceled(node: RunningNode, line: dict[str, Any], how: str) -> None:
    given: dict[str, Any] = {
        "JSON": {"json": {"note": "Wrong town"}},
        "query": {"params": {"note": "Wrong town"}},
        "form": {"data": {"note": "Wrong town"}},
        "nothing": {},
    }[how]
    answer = node.http.request("DELETE", path_of(line), **given)
    tombstone = answer.json()
    assert (answer.status_code, tombstone["status"], tombstone["version"]) == (200, "canceled", 2)
    assert tombstone["note"] == (None if how == "nothing" else "Wrong town")
    assert not {"text", "url", "source"} & tombstone.keys()

    again = node.http.delete(path_of(line))
    assert (again.status_code, again.json(), again.headers["ETag"]) == (200, tombstone, answer.headers["ETag"])
    for change in ({"status": "usable"}, {"status": "withheld"}, {"text": "Snow"}, {"note": "Sorry"}):
        assert "for good" in assert_problem(node.http.patch(path_of(line), json=change), 409)
    assert node.board(line["channel"]) == [tombstone]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("note=caf%E9", 400),
        ("notes=why", 422),
        ("note=why&x=1", 422),
        ("note=a&note=b", 422),
        ("note", 422),
        ("note=Salt&pepper", 422),
        ("note=%0Aa%0Ab", 422),
    ],
)
def test_a_reason_that_isnt_understood_whole_cancels_nothing(
    node: RunningNode, line: dict[str, Any], query: str, status: int
) -> None:
    assert node.http.delete(f"{path_of(line)}?{query}").status_code == status
    assert node.http.request("DELETE", f"{path_of(line)}?note=a", json={"note": "b"}).status_code == 422
    assert node.board(line["channel"]) == [line]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_change_takes_no_query(node: RunningNode, line: dict[str, Any], method: str) -> None:
    path = path_of(line) if method == "PATCH" else lines_of(line["channel"])
    assert_problem(node.http.request(method, f"{path}?pinned=true", json={"text": "Snow"}), 422, "pinned")
    assert node.board(line["channel"]) == [line]


def test_a_patch_does_not_cancel(node: RunningNode, line: dict[str, Any]) -> None:
    detail = assert_problem(node.http.patch(path_of(line), json={"status": "canceled"}), 422, "status")
    assert "DELETE" in detail


@pytest.mark.parametrize(
    ("patch", "note"),
    [
        ({"text": "Snow"}, None),
        ({"status": "withheld"}, None),
        ({"note": None}, None),
        ({"text": "Snow", "note": "Second reason"}, "Second reason"),
        ({"urgency": "flash"}, "First reason"),
    ],
    ids=["new words", "new status", "null", "new note", "neither"],
)
def test_a_note_stands_for_the_last_change_of_words_or_status(
    node: RunningNode, line: dict[str, Any], patch: dict[str, Any], note: str | None
) -> None:
    assert node.http.patch(path_of(line), json=patch).json()["note"] == note


def test_a_patch_that_changes_nothing_makes_no_version_and_no_event(node: RunningNode, line: dict[str, Any]) -> None:
    for patch in ({}, {"text": "Rain"}, {"text": "  Rain ", "urgency": "urgent"}):
        answer = node.http.patch(path_of(line), json=patch)
        assert (answer.status_code, answer.json()) == (200, line)
    assert len(node.get(f"/v1/channels/{line['channel']}/events")["events"]) == 1


def test_an_answer_comes_when_the_nodes_readers_have_the_line(node: RunningNode, channel: str) -> None:
    """So that an editor's next look, anywhere, shows it."""
    for n in range(20):
        line = node.publish(channel, f"Line {n}", expires=None)
        assert node.board(channel)[0] == line


# If-Match


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("header", ["{}", "W/{}", '"9-9", {}', "*", "{}-gzip", '"9-9-gzip",W/{}'])
def test_a_change_of_the_version_that_was_read_passes(
    node: RunningNode, line: dict[str, Any], method: str, header: str
) -> None:
    etag = httpx.get(node.url + path_of(line)).headers["ETag"]
    given: dict[str, Any] = {"json": {"text": "Snow"}} if method == "PATCH" else {}
    answer = node.http.request(method, path_of(line), headers={"If-Match": header.format(etag)}, **given)
    assert answer.status_code == 200
    assert answer.headers["ETag"] != etag


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_tag_with_a_proxys_encoding_in_it_and_in_a_second_header_is_the_version_it_names(
    node: RunningNode, line: dict[str, Any], method: str
) -> None:
    etag = httpx.get(node.url + path_of(line)).headers["ETag"]
    given: dict[str, Any] = {"json": {"text": "Snow"}} if method == "PATCH" else {}
    headers = [("If-Match", '"9-9"'), ("If-Match", f'{etag[:-1]}-gzip"')]
    assert node.http.request(method, path_of(line), headers=headers, **given).status_code == 200


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_change_of_a_version_that_has_passed_is_refused(node: RunningNode, line: dict[str, Any], method: str) -> None:
    etag = httpx.get(node.url + path_of(line)).headers["ETag"]
    theirs = node.correct(line["channel"], line["id"], text="Their words")
    given: dict[str, Any] = {"json": {"text": "My words"}} if method == "PATCH" else {}
    detail = assert_problem(node.http.request(method, path_of(line), headers={"If-Match": etag}, **given), 412)
    assert "version 2 now" in detail
    assert node.board(line["channel"]) == [theirs]


# Idempotency-Key


@pytest.fixture
def value() -> str:
    """A new Idempotency-Key."""
    return str(uuid.uuid4())


def once(node: RunningNode, method: str, path: str, value: str, **given: Any) -> httpx.Response:
    headers = {"Idempotency-Key": value, **given.pop("headers", {})}
    return node.http.request(method, path, headers=headers, **given)


def test_the_same_request_gets_the_same_answer_and_publishes_once(node: RunningNode, channel: str, value: str) -> None:
    first = once(node, "POST", lines_of(channel), value, json={"text": "Rain"})
    assert "Idempotency-Replayed" not in first.headers
    for _ in range(2):
        again = once(node, "POST", lines_of(channel), value, json={"text": "Rain"})
        assert again.headers["Idempotency-Replayed"] == "true"
        assert (again.status_code, again.json()) == (201, first.json())
        assert [again.headers[n] for n in ("Location", "ETag")] == [first.headers[n] for n in ("Location", "ETag")]
    assert node.board(channel) == [first.json()]


def test_a_form_with_another_boundary_is_the_same_request(node: RunningNode, channel: str, value: str) -> None:
    answers = []
    for boundary in ("one", "another"):
        body, content_type = multipart(boundary, text="Rain", source="AP")
        answers.append(
            once(node, "POST", lines_of(channel), value, content=body, headers={"Content-Type": content_type})
        )
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert len(node.board(channel)) == 1


def test_twenty_at_once_with_one_key_publish_one_line(node: RunningNode, channel: str, value: str) -> None:
    with ThreadPoolExecutor(10) as threads:
        send = lambda _: once(node, "POST", lines_of(channel), value, json={"text": "Rain"})  # noqa: E731
        answers = list(threads.map(send, range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(node.board(channel)) == 1


def test_a_key_that_comes_with_another_request_is_refused(node: RunningNode, channel: str, value: str) -> None:
    first = once(node, "POST", lines_of(channel), value, json={"text": "Rain"}).json()
    assert_problem(once(node, "POST", lines_of(channel), value, json={"text": "Snow"}), 422)
    assert_problem(once(node, "PATCH", path_of(first), value, json={"text": "Rain"}), 422)
    assert node.board(channel) == [first]


def test_a_change_that_comes_again_is_made_once(node: RunningNode, line: dict[str, Any], value: str) -> None:
    changes: list[tuple[str, dict[str, Any]]] = [("PATCH", {"json": {"text": "Snow"}}), ("DELETE", {})]
    for version, (method, body) in enumerate(changes, 2):
        first, again = (once(node, method, path_of(line), f"{value}-{version}", **body) for _ in range(2))
        assert (first.status_code, first.json()["version"]) == (200, version)
        assert (again.status_code, again.json()) == (200, first.json())
        assert again.headers["Idempotency-Replayed"] == "true"
    assert len(node.get(f"/v1/channels/{line['channel']}/events")["events"]) == 3


@pytest.mark.parametrize("status", ["withheld", "canceled"])
def test_a_replay_after_the_line_was_withdrawn_carries_no_words(
    node: RunningNode, channel: str, status: str, value: str
) -> None:
    given = {"text": "Secret words", "url": "https://secret.example", "source": "Secret"}
    line = once(node, "POST", lines_of(channel), value, json=given).json()
    if status == "withheld":
        node.correct(channel, line["id"], status=status)
    else:
        node.cancel(channel, line["id"])
    again = once(node, "POST", lines_of(channel), value, json=given)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.status_code, again.json()["status"]) == (201, status)
    assert "ecret" not in again.text
    assert again.headers["ETag"] == httpx.get(node.url + path_of(line)).headers["ETag"], "the tag of what it carries"


def test_keys_of_two_editors_do_not_meet(node: RunningNode, channel: str, value: str) -> None:
    for _ in range(2):
        with key(node) as editor:
            answer = editor.post(lines_of(channel), json={"text": "Rain"}, headers={"Idempotency-Key": value})
            assert answer.status_code == 201
            assert "Idempotency-Replayed" not in answer.headers
    assert len(node.board(channel)) == 2


@pytest.mark.parametrize("value", ["", "a b", "x" * 256, "ü"])
def test_a_malformed_idempotency_key_is_refused(node: RunningNode, channel: str, value: str) -> None:
    headers = {b"Idempotency-Key": value.encode()}
    assert_problem(node.http.post(lines_of(channel), json={"text": "Rain"}, headers=headers), 400)
    assert node.board(channel) == []


def test_two_idempotency_keys_are_refused(node: RunningNode, channel: str) -> None:
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    assert_problem(node.http.post(lines_of(channel), json={"text": "Rain"}, headers=headers), 400)
    assert node.board(channel) == []


# Refusals


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", ""),
        ("text", None),
        ("text", 7),
        ("text", "x" * 281),
        ("text", "two\nrows"),
        ("text", "\u202eevil"),
        ("urgency", "breaking"),
        ("url", "javascript:alert(1)"),
        ("source", "x" * 81),
        ("story", "Not a slug"),
        ("note", "\x07"),
        ("language", "klingon"),
        ("direction", "up"),
        ("pinned", "perhaps"),
        ("expires", "tomorrow"),
        ("expires", "2001-01-01T00:00:00Z"),
        ("expires", "2030-01-01T00:00:00"),
        ("expires", "9999-12-31T23:59:59-10:00"),
        ("expires_in", 0),
        ("expires_in", 10**30),
        ("expires_in", "soon"),
        ("txet", "Rain"),
        ("status", "usable"),
        ("id", "1-0"),
    ],
)
def test_a_bad_field_is_named(node: RunningNode, channel: str, field: str, value: Any) -> None:
    answer = node.http.post(lines_of(channel), json={"text": "Rain", field: value})
    assert_problem(answer, 422, field)
    assert node.board(channel) == []


def test_every_bad_field_is_named_at_once(node: RunningNode, line: dict[str, Any]) -> None:
    wrong = {"text": "", "url": "x", "source": "", "story": "", "note": "", "language": ""}
    assert_problem(node.http.patch(path_of(line), json=wrong), 422, *wrong)


def test_a_field_given_twice_in_a_form_is_named(node: RunningNode, channel: str) -> None:
    assert_problem(post(node, channel, "text=Rain&text=Snow", FORM), 422, "text")


def test_a_missing_text_is_named(node: RunningNode, channel: str) -> None:
    assert_problem(node.http.post(lines_of(channel), json={}), 422, "text")
    assert_problem(post(node, channel, "urgency=flash", FORM), 422, "text")


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b'{"text": "\\ud800"}', "application/json", 400),
        (b"[" * 50_000, "application/json", 422),
        (b'["Rain"]', "application/json", 422),
        (b"", "", 400),
        (b"Rain", "", 415),
        (b"Rain", "text/html", 415),
        (b"Rain", "text/plain; charset=latin-1", 415),
        (b"<text>Rain</text>", "application/xml", 415),
        (b"Rain", "multipart/form-data", 400),
        (b"Rain", "multipart/form-data; boundary=b", 400),
        (
            multipart("b", text="Rain")[0].replace(b'name="text"', b'name="text"; filename="a"'),
            "multipart/form-data; boundary=b",
            400,
        ),
        (b"&".join(b"f%d=" % n for n in range(40)), FORM, 400),
        (b"x" * 70_000, "text/plain", 413),
        (b"text=" + b"x" * 70_000, FORM, 413),
    ],
    ids=[
        "no JSON",
        "broken JSON",
        "surrogate",
        "deep JSON",
        "no object",
        "nothing",
        "no type",
        "HTML",
        "latin-1",
        "XML",
        "no boundary",
        "no parts",
        "a file",
        "many fields",
        "too large",
        "too large a form",
    ],
)
def test_a_body_that_cant_be_taken_is_refused(
    node: RunningNode, channel: str, body: bytes, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = node.http.post(lines_of(channel), content=body, headers=headers)
    named = [error["field"] for error in answer.json().get("errors", [])]
    assert_problem(answer, status, *named)
    assert node.board(channel) == []


def test_a_body_without_end_is_refused_before_it_ends(node: RunningNode, channel: str) -> None:
    def body() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 10_000

    answer = node.http.post(lines_of(channel), content=body(), headers={"Content-Type": "text/plain"})
    assert_problem(answer, 413)


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "audit"])
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "Basic dTpw", "Bearer ticker_abcdefgh_x"]
)
def test_without_a_key_that_holds_nothing_is_changed_or_told(
    node: RunningNode, line: dict[str, Any], method: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    path = {"POST": lines_of(line["channel"]), "audit": f"{path_of(line)}/audit"}.get(method, path_of(line))
    sent: dict[str, Any] = {"POST": {"json": {"text": "Snow"}}, "PATCH": {"json": {"text": "Snow"}}}.get(method, {})
    answer = httpx.request("GET" if method == "audit" else method, node.url + path, headers=headers, **sent)
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert node.board(line["channel"]) == [line]


def test_a_key_for_other_channels_is_refused_by_name(node: RunningNode, line: dict[str, Any]) -> None:
    with key(node, "editor", "en", "ar") as editor:
        for answer in (
            editor.post(lines_of(line["channel"]), json={"text": "Snow"}),
            editor.patch(path_of(line), json={"text": "Snow"}),
            editor.delete(path_of(line)),
            editor.get(f"{path_of(line)}/audit"),
        ):
            assert "en, ar" in assert_problem(answer, 403)
        assert editor.post(lines_of("en"), json={"text": "Rain"}).status_code == 201
    assert node.board(line["channel"]) == [line]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/channels/nowhere/lines"),
        ("GET", "/v1/channels/nowhere/lines"),
        ("PATCH", "/v1/channels/en/lines/1-0"),
        ("DELETE", "/v1/channels/en/lines/1-0"),
        ("GET", "/v1/channels/en/lines/1-0"),
        ("GET", "/v1/channels/en/lines/1-0/versions"),
        ("GET", "/v1/channels/en/lines/1-0/audit"),
        ("GET", "/v1/channels/nowhere/events"),
        ("GET", "/v2"),
        ("GET", "/channels/nowhere"),
        ("GET", "/assets/nothing.js"),
        ("GET", "/ticker-0.0.0-none.js"),
        ("DELETE", "/v1/keys/nobody"),
    ],
)
def test_what_is_not_there_is_not_found(node: RunningNode, method: str, path: str) -> None:
    given: dict[str, Any] = {"json": {"text": "Rain"}} if method in ("POST", "PATCH") else {}
    assert_problem(node.http.request(method, path, **given), 404)


def test_a_line_is_found_in_its_own_channel_alone(node: RunningNode, line: dict[str, Any]) -> None:
    elsewhere = f"{lines_of('es')}/{line['id']}"
    assert_problem(node.http.get(elsewhere), 404)
    assert_problem(node.http.patch(elsewhere, json={"text": "Snow"}), 404)
    assert_problem(node.http.delete(elsewhere), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/channels/en/lines", {"GET", "HEAD", "POST"}),
        ("POST", "/v1/channels/en/lines/1-0", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("DELETE", "/v1/channels", {"GET", "HEAD"}),
        ("PUT", "/desk/session", {"GET", "HEAD", "POST", "DELETE"}),
    ],
)
def test_another_method_is_told_which_are_taken(node: RunningNode, method: str, path: str, allowed: set[str]) -> None:
    answer = node.http.request(method, path)
    assert_problem(answer, 405)
    assert {name.strip() for name in answer.headers["Allow"].split(",")} == allowed


def test_a_held_line_that_expired_meanwhile_is_not_released_without_a_new_end(node: RunningNode, channel: str) -> None:
    line = node.publish(channel, "Rain", expires_in=60)
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    node.correct(channel, line["id"], status="withheld", expires=past)
    answer = node.http.patch(path_of(line), json={"status": "usable"})
    assert "expires_in" in assert_problem(answer, 409)
    assert node.correct(channel, line["id"], status="usable", expires_in=60)["text"] == "Rain"


# Headers


def test_head_answers_as_get_does_without_the_body(node: RunningNode, line: dict[str, Any]) -> None:
    for path in (lines_of(line["channel"]), path_of(line), f"{path_of(line)}/versions", "/v1/channels", "/healthz"):
        get, head = httpx.get(node.url + path), httpx.head(node.url + path)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-type", "cache-control", "etag"):
            assert head.headers.get(name) == get.headers.get(name)


def test_public_answers_may_be_read_from_any_page(node: RunningNode, line: dict[str, Any]) -> None:
    for path in (
        lines_of(line["channel"]),
        path_of(line),
        f"/v1/channels/{line['channel']}/events",
        "/v1/channels",
        "/v1/none",
    ):
        answer = httpx.get(node.url + path, headers={"Origin": "https://site.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        # What a cache was given for one page, or for a program, it gives to all.
        plain = httpx.get(node.url + path)
        assert plain.headers["Access-Control-Allow-Origin"] == "*"
        assert "origin" not in plain.headers.get("Vary", "").lower()


@pytest.mark.parametrize(("method", "allowed"), [("GET", True), ("POST", False), ("PATCH", False), ("DELETE", False)])
def test_a_page_elsewhere_may_read_and_not_change(node: RunningNode, method: str, allowed: bool) -> None:
    asks = {
        "Origin": "https://site.example",
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "if-none-match" if allowed else "authorization",
    }
    answer = httpx.options(f"{node.url}/v1/channels/en/lines", headers=asks)
    assert answer.is_success is allowed
    assert (method in answer.headers["Access-Control-Allow-Methods"]) is allowed
    assert "authorization" not in answer.headers["Access-Control-Allow-Headers"].lower()


@pytest.mark.parametrize(
    "path",
    ["/v1/channels", "/v1/channels/en/lines", "/v1/none", "/desk", "/channels/en", "/demo", "/ticker.js", "/healthz"],
)
def test_every_answer_carries_the_security_headers(node: RunningNode, path: str) -> None:
    answer = httpx.get(node.url + path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] in ("no-referrer", "strict-origin-when-cross-origin")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "server" not in answer.headers


def test_an_editors_answer_is_not_cached(node: RunningNode, line: dict[str, Any]) -> None:
    for answer in (
        node.http.get(f"{path_of(line)}/audit"),
        node.http.get("/v1/keys"),
        node.http.patch(path_of(line), json={}),
    ):
        assert answer.headers["Cache-Control"] == "no-store"


# A killed line


def first_frame(node: RunningNode, channel: str, cursor: str = "") -> str:
    with connect(f"ws://127.0.0.1:{node.port}/v1/live?channel={channel}{cursor}") as reader:
        return str(reader.recv(WITHIN))


def first_event(node: RunningNode, channel: str, **headers: str) -> str:
    accept = {"Accept": "text/event-stream", **headers}
    with httpx.stream("GET", f"{node.url}/v1/live?channel={channel}", headers=accept) as answer:
        return next(row for row in answer.iter_lines() if row.startswith("data: "))


@pytest.mark.parametrize("status", ["withheld", "canceled"])
def test_the_words_of_a_withdrawn_line_are_gone_everywhere_but_for_editors(
    node: RunningNode, channel: str, status: str
) -> None:
    line = node.publish(channel, "Secret rain", url="https://secret.example/1", source="Secret AP")
    node.correct(channel, line["id"], text="Secret snow", source="Secret AFP")
    node.correct(channel, line["id"], pinned=True)
    if status == "withheld":
        node.correct(channel, line["id"], status=status, note="Being checked")
    else:
        node.cancel(channel, line["id"], note="Being checked")
    after = node.publish(channel, "Sunshine")

    public = {
        path: httpx.get(node.url + path).text
        for path in (
            lines_of(channel),
            path_of(line),
            f"{path_of(line)}/versions",
            f"/v1/channels/{channel}/events",
            f"/v1/channels/{channel}/events?limit=1",
            f"/v1/channels/{channel}/events?after={line['id']}",
            f"/channels/{channel}",
        )
    }
    public["WebSocket"] = first_frame(node, channel)
    public["WebSocket with a cursor"] = first_frame(node, channel, f"&cursor={channel}:{line['id']}")
    public["SSE"] = first_event(node, channel)
    public["SSE with a cursor"] = first_event(node, channel, **{"Last-Event-ID": line["id"]})
    for where, said in public.items():
        assert "ecret" not in said, where
        assert "Sunshine" in said or "/lines/" in where or "limit=1" in where, where

    audit = node.http.get(f"{path_of(line)}/audit")
    versions = audit.json()["versions"]
    assert [version["text"] for version in versions] == ["Secret rain", "Secret snow", "Secret snow", "Secret snow"]
    assert [version["source"] for version in versions] == ["Secret AP", "Secret AFP", "Secret AFP", "Secret AFP"]
    by = {"id": "environment", "name": "TICKER_ADMIN_KEY"}
    assert [version["by"] for version in versions] == [by] * 4
    assert (versions[-1]["status"], versions[-1]["url"]) == (status, "https://secret.example/1")
    assert [line["id"] for line in node.board(channel)] == [line["id"], after["id"]]  # pinned, and a tombstone


def test_readers_are_told_of_a_kill_without_the_words(node: RunningNode, channel: str) -> None:
    with connect(f"ws://127.0.0.1:{node.port}/v1/live?channel={channel}") as reader:
        reader.recv(WITHIN)
        line = node.publish(channel, "Secret rain")
        assert json.loads(reader.recv(WITHIN))["line"]["text"] == "Secret rain"
        tombstone = node.cancel(channel, line["id"], note="Wrong town")
        said = str(reader.recv(WITHIN))
    frame = json.loads(said)
    assert (frame["type"], frame["prev"], frame["line"]) == ("line", line["id"], tombstone)
    assert "ecret" not in said


def test_nobody_is_told_who_published_but_editors(node: RunningNode, channel: str) -> None:
    with key(node, "editor", channel) as editor:
        line = editor.post(lines_of(channel), json={"text": "Rain"}).json()
        assert editor.get(f"{path_of(line)}/audit").json()["versions"][0]["by"]["name"].startswith("editor ")
    for path in (lines_of(channel), path_of(line), f"{path_of(line)}/versions", f"/v1/channels/{channel}/events"):
        assert "editor " not in httpx.get(node.url + path).text


# Any input


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300) | st.datetimes().map(str)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=20), inner), max_leaves=20
)
NAMES = st.sampled_from([*FIELDS, "pinned", "expires", "expires_in", "status", "name", "key"]) | st.text(max_size=12)
TIMES = st.builds(
    lambda time, offset: f"{time.isoformat()}{offset}", st.datetimes(), st.sampled_from(["Z", "+14:00", "-12:00", ""])
)
OBJECTS = st.dictionaries(NAMES, JSON | TIMES, max_size=6)
FORMS = st.dictionaries(NAMES, st.text(max_size=40), max_size=6)
BODIES = (
    st.tuples(st.sampled_from(["application/json", "text/plain", FORM, "multipart/form-data; boundary=b"]), st.binary())
    | st.tuples(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), max_size=30), st.binary())
    | st.tuples(st.just("application/json"), OBJECTS.map(lambda given: json.dumps(given).encode()))
    | st.tuples(st.just("text/plain"), st.text().map(lambda given: given.encode()))
    | st.tuples(st.just(FORM), FORMS.map(lambda given: urlencode(given).encode()))
    | FORMS.map(lambda given: multipart("b", **given)[::-1])
    | st.tuples(
        st.just("multipart/form-data; boundary=b"),
        st.lists(
            st.sampled_from(
                [b"--b", b"\r\n", b"--", b'Content-Disposition: form-data; name="text"', b"Rain", b":", b'"']
            )
            | st.binary(max_size=8),
            max_size=14,
        ).map(b"".join),
    )
)
TARGETS = st.sampled_from(
    [
        ("POST", "/v1/channels/fuzz/lines"),
        ("PATCH", "/v1/channels/fuzz/lines/{}"),
        ("DELETE", "/v1/channels/fuzz/lines/{}"),
        ("POST", "/v1/keys"),
        ("POST", "/desk/session"),
    ]
)
HEADERS = st.dictionaries(
    st.sampled_from(["If-Match", "Idempotency-Key", "Cookie", "Sec-Fetch-Site"]),
    st.binary(max_size=20).map(lambda b: b.hex()),
)


@pytest.mark.timeout(900)  # some hundreds of requests
@settings(max_examples=250)
@given(TARGETS, BODIES, HEADERS)
def test_nothing_that_is_sent_breaks_the_node(
    node: RunningNode, target: tuple[str, str], body: tuple[str, bytes], headers: dict[str, str]
) -> None:
    method, path = target
    if "{}" in path:
        path = path.format(node.publish("fuzz", "Rain")["id"])
    answer = node.http.request(method, path, content=body[1], headers={**headers, "Content-Type": body[0]})
    assert answer.status_code < 500, answer.text
    if not answer.is_success:
        assert_problem(answer, answer.status_code, *(error["field"] for error in answer.json().get("errors", [])))


@pytest.mark.timeout(900)
@settings(max_examples=120)
@given(
    st.sampled_from(
        ["/v1/channels/{}", "/v1/channels/en/lines/{}", "/v1/channels/en/lines/{}/versions", "/{}", "/assets/{}"]
    )
    | st.sampled_from(["/v1/channels/en/events?after={}", "/v1/channels/en/events?limit={}", "/v1/live?channel={}"]),
    st.text(max_size=30) | st.from_regex(r"[0-9]{1,20}-[0-9]{1,20}", fullmatch=True) | st.just("9" * 5_000),
)
def test_nothing_that_is_asked_breaks_the_node(node: RunningNode, path: str, value: str) -> None:
    answer = httpx.get(node.url + path.format(quote(value, safe="")), headers={"Accept": "application/json"})
    assert answer.status_code < 500, answer.text
