"""Gateways in front of the mesh on loopback, and the clients that come in by them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import trio

from composemesh.identity.contexts import client_context
from composemesh.model.gateway import Gateway, Server, ServerProtocol, TlsMode, TlsSettings
from composemesh.model.route import (
    ConnectionMatch,
    ConnectionRule,
    Destination,
    HttpMatch,
    HttpRule,
    MatchKind,
    StringMatch,
    VirtualHost,
    WeightedDestination,
)
from composemesh.model.workload import Workload
from mesh.net import AUTHORITY, PORT, Net, answering

AUTO = TlsSettings()
ROOT = AUTHORITY.root.decode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def http(port: int, *hosts: str, **settings: Any) -> Server:
    return Server(port, ServerProtocol.HTTP, hosts or ("*",), "127.0.0.1", **settings)


def https(port: int, *hosts: str, tls: TlsSettings = AUTO, **settings: Any) -> Server:
    return Server(port, ServerProtocol.HTTPS, hosts or ("*",), "127.0.0.1", tls, **settings)


def passing(port: int, *hosts: str) -> Server:
    return Server(port, ServerProtocol.TLS, hosts, "127.0.0.1", TlsSettings(TlsMode.PASSTHROUGH))


def gateway(*servers: Server, name: str = "web", trusted_proxies: int = 0) -> Gateway:
    return Gateway(name, servers, trusted_proxies)


def to(service: str) -> tuple[WeightedDestination, ...]:
    return (WeightedDestination(Destination(service, port=PORT)),)


def route(host: str, service: str, prefix: str = "/", gateways: Sequence[str] = ("web",)) -> VirtualHost:
    match = HttpMatch(uri=StringMatch(MatchKind.PREFIX, prefix))
    return VirtualHost((host,), tuple(gateways), (HttpRule((match,), to(service)),))


def passed(host: str, service: str, *, tls: bool) -> VirtualHost:
    if tls:
        return VirtualHost((host,), ("web",), tls=(ConnectionRule((ConnectionMatch((host,)),), to(service)),))
    return VirtualHost((host,), ("web",), tcp=(ConnectionRule((ConnectionMatch(),), to(service)),))


async def open_up(net: Net, *gateways: Gateway, routes: Sequence[VirtualHost] = ()) -> None:
    """Configure the mesh, and wait until every port is open that can be."""
    wanted = {each.name: each for each in gateways}
    net.snapshot.publish(replace(net.snapshot.value, gateways=wanted, virtual_hosts=tuple(routes)))
    with trio.fail_after(5):
        while net.fleet.gateways.following is not net.snapshot.value.gateways:  # noqa: ASYNC110 - no event says so
            await trio.sleep(0.001)


async def app(net: Net, name: str, answer: bytes, seen: list[bytes] | None = None) -> Workload:
    """A service that answers with its own words."""
    workload = net.add(name)
    text = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer)
    await net.serve(workload, answering(text, seen))
    return workload


async def connect(port: int) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", port)


def client(**settings: Any) -> ssl.SSLContext:
    return client_context(ROOT, **settings)


async def secure(
    port: int, name: str, context: ssl.SSLContext | None = None, first: bytes = b""
) -> trio.SSLStream[trio.SocketStream]:
    """A TLS connection as other people make it, after what a proxy says `first`."""
    plain = await connect(port)
    await plain.send_all(first)
    stream = trio.SSLStream(plain, context or client(), server_hostname=name)
    try:
        with trio.fail_after(5):
            await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(plain)
        raise
    return stream


async def ask(stream: trio.abc.Stream, host: bytes = b"shop.localhost", path: bytes = b"/", *lines: bytes) -> bytes:
    """Send a request, and read the answer with as much body as it says."""
    asked = [b"GET " + path + b" HTTP/1.1", b"Host: " + host, *lines]
    await stream.send_all(b"\r\n".join(asked) + b"\r\n\r\n")
    data = b""
    with trio.fail_after(5):
        while True:
            head, ended, body = data.partition(b"\r\n\r\n")
            if ended:
                length = next(
                    int(line.partition(b":")[2]) for line in head.lower().split(b"\r\n") if b"content-length" in line
                )
                if len(body) >= length:
                    return data
            more = await stream.receive_some(65536)
            assert more, f"closed after {data!r}"
            data += more
