"""How long sentinels and clusters wait until a silent server counts as dead."""

from __future__ import annotations

# Milliseconds until a primary counts as dead: always, or a busy machine would make it look so; and while it is.
PATIENT, WATCHFUL = 600_000, 3_000
