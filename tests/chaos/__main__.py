"""One run. Exit status: 0 all held, 1 something did not; the seed is printed, to have the same schedule again."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos import CHANNELS, NODES
from tests.chaos.faults import inject, schedule
from tests.chaos.verdict import CONVERGE_WITHIN, Verdict
from tests.chaos.world import World


async def run(
    seed: int,
    faults: int,
    readers: int,
    minutes: float,
    rollbacks: int,
    pace: float,
    converge_within: float = CONVERGE_WITHIN,
) -> bool:
    """Whether everything held."""
    with tempfile.TemporaryDirectory(prefix="ticker-chaos-") as folder:
        world = World(Path(folder), seed, readers)
        try:
            return await _run(world, faults, minutes, rollbacks, pace, converge_within)
        finally:
            world.close()


async def _run(world: World, faults: int, minutes: float, rollbacks: int, pace: float, converge_within: float) -> bool:
    world.say(f"seed {world.seed}: {NODES} nodes, {len(world.readers)} readers, {faults} faults, {rollbacks} rollbacks")
    tasks = [asyncio.create_task(node.run()) for node in world.nodes]
    progress = asyncio.create_task(_tell(world))
    try:
        async with asyncio.timeout(120):
            while not all(await world.ready()):
                await asyncio.sleep(0.1)
            tasks += [asyncio.create_task(reader.run()) for reader in world.readers]
            while not all(reader.connected_to for reader in world.readers):
                await asyncio.sleep(0.1)
        editing = asyncio.create_task(world.editors.run())
        await asyncio.sleep(1)
        round_number = 0
        until = time.monotonic() + minutes * 60
        while round_number == 0 or time.monotonic() < until:
            lanes = schedule(
                random.Random(f"{world.seed}-{round_number}"), faults, rollbacks if round_number == 0 else 0
            )
            await asyncio.gather(*(inject(world, lane, kinds, pace) for lane, kinds in lanes.items()))
            round_number += 1
        world.server.step(0)
        healed = time.monotonic()
        world.say("the last fault is over")
        await asyncio.sleep(1)
        editing.cancel()
        await asyncio.wait({editing}, timeout=converge_within)
        verdict = Verdict(world)
        if world.editors.pending:
            verdict.violations.append(f"{world.editors.pending} requests are not answered {converge_within} s after")
        await verdict.reach(healed, converge_within)
        verdict.judge()
    finally:
        progress.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    _tell_all(world, verdict)
    return not verdict.violations


async def _tell(world: World) -> None:
    while True:
        await asyncio.sleep(10)
        connected = Counter(reader.connected_to for reader in world.readers)
        world.say(
            f"acknowledged {len(world.editors.acknowledged)}, under way {world.editors.pending}; readers: "
            + ", ".join(f"{connected[node.name]} on {node.name}" for node in world.nodes)
            + f", {connected[None]} between; {world.sightings.frames} frames"
        )


def _tell_all(world: World, verdict: Verdict) -> None:
    requests = world.editors.requests
    statuses = Counter(request.status for request in requests)
    waited = sorted(request.answered - request.began for request in requests if request.answered)
    print("\nInjected:")
    for name, count in world.injected.most_common():
        print(f"  {count:4d}  {name}")
    print("Seen:")
    print(f"  {sum(map(len, verdict.history.values()))} events in {len(CHANNELS)} channels, every chain walked")
    print(f"  {len(requests)} requests ({dict(statuses)}), sent {sum(request.tries for request in requests)} times")
    if waited:
        print(f"  answered after {waited[len(waited) // 2]:.3f} s (median), {waited[-1]:.1f} s (most)")
    print(f"  {world.sightings.frames} frames to {len(world.readers)} readers over")
    connections, starts = (sum(x.connections for x in world.readers), sum(x.starts for x in world.nodes))
    print(f"  {connections} connections, over {starts} starts of a node")
    print(f"  all agreed {verdict.took:.1f} s after the last fault")
    if verdict.violations:
        print(f"\n{len(verdict.violations)} VIOLATIONS, with --seed {world.seed}:")
        for words in verdict.violations[:40]:
            print(f"  {words}")
    else:
        print("Everything held.")


def main() -> None:
    parser = argparse.ArgumentParser(description="Break everything, and see whether the promises hold.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--rollbacks", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0, help="go on with more rounds until so long has passed")
    parser.add_argument("--pace", type=float, default=2.0, help="seconds between two faults of a lane, on average")
    given = parser.parse_args()
    held = asyncio.run(run(given.seed, given.faults, given.readers, given.minutes, given.rollbacks, given.pace))
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
