"""The public ledger of corrections over HTTP: as JSON and as a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import RunningNode

OPEN = [f"open-{n}" for n in range(20)]
unused = iter(OPEN)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    config = '[channels.ar]\nlanguage = "ar"\ntitle = "مصر"\n[channels.frank]\nrepeat_canceled = true\n'
    config += "".join(f"[channels.{slug}]\n" for slug in OPEN)
    node = RunningNode(tmp_path_factory.mktemp("ledger"), config=config)
    yield node
    node.close()


@pytest.fixture
def channel() -> str:
    """A channel that no other test uses."""
    return next(unused)


def asked(node: RunningNode, channel: str, query: str = "", **headers: str) -> httpx.Response:
    return httpx.get(f"{node.url}/v1/channels/{channel}/corrections{query}", headers=headers)


def corrections(node: RunningNode, channel: str, query: str = "") -> list[dict[str, Any]]:
    answer = asked(node, channel, query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["corrections"])


def page(node: RunningNode, channel: str, query: str = "") -> str:
    answer = httpx.get(f"{node.url}/channels/{channel}/corrections{query}", headers={"Accept": "text/html"})
    assert answer.status_code == 200, answer.text
    assert "script-src" in answer.headers["content-security-policy"]
    return answer.text


def test_a_correction_says_what_was_said_what_it_says_now_when_and_why(node: RunningNode, channel: str) -> None:
    assert asked(node, channel).json() == {"corrections": [], "more": False}
    line = node.publish(channel, "Bridge closed for 2 days")
    node.correct(channel, line["id"], text="Bridge closed for 3 days", note="The city gave the wrong number")
    (entry,) = corrections(node, channel)
    assert datetime.now(UTC) - datetime.fromisoformat(entry.pop("at")) < timedelta(minutes=1)
    assert entry.pop("cursor") > line["id"]
    assert entry == {
        "line": line["id"],
        "kind": "correction",
        "said": "Bridge closed for 2 days",
        "says": "Bridge closed for 3 days",
        "note": "The city gave the wrong number",
        "status": "usable",
        "language": "en",
        "direction": "ltr",
    }


def test_refiles_and_changes_of_nothing_that_was_said_are_not_in_it(node: RunningNode, channel: str) -> None:
    line = node.publish(channel, "Bridge closd")
    node.correct(channel, line["id"], text="Bridge closed", refile=True)
    node.correct(channel, line["id"], urgency="flash", pinned=True)
    assert corrections(node, channel) == []


def test_what_is_killed_leaves_the_ledger_at_once_and_its_older_entries_too(node: RunningNode, channel: str) -> None:
    line = node.publish(channel, "Secret of state one")
    node.correct(channel, line["id"], text="Secret of state two", note="Secret of state three")
    assert "Secret of state one" in asked(node, channel).text
    assert "Secret of state one" in page(node, channel)
    node.correct(channel, line["id"], status="withheld", note="Being checked")
    for text in (asked(node, channel).text, page(node, channel)):
        assert "Secret of state" not in text
        assert "Being checked" in text
    node.correct(channel, line["id"], status="usable")
    assert "Secret of state one" in asked(node, channel).text
    node.cancel(channel, line["id"], note="It never happened")
    for text in (asked(node, channel).text, page(node, channel)):
        assert "Secret of state" not in text
        assert "Being checked" not in text
        assert "It never happened" in text
    assert [(each["kind"], each["status"]) for each in corrections(node, channel)] == [
        ("canceled", "canceled"),
        ("withheld", "canceled"),
        ("correction", "canceled"),
    ]


def test_a_channel_may_repeat_what_was_canceled(node: RunningNode) -> None:
    line = node.publish("frank", "Mayor resigns")
    node.cancel("frank", line["id"], note="He did not")
    (entry,) = corrections(node, "frank")
    assert (entry["said"], entry["says"], entry["note"]) == ("Mayor resigns", None, "He did not")
    assert "Mayor resigns" in page(node, "frank")


def test_it_is_read_page_by_page(node: RunningNode, channel: str) -> None:
    line = node.publish(channel, "Version 0")
    for number in range(1, 36):
        node.correct(channel, line["id"], text=f"Version {number}")
    whole = corrections(node, channel)
    assert [each["said"] for each in whole] == [f"Version {number}" for number in range(34, -1, -1)]
    read: list[dict[str, Any]] = []
    more, query = True, "?limit=10"
    while more:
        answer = asked(node, channel, query).json()
        read += answer["corrections"]
        more, query = answer["more"], f"?limit=10&before={read[-1]['cursor']}"
    assert read == whole
    first = page(node, channel)
    (older,) = re.findall(r'href="(\?before=[^"]*)"', first)
    second = page(node, channel, older)
    assert [len(re.findall(r"<li ", each)) for each in (first, second)] == [30, 5]
    assert f'href="/channels/{channel}/corrections"' in second


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?limit=0", 422),
        ("?limit=101", 422),
        ("?limit=-1", 422),
        ("?limit=٣", 422),
        ("?limit=" + 5_000 * "1", 422),
        ("?before=x", 400),
        ("?before=1", 400),
        ("?before=01-0", 400),
        ("?before=" + 20 * "9" + "-0", 400),
        ("?before=0-0", 200),
        ("?before=999999999999999-999999999999999", 200),
    ],
)
def test_what_is_asked_for_wrongly_is_refused(node: RunningNode, query: str, status: int) -> None:
    answer = asked(node, "ar", query)
    assert answer.status_code == status
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"


def test_there_is_none_of_a_channel_that_is_not_there(node: RunningNode) -> None:
    assert asked(node, "nothing").status_code == 404
    none = httpx.get(f"{node.url}/channels/nothing/corrections", headers={"Accept": "text/html"})
    assert (none.status_code, none.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_a_copy_is_good_as_long_as_nothing_was_published(node: RunningNode, channel: str) -> None:
    line = node.publish(channel, "One")
    first = asked(node, channel)
    assert "max-age=1," in first.headers["cache-control"]
    tag = first.headers["etag"]
    assert asked(node, channel, **{"If-None-Match": tag}).status_code == 304
    node.correct(channel, line["id"], text="Two")
    second = asked(node, channel, **{"If-None-Match": tag})
    assert second.status_code == 200
    assert second.headers["etag"] != tag
    assert second.headers["access-control-allow-origin"] == "*"


def test_it_survives_a_restart_and_is_made_again_from_the_history(node: RunningNode, channel: str) -> None:
    line = node.publish(channel, "One")
    node.correct(channel, line["id"], text="Two")
    before = corrections(node, channel)
    node.kill()
    node.start()
    assert corrections(node, channel) == before != []


def test_words_are_words_on_the_page_in_the_channels_language(node: RunningNode) -> None:
    line = node.publish("ar", "<b>جسر</b> & مغلق")
    node.correct("ar", line["id"], text="جسر مفتوح", note='<script>alert("x")</script>')
    text = page(node, "ar")
    assert '<html lang="ar" dir="rtl">' in text
    assert "<h1>التصحيحات</h1>" in text
    assert "&lt;b&gt;جسر&lt;/b&gt; &amp; مغلق" in text
    assert "<script" not in text
    assert "/channels/ar/corrections" in httpx.get(f"{node.url}/channels/ar").text
