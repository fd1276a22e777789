"""What `make test-fast` runs, as a pytest plugin: pure rules, and all that both newswires promise. Under a minute."""

from __future__ import annotations

from pathlib import Path

import pytest

PURE = frozenset(
    {
        "test_board",
        "test_channel",
        "test_draft",
        "test_hub",
        "test_identity",
        "test_intake",
        "test_line",
        "test_link",
        "test_newswires_agree",
        "test_sender",
        "test_settings",
        "test_text",
    }
)
SLOW = frozenset({"attack", "browser", "chaos"})  # folders that aren't even imported


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return True if collection_path.name in SLOW else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = [item for item in items if item.path.stem in PURE or is_contract(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen


def is_contract(item: pytest.Item) -> bool:
    """Whether the test runs over both newswires: it is parametrised with their names."""
    parameters = getattr(item, "callspec", None)
    given = parameters.params.values() if parameters else ()
    return any(isinstance(value, str) and value in ("sqlite", "redis") for value in given)
