"""What is shipped: a wheel and an sdist that hold all they need, and a node that starts from them elsewhere."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement

from tests.patience import WITHIN

ROOT = Path(__file__).parent.parent
LEFT_OUT = {"__pycache__", ".DS_Store"}
PAGES = [
    "web/ticker.js",
    "web/ticker.extras.js",
    "web/ticker.classic.js",
    "web/ticker.d.ts",
    "web/custom-elements.json",
    "web/words.json",
    "web/desk/index.html",
    "web/demo/index.html",
    "web/channel/index.html",
    "web/embed/index.html",
    "web/embed/frame.html",
]


def files_under(folder: str) -> set[str]:
    """Every file of the checkout that a package of it must hold."""
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file() and not LEFT_OUT & set(path.parts))
    return {path.relative_to(ROOT).as_posix() for path in found}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sdist is, and the wheel that was made from it. With the build tools that are here: no download."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


def test_the_sdist_holds_what_it_takes_to_build_test_and_read(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert set(PAGES) <= names
    assert files_under("ticker") | files_under("web") | files_under("tests") <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile", "ticker.toml"} <= names
    assert not [name for name in names if re.search(r"(^|/)(\.venv|__pycache__|\.\w+_cache|ticker\.db)", name)]


def test_the_wheel_holds_the_pages_the_scripts_and_the_types(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for page in PAGES:
            assert archive.read(f"ticker/{page}") == (ROOT / page).read_bytes()
    assert {f"ticker/{name}" for name in files_under("web")} <= names
    assert files_under("ticker") <= names
    assert "ticker/py.typed" in names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"ticker", "breaking_ticker"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def needed_by(requirements: list[str]) -> set[str]:
    """Distributions, and those that they need themselves: what an installer would fetch."""
    found: set[str] = set()
    waiting = [(each, "") for each in requirements]
    while waiting:
        text, extra = waiting.pop()
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = requirement.name.lower()
        found.add(name)
        for wanted in {"", *requirement.extras}:
            waiting += [(each, wanted) for each in importlib.metadata.requires(name) or []]
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that holds the wheel, the packages that it asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", wheel], check=True
    )
    (packages,) = folder.glob("lib/python*/site-packages")
    (metadata,) = packages.glob("breaking_ticker-*.dist-info")
    wanted = importlib.metadata.PathDistribution(metadata).requires or []
    for name in needed_by(wanted):
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(distribution.locate_file(top))))
    subprocess.run([*pip, "check"], check=True)
    return folder


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("TICKER_", "PYTHON"))}


@pytest.fixture(scope="module")
def url(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A node that was started with the installed command, far from the checkout."""
    node = subprocess.Popen(
        [installed / "bin" / "ticker", "serve", "--port", "0", "--demo"],
        cwd=tmp_path_factory.mktemp("work"),
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert node.stdout
    said = node.stdout.readline()
    found = re.search(r"http://\S+", said)
    assert found, said
    yield found[0]
    node.terminate()
    node.communicate(timeout=WITHIN)
    assert node.returncode == 0


def test_the_installed_package_is_the_one_that_runs(installed: Path) -> None:
    code = "import ticker.app; print(ticker.__file__); print(ticker.app.web_folder()); print(ticker.__version__)"
    done = subprocess.run(
        [installed / "bin" / "python", "-W", "error", "-c", code],
        cwd=installed,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    package, web, version = done.stdout.split()
    assert Path(package).is_relative_to(installed)
    assert Path(web).is_relative_to(installed)
    assert version == importlib.metadata.version("breaking-ticker")


@pytest.mark.parametrize("page", ["/demo", "/desk", "/channels/breaking", "/embed", "/embed/breaking"])
def test_an_installed_node_serves_its_pages_with_all_they_load(url: str, page: str) -> None:
    answer = httpx.get(f"{url}{page}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    loaded = set(re.findall(r'(?:src|href)="(/(?:assets/|ticker)[^"#?]+)"', answer.text))
    assert loaded, "the page loads nothing"
    for path in loaded:
        assert httpx.get(f"{url}{path}").status_code == 200, path


@pytest.mark.parametrize("name", ["ticker.js", "ticker.extras.js", "ticker.classic.js"])
def test_an_installed_node_serves_the_widget(url: str, name: str) -> None:
    answer = httpx.get(f"{url}/{name}")
    assert answer.status_code == 200
    assert answer.content == (ROOT / "web" / name).read_bytes()  # the same as anywhere else
    assert answer.headers["content-type"].startswith("text/javascript")


def test_an_installed_node_checks_its_configuration(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed / "bin" / "ticker", "check"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "breaking" in done.stdout
