"""Every command in the README and the docs is run here, in order, against the demo that `make run` starts."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import httpx
import pytest

from tests.conftest import ROOT
from tests.ports import free_port
from ticker.cli.main import main
from ticker.cli.node import serve
from ticker.settings import read_channels

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "bench" / "README.md"]
CLONE = """git clone "$REPOSITORY" breaking-ticker
cd breaking-ticker"""
RUN_BY_OTHERS = {
    CLONE: "a test below runs it",
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
    if page.name == "desk.md":  # on a channel with other settings: test_desk_docs.py
        return ""
    blocks = [block for block in BLOCK.findall(page.read_text("utf-8")) if block.strip() not in RUN_BY_OTHERS]
    return "\n".join(blocks)


@pytest.mark.timeout(900)  # a page may have many commands, and one installs from the network
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_the_page_works(page: Path, demo: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = demo
    script = commands(page)
    if not script:
        assert "```sh" not in page.read_text("utf-8") or page.name == "desk.md"
        return
    work = tmp_path / "work"
    work.mkdir()
    for name in (".venv", "pyproject.toml", "README.md", "LICENSE", "ticker", "web", "ticker.toml"):
        (work / name).symlink_to(ROOT / name)
    (work / ".demo").symlink_to(folder)
    script = script.replace("http://127.0.0.1:8000", url).replace("curl ", "curl --fail-with-body -sS ")
    if "ticker.db" in script:
        make_file(work)
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


def make_file(folder: Path) -> None:
    """As a node's first start does."""
    command = [str(ROOT / ".venv/bin/ticker"), "serve", "--port", "0"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    assert process.stdout.readline()
    process.kill()
    process.wait(60)
    process.stdout.close()


def test_what_is_cloned_starts_by_the_next_command(tmp_path: Path) -> None:
    """From a repository of what stands here; what `make run` would do is read out."""
    origin = tmp_path / "origin"
    origin.mkdir()
    for name in ("Makefile", "pyproject.toml", "scripts", "ticker.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, origin / name)
    as_somebody = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for command in (["init", "-q"], ["add", "."], [*as_somebody, "commit", "-qm", "All of it"]):
        subprocess.run(["git", *command], cwd=origin, check=True)
    assert CLONE in (ROOT / "README.md").read_text("utf-8")
    environment = os.environ | {"REPOSITORY": str(origin)}
    script = f"{CLONE}\nmake --dry-run run PORT=8001 HOST=0.0.0.0"
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "scripts/venv" in ran.stdout
    assert "serve --demo --host 0.0.0.0 --port 8001" in ran.stdout


# scripts/venv, on machines that lack something

WITHOUT_ENSUREPIP = """#!/bin/sh
case "$*" in *ensurepip*|"-m virtualenv"*) exit 1;; "-m venv"*) echo "no ensurepip" >&2; exit 1;; esac
exec {python} "$@"
"""
NOT_ROOT = """#!/bin/sh
if [ "$1" = -u ]; then echo 1000; else exec /usr/bin/id "$@"; fi
"""
MAKES_ONE = """#!/bin/sh
[ "$1" = --version ] && exit
[ "$1" = pip ] && exit 1
for last; do :; done
echo "$(basename "$0") $*" > made-by
{python} -m venv "$last"
rm -f "$last"/bin/pip  # which an index would be asked through
printf '#!/bin/sh\\n' > "$last"/bin/pip; chmod +x "$last"/bin/pip
printf '#!/bin/sh\\n' > "$last"/bin/stub; chmod +x "$last"/bin/stub; mv "$last"/bin/stub "$last"/bin/python
"""


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs scripts/venv as a user who is no administrator, with a Python that can make no environments, and with what
    is named beside it."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (tmp_path / "scripts").mkdir()
    for name in ("venv", "need"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts" / name)

    def put(name: str, text: str) -> None:
        (programs / name).write_text(text.replace("{python}", sys.executable))
        (programs / name).chmod(0o755)

    def run(*there: str) -> subprocess.CompletedProcess[str]:
        put("python", WITHOUT_ENSUREPIP)
        put("id", NOT_ROOT)
        put("sudo", "#!/bin/sh\nexit 1\n")
        for name in there:
            put(name, MAKES_ONE)
        return subprocess.run(
            ["sh", "scripts/venv", str(programs / "python")],
            cwd=tmp_path,
            env={"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )

    return run


def test_without_an_administrator_the_ways_are_named(
    machine: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    ran = machine()
    assert ran.returncode == 1
    for way in ("apt-get install python3-venv", "uv", "pip install --user virtualenv", "virtualenv.pyz"):
        assert way in ran.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("tool", ["uv", "virtualenv"])
def test_what_can_make_an_environment_is_taken(
    machine: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, tool: str
) -> None:
    ran = machine(tool)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "made-by").read_text().startswith(tool)
    assert (tmp_path / ".venv" / "bin" / "python").exists()


def test_no_page_shows_a_command_that_is_not_run() -> None:
    """Commands stand in ```sh blocks; other shells' names would slip past this test."""
    for page in PAGES:
        assert not re.search(r"^```(bash|shell|console|zsh)", page.read_text("utf-8"), re.M), page


# Nothing that can be set is left out. The model is Datasette's tests/test_docs.py

OPERATE = (ROOT / "docs" / "operate.md").read_text("utf-8")
PUBLISH = (ROOT / "docs" / "publish.md").read_text("utf-8")
VARIABLE = re.compile(r"\bTICKER_[A-Z_]+\b")


def commands_of(group: click.Group, *above: str) -> Iterator[tuple[str, click.Command]]:
    """Each command with its whole name, such as `key create`."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands_of(command, *above, name)
        else:
            yield " ".join([*above, name]), command


COMMANDS = dict(commands_of(main))


def options_of(command: click.Command) -> list[click.Option]:
    return [option for option in command.params if isinstance(option, click.Option)]


def names_of(option: click.Option) -> list[str]:
    return [name for name in [*option.opts, *option.secondary_opts] if name.startswith("--")]


def in_tables(page: str) -> dict[str, str]:
    """Every option that a table of the page begins a row with, and the row."""
    rows = re.findall(r"^\| ((?:`-[a-z-]+`,? ?)+) \|(.*)$", page, re.M)
    return {name: row for names, row in rows for name in re.findall(r"`(--[a-z-]+)`", names)}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_of_it_is_documented(name: str) -> None:
    page = OPERATE if name in ("serve", "check") else PUBLISH
    assert re.search(rf"\bticker {name}\b", page)
    documented = in_tables(page)
    assert [
        names
        for option in options_of(COMMANDS[name])
        if (names := names_of(option)) and not set(names) <= set(documented)
    ] == []


def test_no_option_is_documented_that_is_gone() -> None:
    there = {name for command in COMMANDS.values() for option in options_of(command) for name in names_of(option)}
    assert set(in_tables(OPERATE)) | set(in_tables(PUBLISH)) <= there


def test_every_variable_is_documented_by_its_name_or_by_the_rule() -> None:
    """The rules: `--newswire` of `serve` is TICKER_NEWSWIRE; `--urgency` of `publish` is TICKER_PUBLISH_URGENCY."""
    pages = "\n".join(page.read_text("utf-8") for page in PAGES)
    written = set(VARIABLE.findall(pages))
    for name, command in COMMANDS.items():
        for option in options_of(command):
            if option.envvar and name not in ("serve", "check"):
                assert option.envvar in written, f"{option.envvar} of {name}"
            elif option.envvar:
                rule = {f"TICKER_{each[2:].replace('-', '_').upper()}" for each in names_of(option)}
                assert option.envvar in rule, f"{option.envvar} of {name}: the rule of docs/operate.md doesn't give it"


def test_every_variable_that_the_code_and_the_containers_read_is_documented() -> None:
    files = [
        *(ROOT / "ticker").rglob("*.py"),
        ROOT / "docker-compose.yml",
        ROOT / "Dockerfile",
        *(ROOT / "deploy").iterdir(),
    ]
    read = set().union(*(VARIABLE.findall(file.read_text("utf-8")) for file in files))
    by_rule = {str(option.envvar) for command in COMMANDS.values() for option in options_of(command) if option.envvar}
    assert read - by_rule - set(VARIABLE.findall("\n".join(page.read_text("utf-8") for page in PAGES))) == set()


def test_every_setting_of_a_channel_is_documented() -> None:
    """In the example of docs/operate.md, which must be a file that a node takes."""
    (example,) = re.findall(r"^```toml\n(.*?)^```", OPERATE, re.M | re.S)
    shown = set(re.findall(r"^#? ?([a-z_]+) = ", example, re.M))
    source = Path(inspect.getsourcefile(read_channels) or "").read_text("utf-8")
    read = set(re.findall(r'(?:_string\(|\b)table(?:, |\.pop\()"([a-z_]+)"', source))
    assert len(read) >= 8
    assert shown == read


def test_the_example_of_a_configuration_is_taken(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", OPERATE, re.M | re.S)
    (tmp_path / "ticker.toml").write_text(re.sub(r"^# (?=[a-z_]+ = )", "", example, flags=re.M), "utf-8")
    assert read_channels(tmp_path / "ticker.toml").keys() == {"en"}


# What else the pages promise


def test_every_link_leads_somewhere() -> None:
    """Within the repository, to its headings too; other sites are not asked."""
    broken = []
    for page in WRITTEN:
        for link in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", without_code(page.read_text("utf-8"))):
            path, _, heading = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if "://" in link:
                continue
            if not target.exists() or (heading and heading not in headings(target)):
                broken.append((page.name, link))
    assert broken == []


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```|`[^`\n]+`", "", text, flags=re.M | re.S)


def headings(page: Path) -> set[str]:
    """The anchors that a page has, as GitHub names them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.M)
    }


def test_every_path_that_contributors_are_shown_exists() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    paths = set(re.findall(r"`((?:ticker|tests|web|docs|scripts|bench|deploy)/[^`*]*|[A-Z]+\.md)`", page))
    paths = {path for path in paths if "X.Y.Z" not in path}
    assert len(paths) > 40
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_target_that_a_page_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    named = {target for page in WRITTEN for target in re.findall(r"`make ([a-z-]+)", page.read_text("utf-8"))}
    assert named <= targets


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "adr").glob("0*.md")), ids=lambda page: page.stem)
def test_every_decision_has_a_date_and_a_status(page: Path) -> None:
    title, _, status = page.read_text("utf-8").split("\n")[:3]
    assert title.startswith(f"# {int(page.name[:4])}. ")
    assert re.match(
        r"Date: \d{4}-\d\d-\d\d\. Status: (Accepted|Superseded by \[ADR \d+\]\(\d{4}-[a-z0-9-]+\.md\))[.;]", status
    )


def test_every_option_of_a_node_stands_in_the_operators_page() -> None:
    page = (ROOT / "docs" / "operate.md").read_text("utf-8")
    table = page.partition("| option of `serve` |")[2].partition("\n\n")[0]
    shown = set(re.findall(r"`(--[a-z-]+)`", table))
    options = [option for option in serve.params if isinstance(option, click.Option)]
    assert [option.name for option in options if shown.isdisjoint([*option.opts, *option.secondary_opts])] == []
    assert shown <= {name for option in options for name in [*option.opts, *option.secondary_opts]}


def test_every_picture_is_small_and_shown_and_no_other_is() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {(page.parent / path).resolve() for page in pages for path in PICTURE.findall(page.read_text("utf-8"))}
    assert shown == set(PICTURES.iterdir())
    assert {picture.name: size for picture in shown if (size := picture.stat().st_size) > PICTURE_MAX} == {}
