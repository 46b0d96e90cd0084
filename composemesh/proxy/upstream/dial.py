"""Dial a workload from where it stands: a TCP connection made inside its own network namespace."""

from __future__ import annotations

import errno
import math
import os
import socket
from typing import TYPE_CHECKING

import trio

from composemesh.proxy.wire import Wire

if TYPE_CHECKING:
    from composemesh.model.policy import ConnectionLimits, KeepAlive
    from composemesh.proxy.reactor import Reactor
    from composemesh.runtime.captured import Address, Namespace


class Unconnected(Exception):
    """No connection came about; nothing was sent. The message says why, in the kernel's words."""


async def dial(
    namespace: Namespace, address: Address, reactor: Reactor, limits: ConnectionLimits, introduction: bytes = b""
) -> Wire:
    """A connection to `address`, on which `introduction` has been sent. Raises Unconnected. If cancelled, nothing is
    left open."""
    host, port = address
    try:
        sock = namespace.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as problem:
        raise Unconnected(f"{host}:{port}: no socket in its network namespace ({problem.strerror})") from None
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if limits.keep_alive is not None:
            _probe(sock, limits.keep_alive)
        code = sock.connect_ex(address)
        wire = Wire(sock, reactor)  # after the call: an unconnected socket is told to have ended
    except OSError as problem:
        sock.close()
        raise Unconnected(f"{host}:{port}: {problem.strerror}") from None
    try:
        await _connected(wire, address, code, limits.connect_timeout or math.inf)
        if introduction:
            await _introduce(wire, address, introduction)
    except BaseException:
        wire.close()
        raise
    return wire


async def _connected(wire: Wire, address: Address, code: int, patience: float) -> None:
    if code == errno.EINPROGRESS:
        with trio.move_on_after(patience) as limit:
            await wire.until_writable()
        if limit.cancelled_caught:
            raise Unconnected(f"{address[0]}:{address[1]}: no answer in {patience:g} s")
        code = wire.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise Unconnected(f"{address[0]}:{address[1]}: {os.strerror(code)}")


async def _introduce(wire: Wire, address: Address, introduction: bytes) -> None:
    try:
        await wire.send(introduction)
    except OSError as problem:
        raise Unconnected(f"{address[0]}:{address[1]}: {problem.strerror}") from None


def _probe(sock: socket.socket, keep_alive: KeepAlive) -> None:
    """Have the kernel find out whether a silent peer still lives (tcp(7)); whole seconds are all that it knows."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPCNT, keep_alive.probes),
        (socket.TCP_KEEPIDLE, keep_alive.time),
        (socket.TCP_KEEPINTVL, keep_alive.interval),
    ):
        if value:
            sock.setsockopt(socket.IPPROTO_TCP, option, max(1, round(value)))
