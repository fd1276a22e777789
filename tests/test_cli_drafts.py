"""Drafts, checks and the lock from the command line."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import RunningNode
from tests.redis_servers import until
from tests.test_cli import quick, quickly

CONFIG = """timezone = "Europe/Madrid"
[channels.en]
language = "en"
approve = ["flash"]
[channels.ar]
language = "ar"
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("cli-drafts"), config=CONFIG)
    yield node
    node.close()


@pytest.fixture(scope="module")
def second(node: RunningNode) -> str:
    """Another person's key."""
    return quick("key", "create", "Ed", "--role", "editor", "--owner", "Ed", node=node).strip()


def refused(*arguments: str, node: Any, **env: str) -> str:
    result = quickly(*arguments, node=node, **env)
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stderr


def test_a_line_is_scheduled_listed_shown_and_recalled(node: RunningNode) -> None:
    result = quickly("publish", "-c", "en", "--in", "10m", "--note-to-desk", "Ask Ann", "Polls close", node=node)
    draft = result.stdout.strip()
    assert draft.startswith("d_")
    said = r"It goes out at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+0[12]:00 \(Europe/Madrid\), in 10 min\."
    assert re.match(said, result.stderr)
    assert f"{draft}  scheduled due " in quick("draft", "list", "-c", "en", node=node)
    shown = quick("draft", "show", "-c", "en", draft, node=node)
    assert "Polls close" in shown
    assert "Ask Ann" in shown
    assert "scheduled by TICKER_ADMIN_KEY" in shown
    assert quick("draft", "discard", "-c", "en", draft, node=node) == f"{draft}\n"
    assert draft not in quick("draft", "list", "-c", "en", node=node)
    assert draft in quick("draft", "list", "-c", "en", "--state", "discarded", node=node)


def test_two_people_agree(node: RunningNode, second: str) -> None:
    result = quickly("publish", "-c", "en", "--urgency", "flash", "Quake on the coast", node=node)
    draft = result.stdout.strip()
    assert "second person" in result.stderr
    assert "second person" in refused("draft", "approve", "-c", "en", draft, node=node)
    quick("draft", "return", "-c", "en", draft, "--reason", "Which coast?", node=node, TICKER_KEY=second)
    assert "returned by Ed: Which coast?" in quick("draft", "show", "-c", "en", draft, node=node)
    quick("draft", "submit", "-c", "en", draft, node=node)
    quick("draft", "approve", "-c", "en", draft, "--sources", "USGS", "--in", "1s", node=node, TICKER_KEY=second)
    until(lambda: json.loads(quick("draft", "show", "-c", "en", draft, "--json", node=node))["state"] == "released")
    line = json.loads(quick("draft", "show", "-c", "en", draft, "--json", node=node))["line"]
    assert "approved by Ed" in quick("show", "-c", "en", line, "--audit", node=node)


def test_a_draft_is_published_at_once(node: RunningNode) -> None:
    draft = quick("publish", "-c", "en", "--draft", "Saved first", node=node).strip()
    result = quickly("draft", "publish", "-c", "en", draft, node=node)
    assert "It is on the air as" in result.stderr
    assert node.board("en")[0]["text"] == "Saved first"


def test_a_warning_is_said_with_what_confirms_it(node: RunningNode) -> None:
    said = refused("publish", "-c", "en", "XXX rain", node=node)
    assert "repeat it with --confirm marker." in said
    assert quick("publish", "-c", "en", "XXX rain", "--confirm", "marker", node=node).strip()[0] != "d"
    assert quick("publish", "-c", "en", "XXX rain", "--on-brake", "draft", node=node).startswith("d_")
    checked = quickly("publish", "-c", "ar", "--check", "Rain", node=node)
    assert checked.returncode == 1
    assert "BLOCKS  script" in checked.stdout
    checked = quickly("publish", "-c", "en", "--check", "Rain tonight", node=node)
    assert checked.returncode == 0
    assert "advice  no-source" in checked.stdout


def test_a_correction_that_a_warning_blocks_may_be_left_to_a_person(node: RunningNode) -> None:
    line = quick("publish", "-c", "en", "Rain tonight", node=node).strip()
    assert "--confirm marker" in refused("correct", "-c", "en", line, "XXX rain", node=node)
    assert "--confirm marker" in refused("correct", "-c", "en", line, "XXX rain", "--on-brake", "refuse", node=node)
    result = quickly("correct", "-c", "en", line, "XXX rain", "--on-brake", "draft", node=node)
    assert result.stdout.startswith("d_")
    assert "second person" in result.stderr
    assert json.loads(quick("show", "-c", "en", line, "--json", node=node))["text"] == "Rain tonight"


def is_released(node: RunningNode, draft: str) -> bool:
    return bool(json.loads(quick("draft", "show", "-c", "en", draft, "--json", node=node))["state"] == "released")


def test_in_no_time_is_at_once(node: RunningNode, second: str) -> None:
    for command in (["publish", "-c", "en", "--in", "0s", "Now"], ["publish", "-c", "en", "--in", "0m", "And now"]):
        draft = quick(*command, node=node).strip()
        until(functools.partial(is_released, node, draft))
    draft = quick("publish", "-c", "en", "--urgency", "flash", "Quake", node=node).strip()
    quick("draft", "approve", "-c", "en", draft, "--in", "0s", node=node, TICKER_KEY=second)
    until(lambda: node.board("en")[0]["text"] == "Quake")


