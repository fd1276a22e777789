"""The kinds of fault, and schedules of them."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from tests.chaos import NODES
from tests.chaos.world import World


class Fault:
    """A kind of fault. `lane` says what it breaks: two faults of one lane never overlap, those of two may."""

    def __init__(
        self, name: str, lane: str, weight: int, inject: Callable[[World, random.Random], Awaitable[str]]
    ) -> None:
        self.name, self.lane, self.weight, self.inject = name, lane, weight, inject


FAULTS: list[Fault] = []


def fault(lane: str, weight: int = 10) -> Callable[[Any], Any]:
    def keep(inject: Callable[[World, random.Random], Awaitable[str]]) -> Any:
        FAULTS.append(Fault(inject.__name__.replace("_", " "), lane, weight, inject))
        return inject

    return keep


@fault("redis")
async def redis_is_killed(world: World, chance: random.Random) -> str:
    away = chance.choice((0.0, 0.5, 2.0, 4.0))
    await asyncio.to_thread(world.server.kill)
    await asyncio.sleep(away)
    await asyncio.to_thread(world.server.start)
    return f"back after {away:g} s"


@fault("redis")
async def redis_hangs(world: World, chance: random.Random) -> str:
    seconds = chance.choice((0.3, 1.5, 3.0, 6.0))
    world.server.pause()
    await asyncio.sleep(seconds)
    world.server.resume()
    return f"for {seconds:g} s"


@fault("redis")
async def listeners_are_cut(world: World, chance: random.Random) -> str:
    await world.do("CLIENT KILL", "TYPE", "pubsub")
    return "CLIENT KILL TYPE pubsub"


@fault("redis")
async def connections_are_cut_by_redis(world: World, chance: random.Random) -> str:
    await world.do("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")
    return "CLIENT KILL TYPE normal"


@fault("redis", 5)
async def scripts_are_forgotten(world: World, chance: random.Random) -> str:
    await world.do("SCRIPT FLUSH")
    return "SCRIPT FLUSH"


@fault("redis")
async def redis_is_full(world: World, chance: random.Random) -> str:
    seconds = chance.uniform(0.5, 3)
    await world.do("CONFIG SET", "maxmemory", 1)
    await asyncio.sleep(seconds)
    await world.do("CONFIG SET", "maxmemory", 0)
    return f"for {seconds:.1f} s"


@fault("redis", 8)
async def the_clock_steps(world: World, chance: random.Random) -> str:
    seconds = chance.choice((-3_600, -30, -1.5, 0, 1.5, 30, 600))
    world.server.step(seconds)
    return f"to {seconds:+g} s"


@fault("way")
async def a_way_is_cut(world: World, chance: random.Random) -> str:
    number = chance.randrange(NODES)
    world.proxies[number].cut()
    return f"node{number}"


@fault("way")
async def a_way_is_closed(world: World, chance: random.Random) -> str:
    number, seconds = chance.randrange(NODES), chance.choice((0.5, 2.0, 5.0))
    world.proxies[number].refuse()
    await asyncio.sleep(seconds)
    world.proxies[number].heal()
    return f"node{number}, for {seconds:g} s"


@fault("way", 20)
async def a_way_is_half_open(world: World, chance: random.Random) -> str:
    number, seconds = chance.randrange(NODES), chance.choice((0.5, 2.5, 4.0, 7.0))
    up, down = chance.choice(((True, True), (True, False), (False, True)))
    newcomers = chance.random() < 0.7
    world.proxies[number].stall(up=up, down=down, newcomers=newcomers)
    await asyncio.sleep(seconds)
    if chance.random() < 0.3:
        world.proxies[number].cut()
    world.proxies[number].heal()
    way = "both ways" if up and down else "up" if up else "down"
    return f"node{number}, {way}, for {seconds:g} s{'' if newcomers else ', but for new connections'}"


@fault("way")
async def a_way_is_slow(world: World, chance: random.Random) -> str:
    number, seconds, delay = chance.randrange(NODES), chance.uniform(1, 4), chance.choice((0.03, 0.2, 0.8))
    world.proxies[number].slow(delay)
    await asyncio.sleep(seconds)
    world.proxies[number].heal()
    return f"node{number}, {delay:g} s each way, for {seconds:.1f} s"


@fault("node")
async def a_node_is_killed(world: World, chance: random.Random) -> str:
    node, seconds = chance.choice(world.nodes), chance.choice((0.0, 1.0, 4.0))
    node.held_down = True
    node.signal(signal.SIGKILL)
    await asyncio.sleep(seconds)
    node.held_down = False
    return f"{node.name}, started again after {seconds:g} s"


@fault("node", 6)
async def a_node_is_restarted(world: World, chance: random.Random) -> str:
    node = chance.choice(world.nodes)
    node.signal(signal.SIGTERM)
    await asyncio.sleep(2)
    return node.name


@fault("node")
async def a_node_hangs(world: World, chance: random.Random) -> str:
    node, seconds = chance.choice(world.nodes), chance.choice((0.5, 2.0, 5.0))
    node.signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    node.signal(signal.SIGCONT)
    return f"{node.name}, for {seconds:g} s"


@fault("node", 6)
async def readers_are_cut(world: World, chance: random.Random) -> str:
    cut = chance.sample(world.readers, len(world.readers) // 4)
    for reader in cut:
        reader.cut()
    return f"{len(cut)} of them"


async def redis_is_rolled_back(world: World, chance: random.Random) -> str:
    """Not among the others: what it loses was acknowledged."""
    taken = time.monotonic()
    copy = await asyncio.to_thread(world.server.snapshot)
    await asyncio.sleep(chance.uniform(1, 4))
    await asyncio.to_thread(world.server.roll_back, copy)
    world.lost.append((taken, time.monotonic()))
    return f"by {world.lost[-1][1] - taken:.1f} s"


ROLLBACK = Fault("redis is rolled back", "redis", 0, redis_is_rolled_back)


def schedule(chance: random.Random, count: int, rollbacks: int) -> dict[str, list[Fault]]:
    """So many faults, each kind at least once where there is room, by lane."""
    kinds = [kind for kind in FAULTS if not (rollbacks and kind.name == "the clock steps")]
    # A clock that is stepped back just when events are lost may give their cursors to others.
    chosen = chance.sample(kinds, min(count, len(kinds)))
    chosen += chance.choices(kinds, [kind.weight for kind in kinds], k=max(0, count - len(chosen)))
    chosen += [ROLLBACK] * rollbacks
    chance.shuffle(chosen)
    lanes: dict[str, list[Fault]] = defaultdict(list)
    for kind in chosen:
        lanes[kind.lane].append(kind)
    return lanes


async def inject(world: World, lane: str, kinds: list[Fault], pace: float) -> None:
    chance = random.Random(f"{world.seed}-{lane}")
    for kind in kinds:
        await asyncio.sleep(chance.expovariate(1 / pace))
        said = await kind.inject(world, chance)
        world.injected[kind.name] += 1
        world.say(f"fault {sum(world.injected.values()):3d}  {kind.name}: {said}")
