"""nginx, HAProxy and Caddy as docs/operate.md has them, in front of nodes that are restarted, and of scripted ones.

Each configuration is read from the page; only addresses, ports and the certificate's path become the test's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
import subprocess
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
import pytest

from tests.conftest import ROOT, RunningNode
from tests.patience import ON_REDIS, WITHIN
from tests.ports import free_port, stop_listening
from tests.proxies import NAMES, proxy
from tests.readers import Follower, Object, open_stream
from tests.redis_servers import RedisServer, until
from ticker.client import RETRY_STATUS

SOCKETS, SECURE_SOCKETS, STREAMS = 70, 15, 15  # readers
DRAIN = 3.0  # seconds: of which half is notice, and more than the second between two looks of a proxy
PAUSE = 0.05  # seconds between two publishes
BEHIND_MAX = 8  # lines that a reader may have to catch up on: the board that brings it up to date has ten
ONE_MORE_TRY = 2  # tries that a publish may take

LANGUAGES = {"nginx": "nginx", "haproxy": "haproxy", "caddy": "caddyfile"}
FILES = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}


def block(name: str) -> str:
    """The configuration of this proxy in docs/operate.md."""
    page = (ROOT / "docs" / "operate.md").read_text("utf-8")
    (found,) = re.findall(rf"^```{LANGUAGES[name]}\n(.*?)^```$", page, re.M | re.S)
    configuration: str = found
    return configuration


class Proxy(NamedTuple):
    plain: str
    """Its address without TLS: there, too, it leads to the nodes."""

    secure: str
    redirecting: str
    """Its address without TLS as the page has it, where TLS is to be had."""

    authority: Path


@contextlib.contextmanager
def proxy_of_the_page(name: str, folder: Path, nodes: list[int]) -> Iterator[Proxy]:
    """Running as the page has it, and as the page says what to change where there is no TLS."""
    secure, redirecting, certificate = free_port(), free_port(), certificate_in(folder)
    match name:
        case "nginx":
            here = nginx(folder, certificate, secure, redirecting)
        case "haproxy":
            here = haproxy(certificate, secure, redirecting)
        case _:
            here = caddy(secure, redirecting)
            certificate = folder / "proxy" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    for inside, port in zip(("10.0.0.11:8000", "10.0.0.12:8000"), nodes, strict=True):
        here = put(here, inside, f"127.0.0.1:{port}", times=here.count(inside))
    config = here.replace("{", "{{").replace("}", "}}").replace("PLAIN", "{port}")
    with proxy(name, folder / "proxy", nodes, config) as plain:
        until(certificate.exists)
        addresses = f"http://127.0.0.1:{plain}", f"https://localhost:{secure}", f"http://localhost:{redirecting}"
        yield Proxy(*addresses, certificate)


def put(text: str, inside: str, outside: str, times: int = 1) -> str:
    assert text.count(inside) == times > 0, f"{inside!r} stands {text.count(inside)} times in the page's block"
    return text.replace(inside, outside)


def nginx(folder: Path, certificate: Path, secure: int, redirecting: int) -> str:
    own = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    text = put(block("nginx"), "http {\n", f"http {{\n{own} access_log off;\n")
    text = f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n{text}"
    text = put(text, "/etc/ssl/ticker.example.org/fullchain.pem", str(certificate))
    text = put(text, "/etc/ssl/ticker.example.org/privkey.pem", str(certificate))
    text = put(text, "listen 443 ssl", f"listen 127.0.0.1:{secure} ssl")
    redirects = re.search(r"    server {\n        listen 80 .*?^    }\n", text, re.M | re.S)
    assert redirects
    without_tls = re.sub(r"return 308 .*?; # without TLS: (.*;)", r"\1", redirects[0])
    plain = put(without_tls, "listen 80 ", "listen 127.0.0.1:PLAIN ")
    return put(text, redirects[0], plain + put(redirects[0], "listen 80 ", f"listen 127.0.0.1:{redirecting} "))


def haproxy(certificate: Path, secure: int, redirecting: int) -> str:
    text = put(block("haproxy"), "/etc/ssl/ticker.example.org.pem", str(certificate))
    frontend = re.search(r"^frontend public\n.*?\n\n", text, re.M | re.S)
    assert frontend
    without_tls = re.sub(r".*# without TLS: leave this line out.*\n", "", frontend[0])
    without_tls = re.sub(r"    bind :443 .*\n", "", without_tls)
    plain = put(without_tls, "bind :80\n", "bind 127.0.0.1:PLAIN\n").replace("public", "plain")
    with_tls = put(frontend[0], "bind :80\n", f"bind 127.0.0.1:{redirecting}\n")
    return put(text, frontend[0], plain + put(with_tls, "bind :443 ", f"bind 127.0.0.1:{secure} "))


def caddy(secure: int, redirecting: int) -> str:
    text = put(block("caddy"), "ticker.example.org {\n", "localhost, http://127.0.0.1:PLAIN {\n")
    own = f"default_bind 127.0.0.1\nskip_install_trust\nhttp_port {redirecting}\nhttps_port {secure}\nadmin off\n"
    return re.sub(r"^\{\n", "{\n" + own, text, count=1, flags=re.M)


def certificate_in(folder: Path) -> Path:
    """One for localhost, and its key, in one file."""
    file = folder / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -days 2"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(file), "-out", str(folder / "public.pem")]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    with file.open("a") as both:
        both.write((folder / "public.pem").read_text())
    return file


# What the page and the files say


@pytest.mark.parametrize("name", FILES)
def test_the_page_shows_the_file_that_is_in_deploy(name: str) -> None:
    assert block(name) == (ROOT / "deploy" / FILES[name]).read_text("utf-8")


def test_compose_has_the_caddyfile_of_the_page(tmp_path: Path) -> None:
    """What is done with a request, as Caddy understands it; addresses and ports are each one's own."""
    page = tmp_path / "Caddyfile"
    page.write_text(put(block("caddy"), "ticker.example.org {\n", "{$TICKER_SITE} {\n"))
    one, other = (routes(file) for file in (page, ROOT / "deploy" / "Caddyfile"))
    assert one == other


