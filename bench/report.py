"""Writes docs/bench.md from the kept results: ratios first, then each limit, then all figures. Knows no process."""

from __future__ import annotations

import statistics
from pathlib import Path

from bench.criteria import CRITERIA, Parts
from bench.figures import FIGURES, NOTES, OURS, TITLES, ratios, spread, values
from bench.peers import PEERS
from bench.plot import plot
from bench.results import Part
from bench.widget import ARRIVED, CONTROL, MODES, PAUSE

ROUNDS, READERS = 5, 5_000  # what the limits are set for
CALM = 0.15  # share of the machine that others may have used

READINGS = """\
**How to read "last reader".** The same program publishes to every server with an HTTP POST, and every time begins when
that request is written. *publish → last* is the criterion, and the time that an editor waits for. But the servers don't
do the same work before they fan out. Ticker checks the editor's key and the line, numbers the line, and has it on disk
(SQLite, synced) before a reader sees it; the bare loop takes the body as it is and keeps nothing. *publish → first* is
the time for that work, and *first → last* the time for the fan-out itself, for each line. The table above has both.
CPU per delivery includes publishing; *CPU per line published* says how much of it that is, with ten readers."""


def body(parts: Parts) -> str:
    """Everything that was measured as Markdown, without what surrounds it."""
    fanout = parts.get("fanout")
    sections = [*_ratios(fanout)] if fanout else []
    sections += ["## Limits, and whether they are met", "", _criteria(parts), ""]
    if fanout:
        sections += ["## Figures", "", READINGS, "", _figures(fanout), ""]
    if "widget" in parts:
        sections += ["## The widget", "", *_widget(parts["widget"]), ""]
    for name in ("soak", "stalled"):
        if name in parts:
            sections += _soak(parts[name])
    return "\n".join([*sections, "## Problems during the runs", "", *_trouble(parts)])


def write(parts: Parts, folder: Path) -> None:
    """bench.md and img/bench.svg."""
    (folder / "img").mkdir(parents=True, exist_ok=True)
    fanout = parts.get("fanout")
    opening = ""
    if fanout:
        plot(fanout, folder / "img" / "bench.svg")
        opening = f"""
![Ticker compared with other servers: CPU per delivery, last reader, burst, connect, memory, joins](img/bench.svg)

{fanout["scale"]["readers"]:,} readers on one machine, with the server on one core and the load generator on the other.
Each figure is the median of {fanout["rounds"]} interleaved rounds, with the least and the most in brackets. A figure
without brackets was measured in one round. Less is better unless the row says otherwise.
"""
    text = f"""# What fan-out costs

`make bench` writes this page; don't edit it by hand. [bench/README.md](../bench/README.md) says how to run it, what
each figure means and how it could mislead.
{opening}
{body(parts)}

## Dates, machines and versions

{_circumstances(parts)}
"""
    (folder / "bench.md").write_text(text, "utf-8")


def _ratios(fanout: Part) -> list[str]:
    others = [kind.name for kind in PEERS if kind.name in fanout["figures"] and kind.name != OURS]
    if OURS not in fanout["figures"] or not others:
        return []
    rows = []
    for figure in FIGURES:
        if figure.compared:
            title = figure.title if figure.less_is_better else f"{figure.title} (more is better)"
            rows.append([title, *(spread(ratios(fanout, figure.name, peer), 2) for peer in others)])
    return [
        "## Ticker's figures divided by the other servers'",
        "",
        _table(["", *(TITLES[peer] for peer in others)], rows),
        "",
    ]


def _criteria(parts: Parts) -> str:
    return _table(["", "criterion", "limit", "measured", ""], [criterion.row(parts) for criterion in CRITERIA])


def _figures(fanout: Part) -> str:
    peers = [kind.name for kind in PEERS if kind.name in fanout["figures"]]
    rows = [
        [
            f"{figure.title}, {figure.unit}",
            *(spread(values(fanout, peer, figure.name), figure.digits) for peer in peers),
        ]
        for figure in FIGURES
    ]
    return _table(["", *(TITLES[peer] for peer in peers)], rows)


