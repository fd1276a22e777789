"""Where requests begin and end: raw bytes in any segmentation, directly and through nginx, HAProxy and Caddy.

What follows a request that was declined, or answered early, is never answered as a request.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import RunningNode
from tests.fuzz import EXAMPLES
from tests.patience import WITHIN
from tests.proxies import NAMES, proxy
from tests.readers import handshake
from tests.wire import Cut, connected, cut, exchanged, requests, responses

LINES = b"/v1/channels/en/lines"
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("wire") / "node")
    yield node
    node.close()


@pytest.fixture(scope="module", params=["directly", *NAMES])
def way(request: pytest.FixtureRequest, served: RunningNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A port that leads to the node."""
    if request.param == "directly":
        yield served.port
        return
    with proxy(request.param, tmp_path_factory.mktemp(request.param), [served.port]) as port:
        yield port


def head(method: bytes, target: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: x", *fields, b"", b""])


def authorized(node: RunningNode) -> bytes:
    return b"Authorization: Bearer " + node.key.encode()


def with_length(body: bytes) -> bytes:
    return b"Content-Length: %d" % len(body)


def statuses(said: bytes, *methods: bytes) -> list[int]:
    return [answer.status for answer in responses(said, methods)]


# An Upgrade that is declined


UPGRADES = [
    (b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
    (b"Upgrade: websocket", b"Connection: Upgrade"),
    (b"Upgrade: TLS/1.0", b"Connection: upgrade"),
    (b"Upgrade: h2c", b"Connection: keep-alive"),
    (b"Upgrade: h2c",),
]


@pytest.mark.parametrize("fields", UPGRADES)
@pytest.mark.parametrize("segments", [1, 2])
def test_a_declined_upgrade_loses_nothing_of_its_request(
    served: RunningNode, fields: tuple[bytes, ...], segments: int
) -> None:
    body = b"An upgrade that nobody wants %d" % segments
    first = head(b"POST", LINES, authorized(served), b"Content-Type: text/plain", with_length(body), *fields)
    pieces = [first + body + LAST] if segments == 1 else [first, body + LAST]
    answers = responses(exchanged(served.port, pieces))
    assert [answer.status for answer in answers] == [201, 200]
    assert json.loads(answers[0].body)["text"] == body.decode()


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("fields", UPGRADES)
def test_the_body_of_a_declined_upgrade_is_never_a_request(
    served: RunningNode, fields: tuple[bytes, ...], framing: str
) -> None:
    """Without a key: the answer comes before the body. What is in it is for nobody."""
    line = served.publish("en", "A line that a stranger wants gone")
    hidden = head(b"DELETE", LINES + b"/" + line["id"].encode(), authorized(served))
    body, field = hidden, with_length(hidden)
    if framing == "chunks":
        body, field = b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden), b"Transfer-Encoding: chunked"
    first = head(b"POST", LINES, field, *fields)
    for pieces in ([first + body + LAST], [first, body + LAST], [first, body, LAST]):
        said = exchanged(served.port, pieces)
        assert statuses(said)[0] == 401
        assert set(statuses(said)[1:]) <= {200}
    assert served.get(f"/v1/channels/en/lines/{line['id']}")["status"] == "usable"


def test_curl_asking_for_http_2_is_served(served: RunningNode, way: int) -> None:
    url = f"http://127.0.0.1:{way}/v1/channels/en/lines"
    key = ["-H", f"Authorization: Bearer {served.key}"]

    def curl(*arguments: str) -> Any:
        command = ["curl", "-sS", "--noproxy", "*", "--http2", "--max-time", f"{WITHIN:g}", *key, *arguments]
        return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    line = curl("--data-urlencode", "text=Sent with an Upgrade", url)
    assert line["text"] == "Sent with an Upgrade"
    gone = curl("-X", "DELETE", "-H", "Content-Type: application/json", "-d", '{"note": "why"}', f"{url}/{line['id']}")
    assert (gone["status"], gone["note"]) == ("canceled", "why")


def test_nobody_without_a_key_rides_on_an_editors_request(served: RunningNode, way: int) -> None:
    """A stranger's body ends in half a request, and an editor's comes next on the connection that a proxy keeps."""
    line = served.publish("en", "A line that stays")
    target = LINES + b"/" + line["id"].encode()
    half = head(b"DELETE", target, b"X-Eaten: ")[:-4]
    for fields in (*UPGRADES, ()):
        for first, size in ((b"POST", len(half)), (b"GET", len(half)), (b"POST", len(half) + 400)):
            stranger = head(first, LINES, b"Content-Length: %d" % size, *fields)
            with connected(way) as connection:
                connection.sendall(stranger)
                connection.sendall(half)
                connection.settimeout(0.2)
                with contextlib.suppress(OSError):
                    connection.recv(65_536)
            said = exchanged(way, [head(b"GET", target, authorized(served), b"Connection: close")])
            assert statuses(said) == [200]
            assert json.loads(responses(said)[0].body)["status"] == "usable"


# Answered before all of it came


EARLY = [
    ("without a key", b"POST", LINES, (), 401),
    ("with a wrong key", b"POST", LINES, (b"Authorization: Bearer ticker_abcdefgh_no",), 401),
    ("an address that isn't", b"POST", b"/nowhere", (), 404),
    ("a method that isn't", b"PUT", b"/healthz", (), 405),
    ("too large", b"POST", LINES, (), 413),
    ("to readers", b"GET", b"/v1/live?channel=en", (), 400),
    ("an expectation", b"POST", LINES, (b"Expect: 200-ok",), 417),
]


@pytest.mark.parametrize(("what", "method", "target", "fields", "status"), EARLY, ids=[each[0] for each in EARLY])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_an_early_answer_ends_the_connection_and_is_not_lost(
    served: RunningNode, what: str, method: bytes, target: bytes, fields: tuple[bytes, ...], status: int, framing: str
) -> None:
    size = 70_000 if what == "too large" else 30_000
    hidden = head(b"GET", b"/hidden")
    body = hidden * (size // len(hidden))
    field = with_length(body)
    if framing == "chunks":
        body, field = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), b"Transfer-Encoding: chunked"
        if what == "too large":
            fields = (authorized(served), b"Content-Type: text/plain")
    said = exchanged(served.port, [head(method, target, field, *fields), body[:10_000], body[10_000:] + LAST])
    answers = responses(said)
    assert answers[0].status == status, said
    assert answers[0].fields["content-type"] == "application/problem+json"
    if len(answers) == 1:
        assert answers[0].fields["connection"] == "close"
    else:  # all of it was there when it was answered
        assert [answer.status for answer in answers] == [status, 200]


def test_who_waits_for_100_continue_gets_it_where_the_body_is_wanted(served: RunningNode) -> None:
    body = b"Sent after 100"
    fields = b"Content-Type: text/plain", with_length(body), b"Expect: 100-continue", b"Connection: close"
    with connected(served.port) as connection:
        connection.sendall(head(b"POST", LINES, authorized(served), *fields))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        said = b""
        while got := connection.recv(65_536):
            said += got
    assert statuses(said) == [201]
    assert statuses(exchanged(served.port, [head(b"POST", LINES, *fields)])) == [401]  # and no 100 before


def test_requests_in_a_row_are_answered_in_order(served: RunningNode) -> None:
    row = [head(b"GET", b"/nowhere/%d" % number) if number % 3 else head(b"HEAD", b"/healthz") for number in range(40)]
    said = exchanged(served.port, [b"".join(row) + LAST])
    methods = [b"GET" if number % 3 else b"HEAD" for number in range(40)]
    assert statuses(said, *methods) == [404 if number % 3 else 200 for number in range(40)] + [200]


def test_who_has_said_all_and_closes_its_side_is_still_answered(served: RunningNode) -> None:
    assert statuses(exchanged(served.port, [head(b"GET", b"/healthz")], half_close=True)) == [200]


# What is no request


NOT_CLEAR = [
    (400, b"GET /healthz HTTP/1.1\nHost: x\n\n"),
    (400, b"GET /healthz HTTP/1.1\r\nHost: x\nX: y\r\n\r\n"),
    (400, b"GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET /healthz\r\n\r\n"),
    (400, b"GET /healthz HTTP/1.1 \r\nHost: x\r\n\r\n"),
    (400, b" GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n"),
    (400, b"GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n"),
    (400, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n"),
    (400, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n"),
    (400, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n"),
    (400, b"GET /healthz HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n"),
    (400, b"GET /healthz HTTP/1.1\r\n\r\n"),
    (400, b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n"),
    (400, b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
    (400, b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"),
    (400, b"GET /healthz HTTP/1.1\r\nHost: x/y\r\n\r\n"),
    (400, b"GET /healthz HTTP/1.1\r\nHost: x@y\r\n\r\n"),
    (400, b"GET /healthz HTTP/1.1\r\nHost: x, y\r\n\r\n"),
    (400, b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET /healthz#part HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET http://user@x/healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET http:///healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET * HTTP/1.1\r\nHost: x\r\n\r\n"),
    (505, b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n"),
    (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    (400, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
    (400, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
    (400, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\nx"),
    (400, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx"),
    (400, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nx"),
    (400, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\nx"),
    (400, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1 1\r\n\r\nx"),
    (400, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nx"),
    (400, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (
        400,
        b"POST /nowhere HTTP/1.1\r\nHost: x\r\n" + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    ),
    (501, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (501, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    (501, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n"),
    (501, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (400, b"POST /nowhere HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n"),
    (414, b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    (431, b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 300 + b"\r\n"),
    (431, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 66_000 + b"\r\n\r\n"),
    (431, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000),
]


@pytest.mark.parametrize(("status", "data"), NOT_CLEAR, ids=range(len(NOT_CLEAR)))
def test_what_others_might_read_in_another_way_is_refused(served: RunningNode, status: int, data: bytes) -> None:
    """With a request before it, and one behind that is never answered; whole, and a byte at a time."""
    before = head(b"GET", b"/healthz")
    for pieces in (
        [data + LAST],
        [before + data + LAST],
        cut(data[:300] + LAST, range(400)) if len(data) < 300 else [],
    ):
        if not pieces:
            continue
        answers = responses(exchanged(served.port, pieces))
        expected = [200, status] if pieces[0].startswith(before) else [status]
        assert [answer.status for answer in answers] == expected
        assert answers[-1].fields["content-type"] == "application/problem+json"
        assert answers[-1].fields["connection"] == "close"
        assert json.loads(answers[-1].body)["detail"]


BAD_CHUNKS = [
    b"x\r\n",
    b"-1\r\n",
    b"1\na\r\n0\r\n\r\n",
    b"1\r\nab0\r\n\r\n",
    b"1\r\na\n0\r\n\r\n",
    b"0x1\r\na\r\n0\r\n\r\n",
    b" 1\r\na\r\n0\r\n\r\n",
    b"11111111111111111111111\r\n",
    b"1" + b";x=y" * 2_000 + b"\r\na\r\n0\r\n\r\n",
    b"0\r\n" + b"a:\r\n" * 2_000 + b"\r\n",
    b"0\r\nno trailer\r\n\r\n",
    b"0\r\n\n",
    b"0\n\r\n",
    b"0\r\nX: y\n\r\n",
    b"0\r\nX: y\r\n\n",
    b"0\r\nX: y\rz\r\n\r\n",
    b"0\r\n X: y\r\n\r\n",
    b"1\r\na\r\r\n0\r\n\r\n",
    b"1 \r\na\r\n0\r\n\r\n",
    b"1\r\na\r\n" * 300 + b"0\r\n\r\n",
]


@pytest.mark.parametrize("body", BAD_CHUNKS, ids=range(len(BAD_CHUNKS)))
def test_chunks_that_are_none_or_too_many_end_the_connection(served: RunningNode, body: bytes) -> None:
    fields = authorized(served), b"Content-Type: text/plain", b"Transfer-Encoding: chunked"
    for pieces in ([head(b"POST", LINES, *fields) + body + LAST], [head(b"POST", LINES, *fields), body, LAST]):
        answers = responses(exchanged(served.port, pieces))
        assert [answer.status for answer in answers] in ([400], [431])
        assert answers[0].fields["connection"] == "close"


def test_trailers_are_no_fields(served: RunningNode) -> None:
    """An Idempotency-Key, a Host or an Authorization behind the body means nothing."""
    for number in range(2):
        text = b"With a trailer %d" % number
        trailers = b"Idempotency-Key: the-same\r\nHost: y\r\nContent-Type: application/json\r\n"
        body = b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(text), text, trailers)
        fields = authorized(served), b"Content-Type: text/plain", b"Transfer-Encoding: chunked", b"Connection: close"
        (answer,) = responses(exchanged(served.port, [head(b"POST", LINES, *fields), body]))
        assert answer.status == 201, answer
        assert json.loads(answer.body)["text"] == text.decode()
    unsigned = head(b"POST", LINES, b"Content-Type: text/plain", b"Transfer-Encoding: chunked", b"Connection: close")
    (refused,) = responses(exchanged(served.port, [unsigned + b"0\r\n" + authorized(served) + b"\r\n\r\n"]))
    assert refused.status == 401


def test_the_host_of_an_absolute_address_is_the_one_that_counts(served: RunningNode) -> None:
    for target in (b"http://x/healthz", b"HTTP://x:80/healthz", b"https://x/healthz"):
        asked = target.join((b"GET ", b" HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n"))
        assert statuses(exchanged(served.port, [asked])) == [200]


# Readers, wherever on a connection they come


HANDSHAKE = handshake("channel=en")
SPELLINGS = {
    "as browsers do": HANDSHAKE,
    "an empty line before": b"\r\n" + HANDSHAKE,
    "a length of 0": HANDSHAKE.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"),
    "an absolute address": HANDSHAKE.replace(b"/v1/live", b"http://127.0.0.1/v1/live"),
    "an encoded address": HANDSHAKE.replace(b"/v1/live", b"/v1/l%69ve"),
    "names in capitals": HANDSHAKE.replace(b"Upgrade", b"UPGRADE").replace(b"Sec-WebSocket", b"SEC-WEBSOCKET"),
    "names in small letters": HANDSHAKE.lower()
    .replace(b"get ", b"GET ")
    .replace(b"http/1.1", b"HTTP/1.1")
    .replace(
        b"sec-websocket-key: " + HANDSHAKE.lower().split(b"sec-websocket-key: ")[1].split(b"\r\n")[0],
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ),
    "lists": HANDSHAKE.replace(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"),
    "two fields": HANDSHAKE.replace(b"Connection: Upgrade", b"Connection: keep-alive\r\nConnection: Upgrade"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("before", [b"", head(b"GET", b"/healthz")], ids=["first", "later"])
def test_a_websocket_is_one_however_it_is_spelled_and_whenever_it_comes(
    served: RunningNode, spelling: str, before: bytes
) -> None:
    for pieces in ([before + SPELLINGS[spelling]], [before, SPELLINGS[spelling]], cut(SPELLINGS[spelling], range(400))):
        with connected(served.port) as connection:
            for piece in pieces:
                connection.sendall(piece)
            said = b""
            while b'"max_lines"' not in said:
                got = connection.recv(65_536)
                assert got, said
                said += got
        assert b"HTTP/1.1 101 Switching Protocols\r\n" in said
        assert b"text/event-stream" not in said


@pytest.mark.parametrize("accept", [b"text/event-stream", b"Text/Event-Stream", b"text/html, */*;q=0.1", b"text/*"])
def test_a_stream_after_another_request(served: RunningNode, accept: bytes) -> None:
    asked = head(b"GET", b"/v1/live?channel=en", b"Accept: " + accept, b"Content-Length: 0")
    with connected(served.port) as connection:
        connection.sendall(head(b"GET", b"/healthz") + asked)
        said = b""
        while b'"max_lines"' not in said:
            got = connection.recv(65_536)
            assert got, said
            said += got
    assert b"event: board\n" in said


def test_who_takes_no_stream_gets_none(served: RunningNode) -> None:
    for accept in (b"application/json", b"text/event-stream;q=0", b"*/*, text/event-stream;q=0.0"):
        asked = head(b"GET", b"/v1/live?channel=en", b"Accept: " + accept, b"Connection: close")
        assert statuses(exchanged(served.port, [asked])) == [406]


def test_a_websocket_through_a_proxy_that_keeps_its_connections(served: RunningNode, way: int) -> None:
    for _ in range(3):
        assert statuses(exchanged(way, [head(b"GET", b"/healthz", b"Connection: close")])) == [200]
        with connected(way) as connection:
            connection.sendall(HANDSHAKE)
            said = b""
            while b'"max_lines"' not in said:
                got = connection.recv(65_536)
                assert got, said
                said += got
            assert said.startswith(b"HTTP/1.1 101 ")


# At random: what comes back, beside a strict reading of what was sent


def _request(method: bytes, fields: list[bytes], body: bytes, framing: str) -> bytes:
    match framing:
        case "length":
            return head(method, LINES, *fields, with_length(body)) + body
        case "chunks":
            pieces = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in cut(body, [3, 11, 29]) if part)
            return head(method, LINES, *fields, b"Transfer-Encoding: chunked") + pieces + b"0\r\nX-Trailer: y\r\n\r\n"
        case _:
            return head(b"GET", b"/nowhere", *fields)


FIELDS = st.sampled_from(
    [
        b"Upgrade: h2c",
        b"Connection: Upgrade",
        b"Connection: keep-alive",
        b"Expect: 100-continue",
        b"X-Long: " + b"y" * 500,
        b"Accept-Encoding: br, gzip",
        b"Content-Length : 5",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding:\tchunked",
        b"Transfer-Encoding: \x0bchunked",
        b"X: a\r\n\tb",
        b"X\x00: y",
        b"Host: y",
    ]
)
HIDDEN = head(b"GET", b"/hidden")
BODIES = st.sampled_from([b"", b"{", b"x" * 40, HIDDEN, b"0\r\n\r\n" + HIDDEN, b"\r\n"])
FRAMINGS = st.sampled_from(["length", "chunks", "no body"])
REQUESTS = st.builds(_request, st.just(b"POST"), st.lists(FIELDS, max_size=3), BODIES, FRAMINGS)
INSERTED = st.sampled_from([b"\r", b"\n", b"\r\n", b" ", b"\x00", b"0", b":", b"a", b""])
NOISE = st.tuples(st.integers(0, 2_000), INSERTED, st.integers(0, 3))  # where, what, and in place of how many bytes


@EXAMPLES
@given(
    st.lists(REQUESTS, min_size=1, max_size=4),
    st.lists(NOISE, max_size=2),
    st.lists(st.integers(0, 3_000), max_size=12),
)
def test_requests_begin_and_end_where_a_strict_reading_has_them(
    served: RunningNode, asked: list[bytes], noise: list[tuple[int, bytes, int]], cuts: list[int]
) -> None:
    key = authorized(served) + b"\r\nContent-Type: application/json\r\n"
    data = b"".join(each.replace(b"Host: x\r\n", b"Host: x\r\n" + key, 1) for each in asked)
    for at, inserted, removed in noise:
        place = at % (len(data) + 1)
        data = data[:place] + inserted + data[place + removed :]
    data += LAST
    expected, why = requests(data)
    methods = [each.method for each in expected]
    said = exchanged(served.port, cut(data, cuts), half_close=isinstance(why, Cut))
    answers = responses(said, methods)
    # None is answered that isn't there, and none that would have to be guessed at.
    assert len(answers) <= len(expected) + (why is not None), (data, said)
    for one, answer in zip(expected, answers, strict=False):
        if one.all(b"expect") or (one.method, one.target) != (b"POST", LINES):
            continue
        assert answer.status in (400, 401, 415, 422), (data, said)
    assert b"/hidden" not in said
    early = next((i for i, answer in enumerate(answers) if answer.fields.get("connection") == "close"), None)
    if early is not None:
        assert early == len(answers) - 1, (data, said)
    elif why is None:
        assert len(answers) == len(expected), (data, said)


# At random: what a reader says on its WebSocket


def frame(opcode: int, payload: bytes, flags: int, masked: bool) -> bytes:
    """One frame (RFC 6455, 5.2), as well as it was asked for."""
    size = len(payload)
    length = bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    first = bytes((flags | opcode, length[0] | (0x80 if masked else 0))) + length[1:]
    mask = b"\x01\x02\x03\x04"
    hidden = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return first + (mask + hidden if masked else payload)


OPCODES = st.sampled_from([0x9, 0x9, 0x9, 0xA, 0xA, 0x8, 0x1, 0x2, 0x0, 0x3, 0xB])
PAYLOADS = st.one_of(st.binary(max_size=8), st.just(b"x" * 125), st.just(b"x" * 200), st.just(b"\x03\xe8"))
RARELY = st.sampled_from([0x80, 0x80, 0x80, 0x80, 0x00, 0xC0])
SAID = st.lists(st.builds(frame, OPCODES, PAYLOADS, RARELY, st.sampled_from([True] * 9 + [False])), max_size=6)


class Said(NamedTuple):
    """What a strict reading makes of what a reader said."""

    pings: list[bytes]
    closes_with: int | None
    is_wrong: bool
    frames: int


def read_frames(data: bytes) -> Said:
    pings: list[bytes] = []
    at = frames = 0
    is_wrong = False
    while len(data) - at >= 2:
        flags, opcode, size, masked = data[at] & 0xF0, data[at] & 0x0F, data[at + 1] & 0x7F, data[at + 1] & 0x80
        frames += 1
        # Readers say nothing but whole and short control frames (RFC 6455, 5.5, and our protocol). If a message is
        # among them, what came with it may still be answered.
        is_wrong |= opcode in (0x0, 0x1, 0x2)
        if flags & 0x70 or not masked or opcode not in (0x0, 0x1, 0x2, 0x8, 0x9, 0xA) or size > 125:
            return Said(pings, None, True, frames)
        if opcode >= 0x8 and flags != 0x80:
            return Said(pings, None, True, frames)
        if len(data) - at < 6 + size:
            break
        mask, hidden = data[at + 2 : at + 6], data[at + 6 : at + 6 + size]
        payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(hidden))
        at += 6 + size
        if opcode == 0x9:
            pings.append(payload)
        elif opcode == 0x8:
            if len(payload) == 1 or (len(payload) > 1 and not is_sendable(payload)):
                return Said(pings, None, True, frames)
            return Said(pings, int.from_bytes(payload[:2], "big") if payload else 1005, is_wrong, frames)
    return Said(pings, None, is_wrong, frames)


def is_sendable(payload: bytes) -> bool:
    """Whether a close frame may say so (RFC 6455, 7.4)."""
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return False
    code = int.from_bytes(payload[:2], "big")
    return code in (1000, 1001, 1002, 1003, *range(1007, 1015)) or 3000 <= code < 5000


@EXAMPLES
@given(SAID, st.lists(st.tuples(st.integers(0, 999), st.binary(max_size=2)), max_size=1), st.lists(st.integers(0, 999)))
def test_a_reader_hears_pongs_and_a_close_and_nothing_else(
    served: RunningNode, said: list[bytes], noise: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data = b"".join(said)
    for at, inserted in noise:
        place = at % (len(data) + 1)
        data = data[:place] + inserted + data[place:]
    data += frame(0x8, b"\x03\xe8", 0x80, True)
    meant = read_frames(data)
    heard = exchanged(served.port, [HANDSHAKE, *cut(data, cuts)], half_close=True)
    _, _, stream = heard.partition(b"\r\n\r\n")
    opcodes, payloads = [], []
    while stream:
        size, start = stream[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(stream[2:start], "big")
        assert len(stream) >= start + size, heard
        opcodes.append(stream[0])
        payloads.append(stream[start : start + size])
        stream = stream[start + size :]
    assert opcodes[0] == 0x81
    closes = [payload for opcode, payload in zip(opcodes, payloads, strict=True) if opcode == 0x88]
    pongs = [payload for opcode, payload in zip(opcodes, payloads, strict=True) if opcode == 0x8A]
    told = sum(opcode in (0x81, 0x89) for opcode in opcodes)  # its board, and perhaps a beat with a ping
    assert len(opcodes) == told + len(pongs) + len(closes)
    assert all(pong == ping for pong, ping in zip(pongs, meant.pings, strict=False))
    assert len(pongs) <= len(meant.pings) or meant.is_wrong
    codes = [int.from_bytes(payload[:2], "big") if payload else 1005 for payload in closes]
    is_modest = len(data) + 32 * (meant.frames + len(cuts) + 2) < 1_024
    if is_modest and not meant.is_wrong and meant.closes_with is not None:
        assert pongs == meant.pings
        assert codes == [meant.closes_with]
    else:
        # A close that came in one piece with what is wrong is answered as a close.
        assert len(codes) <= 1
        assert set(codes) <= {1000, 1002, 1007, 1008, 1009, meant.closes_with} or meant.is_wrong, (data, meant, codes)
