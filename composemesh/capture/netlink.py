"""Netlink (RFC 3549), as far as it takes to ask the kernel for a list."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

REQUEST, ACK, DUMP = 0x001, 0x004, 0x300  # linux/netlink.h: NLM_F_*; DUMP is ROOT and MATCH
LONGEST = 1 << 16
"""Bytes of one answer: the kernel sends none that is longer."""

_ERROR, _DONE = 2, 3  # NLMSG_*
_HEADER = struct.Struct("=IHHII")
_ERRNO = struct.Struct("=i")


def send(question: socket.socket, kind: int, flags: int, body: bytes) -> None:
    """Send one message. Raises OSError."""
    question.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body)


def listed(question: socket.socket, kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """Ask for all there is; the kind and body of each message that tells of it. Raises OSError, also for what the
    kernel refuses."""
    send(question, kind, REQUEST | DUMP, body)
    while True:
        answer, at = question.recv(LONGEST), 0
        while at < len(answer):
            length, told, *_ = _HEADER.unpack_from(answer, at)
            if told == _DONE:
                return
            if told == _ERROR:
                (problem,) = _ERRNO.unpack_from(answer, at + _HEADER.size)
                raise OSError(-problem, os.strerror(-problem))
            yield told, answer[at + _HEADER.size : at + length]
            at += (length + 3) & ~3
