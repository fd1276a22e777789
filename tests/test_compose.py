"""docker-compose.yml, without Docker: what it says is valid, careful, and known to run, process by process.

Every command, variable, port and address below is read from docker-compose.yml, the Dockerfiles and the
Caddyfile; only service names become 127.0.0.1, ports free ones, and the containers' folders the test's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import httpx
import pytest
import redis
import yaml
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.conftest import ROOT
from tests.patience import AT_LEISURE, ON_REDIS, WITHIN
from tests.patience import environment as patience
from tests.ports import free_port
from tests.readers import Follower, Sent, Stream, open_stream
from tests.redis_servers import until
from ticker.client import RETRY_STATUS
from ticker.fanout.hub import WAITING_MAX
from ticker.fanout.relay import BEAT
from ticker.http.head import BODY_MAX, HEAD_MAX
from ticker.readers.admission import CONNECTIONS_MAX
from ticker.serving.node import GRACE

KEY = "the-admin-key-of-a-composed-house-of-at-least-32"
SERVICES = ["redis", "ticker-1", "ticker-2", "proxy"]
NODES = ["ticker-1", "ticker-2"]
PRESENCE_FOR = 6.0  # seconds; the product's fifteen would be waited for
BEHIND_MAX = 8  # lines that a reader may have to catch up on

Service = dict[str, Any]


def compose(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    command = ["docker-compose", "-f", str(ROOT / "docker-compose.yml"), *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def file() -> dict[str, Any]:
    """The file as docker-compose understands it: anchors merged, variables put in."""
    shown = compose("config", TICKER_ADMIN_KEY=KEY)
    assert shown.returncode == 0, shown.stderr
    understood: dict[str, Any] = yaml.safe_load(shown.stdout)
    return understood


class Instruction(NamedTuple):
    word: str
    rest: str


def image(path: Path) -> dict[str, list[str]]:
    """What the last stage of a Dockerfile says, by instruction."""
    stages: list[dict[str, list[str]]] = []
    for word, rest in instructions(path):
        if word == "FROM":
            stages.append({})
        stages[-1].setdefault(word, []).append(rest)
    return stages[-1]


def instructions(path: Path) -> Iterator[Instruction]:
    text = re.sub(r"^\s*#.*\n", "", path.read_text("utf-8"), flags=re.M)
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip():
            yield Instruction(*line.split(maxsplit=1))


def image_of(service: Service) -> dict[str, list[str]]:
    build = service.get("build")
    return image(Path(build["context"]) / "Dockerfile") if build else {}


def variables_of(service: Service) -> dict[str, str]:
    """The image's variables, and the service's over them."""
    words = [word for line in image_of(service).get("ENV", []) for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words) | (service.get("environment") or {})


def seconds(duration: str) -> float:
    return sum(int(n) * {"s": 1, "m": 60}[unit] for n, unit in re.findall(r"(\d+)([sm])", duration))


# What the file says


def test_docker_compose_takes_the_file() -> None:
    taken = compose("config", "--quiet", TICKER_ADMIN_KEY=KEY)
    assert (taken.returncode, taken.stderr) == (0, "")


def test_without_an_admins_key_it_says_what_to_put_where() -> None:
    refused = compose("config", "--quiet")
    assert refused.returncode != 0
    assert "Put TICKER_ADMIN_KEY=… in .env, 32 characters or more. `openssl rand -base64 32`" in refused.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_right_that_it_does_not_need(name: str, file: dict[str, Any]) -> None:
    service = file["services"][name]
    user = service.get("user") or image_of(service)["USER"][-1]
    assert user.split(":")[0] not in ("", "0", "root")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert any(mount.startswith("/tmp:") for mount in service["tmpfs"])
    assert not {"privileged", "cap_add", "pid", "ipc", "network_mode", "devices"} & set(service)
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_and_comes_back(name: str, file: dict[str, Any]) -> None:
    service = file["services"][name]
    assert service.get("healthcheck", {}).get("test") or image_of(service).get("HEALTHCHECK")
    assert service["restart"] == "unless-stopped"


def test_the_world_reaches_the_proxy_alone_and_redis_only_the_nodes(file: dict[str, Any]) -> None:
    services = file["services"]
    assert [name for name in services if services[name].get("ports")] == ["proxy"]
    assert sorted(services) == sorted(SERVICES)
    assert {name: sorted(services[name]["networks"]) for name in services} == {
        "redis": ["back"],
        "ticker-1": ["back", "front"],
        "ticker-2": ["back", "front"],
        "proxy": ["front"],
    }
    assert file["networks"]["back"]["internal"] is True


def published_ports(file: dict[str, Any]) -> set[tuple[str, int, int]]:
    """The proxy's ports: on which address of the machine, which port, for which of the container's."""
    ports = [port.removesuffix("/tcp").rsplit(":", 2) for port in file["services"]["proxy"]["ports"]]
    return {(address, int(outside), int(inside)) for address, outside, inside in ports}


def test_without_tls_nobody_but_this_machine_reaches_it(file: dict[str, Any]) -> None:
    assert file["services"]["proxy"]["environment"]["TICKER_SITE"] == "http://"
    assert published_ports(file) == {("127.0.0.1", 8080, 8080), ("127.0.0.1", 8443, 8443)}


def test_with_what_its_head_says_to_put_in_the_environment_the_world_reaches_it_with_tls() -> None:
    head, _, _ = (ROOT / "docker-compose.yml").read_text("utf-8").partition("\nx-contained")
    variables = dict(re.findall(r"^#   (TICKER_\w+)=(\S+)", head, re.M))
    shown = compose("config", TICKER_ADMIN_KEY=KEY, **variables)
    assert shown.returncode == 0, shown.stderr
    file = yaml.safe_load(shown.stdout)
    assert published_ports(file) == {("0.0.0.0", 80, 8080), ("0.0.0.0", 443, 8443)}
    assert file["services"]["ticker-1"]["environment"]["TICKER_PUBLIC_URL"] == f"https://{variables['TICKER_SITE']}"
    servers = json.loads(adapt(ROOT / "deploy" / "Caddyfile", variables["TICKER_SITE"]))["apps"]["http"]["servers"]
    (site,) = (server for server in servers.values() if variables["TICKER_SITE"] in json.dumps(server["routes"]))
    assert site["listen"] == [":8443"]
    assert "automatic_https" not in site


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_goes_wrong_takes_no_more_than_its_share(name: str, file: dict[str, Any]) -> None:
    service = file["services"][name]
    assert amount(service["mem_limit"]) <= 2 * GB
    assert service["pids_limit"] <= 256
    assert service["logging"]["driver"] == "local"
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])
    assert all("size=" in mount for mount in service["tmpfs"])


def test_a_limit_is_reached_by_the_process_before_it_is_by_the_container(file: dict[str, Any]) -> None:
    """Redis refuses a line, a node drops slow readers, Caddy tidies up: better than to be killed."""
    services = file["services"]
    options = services["redis"]["command"]
    assert amount(options[options.index("--maxmemory") + 1]) <= amount(services["redis"]["mem_limit"]) / 2
    assert amount(services["proxy"]["environment"]["GOMEMLIMIT"]) < amount(services["proxy"]["mem_limit"])
    at_the_worst = 64 * MB + WAITING_MAX + CONNECTIONS_MAX * (HEAD_MAX + BODY_MAX)
    for node in NODES:
        assert at_the_worst + 20_000 * 5_000 < amount(services[node]["mem_limit"])


MB, GB = 2**20, 2**30


def amount(written: str | int) -> int:
    """Bytes, as Docker (2g), Redis (1gb) and Go (1800MiB) write them."""
    number, unit = re.fullmatch(r"(\d+)(\w*)", str(written).lower()).groups()  # type: ignore[union-attr]
    return int(number) * {"": 1, "m": MB, "mb": MB, "mib": MB, "g": GB, "gb": GB, "gib": GB}[unit]


def test_redis_has_a_line_on_the_disk_before_it_says_so_and_throws_none_away(file: dict[str, Any]) -> None:
    words = file["services"]["redis"]["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"
    assert any(volume.startswith(f"redis:{options['--dir']}:") for volume in file["services"]["redis"]["volumes"])
    assert "redis" in file["volumes"]


def test_the_nodes_differ_in_their_names_alone(file: dict[str, Any]) -> None:
    one, two = ({k: v for k, v in file["services"][name].items() if k != "hostname"} for name in NODES)
    assert one == two
    assert [file["services"][name]["hostname"] for name in NODES] == NODES


@pytest.mark.parametrize("name", NODES)
def test_a_node_is_not_killed_while_its_readers_leave(name: str, file: dict[str, Any]) -> None:
    service = file["services"][name]
    assert seconds(service["stop_grace_period"]) > float(variables_of(service)["TICKER_DRAIN"]) + GRACE


@pytest.mark.parametrize("name", ["ticker-1", "ticker-2", "proxy"])
def test_no_container_can_change_its_own_configuration(name: str, file: dict[str, Any]) -> None:
    for volume in file["services"][name]["volumes"]:
        source, _, mode = volume.split(":")
        assert mode == "ro" or source in file["volumes"], volume


def test_the_proxy_cuts_no_stream_and_holds_no_event_back(tmp_path: Path) -> None:
    """By its configuration as Caddy itself reads it: the only time limits are those of a head and of a dial."""
    adapted = json.dumps(json.loads(adapt(ROOT / "deploy" / "Caddyfile")))
    for limit in ("read_timeout", "write_timeout", "stream_timeout", "idle_timeout_stream", "flush_interval"):
        assert f'"{limit}"' not in adapted
    assert '"buffer' not in adapted
    assert '"uri": "/readyz"' in adapted


def adapt(caddyfile: Path, site: str = "http://") -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": "/", "TICKER_SITE": site}
    command = ["caddy", "adapt", "--config", str(caddyfile), "--adapter", "caddyfile"]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


# The image


def context(root: Path) -> list[Path]:
    """The files of a build's context, by .dockerignore: the last pattern that a path matches decides."""
    patterns = [
        line for line in (root / ".dockerignore").read_text("utf-8").splitlines() if line and not line.startswith("#")
    ]

    def left_out(path: Path) -> bool:
        out = False
        for pattern in patterns:
            wanted = pattern.removeprefix("!")
            anywhere = wanted.startswith("**/")
            if (anywhere or len(path.parts) == len(Path(wanted).parts)) and path.match(wanted.removeprefix("**/")):
                out = not pattern.startswith("!")
        return out

    def files(folder: Path) -> Iterator[Path]:
        for entry in (root / folder).iterdir():
            path = folder / entry.name
            # What lies in a folder that was let in is let in, unless a pattern names it.
            if not left_out(path):
                yield from files(path) if entry.is_dir() else [path]

    return sorted(files(Path()))


