"""The command line as scripts and people use it: a process, its output, its exit status."""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import itertools
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click
import pytest
from click.testing import CliRunner

from tests import measuring
from tests.patience import WITHIN, environment
from ticker.cli.main import main
from ticker.cli.options import Option

DONE, REFUSED, MISUSED, UNREACHABLE = 0, 1, 2, 3
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens

# Newest first, as a ticker stands.
TEN_LINES = """\
Schools on the northern coast stay closed tomorrow, the regional council says
Ferries to the islands are suspended from 18:00; rail services run as planned
City library extends its opening hours to midnight from the first of the month
Weather service raises its storm warning for the northern coast to orange
Observatory: the comet will be visible to the naked eye until Friday
Harbour Bridge reopens to trams after two weeks of repairs
Chess: the youngest finalist in the tournament's history wins the third game
Museum of Glass shows the restored windows of the old town hall
Botanic garden: the titan arum is expected to bloom within days
Marathon route changes: the start moves to the western embankment
""".splitlines()


@functools.cache
def patient() -> dict[str, str]:
    folder = tempfile.TemporaryDirectory(prefix="ticker-patience-")
    atexit.register(folder.cleanup)
    return environment(Path(folder.name))


def shell(node: Any = None, **more: str) -> dict[str, str]:
    """The variables that a command is called with."""
    env = patient() | {"TICKER_RETRY_FOR": str(WITHIN)}
    return env | ({"TICKER_URL": node.url, "TICKER_KEY": node.key} if node else {}) | more


def ticker(
    *arguments: str, node: Any = None, given: str | bytes | None = None, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "ticker", *arguments],
        env=shell(node, **env),
        cwd=cwd,
        input=given.encode() if isinstance(given, str) else given,
        capture_output=True,
        timeout=WITHIN,
        check=False,
    )
    result = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in result.stderr, result.stderr
    return result


def quickly(*arguments: str, node: Any = None, given: str | bytes = "", **env: str) -> subprocess.CompletedProcess[str]:
    """The same without a process, where many are asked: by way of click's own runner."""
    without = {name: None for name in os.environ if name.startswith("TICKER_")}
    runner = CliRunner(env={**without, **shell(node, **env)})
    result = runner.invoke(main, arguments, input=given, prog_name="ticker")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    given_back = subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)
    with warnings.catch_warnings():  # a process would end here, and its connections with it
        warnings.simplefilter("ignore", ResourceWarning)
        del result
        gc.collect()
    return given_back


def done(*arguments: str, **given: Any) -> str:
    """Its output, where all went well."""
    result = ticker(*arguments, **given)
    assert result.returncode == DONE, result.stderr
    return result.stdout


def quick(*arguments: str, **given: Any) -> str:
    result = quickly(*arguments, **given)
    assert result.returncode == DONE, result.stderr
    return result.stdout


@contextlib.contextmanager
def started(*arguments: str, node: Any, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on while the test does something else."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ticker", *arguments],
        env=shell(node, **env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a run in the background ignores Ctrl-C
    )
    try:
        yield process
    finally:
        measuring.end(process)
        process.communicate()


def next_line(stream: IO[str] | None) -> str:
    assert stream
    line = stream.readline()
    assert line, "it has ended"
    return line


CHANNELS = """
[channels.ar]
title = "العربية"
language = "ar"
""" + "".join(f"[channels.cli-{number}]\n" for number in range(50))


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One node for all tests that don't stop it."""
    founder: Any = request.config.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py")))
    node = founder.RunningNode(tmp_path_factory.mktemp("cli"), config=CHANNELS)
    yield node
    node.close()


_unused = itertools.count()


@pytest.fixture
def channel() -> str:
    """A channel that nobody has used."""
    return f"cli-{next(_unused)}"


@pytest.fixture
def other() -> str:
    return f"cli-{next(_unused)}"


# Publishing


def test_publish_prints_the_id_alone(shared: Any, channel: str) -> None:
    printed = done("publish", "-c", channel, "The bridge is open again", node=shared)
    assert re.fullmatch(r"\d+-\d+\n", printed)
    assert [(line["id"], line["text"]) for line in shared.board(channel)] == [
        (printed.strip(), "The bridge is open again")
    ]


def test_every_field_of_a_line_can_be_given(shared: Any, channel: str) -> None:
    said = (
        "--urgency flash --link https://example.org/a?b=1 --source Guard --story storm --language fr --pinned".split()
    )
    printed = quick("publish", "-c", channel, *said, "--expires-in", "never", "--json", "Alerte", node=shared)
    (line,) = shared.board(channel)
    assert json.loads(printed) == line
    assert (line["urgency"], line["url"], line["source"]) == ("flash", "https://example.org/a?b=1", "Guard")
    assert (line["story"], line["pinned"], line["language"], line["expires"]) == ("storm", True, "fr", None)
    brief = json.loads(quick("publish", "-c", channel, "--expires-in", "90s", "--json", "Soon over", node=shared))
    assert brief["expires"] > brief["published"]


