"""`ticker serve --workers 3`: one port, several processes, one house."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT, RunningNode
from tests.patience import AT_LEISURE, NO_BEATS, ON_REDIS, WITHIN, environment
from tests.readers import Follower
from tests.redis_servers import RedisServer, until

WORKERS = 3
READERS = 48  # on three workers by the kernel's hash: that one of them gets none happens once in 90 million runs
LISTENING = "0A"  # a socket's state in /proc/net/tcp

NO_KEEPING = httpx.Limits(max_keepalive_connections=0)  # so that the kernel picks a worker again each time

Start = Callable[..., RunningNode]


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    yield server
    server.close()


@pytest.fixture
def start(redis_server: RedisServer, start_node: Start) -> Iterator[Start]:
    """Starts a node of three workers, and waits until all of them listen."""
    nodes: list[RunningNode] = []

    def start(*options: str, **given: Any) -> RunningNode:
        workers = "--newswire", redis_server.url, "--workers", str(WORKERS)
        node = start_node(*workers, *options, constants=NO_BEATS | ON_REDIS, **given)
        nodes.append(node)
        until(lambda: listeners(node.port) == WORKERS)
        return node

    yield start
    for node in nodes:
        for pid in workers(node):  # they would outlive a parent that is killed
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def workers(node: RunningNode) -> set[int]:
    """The process ids of the node's workers."""
    with contextlib.suppress(FileNotFoundError):
        return {int(pid) for pid in Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split()}
    return set()


def listeners(port: int) -> int:
    """How many sockets listen on the port."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(f[1].endswith(f":{port:04X}") and f[3] == LISTENING for f in fields)


def nodes_in(server: RedisServer) -> set[str]:
    """The nodes that Redis sees, by their connections' names."""
    return {client["name"] for client in server.clients() if client["name"].startswith("ticker-")}


def readers(server: RedisServer) -> list[int]:
    """How many readers each worker has told of."""
    reports = server.do("HGETALL", "ticker:{en}:presence")
    values = reports.values() if isinstance(reports, dict) else reports[1::2]
    return sorted(int(report.split("@")[0]) for report in values)


def presence(node: RunningNode) -> tuple[int, int] | None:
    """Readers and workers; None where the one that was asked has lost Redis and not found it again yet."""
    answer = node.http.get("/v1/channels/en/presence")
    if answer.status_code == 503:
        return None
    said = answer.json()
    return said["readers"], said["nodes"]


@contextlib.asynccontextmanager
async def reading(node: RunningNode, number: int = READERS) -> AsyncIterator[list[Follower]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Follower(node.url, "en")) for _ in range(number)]


async def soon(holds: Callable[[], Any]) -> Any:
    """Wait, while this loop's readers read, until it holds."""
    return await asyncio.to_thread(until, holds)


async def test_readers_are_spread_over_the_workers_and_counted_together(
    start: Start, redis_server: RedisServer
) -> None:
    node = start()
    await soon(lambda: len(nodes_in(redis_server)) == WORKERS)  # and the parent, which only looks, has hung up
    async with reading(node):
        await soon(lambda: presence(node) == (READERS, WORKERS))
        counts = readers(redis_server)
        assert sum(counts) == READERS
        assert all(counts), counts
    await soon(lambda: presence(node) == (0, WORKERS))


async def test_a_line_published_through_one_worker_is_read_on_all(start: Start) -> None:
    node = start()
    async with reading(node) as followers:
        ids = [(await asyncio.to_thread(published, node, f"Line {number}"))["id"] for number in range(6)]
        for follower in followers:
            await follower.until_at("en", ids[-1])
            assert follower.texts("en") == [f"Line {number}" for number in range(6)]
            assert follower.gaps == 0


