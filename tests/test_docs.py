"""Every command in the README and the docs is run here, in order, against the demo that `make run` starts."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
import pytest

from tests.conftest import ROOT
from tests.ports import free_port
from ticker.cli import main

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN_BY_OTHERS = {
    "make run": "the fixture below runs it",
    "make test": "runs this test",
}
PICTURES = ROOT / "docs" / "img"
PICTURE_MAX = 150_000  # bytes: they are part of every clone
PICTURE = re.compile(r"!\[[^\]]+\]\(([^):]+)\)")  # with words for those who don't see it; not from elsewhere
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """`make run` on a free port: its address, and the folder that it keeps its key in."""
    folder = tmp_path_factory.mktemp("demo")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("TICKER_", "MAKE", "MFLAGS"))
    }
    process = subprocess.Popen(
        ["make", "run", f"PORT={port}", f"DEMO={folder}"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    for line in process.stdout:
        if "/demo" in line:
            break
    deadline = time.monotonic() + 200
    while len(httpx.get(f"{url}/v1/channels/en/lines").json()["lines"]) < 6:
        assert time.monotonic() < deadline, "the demo's lines did not come"
        time.sleep(0.1)
    yield url, folder
    process.terminate()
    assert process.wait(60) in (0, -15)
    process.stdout.close()


def commands(page: Path) -> str:
    blocks = [block for block in BLOCK.findall(page.read_text("utf-8")) if block.strip() not in RUN_BY_OTHERS]
    return "\n".join(blocks)


@pytest.mark.timeout(900)  # a page may have many commands, and one installs from the network
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_the_page_works(page: Path, demo: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = demo
    script = commands(page)
    if not script:
        assert "```sh" not in page.read_text("utf-8")
        return
    work = tmp_path / "work"
    work.mkdir()
    for name in (".venv", "pyproject.toml", "README.md", "LICENSE", "ticker", "web", "ticker.toml"):
        (work / name).symlink_to(ROOT / name)
    (work / ".demo").symlink_to(folder)
    script = script.replace("http://127.0.0.1:8000", url).replace("curl ", "curl --fail-with-body -sS ")
    if "ticker.db" in script:
        subprocess.run(
            [ROOT / ".venv/bin/ticker", "check"], cwd=work, check=True, capture_output=True
        )  # makes the file
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TICKER_")}
    environment |= {"TICKER_URL": url, "TICKER_KEY": (folder / "key").read_text().strip()}
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"


def test_no_page_shows_a_command_that_is_not_run() -> None:
    """Commands stand in ```sh blocks; other shells' names would slip past this test."""
    for page in PAGES:
        assert not re.search(r"^```(bash|shell|console|zsh)", page.read_text("utf-8"), re.M), page


def test_every_option_of_a_node_stands_in_the_operators_page() -> None:
    page = (ROOT / "docs" / "operate.md").read_text("utf-8")
    table = page.partition("| option of `serve` |")[2].partition("\n\n")[0]
    shown = set(re.findall(r"`(--[a-z-]+)`", table))
    options = [option for option in main.commands["serve"].params if isinstance(option, click.Option)]
    assert [option.name for option in options if shown.isdisjoint([*option.opts, *option.secondary_opts])] == []
    assert shown <= {name for option in options for name in [*option.opts, *option.secondary_opts]}


def test_every_picture_is_small_and_shown_and_no_other_is() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {(page.parent / path).resolve() for page in pages for path in PICTURE.findall(page.read_text("utf-8"))}
    assert shown == set(PICTURES.iterdir())
    assert {picture.name: size for picture in shown if (size := picture.stat().st_size) > PICTURE_MAX} == {}
