"""The benchmark's own judges: the load generator that checks every reader, and the report that says what is met."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from bench.criteria import CRITERIA
from bench.load import HERE, Load, build
from bench.report import body
from bench.results import Results
from tests.patience import WITHIN

PATIENCE = 10  # seconds without any line until those that are missing count as lost


@contextmanager
def a_server(last_reader_gets: dict[int, list[int]]) -> Iterator[tuple[int, int]]:
    """A WebSocket port and a publishing port.

    Each POST is one line to every reader; at line N the last reader gets the lines `last_reader_gets[N]` instead.
    """
    readers: list[ServerConnection] = []
    lines: list[str] = []
    ports: list[int] = []
    up, loop, ending = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def read(reader: ServerConnection) -> None:
        readers.append(reader)
        await reader.wait_closed()

    async def publish(requests: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await requests.readuntil(b"\r\n\r\n")
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                lines.append((await requests.readexactly(length)).decode())
                number = len(lines) - 1
                for reader in readers[:-1]:
                    await reader.send(lines[number])
                for wanted in last_reader_gets.get(number, [number]):
                    await readers[-1].send(lines[wanted])
                answers.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            answers.close()

    async def run() -> None:
        publishing = await asyncio.start_server(publish, "127.0.0.1", 0)
        async with publishing, serve(read, "127.0.0.1", 0, compression=None) as serving:
            ports.extend(next(iter(server.sockets)).getsockname()[1] for server in (serving, publishing))
            up.set()
            await ending.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert up.wait(WITHIN)
    try:
        yield ports[0], ports[1]
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(WITHIN)
        loop.close()


def faults(folder: Path, last_reader_gets: dict[int, list[int]]) -> tuple[dict[str, int], int]:
    """What the load generator finds wrong at three readers of five lines, and how many deliveries it counts."""
    request = folder / "request"
    body = b'{"type":"line","text":"seq=000000"}'
    request.write_bytes(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    with a_server(last_reader_gets) as (port, publish_port):
        load = Load(port, "/live", publish_port, request)
        try:
            assert load.connect(3)["connected"] == 3
            answer = load.lines(5, rate=100, patience=PATIENCE, spin=0)
        finally:
            load.end()
    return load.faults, answer["deliveries"]


def test_the_load_generator_compiles() -> None:
    assert build(HERE / "load.c").exists()


CASES: dict[str, tuple[dict[int, list[int]], dict[str, int], int]] = {
    "nothing wrong": ({}, {}, 15),
    "a line lost on the way": ({2: []}, {"missing": 1}, 14),
    "the last line lost": ({4: []}, {"missing": 1}, 14),
    "a line twice": ({2: [2, 2]}, {"duplicated": 1}, 15),
    "two lines in the wrong order": ({2: [], 3: [3, 2]}, {"missing": 1, "disordered": 1}, 14),
}


@pytest.fixture(scope="module")
def noticed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, int], int]]:
    """All at once: it takes long to be sure that a line doesn't come."""
    build(HERE / "load.c")
    with ThreadPoolExecutor(len(CASES)) as threads:
        found = {name: threads.submit(faults, tmp_path_factory.mktemp("load"), case[0]) for name, case in CASES.items()}
        return {name: each.result() for name, each in found.items()}


@pytest.mark.parametrize("name", CASES)
def test_a_reader_that_gets_something_else_is_noticed(
    noticed: dict[str, tuple[dict[str, int], int]], name: str
) -> None:
    assert noticed[name] == CASES[name][1:]


def verdicts(cpu: list[float], bare: list[float]) -> dict[str, str]:
    figures = {"ticker": [{"cpu_delivery": value} for value in cpu], "bare": [{"cpu_delivery": v} for v in bare]}
    parts = {"fanout": {"figures": figures, "faults": {"ticker": {"missing": 1}}}}
    return {criterion.what: criterion.row(parts)[-1] for criterion in CRITERIA}


def test_a_figure_over_its_limit_is_not_met() -> None:
    limit = "CPU per delivery, relative to the bare loop"
    assert verdicts([11.5, 11.4, 20], [10, 10, 10])[limit] == "met", "1.15 is within the limit, by the median"
    assert verdicts([11.6, 11.6, 1], [10, 10, 10])[limit] == "**not met**"
    assert verdicts([11.5], [10])["lines lost, duplicated, out of order or malformed"] == "**not met**"


def test_what_was_not_measured_is_not_met_either() -> None:
    assert set(verdicts([], []).values()) <= {"**not measured**", "**not met**"}
    assert "met |" not in body({}).replace("**not met** |", "")


def test_the_page_is_what_the_report_makes_of_the_kept_results() -> None:
    """If this fails: `make bench ARGS=--report`."""
    page = (HERE.parent / "docs" / "bench.md").read_text("utf-8")
    assert body(Results(HERE / "results").kept()) in page