def published(node: RunningNode, text: str) -> dict[str, Any]:
    """Over a connection of its own, so that any worker may get it; by one that is ready, where another is not yet."""
    headers = {"Authorization": f"Bearer {node.key}", "Idempotency-Key": str(uuid.uuid4())}
    with httpx.Client(base_url=node.url, headers=headers, limits=NO_KEEPING) as editor:
        answer = answered(editor, "POST", "/v1/channels/en/lines", json={"text": text})
    assert answer.status_code == 201, answer.text
    line: dict[str, Any] = answer.json()
    return line


def answered(client: httpx.Client, method: str, path: str, **given: Any) -> httpx.Response:
    answer: httpx.Response = until(lambda: (said := client.request(method, path, **given)).status_code != 503 and said)
    return answer


async def test_a_worker_that_is_killed_is_started_again_and_its_readers_come_back(
    start: Start, redis_server: RedisServer
) -> None:
    node = start()
    async with reading(node) as followers:
        await soon(lambda: presence(node) == (READERS, WORKERS))
        before = workers(node)
        assert len(before) == WORKERS
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        await soon(lambda: len(workers(node) - {killed}) == WORKERS and listeners(node.port) == WORKERS)
        assert workers(node) > before - {killed}, "the others went on"
        line = await asyncio.to_thread(published, node, "All there again")
        for follower in followers:
            await follower.until_at("en", line["id"])
        again = [follower for follower in followers if follower.connections > 1]
        assert 0 < len(again) < READERS
        # The new worker takes the old one's name, and its count.
        await soon(lambda: presence(node) == (READERS, WORKERS))
        await soon(lambda: len(nodes_in(redis_server)) == WORKERS)
    assert node.stop() == 0


async def test_a_worker_that_dies_while_redis_is_away_is_back_when_redis_is(
    start: Start, redis_server: RedisServer
) -> None:
    """What can't be reached at a second start is no misconfiguration: the others go on with their readers."""
    node = start()
    async with reading(node) as followers:
        redis_server.kill()
        killed = min(workers(node))
        os.kill(killed, signal.SIGKILL)
        await soon(lambda: "ended with status 2 and is restarted" in node.log)
        assert node.process
        assert node.process.poll() is None
        assert [follower for follower in followers if follower.connections == 1], "some readers have not noticed"
        redis_server.start()
        await soon(lambda: listeners(node.port) == WORKERS)
        await soon(lambda: (presence(node) or (0, 0))[0] == READERS)
    assert node.stop() == 0


def test_the_workers_end_when_their_parent_is_killed(start: Start) -> None:
    node = start("--drain", "0.5")
    node.kill()
    until(lambda: listeners(node.port) == 0)


async def test_sigterm_sends_every_reader_elsewhere_and_ends_all_workers(start: Start) -> None:
    node = start("--drain", "0.5")
    pids = workers(node)
    async with reading(node) as followers:
        assert await asyncio.to_thread(node.stop) == 0
        for follower in followers:
            await follower.until(lambda reader: reader.closed_with, follower)
            assert set(follower.closed_with) == {1012}  # more than once, where another worker was still there
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert listeners(node.port) == 0


async def test_ctrl_c_reaches_every_process_of_the_terminal_and_ends_them_in_peace(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """A terminal sends SIGINT to the whole group: to the workers as well as to their parent."""
    command = [sys.executable, "-m", "ticker", "serve", "--newswire", redis_server.url]
    process = subprocess.Popen(
        [*command, "--workers", str(WORKERS), "--port", "0"],
        cwd=tmp_path,
        env=environment(tmp_path / "constants", AT_LEISURE | ON_REDIS),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout
        (port,) = map(int, re.findall(r":(\d+)\s*$", process.stdout.readline()))
        until(lambda: listeners(port) == WORKERS)
        os.killpg(process.pid, signal.SIGINT)
        _, log = process.communicate(timeout=WITHIN)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == 0, log
    assert "Traceback" not in log
    assert "is restarted" not in log


STOPPED_AS_A_WORKER_ENDS = """
import os, signal, time
from ticker.serving.workers import keep_running

wait = os.wait

def wait_and_be_stopped():
    ended = wait()
    os.wait = wait
    os.kill(os.getpid(), signal.SIGTERM)
    return ended

os.wait = wait_and_be_stopped
raise SystemExit(keep_running(2, lambda place: place and time.sleep(3_600)))
"""


def test_a_stop_that_comes_just_as_a_worker_ends_reaches_the_others() -> None:
    """There is a moment between a worker's end and the parent's knowing of it."""
    command = [sys.executable, "-c", STOPPED_AS_A_WORKER_ENDS]
    stopped = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN)
    assert (stopped.returncode, stopped.stderr) == (0, "")


UNFIT = """
import sys, time
from ticker.serving.workers import keep_running

raise SystemExit(keep_running(2, lambda place: time.sleep(3_600) if place else sys.exit(2)))
"""


def test_a_worker_that_cannot_be_configured_so_ends_them_all() -> None:
    command = [sys.executable, "-c", UNFIT]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN)
    assert (ended.returncode, ended.stderr) == (2, "")


