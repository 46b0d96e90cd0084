"""Trials of clients and servers that speak HTTP/1.1, HTTP/2, WebSocket or gRPC."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from mesh.net import Net

from . import servers
from .trial import EXCHANGES, Commands, Failed, asked, program, python, recorded, serving

Trial = Callable[[Net, Path], Awaitable[str]]
"""Tries a peer in a mesh of its own; returns what went through, in a few words. Raises Failed, or NotHere."""

VERSIONS = {11: "HTTP/1.1", 20: "HTTP/2"}
UPLOAD = "0123456789" * 20_000


def hypercorn(folder: Path, address: str, port: int) -> list[list[str]]:
    return [[sys.executable, "-m", "hypercorn", "--bind", f"{address}:{port}", "echo_asgi:application"]]


def uvicorn(folder: Path, address: str, port: int) -> list[list[str]]:
    return [[sys.executable, "-m", "uvicorn", "--host", address, "--port", str(port), "echo_asgi:application"]]


def nghttpd(folder: Path, address: str, port: int) -> list[list[str]]:
    (folder / "page").write_text("a page")
    return [[program("nghttpd"), "--no-tls", "--address", address, "--htdocs", str(folder), str(port)]]


def own(*command: str) -> Commands:
    """A server of ours in a library: the command, then the address and the port."""
    return lambda folder, address, port: [[*command, address, str(port)]]


def exchanges(client: list[str], server: Commands, version: int) -> Trial:
    """One of our clients in a library and an echoing server: an upload, and twenty GETs."""

    async def trial(net: Net, folder: Path) -> str:
        async with serving(net, folder, server) as place:
            expect("ok", await asked(*client, f"http://{place}/"))
            return await all_well(net, version)

    return trial


client = partial(exchanges, server=servers.gunicorn, version=11)
client_h2 = partial(exchanges, server=hypercorn, version=20)
server = partial(exchanges, python("ask.py", "standard"), version=11)
server_h2 = partial(exchanges, python("ask.py", "httpx_h2"), version=20)


def curl(speak: str, server: Commands, version: int, *, reuse: bool = True) -> Trial:
    """curl 7.88 cannot use a connection again that speaks HTTP/2 with prior knowledge, with or without a mesh."""

    async def trial(net: Net, folder: Path) -> str:
        body, echo = folder / "body", folder / "echo"
        body.write_text(UPLOAD)
        command = (program("curl"), speak, "--silent", "--show-error", "--fail")
        async with serving(net, folder, server) as place:
            url = f"http://{place}/"
            await asked(*command, "--data-binary", f"@{body}", "--output", echo, url)
            expect(UPLOAD, json.loads(echo.read_text())["body"])
            rest = range(1, EXCHANGES)
            for page in (f"[{rest[0]}-{rest[-1]}]",) if reuse else rest:
                await asked(*command, f"{url}{page}")
            return await all_well(net, version)

    return trial


async def wrk(net: Net, folder: Path) -> str:
    async with serving(net, folder, servers.gunicorn) as place:
        said = await asked(program("wrk"), "-t1", "-c8", "-d1", f"http://{place}/")
    if "Non-2xx" in said or "Socket errors" in said or not (found := re.search(r"(\d+) requests in", said)):
        raise Failed(said)
    return f"{found[1]} requests on 8 connections, HTTP/1.1"


async def h2load(net: Net, folder: Path) -> str:
    async with serving(net, folder, nghttpd) as place:
        said = await asked(program("h2load"), "-n500", "-c4", "-m8", f"http://{place}/page")
    if "500 succeeded, 0 failed" not in said:
        raise Failed(said)
    return "500 requests on 4 connections, HTTP/2"


async def nghttp(net: Net, folder: Path) -> str:
    async with serving(net, folder, nghttpd) as place:
        expect("a page", await asked(program("nghttp"), f"http://{place}/page"))
        (record,) = await recorded(net, 1)
    return f"a page, {VERSIONS[record.http_version]}"


def websocket(client: list[str], server: Commands) -> Trial:
    """Texts, a message of a mebibyte, a ping and an orderly close."""

    async def trial(net: Net, folder: Path) -> str:
        async with serving(net, folder, server) as place:
            expect("ok", await asked(*client, f"ws://{place}/"))
            (record,) = await recorded(net, 1)
        if record.response_code != 101:
            raise Failed(f"status {record.response_code}")
        return "103 messages, up to 1 MiB, a ping, an orderly close"

    return trial


def grpc(client: list[str], server: Commands) -> Trial:
    """Unary calls up to 3 MB, a stream of 500 messages, a conversation, and a failure with its message."""

    async def trial(net: Net, folder: Path) -> str:
        async with serving(net, folder, server) as place:
            expect("ok", await asked(*client, place))
            records = await recorded(net, 6)
        statuses = sorted(record.grpc_status for record in records)
        if statuses != [0, 0, 0, 0, 0, 5] or {record.protocol for record in records} != {"grpc"}:
            raise Failed(f"statuses {statuses}")
        return "unary, streams both ways, a status and its message"

    return trial


async def all_well(net: Net, version: int) -> str:
    """That every exchange was whole, and in this version. Raises Failed."""
    records = await recorded(net)
    seen = {(record.http_version, record.response_code, record.protocol) for record in records}
    if seen != {(version, 200, "http")}:
        raise Failed(f"recorded: {seen}")
    return f"{len(records)} exchanges, {VERSIONS[version]}"


def expect(what: str, said: str) -> None:
    """That a client said so. Raises Failed."""
    if said.strip() != what:
        raise Failed(f"{said[-300:]!r} instead of {what[:50]!r}")
