"""How long tests wait, and the patience that they lend to what they start. Knows constants; knows no server.

What takes milliseconds takes many seconds where the machine does something else just then. To wait long for what
must come costs nothing where all is well; and a limit of the product's own is reached where a test means it to be.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import httpx
import websockets.asyncio.client
import websockets.sync.client

from tests import measuring

WITHIN = 90.0  # seconds for what must come

NO_BEATS = {"ticker.fanout.relay.BEAT": 3_600.0}  # none comes between two frames of which a test says what they are

AT_LEISURE = {
    "ticker.app.WATCHED_FOR": 0.0,  # tests ask a node whether it is ready, and are no load balancer
    "ticker.client.TIMEOUT": WITHIN,
    "ticker.desk.answers.ON_AIR_WITHIN": WITHIN,
    "ticker.desk.brake.BY_ADDRESS": 100_000,
    "ticker.desk.brake.IN_ALL": 100_000,
    "ticker.fanout.hub.STALLED_MAX": 3_600.0,
    "ticker.serving.phases.HEAD_WITHIN": WITHIN,
    "ticker.serving.phases.REQUEST_WITHIN": WITHIN,
    "ticker.serving.node.GRACE": WITHIN / 2,
    "ticker.serving.node.READY_WITHIN": WITHIN,
}
"""For every node and command that a test starts. Those that see to one of these limits give their own."""

ON_REDIS = {
    "ticker.newswire.redis.publishing.ANSWER_WITHIN": WITHIN,
    "ticker.newswire.redis.following.DEAF_AFTER": WITHIN,
    "ticker.newswire.redis.topology.connection.ANSWER_WITHIN": WITHIN,
    "ticker.newswire.redis.topology.connection.CONNECT_WITHIN": WITHIN,
}
"""Where nothing breaks on the way to Redis. Where it does, these limits are what the test is about."""

# What Python imports before anything else. It changes a module as it is imported: one that isn't costs nothing.
SITE = """
import sys
from importlib.machinery import PathFinder

CONSTANTS = {constants!r}


class Patience:
    @staticmethod
    def find_spec(name, path=None, target=None):
        constants = CONSTANTS.pop(name, None)
        if constants is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            vars(module).update(constants)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Patience)
"""


def environment(folder: Path, constants: Mapping[str, float] = AT_LEISURE) -> dict[str, str]:
    """Ours without Ticker's own variables; what starts in it has these constants in place of the product's.

    The folder is made for that.
    """
    modules: dict[str, dict[str, float]] = defaultdict(dict)
    for name, value in constants.items():
        module, _, constant = name.rpartition(".")
        assert hasattr(importlib.import_module(module), constant), f"there is no {name}"
        modules[module][constant] = value
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(SITE.format(constants=dict(modules)) + measuring.SITE)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TICKER_")}
    path = os.pathsep.join(filter(None, [str(folder), ours.get("PYTHONPATH")]))
    return ours | {"PYTHONPATH": path}


def be_patient() -> None:
    """Libraries' own limits, which are for a network: httpx's 5 s, 10 and 20 s of websockets."""
    limits = inspect.signature(httpx.get).parameters["timeout"].default
    limits.connect = limits.read = limits.write = limits.pool = WITHIN
    for connect in (websockets.asyncio.client.connect.__init__, websockets.sync.client.connect):
        defaults = connect.__kwdefaults__
        assert defaults
        assert defaults.keys() >= {"open_timeout", "ping_timeout"}
        defaults |= {"open_timeout": WITHIN, "ping_timeout": None}
