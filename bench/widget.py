"""What the banner costs a page: size, definition, a line, ten thousand lines. Knows Chromium; knows no peer.

A real node, a page of another origin, Chromium through Playwright. Time per line is told twice: all that the page's
main thread did meanwhile (`TaskDuration`: painting, every frame of what moves, chores), and script, style and layout
of it; each divided by the lines, nothing subtracted.
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

SOURCE = Path(__file__).parent.parent / "web" / "ticker.js"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
PAGE = b"<!doctype html><html lang=en><title>An article</title><body><p>An article.</p></body></html>"

DEFINE = """async ([url, number]) => {
  const text = await (await fetch(url)).text();
  // Another source and address each time: no code cache helps.
  const blob = URL.createObjectURL(new Blob([text, `\\n//${number}`], { type: "text/javascript" }));
  const began = performance.now();
  await import(blob);
  const ended = performance.now();
  if (!customElements.get("breaking-ticker")) throw Error("breaking-ticker is not defined");
  return ended - began;
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
    warm_up: int = 20  # lines: what is compiled on first use is compiled
    batches: int = 5
    batch: int = 40  # lines
    rate: float = 20  # a second; far from what a page can take, so that each line is a task of its own
    first: int = 100
    many: int = 10_000
    many_rate: float = 250


MOVED = 6.0  # seconds until what a line set in motion is over; a node that moves is kept
WORK = ("ScriptDuration", "RecalcStyleDuration", "LayoutDuration")

QUICK = Extent(defines=5, batches=3, batch=20, many=1_000)
MODES = ("rotate", "list")


def expected_seconds(extent: Extent) -> float:
    lines = len(MODES) * extent.batches * extent.batch / extent.rate
    return 10 + 2 * MOVED + extent.defines * 0.5 + lines + extent.many / extent.many_rate


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
            for mode in MODES:
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
    source = SOURCE.read_bytes()
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
    """Milliseconds that script and compiler took on the main thread; and that the page waited for `import()`."""
    page, devtools = open_page()
    before = _metrics(devtools)
    waited: float = page.evaluate(DEFINE, [f"http://127.0.0.1:{port}/ticker.js", number])
    after = _metrics(devtools)
    page.context.close()
    return sum(after[name] - before[name] for name in ("ScriptDuration", "V8CompileDuration")) * 1000, waited


def _lines(open_page: Any, port: int, load: Load, mode: str, extent: Extent) -> dict[str, Any]:
    """Main-thread milliseconds a line, batch by batch; and how many tasks took 50 ms or more."""
    page, devtools = _with_banners(open_page, port, [mode])
    total = _publish(page, load, extent.warm_up, extent.rate, 0)
    long = page.evaluate("window.long")
    work, all_ = [], []
    for _ in range(extent.batches):
        before = _metrics(devtools)
        total = _publish(page, load, extent.batch, extent.rate, total)
        after = _metrics(devtools)
        took = {name: (after[name] - before[name]) * 1000 / extent.batch for name in (*WORK, "TaskDuration")}
        work.append(sum(took[name] for name in WORK))
        all_.append(took["TaskDuration"])
    long = page.evaluate("window.long") - long
    page.context.close()
    return {"work_ms": work, "all_ms": all_, "long_tasks": long}


def _many(open_page: Any, port: int, load: Load, extent: Extent) -> dict[str, dict[str, float]]:
    """Heap, nodes and listeners of a page with a banner of each mode, after the first lines and after many."""
    page, devtools = _with_banners(open_page, port, MODES)
    total = _publish(page, load, extent.first, extent.rate, 0)
    first = _kept(devtools)
    _publish(page, load, extent.many - extent.first, extent.many_rate, total)
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


def _publish(page: Page, load: Load, lines: int, rate: float, seen: int) -> int:
    """Publish, and wait until every banner of the page has told of every line; how many that were in all."""
    load.lines(lines, rate=rate, spin=0)
    seen += lines * page.locator("breaking-ticker").count()
    page.wait_for_function("(wanted) => window.seen >= wanted", arg=seen, timeout=60_000)
    return seen


def _with_banners(open_page: Any, port: int, modes: Any) -> tuple[Page, CDPSession]:
    page, devtools = open_page()
    page.evaluate(BANNERS, [f"http://127.0.0.1:{port}", CHANNEL.slug, list(modes)])
    page.wait_for_function(LIVE, timeout=20_000)
    return page, devtools


def _page(chromium: Any, address: str) -> tuple[Page, CDPSession]:
    page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    page.goto(address)
    return page, devtools


def _metrics(devtools: CDPSession) -> dict[str, float]:
    return {metric["name"]: metric["value"] for metric in devtools.send("Performance.getMetrics")["metrics"]}


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