def routes(caddyfile: Path) -> tuple[Any, Any]:
    environment = {"PATH": "/usr/bin:/usr/local/bin", "HOME": "/", "TICKER_SITE": "localhost"}
    command = ["caddy", "adapt", "--config", str(caddyfile), "--adapter", "caddyfile"]
    adapted = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    for address, node in (("10.0.0.11", "ticker-1"), ("10.0.0.12", "ticker-2")):
        adapted = adapted.replace(f"{address}:8000", f"{node}:8000")
    (server,) = (
        server
        for server in json.loads(adapted)["apps"]["http"]["servers"].values()
        if "localhost" in json.dumps(server["routes"])
    )
    return server["routes"], server["errors"]["routes"]


# Node after node is restarted


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    yield server
    server.close()


class StreamFollower:
    """A reader over Server-Sent Events, who does what browsers do: comes back with the last event's id."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.greeted = False
        self.cursor = ""
        self.seen: list[str] = []  # ids of the lines, in the order in which they came
        self.refused: list[int] = []
        self.closed_with: list[int] = []
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        await self.until(lambda: self.greeted)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(WITHIN):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def _follow(self) -> None:
        while True:
            given = {"Last-Event-ID": self.cursor} if self.cursor else {}
            with contextlib.suppress(httpx.HTTPError, EOFError):
                async with open_stream(self.url, "en", **given) as stream:
                    if stream.response.status_code != 200:
                        self.refused.append(stream.response.status_code)
                        await asyncio.sleep(0.02)
                        continue
                    while True:
                        self._take(await stream.event())
            self.closed_with.append(0)

    def _take(self, sent: Any) -> None:
        self.greeted = True
        self.cursor = sent.id or self.cursor
        self.seen += [line["id"] for line in shown(sent.data)]
        self._changed.set()


class Watched:
    """One of either kind."""

    def __init__(self, follower: Follower | StreamFollower) -> None:
        self.follower = follower

    @property
    def cursor(self) -> str | None:
        return self.follower.folds["en"].cursor if isinstance(self.follower, Follower) else self.follower.cursor

    @property
    def seen(self) -> list[str]:
        if isinstance(self.follower, StreamFollower):
            return self.follower.seen
        return [line["id"] for frame in self.follower.frames for line in shown(frame)]

    async def keep_up(self, ids: list[str]) -> None:
        await self.follower.until(lambda: self.cursor in ids)


def shown(frame: Object) -> list[Object]:
    """The lines that a frame brings, oldest first."""
    return frame["lines"][::-1] if frame["type"] == "board" else [frame["line"]] if frame["type"] == "line" else []


class Newsroom:
    """Publishes without end through a proxy, each line under its Idempotency-Key until it is out."""

    def __init__(self, url: str, key: str, readers: list[Watched]) -> None:
        self.url = url
        self.key = key
        self.readers = readers
        self.ids: list[str] = []
        self.tries: list[int] = []
        self.told: Counter[int | str] = Counter()  # what an editor was told instead of 201
        self.closing = False

    async def publish(self) -> None:
        authorized = {"Authorization": f"Bearer {self.key}"}
        async with httpx.AsyncClient(base_url=self.url, headers=authorized, trust_env=False) as http:
            while not self.closing:
                self.ids.append(await self._publish(http, f"Line {len(self.ids)}"))
                for reader in self.readers:
                    await reader.keep_up(["", *self.ids[-BEHIND_MAX:]])
                await asyncio.sleep(PAUSE)

    async def _publish(self, http: httpx.AsyncClient, text: str) -> str:
        once = {"Idempotency-Key": str(uuid.uuid4())}
        tries = 0
        async with asyncio.timeout(WITHIN):
            while True:
                tries += 1
                try:
                    answer = await http.post("/v1/channels/en/lines", json={"text": text}, headers=once)
                except httpx.TransportError as error:
                    self.told[repr(error)] += 1
                    continue
                if answer.status_code == 201:
                    self.tries.append(tries)
                    return str(answer.json()["id"])
                assert answer.status_code in RETRY_STATUS, answer.text
                self.told[answer.status_code] += 1


def the_desk_works(url: str, authority: Path, key: str) -> None:
    """On a port of its own: who signs in there may change things, by the cookie, from that page."""
    trust = ssl.create_default_context(cafile=authority)
    with httpx.Client(base_url=url, verify=trust, trust_env=False) as browser:
        browser.headers["Origin"] = url
        signed_in = browser.post("/desk/session", json={"key": key})
        assert signed_in.is_success, signed_in.text
        assert ("Secure" in signed_in.headers["set-cookie"]) == url.startswith("https")
        nothing = browser.post("/v1/channels/en/lines", json={"text": ""})
        assert nothing.status_code == 422, nothing.text  # and neither 401 nor 403


@pytest.mark.parametrize("name", NAMES)
async def test_restarting_node_after_node_costs_no_reader_a_line_and_no_editor_a_publish(
    name: str, redis_server: RedisServer, start_node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes: list[RunningNode] = [
        start_node("--newswire", redis_server.url, "--drain", str(DRAIN), name=f"node-{index}", constants=ON_REDIS)
        for index in (1, 2)
    ]
    with proxy_of_the_page(name, tmp_path, [node.port for node in nodes]) as front:
        monkeypatch.setenv("SSL_CERT_FILE", str(front.authority))
        for url in (front.plain, front.secure):
            await asyncio.to_thread(the_desk_works, url, front.authority, nodes[0].key)
        async with contextlib.AsyncExitStack() as stack:
            followers: list[Follower | StreamFollower] = [
                *(Follower(front.plain, "en") for _ in range(SOCKETS)),
                *(Follower(front.secure, "en") for _ in range(SECURE_SOCKETS)),
                *(StreamFollower(front.plain) for _ in range(STREAMS)),
            ]
            readers = [Watched(await stack.enter_async_context(follower)) for follower in followers]
            newsroom = Newsroom(front.plain, nodes[0].key, readers)
            publishing = asyncio.create_task(newsroom.publish())
            for node in nodes:
                left = sum(len(follower.closed_with) for follower in followers)
                assert await asyncio.to_thread(node.stop) == 0
                await asyncio.to_thread(node.start)
                assert sum(len(follower.closed_with) for follower in followers) > left, "it had no readers"
            newsroom.closing = True
            await publishing
            for reader in readers:
                await reader.keep_up(newsroom.ids[-1:])
        assert max(newsroom.tries) <= ONE_MORE_TRY, newsroom.told
        assert len(set(newsroom.ids)) == len(newsroom.ids)
        for reader in readers:
            assert list(dict.fromkeys(reader.seen)) == newsroom.ids
            assert set(reader.follower.refused) <= {503}
        assert [line["text"] for line in history(nodes[0])] == [f"Line {number}" for number in range(len(newsroom.ids))]


def history(node: RunningNode) -> list[Object]:
    events: list[Object] = []
    while True:
        after = f"?after={events[-1]['cursor']}" if events else ""
        more = node.get(f"/v1/channels/en/events{after}")["events"]
        if not more:
            return [event["line"] for event in events]
        events += more


# What a node is asked, and what becomes of a request that it doesn't answer


class Asked(NamedTuple):
    method: str
    path: str
    headers: list[tuple[str, str]]
    """In lower case, as they came: one may stand twice."""

    def named(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name]


Answer = Callable[[Asked], bytes | None]

CHECKS = "/readyz", "/healthz"


class ScriptedNode:
    """What a proxy takes for a node: notes what it is asked, and answers as it is told; None: it breaks off."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.port = free_port()
        self.checks = 0
        self.asked: list[Asked] = []
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *error: object) -> None:
        """Gone, with all its connections."""
        await stop_listening(self._server)
        for writer in self._open:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            request, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
            method, path, _ = request.split(" ")
            asked = Asked(method, path, [(name.lower(), value) for name, value in (f.split(": ", 1) for f in fields)])
            await reader.readexactly(int(dict(asked.headers).get("content-length", "0")))
            answer = self.answer(asked)
            if path in CHECKS:
                self.checks += path == "/readyz"
            else:
                self.asked.append(asked)
            if answer:
                writer.write(answer)
                await writer.drain()


