"""The command line behind a proxy: one rule decides the way of every request."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import measuring
from tests.conftest import RunningNode
from tests.patience import WITHIN
from tests.test_cli import UNREACHABLE, quickly, shell
from ticker.client import proxy_for
from ticker.errors import Misconfigured


class Proxy:
    """An HTTP proxy (RFC 9110, 3.7 and 9.3.6) that finds every host here. `asked`: each request's first line."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._carry, args=(client,)))
                self._threads[-1].start()

    def _carry(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head and (data := client.recv(65_536)):
                head += data
            if not head:
                return
            first, _, rest = head.partition(b"\r\n")
            self.asked.append(first.decode())
            method, target, _ = first.decode().split()
            port = int(target.rpartition(":")[2]) if method == "CONNECT" else urlsplit(target).port
            assert port
            with socket.create_connection(("127.0.0.1", port)) as node:
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                else:
                    path = urlsplit(target)._replace(scheme="", netloc="").geturl()
                    node.sendall(f"{method} {path} HTTP/1.1\r\n".encode() + rest)
                back = threading.Thread(target=_pump, args=(node, client))
                back.start()
                _pump(client, node)
                back.join(WITHIN)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(WITHIN)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    proxy = Proxy()
    yield proxy
    proxy.close()


def next_frame(node: RunningNode, url: str, **env: str) -> Any:
    """The first that `tail` prints."""
    command = [sys.executable, "-m", "ticker", "tail", "-c", "en", "--json", "--url", url]
    with subprocess.Popen(command, env=shell(node, **env), stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout
        printed = tail.stdout.readline()
        measuring.end(tail)
    return json.loads(printed)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_both_ways_to_a_node_lead_through_the_proxy(node: RunningNode, proxy: Proxy, name: str) -> None:
    url = f"http://ticker.test:{node.port}"  # which the proxy alone can find
    published = quickly("publish", "-c", "en", "Hello", "--url", url, node=node, **{name: proxy.url})
    assert published.returncode == 0, published.stderr
    assert proxy.asked == [f"POST {url}/v1/channels/en/lines HTTP/1.1"]
    frame = next_frame(node, url, **{name: proxy.url})
    assert [line["text"] for line in frame["lines"]] == ["Hello"]
    assert proxy.asked[1:] == [f"CONNECT ticker.test:{node.port} HTTP/1.1"]


def test_this_machine_is_never_asked_for_through_a_proxy(node: RunningNode, proxy: Proxy) -> None:
    for host in ("127.0.0.1", "localhost"):
        url = f"http://{host}:{node.port}"
        published = quickly("publish", "-c", "en", "Hello", "--url", url, node=node, HTTP_PROXY=proxy.url)
        assert published.returncode == 0, published.stderr
        assert next_frame(node, url, HTTP_PROXY=proxy.url)["type"] == "board"
    assert proxy.asked == []


def test_a_host_in_no_proxy_is_asked_for_directly(node: RunningNode, proxy: Proxy) -> None:
    url = f"http://ticker.invalid:{node.port}"  # which nothing but the proxy would find
    env = {"HTTP_PROXY": proxy.url, "NO_PROXY": "other.test,.invalid"}
    for command in ("publish -c en Hello", "tail -c en"):
        result = quickly(*command.split(), "--url", url, "--retry-for", "0", node=node, **env)
        assert result.returncode == UNREACHABLE, command
    assert proxy.asked == []


@pytest.mark.parametrize(
    ("url", "env", "way"),
    [
        ("http://a.test", {}, None),
        ("http://a.test", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("http://a.test", {"http_proxy": "p:1"}, "http://p:1"),
        ("https://a.test", {"HTTP_PROXY": "http://p:1"}, None),
        ("https://a.test", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://a.test", {"ALL_PROXY": "https://p:1"}, "https://p:1"),
        ("http://a.test", {"ALL_PROXY": "http://p:1", "NO_PROXY": "a.test"}, None),
        ("http://b.a.test:8000", {"ALL_PROXY": "http://p:1", "no_proxy": ".a.test"}, None),
        ("http://a.test:8000", {"ALL_PROXY": "http://p:1", "no_proxy": "a.test:8000"}, None),
        ("http://user:word@a.test:8000", {"ALL_PROXY": "http://p:1", "no_proxy": "a.test:8000"}, None),
        ("http://a.test:8000", {"ALL_PROXY": "http://p:1", "no_proxy": "a.test:8001"}, "http://p:1"),
        ("http://a.test", {"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ("http://127.8.9.1", {"ALL_PROXY": "http://p:1"}, None),
        ("http://[::1]:8000", {"ALL_PROXY": "http://p:1"}, None),
        ("http://[::ffff:127.0.0.1]:8000", {"ALL_PROXY": "http://p:1"}, None),
        ("http://0.0.0.0:8000", {"ALL_PROXY": "http://p:1"}, None),
        ("http://ticker.localhost", {"ALL_PROXY": "http://p:1"}, None),
        ("http://10.0.0.1", {"ALL_PROXY": "http://p:1"}, "http://p:1"),
    ],
)
def test_the_rule(
    url: str, env: dict[str, str], way: str | None, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(urlsplit(url)) == way


def test_a_proxy_of_another_kind_is_said_in_a_sentence(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://p:1")
    with pytest.raises(Misconfigured, match="NO_PROXY"):
        proxy_for(urlsplit("https://a.test"))
    assert proxy_for(urlsplit("http://localhost")) is None
