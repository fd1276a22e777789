"""What stands, as JSON: the board, a line, its versions, the history, the channels; with tags that save the body."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.conftest import CHANNELS, RunningNode
from tests.patience import WITHIN

FRESH = [f"fresh-{n}" for n in range(60)]
unused = iter(FRESH)
TEN_ARABIC = [f"خبر عاجل رقم {n}: الأمطار مستمرة" for n in range(10)]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """One node for all these tests, with a channel for each."""
    config = CHANNELS + '[channels.arabic]\nlanguage = "ar-EG"\ntitle = "مصر"\n'
    config += "".join(f"[channels.{slug}]\n" for slug in FRESH)
    node = RunningNode(tmp_path_factory.mktemp("snapshot"), config=config)
    yield node
    node.close()


@pytest.fixture
def channel() -> str:
    """A channel that no other test uses."""
    return next(unused)


def get(node: RunningNode, path: str, **headers: str) -> httpx.Response:
    return httpx.get(node.url + path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def board_path(channel: str) -> str:
    return f"/v1/channels/{channel}/lines"


def frames(node: RunningNode, channel: str, count: int) -> list[dict[str, Any]]:
    with connect(f"ws://127.0.0.1:{node.port}/v1/live?channel={channel}") as reader:
        return [json.loads(reader.recv(WITHIN)) for _ in range(count)]


def streamed(node: RunningNode, channel: str) -> dict[str, Any]:
    url = f"{node.url}/v1/live?channel={channel}"
    with httpx.stream("GET", url, headers={"Accept": "text/event-stream"}) as answer:
        data = next(row for row in answer.iter_lines() if row.startswith("data: "))
    return dict(json.loads(data.removeprefix("data: ")))


# Channels


def test_the_channels_are_listed_in_the_order_of_the_file_with_what_a_page_needs(node: RunningNode) -> None:
    answer = get(node, "/v1/channels")
    channels = answer.json()["channels"]
    assert [channel["slug"] for channel in channels] == ["en", "ar", "es", "arabic", *FRESH]
    by_slug = {channel.pop("slug"): channel for channel in channels}
    assert by_slug["en"] == {"title": "English", "language": "en", "direction": "ltr", "label": "Breaking"}
    assert by_slug["arabic"] == {"title": "مصر", "language": "ar-EG", "direction": "rtl", "label": "عاجل"}
    assert "public" in answer.headers["Cache-Control"]


# The board


def test_the_board_is_what_a_new_reader_gets(node: RunningNode, channel: str) -> None:
    node.publish(channel, "Rain", pinned=True)
    killed = node.publish(channel, "Snow")
    node.cancel(channel, killed["id"])
    board = get(node, board_path(channel)).json()
    [frame] = frames(node, channel, 1)
    for given in (board, frame, streamed(node, channel)):
        now = given.pop("now")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", now)
        assert given == board
    assert (board["type"], board["channel"], board["max_lines"], board["language"]) == ("board", channel, 10, "en")
    assert [line.get("text") for line in board["lines"]] == ["Rain", None]


def test_an_empty_channel_has_a_board_without_cursor(node: RunningNode, channel: str) -> None:
    answer = get(node, board_path(channel))
    assert (answer.json()["cursor"], answer.json()["lines"]) == (None, [])
    assert get(node, board_path(channel), If_None_Match=answer.headers["ETag"]).status_code == 304
    node.publish(channel, "Rain")
    assert get(node, board_path(channel), If_None_Match=answer.headers["ETag"]).status_code == 200


def test_a_boards_tag_is_its_cursor(node: RunningNode, channel: str) -> None:
    node.publish(channel, "Rain")
    answer = get(node, board_path(channel))
    assert answer.headers["ETag"] == f'"{answer.json()["cursor"]}"'


def test_a_cdn_may_keep_a_board_for_a_moment_and_while_the_node_is_away(node: RunningNode, channel: str) -> None:
    caching = get(node, board_path(channel)).headers["Cache-Control"]
    for directive in ("public", "max-age=1", "stale-while-revalidate=", "stale-if-error="):
        assert directive in caching
    assert "set-cookie" not in get(node, board_path(channel)).headers


@pytest.mark.parametrize("header", ["{}", "W/{}", '"other", {}', "*"])
@pytest.mark.parametrize("what", ["board", "line", "versions"])
def test_who_has_it_already_gets_no_body(node: RunningNode, channel: str, what: str, header: str) -> None:
    line = node.publish(channel, "Rain")
    path = board_path(channel) + {"board": "", "line": f"/{line['id']}", "versions": f"/{line['id']}/versions"}[what]
    etag = get(node, path).headers["ETag"]
    held = get(node, path, If_None_Match=header.format(etag))
    assert (held.status_code, held.content, held.headers["ETag"]) == (304, b"", etag)
    assert "stale-if-error" in held.headers["Cache-Control"]
    assert get(node, path, If_None_Match='"other"').status_code == 200

    for change in ({"text": "Snow"}, {"pinned": True}, {"status": "withheld"}, {"status": "usable"}):
        node.correct(channel, line["id"], **change)
        answer = get(node, path, If_None_Match=etag)
        assert answer.status_code == 200
        assert answer.headers["ETag"] != etag
        etag = answer.headers["ETag"]


def test_an_expired_line_leaves_the_board_by_itself(node: RunningNode, channel: str) -> None:
    stays = node.publish(channel, "Stays")
    for seconds in (1, 15, 60):  # once more, for longer, where the machine was too busy to look in time
        goes = node.publish(channel, "Goes", expires_in=seconds)
        shown = node.board(channel)
        if datetime.now(UTC) < datetime.fromisoformat(goes["expires"]):
            break
    assert shown == [goes, stays]
    until(lambda: node.board(channel) == [stays])
    assert get(node, f"{board_path(channel)}/{goes['id']}").json() == goes


def until(condition: Any) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Ten lines


def test_ten_lines_stand_in_one_order_everywhere(node: RunningNode) -> None:
    for text in TEN_ARABIC:
        node.publish("arabic", text)
    newest_first = TEN_ARABIC[::-1]
    assert [line["text"] for line in node.board("arabic")] == newest_first
    assert [line["text"] for line in frames(node, "arabic", 1)[0]["lines"]] == newest_first
    assert [line["text"] for line in streamed(node, "arabic")["lines"]] == newest_first
    history = node.get("/v1/channels/arabic/events")["events"]
    assert [event["line"]["text"] for event in history] == TEN_ARABIC

    page = get(node, "/channels/arabic").text
    assert sorted(TEN_ARABIC, key=page.index) == newest_first
    for text in TEN_ARABIC:
        before = page[: page.index(text)]
        opened = before[before.rindex("<li") :]
        assert 'lang="ar-EG"' in opened
        assert 'dir="rtl"' in opened


def test_the_eleventh_line_takes_the_oldest_ones_place(node: RunningNode, channel: str) -> None:
    made = [node.publish(channel, f"Line {n}") for n in range(12)]
    assert node.board(channel) == made[:1:-1]
    node.correct(channel, made[0]["id"], pinned=True)
    assert [line["text"] for line in node.board(channel)] == ["Line 0", *(f"Line {n}" for n in range(11, 2, -1))]


def test_words_on_the_page_are_words(node: RunningNode, channel: str) -> None:
    node.publish(channel, "<script>alert(1)</script> & more", source='"><img src=x>', url="https://a.example/?a='&b")
    page = get(node, f"/channels/{channel}").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page


# One line


def test_a_line_and_its_versions(node: RunningNode, channel: str) -> None:
    first = node.publish(channel, "Rain", source="AP")
    second = node.correct(channel, first["id"], text="Snow", note="Colder")
    assert node.get(f"{board_path(channel)}/{first['id']}") == second
    assert node.get(f"{board_path(channel)}/{first['id']}/versions") == {"versions": [first, second]}


ADDRESSES = "lines", "lines/{}", "lines/{}/versions", "events", "events?after={}"


@pytest.mark.parametrize("held_first", [False, True])
def test_after_a_kill_its_note_is_all_that_the_public_sees_on_any_address(
    node: RunningNode, channel: str, held_first: bool
) -> None:
    secret = {"url": "https://named.example/", "source": "Named", "story": "named", "note": "Named before"}
    line = node.publish(channel, "Named", **secret)
    node.correct(channel, line["id"], text="Named again", note="It was Named")
    node.correct(channel, line["id"], note="Named in a note alone")
    if held_first:
        node.correct(channel, line["id"], status="withheld", note="Named, and held")
    node.cancel(channel, line["id"], note="Retracted")
    for address in ADDRESSES:
        said = get(node, f"/v1/channels/{channel}/{address.format(line['id'])}").text.lower()
        assert "named" not in said, address
        assert "Retracted".lower() in said, address
    for frame in (frames(node, channel, 1)[0], streamed(node, channel)):
        assert "named" not in json.dumps(frame).lower()
        assert frame["lines"][0]["note"] == "Retracted"
    audit = httpx.get(
        f"{node.url}/v1/channels/{channel}/lines/{line['id']}/audit", headers={"Authorization": f"Bearer {node.key}"}
    )
    assert audit.json()["versions"][0]["text"] == "Named"


def test_while_a_line_is_held_what_it_said_before_is_gone_and_why_it_is_held_stays(
    node: RunningNode, channel: str
) -> None:
    line = node.publish(channel, "Named", note="Named before", story="storm")
    node.correct(channel, line["id"], status="withheld", note="Being checked")
    for address in ADDRESSES:
        said = get(node, f"/v1/channels/{channel}/{address.format(line['id'])}").text.lower()
        assert "named" not in said, address
        assert "being checked" in said, address
    node.correct(channel, line["id"], status="usable", note="It holds")
    versions = node.get(f"{board_path(channel)}/{line['id']}/versions")["versions"]
    assert [version.get("text") for version in versions] == ["Named", None, "Named"]
    assert [version["note"] for version in versions] == ["Named before", "Being checked", "It holds"]


@pytest.mark.parametrize("spelling", ["0{}-{}", "{}-0{}"])
def test_an_id_or_cursor_has_one_spelling_on_every_address(node: RunningNode, channel: str, spelling: str) -> None:
    line = node.publish(channel, "Rain")
    other = spelling.format(*line["id"].split("-"))
    for address in ADDRESSES:
        if "{}" in address:
            assert get(node, f"/v1/channels/{channel}/{address.format(other)}").status_code == 400, address
    assert node.http.patch(f"{board_path(channel)}/{other}", json={"text": "Snow"}).status_code == 400
    assert node.http.delete(f"{board_path(channel)}/{other}").status_code == 400


# History


@pytest.fixture
def five(node: RunningNode, channel: str) -> list[dict[str, Any]]:
    """Five events, as frames."""
    with connect(f"ws://127.0.0.1:{node.port}/v1/live?channel={channel}") as reader:
        reader.recv(WITHIN)
        first = node.publish(channel, "Rain")
        node.correct(channel, first["id"], text="Snow")
        for n in range(3):
            node.publish(channel, f"Line {n}")
        return [json.loads(reader.recv(WITHIN)) for _ in range(5)]


def page_of(node: RunningNode, channel: str, **query: Any) -> tuple[list[dict[str, Any]], bool]:
    answer = httpx.get(f"{node.url}/v1/channels/{channel}/events", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["events"], answer.json()["more"]


def test_history_holds_the_frames_that_readers_got(node: RunningNode, channel: str, five: list[dict[str, Any]]) -> None:
    assert page_of(node, channel) == (five, False)
    assert [event["prev"] for event in five] == [None, *(event["cursor"] for event in five[:-1])]


def test_history_comes_in_pages(node: RunningNode, channel: str, five: list[dict[str, Any]]) -> None:
    assert page_of(node, channel, limit=2) == (five[:2], True)
    assert page_of(node, channel, limit=2, after=five[1]["cursor"]) == (five[2:4], True)
    assert page_of(node, channel, limit=2, after=five[3]["cursor"]) == (five[4:], False)
    assert page_of(node, channel, limit=5) == (five, False)
    assert page_of(node, channel, after=five[4]["cursor"]) == ([], False)
    assert page_of(node, channel, after="") == (five, False)


def test_a_page_holds_a_hundred_events_unless_more_are_asked_for(node: RunningNode, channel: str) -> None:
    line = node.publish(channel, "Rain")
    for n in range(104):
        node.correct(channel, line["id"], pinned=n % 2 == 0)
    events, more = page_of(node, channel)
    assert (len(events), more) == (100, True)
    events, more = page_of(node, channel, limit=1_000)
    assert (len(events), more) == (105, False)
    assert [event["line"]["version"] for event in events] == list(range(1, 106))


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "ten", "1.5", "", "١٠", " 5", "9" * 5_000], ids=lambda n: n[:5])
def test_a_limit_that_is_none_is_named(node: RunningNode, channel: str, limit: str) -> None:
    answer = httpx.get(f"{node.url}/v1/channels/{channel}/events", params={"limit": limit})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["limit"]


@pytest.mark.parametrize(
    ("after", "status"),
    [("yesterday", 400), ("1", 400), ("1-", 400), ("1-2-3", 400), ("-1-0", 400), (f"{10**20}-0", 400), ("1-0", 410)],
)
def test_a_cursor_that_leads_nowhere(
    node: RunningNode, channel: str, five: list[dict[str, Any]], after: str, status: int
) -> None:
    answer = httpx.get(f"{node.url}/v1/channels/{channel}/events", params={"after": after})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_a_cursor_of_another_channel_is_gone(node: RunningNode, channel: str, five: list[dict[str, Any]]) -> None:
    node.publish("es", "Lluvia")
    answer = httpx.get(f"{node.url}/v1/channels/es/events", params={"after": five[0]["cursor"]})
    assert answer.status_code == 410
    assert "Take the board" in answer.json()["detail"]


@pytest.mark.parametrize("line_id", ["yesterday", "1", "1-x"])
def test_what_is_no_id_is_no_line(node: RunningNode, line_id: str) -> None:
    for path in (f"{board_path('en')}/{line_id}", f"{board_path('en')}/{line_id}/versions"):
        answer = get(node, path)
        assert answer.status_code in (400, 404)
        assert answer.headers["content-type"] == "application/problem+json"
