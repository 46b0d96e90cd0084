"""HTTP servers that echo: what they read, they answer and log. nginx and Envoy read, and pass it on to gunicorn.

So each of the four shows what its own parser made of the bytes, and none of ours is asked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import Running, await_answer, free_port, running
from environment.tools import find

from .trial import PROGRAMS, answers

Command = list[str]

_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_max_body_size 0;
  client_header_buffer_size 64k;
  large_client_header_buffers 8 128k;
  client_body_buffer_size 1m;
  proxy_max_temp_file_size 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream behind {{ server 127.0.0.1:{behind}; keepalive 8; }}
  server {{
    listen {address}:{port};
    location / {{ proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as a server read it."""

    method: bytes
    target: bytes
    body: bytes


@dataclass
class Echo:
    """A server that runs, and what it has read since it was last asked."""

    name: str
    programs: list[Running] = field(default_factory=list)
    _read_to: int = 0

    def seen(self) -> list[Seen]:
        """The requests since the last call. A request is here before its answer is."""
        with self.programs[0].log.open("rb") as log:
            log.seek(self._read_to)
            new = log.read()
        self._read_to += len(new)
        return [as_seen(line) for line in new.splitlines() if line.startswith(b'{"method"')]


def as_seen(line: bytes) -> Seen:
    """What one line of an echo says."""
    said = json.loads(line)
    return Seen(*(said[key].encode("latin-1") for key in ("method", "target", "body")))


def gunicorn(folder: Path, address: str, port: int) -> list[Command]:
    """Its own limits lifted, so that it judges by its grammar alone."""
    unlimited = ["--limit-request-line", "0", "--limit-request-fields", "32768", "--limit-request-field_size", "0"]
    lasting = ["--worker-class", "gthread", "--threads", "4", "--keep-alive", "60"]
    place = ["--chdir", str(PROGRAMS), "--bind", f"{address}:{port}", "--worker-tmp-dir", str(folder)]
    return [
        [sys.executable, "-m", "gunicorn", *unlimited, *lasting, *place, "--no-control-socket", "echo:application"]
    ]


def node(folder: Path, address: str, port: int) -> list[Command]:
    return [[str(find("node")), "--max-http-header-size=131072", str(PROGRAMS / "echo.mjs"), address, str(port)]]


def nginx(folder: Path, address: str, port: int) -> list[Command]:
    behind = free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, address=address, port=port, behind=behind))
    return [*gunicorn(folder, "127.0.0.1", behind), [str(find("nginx")), "-e", "stderr", "-c", str(config)]]


def envoy(folder: Path, address: str, port: int) -> list[Command]:
    behind = free_port()
    config = folder / "envoy.json"
    config.write_text(json.dumps(_envoy(address, port, behind)))
    command = [str(find("envoy")), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    return [*gunicorn(folder, "127.0.0.1", behind), command]


NEEDS = {"nginx": ("nginx",), "Envoy": ("envoy",), "gunicorn": (), "Node": ("node",)}
"""Programs that must be on the machine, besides gunicorn, which the extra `test` brings."""
SERVERS: dict[str, Callable[[Path, str, int], list[Command]]] = {
    "nginx": nginx,
    "Envoy": envoy,
    "gunicorn": gunicorn,
    "Node": node,
}


@contextmanager
def start(name: str, folder: Path, address: str, port: int) -> Iterator[Echo]:
    """Start a server and what stands behind it; yield once it answers. Raises NotHere."""
    echo = Echo(name)
    with ExitStack() as stack:
        for number, command in enumerate(SERVERS[name](folder, address, port)):
            echo.programs.append(stack.enter_context(running(f"{name}-{number}", command, folder)))
        await_answer(port, echo.programs, lambda port: answers(address, port))
        echo.seen()
        yield echo


def _envoy(address: str, port: int, behind: int) -> dict[str, object]:
    filters = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{filters}.http.router.v3.Router"}}
    every = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": ""}, "route": {"cluster": "behind"}}]}
    manager = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "max_request_headers_kb": 96,
        "common_http_protocol_options": {"max_headers_count": 200},
        "route_config": {"name": "all", "virtual_hosts": [every]},
        "http_filters": [router],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    cluster = {
        "name": "behind",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "behind",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _socket("127.0.0.1", behind)}}]}],
        },
    }
    listener = {"name": "in", "address": _socket(address, port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _socket(address: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": address, "port_value": port}}