def test_no_key_and_no_line_gets_into_the_image() -> None:
    taken = {path.parts[0] for path in context(ROOT)}
    assert taken == {"pyproject.toml", "README.md", "LICENSE", "ticker", "web"}
    assert not [path for path in context(ROOT) if "__pycache__" in path.parts or path.suffix in (".db", ".pyc")]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Dockerfile's first stage makes, made here by its own commands: the environment with Ticker in it."""
    stage = tmp_path_factory.mktemp("build")
    here = {"/src": stage / "src", "/dist": stage / "dist", "/opt/ticker": stage / "opt"}
    for word, rest in instructions(ROOT / "Dockerfile"):
        if word == "FROM" and " AS " not in rest:
            break
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                for path in context(ROOT):
                    if path.parts[0] == source:
                        inside = path.relative_to(source) if (ROOT / source).is_dir() else path
                        to = here["/src"] / target / inside
                        to.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copyfile(ROOT / path, to)
        if word == "RUN":
            command = re.sub(r"(^|&& )pip ", rf"\1{sys.executable} -m pip --quiet ", rest)
            command = re.sub(r"(^|&& )python ", rf"\1{sys.executable} ", command)
            for place, outside in here.items():
                command = re.sub(rf"(?<![\w/]){place}\b", str(outside), command)
            subprocess.run(["sh", "-euc", command], cwd=here["/src"], check=True)
    return here["/opt/ticker"]


