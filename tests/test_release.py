"""`make release`, in a repository of what stands here: what it refuses, what it would do, what it makes. No network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from ticker import __version__

NEXT = "99.1.0"
FOLDERS = ("ticker", "web", "scripts", "docs", "tests", "bench", "deploy")
UNRELEASED = "## Unreleased\n\n### Added\n\n- Something that a newsroom notices.\n"
AS_ADA = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
IGNORED = shutil.ignore_patterns("__pycache__", "node_modules", ".venv")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *AS_ADA, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clean checkout on main, with this environment as its .venv. Its `make check` and `make widget` do nothing."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.is_file() and path.name != ".git":
            shutil.copy(path, folder)
        elif path.name in FOLDERS:
            shutil.copytree(path, folder / path.name, ignore=IGNORED)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    makefile = re.sub(r"^(check|widget):.*\n(?:\t.*\n)+", r"\1:\n\t@echo \1 has run\n", makefile, flags=re.M)
    (folder / "Makefile").write_text(makefile, "utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    past = "".join(f"\n## {path.stem.removeprefix('ticker-')} - 2026-01-01\n" for path in released(folder))
    (folder / "CHANGELOG.md").write_text(changelog[: changelog.index("## ")] + UNRELEASED + past, "utf-8")
    git(folder, "init", "-q", "--initial-branch", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "All of it")
    (folder / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (folder / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    for name in ("run", "dev"):
        (folder / ".venv" / name).touch()  # made, as far as make can tell
    return folder


def released(folder: Path) -> list[Path]:
    return sorted((folder / "web" / "released").glob("ticker-*.js"))


def release(folder: Path, version: str, *more: str) -> subprocess.CompletedProcess[str]:
    unwanted = ("MAKE", "MFLAGS", "TICKER_", "PIP_", "GIT_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "Ada", f"GIT_{role}_EMAIL": "ada@example.org"}
    return subprocess.run(
        ["make", "release", f"VERSION={version}", *more],
        cwd=folder,
        env=environment | {"GIT_CONFIG_GLOBAL": "/dev/null"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_release_is_a_commit_a_tag_two_packages_and_a_widget_that_stays(checkout: Path) -> None:
    before = released(checkout)
    done = release(checkout, NEXT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "check has run" in done.stdout

    assert git(checkout, "status", "--porcelain") == ""
    assert git(checkout, "tag") == git(checkout, "describe") == f"v{NEXT}"
    assert git(checkout, "log", "-1", "--format=%s") == f"Release {NEXT}"
    changed = git(checkout, "show", "--format=", "--name-only").split()
    kept = f"web/released/ticker-{NEXT}.js"
    assert {"CHANGELOG.md", "ticker/__init__.py", kept} <= set(changed)

    assert re.search(
        rf"^## Unreleased\n\n## {re.escape(NEXT)} - \d{{4}}-\d\d-\d\d\n\n### Added\n\n- Something",
        (checkout / "CHANGELOG.md").read_text("utf-8"),
        re.M,
    )
    said = subprocess.run([sys.executable, "-m", "ticker", "--version"], cwd=checkout, capture_output=True, text=True)
    assert NEXT in said.stdout
    assert released(checkout) == sorted([*before, checkout / kept])
    assert b"breaking-ticker" in (checkout / kept).read_bytes()

    assert {path.name for path in (checkout / "dist").iterdir()} == {
        f"breaking_ticker-{NEXT}.tar.gz",
        f"breaking_ticker-{NEXT}-py3-none-any.whl",
    }
    with zipfile.ZipFile(next((checkout / "dist").glob("*.whl"))) as wheel:
        assert wheel.read(f"ticker/{kept}") == (checkout / kept).read_bytes()
    assert f"git push origin main v{NEXT}" in done.stdout

    again = release(checkout, NEXT)
    assert again.returncode != 0
    assert f"There is a tag v{NEXT} already" in again.stderr


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(checkout: Path) -> None:
    done = release(checkout, NEXT, "DRY=1")
    assert done.returncode == 0, done.stderr
    assert "check has run" not in done.stdout
    packages = f"dist/breaking_ticker-{NEXT}.tar.gz dist/breaking_ticker-{NEXT}-py3-none-any.whl"
    for step in ("make check", "CHANGELOG.md", f"web/released/ticker-{NEXT}.js", packages):
        assert step in done.stdout
    assert git(checkout, "status", "--porcelain") == git(checkout, "tag") == ""
    assert not (checkout / "dist").exists()


def test_what_is_not_ready_is_refused_in_a_sentence(checkout: Path) -> None:
    def refused(version: str) -> str:
        done = release(checkout, version)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert git(checkout, "tag") == ""
        return done.stderr

    assert "Name the version" in refused("")
    assert "is not a version" in refused("1.2")
    assert f"is older than the version of this checkout, {__version__}" in refused("0.0.1")

    git(checkout, "switch", "-qc", "elsewhere")
    assert "is made on main, and this is elsewhere" in refused(NEXT)
    git(checkout, "switch", "-q", "main")

    (checkout / "left-over.txt").write_text("")
    assert "left-over.txt" in refused(NEXT)
    (checkout / "left-over.txt").unlink()

    changelog = checkout / "CHANGELOG.md"
    changelog.write_text("# Changelog\n\n## Unreleased\n\n## 0.0.1 - 2026-01-01\n\n- Old\n")
    git(checkout, "commit", "-qam", "Nothing new")
    assert "has nothing under Unreleased" in refused(NEXT)
    changelog.write_text(f"# Changelog\n\n{UNRELEASED}\n## {NEXT} - 2026-01-01\n\n- Old\n")
    git(checkout, "commit", "-qam", "Released by hand")
    assert f"has a heading for {NEXT} already" in refused(NEXT)


def test_a_release_that_fails_puts_the_checkout_back(checkout: Path) -> None:
    pyproject = checkout / "pyproject.toml"
    pyproject.write_text(pyproject.read_text("utf-8").replace('readme = "README.md"', 'readme = "NONE.md"'), "utf-8")
    git(checkout, "commit", "-qam", "A package that can't be built")
    for name in ("run", "dev"):
        (checkout / ".venv" / name).touch()
    before = released(checkout)
    done = release(checkout, NEXT)
    assert done.returncode != 0
    assert "-m build" in done.stderr
    assert "The checkout was put back as it was" in done.stderr
    assert git(checkout, "status", "--porcelain") == git(checkout, "tag") == ""
    assert released(checkout) == before
