"""What one stranger without a key can cost: the time of the loop, memory, and how long a connection is held."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from uvicorn.middleware.proxy_headers import _TrustedHosts

from tests.conftest import RunningNode
from tests.patience import NO_BEATS, WITHIN
from tests.proxies import NAMES, proxy
from tests.readers import PING, PONG, TEXT, client_frame, handshake
from tests.wire import connected, exchanged, responses
from ticker.serving.node import _trusted_proxies

LOOP_MAX = 0.020  # seconds of the event loop that one request may take
MEMORY_MAX = 256 * 1_024  # bytes that one request may leave behind

LINES = b"/v1/channels/en/lines"
HEAD = b"Host: x\r\nConnection: close\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("limits") / "node")
    for number in range(30):
        node.publish("en", f"Line {number}")
    yield node
    node.close()


def get(target: bytes, *fields: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + HEAD + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def post(target: bytes, body: bytes, *fields: bytes) -> bytes:
    return get(target, *fields, b"Content-Length: %d" % len(body)).replace(b"GET", b"POST", 1) + body


def chunked(target: bytes, body: bytes, *fields: bytes) -> bytes:
    return get(target, *fields, b"Transfer-Encoding: chunked").replace(b"GET", b"POST", 1) + body


def fill(piece: bytes, size: int = 64_000) -> bytes:
    return (piece * (size // len(piece) + 1))[:size]


BOUNDARY = b"Content-Type: multipart/form-data; boundary="
FORM = b"Content-Type: application/x-www-form-urlencoded"
JSON = b"Content-Type: application/json"
PREFLIGHT = b"Origin: http://x", b"Access-Control-Request-Method: GET"
COSTLY = {
    "channels": get(b"/v1/live?" + fill(b"channel=en&", 8_000), b"Accept: text/event-stream"),
    "cursors": get(b"/v1/live?channel=en&" + fill(b"cursor=en:1-1&", 8_000), b"Accept: text/event-stream"),
    "channels and cursors, 64 kB": get(b"/v1/live?" + fill(b"channel=en&cursor=en:1-1&"), b"Accept: text/event-stream"),
    "a last event": get(b"/v1/live?channel=en", b"Accept: text/event-stream", b"Last-Event-ID: " + fill(b"9")),
    "quotes": get(LINES, b"If-None-Match: " + fill(b'"')),
    "tags": get(LINES, b"If-None-Match: " + fill(b'"9999999999999-0", ')),
    "tags of a script": get(b"/ticker.js", b"If-None-Match: " + fill(b'"a", ')),
    "encodings": get(b"/ticker.js", b"Accept-Encoding: " + fill(b"a,")),
    "weights": get(b"/ticker.js", b"Accept-Encoding: " + fill(b"a;q=0.1;")),
    "media types of a page": get(b"/channels/nowhere", b"Accept: " + fill(b"a/b;q=0.5,")),
    "media types": get(b"/v1/live?channel=en", b"Accept: " + fill(b"a/b;q=0.5,")),
    "a range": get(b"/assets/channel/channel.css", b"Range: bytes=" + fill(b"0-0,")),
    "cookies": get(b"/desk/session", b"Cookie: " + fill(b"a=b; ")),
    "one cookie": get(b"/desk/session", b"Cookie: ticker_session=" + fill(b"a")),
    "an Authorization": get(b"/v1/keys", b"Authorization: Bearer " + fill(b"ticker_a_")),
    "a query of the snippet builder": get(b"/embed?" + fill(b"mode=a&", 8_000)),
    "a query of the frame": get(b"/embed/en?" + fill(b"lang=en&", 8_000)),
    "a query of oEmbed": get(b"/oembed?url=" + fill(b"http%3A%2F%2Fx%2F", 8_000)),
    "a query within a query": get(b"/oembed?url=http%3A%2F%2Fx%2Fembed%2Fen%3F" + fill(b"a%3Db%26", 7_900)),
    "a query of the history": get(b"/v1/channels/en/events?" + fill(b"after=1&", 8_000)),
    "a long address": get(b"/" + fill(b"a/", 8_000)),
    "an address in percents": get(b"/" + fill(b"%ff", 8_000)),
    "an unknown line": get(LINES + b"/" + fill(b"9", 8_000)),
    "an unknown channel": get(b"/channels/" + fill(b"a", 8_000)),
    "a language": get(b"/words/" + fill(b"a-", 8_000) + b".json"),
    "fields": get(b"/healthz", *[b"X-%d: y" % number for number in range(240)]),
    "too many fields": get(b"/healthz", *[b"a:"] * 16_000),
    "fields of one name": get(b"/healthz", *[b"Accept: " + b"y" * 250] * 240),
    "forwarded": get(
        b"/healthz", b"X-Forwarded-For: " + fill(b"1.2.3.4, "), b"X-Forwarded-Proto: " + fill(b"a,", 1_000)
    ),
    "a preflight": get(
        LINES,
        b"Origin: http://x",
        b"Access-Control-Request-Method: GET",
        b"Access-Control-Request-Headers: " + fill(b"a,"),
    ).replace(b"GET", b"OPTIONS", 1),
    "a long Host": get(b"/healthz").replace(b"Host: x", b"Host: " + fill(b"x")),
    "chunks of a byte": chunked(LINES, fill(b"1\r\na\r\n")),
    "chunks with a long name": chunked(LINES, b"1;" + fill(b"a")),
    "trailers": chunked(LINES, b"0\r\n" + fill(b"a:\r\n")),
    "long trailers": chunked(LINES, b"0\r\na: " + fill(b"a", 5_000_000)),
    "signing in with a form": post(b"/desk/session", fill(b"a=b&"), FORM),
    "signing in with fields of percents": post(b"/desk/session", b"key=" + fill(b"%41"), FORM),
    "signing in with parts": post(
        b"/desk/session", fill(b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'), BOUNDARY + b"x"
    ),
    "signing in with a long boundary": post(b"/desk/session", fill(b"-"), BOUNDARY + fill(b"-", 60_000)),
    "signing in with deep JSON": post(b"/desk/session", fill(b"["), JSON),
    "signing in with much JSON": post(b"/desk/session", b"{" + fill(b'"key":"a",'), JSON),
    "signing in with a long key": post(b"/desk/session", b'{"key":"' + fill(b"ticker_a_", 60_000) + b'"}', JSON),
    "publishing without a key": post(LINES, b"text=" + fill(b" "), FORM),
}


def cpu(node: RunningNode) -> float:
    """Seconds that the event loop's thread has run."""
    return int(Path(f"/proc/{node.pid}/task/{node.pid}/schedstat").read_text().split()[0]) / 1e9