def started(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)


def entry_point() -> list[str]:
    said = image(ROOT / "Dockerfile")
    command: list[str] = json.loads(said["ENTRYPOINT"][-1]) + json.loads(said["CMD"][-1])
    return command


def healthy(python: Path, port: int) -> bool:
    """What the image's HEALTHCHECK says of the node on this port."""
    (said,) = image(ROOT / "Dockerfile")["HEALTHCHECK"]
    program, *arguments = json.loads(said[said.index("CMD") + 3 :])
    assert program == "python"
    assert "curl" not in said
    asked = subprocess.run([python, *arguments], env={"TICKER_PORT": str(port)}, capture_output=True)
    assert asked.returncode in (0, 1)
    return asked.returncode == 0


@pytest.mark.timeout(900)  # an installation from the network is part of it
def test_the_image_runs_by_itself_keeps_its_lines_in_its_folder_and_knows_its_health(
    built: Path, tmp_path: Path
) -> None:
    port = free_port()
    environment = dict(word.split("=", 1) for line in image(ROOT / "Dockerfile")["ENV"] for word in shlex.split(line))
    assert environment["PATH"] == "/opt/ticker/bin:$PATH"
    assert image(ROOT / "Dockerfile")["EXPOSE"] == [environment["TICKER_PORT"]]
    home = tmp_path / "home"
    environment |= {
        "PATH": f"{built}/bin:{os.environ['PATH']}",
        "TICKER_HOST": "127.0.0.1",
        "TICKER_PORT": str(port),
        "TICKER_NEWSWIRE": environment["TICKER_NEWSWIRE"].replace(image(ROOT / "Dockerfile")["WORKDIR"][-1], str(home)),
        "TICKER_ADMIN_KEY": KEY,
    }
    python = built / "bin" / "python"
    assert not healthy(python, port)
    command = entry_point()
    node = started([str(built / "bin" / command[0]), *command[1:]], home, environment)
    try:
        until(lambda: healthy(python, port))
        for path in ("/ticker.js", "/demo", "/desk", "/v1/channels/breaking/lines"):
            assert httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 200, path
        assert {path.name.partition("-")[0] for path in home.iterdir()} == {"ticker.db"}
    finally:
        node.terminate()
    assert node.wait(WITHIN) == 0
    assert not healthy(python, port)