def answering(status: str, *headers: str, body: str = "") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", body]).encode()


def fine(asked: Asked) -> bytes:
    return answering("200 OK", body="fine")


@contextlib.asynccontextmanager
async def in_front_of(
    name: str, folder: Path, *answers: Answer
) -> AsyncIterator[tuple[Proxy, list[ScriptedNode], httpx.AsyncClient]]:
    """Two nodes; the client is a stranger who says that it has come another way."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(ScriptedNode(answer)) for answer in answers]
        ports = [node.port for node in nodes] + [free_port()] * (2 - len(nodes))
        starting = proxy_of_the_page(name, folder, ports)
        front = await asyncio.to_thread(starting.__enter__)
        stack.callback(starting.__exit__, None, None, None)
        trust = ssl.create_default_context(cafile=front.authority)
        yield front, nodes, await stack.enter_async_context(httpx.AsyncClient(verify=trust, trust_env=False))


def all_asked(nodes: list[ScriptedNode]) -> list[Asked]:
    return [asked for node in nodes for asked in node.asked]


@pytest.mark.parametrize("name", NAMES)
async def test_a_node_is_told_who_asks_and_how_whatever_the_client_says_of_itself(name: str, tmp_path: Path) -> None:
    forged = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "gopher"}
    async with in_front_of(name, tmp_path, fine, fine) as (front, nodes, client):
        for url in (front.plain, front.secure):
            answer = await client.get(f"{url}/desk", headers=forged)
            assert (answer.status_code, answer.text) == (200, "fine")
            hsts = answer.headers.get_list("strict-transport-security")
            assert hsts == (["max-age=31536000"] if url == front.secure else [])
        asked = all_asked(nodes)
        assert sorted(*zip(*(each.named("host") for each in asked), strict=True)) == sorted(
            httpx.URL(url).netloc.decode() for url in (front.plain, front.secure)
        )
        assert [each.named("x-forwarded-for") for each in asked] == [["127.0.0.1"]] * 2
        assert sorted(each.named("x-forwarded-proto") for each in asked) == [["http"], ["https"]]
        # None is kept: it might end just when a publish is on its way on it.
        assert [each.named("connection") for each in asked] == [["close"]] * 2


@pytest.mark.parametrize("name", NAMES)
async def test_who_comes_without_tls_is_sent_there(name: str, tmp_path: Path) -> None:
    async with in_front_of(name, tmp_path, fine, fine) as (front, nodes, client):
        sent = await client.get(f"{front.redirecting}/desk?a=b")
        assert sent.status_code == 308
        assert re.fullmatch(r"https://localhost(:\d+)?/desk\?a=b", sent.headers["location"])
        assert "strict-transport-security" not in sent.headers
        assert all_asked(nodes) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_may_have_gone_through_is_not_sent_again(name: str, method: str, tmp_path: Path) -> None:
    """The editor hears that it may not have, and sends it again under the same Idempotency-Key."""
    async with in_front_of(name, tmp_path, unanswered, unanswered) as (front, nodes, client):
        answer = await client.request(method, f"{front.plain}/v1/channels/en/lines", json={"text": "Once"})
        assert answer.status_code in RETRY_STATUS
        assert [asked.method for asked in all_asked(nodes)] == [method]


def unanswered(asked: Asked) -> bytes | None:
    return fine(asked) if asked.path in CHECKS else None


@pytest.mark.parametrize("name", NAMES)
async def test_what_a_node_refuses_an_editor_reaches_the_editor(name: str, tmp_path: Path) -> None:
    async with in_front_of(name, tmp_path, stopping, stopping) as (front, nodes, client):
        answer = await client.post(f"{front.plain}/v1/channels/en/lines", json={"text": "Once"})
        assert (answer.status_code, answer.headers["retry-after"], answer.text) == (503, "1", "stopping")
        assert len(all_asked(nodes)) == 1


def stopping(asked: Asked) -> bytes:
    """A node that is about to end, before the proxy has heard of it."""
    return fine(asked) if asked.path in CHECKS else answering("503 Stopping", "Retry-After: 1", body="stopping")


@pytest.mark.parametrize("name", NAMES)
async def test_what_changes_nothing_is_asked_of_the_other_node(name: str, tmp_path: Path) -> None:
    answers = iter([None, b"fine"])

    def the_second(asked: Asked) -> bytes | None:
        return fine(asked) if asked.path in CHECKS or next(answers) else None

    async with in_front_of(name, tmp_path, the_second, the_second) as (front, nodes, client):
        assert (await client.get(f"{front.plain}/desk")).text == "fine"
        assert [len(node.asked) for node in nodes] == [1, 1]


@pytest.mark.parametrize("name", ["nginx", "haproxy"])  # Caddy looks at no answer; it has the notice to look at /readyz
async def test_a_reader_whom_a_node_sends_away_is_let_in_by_the_other(name: str, tmp_path: Path) -> None:
    answers = iter(["503 Service Unavailable", "200 OK"])

    def the_second(asked: Asked) -> bytes:
        return fine(asked) if asked.path in CHECKS else answering(next(answers))

    async with in_front_of(name, tmp_path, the_second, the_second) as (front, nodes, client):
        assert (await client.get(f"{front.plain}/v1/live?channel=en")).status_code == 200
        assert [len(node.asked) for node in nodes] == [1, 1]


async def checked(name: str, nodes: list[ScriptedNode]) -> None:
    """Wait until the proxy knows how the nodes are."""
    async with asyncio.timeout(WITHIN):
        while name != "nginx" and min(node.checks for node in nodes) < 3:  # nginx looks at nobody's health
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", NAMES)
async def test_a_node_that_is_away_costs_no_publish(name: str, tmp_path: Path) -> None:
    async with in_front_of(name, tmp_path, fine) as (front, nodes, client):
        if name == "caddy":  # the others find out by the publish itself, and take it to the other node
            await checked(name, nodes)
        for _ in range(10):
            assert (await client.post(f"{front.plain}/v1/channels/en/lines", json={"text": "A"})).text == "fine"
        assert len(nodes[0].asked) == 10


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("there", [1, 2])
async def test_if_no_node_is_ready_those_that_are_there_still_answer(name: str, there: int, tmp_path: Path) -> None:
    async with in_front_of(name, tmp_path, *[without_redis] * there) as (front, nodes, client):
        await checked(name, nodes)
        for url in (front.plain, front.secure):
            assert (await client.get(f"{url}/ticker.js")).text == "fine"
            refused = await client.post(f"{url}/v1/channels/en/lines", json={"text": "Not now"})
            assert (refused.status_code, refused.headers["retry-after"], refused.text) == (503, "5", "no newswire")
            assert ("strict-transport-security" in refused.headers) == (url == front.secure)


@pytest.mark.parametrize("name", NAMES)
async def test_a_node_that_is_back_takes_over_from_the_next_one_at_once(name: str, tmp_path: Path) -> None:
    """As an operator restarts them: the second as soon as the first is ready, and the proxy has seen that."""
    async with in_front_of(name, tmp_path, fine, fine) as (front, (one, two), client):
        publish = f"{front.plain}/v1/channels/en/lines"
        await one.__aexit__()
        async with asyncio.timeout(WITHIN):
            while (await client.post(publish, json={"text": "A"})).status_code != 200:
                pass  # Caddy may lose one to a node that has just gone
        await one.__aenter__()
        one.checks = 0
        await checked(name, [one])
        await two.__aexit__()
        answers = [(await client.get(f"{front.plain}/{number}")).text for number in range(3)]
        assert answers == ["fine"] * 3


def without_redis(asked: Asked) -> bytes:
    if asked.path in ("/ticker.js", "/healthz"):
        return fine(asked)
    return answering("503 Service Unavailable", "Retry-After: 5", body="no newswire")
