"""Drafts that are due, and lines that are recalled, while nodes break; `make chaos` has the long runs."""

from __future__ import annotations

import pytest

from tests.chaos import drafts, recalls
from tests.patience import WITHIN


@pytest.mark.timeout(6 * WITHIN)
@pytest.mark.parametrize("newswire", ["sqlite", "redis"])
def test_what_is_due_goes_out_once_and_in_order_or_not_at_all(newswire: str) -> None:
    assert drafts.run(newswire, drafts=200, seconds=8, seed=5) == []


@pytest.mark.timeout(6 * WITHIN)
@pytest.mark.parametrize("newswire", ["sqlite", "redis"])
def test_what_was_recalled_is_seen_by_nobody(newswire: str) -> None:
    assert recalls.run(newswire, tries=60, readers=30, seed=6) == []