# The house, running


class Running:
    """A service of the file, as a process here."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.name = name
        self.command = command
        self.environment = environment
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = started(self.command, self.folder, self.environment)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def close(self) -> None:
        if self.alive:
            self.kill()

    def _end(self, number: signal.Signals) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(WITHIN)


class House:
    """Redis, two nodes and the proxy, as the file has them."""

    def __init__(self, folder: Path, file: dict[str, Any], **variables: str) -> None:
        self.folder = folder
        self.file = file
        services = file["services"]
        self._ports = {name: {port: free_port() for port in own_ports(services[name])} for name in services}
        self.running = {name: self._service(name, services[name], variables) for name in services}
        self.url = f"http://127.0.0.1:{self.port('proxy', 8080)}"
        self.redis = redis.Redis(port=self.port("redis", 6379), decode_responses=True)
        self.http = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {KEY}"})

    def port(self, name: str, inside: int) -> int:
        return self._ports[name][inside]

    def node_port(self, name: str) -> int:
        return self.port(name, int(variables_of(self.file["services"][name])["TICKER_PORT"]))

    def _service(self, name: str, service: Service, variables: dict[str, str]) -> Running:
        folder = self.folder / name
        own = variables_of(service) | {k: v for k, v in variables.items() if name == "proxy"}
        environment = {variable: self._here(name, str(value)) for variable, value in own.items()}
        environment |= {"PATH": os.environ["PATH"], "HOME": str(folder)}
        if "XDG_DATA_HOME" in own:
            environment |= {"XDG_DATA_HOME": str(folder / "data"), "XDG_CONFIG_HOME": str(folder / "config")}
        command = service.get("command") or entry_point()
        command = [self._here(name, word) for word in command]
        match command[0]:
            case "redis-server":
                command += ["--bind", "127.0.0.1", "--port", str(self.port(name, 6379))]
            case "ticker":
                command = [sys.executable, "-m", *command]
                lent = AT_LEISURE | ON_REDIS | {"ticker.newswire.redis.presence.PRESENCE_FOR": PRESENCE_FOR}
                environment["PYTHONPATH"] = patience(self.folder / "patience", lent)["PYTHONPATH"]
        return Running(name, command, environment, folder)

    def _here(self, name: str, text: str) -> str:
        """The text with this machine's addresses and folders instead of the containers'."""
        for other, ports in self._ports.items():
            for inside, outside in ports.items():
                text = re.sub(rf"\b{other}:{inside}\b", f"127.0.0.1:{outside}", text)
        for inside, outside in self._ports[name].items():
            text = re.sub(rf"(?<![\w.]){inside}(?!\w)", str(outside), text)
        text = text.replace("0.0.0.0", "127.0.0.1")
        for volume in self.file["services"][name].get("volumes", []):
            source, target, _ = volume.split(":")
            if target in text:
                text = text.replace(target, str(self._mounted(name, source)))
        return text

    def _mounted(self, name: str, source: str) -> Path:
        folder = self.folder / f"{name}-volume"
        folder.mkdir(parents=True, exist_ok=True)
        if source in self.file["volumes"]:
            return folder
        if Path(source).name != "Caddyfile":
            return Path(source)
        # The proxy's file, with ports of this machine; loopback only, and its authority in nobody's trust store.
        text = self._here_only_addresses(name, Path(source).read_text("utf-8"))
        mine = folder / "Caddyfile"
        mine.write_text(re.sub(r"^\{\n", "{\n\tdefault_bind 127.0.0.1\n\tskip_install_trust\n", text, flags=re.M))
        return mine

    def _here_only_addresses(self, name: str, text: str) -> str:
        volumes = self.file["services"][name].pop("volumes")
        try:
            return self._here(name, text)
        finally:
            self.file["services"][name]["volumes"] = volumes

    # Its life

    def start(self) -> None:
        """Start what isn't running, in the file's order, and wait until the proxy knows both nodes and no reader."""
        for names, are_healthy in (
            (["redis"], self.redis_is_healthy),
            (NODES, lambda: all(self.node_is_healthy(name) for name in NODES)),
            (["proxy"], self.proxy_is_healthy),
        ):
            for name in names:
                if not self.running[name].alive:
                    self.running[name].start()
            until(are_healthy)
        until(lambda: self.presence() == {"readers": 0, "nodes": 2}, within=PRESENCE_FOR + WITHIN)

    def start_again(self, name: str) -> None:
        self.running[name].start()
        until(lambda: self.node_is_healthy(name))

    def close(self) -> None:
        self.http.close()
        self.redis.close()
        for service in self.running.values():
            service.close()

    def redis_is_healthy(self) -> bool:
        """By the file's own healthcheck."""
        kind, command = self.file["services"]["redis"]["healthcheck"]["test"]
        assert kind == "CMD-SHELL"
        command = command.replace("redis-cli", f"redis-cli -p {self.port('redis', 6379)}")
        return subprocess.run(["sh", "-c", command], capture_output=True).returncode == 0

    def node_is_healthy(self, name: str) -> bool:
        return healthy(Path(sys.executable), self.node_port(name))

    def proxy_is_healthy(self) -> bool:
        """By the address that the file's healthcheck asks."""
        kind, *words = self.file["services"]["proxy"]["healthcheck"]["test"]
        assert (kind, words[0]) == ("CMD", "wget")  # which its image has
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(self._here("proxy", words[-1])).is_success
        return False

    # What editors and readers do, all through the proxy

    def publish(self, text: str) -> dict[str, Any]:
        """As `ticker publish` does: once, and again under the same Idempotency-Key where the answer was lost."""
        once = {"Idempotency-Key": str(uuid.uuid4())}
        deadline = time.monotonic() + WITHIN
        while True:
            answer = self.http.post("/v1/channels/en/lines", json={"text": text}, headers=once)
            if answer.status_code == 201:
                line: dict[str, Any] = answer.json()
                return line
            assert answer.status_code in RETRY_STATUS, f"{answer.status_code} {answer.text}"
            assert time.monotonic() < deadline, answer.text

    def presence(self) -> dict[str, int] | None:
        """None while the proxy thinks that no node can say."""
        answer = self.http.get("/v1/channels/en/presence")
        if answer.status_code in RETRY_STATUS:
            return None
        assert answer.status_code == 200, answer.text
        return {name: answer.json()[name] for name in ("readers", "nodes")}

    def readers(self) -> dict[str, int]:
        """How many readers each node has told Redis of, by the service's name."""
        reports = cast("dict[str, str]", self.redis.hgetall("ticker:{en}:presence"))  # its responses are decoded
        pids = {str(self.running[name].pid): name for name in NODES}
        counts = {pids.get(node.rpartition("-")[2]): int(said.split("@")[0]) for node, said in reports.items()}
        return {name: counts.get(name, 0) for name in NODES}