@pytest.mark.parametrize("source", [["-"], ["--file", "-"]])
def test_a_line_comes_from_standard_input(shared: Any, channel: str, source: list[str]) -> None:
    done("publish", "-c", channel, *source, "--language", "ar", node=shared, given="تعليق رحلات العبّارات\n")
    assert [line["text"] for line in shared.board(channel)] == ["تعليق رحلات العبّارات"]


def test_words_that_look_like_options_go_after_two_dashes(shared: Any, channel: str) -> None:
    quick("publish", "-c", channel, "--", "--5 °C expected tonight", node=shared)
    assert shared.board(channel)[0]["text"] == "--5 °C expected tonight"


def test_a_file_is_published_oldest_first_so_that_it_stands_as_it_was(
    shared: Any, channel: str, tmp_path: Path
) -> None:
    file = tmp_path / "ten.txt"
    file.write_text("\ufeff" + "\n\n".join(TEN_LINES) + "\r\n", "utf-8")  # as editors' programs save it
    printed = done("publish", "-c", channel, "--file", str(file), node=shared).split()
    board = shared.board(channel)
    assert [line["text"] for line in board] == TEN_LINES
    assert [line["id"] for line in board] == printed[::-1]


@pytest.mark.parametrize(
    "bad", ["x" * 281, "a bell\a in it", "an override \u202e in it"], ids=["too long", "control", "override"]
)
def test_a_file_with_one_bad_line_publishes_nothing(shared: Any, channel: str, tmp_path: Path, bad: str) -> None:
    file = tmp_path / "ten.txt"
    file.write_text("\n".join([*TEN_LINES[:4], bad, *TEN_LINES[5:]]), "utf-8")
    result = quickly("publish", "-c", channel, "--file", str(file), node=shared)
    assert (result.returncode, result.stdout) == (MISUSED, "")
    assert "Line 5 of the file" in result.stderr
    assert shared.board(channel) == []


def test_a_file_that_holds_nothing_or_no_text_is_refused(shared: Any, channel: str, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "latin.txt").write_bytes("Größe".encode("latin-1"))
    for name in ("empty.txt", "latin.txt", "missing.txt"):
        result = quickly("publish", "-c", channel, "--file", str(tmp_path / name), node=shared)
        assert (result.returncode, result.stdout) == (MISUSED, ""), name
        assert name == "missing.txt" or "ticker: " in result.stderr
    assert quickly("publish", "-c", channel, "-", node=shared, given=b"\xff\xfe").returncode == MISUSED
    assert shared.board(channel) == []


