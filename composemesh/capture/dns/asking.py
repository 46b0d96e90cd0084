"""Docker's resolver, asked from inside a container: messages go to it, and come back, byte for byte."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import trio

from composemesh.capture.dns.message import AAAA, LONGEST, A, found_in, is_truncated, query
from composemesh.capture.netns import NetworkNamespace
from composemesh.capture.rules import DOCKER_DNS
from composemesh.runtime.captured import Found, look_up_at_home

Ask = Callable[[NetworkNamespace, bytes, float], Awaitable[bytes | None]]
"""`ask` or `ask_over_tcp`."""

PATIENCE = 2.0
"""Seconds for one question of our own; it is asked again soon."""
_PORT = 53
_OURS = "127.0.53.1"
"""Where our questions come from. From 127.0.0.1 they would share ports with the processes': the kernel remembers for
half a minute where it sent what came from a port, and would send theirs to Docker, and ours to ourselves."""


async def ask(namespace: NetworkNamespace, message: bytes, patience: float) -> bytes | None:
    """What Docker's resolver says to a datagram; None where that is nothing within `patience` seconds.

    A socket for each question: it takes the answer to this one and no other, and the message needs no number of ours.
    Raises OSError where there is no such resolver. Safe to cancel.
    """
    with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((_OURS, 0))
        sock.connect((DOCKER_DNS, _PORT))
        sock.send(message)
        with trio.move_on_after(patience):
            while True:
                await trio.lowlevel.wait_readable(sock)
                try:
                    return sock.recv(LONGEST)
                except BlockingIOError:
                    continue
    return None


async def ask_over_tcp(namespace: NetworkNamespace, message: bytes, patience: float) -> bytes | None:
    """The same over a connection, for what does not fit into a datagram."""
    with trio.socket.from_stdlib_socket(namespace.socket(socket.AF_INET)) as sock:
        await sock.bind((_OURS, 0))
        with trio.move_on_after(patience):
            await sock.connect((DOCKER_DNS, _PORT))
            stream = trio.SocketStream(sock)
            try:
                await stream.send_all(framed(message))
                return await receive(stream)
            except trio.BrokenResourceError as problem:
                raise ConnectionResetError(str(problem)) from problem
    return None


def framed(message: bytes) -> bytes:
    """A message as it goes over TCP (RFC 1035, 4.2.2)."""
    return len(message).to_bytes(2, "big") + message


async def receive(stream: trio.SocketStream) -> bytes | None:
    """The next message of a TCP connection; None at its end. Raises BrokenResourceError."""
    head = await _exactly(stream, 2)
    return await _exactly(stream, int.from_bytes(head, "big")) if head else None


async def _exactly(stream: trio.SocketStream, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        more = await stream.receive_some(count - len(data))
        if not more:
            return None
        data += more
    return bytes(data)


async def look_up(namespace: NetworkNamespace, name: str) -> Found:
    """The addresses of a name, as a process of the container would find them; none where the name has none.

    Raises OSError where nobody answers. A container without Docker's resolver sees names as the host does.
    """
    found: dict[int, Found | OSError] = {}

    async def one(kind: int) -> None:
        try:
            found[kind] = await _look_up(namespace, query(name, kind))
        except ValueError:
            found[kind] = Found((), 0)
        except OSError as problem:
            found[kind] = problem

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, A)
        nursery.start_soon(one, AAAA)
    good = [each for each in (found[A], found[AAAA]) if isinstance(each, Found)]
    addresses = tuple(address for each in good for address in each.addresses)
    if addresses:
        return Found(addresses, min(each.ttl for each in good if each.addresses))
    failed = found[A]
    if isinstance(failed, ConnectionRefusedError):
        return await look_up_at_home(name)
    if isinstance(failed, OSError):
        raise failed
    return failed


async def _look_up(namespace: NetworkNamespace, message: bytes) -> Found:
    reply = await ask(namespace, message, PATIENCE)
    if reply is not None and is_truncated(reply):
        reply = await ask_over_tcp(namespace, message, PATIENCE)
    if reply is None:
        raise TimeoutError(f"no answer in {PATIENCE:g} s")
    return found_in(reply)
