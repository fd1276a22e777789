"""SQLite: what editors and readers are told while the file is in trouble."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.newswire.files import locked, ran
from tests.patience import WITHIN

pytestmark = pytest.mark.usefixtures("patience_with_redis")


def assert_not_kept(answer: httpx.Response, *statuses: int) -> None:
    problem = answer.json()
    assert answer.status_code in statuses
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    assert problem["status"] == answer.status_code
    assert "Nothing was published" in problem["detail"]


@contextmanager
def no_room(node: Any, bytes_left: int) -> Iterator[None]:
    """No file of the node's may grow further than its log of changes is by now, and a little: a disk with an end."""
    size = (node.folder / "ticker.db-wal").stat().st_size + bytes_left
    _, hard = resource.prlimit(node.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (size, hard))
    yield
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.parametrize("bytes_left", [0, 100, 5_000], ids=lambda n: f"{n} bytes left")
def test_a_line_that_finds_no_room_is_refused_and_never_half_there(node: Any, bytes_left: int) -> None:
    first = node.publish("en", "Rain")
    with connect(f"ws://127.0.0.1:{node.port}/v1/live?channel=en") as reader:
        assert json.loads(reader.recv(WITHIN))["cursor"] == first["id"]
        with no_room(node, bytes_left):
            for _ in range(3):
                assert_not_kept(node.http.post("/v1/channels/en/lines", json={"text": "Lost"}), 503, 507)
            assert_not_kept(node.http.patch(f"/v1/channels/en/lines/{first['id']}", json={"text": "Lost"}), 503, 507)
            assert node.board("en") == [first]
            assert len(node.get("/v1/channels/en/events")["events"]) == 1
        kept = node.publish("en", "Kept")
        frame = json.loads(reader.recv(WITHIN))
        assert (frame["type"], frame["prev"], frame["line"]) == ("line", first["id"], kept)
    node.kill()
    node.start()
    assert node.board("en") == [kept, first]
    assert [event["cursor"] for event in node.get("/v1/channels/en/events")["events"]] == [first["id"], kept["id"]]


def test_a_locked_file_is_said_to_be_so_and_the_node_recovers(node: Any) -> None:
    first = node.publish("en", "Rain")
    with locked(node.folder / "ticker.db"):
        assert_not_kept(node.http.post("/v1/channels/en/lines", json={"text": "Lost"}), 503)
        ready = httpx.get(f"{node.url}/readyz")
        assert ready.status_code == 503
        assert node.board("en") == [first]
    assert httpx.get(f"{node.url}/readyz").status_code == 200
    kept = node.publish("en", "Kept")
    assert node.board("en") == [kept, first]


def test_a_node_on_a_damaged_file_says_so_in_a_sentence(path: Path) -> None:
    path.write_text("Dear diary, it rained. " * 1_000)
    node = ran(path, "serve", "--port", "0")
    assert node.returncode == 2
    assert node.stdout == ""
    assert "ticker: " in node.stderr
    assert "damaged or no newswire" in node.stderr
    assert "Traceback" not in node.stderr


def test_a_node_whose_file_is_gone_is_not_ready_and_says_why(node: Any) -> None:
    node.publish("en", "Rain")
    (node.folder / "ticker.db").unlink()
    ready = httpx.get(f"{node.url}/readyz")
    assert ready.status_code == 503
    assert "deleted or replaced" in ready.json()["detail"]
    assert str(node.folder) not in ready.text
    assert_not_kept(node.http.post("/v1/channels/en/lines", json={"text": "Lost"}), 503)
    assert node.log.count("while this node runs") == 1