@contextlib.contextmanager
def at_a_terminal(*arguments: str, node: Any) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A command whose input is a terminal, and the end of it where somebody types."""
    typing, terminal = os.openpty()
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "ticker", *arguments]
    process = subprocess.Popen(command, env=shell(node), stdin=terminal, stdout=pipe, stderr=pipe)
    os.close(terminal)
    try:
        yield process, typing
    finally:
        measuring.end(process)
        process.communicate()
        os.close(typing)


@pytest.mark.parametrize(
    ("count", "more", "typed", "published"),
    [
        (21, [], b"y\n", 21),
        (21, [], b"n\n", 0),
        (21, [], b"\n", 0),
        (21, ["--yes"], b"", 21),
        (20, [], b"", 20),
    ],
)
def test_many_lines_of_a_file_are_asked_about_on_a_terminal(
    shared: Any, channel: str, tmp_path: Path, count: int, more: list[str], typed: bytes, published: int
) -> None:
    file = tmp_path / "many.txt"
    file.write_text("\n".join(f"Line {number}" for number in range(count)))
    with at_a_terminal("publish", "-c", channel, "--file", str(file), *more, node=shared) as (command, typing):
        os.write(typing, typed)
        printed, said = command.communicate(timeout=WITHIN)
    assert len(printed.split()) == published
    assert (b"21 lines on " + channel.encode() in said) == bool(typed)
    assert command.returncode == (DONE if published else 1)
    assert len(shared.get(f"/v1/channels/{channel}/events?limit=100")["events"]) == published


# Changing


def test_a_line_is_corrected_withheld_released_and_canceled(shared: Any, channel: str) -> None:
    line = done("publish", "-c", channel, "Ferries stop at 17:00", node=shared).strip()
    corrected = ["correct", "-c", channel, line, "Ferries stop at 18:00", "--note", "Corrects the hour"]
    assert done(*corrected, node=shared) == f"{line}\n"
    (shown,) = shared.board(channel)
    assert (shown["text"], shown["note"], shown["version"]) == ("Ferries stop at 18:00", "Corrects the hour", 2)

    assert quick("withhold", "-c", channel, line, "--note", "Checking", node=shared) == f"{line}\n"
    (shown,) = shared.board(channel)
    assert (shown["status"], shown["note"], "text" in shown) == ("withheld", "Checking", False)

    released = json.loads(quick("release", "-c", channel, line, "--expires-in", "3h", "--json", node=shared))
    assert (released["status"], released["text"]) == ("usable", "Ferries stop at 18:00")

    assert quick("cancel", "-c", channel, line, "--note", "They run", node=shared) == f"{line}\n"
    (shown,) = shared.board(channel)
    assert (shown["status"], shown["note"], "text" in shown) == ("canceled", "They run", False)
    assert quickly("release", "-c", channel, line, node=shared).returncode == REFUSED


def test_everything_that_a_line_carries_can_be_corrected_and_taken_away(shared: Any, channel: str) -> None:
    line = quick("publish", "-c", channel, "Ferries stop", "--source", "Guard", "--pinned", node=shared).strip()
    given = "--urgency flash --link https://paper.example/a --story storm --language fr --not-pinned".split()
    given += ["--note", "More is known", "--expires-in", "never", "--direction", "rtl"]
    assert quick("correct", "-c", channel, line, *given, node=shared) == f"{line}\n"
    (shown,) = shared.board(channel)
    assert (shown["text"], shown["source"], shown["urgency"]) == ("Ferries stop", "Guard", "flash")
    assert (shown["url"], shown["story"], shown["pinned"]) == ("https://paper.example/a", "storm", False)
    assert (shown["language"], shown["direction"], shown["expires"], shown["note"]) == (
        "fr",
        "rtl",
        None,
        "More is known",
    )
    assert shown["corrected"] is None  # its words stand

    away = "--link= --source= --story= --note= --pinned --expires-in 1h".split()
    quick("correct", "-c", channel, line, *away, node=shared)
    (shown,) = shared.board(channel)
    assert [shown[name] for name in ("url", "source", "story", "note", "pinned")] == [None, None, None, None, True]
    assert shown["expires"] is not None


def test_a_release_may_be_for_good(shared: Any, channel: str) -> None:
    line = quick("publish", "-c", channel, "Ferries stop", node=shared).strip()
    quick("withhold", "-c", channel, line, node=shared)
    quick("release", "-c", channel, line, "--expires-in", "never", node=shared)
    assert [each["expires"] for each in shared.board(channel)] == [None]


def test_what_stands_is_listed_with_its_day(shared: Any, channel: str) -> None:
    assert "0 lines · nothing yet" in quick("list", "-c", channel, node=shared)
    line = quick("publish", "-c", channel, "Trams are back", "--pinned", node=shared).strip()
    head, told = quick("list", "-c", channel, node=shared).splitlines()
    assert f"{channel} · 1 line · {line}" in head
    assert re.match(rf" +\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\dZ  {line}  urgent    Trams are back \(pinned\)", told)
    assert json.loads(quick("list", "-c", channel, "--json", node=shared))["lines"] == shared.board(channel)


def test_a_line_is_shown_with_its_history_and_for_editors_with_who(shared: Any, channel: str) -> None:
    line = quick("publish", "-c", channel, "Ferries stop at 17:00", "--source", "Guard", node=shared).strip()
    quick("correct", "-c", channel, line, "Ferries stop at 18:00", "--note", "Corrects the hour", node=shared)
    rows = dict(
        re.split(" {2,}", row, maxsplit=1) for row in quick("show", "-c", channel, line, node=shared).splitlines()
    )
    assert (rows["text"], rows["source"], rows["pinned"], rows["url"]) == ("Ferries stop at 18:00", "Guard", "no", "–")
    assert json.loads(quick("show", "-c", channel, line, "--json", node=shared)) == shared.board(channel)[0]
    first, second = quick("show", "-c", channel, line, "--versions", node=shared).splitlines()
    assert "17:00" in first
    assert "18:00 (corrected)  (Corrects the hour)" in second
    quick("cancel", "-c", channel, line, node=shared)
    assert "17:00" not in quick("show", "-c", channel, line, "--versions", node=shared)
    audit = quick("show", "-c", channel, line, "--audit", node=shared)
    assert "17:00" in audit
    assert "by TICKER_ADMIN_KEY" in audit
    assert quickly("show", "-c", channel, line, "--audit", TICKER_URL=shared.url).returncode == REFUSED


def test_a_correction_comes_from_standard_input(shared: Any, channel: str) -> None:
    line = quick("publish", "-c", channel, "Frist draft", node=shared).strip()
    quick("correct", "-c", channel, line, "-", node=shared, given="First draft\n")
    assert shared.board(channel)[0]["text"] == "First draft"


# Exit status


def test_one_mistake_has_one_status_however_it_is_given(shared: Any, channel: str, tmp_path: Path) -> None:
    (tmp_path / "line.txt").write_text("x" * 281)
    for said in (["x" * 281], ["-"], ["--file", "-"], ["--file", str(tmp_path / "line.txt")]):
        result = quickly("publish", "-c", channel, *said, node=shared, given="x" * 281)
        assert (result.returncode, result.stdout) == (MISUSED, ""), said
        assert "280" in result.stderr
    assert shared.board(channel) == []


def test_a_value_is_named_as_it_was_given(shared: Any, channel: str) -> None:
    for option, value in (("--link", "nowhere"), ("--expires-in", "soon"), ("--story", "No Slug")):
        said = quickly("publish", "-c", channel, "Hello", option, value, node=shared).stderr
        assert said.startswith(f"ticker: {option}: "), said
    assert quickly("publish", "-c", channel, "", node=shared).stderr.startswith("ticker: TEXT: ")
    said = quickly("key", "create", "Desk", "--channel", "nowhere", node=shared).stderr
    assert said.startswith("ticker: --channel: There is no channel"), said


def test_an_id_that_is_none_is_called_an_id(shared: Any, channel: str) -> None:
    for command in ("show", "withhold", "cancel"):
        result = quickly(command, "-c", channel, "no id", node=shared)
        assert result.returncode == REFUSED
        assert "is not the id of a line" in result.stderr
    answer = shared.http.get(f"/v1/channels/{channel}/events?after=nonsense")
    assert "is not a cursor" in answer.json()["detail"]


def test_a_key_that_opens_nothing_exits_with_1(shared: Any, channel: str) -> None:
    for key in ("wrong", "ticker_abcdefgh_wrong"):
        result = quickly("publish", "-c", channel, "Hello", node=shared, TICKER_KEY=key)
        assert (result.returncode, result.stdout) == (REFUSED, "")
        assert "TICKER_KEY" in result.stderr
    assert quickly("publish", "-c", channel, "Hello", TICKER_URL=shared.url).returncode == REFUSED


@pytest.mark.parametrize(
    "arguments",
    [
        ("publish", "-c", "nowhere", "Hello"),
        ("publish", "-c", "No Slug?", "Hello"),
        ("publish", "-c", "ar#", "Hello"),
        ("list", "-c", "nowhere"),
        ("show", "-c", "ar", "1-0"),
        ("correct", "-c", "ar", "1-0", "Hello"),
        ("cancel", "-c", "ar", "no id"),
        ("key", "revoke", "nosuchid"),
        ("key", "create", "Desk", "--channel", "nowhere"),
        ("tail", "-c", "nowhere"),
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_what_the_node_refuses_exits_with_1_and_says_why(shared: Any, arguments: tuple[str, ...]) -> None:
    result = quickly(*arguments, node=shared)
    assert (result.returncode, result.stdout) == (REFUSED, "")
    assert re.match(r"ticker: .{10}", result.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        ("publish", "-c", "en"),
        ("publish", "-c", "en", "words", "--file", "-"),
        ("publish", "words"),
        ("publish", "-c", "en", "words", "--urgency", "huge"),
        ("publish", "-c", "en", "words", "--expires-in", "soon"),
        ("publish", "-c", "en", "words", "--retry-for", "-1"),
        ("publish", "-c", "en", "words", "--retry-for", "nan"),
        ("publish", "-c", "en", "x" * 281),
        ("publish", "-c", "en", ""),
        ("publish", "-c", "", "words"),
        ("publish", "-c", "en", "words", "--link", "nowhere"),
        ("publish", "-c", "en", "words", "--source", ""),
        ("publish", "-c", "en", "words", "--story", "No Slug"),
        ("publish", "-c", "en", "words", "--language", "x y"),
        ("publish", "-c", "en", "words", "--url", "localhost:8000"),
        ("publish", "-c", "en", "words", "--url", "http://["),
        ("publish", "-c", "en", "words", "--url", "ftp://127.0.0.1"),
        ("tail", "-c", "en", "--url", "ws://127.0.0.1"),
        ("correct", "-c", "en", "1-0"),
        ("correct", "-c", "en", "1-0", "x" * 281),
        ("correct", "-c", "en", "1-0", "--language", ""),
        ("correct", "-c", "en", "", "words"),
        ("withhold", "-c", "en", "1-0", "--note", "x" * 281),
        ("release", "-c", "en", "1-0", "--expires-in", "0s"),
        ("cancel", "-c", "en", "1-0", "--note", ""),
        ("show", "-c", "en", "1-0", "--versions", "--audit"),
        ("key", "create", "Desk", "--role", "chief", "--channel", "en"),
        ("key", "create", "Desk", "--role", "admin", "--channel", "en"),
        ("publish", "-c", "en", "words", "--key", "schlüssel"),
        ("key", "create", "Desk", "--role", "king"),
        ("no-such-command",),
    ],
    ids=lambda arguments: " ".join(arguments)[:44],
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(arguments: tuple[str, ...]) -> None:
    result = quickly(*arguments, TICKER_URL=NOWHERE, TICKER_RETRY_FOR="0")
    assert (result.returncode, result.stdout) == (MISUSED, ""), result.stderr
    assert result.stderr.strip()


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (["--port", "70000"], {}),
        (["--config", "missing.toml"], {}),
        (["--newswire", "carrier-pigeon://"], {}),
        ([], {"TICKER_ADMIN_KEY": "short"}),
    ],
)
def test_a_node_that_cannot_start_exits_with_2(arguments: list[str], env: dict[str, str], tmp_path: Path) -> None:
    result = ticker("serve", "--port", "0", *arguments, cwd=tmp_path, **env)
    assert (result.returncode, result.stdout) == (MISUSED, ""), result.stderr
    assert result.stderr.strip()


@pytest.mark.parametrize("arguments", ["publish -c en Hello", "cancel -c en 1-0", "key list", "channel list"])
def test_an_unreachable_node_exits_with_3(arguments: str) -> None:
    result = quickly(*arguments.split(), "--url", NOWHERE, "--retry-for", "0")
    assert (result.returncode, result.stdout) == (UNREACHABLE, "")
    assert "TICKER_URL" in result.stderr


@contextlib.contextmanager
def another_server(status: str, body: str, media_type: str = "text/html") -> Iterator[str]:
    """What answers everything in one way, and is no node."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        client.recv(65_536)
                        head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nConnection: close\r\n"
                        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            serving.join(WITHIN)