def _widget(part: Part) -> list[str]:
    sizes, extent = part["sizes"], part["extent"]
    first, many = part["growth"]["first"], part["growth"]["many"]

    def size(name: str) -> str:
        return f"{sizes[name]:,}" if name in sizes else "not offered"

    rows = [
        ["source, as it is written, bytes", f"{size('source')} ({size('source_gzip')} gzip)"],
        ["served, minified, bytes", size("served_identity")],
        ["served, gzip, bytes", size("served_gzip")],
        ["served, br, bytes", size("served_br")],
        [f"parse and define, ms ({extent['defines']} pages, cold)", spread(part["define_ms"], 1)],
        ["`import()` as the page waits for it, ms", spread(part["import_ms"], 1)],
        *(
            [f"{what}, {mode}, ms", spread(part[mode][name], 2)]
            for mode in (*MODES, CONTROL)
            for what, name in (
                ("a line's arrival: script, style and layout", "arrival_ms"),
                ("its announcement: script, style and layout", "announcement_ms"),
                ("a line: everything on the main thread", "all_ms"),
            )
        ),
        ["tasks of 50 ms or more during this time", str(sum(part[mode]["long_tasks"] for mode in MODES))],
    ]
    for what, unit, per in (("heap", "kB", 1000), ("nodes", "DOM nodes", 1), ("listeners", "listeners", 1)):
        rows.append(
            [
                f"{unit if per == 1 else 'heap, ' + unit}: after {extent['first']:,} lines → after {extent['many']:,}",
                f"{first[what] / per:,.0f} → {many[what] / per:,.0f}",
            ]
        )
    text = (
        f"{part['version']} on the same machine, without a graphics card, with a real node and a page of another "
        f"origin. The times are CPU time of the page's main thread while {extent['batches']} × {extent['batch']} lines "
        f"arrived, one every {ARRIVED + PAUSE:g} s, so that each line is shown, announced and painted by itself. "
        "*Arrival* ends when the line is shown. Half a second later the line is announced to screen readers, in a task "
        "of its own. *Everything* is all that the thread did, including painting, frames, movement and housekeeping. "
        "The *control* is a page without a banner that writes the text into one element, and half a second later into "
        "another. Heap, nodes and listeners are those of a page with two banners, after all movement has ended and the "
        "garbage collector has run."
    )
    return [text, "", _table(["", ""], rows)]


def _soak(part: Part) -> list[str]:
    series, reading = part["series"], part["readers"] - part["deaf"]
    memory = [look["resident_kb"] for look in series]
    kernel = [look["kernel_kb"] for look in series]
    title = f"{part['readers']:,} readers for {part['minutes']:g} min"
    if part["deaf"]:
        title += f", {part['stalled_percent']} % of them stalled"
    faults = ", ".join(f"{count:,} {fault}" for fault, count in part["faults"].items()) or "none"
    last = [look["last_ms"] for look in series if look["last_ms"] is not None]
    rows = [
        ["readers still reading, at the end", f"{reading - part['faults'].get('dropped', 0):,} of {reading:,}"],
        ["lines published, each to all of them", f"{part['published']:,}"],
        ["beats per reader", f"{part['beats'] / reading:.1f}"],
        ["longest time without a frame, any reader, s", f"{part['silence']:.1f}"],
        ["faults", faults],
        ["boards sent again", f"{part['boards']:,}"],
        ["publish → last reader, ms", spread(last, 1)],
        [
            "resident memory: without readers, first sample, last sample, most, MB",
            _megabytes(part["empty_kb"], memory[0], memory[-1], max(memory)),
        ],
        ["memory per reader, at the end, kB", f"{(memory[-1] - part['empty_kb']) / part['readers']:.1f}"],
        [
            "kernel memory for all TCP sockets, both ends: first sample, last sample, most, MB",
            _megabytes(kernel[0], kernel[-1], max(kernel)),
        ],
        ["limit of open files", f"{part['files_allowed']:,}"],
    ]
    if part["deaf"]:
        rows.insert(
            1, ["stalled at a time; disconnected by the node, and replaced", f"{part['deaf']:,}; {part['replaced']:,}"]
        )
    text = f"{part['rate']:g} line{'s' if part['rate'] != 1 else ''} a second"
    text += ", with none in every other half minute, so that only beats are sent then." if part["quiet"] else "."
    look = _table(
        ["minute", *(f"{each['minute']:.1f}" for each in series)],
        [
            ["resident, MB", *(f"{kb / 1024:.1f}" for kb in memory)],
            ["kernel, MB", *(f"{kb / 1024:.0f}" for kb in kernel)],
        ],
    )
    return [f"## {title}", "", text, "", _table(["", ""], rows), "", look, ""]