@pytest.mark.parametrize("state", ["open", "submitted", "scheduled", "discarded"])
def test_what_a_draft_waits_for_is_said_with_the_command_that_goes_on(node: RunningNode, state: str) -> None:
    given = {"submitted": ["--urgency", "flash"], "scheduled": ["--in", "1h"], "open": ["--draft"]}.get(
        state, ["--draft"]
    )
    result = quickly("publish", "-c", "en", *given, "Ferries stop", node=node)
    draft, goes_on = result.stdout.strip(), {"open": "submit", "submitted": "approve", "scheduled": "discard"}
    if state == "discarded":
        result = quickly("draft", "discard", "-c", "en", draft, node=node)
        assert result.stderr == "It is discarded, and won't go out.\n"
    else:
        assert result.stderr.endswith(f"ticker draft {goes_on[state]} -c en {draft}\n")
    assert json.loads(quick("draft", "show", "-c", "en", draft, "--json", node=node))["state"] == state


def test_a_slip_is_mended(node: RunningNode) -> None:
    line = quick("publish", "-c", "en", "Teh trains run", node=node).strip()
    quick("correct", "-c", "en", line, "The trains run", "--refile", node=node)
    assert "(refiled)" in quick("show", "-c", "en", line, "--audit", node=node)
    assert "--confirm refile" in refused("correct", "-c", "en", line, "No trains run at all", "--refile", node=node)


def test_an_editors_cancel_waits_for_a_second_person(node: RunningNode, second: str) -> None:
    line = quick("publish", "-c", "en", "Wrong town", node=node).strip()
    result = quickly("cancel", "-c", "en", line, node=node, TICKER_KEY=second)
    assert result.stdout.startswith("d_")
    assert "second person" in result.stderr
    assert json.loads(quick("show", "-c", "en", line, "--json", node=node))["status"] == "withheld"


def test_the_desk_is_locked_and_unlocked(node: RunningNode, second: str) -> None:
    assert quick("lock", "--show", node=node) == "The desk is not locked.\n"
    assert "en is locked by TICKER_ADMIN_KEY" in quick("lock", "-c", "en", "--reason", "A key was stolen", node=node)
    assert "A key was stolen" in refused("publish", "-c", "en", "Rain", node=node)
    assert "can't lock or unlock" in refused("unlock", node=node, TICKER_KEY=second)
    assert json.loads(quick("unlock", "--json", node=node)) == {"locks": []}


def test_no_variable_of_the_shell_makes_a_lock_smaller(node: RunningNode) -> None:
    """Without an option, `lock` and `unlock` mean every channel, whatever the shell publishes on."""
    variables = {"TICKER_CHANNEL": "en", "TICKER_LOCK_CHANNEL": "en", "TICKER_UNLOCK_CHANNEL": "en"}
    locked = json.loads(quick("lock", "--reason", "A key was stolen", "--json", node=node, **variables))
    assert [each["channel"] for each in locked["locks"]] == ["ar", "en"]
    assert json.loads(quick("unlock", "--json", node=node, **variables)) == {"locks": []}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lock"], "Give either --reason or --show"),
        (["draft", "return", "-c", "en", "d_1"], "--reason"),
        (["publish", "-c", "en", "--in", "soon", "Rain"], "--in: 'soon' is not a duration"),
        (["publish", "-c", "en", "--in", "-5s", "Rain"], "--in: '-5s' is negative. Write it as"),
        (["publish", "-c", "en", "--in", "91d", "Rain"], "--in: 91d is too far ahead; 90d is the maximum."),
        (["draft", "publish", "-c", "en", "d_1", "--in", "-5s"], "--in: '-5s' is negative."),
        (["draft", "approve", "-c", "en", "d_1", "--in", "-5s"], "--in: '-5s' is negative."),
        (["release", "-c", "en", "1-0", "--expires-in", "0s"], "--expires-in: '0s' is too short; 1s is the minimum."),
        (["publish", "-c", "en", "--at", "2026-05-04T16:30:00Z", "--in", "5m", "Rain"], "Give only one of them."),
        (["publish", "-c", "en", "--draft", "--confirm", "marker", "Rain"], "ticker draft submit"),
        (["key", "create", "Ann", "--role", "chief", "--channel", "en"], "--channel is for other roles"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(node: RunningNode, arguments: list[str], said: str) -> None:
    result = quickly(*arguments, node=node)
    assert result.returncode == 2
    assert said in result.stderr


def test_no_draft_is_said_to_people_alone(node: RunningNode) -> None:
    result = quickly("draft", "list", "-c", "ar", "--state", "missed", node=node)
    assert (result.stdout, result.stderr) == ("", "There is no such draft on ar.\n")


def test_a_draft_that_is_not_there(node: RunningNode) -> None:
    for command in ("show", "submit", "discard", "publish"):
        said = refused("draft", command, "-c", "en", "d_1", node=node)
        assert "There is no draft" in said
        assert said.endswith("`ticker draft list -c en` lists those that you may see.\n")
    assert "draft list" not in refused("draft", "show", "-c", "nowhere", "d_1", node=node)


def test_a_refile_is_of_a_line_that_stands(node: RunningNode) -> None:
    draft = quick("publish", "-c", "en", "--draft", "Teh trains run", node=node).strip()
    result = quickly("draft", "edit", "-c", "en", draft, "The trains run", "--refile", node=node)
    assert result.returncode == 2
    assert "This one is of a new line: leave it out." in result.stderr
