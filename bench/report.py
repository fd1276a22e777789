"""From figures to docs/bench.md and its plot: ratios first, then medians with their spread. Knows no process."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any, NamedTuple

from bench.peers import PEERS, Ticker

Results = dict[str, Any]


class Figure(NamedTuple):
    """One thing that is measured."""

    name: str
    title: str
    unit: str
    digits: int
    less_is_better: bool = True
    plotted: bool = False


FIGURES = (
    Figure("cpu_delivery", "CPU per delivery", "µs", 1, plotted=True),
    Figure("last", "publish → last reader", "ms", 1, plotted=True),
    Figure("burst", "burst, deliveries a second", "k/s", 0, less_is_better=False, plotted=True),
    Figure("cpu_connect", "CPU per connect", "µs", 0, plotted=True),
    Figure("memory", "resident memory a reader", "kB", 1, plotted=True),
    Figure("joins_p99", "p99 while 500 a second join", "ms", 1, plotted=True),
    Figure("first", "publish → first reader", "ms", 1),
    Figure("median", "publish → median reader", "ms", 1),
    Figure("p99", "publish → p99 reader", "ms", 1),
    Figure("joins_ratio", "p99 with joins ÷ quiet", "×", 2),
    Figure("burst_cpu", "CPU per delivery in the burst", "µs", 2),
    Figure("stalled_lost", "lost to the others with 10 % stalled", "%", 1),
    Figure("stalled_p99", "p99 with 10 % stalled", "ms", 1),
    Figure("stalled_ratio", "p99 with 10 % stalled ÷ without", "×", 2),
    Figure("stalled_memory", "memory a stalled reader adds", "kB", 1),
    Figure("bytes", "bytes a delivery, with framing", "B", 0),
)
BY_NAME = {figure.name: figure for figure in FIGURES}
SCALED = {"burst": 1e-3}
NOT_COMPARED = ("joins_ratio", "stalled_lost", "stalled_ratio", "stalled_memory", "bytes")  # a multiple says nothing
TITLES = {kind.name: kind.title for kind in PEERS}
NOTES = {kind.name: kind.note for kind in PEERS}
OURS = Ticker.name

# What issue "Fan-out at the limit of the machine" asks for: (what, figure, peer or None for the figure itself, factor)
AIMS: tuple[tuple[str, str, str | None, float], ...] = (
    ("CPU per delivery, of the bare loop's", "cpu_delivery", "bare", 1.15),
    ("CPU per delivery, of Nchan's", "cpu_delivery", "nchan", 1.0),
    ("CPU per delivery, of Node `ws`'s", "cpu_delivery", "ws", 1.0),
    ("CPU per delivery, of `websockets.broadcast`'s", "cpu_delivery", "broadcast", 1.0),
    ("CPU per connect, of Node `ws`'s", "cpu_connect", "ws", 1.0),
    ("resident memory a reader, kB", "memory", None, 4.0),
    ("publish → last reader, of the bare loop's", "last", "bare", 1.2),
    ("burst, of the bare loop's", "burst", "bare", 2.0),
    ("burst, of Nchan's", "burst", "nchan", 5.0),
    ("p99 while 500 a second join, of the quiet p99", "joins_ratio", None, 2.0),
    ("p99 with 10 % stalled, of the p99 without", "stalled_ratio", None, 1.2),
)


def values(results: Results, peer: str, name: str) -> list[float]:
    return [row[name] * SCALED.get(name, 1) for row in results["figures"][peer] if name in row]


def ratios(results: Results, name: str, peer: str) -> list[float]:
    """Ticker's figure as a multiple of a peer's, round by round."""
    rounds = zip(results["figures"][OURS], results["figures"][peer], strict=False)
    return [ours[name] / theirs[name] for ours, theirs in rounds if ours.get(name) and theirs.get(name)]


def spread(measured: list[float], digits: int) -> str:
    """Median (least–most)."""
    if not measured:
        return "–"
    shown = f"{statistics.median(measured):,.{digits}f}"
    return shown if len(measured) == 1 else f"{shown} ({min(measured):,.{digits}f}–{max(measured):,.{digits}f})"


def table(results: Results) -> str:
    """Everything as Markdown tables, ratios first."""
    peers = [kind.name for kind in PEERS if kind.name in results["figures"]]
    parts = []
    if OURS in peers and len(peers) > 1:
        others = [peer for peer in peers if peer != OURS]
        rows = []
        for figure in FIGURES:
            if figure.name in NOT_COMPARED:
                continue
            title = figure.title if figure.less_is_better else f"{figure.title} (more is better)"
            rows.append([title, *(spread(ratios(results, figure.name, peer), 2) for peer in others)])
        parts += [
            "## Ticker, as a multiple of each peer",
            "",
            _markdown(["", *(TITLES[peer] for peer in others)], rows),
        ]
        parts += ["", "## What was aimed at", "", _markdown(["", "aim", "measured", ""], _aims(results))]
    rows = [
        [
            f"{figure.title}, {figure.unit}",
            *(spread(values(results, peer, figure.name), figure.digits) for peer in peers),
        ]
        for figure in FIGURES
    ]
    parts += ["", "## Figures", "", _markdown(["", *(TITLES[peer] for peer in peers)], rows)]
    parts += ["", "## What went wrong", "", *_trouble(results)]
    return "\n".join(parts)


def _aims(results: Results) -> list[list[str]]:
    rows = []
    for title, name, peer, limit in AIMS:
        if peer is not None and peer not in results["figures"]:
            continue
        measured = values(results, OURS, name) if peer is None else ratios(results, name, peer)
        if not measured:
            rows.append([title, f"{limit:g}", "–", "**not measured**"])
            continue
        least = BY_NAME[name].less_is_better
        middle = statistics.median(measured)
        met = middle <= limit if least else middle >= limit
        rows.append([title, f"{'≤' if least else '≥'} {limit:g}", spread(measured, 2), "met" if met else "**not met**"])
    return rows


def _trouble(results: Results) -> list[str]:
    lines = [f"- {TITLES[peer]} is missing, in part or whole: {why}." for peer, why in results["absent"].items()]
    for peer, wrong in results["faults"].items():
        lines.append(f"- {TITLES[peer]}: " + ", ".join(f"{count:,} {fault}" for fault, count in wrong.items()) + ".")
    for peer, count in results["boards"].items():
        lines.append(f"- {TITLES[peer]}: {count:,} readers' boards were sent anew in the middle of a run.")
    if results["busy"] > 0.15:
        lines.append(f"- Other programs used {results['busy']:.0%} of the machine just before a round.")
    return lines or ["Nothing: each reader got each line once and in order, from every peer."]


def write(results: Results, folder: Path) -> None:
    """docs/bench.md and docs/img/bench.svg."""
    scale, about = results["scale"], results["machine"]
    by_hand = [f"- {name}: {value}" for name, value in about.items()]
    peers = [
        f"- {TITLES[peer]}: {version}" + (f"; {NOTES[peer]}" if NOTES[peer] else "")
        for peer, version in results["versions"].items()
    ]
    burst = f"{scale['burst_lines']} lines to {scale['burst_readers']:,} readers"
    text = f"""# What fan-out costs

