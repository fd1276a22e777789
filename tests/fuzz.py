"""How long the tests at random go on: a minute in CI, the same each time; with `make fuzz` as long as you like."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))

# A test that fails in CI must also fail for the person who made the change, so CI's examples are always the same.
EXAMPLES = settings(
    max_examples=int(MINUTES * 60 * 100) or 1_500,
    derandomize=not MINUTES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
