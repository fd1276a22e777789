"""The command line: what is to be measured, and where the report goes. Knows every part; measures nothing itself."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench import machine, nodes, report, run, soak, widget
from bench.load import BUILT
from bench.peers import PEERS, NotToBeHad
from bench.progress import Progress
from bench.results import Results
from bench.trials import QUICK, Scale

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
PATIENCE = 120.0  # seconds to wait for a calm machine before each round

ABOUT = """\
What fan-out costs, beside its peers; what the banner costs a page; what holds for minutes.

Without options: five rounds at 5,000 readers, then the widget, in about twelve minutes. Figures are kept in
bench/results/, one file a part, and docs/bench.md with its plot is written from all that is there."""

EXAMPLES = """\
examples:
  python -m bench                            all but the soaks; writes docs/bench.md
  python -m bench --soak                     15,000 readers for 5 minutes, then 5,000 for 10 with a tenth stalled
  python -m bench --quick                    one round at 1,000 readers, the widget in short; two minutes, prints only
  python -m bench --quick --peers bare,ticker
  python -m bench --widget                   the widget alone
  python -m bench --report                   write docs/bench.md again from what is kept; measures nothing
  python -m bench --nodes                    two nodes on one Redis: what the way to the other node adds; prints only

The server has core 0, the load generator core 1: leave the machine alone meanwhile. A round waits up to two
minutes for it to be calm. What each figure means, and how it could mislead: bench/README.md."""


def main() -> None:
    names = [kind.name for kind in PEERS]
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=ABOUT, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_argument_group("what is measured").add_mutually_exclusive_group()
    which.add_argument("--fanout", action="store_true", help="the peers side by side, without the widget")
    which.add_argument("--widget", action="store_true", help="the widget in Chromium alone")
    which.add_argument("--soak", action="store_true", help="many readers held for minutes: two runs, 16 minutes")
    which.add_argument("--nodes", action="store_true", help="two Ticker nodes on one Redis (needs redis-server)")
    which.add_argument("--report", action="store_true", help="nothing: write the report of what is kept again")
    much = parser.add_argument_group("how much")
    much.add_argument(
        "--quick", action="store_true", help="a look in two minutes: rough, printed, not kept with the rest"
    )
    much.add_argument("--rounds", type=int, metavar="N", help="how often each peer is measured (default 5)")
    much.add_argument("--readers", type=int, metavar="N", help="readers of the steady trial, or of each soak")
    much.add_argument("--minutes", type=float, metavar="N", help="how long each soak lasts (default 5, and 10 stalled)")
    much.add_argument("--peers", metavar="A,B", default=",".join(names), help=f"of {','.join(names)} (default: all)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where bench.md and img/bench.svg go (default docs)")
    given = parser.parse_args()
    if unknown := set(given.peers.split(",")) - set(names):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")

    results = Results(BUILT / "quick" if given.quick else RESULTS)
    if not given.report:
        if given.quick:
            results.clear()
        _measure(given, results)
    if given.nodes:
        return
    parts = results.kept()
    print(report.body(parts))
    if out := given.out or (None if given.quick else ROOT / "docs"):
        report.write(parts, out)
        print(f"\nWritten: {out / 'bench.md'}")


def _measure(given: argparse.Namespace, results: Results) -> None:
    if (os.cpu_count() or 1) < 2:
        sys.exit("bench: the server and the load generator need a core each")
    scale = QUICK if given.quick else Scale()
    if given.readers:
        scale = scale._replace(readers=given.readers, burst_readers=min(scale.burst_readers, given.readers))
    limit, wanted = machine.raise_file_limit(), scale.readers + scale.joins * scale.join_lines / scale.rate + 100
    if limit < wanted:
        sys.exit(f"bench: {limit} open files are allowed; {wanted:.0f} readers and more need more (ulimit -n)")
    os.sched_setaffinity(0, {machine.LOAD_CORE})
    BUILT.mkdir(exist_ok=True)
    try:
        if given.nodes:
            nodes.run(20 if given.quick else 200)
        elif given.soak:
            _soak(given, results)
        else:
            _side_by_side(given, scale, results)
    except NotToBeHad as error:
        sys.exit(f"bench: {error}")


def _soak(given: argparse.Namespace, results: Results) -> None:
    soaks = [soak.HELD, soak.STALLED]
    if given.quick:
        soaks = [each._replace(readers=1_000, minutes=1) for each in soaks]
    if given.minutes:
        soaks = [each._replace(minutes=given.minutes) for each in soaks]
    if given.readers:
        soaks = [each._replace(readers=given.readers) for each in soaks]
    with Progress(sum(each.seconds for each in soaks)) as progress:
        for each in soaks:
            results.keep(each.name, soak.run(each, progress))


def _side_by_side(given: argparse.Namespace, scale: Scale, results: Results) -> None:
    kinds = [] if given.widget else [kind for kind in PEERS if kind.name in given.peers.split(",")]
    rounds = given.rounds or (1 if given.quick else 5)
    extent = widget.QUICK if given.quick else widget.Extent()
    # Peers are chosen for a look at the fan-out.
    with_widget = given.widget or not (given.fanout or len(kinds) < len(PEERS))
    seconds = run.expected_seconds(kinds, rounds, scale) if kinds else 0.0
    with Progress(seconds + (widget.expected_seconds(extent) if with_widget else 0.0)) as progress:
        if kinds:
            run.run(kinds, rounds, scale, 0 if given.quick else PATIENCE, results, progress)
        if with_widget:
            try:
                results.keep("widget", widget.run(extent, progress))
            except NotToBeHad as error:
                progress.say(f"The widget is not measured: {error}")
