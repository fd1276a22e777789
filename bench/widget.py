"""What the banner costs a page: size, definition, a line, ten thousand lines. Knows Chromium; knows no peer.

A real node, a page of another origin, Chromium through Playwright. Times are CPU times of the page's main thread:
on a machine of two cores the browser, the node and the load generator take turns with it, and theirs is not the
page's. Lines come one by one, each when what the one before it brought is over: shown, announced, painted. Time per
line is told as what is ours, script, style and layout, of its arrival and of its announcement half a second later,
which are two tasks; and as all that the thread did (painting, frames, chores), which has a floor that is the
browser's. The control tells it: a page that writes each line into two elements as they are, the one half a second
after the other. Nothing is subtracted, but what DevTools itself did.
"""

from __future__ import annotations

import gzip
import http.client
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import machine
from bench.load import Load
from bench.peers import CHANNEL, NotToBeHad, Ticker
from bench.progress import Progress
from bench.results import Part

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

SOURCE = Path(__file__).parent.parent / "web" / "widget"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
PAGE = b"<!doctype html><html lang=en><title>An article</title><body><p>An article.</p></body></html>"

FETCH = """(async () => {
  const text = await (await fetch("%s")).text();
  // Another source and address each time: no code cache helps.
  window.module = URL.createObjectURL(new Blob([text, "\\n//%d"], { type: "text/javascript" }));
})()"""
DEFINE = """(async () => {
  const began = performance.now();
  await import(module);
  return performance.now() - began;
})()"""
WRITE = """async ([node, channel]) => {
  window.seen = 0;
  window.long = 0;
  const [shown, said] = ["p", "div"].map((tag) => document.body.appendChild(document.createElement(tag)));
  const socket = new WebSocket(`${node.replace("http", "ws")}/v1/live?channel=${channel}`);
  let waiting;
  socket.onmessage = ({ data }) => {
    const { type, line } = JSON.parse(data);
    if (type !== "line") return;
    shown.textContent = line.text;
    said.textContent = "";
    clearTimeout(waiting);
    waiting = setTimeout(() => (said.textContent = line.text), 500);
    window.seen++;
  };
  await new Promise((resolve) => (socket.onopen = resolve));
}"""
BANNERS = """async ([node, channel, modes]) => {
  window.seen = 0;
  window.long = 0;
  new PerformanceObserver((list) => (window.long += list.getEntries().length)).observe({ type: "longtask" });
  await import(`${node}/ticker.js`);
  for (const mode of modes) {
    const banner = document.createElement("breaking-ticker");
    banner.setAttribute("channel", channel);
    banner.setAttribute("src", node);
    banner.setAttribute("mode", mode);
    banner.addEventListener("ticker:line", () => window.seen++);
    document.body.append(banner);
  }
}"""
LIVE = "() => [...document.querySelectorAll('breaking-ticker')].every((b) => b.getAttribute('state') === 'live')"


class Extent(NamedTuple):
    """How much of everything."""

    defines: int = 15
    warm_up: int = 12  # lines: what is compiled on first use is compiled, and the board is full
    batches: int = 5
    batch: int = 5  # lines
    first: int = 1_000  # until then the engine still compiles what is used often: 0.1 MB, once
    many: int = 10_000


ARRIVED = 0.3  # seconds until a line is shown and all is calm again; it is announced after 0.5
PAUSE = 0.45  # seconds from then to the next
RATE = 200.0  # a second, where there are many; the page is waited for after each HUNDRED
HUNDRED = 100
MOVED = 6.0  # seconds until what a line set in motion is over; a node that moves is kept
WORK = ("ScriptDuration", "RecalcStyleDuration", "LayoutDuration")
ALL = (("TaskDuration", 1), ("DevToolsCommandDuration", -1))

QUICK = Extent(defines=5, batches=2, batch=5, first=100, many=1_000)
MODES = ("rotate", "list", "scroll")
GROWING = ("rotate", "list")
CONTROL = "control"


def expected_seconds(extent: Extent) -> float:
    lines = (len(MODES) + 1) * (2 + (extent.batches * extent.batch + 2) * (ARRIVED + PAUSE))
    return 8 + 2 * MOVED + extent.defines * 0.5 + lines + extent.many / RATE


class Node(Ticker):
    """Ticker with the board that it has by itself."""

    max_lines = 10


