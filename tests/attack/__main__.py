"""One run. Exit status: 0 all held, 1 something did not. The figures are printed."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from bench.progress import Progress
from tests.attack import LATE, SERVED_WITHIN
from tests.attack.attack import Attack, Way, load
from tests.attack.verdict import MIB, Verdict
from tests.attack.world import world

FEW_FILES = 600  # with these, a node has room for 402 readers
IN_MEMORY = Path("/dev/shm")  # the disk is attacked by nobody, and other programs keep it waiting
LETTING_GO = 35.0  # seconds, about, until the last connection that is held has gone


async def run(
    attacks: list[tuple[Attack, Way]],
    *,
    readers: int,
    seconds: float,
    history: int,
    late_max: float = LATE,
    served_within: float = SERVED_WITHIN,
    files: int | None = None,
) -> list[str]:
    """What did not hold, of one node."""
    caddy = any(way == "caddy" for _, way in attacks)
    readers_attacks = {each.name for each, _ in attacks if each.readers}
    with (
        tempfile.TemporaryDirectory(prefix="ticker-attack-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder,
        Progress((len(attacks) + 2) * (seconds + 0.5) + LETTING_GO) as progress,
    ):
        async with world(
            Path(folder, "node"),
            readers=readers,
            history=history,
            served_within=served_within,
            caddy=caddy,
            files=files,
        ) as here:
            verdict = Verdict(here, late_max, readers_attacks)
            await here.peace(1.0)
            here.begin()
            verdict.add(await here.peace(2 * seconds))
            for attack, way in attacks:
                progress.at(attack.name)
                if wrong := verdict.add(await here.suffer(attack, way, seconds)):
                    progress.say(f"{attack.name} ({way}): {'; '.join(wrong)}")
                progress.done(seconds + 0.5)
                if not here.node.is_alive:
                    break
            progress.at("waiting until the last connection is let go")
            await here.until_let_go(readers_attacks, progress.at)
            await here.close()
            verdict.add(await here.peace(seconds))
            verdict.judge()
        limits = f", {files} open files" if files else ""
        print(f"\n{readers} readers{limits}; TCP memory of the whole machine ", end="")
        print(f"{here.tcp_before / MIB:.0f} MB before, {here.tcp_most / MIB:.0f} MB at most.")
        print(f"{here.served} requests of the editor were answered. The log has {len(here.node.log):,} bytes.\n")
        print(verdict.table())
        for fault in verdict.faults:
            print(f"FAULT  {fault}")
        if any("the node has ended" in fault for fault in verdict.faults):
            print(here.node.log[-3_000:])
    return verdict.faults


async def run_all(given: argparse.Namespace) -> bool:
    """Whether everything held."""
    chosen = [
        (each, way)
        for each in load()
        for way in each.ways
        if ((each.quick and way == "direct") or not given.quick)
        and any(words in each.name for words in given.only.split("|"))
    ]
    few: list[tuple[Attack, Way]] = [(each, way) for each, way in chosen if each.few_files and way == "direct"]
    common = {
        "seconds": given.seconds or (0.5 if given.quick else 2.0),
        "history": 300 if given.quick else 1_500,
        "late_max": given.late_ms / 1000,
        "served_within": given.served_within,
    }
    faults = await run(chosen, readers=given.readers, **common)
    if few and not given.quick:
        faults += await run(few, readers=min(300, given.readers), files=FEW_FILES, **common)
    print(f"\n{len(faults)} faults." if faults else "\nEverything held.")
    return not faults


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description="Attack a node, and see what it costs its readers and its editor.")
    made.add_argument("--quick", action="store_true", help="some of the attacks, for less than a second each")
    made.add_argument("--only", default="", metavar="A|B", help="attacks with one of these in their names")
    made.add_argument("--seconds", type=float, help="that each attack takes")
    made.add_argument("--readers", type=int, default=500)
    made.add_argument("--late-ms", type=float, default=LATE * 1000, help="the most that a line may be late")
    made.add_argument("--served-within", type=float, default=SERVED_WITHIN, help="seconds for the editor's answers")
    return made


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(run_all(parser().parse_args())) else 1)
