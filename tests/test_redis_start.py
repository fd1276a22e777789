"""What operators see when they start nodes on Redis: one sentence and exit status 2 if it is unsuitable; else one
key."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunningNode
from tests.patience import AT_LEISURE, NO_BEATS, ON_REDIS, WITHIN, environment
from tests.ports import free_port
from tests.redis_servers import RedisServer, Sentinel, TcpProxy, old_redis, until
from ticker.errors import Misconfigured
from ticker.newswire import open_newswire
from ticker.settings import read_channels

COMMANDS = "serve", "check"
PATIENT = AT_LEISURE | ON_REDIS


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), "--appendonly", "yes", password="pass/word") as server:
        yield server


@pytest.fixture
def server(own_server: RedisServer) -> Iterator[RedisServer]:
    yield own_server
    own_server.do("CONFIG SET", "maxmemory", 0)
    own_server.do("CONFIG SET", "maxmemory-policy", "noeviction")


def ran(folder: Path, command: str, url: str, constants: Mapping[str, float]) -> subprocess.CompletedProcess[str]:
    port = ["--port", "0"] if command == "serve" else []
    return subprocess.run(
        [sys.executable, "-m", "ticker", command, "--newswire", url, *port],
        cwd=folder,
        env=environment(folder / "constants", constants),
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )


def said(folder: Path, command: str, url: str, constants: Mapping[str, float] = PATIENT) -> str:
    """What the command says on standard error when it refuses."""
    refused = ran(folder, command, url, constants)
    assert refused.returncode == 2, (refused.returncode, refused.stdout, refused.stderr)
    assert "Traceback" not in refused.stderr
    (sentence,) = [line for line in refused.stderr.splitlines() if line.startswith("ticker: ")]
    assert "Ticker is on" not in refused.stdout
    assert "word" not in sentence.replace("password", "").replace("PASSWORD", ""), "the password shows"
    return sentence


def assert_both_say(folder: Path, url: str, *words: str, constants: Mapping[str, float] = PATIENT) -> None:
    for command in COMMANDS:
        sentence = said(folder, command, url, constants)
        for word in words:
            assert word in sentence, sentence


URLS = {
    "redis://": "names no host",
    "redis://host:port": "can't be read",
    "redis://host:99999": "can't be read",
    "redis://one,two": "names one server",
    "redis://127.0.0.1/zero": "number of a database",
    "redis://127.0.0.1?prefx=a": "unknown option prefx",
    "redis://127.0.0.1?wait_replicas=some": "wait_replicas",
    "redis://127.0.0.1?wait_replicas=-1": "wait_replicas",
    "redis://127.0.0.1?ssl_ca_certs=ca.pem": "rediss://",
    "redis+sentinel://127.0.0.1": "names no service",
    "redis+cluster://127.0.0.1/1": "one database",
    "redis+magic://127.0.0.1": "is not a newswire",
    "redid://127.0.0.1": "is not a newswire",
}


PASSWORD = "s3c{}ret"


@pytest.mark.parametrize("character", "/?#@%[]:&=+ \\\N{FULLWIDTH COLON}\N{DOUBLE QUESTION MARK}".replace(" ", ""))
@pytest.mark.parametrize(
    "form", ["redis://:{}@127.0.0.1:1", "rediss://ada:{}@h,h", "redis+magic://:{}@h", "mysql://a:{}@h"]
)
async def test_no_sentence_holds_a_password(form: str, character: str) -> None:
    url = form.format(PASSWORD.format(character))
    with pytest.raises(Misconfigured) as refused:
        await open_newswire(url, "node").open(read_channels(None))
    assert "s3c" not in refused.value.detail
    assert "ret" not in refused.value.detail.replace("secret", "")
    assert refused.value.__cause__ is None or "s3c" not in str(refused.value.__cause__)


@pytest.mark.parametrize("url", ["redis://ada:s3cret", "redis://h?sentinel_password=s3cret&x=1", "redis://h/s3cret"])
def test_nor_one_that_stands_where_it_should_not(url: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        open_newswire(url, "node")
    assert "s3cret" not in refused.value.detail


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_makes_no_sense(url: str) -> None:
    with pytest.raises(Misconfigured, match=URLS[url]):
        open_newswire(url, "node")


def test_a_url_that_makes_no_sense_stops_a_node(tmp_path: Path) -> None:
    assert_both_say(tmp_path, "redis://127.0.0.1?prefx=a", "unknown option prefx", "wait_replicas")


@pytest.mark.parametrize("form", ["redis://{}", "redis+sentinel://{}/news", "redis+cluster://{}"])
def test_nobody_is_there(tmp_path: Path, form: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    assert_both_say(
        tmp_path, form.format(address), f"Redis at {address} can't be reached", "correct the newswire's URL"
    )


def test_a_server_that_hangs(tmp_path: Path, server: RedisServer) -> None:
    server.pause()
    try:
        url = server.url.replace("/word", "%2Fword")
        assert_both_say(tmp_path, url, "can't be reached", "Timeout", constants=AT_LEISURE)
    finally:
        server.resume()


@pytest.mark.parametrize("user", ["", ":wrong@", "nobody:wrong@"])
def test_the_wrong_password_or_none(tmp_path: Path, server: RedisServer, user: str) -> None:
    assert_both_say(tmp_path, f"redis://{user}{server.address}", "refuses the user name or the password")


def test_the_right_password_is_taken_percent_encoded_and_the_check_leaves_no_trace(
    tmp_path: Path, server: RedisServer
) -> None:
    checked = ran(tmp_path, "check", f"redis://:pass%2Fword@{server.address}/0", PATIENT)
    assert checked.returncode == 0, checked.stderr
    assert "newswire" in checked.stdout
    assert server.do("DBSIZE") == 0


@pytest.mark.parametrize("version", ["5.0.14", "6.0.20"])
def test_a_redis_that_is_too_old(tmp_path: Path, version: str) -> None:
    with old_redis(version) as port:
        assert_both_say(tmp_path, f"redis://127.0.0.1:{port}", f"version {version}", "6.2 or newer")


def test_a_replica_names_its_primary(tmp_path: Path, server: RedisServer) -> None:
    with RedisServer(tmp_path / "two", "--replicaof", "127.0.0.1", str(server.port), password="pass/word") as replica:
        until(lambda: replica.do("ROLE")[0] == "slave")
        url = f"redis://:pass%2Fword@{replica.address}"
        assert_both_say(tmp_path, url, "is a replica and can't be written", f"127.0.0.1:{server.port}")


RULES = {
    "~* &* +@all -@scripting": "eval",
    "~* &* +@all -publish": "can't run this command|the 'publish' command",
    "~* &* +@all -subscribe": "subscribe",
    "~* &* +@all -xadd": "can't run this command|the 'xadd' command",
    "~* resetchannels +@all": "channel",
    "~other:* &* +@all": "key",
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.usefixtures("patience_with_redis")
async def test_a_user_who_may_not_do_what_a_newswire_does(server: RedisServer, rule: str) -> None:
    server.do("ACL SETUSER", "ada", "reset", "on", ">pass/word", *rule.split())
    with pytest.raises(Misconfigured) as refused:
        await open_newswire(f"redis://ada:pass%2Fword@{server.address}", "node").open(read_channels(None))
    assert "doesn't allow this user all that it needs" in refused.value.detail
    assert re.search(RULES[rule], refused.value.detail)
    assert "ACL SETUSER NAME" in refused.value.detail


def test_a_user_who_may_not_run_scripts_is_told_so_before(tmp_path: Path, server: RedisServer) -> None:
    server.do("ACL SETUSER", "ada", "reset", "on", ">pass/word", "~*", "&*", "+@all", "-eval", "-evalsha")
    url = f"redis://ada:pass%2Fword@{server.address}"
    assert_both_say(tmp_path, url, "doesn't allow this user all that it needs", "ACL SETUSER NAME", "&ticker:*")


def test_a_user_who_may_do_just_what_the_sentence_says_can(tmp_path: Path, server: RedisServer) -> None:
    server.do("ACL SETUSER", "ada", "reset", "on", ">pass/word", "~ticker:*", "resetchannels", "&ticker:*", "-@all")
    url = f"redis://ada:pass%2Fword@{server.address}"
    rule = said(tmp_path, "check", url).partition("ACL SETUSER NAME ")[2].replace("PASSWORD", "pass/word")
    server.do("ACL SETUSER", "ada", "reset", *rule.split())
    checked = ran(tmp_path, "check", url, PATIENT)
    assert checked.returncode == 0, checked.stderr


def test_a_server_of_a_cluster(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "one", "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as member:
        url = f"redis://{member.address}"
        assert_both_say(tmp_path, url, "is part of a cluster", f"redis+cluster://{member.address}")


def test_a_server_of_no_cluster(tmp_path: Path, server: RedisServer) -> None:
    assert_both_say(tmp_path, f"redis+cluster://:pass%2Fword@{server.address}", "is not a cluster", "redis://")


def test_a_server_that_throws_keys_away(tmp_path: Path, server: RedisServer) -> None:
    server.do("CONFIG SET", "maxmemory", "1gb")
    server.do("CONFIG SET", "maxmemory-policy", "allkeys-lru")
    assert_both_say(tmp_path, f"redis://:pass%2Fword@{server.address}", "allkeys-lru", "noeviction")


def test_sentinels_that_know_no_such_service(tmp_path: Path) -> None:
    with Sentinel(tmp_path / "sentinel") as sentinel:
        assert_both_say(
            tmp_path, f"redis+sentinel://{sentinel.address}/sports", "no sentinel knows a service 'sports'", "/SERVICE"
        )


def test_a_server_that_takes_no_changes_is_no_place_to_start_though_a_node_would(
    tmp_path: Path, server: RedisServer
) -> None:
    server.do("CONFIG SET", "maxmemory", 1)
    assert "no memory left" in said(tmp_path, "check", f"redis://:pass%2Fword@{server.address}")


def test_a_server_that_is_loading_is_waited_for_and_the_log_says_so(start_node: Any, tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", "--loading-process-events-interval-bytes", "1024") as server:
        for first in range(0, 20_000, 1_000):
            server.do("MSET", *(each for key in range(first, first + 1_000) for each in (f"other:{key}", "x" * 50)))
        server.do("SAVE")
        server.stop()
        server.options = *server.options, "--key-load-delay", "1000"
        server.start(wait=False)
        until(lambda: server.do("INFO", "persistence")["loading"])
        assert "A node would wait for it" in said(tmp_path, "check", server.url)
        node = start_node("--newswire", server.url)
        assert "waits for it" in node.log
        assert "Redis has loaded what it keeps" in node.log
        assert node.log.count("waits for it") == 1
        assert node.publish("en", "Rain")


def test_the_password_is_in_no_line_of_what_check_and_serve_print(tmp_path: Path, server: RedisServer) -> None:
    for command, url in (
        ("check", f"redis://:pass%2Fword@{server.address}"),
        ("check", f"redis://:pass/word@{server.address}"),
        ("serve", f"redis://:pass/word@{server.address}"),
    ):
        ended = ran(tmp_path, command, url, PATIENT)
        assert "word" not in (ended.stdout + ended.stderr).replace("password", "").replace("PASSWORD", "")


# The first key


def test_of_two_nodes_that_start_at_once_one_makes_the_first_key(start_node: Any, tmp_path: Path) -> None:
    """Over a slow link, which lets them through together: both look for keys before either has made one."""

    def start(name: str) -> RunningNode:
        options = "--newswire", proxy.url
        node: RunningNode = start_node(*options, name=name, admin_key=None, constants=NO_BEATS | ON_REDIS)
        return node

    with RedisServer(tmp_path / "redis") as server, TcpProxy(server.port) as proxy, ThreadPoolExecutor(2) as threads:
        proxy.stall()
        starting = [threads.submit(start, name) for name in ("one", "two")]
        until(lambda: proxy.connections() == 2)
        proxy.heal()
        proxy.slow(0.1)
        said = [node.result(WITHIN).said_until_its_end() for node in starting]
        assert all(each.startswith("Ticker is on at") for each in said)
        assert sum("The first key" in each for each in said) == sum("#once=" in each for each in said) == 1
        assert server.do("HLEN", "ticker:{keys}") == 1


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of 127.0.0.1, signed by itself; and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    crt, key = folder / "redis.crt", folder / "redis.key"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run([*command, *subject, "-out", crt, "-keyout", key], capture_output=True, check=True)
    return crt, key


def test_tls_with_a_certificate_that_is_known_and_one_that_is_not(
    tmp_path: Path, certificate: tuple[Path, Path], start_node: Any
) -> None:
    crt, key = certificate
    port = free_port()
    tls = ["--tls-port", str(port), "--tls-cert-file", str(crt), "--tls-key-file", str(key)]
    with RedisServer(tmp_path / "redis", *tls, "--tls-auth-clients", "no"):
        url = f"rediss://127.0.0.1:{port}"
        assert_both_say(tmp_path, url, "can't be reached", "CERTIFICATE_VERIFY_FAILED")
        node = start_node("--newswire", f"{url}?ssl_ca_certs={crt}")
        assert node.publish("en", "Rain")["text"] == "Rain"
    assert_both_say(tmp_path, f"{url}?ssl_ca_certs=/nowhere.crt", "can't be reached")