WRONG_SERVERS = {
    "another": ("501 Unsupported method ('POST')", "<html>no</html>", "text/html"),
    "a page": ("200 OK", "<html>hello</html>", "text/html"),
    "other JSON": ("404 Not Found", '{"error": "nothing here"}', "application/json"),
    "moved": ("301 Moved Permanently\r\nLocation: https://ticker.example/", "", "text/html"),
}


@pytest.mark.parametrize("server", WRONG_SERVERS)
@pytest.mark.parametrize("command", ["publish -c en Hello", "list -c en", "key list", "tail -c en"])
def test_a_server_that_is_no_node_is_called_so(server: str, command: str) -> None:
    if (server, command) == ("moved", "tail -c en"):
        return  # followed, as WebSockets are
    with another_server(*WRONG_SERVERS[server]) as url:
        result = quickly(*command.split(), TICKER_URL=url)
    assert (result.returncode, result.stdout) == (UNREACHABLE, "")
    assert ("https://ticker.example/" if server == "moved" else "is not a Ticker node") in result.stderr
    assert result.stderr.endswith(". Is --url (TICKER_URL) right, and the node up?\n")


def test_a_node_that_cannot_do_it_now_is_not_said_to_have_a_wrong_address() -> None:
    problem = json.dumps({"title": "x", "detail": "This node can't reach the newswire now. Nothing was published."})
    with another_server("503 Service Unavailable", problem, "application/problem+json") as url:
        result = quickly("publish", "-c", "en", "Hello", "--retry-for", "0", TICKER_URL=url)
    assert result.returncode == UNREACHABLE
    assert result.stderr == f"ticker: {url} says 503: {json.loads(problem)['detail']}\n"


