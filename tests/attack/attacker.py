"""One attack, in a process of its own: `python -m tests.attack.attacker NAME PORT SECONDS`.

It says `ready`, begins at a line on its standard input, says what it has done, and holds what it holds until the end
of its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys

from tests.attack.attack import load
from tests.attack.stranger import Stranger

NICE = 10  # strangers have machines of their own; on this one they get what nobody else wants


async def run(name: str, port: int, seconds: float) -> None:
    wage = next(each.wage for each in load() if each.name == name)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    stranger = Stranger(port, seconds)
    await wage(stranger)
    print(json.dumps(stranger.done), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    os.nice(NICE)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
