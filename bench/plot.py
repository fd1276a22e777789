"""docs/img/bench.svg: bars, one panel a figure, Ticker's in red. Knows figures; knows matplotlib."""

from __future__ import annotations

import statistics
from pathlib import Path

from bench.figures import FIGURES, OURS, values
from bench.peers import PEERS
from bench.results import Part

# The plot: light by itself, dark where the reader's system is

PAPER, INK, FAINT, PEER, TICKER = "#fdfdfc", "#1c1b1a", "#dcdad6", "#a3a9b1", "#c4161c"
DARK = {PAPER: "#16181b", INK: "#e9e7e4", FAINT: "#3a3d42", PEER: "#6c737d", TICKER: "#ff5a52"}


def plot(fanout: Part, file: Path) -> None:
    """Bars, one panel a figure, Ticker's in red; the whiskers are the least and the most of the rounds."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "ticker", "font.family": "DejaVu Sans", "text.color": INK, "font.size": 9.5})
    peers = [kind.name for kind in PEERS if kind.name in fanout["figures"]]
    shown = [figure for figure in FIGURES if figure.plotted]
    drawing, panels = plt.subplots(2, 3, figsize=(11, 5.2), facecolor=PAPER)
    for panel, figure in zip(panels.flat, shown, strict=True):
        panel.set_facecolor(PAPER)
        measured = [values(fanout, peer, figure.name) for peer in peers]
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