def _megabytes(*kilobytes: float) -> str:
    return " · ".join(f"{kb / 1024:,.1f}" for kb in kilobytes)


def _trouble(parts: Parts) -> list[str]:
    lines = []
    if fanout := parts.get("fanout"):
        if fanout["rounds"] < ROUNDS or fanout["scale"]["readers"] < READERS:
            lines.append(
                f"- This was a quick run, not the full measurement: {fanout['rounds']} round(s) with "
                f"{fanout['scale']['readers']:,} readers; the limits are set for {ROUNDS} with {READERS:,}."
            )
        lines += [
            f"- {TITLES[peer]} is missing, partly or completely: {why}." for peer, why in fanout["absent"].items()
        ]
        for peer, wrong in fanout["faults"].items():
            lines.append(
                f"- {TITLES[peer]}: " + ", ".join(f"{count:,} {fault}" for fault, count in wrong.items()) + "."
            )
        for peer, count in fanout["boards"].items():
            lines.append(f"- {TITLES[peer]}: {count:,} readers were sent their board again in the middle of a run.")
        if fanout["busy"] > CALM:
            lines.append(f"- Other programs used {fanout['busy']:.0%} of the machine just before a round.")
        for peer in fanout["figures"]:
            busy = values(fanout, peer, "load_steady")
            if busy and statistics.median(busy) > 80:
                lines.append(
                    f"- {TITLES[peer]}: the load generator was busy for {statistics.median(busy):.0f} % of the time."
                )
    lines += [f"- Not measured yet: {name}." for name in ("fanout", "widget", "soak", "stalled") if name not in parts]
    return lines or ["None: each reader got each line once and in order, from every server."]


def _circumstances(parts: Parts) -> str:
    lines = []
    for name, part in parts.items():
        about = ", ".join(f"{what} {value}" if what == "Python" else value for what, value in part["machine"].items())
        lines.append(f"- {name}: {part['date']}, `{part['command']}`; {about}")
    if fanout := parts.get("fanout"):
        scale = fanout["scale"]
        lines += [""]
        lines += [
            f"- {TITLES[peer]}: {version}" + (f"; {NOTES[peer]}" if NOTES[peer] else "")
            for peer, version in fanout["versions"].items()
        ]
        lines += [
            "",
            f"The trials: {scale['lines']} lines at {scale['rate']:g} a second to {scale['readers']:,} readers, who "
            f"connected at {scale['connect_rate']:,} a second; then {scale['joins']} more readers a second for "
            f"{scale['join_lines']} lines; then a burst of {scale['burst_lines']} lines to "
            f"{scale['burst_readers']:,} readers, from {scale['publishers']} publishing connections; then "
            f"{scale['readers']:,} readers of whom {scale['stalled_percent']} % have stopped reading and been sent "
            f"{scale['fill_lines']} lines. Joins and stalled readers are measured in every round for Ticker, and only "
            "in the first round for the others.",
        ]
    return "\n".join(lines)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
