"""What docs/protocol.md says is so, and the client that it shows stays right behind a network that loses frames."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT, RunningNode
from tests.patience import WITHIN

PAGE = (ROOT / "docs" / "protocol.md").read_text("utf-8")


class LossyNetwork:
    """An address that leads to the node. Of the frames that come back, `loses` says which get lost; while `held`,
    none comes. `asked`: each request's path."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.asked: list[str] = []
        self.loses: Callable[[bytes], bool] = lambda frame: False
        self.passes = threading.Event()
        self.passes.set()
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
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self._port)) as node:
            request = client.recv(65_536)
            self.asked.append(request.split()[1].decode())
            node.sendall(request)
            watching = threading.Thread(target=self._hang_up, args=(client, node))
            watching.start()
            rest = b""
            while data := node.recv(65_536):
                *whole, rest = (rest + data).split(b"\n\n")
                for frame in whole:
                    self.passes.wait(WITHIN)
                    if not self.loses(frame):
                        client.sendall(frame + b"\n\n")
            client.sendall(rest)
            client.shutdown(socket.SHUT_RDWR)
            watching.join(WITHIN)

    @staticmethod
    def _hang_up(client: socket.socket, node: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while client.recv(65_536):
                pass
        with contextlib.suppress(OSError):
            node.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.passes.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(WITHIN)


@pytest.fixture
def network(node: RunningNode) -> Iterator[LossyNetwork]:
    network = LossyNetwork(node.port)
    yield network
    network.close()


class DocumentedClient:
    """The client in the page, in a process of its own. `shown`: what it has printed, newest last."""

    def __init__(self, folder: Path, url: str) -> None:
        (source,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
        (folder / "client.py").write_text(source, "utf-8")
        command = [sys.executable, str(folder / "client.py"), url, "en"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.shown: list[list[str]] = []
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout
        block: list[str] = []
        for row in self._process.stdout:
            if row != "\n":
                block.append(row[:-1])
            else:
                self.shown.append(block)
                block = []

    def until(self, lines: list[str]) -> None:
        deadline = time.monotonic() + WITHIN
        while not self.shown or self.shown[-1] != lines:
            assert self._process.poll() is None, "it has ended"
            assert time.monotonic() < deadline, f"{self.shown[-1:]}\n{lines}"
            time.sleep(0.02)

    def close(self) -> None:
        self._process.kill()
        self._process.wait(WITHIN)
        self._reading.join(WITHIN)
        assert self._process.stdout
        self._process.stdout.close()


@pytest.fixture
def client(network: LossyNetwork, tmp_path: Path) -> Iterator[DocumentedClient]:
    client = DocumentedClient(tmp_path, network.url)
    yield client
    client.close()


def words(node: RunningNode) -> list[str]:
    return [line.get("text") or f"[{line['status']}]" for line in node.board("en")]


def test_one_lost_frame_with_19_behind_it_is_mended_with_one_request(
    node: RunningNode, network: LossyNetwork, client: DocumentedClient
) -> None:
    node.publish("en", "Before")
    client.until(["Before"])
    network.passes.clear()
    lost = node.publish("en", "Line 0")
    network.loses = lambda frame: b"event: line" in frame and f'"cursor":"{lost["id"]}"'.encode() in frame
    for number in range(1, 20):
        node.publish("en", f"Line {number}")
    network.passes.set()
    client.until(words(node))
    node.publish("en", "After")
    client.until(words(node))
    assert len(network.asked) == 2, network.asked
    assert "cursor=en:" in network.asked[1]


def test_the_client_shows_what_stands_whatever_gets_lost(
    node: RunningNode, network: LossyNetwork, client: DocumentedClient
) -> None:
    client.until([])
    count = 0

    def loses(frame: bytes) -> bool:
        nonlocal count
        count += b"event: line" in frame
        return b"event: line" in frame and count % 3 == 0

    network.loses = loses
    for number in range(16):
        line = node.publish("en", f"Line {number}", pinned=number == 2)
        match number % 4:
            case 0:
                node.correct("en", line["id"], text=f"Line {number}, corrected")
            case 1:
                node.cancel("en", line["id"])
            case 2:
                node.correct("en", line["id"], status="withheld")
                node.correct("en", line["id"], status="usable")
    network.loses = lambda frame: False
    node.publish("en", "The last one")  # or the end of it all would wait for the next beat
    client.until(words(node))
    assert any("[canceled]" in shown for shown in client.shown)


def test_the_client_comes_back_after_the_node_has_been_away(
    node: RunningNode, network: LossyNetwork, client: DocumentedClient
) -> None:
    node.publish("en", "Before")
    client.until(["Before"])
    node.kill()
    node.start()
    node.publish("en", "After")
    client.until(["After", "Before"])


def first_frames(node: RunningNode, query: str, count: int, **headers: str) -> list[dict[str, Any]]:
    """What a reader over Server-Sent Events gets first."""
    found: list[dict[str, Any]] = []
    asked = {"Accept": "text/event-stream"} | {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.stream("GET", f"{node.url}/v1/live?{query}", headers=asked, timeout=WITHIN) as stream:
        for row in stream.iter_lines():
            if row.startswith("data:"):
                found.append(json.loads(row[5:]))
            if len(found) == count:
                break
    return found


def test_a_current_cursor_gets_a_beat_and_after_a_refill_a_board(start_node: Any) -> None:
    node = start_node(config="[channels.en]\nmax_lines = 1\n")
    first = node.publish("en", "Comes back")
    second = node.publish("en", "Leaves", expires_in=2)
    current = f"channel=en&cursor=en:{second['id']}"
    assert [frame["type"] for frame in first_frames(node, current, 1)] == ["beat"]
    address = f"{node.url}/v1/channels/en/lines"
    assert httpx.get(address).headers["etag"] == f'"{second["id"]}"'
    deadline = time.monotonic() + WITHIN
    while [line["id"] for line in node.board("en")] != [first["id"]]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (board,) = first_frames(node, current, 1)
    assert (board["type"], board["cursor"]) == ("board", second["id"])
    answer = httpx.get(address)
    assert (answer.headers["etag"], answer.json()["cursor"]) == (f'"{second["id"]}+1"', second["id"])
    assert httpx.get(address, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert httpx.get(address, headers={"If-None-Match": f'"{second["id"]}"'}).status_code == 200


def test_last_event_id_resumes_one_channel_and_cursors_in_the_address_any_number(node: RunningNode) -> None:
    en, ar = (node.publish(channel, "Rain")["id"] for channel in ("en", "ar"))

    def types(query: str, count: int, **headers: str) -> list[str]:
        return [frame["type"] for frame in first_frames(node, query, count, **headers)]

    assert types("channel=en", 1, Last_Event_ID=en) == ["beat"]
    assert types("channel=en&channel=ar", 2, Last_Event_ID=en) == ["board", "board"]
    assert types(f"channel=en&channel=ar&cursor=en:{en}&cursor=ar:{ar}", 2) == ["beat", "beat"]


def test_an_empty_channel_has_no_cursor(node: RunningNode) -> None:
    (board,) = first_frames(node, "channel=en", 1)
    assert board["cursor"] is None
    assert httpx.get(f"{node.url}/v1/channels/en/lines").headers["etag"] == '"0"'
    node.publish("en", "The first")
    assert node.get("/v1/channels/en/events")["events"][0]["prev"] is None


def test_the_versions_of_a_line_say_how_it_came_to_be_so(node: RunningNode) -> None:
    line = node.publish("en", "Until Friday")
    node.correct("en", line["id"], text="Until Thursday", note="Corrects the day")
    path = f"/v1/channels/en/lines/{line['id']}/versions"
    versions = node.get(path)["versions"]
    assert [(each["version"], each["text"], each["note"]) for each in versions] == [
        (1, "Until Friday", None),
        (2, "Until Thursday", "Corrects the day"),
    ]
    assert all(set(each) == set(line) for each in versions)
    node.cancel("en", line["id"])
    assert not any("text" in each for each in node.get(path)["versions"])


def test_a_bridge_misses_nothing_though_it_was_away(node: RunningNode) -> None:
    first = node.publish("en", "Seen")
    brief = node.publish("en", "Came and went", expires_in=1)
    deadline = time.monotonic() + WITHIN
    while len(node.board("en")) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    last = node.publish("en", "Stands")
    page = node.get(f"/v1/channels/en/events?after={first['id']}&limit=1")
    assert ([each["cursor"] for each in page["events"]], page["more"]) == ([brief["id"]], True)
    page = node.get(f"/v1/channels/en/events?after={brief['id']}&limit=1")
    assert ([each["cursor"] for each in page["events"]], page["more"]) == ([last["id"]], False)
    lost = f"{int(last['id'].split('-')[0]) + 60_000}-0"
    assert httpx.get(f"{node.url}/v1/channels/en/events?after={lost}").status_code == 410


def test_what_the_page_says_of_limits(node: RunningNode) -> None:
    many = "&".join(f"channel=c{number}" for number in range(33))
    headers = {"Accept": "text/event-stream"}
    for query, status in (("", 422), (many, 422), ("channel=nowhere", 404)):
        assert httpx.get(f"{node.url}/v1/live?{query}", headers=headers).status_code == status
    for limit, status in (("0", 422), ("1000", 200), ("1001", 422)):
        assert httpx.get(f"{node.url}/v1/channels/en/events?limit={limit}").status_code == status