def own_ports(service: Service) -> set[int]:
    """The ports that a service listens on inside its container."""
    ports = {
        int(port["target"] if isinstance(port, dict) else port.removesuffix("/tcp").split(":")[-1])
        for port in service.get("ports", [])
    }
    ports |= {int(port) for port in image_of(service).get("EXPOSE", [])}
    if test := service.get("healthcheck", {}).get("test"):
        ports |= {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", " ".join(test))}
    return ports or {6379}  # Redis says nowhere that it listens there


@pytest.fixture(scope="module")
def started_house(file: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"), file)
    try:
        yield house
    finally:
        house.close()


@pytest.fixture
def house(started_house: House) -> House:
    """All services running, even if the test before has broken some."""
    started_house.start()
    return started_house


@contextlib.asynccontextmanager
async def reading(
    house: House, sockets: int = 0, streams: int = 0
) -> AsyncIterator[tuple[list[Follower], list[Stream]]]:
    """Readers of `en` through the proxy; each stream has had its board."""
    async with contextlib.AsyncExitStack() as stack:
        followers = [await stack.enter_async_context(Follower(house.url, "en")) for _ in range(sockets)]
        opened = [await stack.enter_async_context(open_stream(house.url, "en")) for _ in range(streams)]
        for stream in opened:
            assert (await stream.event()).event == "board"
        yield followers, opened


@contextlib.asynccontextmanager
async def reading_on_both(
    house: House, sockets: int, streams: int = 0
) -> AsyncIterator[tuple[list[Follower], list[Stream]]]:
    """As many on each node: again, if the proxy has taken one of these for dead because the machine was busy."""
    async with asyncio.timeout(WITHIN):
        while True:
            async with contextlib.AsyncExitStack() as stack:
                found = await stack.enter_async_context(reading(house, sockets, streams))
                await soon(lambda: sum(house.readers().values()) == sockets + streams)
                if len(set(house.readers().values())) == 1:
                    kept = stack.pop_all()
                    break
    async with kept:
        yield found


async def soon(holds: Callable[[], Any], within: float = WITHIN) -> Any:
    """Wait, in the loop that readers live in, until it holds; what it then says."""
    deadline = time.monotonic() + within
    while not (said := await asyncio.to_thread(holds)):
        assert time.monotonic() < deadline, "it did not come to hold"
        await asyncio.sleep(0.05)
    return said


async def published(house: House, text: str) -> dict[str, Any]:
    return await asyncio.to_thread(house.publish, text)


async def next_line(stream: Stream) -> Sent:
    """The next event that is no beat: one of those may come at any time."""
    while (sent := await stream.event()).event == "beat":
        pass
    return sent


async def test_a_line_reaches_the_readers_of_both_nodes_over_websocket_and_sse(house: House) -> None:
    async with reading_on_both(house, sockets=4, streams=4) as (followers, streams):
        line = await published(house, "For all")
        for follower in followers:
            await follower.until_at("en", line["id"])
        for stream in streams:
            assert (await next_line(stream)).data["line"]["text"] == "For all"


async def test_an_event_is_not_held_back_by_the_proxy(house: House) -> None:
    async with reading(house, sockets=1, streams=1) as ((follower,), (stream,)):
        took = []
        for number in range(5):
            before = time.monotonic()
            line = await published(house, f"At once {number}")
            assert (await next_line(stream)).id == line["id"]
            await follower.until_at("en", line["id"])
            took.append(time.monotonic() - before)
        assert min(took) < BEAT / 2, "each waited for what came after it"


async def test_presence_counts_the_readers_of_both_nodes_and_falls_when_they_leave(house: House) -> None:
    async with reading(house, sockets=5):
        async with reading(house, sockets=3, streams=4):
            await soon(lambda: house.presence() == {"readers": 12, "nodes": 2})
        await soon(lambda: house.presence() == {"readers": 5, "nodes": 2})
    await soon(lambda: house.presence() == {"readers": 0, "nodes": 2})


async def test_a_quiet_connection_outlives_a_beat(house: House) -> None:
    """Nothing is published: what comes is the beat, on connections that were silent until then."""
    async with reading(house, sockets=2, streams=2) as (followers, streams):
        beats = [stream.event(within=BEAT + WITHIN) for stream in streams]
        assert [beat.event for beat in await asyncio.gather(*beats)] == ["beat", "beat"]
        for follower in followers:
            await follower.until(lambda read: read.frames[-1]["type"] == "beat", follower, within=BEAT + WITHIN)
            assert (follower.connections, follower.closed_with) == (1, [])


async def test_when_a_node_is_killed_its_readers_are_back_on_the_other_at_once(house: House) -> None:
    async with reading_on_both(house, sockets=8) as (followers, _):
        house.running["ticker-1"].kill()
        line = await published(house, "One is enough")
        for follower in followers:
            await follower.until_at("en", line["id"])
        assert sorted(follower.connections for follower in followers) == [1] * 4 + [2] * 4
        answers: Counter[int] = Counter()
        while answers[200] < 50:
            answers[(await asyncio.to_thread(house.http.get, "/v1/channels/en/lines")).status_code] += 1
            # Not one of them meets the node that is gone; 503 is the proxy's, who finds the other one too slow.
            assert set(answers) <= {200, 503}
        await published(house, "And stays enough")
        # The dead node's count expires; then the sum is right again.
        await soon(lambda: house.presence() == {"readers": 8, "nodes": 1}, within=PRESENCE_FOR + WITHIN)

        await asyncio.to_thread(house.start_again, "ticker-1")

        async with contextlib.AsyncExitStack() as newcomers:
            deadline = time.monotonic() + WITHIN
            while not house.readers()["ticker-1"]:
                assert time.monotonic() < deadline, "the proxy sends nobody to the node that is back"
                await newcomers.enter_async_context(Follower(house.url, "en"))
                await asyncio.sleep(0.2)


async def test_a_node_that_is_stopped_loses_no_reader_a_line(house: House) -> None:
    """Lines go out all the while; every reader, also those sent elsewhere, has seen each of them, once, in order.

    They wait for a reader that is far behind: the board that brings a reader up to date has ten.
    """
    async with reading_on_both(house, sockets=10) as (followers, _):
        ids: list[str] = []
        stopped = asyncio.create_task(asyncio.to_thread(house.running["ticker-2"].stop))
        while not stopped.done() or len(ids) < 8:
            ids.append((await published(house, f"While it stops {len(ids)}"))["id"])
            for follower in followers if len(ids) >= BEHIND_MAX else ():
                await follower.until(lambda read: read.folds["en"].cursor in ids[-BEHIND_MAX:], follower)
        assert await stopped == 0
        for follower in followers:
            await follower.until_at("en", ids[-1])
            seen = [line["id"] for frame in follower.frames for line in shown(frame) if line["id"] in ids]
            assert list(dict.fromkeys(seen)) == ids
            assert set(follower.closed_with) <= {1012}
        assert sum(follower.closed_with == [1012] for follower in followers) == 5
    await asyncio.to_thread(house.start_again, "ticker-2")


def shown(frame: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines that a frame brings, oldest first."""
    return frame["lines"][::-1] if frame["type"] == "board" else [frame["line"]] if frame["type"] == "line" else []


async def test_without_redis_pages_come_all_the_same_and_the_rest_says_when_to_retry(house: House) -> None:
    line = house.publish("Still here")
    await soon(lambda: all(house.node_is_healthy(name) for name in NODES))
    house.running["redis"].kill()
    try:
        await soon(lambda: not any(house.node_is_healthy(name) for name in NODES))
        await soon(lambda: house.http.get("/readyz").status_code == 503)
        for path in ("/ticker.js", "/demo", "/healthz", "/v1/channels"):
            assert house.http.get(path).status_code == 200, path
        for method, path in (
            ("POST", "/v1/channels/en/lines"),
            ("GET", "/v1/channels/en/lines"),
            ("GET", "/v1/live?channel=en"),
        ):
            refused = house.http.request(method, path, json={"text": "Not now"} if method == "POST" else None)
            assert refused.status_code == 503, path
            assert refused.headers["content-type"].startswith("application/problem+json")
            assert refused.headers["retry-after"]
    finally:
        house.running["redis"].start()
    await soon(lambda: all(house.node_is_healthy(name) for name in NODES))
    await soon(lambda: house.http.get("/readyz").status_code == 200)
    board = await soon(lambda: (said := house.http.get("/v1/channels/en/lines")).status_code == 200 and said.json())
    assert board["lines"][0]["id"] == line["id"]
    house.publish("And on it goes")


def test_with_a_host_name_the_proxy_speaks_tls_and_the_desks_cookie_is_secure(house: House, tmp_path: Path) -> None:
    """Caddy's own authority stands in for the public one; the configuration is the same."""
    secure = House(tmp_path / "secure", house.file, TICKER_SITE="localhost")
    proxy = secure.running["proxy"]
    for name in NODES:  # a second proxy, before the same nodes
        secure._ports[name] = house._ports[name]
    proxy = secure._service("proxy", house.file["services"]["proxy"], {"TICKER_SITE": "localhost"})
    proxy.start()
    url = f"https://localhost:{secure.port('proxy', 8443)}"
    forged = {"X-Forwarded-Proto": "https"}
    try:
        until(secure.proxy_is_healthy)
        with httpx.Client(verify=False) as browser:
            until(lambda: successful(browser.get(f"{url}/readyz")))
            signed_in = until(lambda: successful(browser.post(f"{url}/desk/session", json={"key": KEY})))
            assert "Secure" in signed_in.headers["set-cookie"]
            plain = browser.get(f"http://localhost:{secure.port('proxy', 8080)}/desk")
            assert plain.status_code in (301, 302, 307, 308)
            assert plain.headers["location"].startswith("https://localhost")
            assert browser.get(f"{url}/desk").headers.get_list("strict-transport-security") == ["max-age=31536000"]
        asyncio.run(greeted(url.replace("https", "wss")))
    finally:
        secure.close()
        proxy.close()
    believed = until(lambda: successful(house.http.post("/desk/session", json={"key": KEY}, headers=forged)))
    assert "strict-transport-security" not in believed.headers
    assert "Secure" not in believed.headers["set-cookie"], "over plain HTTP, a client was believed that it came by TLS"


def successful(answer: httpx.Response) -> httpx.Response | None:
    return answer if answer.is_success else None


async def greeted(url: str) -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with asyncio.timeout(WITHIN):
        while True:
            with contextlib.suppress(InvalidStatus):  # no node may be ready for a moment
                async with connect(f"{url}/v1/live?channel=en", ssl=trusting, compression=None, proxy=None) as socket:
                    assert json.loads(await socket.recv())["type"] == "board"
                    return


def test_the_nodes_write_nothing_beside_redis(house: House) -> None:
    """Their root is read-only in the containers: nothing there may be missed."""
    for name in NODES:
        assert list(house.running[name].folder.iterdir()) == []