def memory(node: RunningNode) -> int:
    """Bytes of the process that are its own."""
    return int(Path(f"/proc/{node.pid}/statm").read_text().split()[1]) * 4_096


@pytest.mark.parametrize("what", COSTLY)
def test_no_request_without_a_key_holds_the_loop(served: RunningNode, what: str) -> None:
    data = COSTLY[what]
    took = []
    for _ in range(5):
        before = cpu(served)
        answers = responses(exchanged(served.port, [data])) if b"live" not in data else told(served, data)
        took.append(cpu(served) - before)
        assert all(answer.status < 500 for answer in answers), answers
        if min(took) < LOOP_MAX / 2:
            break
    assert min(took) < LOOP_MAX


def told(node: RunningNode, data: bytes) -> list[Any]:
    """What a reader's address says at first: it may go on for ever."""
    with connected(node.port) as connection, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        connection.sendall(data)
        connection.recv(65_536)
    return []


def test_what_strangers_ask_leaves_nothing_behind(served: RunningNode) -> None:
    """Each in 300 spellings: what is kept of them, in whichever cache, has a limit in bytes."""
    for data in COSTLY.values():  # anything that is loaded at a first use
        told(served, data)
    before = memory(served)
    for number in range(300):
        for what in ("channels and cursors, 64 kB", "channels", "cursors", "an unknown channel", "a language"):
            told(served, COSTLY[what].replace(b"en", b"n%d" % number))
            told(served, get(b"/v1/live?channel=en&x=%d" % number + fill(b"y", 7_000), b"Accept: text/event-stream"))
    assert memory(served) - before < 8 * 1_048_576


