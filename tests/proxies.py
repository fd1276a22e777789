"""Real proxies in front of nodes: nginx, HAProxy and Caddy, each keeping its connections to them. Knows no request."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.patience import WITHIN
from tests.ports import free_port

NAMES = ("nginx", "haproxy", "caddy")

# As an operator who hasn't read our documentation would write it: one node, connections kept, WebSockets let through.
NGINX = """
worker_processes 1;
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream nodes {{
{nodes}
        keepalive 8;
    }}
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        "" "";
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://nodes;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }}
    }}
}}
"""

HAPROXY = """
global
    maxconn 2000
defaults
    mode http
    timeout connect 5s
    timeout client 90s
    timeout server 90s
    timeout tunnel 1h
frontend readers
    bind 127.0.0.1:{port}
    default_backend nodes
backend nodes
    http-reuse always
{nodes}
"""

CADDY = """
{{
    admin off
    auto_https off
}}
http://:{port} {{
    bind 127.0.0.1
    reverse_proxy {nodes}
}}
"""


@contextlib.contextmanager
def proxy(name: str, folder: Path, nodes: Sequence[int], config: str | None = None) -> Iterator[int]:
    """The port of a proxy in front of nodes (their ports on 127.0.0.1). `config` takes the place of the usual one."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    match name:
        case "nginx":
            written = "\n".join(f"        server 127.0.0.1:{node};" for node in nodes)
            template, command = config or NGINX, ["nginx", "-p", str(folder), "-c"]
        case "haproxy":
            written = "\n".join(f"    server node{index} 127.0.0.1:{node}" for index, node in enumerate(nodes))
            template, command = config or HAPROXY, ["haproxy", "-db", "-f"]
        case _:
            written = " ".join(f"127.0.0.1:{node}" for node in nodes)
            template, command = config or CADDY, ["caddy", "run", "--adapter", "caddyfile", "--config"]
    program = shutil.which(command[0], path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert program, f"{command[0]} is not installed; `make test` sees to that"
    file = folder / f"{name}.conf"
    file.write_text(template.format(port=port, nodes=written, folder=folder))
    log = (folder / "log.txt").open("ab")
    homes = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(folder))
    process = subprocess.Popen([program, *command[1:], str(file)], stdout=log, stderr=log, cwd=folder, env=homes)
    try:
        _until_it_listens(process, port, folder)
        yield port
    finally:
        process.kill()
        process.wait()
        log.close()


def _until_it_listens(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + WITHIN
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, (folder / "log.txt").read_text()
        assert time.monotonic() < deadline, (folder / "log.txt").read_text()
        time.sleep(0.01)
