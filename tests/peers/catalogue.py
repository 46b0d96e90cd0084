"""Who is tried: clients, servers, and what else runs in the stacks that people mesh."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from environment.requirements import programs

from . import over_http, over_tcp, over_tls, servers
from .over_http import Trial, client, client_h2, curl, grpc, hypercorn, own, server, server_h2, uvicorn, websocket
from .trial import NODE_MODULES, PROGRAMS, node, program, python


@dataclass(frozen=True)
class Peer:
    """One program of other people, and how it is tried."""

    name: str
    role: str
    """`client`, `server` or `both`."""
    against: str
    """Who is at the other end."""
    trial: Trial
    version: Callable[[], str]
    programs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    """Python packages."""
    modules: tuple[str, ...] = ()
    """Node packages."""

    def missing(self) -> str | None:
        """What this machine lacks for the trial; None where nothing is."""
        if reason := programs(*self.programs):
            return reason
        absent = [name for name in self.packages if importlib.util.find_spec(name) is None]
        absent += [name for name in self.modules if not (NODE_MODULES / name).exists()]
        return f"not installed: {', '.join(absent)}; `make peers` installs them" if absent else None


def said(*command: str) -> Callable[[], str]:
    """The first thing like a version in what a program says of itself."""

    def ask() -> str:
        done = subprocess.run([program(command[0]), *command[1:]], capture_output=True, text=True)
        found = re.search(r"\d+\.\d+[\w.]*", done.stdout + done.stderr)
        return found[0] if found else "?"

    return ask


def package(name: str) -> Callable[[], str]:
    return lambda: importlib.metadata.version(name)


def module(name: str) -> Callable[[], str]:
    return lambda: str(json.loads((NODE_MODULES / name / "package.json").read_text())["version"])


NODE, JAVA, GO, CURL = said("node", "-v"), said("java", "-version"), said("go", "version"), said("curl", "-V")
NGHTTP2 = said("nghttp", "--version")
_PY_WS, _JS_WS = python("websocket.py"), node("websocket.cjs")
_PY_GRPC, _JS_GRPC = python("grpc_python.py"), node("grpc.cjs")
_JAVA, _GO = program("java"), program("go")


def _file(name: str) -> str:
    return str(PROGRAMS / name)


PEERS: tuple[Peer, ...] = (
    Peer("curl, HTTP/1.1", "client", "gunicorn", curl("--http1.1", servers.gunicorn, 11), CURL, ("curl",)),
    Peer(
        "curl, HTTP/2",
        "client",
        "Node http2",
        curl("--http2-prior-knowledge", own(*node("echo_h2.mjs")), 20, reuse=False),
        CURL,
        ("curl", "node"),
    ),
    Peer(
        "requests", "client", "gunicorn", client(python("ask.py", "requests")), package("requests"), (), ("requests",)
    ),
    Peer(
        "httpx, HTTP/1.1", "client", "gunicorn", client(python("ask.py", "httpx")), package("httpx"), (), ("httpx",)
    ),
    Peer(
        "httpx, HTTP/2",
        "client",
        "hypercorn",
        client_h2(python("ask.py", "httpx_h2")),
        package("httpx"),
        (),
        ("httpx",),
    ),
    Peer("aiohttp", "client", "gunicorn", client(python("ask.py", "aiohttp")), package("aiohttp"), (), ("aiohttp",)),
    Peer("Node http", "client", "gunicorn", client(node("ask.cjs", "http")), NODE, ("node",)),
    Peer("Node fetch", "client", "gunicorn", client(node("ask.cjs", "fetch")), NODE, ("node",)),
    Peer("Node http2", "client", "hypercorn", client_h2(node("ask.cjs", "http2")), NODE, ("node",)),
    Peer(
        "undici, pipelining",
        "client",
        "gunicorn",
        client(node("ask.cjs", "undici")),
        module("undici"),
        ("node",),
        (),
        ("undici",),
    ),
    Peer("Go net/http", "client", "gunicorn", client([_GO, "run", _file("ask.go")]), GO, ("go",)),
    Peer("Java HttpClient", "client", "gunicorn", client([_JAVA, _file("Ask.java")]), JAVA, ("java", "javac")),
    Peer("curl, TLS", "client", "a gateway", over_tls.curl, CURL, ("curl",)),
    Peer(
        "requests, TLS",
        "client",
        "a gateway",
        over_tls.client(python("ask.py", "requests"), 11),
        package("requests"),
        (),
        ("requests",),
    ),
    Peer(
        "httpx, TLS",
        "client",
        "a gateway",
        over_tls.client(python("ask.py", "httpx_h2"), 20),
        package("httpx"),
        (),
        ("httpx",),
    ),
    Peer(
        "aiohttp, TLS",
        "client",
        "a gateway",
        over_tls.client(python("ask.py", "aiohttp"), 11),
        package("aiohttp"),
        (),
        ("aiohttp",),
    ),
    Peer("Node https", "client", "a gateway", over_tls.client(node("ask.cjs", "http"), 11), NODE, ("node",)),
    Peer("Node http2, TLS", "client", "a gateway", over_tls.client(node("ask.cjs", "http2"), 20), NODE, ("node",)),
    Peer("Go net/http, TLS", "client", "a gateway", over_tls.client([_GO, "run", _file("ask.go")], 20), GO, ("go",)),
    Peer(
        "Java HttpClient, TLS",
        "client",
        "a gateway",
        over_tls.java([_JAVA, _file("Ask.java")]),
        JAVA,
        ("java", "javac", "keytool"),
    ),
    Peer("wrk", "client", "gunicorn", over_http.wrk, said("wrk", "-v"), ("wrk",)),
    Peer("h2load", "client", "nghttpd", over_http.h2load, NGHTTP2, ("h2load", "nghttpd")),
    Peer("nghttp", "client", "nghttpd", over_http.nghttp, NGHTTP2, ("nghttp", "nghttpd")),
    Peer(
        "grpcio",
        "both",
        "itself",
        grpc([*_PY_GRPC, "ask"], own(*_PY_GRPC, "serve")),
        package("grpcio"),
        (),
        ("grpc",),
    ),
    Peer(
        "@grpc/grpc-js",
        "client",
        "grpcio",
        grpc([*_JS_GRPC, "ask"], own(*_PY_GRPC, "serve")),
        module("@grpc/grpc-js"),
        ("node",),
        ("grpc",),
        ("@grpc/grpc-js",),
    ),
    Peer(
        "@grpc/grpc-js",
        "server",
        "grpcio",
        grpc([*_PY_GRPC, "ask"], own(*_JS_GRPC, "serve")),
        module("@grpc/grpc-js"),
        ("node",),
        ("grpc",),
        ("@grpc/grpc-js",),
    ),
    Peer(
        "websockets",
        "client",
        "ws",
        websocket([*_PY_WS, "ask"], own(*_JS_WS, "serve")),
        package("websockets"),
        ("node",),
        ("websockets",),
        ("ws",),
    ),
    Peer(
        "ws",
        "client",
        "websockets",
        websocket([*_JS_WS, "ask"], own(*_PY_WS, "serve")),
        module("ws"),
        ("node",),
        ("websockets",),
        ("ws",),
    ),
    Peer(
        "gunicorn", "server", "http.client", server(server=servers.gunicorn), package("gunicorn"), (), ("gunicorn",)
    ),
    Peer("uvicorn", "server", "http.client", server(server=uvicorn), package("uvicorn"), (), ("uvicorn",)),
    Peer("hypercorn, HTTP/1.1", "server", "http.client", server(server=hypercorn), package("hypercorn")),
    Peer("hypercorn, HTTP/2", "server", "httpx", server_h2(server=hypercorn), package("hypercorn"), (), ("httpx",)),
    Peer("nginx", "server", "http.client", server(server=servers.nginx), said("nginx", "-v"), ("nginx",)),
    Peer("Envoy", "server", "http.client", server(server=servers.envoy), said("envoy", "--version"), ("envoy",)),
    Peer("Node http", "server", "http.client", server(server=servers.node), NODE, ("node",)),
    Peer("Node http2", "server", "httpx", server_h2(server=own(*node("echo_h2.mjs"))), NODE, ("node",), ("httpx",)),
    Peer("Go net/http", "server", "http.client", server(server=own(_GO, "run", _file("echo.go"))), GO, ("go",)),
    Peer(
        "com.sun.net.httpserver",
        "server",
        "http.client",
        server(server=own(_JAVA, _file("Echo.java"))),
        JAVA,
        ("java", "javac"),
    ),
    Peer("PostgreSQL", "server", "psql", over_tcp.postgresql, said("postgres", "-V"), ("postgres", "psql")),
    Peer("MariaDB", "server", "mariadb", over_tcp.mariadb, said("mariadbd", "-V"), ("mariadbd", "mariadb")),
    Peer("Redis", "server", "redis-cli", over_tcp.redis, said("redis-server", "-v"), ("redis-server", "redis-cli")),
    Peer("memcached", "server", "plain TCP", over_tcp.memcached, said("memcached", "-V"), ("memcached",)),
    Peer("aiosmtpd", "server", "smtplib", over_tcp.smtp, package("aiosmtpd"), (), ("aiosmtpd",)),
)