def test_a_password_in_the_address_is_not_repeated() -> None:
    for command in ("publish -c en Hello", "tail -c en"):
        result = quickly(*command.split(), "--retry-for", "0", TICKER_URL="http://ada:hidden@127.0.0.1:9")
        assert result.returncode == UNREACHABLE
        assert "hidden" not in result.stderr


def test_tail_tries_for_as_long_as_it_is_told_to() -> None:
    """Before its first frame; what it does when a node restarts under it is told below."""
    with started("tail", "-c", "en", "--url", NOWHERE, "--retry-for", "0", node=None) as tail:
        assert tail.wait(WITHIN) == UNREACHABLE
        _, said = tail.communicate()
    assert "TICKER_URL" in said


# Trying again


def test_a_publish_waits_for_a_node_that_restarts_and_is_made_once(node: Any) -> None:
    node.kill()
    with started("publish", "-c", "en", "--retry-for", "300", "Said while the node was away", node=node) as publishing:
        with pytest.raises(subprocess.TimeoutExpired):
            publishing.wait(1)  # it has been refused at least once by now
        node.start()
        printed, said = publishing.communicate(timeout=WITHIN)
    assert publishing.returncode == DONE, said
    assert [(line["id"], line["text"]) for line in node.board("en")] == [
        (printed.strip(), "Said while the node was away")
    ]


def test_a_file_is_published_once_and_in_order_though_the_node_dies_in_the_middle(node: Any, tmp_path: Path) -> None:
    lines = [f"Line {number} of the file" for number in range(100, 0, -1)]
    file = tmp_path / "hundred.txt"
    file.write_text("\n".join(lines))
    with started("publish", "-c", "en", "--retry-for", "300", "--file", str(file), node=node) as publishing:
        for _ in range(20):
            next_line(publishing.stdout)
        node.kill()
        node.start()
        _, said = publishing.communicate(timeout=WITHIN)
    assert publishing.returncode == DONE, said
    events = node.get("/v1/channels/en/events?limit=1000")["events"]
    assert [event["line"]["text"] for event in events] == lines[::-1]