Written by `make bench`; not by hand. How to run it, what each figure means and how it could mislead:
[bench/README.md](../bench/README.md).

![Ticker beside its peers: CPU per delivery, last reader, burst, connect, memory, joins](img/bench.svg)

{scale["readers"]:,} readers on one machine, the server on one core, the load generator on the other; medians of
{results["rounds"]} interleaved rounds, in brackets the least and the most. Less is better unless it says otherwise.

{table(results)}

## The machine and the peers

{chr(10).join(by_hand)}
- Date: {results["date"]}
- Command: `{results["command"]}`

{chr(10).join(peers)}

The trials: {scale["lines"]} lines at {scale["rate"]:g} a second to {scale["readers"]:,} readers, who came at
{scale["connect_rate"]:,} a second; then {scale["joins"]} more a second for {scale["join_lines"]} lines; a burst of
{burst}, from {scale["publishers"]} publishing connections; and
{scale["stalled_readers"]:,} readers of whom {scale["stalled_percent"]} % stop reading.
"""
    (folder / "img").mkdir(parents=True, exist_ok=True)
    (folder / "bench.md").write_text(text, "utf-8")
    plot(results, folder / "img" / "bench.svg")


# The plot: light by itself, dark where the reader's system is

PAPER, INK, FAINT, PEER, TICKER = "#fdfdfc", "#1c1b1a", "#dcdad6", "#a3a9b1", "#c4161c"
DARK = {PAPER: "#16181b", INK: "#e9e7e4", FAINT: "#3a3d42", PEER: "#6c737d", TICKER: "#ff5a52"}


def plot(results: Results, file: Path) -> None:
    """Bars, one panel a figure, Ticker's in red; the whiskers are the least and the most of the rounds."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "ticker", "font.family": "DejaVu Sans", "text.color": INK, "font.size": 9.5})
    peers = [kind.name for kind in PEERS if kind.name in results["figures"]]
    shown = [figure for figure in FIGURES if figure.plotted]
    drawing, panels = plt.subplots(2, 3, figsize=(11, 5.2), facecolor=PAPER)
    for panel, figure in zip(panels.flat, shown, strict=True):
        panel.set_facecolor(PAPER)
        measured = [values(results, peer, figure.name) for peer in peers]
        middles = [statistics.median(rows) for rows in measured]
        errors = [
            [middle - min(rows) for middle, rows in zip(middles, measured, strict=True)],
            [max(rows) - middle for middle, rows in zip(middles, measured, strict=True)],
        ]
        places = range(len(peers))
        colours = [TICKER if peer == OURS else PEER for peer in peers]
        panel.barh(places, middles, color=colours, height=0.62, xerr=errors, ecolor=INK, error_kw={"linewidth": 0.9})
        most = max(max(rows) for rows in measured)
        for place, middle, rows in zip(places, middles, measured, strict=True):
            at = max(rows) + most * 0.02
            panel.text(at, place, f"{middle:,.{figure.digits}f}", va="center", fontsize=9)
        panel.set_xlim(0, most * 1.2)
        panel.set_yticks(places, [_plain(peer) for peer in peers])
        panel.invert_yaxis()
        panel.set_xticks([])
        panel.tick_params(length=0, colors=INK)
        title = (
            f"{figure.title}, {figure.unit}"
            if figure.less_is_better
            else f"{figure.name}, {figure.unit} (more is better)"
        )
        panel.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
        for side, spine in panel.spines.items():
            spine.set_visible(side == "left")
            spine.set_color(FAINT)
    drawing.tight_layout(w_pad=1.5, h_pad=1.8)
    drawing.savefig(file, facecolor=PAPER, metadata={"Date": None, "Creator": None})
    plt.close(drawing)
    rules = " ".join(
        f'[style*="{kind}: {light}"] {{ {kind}: {dark} !important }}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    drawn = file.read_text("utf-8")
    end = drawn.index("</defs>")
    style = f'<style type="text/css">@media (prefers-color-scheme: dark) {{ {rules} }}</style>\n '
    file.write_text(drawn[:end] + style + drawn[end:], "utf-8")


def _plain(peer: str) -> str:
    return {"bare": "bare C loop", "ticker": "Ticker", "nchan": "Nchan", "ws": "Node ws"}.get(
        peer, {"broadcast": "websockets\n.broadcast", "plain": "Starlette\nsend_text"}.get(peer, peer)
    )


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