# How long a connection is held


QUICK = NO_BEATS | {
    "ticker.serving.phases.HEAD_WITHIN": 1.0,
    "ticker.serving.phases.REQUEST_WITHIN": 2.0,
    "ticker.serving.phases.LINGER": 0.5,
}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("quick") / "node", "--keep-alive", "1s", constants=QUICK)
    yield node
    node.close()


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
EARLY = b"POST %s HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 100\r\n\r\n" % (LINES, JSON)
# What is sent at first, and what is dripped then.
HOLDS = {
    "nothing": (b"", b""),
    "half a head": (HEALTH[:-2], b""),
    "a head, dripped": (HEALTH[:-2], b"X: y\r\n"),
    "an idle connection": (HEALTH, b""),
    "an empty line after an answer": (HEALTH, b"\r\n"),
    "half an empty line after an answer": (HEALTH, b"\r"),
    "half a request after an answer": (HEALTH, b"G"),
    "a byte of body after an early answer": (EARLY, b"x"),
    "no body after an early answer": (EARLY, b""),
    "a body that doesn't come": (EARLY.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer %s\r\n\r\n"), b""),
    "a body, dripped": (EARLY.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer %s\r\n\r\n"), b" "),
    "a body of the sign-in": (EARLY.replace(LINES, b"/desk/session"), b""),
    "chunks that don't end": (
        EARLY.replace(b"Content-Length: 100", b"Transfer-Encoding: chunked\r\nAuthorization: Bearer %s"),
        b"1\r\n \r\n",
    ),
    "trailers that don't end": (
        EARLY.replace(b"Content-Length: 100", b"Transfer-Encoding: chunked\r\nAuthorization: Bearer %s") + b"0\r\n",
        b"a: b\r\n",
    ),
    "a refused request": (b"NONSENSE\r\n\r\n", b"x"),
    "an expectation": (EARLY.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"), b""),
}


def is_over(connection: socket.socket, drip: bytes, within: float = WITHIN) -> bool:
    """Whether the other side ends the connection, while this one goes on sending so, four times a second."""
    connection.settimeout(0.25)
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if not connection.recv(65_536):
                return True
        except TimeoutError:
            try:
                connection.sendall(drip)
            except OSError:
                return True
        except OSError:
            return True
    return False


@pytest.mark.parametrize("what", HOLDS)
def test_no_connection_is_held_past_its_deadline(quick: RunningNode, what: str) -> None:
    first, drip = HOLDS[what]
    with connected(quick.port) as connection:
        connection.sendall(first.replace(b"%s", quick.key.encode()))
        assert is_over(connection, drip)
        deadline = time.monotonic() + WITHIN
        while connections(quick) > 0:  # not half of it alone: this end stays open
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize("name", NAMES)
def test_nor_is_a_nodes_connection_to_a_proxy(quick: RunningNode, tmp_path: Path, name: str) -> None:
    """A body that doesn't come: the proxy hears of it, and so does its client, or the node has let go at least."""
    first = HOLDS["a body that doesn't come"][0].replace(b"%s", quick.key.encode())
    with proxy(name, tmp_path, [quick.port]) as port, connected(port) as connection:
        connection.sendall(first)
        deadline = time.monotonic() + WITHIN
        while connections(quick) > 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def connections(node: RunningNode) -> int:
    """How many the node has open, as the kernel sees it: those that are some process's, and no listener."""
    rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(row[1].endswith(f":{node.port:04X}") and row[3] != "0A" and row[9] != "0" for row in rows)


def test_an_answer_that_nobody_reads_is_not_kept(quick: RunningNode) -> None:
    """Neither by the node nor by the kernel: at most so much waits, and it is gone with the deadline."""
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(5):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.settimeout(WITHIN)
            connection.connect(("127.0.0.1", quick.port))
            stack.callback(connection.close)
            connection.setblocking(False)
            with contextlib.suppress(OSError):
                connection.sendall((b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" + HEALTH) * 5_000)
            held.append(connection)
        deadline = time.monotonic() + WITHIN
        while connections(quick) > 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_of_too_many_bytes_that_are_kept_those_go_that_came_first(start_node: Any) -> None:
    """However many it takes at once: each that goes makes room for itself alone, and none is forgotten."""
    few = {"ticker.serving.connections.KEPT_MAX": 1_000_000}
    node = start_node("--keep-alive", "1s", constants=QUICK | few)
    owed = EARLY.replace(LINES, b"/desk/session").replace(b"100", b"60000") + b" " * 50_000
    with contextlib.ExitStack() as stack:
        for number in range(400):
            connection = stack.enter_context(connected(node.port))
            with contextlib.suppress(OSError):
                connection.sendall(owed)
            if number % 100 == 0:
                node.publish("en", f"While {number} owe us something")
        deadline = time.monotonic() + WITHIN
        while connections(node) > 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert "Traceback" not in node.log


# Files


def test_silent_connections_keep_no_editor_out(start_node: Any) -> None:
    """600 files, 700 connections that say nothing, and 200 readers: all are served, and no file is missing."""
    node = start_node(wrapper=["prlimit", "--nofile=600:600"])
    with contextlib.ExitStack() as stack:
        readers = []
        for _ in range(200):
            reader = stack.enter_context(connected(node.port))
            reader.sendall(handshake("channel=en"))
            assert reader.recv(65_536).startswith(b"HTTP/1.1 101 ")
            readers.append(reader)
        for number in range(700):
            stack.enter_context(connected(node.port))
            if number % 70 == 0:
                node.publish("en", f"While {number} say nothing")
        line = node.publish("en", "The last line")
        assert httpx.get(f"{node.url}/readyz").status_code == 200
        for reader in readers:
            said = b""
            while line["id"].encode() not in said:
                got = reader.recv(65_536)
                assert got
                said += got
    assert "can't open more files" not in node.log
    assert "Too many open files" not in node.log


def test_a_process_that_may_open_few_files_is_not_started(tmp_path: Path) -> None:
    command = ["prlimit", "--nofile=64:64", sys.executable, "-m", "ticker", "serve", "--port", "0"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=WITHIN, check=False)
    assert ended.returncode == 2
    assert "ulimit -n" in ended.stderr


def test_a_process_without_files_says_so_once_and_when_it_is_over(node: RunningNode) -> None:
    def until_said(words: str, times: int) -> None:
        deadline = time.monotonic() + WITHIN
        while node.log.count(words) < times:
            assert time.monotonic() < deadline, node.log
            time.sleep(0.05)

    assert httpx.get(f"{node.url}/healthz").status_code == 200  # from the first connection on somebody looks
    before = resource.prlimit(node.pid, resource.RLIMIT_NOFILE)
    for number in (1, 2):
        resource.prlimit(node.pid, resource.RLIMIT_NOFILE, (8, before[1]))
        until_said("can't open more files", number)
        resource.prlimit(node.pid, resource.RLIMIT_NOFILE, before)
        until_said("Files can be opened again", number)
    assert node.log.count("can't open more files") == 2


# What a reader may say


FLOODS = {
    "pings": client_frame(PING, b"") * 400,
    "pongs": client_frame(PONG, b"") * 400,
    "long pings": client_frame(PING, b"x" * 125) * 40,
    "one long message": client_frame(TEXT, b"x" * 50_000),
    "a message in pieces": client_frame(TEXT, b"x", fin=False) + client_frame(0, b"x", fin=False) * 300,
    "half a frame": client_frame(PING, b"x" * 125)[:-1] * 50,
    "noise": bytes(range(256)) * 20,
}


@pytest.mark.parametrize("what", FLOODS)
@pytest.mark.parametrize("kind", ["socket", "stream"])
def test_a_reader_that_floods_is_closed_at_once(served: RunningNode, what: str, kind: str) -> None:
    asked = handshake("channel=en") if kind == "socket" else get(b"/v1/live?channel=en", b"Accept: text/event-stream")
    with connected(served.port) as connection:
        connection.sendall(asked)
        assert connection.recv(65_536)
        before = cpu(served)
        is_gone = False
        for _ in range(2_000):  # megabytes; it ends long before
            try:
                connection.sendall(FLOODS[what])
            except OSError:
                is_gone = True
                break
        assert is_gone or is_over(connection, FLOODS[what])
        assert cpu(served) - before < 0.2


def test_one_that_pings_now_and_then_is_answered_for_hours(served: RunningNode) -> None:
    with connected(served.port) as connection:
        connection.sendall(handshake("channel=en"))
        said = b""
        while b'"max_lines"' not in said:
            said += connection.recv(65_536)
        for number in range(8):
            connection.sendall(client_frame(PING, b"%d" % number))
            answer = connection.recv(65_536)
            assert answer == b"\x8a\x01%d" % number


# Answers that are the same for every client


def test_no_answer_depends_on_the_host_that_was_named(served: RunningNode) -> None:
    """An address with a slash too many leads to the page, on whichever host we are; nowhere else."""
    for asked, leads_to in (
        (b"/demo/", "/demo"),
        (b"/channels/en/?a=b&c=%22", "/channels/en?a=b&c=%22"),
        (b"/desk//", "/desk"),
    ):
        (answer,) = responses(exchanged(served.port, [get(asked).replace(b"Host: x", b"Host: evil.example")]))
        assert (answer.status, answer.fields["location"]) == (308, leads_to)
    for asked in (
        b"//evil.example/",
        b"/%2Fevil.example/",
        b"/\\evil.example/",
        b"/v1/channels/en/lines/",
        b"/nowhere/",
    ):
        (answer,) = responses(exchanged(served.port, [get(asked).replace(b"Host: x", b"Host: evil.example")]))
        assert answer.status == 404
        assert "location" not in answer.fields
        assert b"evil" not in answer.body
    sent = post(LINES + b"/", b"text=Lost", FORM).replace(b"Host: x", b"Host: evil.example")
    assert [answer.status for answer in responses(exchanged(served.port, [sent]))] == [404]


def test_every_refusal_is_a_problem(served: RunningNode) -> None:
    asked = {
        404: get(b"/nowhere"),
        405: post(b"/healthz", b""),
        403: get(LINES, b"Origin: http://x", b"Access-Control-Request-Method: DELETE").replace(b"GET", b"OPTIONS", 1),
        401: post(LINES, b""),
        406: get(b"/v1/live?channel=en", b"Accept: image/png"),
    }
    for status, data in asked.items():
        (answer,) = responses(exchanged(served.port, [data]))
        assert (answer.status, answer.fields["content-type"]) == (status, "application/problem+json")


def test_templates_and_sources_are_not_served(served: RunningNode) -> None:
    for path in (
        "demo/index.html",
        "embed/frame.html",
        "channel/lines.html",
        "ticker.js",
        "words.json",
        "../ticker.toml",
    ):
        assert httpx.get(f"{served.url}/assets/{path}").status_code == 404
    for path in ("assets/desk/desk.js", "desk", "ticker.js", "demo", "words/en.json"):
        whole = httpx.get(f"{served.url}/{path}")
        part = httpx.get(f"{served.url}/{path}", headers={"Range": "bytes=999999999-"})
        assert (whole.status_code, part.status_code) == (200, 200)
        assert len(part.content) == len(whole.content)


def test_a_proxy_is_believed_however_its_address_is_written() -> None:
    hosts = _TrustedHosts(_trusted_proxies("127.0.0.1, 10.0.0.0/8,proxy.example,::1"))
    assert all(each in hosts for each in ("127.0.0.1", "::ffff:127.0.0.1", "10.9.8.7", "::ffff:10.9.8.7", "::1"))
    assert not any(each in hosts for each in ("::ffff:11.0.0.1", "11.0.0.1", "::2"))
    assert _trusted_proxies("*") == "*"
