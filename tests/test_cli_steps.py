"""Steps upon drafts, and what else must be done once, on a network that loses answers."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.conftest import RunningNode
from tests.patience import WITHIN
from tests.redis_servers import until
from tests.test_cli import REFUSED, UNREACHABLE, quick, quickly

CONFIG = """timezone = "Europe/Madrid"
[channels.en]
language = "en"
approve = ["flash"]
[channels.ar]
language = "ar"
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("cli-steps"), config=CONFIG)
    yield node
    node.close()


@pytest.fixture(scope="module")
def ed(node: RunningNode) -> str:
    """Another person's key."""
    return quick("key", "create", "Ed", "--role", "editor", "--owner", "Ed", node=node).strip()


def nothing() -> None:
    pass


@contextlib.contextmanager
def a_network_that_loses_the_answer_to_a_change(
    node: RunningNode, meanwhile: Callable[[], object] = nothing
) -> Iterator[str]:
    """An address that leads to the node. The first change arrives there, its answer never comes back, and something
    else happens before it can be repeated."""
    lost = threading.Event()

    class Carrier(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def carry(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            answer = httpx.request(self.command, f"{node.url}{self.path}", headers=headers, content=body)
            if self.command != "GET" and not lost.is_set():
                assert answer.is_success, answer.text
                lost.set()
                meanwhile()
                self.close_connection = True
                return
            self.send_response(answer.status_code)
            for name in ("content-type", "etag"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = carry

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Carrier) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
            assert lost.is_set()
        finally:
            server.shutdown()
            serving.join(WITHIN)


def written(node: RunningNode, *options: str, words: str = "Ferries stop") -> str:
    return quick("publish", "-c", "en", "--draft", *options, words, node=node).strip()


def shown(node: RunningNode, draft: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(quick("draft", "show", "-c", "en", draft, "--json", node=node))
    return found


def deeds(node: RunningNode, draft: str) -> list[str]:
    history = shown(node, draft)["history"]
    assert isinstance(history, list)
    return [step["did"] for step in history]


TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
STEPS = {
    "submit": ([], ["created", "submitted"], "submitted"),
    "publish": (["--in", "1h"], ["created", "scheduled"], "scheduled"),
    "publish now": ([], ["created", "scheduled", "released"], "released"),
    "discard": ([], ["created", "discarded"], "discarded"),
    "edit": (
        ["Ferries  stop at 18:00", "--link", "", "--in", "2h", "--source", "Guard"],
        ["created", "edited"],
        "open",
    ),
    "edit its time": (["--at", TOMORROW, "--note-to-desk", "Ask  Ann"], ["created", "edited"], "open"),
    "edit its time away": (["--unschedule", "--note-to-desk", "Ask Ann"], ["created", "edited"], "open"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_whose_answer_is_lost_is_taken_once(node: RunningNode, step: str) -> None:
    options, history, state = STEPS[step]
    draft = written(node)
    with a_network_that_loses_the_answer_to_a_change(node) as url:
        printed = quick("draft", step.split()[0], "-c", "en", draft, *options, "--url", url, node=node)
    assert printed == f"{draft}\n"
    assert deeds(node, draft) == history
    assert shown(node, draft)["state"] == state


def test_other_words_of_a_scheduled_draft_are_confirmed_by_name(node: RunningNode) -> None:
    draft = written(node)
    quick("draft", "publish", "-c", "en", draft, "--in", "1h", node=node)
    refused = quickly("draft", "edit", "-c", "en", draft, "XXX on the coast", node=node)
    assert (refused.returncode, refused.stdout) == (REFUSED, "")
    assert "--confirm marker" in refused.stderr
    quick("draft", "edit", "-c", "en", draft, "XXX on the coast", "--confirm", "marker", node=node)
    assert (shown(node, draft)["state"], shown(node, draft)["text"]) == ("scheduled", "XXX on the coast")
    quick("draft", "discard", "-c", "en", draft, node=node)


def test_an_approval_and_a_return_whose_answers_are_lost_are_taken_once(node: RunningNode, ed: str) -> None:
    draft = written(node, "--urgency", "flash")
    quick("draft", "submit", "-c", "en", draft, node=node)
    why = ["--reason", "Which  ferries?"]
    with a_network_that_loses_the_answer_to_a_change(node) as url:
        quick("draft", "return", "-c", "en", draft, *why, "--url", url, node=node, TICKER_KEY=ed)
    quick("draft", "submit", "-c", "en", draft, node=node)
    with a_network_that_loses_the_answer_to_a_change(node) as url:
        quick("draft", "approve", "-c", "en", draft, "--in", "1h", "--url", url, node=node, TICKER_KEY=ed)
    assert deeds(node, draft) == ["created", "submitted", "returned", "submitted", "approved"]


def test_what_went_out_by_itself_meanwhile_is_a_success(node: RunningNode) -> None:
    draft = written(node)

    def wait() -> None:
        until(lambda: shown(node, draft)["state"] == "released")

    with a_network_that_loses_the_answer_to_a_change(node, wait) as url:
        result = quickly("draft", "publish", "-c", "en", draft, "--in", "0s", "--url", url, node=node)
    assert result.returncode == 0
    assert "It is on the air as" in result.stderr


def test_a_repeat_does_not_schedule_again_what_somebody_returned_meanwhile(node: RunningNode, ed: str) -> None:
    draft = written(node)

    def send_back() -> None:
        quick("draft", "return", "-c", "en", draft, "--reason", "Which ferries?", node=node, TICKER_KEY=ed)

    with a_network_that_loses_the_answer_to_a_change(node, send_back) as url:
        result = quickly("draft", "publish", "-c", "en", draft, "--in", "1h", "--url", url, node=node)
    assert (result.returncode, result.stdout) == (REFUSED, "")
    assert result.stderr == (
        "ticker: The draft was changed meanwhile by Ed (returned: Which ferries?); read it with "
        f"`ticker draft show -c en {draft}`, and repeat your command if it is still right.\n"
    )
    assert deeds(node, draft) == ["created", "scheduled", "returned"]


@pytest.mark.parametrize("other", [["publish", "--in", "2h"], ["edit", "Ferries run"], ["submit"]])
def test_what_the_same_key_did_elsewhere_is_not_taken_for_this_step(node: RunningNode, other: list[str]) -> None:
    """A colleague at another machine, or the desk in another window."""
    draft = written(node)

    def elsewhere() -> None:
        quick("draft", "return", "-c", "en", draft, "--reason", "No", node=node)
        quick("draft", other[0], "-c", "en", draft, *other[1:], node=node)

    with a_network_that_loses_the_answer_to_a_change(node, elsewhere) as url:
        result = quickly("draft", "publish", "-c", "en", draft, "--in", "1h", "--url", url, node=node)
    assert result.returncode == REFUSED
    assert "was changed meanwhile by TICKER_ADMIN_KEY" in result.stderr


def test_a_step_that_was_beaten_before_it_was_sent_is_no_success(node: RunningNode, ed: str) -> None:
    """Nothing was lost: the same deed by the same key is another one."""
    from ticker.cli.steps import take
    from ticker.client import Client

    draft = written(node)

    class Slow(Client):
        def call(self, method: str, path: str, *rest: object, **more: object) -> object:
            if method != "GET":
                quick("draft", "submit", "-c", "en", draft, node=node)
            return super().call(method, path, *rest, **more)  # type: ignore[arg-type]

    client = Slow(node.url, node.key)
    with pytest.raises(SystemExit) as ended:
        take(client, "en", draft, "submit", {"confirm": []})
    client._http.close()
    assert ended.value.code == REFUSED


def test_an_unlocking_whose_answer_is_lost_leaves_a_new_lock_alone(node: RunningNode) -> None:
    quick("lock", "-c", "ar", "--reason", "First", node=node)
    with a_network_that_loses_the_answer_to_a_change(node) as url:
        assert quick("unlock", "--url", url, node=node) == "The desk is not locked.\n"
    quick("lock", "-c", "ar", "--reason", "First", node=node)

    def lock_again() -> None:
        quick("lock", "-c", "ar", "--reason", "Second", node=node)

    with a_network_that_loses_the_answer_to_a_change(node, lock_again) as url:
        result = quickly("unlock", "--url", url, node=node)
    assert result.returncode == REFUSED
    assert "ar is locked by TICKER_ADMIN_KEY" in result.stderr
    assert "Second" in quick("lock", "--show", node=node)
    quick("unlock", node=node)


def test_a_key_whose_answer_is_lost_is_not_made_twice(node: RunningNode) -> None:
    with a_network_that_loses_the_answer_to_a_change(node) as url:
        result = quickly("key", "create", "Lost", "--url", url, node=node)
    assert (result.returncode, result.stdout) == (REFUSED, "")
    (made,) = (each for each in json.loads(quick("key", "list", "--json", node=node)) if each["name"] == "Lost")
    assert f"revoke {made['id']} and make another one" in result.stderr


def test_a_change_that_may_have_been_made_is_said_to_be_looked_at(node: RunningNode) -> None:
    with a_network_that_loses_the_answer_to_a_change(node) as url:
        result = quickly("publish", "-c", "ar", "مرحبا", "--url", url, "--retry-for", "0", node=node)
    assert result.returncode == UNREACHABLE
    assert "may have been done all the same: look before you repeat it" in result.stderr
    never = quickly("publish", "-c", "ar", "مرحبا", "--url", "http://127.0.0.1:9", "--retry-for", "0", node=node)
    assert "may have been done" not in never.stderr


def test_a_key_that_may_have_been_made_is_said_to_be_looked_for(node: RunningNode) -> None:
    with a_network_that_loses_the_answer_to_a_change(node) as url:
        result = quickly("key", "create", "Maybe", "--url", url, "--retry-for", "0", node=node)
    assert (result.returncode, result.stdout) == (UNREACHABLE, "")
    assert "The key may have been made, and then nobody has it" in result.stderr
    never = quickly("key", "create", "Never", "--url", "http://127.0.0.1:9", "--retry-for", "0", node=node)
    assert never.returncode == UNREACHABLE
    assert "may have been made" not in never.stderr


# A draft of a change whose line has moved on


def test_a_draft_of_a_line_that_is_canceled_is_not_written_anew(node: RunningNode) -> None:
    line = quick("publish", "-c", "en", "Ferries stop at 17:00", node=node).strip()
    draft = quick("correct", "-c", "en", line, "Ferries stop at 18:00", "--in", "1h", node=node).strip()
    quick("cancel", "-c", "en", line, node=node)
    result = quickly("draft", "publish", "-c", "en", draft, node=node)
    assert result.returncode == REFUSED
    assert "canceled" in result.stderr
    assert "--line-version" not in result.stderr


def test_a_draft_of_a_changed_line_is_written_anew_against_its_version(node: RunningNode) -> None:
    line = quick("publish", "-c", "en", "Ferries stop at 17:00", node=node).strip()
    draft = quick("correct", "-c", "en", line, "Ferries stop at 18:00", "--in", "1h", node=node).strip()
    quick("correct", "-c", "en", line, "--source", "Guard", node=node)
    result = quickly("draft", "publish", "-c", "en", draft, node=node)
    assert result.returncode == REFUSED
    assert f"ticker draft edit -c en {draft} --line-version 2" in result.stderr
    quick("draft", "edit", "-c", "en", draft, "--line-version", "2", node=node)
    quick("draft", "publish", "-c", "en", draft, node=node)
    now = json.loads(quick("show", "-c", "en", line, "--json", node=node))
    assert (now["text"], now["source"]) == ("Ferries stop at 18:00", "Guard")


# Editing


def test_whatever_a_draft_says_can_be_edited(node: RunningNode) -> None:
    draft = written(node, "--source", "Guard", "--note", "First", "--note-to-desk", "Ask Ann", "--in", "1h")
    given = "--urgency bulletin --link https://paper.example/a --story storm --language fr --direction rtl --pinned"
    more = ["--expires-in", "2h", "--source", "", "--note", "", "--note-to-desk", "", "--json"]
    edited = json.loads(quick("draft", "edit", "-c", "en", draft, "Alerte", *given.split(), *more, node=node))
    assert [edited[name] for name in ("text", "urgency", "url", "story", "language", "direction", "pinned")] == [
        "Alerte",
        "bulletin",
        "https://paper.example/a",
        "storm",
        "fr",
        "rtl",
        True,
    ]
    assert [edited[name] for name in ("source", "note", "note_to_desk", "expires_in")] == [None, None, None, 7200]
    edited = json.loads(quick("draft", "edit", "-c", "en", draft, "-", "--json", node=node, given="De l'entrée\n"))
    assert edited["text"] == "De l'entrée"


def test_a_draft_is_rescheduled_and_unscheduled(node: RunningNode) -> None:
    draft = quick("publish", "-c", "en", "--in", "1h", "Polls close", node=node).strip()
    result = quickly("draft", "edit", "-c", "en", draft, "--in", "2h", node=node)
    assert "in 2 h" in result.stderr
    result = quickly("draft", "edit", "-c", "en", draft, "--at", "2026-05-04T16:30", node=node)
    assert (result.returncode, result.stderr[:13]) == (REFUSED, "ticker: --at:")
    result = quickly("draft", "edit", "-c", "en", draft, "--unschedule", node=node)
    assert result.stdout == f"{draft}\n"
    assert shown(node, draft)["publish_at"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Say what to change"),
        (["--refile"], "Say what to change"),
        (["--at", "2026-05-04T16:30:00Z", "--in", "5m"], "Give only one of them"),
        (["--unschedule", "--in", "5m"], "Give only one of them"),
        (["x" * 281], "TEXT: "),
        (["--link", "nowhere"], "--link: "),
        (["--in", "91d"], "--in: 91d is too far ahead; 90d is the maximum."),
        (["--in", "-5s"], "--in: '-5s' is negative."),
        (["--expires-in", "0s"], "--expires-in: '0s' is too short; 1s is the minimum."),
        (["--expires-in", "-1h"], "--expires-in: '-1h' is negative."),
        (["--line-version", "0"], "--line-version"),
    ],
)
def test_an_edit_that_says_nothing_or_nonsense_is_not_sent(arguments: list[str], said: str) -> None:
    result = quickly("draft", "edit", "-c", "en", "d_1", *arguments, TICKER_URL="http://127.0.0.1:9")
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr
