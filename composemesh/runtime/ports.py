"""Ports of the host: listening at one, or, where another mesh has it, at the next free one."""

from __future__ import annotations

import errno
import socket

import trio

BACKLOG = 1024
"""Connections that wait to be taken, at most."""
MORE_PORTS = 100
"""How many ports above a taken one are tried."""


async def listen(host: str, port: int, setting: str) -> list[trio.SocketListener]:
    """Listeners on `port`, or on the first free one above it; 0 for any.

    Raises OSError, with a sentence that names the `setting` to change, where there is none, or `host` is no address
    of this machine.
    """
    ports = range(port, min(port + MORE_PORTS, 65535) + 1) if port else range(1)
    for candidate in ports:
        try:
            return await trio.open_tcp_listeners(candidate, host=host)
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE:
                why = problem.strerror or str(problem)
                raise OSError(
                    problem.errno, f"can't listen on {host}:{candidate} ({why}): change {setting}"
                ) from problem
    raise OSError(errno.EADDRINUSE, f"ports {port} to {ports[-1]} of {host} are all taken: change {setting}")


def listen_at(host: str, port: int) -> socket.socket:
    """A listening socket, not blocking; at `::` for IPv4, too. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        made.bind((host, port))
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def url_host(host: str) -> str:
    """The host as a URL has it; listening everywhere includes loopback, which is where we send people."""
    if host in ("", "0.0.0.0"):
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host