BREAKS_ONCE = """
import os, pathlib, signal, sys
from ticker.serving.workers import keep_running

has_broken = pathlib.Path(sys.argv[1])

def work(place):
    if not has_broken.exists():
        has_broken.touch()
        raise ValueError("A bug")
    os.kill(os.getppid(), signal.SIGTERM)
    signal.pause()

raise SystemExit(keep_running(1, work))
"""


def test_a_worker_that_breaks_is_in_the_log_and_started_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BREAKS_ONCE, str(tmp_path / "has-broken")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN)
    assert ended.returncode == 0
    assert ended.stderr.startswith("Worker 0 broke\n")
    assert "ValueError: A bug" in ended.stderr
    assert "Worker 0 ended with status 1 and is restarted" in ended.stderr


def test_a_file_serves_one_process_and_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ticker", "serve", "--workers", "2", "--newswire", "sqlite:///ticker.db"]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=WITHIN)
    assert refused.returncode == 2
    assert refused.stderr == (
        "ticker: sqlite:///ticker.db serves one process, and --workers asks for 2. "
        "Several share a newswire on Redis (--newswire redis://HOST).\n"
    )
    assert not (tmp_path / "ticker.db").exists()


def test_a_newswire_that_cannot_be_reached_ends_it_with_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ticker", "serve", "--workers", "2", "--newswire", "redis://127.0.0.1:1"]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=WITHIN)
    assert refused.returncode == 2
    assert refused.stderr.startswith("ticker: Redis at 127.0.0.1:1 can't be reached")
    assert refused.stderr.count("\n") == 1


def test_the_first_key_is_made_and_shown_once_and_its_link_works_on_whichever_worker(start: Start) -> None:
    node = start(admin_key=None)
    said = node.said + ended(node)
    assert said.count("The first key") == said.count("#once=") == said.count("Ticker is on at") == 1
    (key,) = re.findall(r"^  (\S+)$", said.partition("The first key")[2], re.M)[:1]
    (word,) = re.findall(r"#once=(\S+)", said)

    node.start()  # with a key kept, it makes no other, and this one opens every worker
    until(lambda: listeners(node.port) == WORKERS)
    with httpx.Client(base_url=node.url, limits=NO_KEEPING) as anyone:
        for _ in range(12):
            answer = answered(anyone, "GET", "/v1/keys", headers={"Authorization": f"Bearer {key}"})
            assert [each["name"] for each in answer.json()["keys"]] == ["first"]
        assert answered(anyone, "POST", "/desk/session", json={"once": word}).status_code == 204
        for _ in range(12):
            assert answered(anyone, "GET", "/desk/session").json()["name"] == "first"
            assert answered(anyone, "POST", "/desk/session", json={"once": word}).status_code == 401, "it works once"
    assert "The first key" not in ended(node)


def ended(node: RunningNode) -> str:
    """End it gently; what it has printed until its last process had ended."""
    assert node.process
    assert node.process.stdout
    os.kill(node.pid, signal.SIGTERM)
    said = node.process.stdout.read()
    assert node.stop() == 0
    return said
