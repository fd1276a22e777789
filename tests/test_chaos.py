"""A short schedule of faults; `make chaos` has a long one."""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.__main__ import run
from tests.patience import WITHIN


@pytest.mark.timeout(6 * WITHIN)  # the schedule alone takes half a minute
@pytest.mark.parametrize(("seed", "faults", "rollbacks"), [(3, 15, 0), (4, 4, 2)], ids=["faults", "rollbacks"])
def test_whatever_breaks_nothing_is_lost_doubled_or_bent(
    seed: int, faults: int, rollbacks: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not as a coroutine: the run has its own loop, and threads that outlive none."""
    held = asyncio.run(run(seed, faults, readers=40, minutes=0, rollbacks=rollbacks, pace=1.5, converge_within=WITHIN))
    assert held, capsys.readouterr().out