def run(extent: Extent, progress: Progress) -> Part:
    """Raises NotToBeHad where there is no Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise NotToBeHad("the Python package playwright is not installed") from error
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        raise NotToBeHad("chromium is not installed")
    step = expected_seconds(extent)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # a browser has many processes, and the node is idle mostly
    try:
        with _node() as (node, load), _elsewhere() as address, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
            open_page = partial(_page, chromium, address)
            progress.at("widget: size and definition")
            part: Part = {"version": f"Chromium {chromium.version}", "extent": extent._asdict(), **_sizes(node.port)}
            defined = [_define(open_page, node.port, number) for number in range(extent.defines)]
            part["define_ms"], part["import_ms"] = (list(times) for times in zip(*defined, strict=True))
            for mode in (CONTROL, *MODES):
                progress.at(f"widget: {mode}, lines")
                part[mode] = _lines(open_page, node.port, load, mode, extent)
            progress.at(f"widget: {extent.many:,} lines")
            part["growth"] = _many(open_page, node.port, load, extent)
            chromium.close()
        progress.done(step)
        return part
    finally:
        os.sched_setaffinity(0, {machine.LOAD_CORE})


def _sizes(port: int) -> Part:
    source = b"".join(path.read_bytes() for path in sorted(SOURCE.iterdir()) if path.suffix in (".js", ".css"))
    sizes = {"source": len(source), "source_gzip": len(gzip.compress(source, 9))}
    for coding in ("identity", "gzip", "br"):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/ticker.js", headers={"Accept-Encoding": coding})
        answer = connection.getresponse()
        body = answer.read()
        if answer.getheader("Content-Encoding", "identity") == coding:  # else the node doesn't offer it
            sizes[f"served_{coding}"] = len(body)
        connection.close()
    return {"sizes": sizes}


def _define(open_page: Any, port: int, number: int) -> tuple[float, float]:
    """Milliseconds of the main thread while the module came to be, and that the page waited for `import()`."""
    page, devtools = open_page()
    _evaluate(devtools, FETCH % (f"http://127.0.0.1:{port}/ticker.js", number))
    before = _metrics(devtools)
    waited = _evaluate(devtools, DEFINE)
    after = _metrics(devtools)
    if not _evaluate(devtools, "!!customElements.get('breaking-ticker')"):
        raise RuntimeError("breaking-ticker is not defined")
    page.context.close()
    return _all(before, after), waited


def _lines(open_page: Any, port: int, load: Load, mode: str, extent: Extent) -> dict[str, Any]:
    """Main-thread milliseconds a line, batch by batch; and how many tasks took 50 ms or more."""
    page, devtools = _with_banners(open_page, port, [mode])
    total = _publish(page, load, extent.warm_up, 0)
    long = page.evaluate("window.long")
    arrival, announcement, all_ = [], [], []
    for _ in range(extent.batches):
        arrived = announced = every = 0.0
        for _ in range(extent.batch):
            before = _metrics(devtools)
            load.lines(1, spin=0)
            time.sleep(ARRIVED)
            between = _metrics(devtools)
            time.sleep(PAUSE)
            after = _metrics(devtools)
            arrived += _work(before, between)
            announced += _work(between, after)
            every += _all(before, after)
        total += extent.batch
        arrival.append(arrived / extent.batch)
        announcement.append(announced / extent.batch)
        all_.append(every / extent.batch)
    _seen(page, total)
    long = page.evaluate("window.long") - long
    page.context.close()
    return {"arrival_ms": arrival, "announcement_ms": announcement, "all_ms": all_, "long_tasks": long}


def _many(open_page: Any, port: int, load: Load, extent: Extent) -> dict[str, dict[str, float]]:
    """Heap, nodes and listeners of a page with two banners, after the first lines and after many."""
    page, devtools = _with_banners(open_page, port, GROWING)
    total = _publish(page, load, extent.first, 0)
    first = _kept(devtools)
    _publish(page, load, extent.many - extent.first, total)
    many = _kept(devtools)
    page.context.close()
    return {"first": first, "many": many}


def _kept(devtools: CDPSession) -> dict[str, float]:
    time.sleep(MOVED)
    for _ in range(3):  # what a finalizer lets go is collected in the next
        devtools.send("HeapProfiler.collectGarbage")
        time.sleep(0.2)
    found = _metrics(devtools)
    return {"heap": found["JSHeapUsedSize"], "nodes": found["Nodes"], "listeners": found["JSEventListeners"]}


def _publish(page: Page, load: Load, lines: int, seen: int) -> int:
    """Publish, a hundred at a time, and wait until every banner has told of every line; how many that were in all.

    A page that falls behind is given a board in place of the lines that it missed: it would never have told of all.
    """
    banners = page.locator("breaking-ticker").count() or 1
    while lines > 0:
        some = min(lines, HUNDRED)
        load.lines(some, rate=RATE, spin=0)
        lines -= some
        seen += some * banners
        _seen(page, seen)
    return seen


def _seen(page: Page, wanted: int) -> None:
    page.wait_for_function("(wanted) => window.seen >= wanted", arg=wanted, timeout=60_000, polling=50)


def _with_banners(open_page: Any, port: int, modes: Any) -> tuple[Page, CDPSession]:
    page, devtools = open_page()
    node = f"http://127.0.0.1:{port}"
    if CONTROL in modes:
        page.evaluate(WRITE, [node, CHANNEL.slug])
    else:
        page.evaluate(BANNERS, [node, CHANNEL.slug, list(modes)])
        page.wait_for_function(LIVE, timeout=20_000, polling=50)
    return page, devtools


def _page(chromium: Any, address: str) -> tuple[Page, CDPSession]:
    page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(address)
    return page, devtools


def _metrics(devtools: CDPSession) -> dict[str, float]:
    return {metric["name"]: metric["value"] for metric in devtools.send("Performance.getMetrics")["metrics"]}


def _work(before: dict[str, float], after: dict[str, float]) -> float:
    """Milliseconds of script, style and layout."""
    return sum(after[name] - before[name] for name in WORK) * 1000


def _all(before: dict[str, float], after: dict[str, float]) -> float:
    """Milliseconds of the main thread, without DevTools' own."""
    return sum(sign * (after[name] - before[name]) for name, sign in ALL) * 1000


def _evaluate(devtools: CDPSession, expression: str) -> Any:
    """Playwright's own `evaluate` brings a script with it, which would be measured too."""
    answer = devtools.send("Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True})
    if "exceptionDetails" in answer:
        raise RuntimeError(answer["exceptionDetails"])
    return answer["result"].get("value")


@contextmanager
def _node() -> Iterator[tuple[Ticker, Load]]:
    with tempfile.TemporaryDirectory(prefix="ticker-bench-", ignore_cleanup_errors=True) as folder:
        node = Node(Path(folder))
        node.start()
        load = Load(node.port, node.path, node.publish_port, node.request_file)
        try:
            yield node, load
        finally:
            load.end()
            node.stop()


class _Article(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _elsewhere() -> Iterator[str]:
    """The address of a page that isn't the node's."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Article)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