@contextlib.contextmanager
def a_network_that_loses_the_first_answer(port: int) -> Iterator[str]:
    """An address that leads to the node; what the node says first never arrives, and the connection is cut."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def carry() -> None:
        with contextlib.suppress(OSError):
            for number in itertools.count():
                client, _ = listener.accept()
                with client, socket.create_connection(("127.0.0.1", port)) as node:
                    sending = threading.Thread(target=pump, args=(client, node))
                    sending.start()
                    if number == 0:
                        node.recv(65_536)
                        client.shutdown(socket.SHUT_RDWR)
                    else:
                        pump(node, client)
                    sending.join(WITHIN)

    carrying = threading.Thread(target=carry)
    carrying.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        carrying.join(WITHIN)


def test_a_publish_whose_answer_gets_lost_is_made_once_all_the_same(shared: Any, channel: str) -> None:
    with a_network_that_loses_the_first_answer(shared.port) as url:
        printed = quick("publish", "-c", channel, "Kept, though nobody heard", "--url", url, node=shared)
    assert [line["id"] for line in shared.board(channel)] == [printed.strip()]


# Listening


def test_tail_prints_each_frame_as_json(shared: Any, channel: str, other: str) -> None:
    with started("tail", "-c", channel, "-c", other, "--json", node=shared) as tail:
        boards = [json.loads(next_line(tail.stdout)) for _ in range(2)]
        assert [(frame["type"], frame["channel"]) for frame in boards] == [("board", channel), ("board", other)]
        line = shared.publish(other, "تعليق رحلات العبّارات")
        frame = json.loads(next_line(tail.stdout))
        assert (frame["type"], frame["line"]) == ("line", line)
        tail.send_signal(signal.SIGINT)
        printed, said = tail.communicate(timeout=WITHIN)
    assert (tail.returncode, printed, said) == (DONE, "", "")


def test_tail_prints_words_for_people(shared: Any, channel: str) -> None:
    shared.publish(channel, "Trams are back")
    with started("tail", node=shared, TICKER_CHANNEL=channel) as tail:
        assert f"{channel} · 1 line ·" in next_line(tail.stdout)
        assert "Trams are back" in next_line(tail.stdout)
        line = shared.publish(channel, "Ferries stop at 18:00", urgency="flash")
        told = next_line(tail.stdout)
        assert line["id"] in told
        assert "flash" in told
        shared.cancel(channel, line["id"], "They run as planned")
        told = next_line(tail.stdout)
        assert "[canceled] They run as planned" in told
        assert "Ferries" not in told


def test_tail_goes_on_after_the_node_has_restarted(node: Any) -> None:
    with started("tail", "-c", "en", "--json", node=node) as tail:
        next_line(tail.stdout)
        for end in (node.stop, node.kill):
            end()
            node.start()
            line = node.publish("en", f"After {end.__name__}")
            while (frame := json.loads(next_line(tail.stdout)))["cursor"] != line["id"]:
                pass
            assert frame["type"] in ("board", "line")


def test_tail_into_a_pipe_that_closes_ends_quietly(shared: Any, channel: str) -> None:
    command = f"{sys.executable} -m ticker tail -c {channel} --json | head -1"
    piped = subprocess.Popen(["sh", "-c", command], env=shell(shared), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert piped.stdout
        assert json.loads(piped.stdout.readline())["type"] == "board"
        deadline = time.monotonic() + WITHIN
        while piped.poll() is None:
            shared.publish(channel, "Nobody reads this")
            assert time.monotonic() < deadline, "tail goes on though nobody reads"
        _, said = piped.communicate()
        assert said == b""
    finally:
        piped.kill()
        piped.communicate()


# Keys and channels


def test_a_key_is_printed_alone_and_works_until_it_is_revoked(shared: Any, channel: str) -> None:
    made = ticker("key", "create", "Night desk", "--role", "editor", "--channel", "ar", node=shared)
    assert made.returncode == DONE
    assert re.fullmatch(r"ticker_[a-z0-9]+_[\w-]{43}\n", made.stdout)
    key = made.stdout.strip()
    assert key not in made.stderr
    assert "Night desk" in made.stderr

    quick("publish", "-c", "ar", "مرحبا", node=shared, TICKER_KEY=key)
    assert quickly("publish", "-c", channel, "Hello", node=shared, TICKER_KEY=key).returncode == REFUSED
    assert quickly("key", "list", node=shared, TICKER_KEY=key).returncode == REFUSED

    (listed,) = quick("key", "list", node=shared).splitlines()
    for word in ("Night desk", "editor", "ar"):
        assert word in listed
    assert key.split("_")[2] not in listed
    (as_json,) = json.loads(quick("key", "list", "--json", node=shared))
    assert (as_json["name"], as_json["channels"], as_json["revoked"]) == ("Night desk", ["ar"], None)

    assert quickly("key", "revoke", as_json["id"], node=shared).returncode == DONE
    assert quickly("publish", "-c", "ar", "مرحبا", node=shared, TICKER_KEY=key).returncode == REFUSED
    assert "revoked" in quick("key", "list", node=shared)


@pytest.mark.parametrize("role", ["chief", "admin"])
def test_a_key_that_would_reach_more_than_its_channels_is_not_made(shared: Any, role: str) -> None:
    before = quick("key", "list", node=shared)
    refused = quickly("key", "create", "Night desk", "--role", role, "--channel", "ar", node=shared)
    assert (refused.returncode, refused.stdout) == (MISUSED, "")
    assert "has access to every channel" in refused.stderr
    assert quick("key", "list", node=shared) == before


def test_the_channels_are_listed(shared: Any) -> None:
    listed = done("channel", "list", node=shared).splitlines()
    assert listed[0].split() == ["ar", "ar", "rtl", "العربية"]
    assert listed[1].split()[:3] == ["cli-0", "en", "ltr"]
    assert json.loads(quick("channel", "list", "--json", node=shared)) == shared.get("/v1/channels")["channels"]


# Check


def test_check_says_that_all_is_well(tmp_path: Path) -> None:
    (tmp_path / "ticker.toml").write_text('[channels.en]\n[channels.ar]\nlanguage = "ar"\n')
    printed = done("check", cwd=tmp_path)
    assert "configuration  ok: 2 channels (en, ar)" in printed
    for part in ("newswire       ok", "clock          ok"):
        assert part in printed
    (tmp_path / "ticker.toml").unlink()
    assert "1 channel (breaking)" in done("check", cwd=tmp_path, TICKER_NEWSWIRE="sqlite:///other.db")
    assert [file.name for file in tmp_path.iterdir()] == []  # as root, it would lock out the service


def test_check_makes_no_file(tmp_path: Path) -> None:
    assert "ticker.db is not there yet" in done("check", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
    result = ticker("check", "--newswire", "sqlite:///nowhere/ticker.db", cwd=tmp_path)
    assert result.returncode == MISUSED
    assert "nowhere/ticker.db" in result.stderr


def test_check_leaves_the_file_to_whoever_the_node_runs_as(start_node: Any) -> None:
    """As root it would leave files beside it that lock the service out."""
    node = start_node()
    node.stop()
    other = 54_321 if os.geteuid() == 0 else os.geteuid()
    for path in (node.folder, *node.folder.glob("ticker.db*")):
        os.chown(path, other, -1)
    assert "is whole" in done("check", cwd=node.folder)
    assert {path.stat().st_uid for path in node.folder.glob("ticker.db*")} == {other}


def test_a_variable_that_no_option_has_is_named(tmp_path: Path) -> None:
    printed = done("check", cwd=tmp_path, TICKER_PROT="8000", TICKER_ADMIN_KEY="k" * 32, TICKER_CORRECT_LINK="x")
    assert "TICKER_PROT: not an option of Ticker" in printed
    for known in ("TICKER_ADMIN_KEY:", "TICKER_CORRECT_LINK", "TICKER_RETRY_FOR"):
        assert known not in printed
    result = ticker("serve", "--config", "none.toml", cwd=tmp_path, TICKER_PROT="8000")
    assert "TICKER_PROT" in result.stderr


@pytest.mark.parametrize("url", ["ticker.example", "ftp://ticker.example", "https://", "https://ticker.example/?x=1"])
def test_a_public_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    result = ticker("serve", "--port", "0", "--public-url", url, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (MISUSED, "")
    assert "--public-url" in result.stderr


BAD_CONFIGURATIONS = [
    "[channels.en\n",
    "[channels.en]\nmax_lines = 0\n",
    "[channels.en]\nexpires_in = 'soon'\n",
    "[channels.'No Slug']\n",
    "[channels.en]\ntypo = 1\n",
    "title = 'no channel'\n",
    "",
]


@pytest.mark.parametrize("config", BAD_CONFIGURATIONS)
def test_a_bad_configuration_is_found_before_a_start(tmp_path: Path, config: str) -> None:
    (tmp_path / "ticker.toml").write_text(config)
    with contextlib.chdir(tmp_path):
        result = quickly("check")
    assert (result.returncode, result.stdout) == (MISUSED, "")
    assert result.stderr.startswith("ticker: ticker.toml")


def test_a_second_process_on_the_same_file_is_refused(node: Any) -> None:
    for command in (("check",), ("serve", "--port", "0")):
        result = ticker(*command, cwd=node.folder)
        assert result.returncode == MISUSED
        assert "edis" in result.stderr
        assert "Ticker is on" not in result.stdout


def test_a_file_that_is_not_ours_or_damaged_or_locked_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database at all, but a text of some length " * 20)
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as db:
        db.execute("CREATE TABLE something (else_)")
    locked = sqlite3.connect(tmp_path / "locked.db")
    locked.execute("BEGIN EXCLUSIVE")
    with contextlib.closing(locked):
        for name in ("text", "other", "locked", "no/such/folder"):
            result = ticker("check", "--newswire", f"sqlite:///{name}.db", cwd=tmp_path)
            assert result.returncode == MISUSED, name
            assert f"{name}.db" in result.stderr


def test_a_clock_behind_the_newest_line_is_told(node: Any) -> None:
    node.publish("en", "From the future")
    assert node.stop() == 0
    with contextlib.closing(sqlite3.connect(node.folder / "ticker.db")) as db:
        db.execute("UPDATE channel SET ms = ms + 3600000")
        db.commit()
    result = ticker("check", cwd=node.folder)
    assert result.returncode == MISUSED
    assert "clock" in result.stderr


def test_a_port_that_is_taken_is_said_in_a_sentence(tmp_path: Path) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        result = ticker("serve", "--port", str(taken.getsockname()[1]), cwd=tmp_path)
    assert result.returncode == MISUSED
    assert "--port" in result.stderr


# What a command loads: httpx alone takes as long to load as most commands take to run

LOADED = """
import sys
from ticker.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    print(*sorted(sys.modules))
"""


def loaded(*arguments: str, cwd: Path) -> set[str]:
    """The modules that are there when the command has ended."""
    command = [sys.executable, "-c", LOADED, *arguments]
    done = subprocess.run(command, env=shell(), cwd=cwd, capture_output=True, text=True, timeout=WITHIN, check=False)
    return set(done.stdout.splitlines()[-1].split())


def test_a_command_loads_what_it_needs_and_no_more(tmp_path: Path) -> None:
    nothing = loaded("--version", cwd=tmp_path)
    assert not nothing & {"httpx", "uvicorn", "starlette", "msgspec", "regex", "ticker.cli.node", "ticker.cli.lines"}
    node = loaded("serve", "--workers", "2", cwd=tmp_path)  # which a newswire on disk can't have
    assert "ticker.serving.node" in node
    assert not node & {"httpx", "rich", "ticker.client"}
    command = loaded("list", "-c", "en", "--url", NOWHERE, "--retry-for", "0", cwd=tmp_path)
    assert "ticker.client" in command
    assert not command & {"uvicorn", "starlette", "ticker.serving", "ticker.app", "ticker.cli.node"}


# Help


def commands() -> list[tuple[tuple[str, ...], click.Context]]:
    """Every command with its context, which knows the names of its variables."""
    found: list[tuple[tuple[str, ...], click.Context]] = []

    def walk(command: click.Command, path: tuple[str, ...], parent: click.Context | None) -> None:
        context = click.Context(
            command, info_name=path[-1] if path else "ticker", parent=parent, **command.context_settings
        )
        found.append((path, context))
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child
                walk(child, (*path, name), context)

    walk(main, (), None)
    return found


EVERY_COMMAND = {" ".join(path) or "ticker": context for path, context in commands()}


def options(context: click.Context) -> list[Option]:
    return [each for each in context.command.params if isinstance(each, Option)]


@pytest.mark.parametrize("name", EVERY_COMMAND)
def test_help_names_every_option_and_its_variable(name: str) -> None:
    context = EVERY_COMMAND[name]
    path = [] if name == "ticker" else name.split()
    shown = re.sub(r"\s+", " ", quick(*path, "--help"))
    assert quick(*path, "-h") == quick(*path, "--help")
    assert len(shown) > 100
    for option in options(context):
        assert option.opts[-1] in shown
        named = option.variable(context)
        assert named is None or named in shown, option.name


SHARED = {"--url", "--key", "--retry-for", "--channel"}
OWN = {("key create", "--channel"), ("person add", "--channel")}
BY_HAND_ALONE = {("lock", "--channel"), ("unlock", "--channel")}


@pytest.mark.parametrize("name", EVERY_COMMAND)
def test_every_options_variable_follows_the_rule_of_the_docs(name: str) -> None:
    """TICKER_ and the option's name in capitals; the command's name comes between if the option is not shared."""
    context = EVERY_COMMAND[name]
    for option in options(context):
        written = next(each for each in option.opts if each.startswith("--"))
        shared = name in ("serve", "check") or (written in SHARED and (name, written) not in OWN)
        words = ["ticker", *([] if shared else name.split()), *written[2:].split("-")]
        expected = None if (name, written) in BY_HAND_ALONE else "_".join(words).upper()
        assert option.variable(context) == expected
        assert all(not param.envvar or isinstance(param, Option) for param in context.command.params)


def test_variables_named_as_python_names_them_are_not_read(shared: Any, channel: str) -> None:
    env = {"TICKER_PUBLISH_WITHIN": "1h", "TICKER_PUBLISH_AS_DRAFT": "1", "TICKER_PUBLISH_AS_JSON": "1"}
    assert re.fullmatch(r"[0-9]+-[0-9]+", quick("publish", "-c", channel, "On the air", node=shared, **env).strip())
    for env in ({"TICKER_PUBLISH_IN": "1h"}, {"TICKER_PUBLISH_DRAFT": "1"}):
        assert quick("publish", "-c", channel, "Later", node=shared, **env).startswith("d_")
    assert json.loads(quick("publish", "-c", channel, "JSON", node=shared, TICKER_PUBLISH_JSON="1"))["text"] == "JSON"


def test_a_variable_of_the_machine_does_not_stop_every_command() -> None:
    """Images often set such a variable to their own version."""
    assert "Usage:" in quick("publish", "--help", TICKER_VERSION="1.2.3")
    assert (
        quickly("channel", "list", "--url", NOWHERE, "--retry-for", "0", TICKER_VERSION="1").returncode == UNREACHABLE
    )


def test_no_variable_means_two_things() -> None:
    """TICKER_CHANNEL in a shell must not limit the keys that an admin makes there."""
    meant: dict[str, set[str]] = {}
    for context in EVERY_COMMAND.values():
        for option in options(context):
            if named := option.variable(context):
                meant.setdefault(named, set()).add(option.opts[-1])
    assert {named: opts for named, opts in meant.items() if len(opts) > 1} == {}


def test_the_version_is_told() -> None:
    assert re.fullmatch(r"ticker, version \d+\.\d+\.\d+\S*\n", done("--version"))


def test_the_commands_of_the_contract_are_all_there() -> None:
    promised = {"serve", "publish", "correct", "cancel", "withhold", "release", "tail", "check"}
    promised |= {"key create", "key list", "key revoke", "channel list", "list", "show"}
    assert promised <= set(EVERY_COMMAND)
