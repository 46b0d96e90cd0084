"""Which TCP ports somebody inside a namespace listens on, asked of the kernel in microseconds.

`/proc/net/tcp` tells the same, but walks the table of every connection on the host to do so: 4 ms a look where it was
measured, on the main thread. sock_diag(7) can ask for listening sockets alone. /proc stays for kernels without it.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator

from composemesh.capture import netlink

_SOCK_DIAG = 4  # linux/netlink.h: NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # linux/sock_diag.h: SOCK_DIAG_BY_FAMILY
_LISTEN = 10  # net/tcp_states.h: TCP_LISTEN

_REQUEST = struct.Struct("=BBBxI48x")  # inet_diag_req_v2, with an empty inet_diag_sockid
_SOCKET = struct.Struct("!4xH2x16s")  # inet_diag_msg: the source port and address


def open_question() -> socket.socket:
    """A socket that asks about the namespace it is made in. Raises OSError."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _SOCK_DIAG)


def ask(question: socket.socket, family: int) -> Iterator[int]:
    """The ports that listen at an address others can reach. Raises OSError where the kernel has no inet_diag."""
    wanted = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << _LISTEN)
    for _, body in netlink.listed(question, _BY_FAMILY, wanted):
        port, address = _SOCKET.unpack_from(body)
        if not is_loopback(address[:4] if family == socket.AF_INET else address):
            yield port


def read(table: bytes) -> Iterator[int]:
    """The same out of the text of /proc/net/tcp or tcp6."""
    return (port for address, port in sockets(table) if not is_loopback(address))


def sockets(table: bytes) -> Iterator[tuple[bytes, int]]:
    """Packed address and port of all that listens, out of such a text: its hex words have the machine's byte order.

    Raises ValueError for any other text.
    """
    for line in table.splitlines()[1:]:
        _, local, _, state, *_ = line.split(maxsplit=4)
        if int(state, 16) == _LISTEN:
            host, _, port = local.partition(b":")
            words = (int(host[at : at + 8], 16) for at in range(0, len(host), 8))
            yield b"".join(word.to_bytes(4, sys.byteorder) for word in words), int(port, 16)


def is_loopback(address: bytes) -> bool:
    """Whether a packed address is one of 127.0.0.0/8, its IPv4-mapped form, or ::1."""
    if len(address) == 16:
        if address == b"\0" * 15 + b"\1":
            return True
        if not address.startswith(b"\0" * 10 + b"\xff\xff"):
            return False
        address = address[12:]
    return address[0] == 127
