"""UDP flows that the kernel goes on to send where it sent them first, whatever the rules say by now.

Rules are consulted for the first packet of a flow. A resolver that asks everything from one socket (Netty's, c-ares,
nginx) has a single flow to Docker's resolver for as long as it asks every other minute: without a word to connection
tracking it would go on to ask Docker after capture, and nobody at all after release. Sockets of a single question,
as the C library's, are left alone: their answer may be on its way.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import structlog
import trio

from composemesh.capture.netns import NetworkNamespace
from composemesh.capture.rules import DOCKER_DNS

log = structlog.get_logger()

_NETFILTER = 12  # linux/netlink.h: NETLINK_NETFILTER
_NEW, _GET, _DELETE = 0x100, 0x101, 0x102  # linux/netfilter/nfnetlink_conntrack.h: IPCTNL_MSG_CT_*
_REQUEST, _ACK, _DUMP = 0x001, 0x004, 0x300
_ERROR, _DONE = 2, 3
_ORIGINAL, _STATUS = 1, 3  # CTA_TUPLE_ORIG, CTA_STATUS
_IP, _PROTOCOL = 1, 2  # CTA_TUPLE_IP, CTA_TUPLE_PROTO
_DESTINATION = 2  # CTA_IP_V4_DST
_NUMBER, _PORT = 1, 3  # CTA_PROTO_NUM, CTA_PROTO_DST_PORT
_ASSURED = (
    1 << 2
)  # linux/netfilter/nf_conntrack_common.h: IPS_ASSURED, of UDP after two seconds of questions and answers
_ATTRIBUTE = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER

_HEADER = struct.Struct("=IHHII")
_FAMILY = struct.Struct("=BBH")
_RESOLVER = socket.inet_aton(DOCKER_DNS)
_LONGEST = 1 << 16


async def forget(namespace: NetworkNamespace) -> None:
    """Have the kernel consult the rules anew for every lasting flow to Docker's resolver. Never raises.

    In a thread, because a busy container has tens of thousands of flows. If cancelled, it is done all the same.
    """
    await trio.to_thread.run_sync(_forget, namespace)


def _forget(namespace: NetworkNamespace) -> None:
    try:
        with namespace.netlink(_NETFILTER) as question:
            for flow in list(_lasting(question)):
                _ask(question, _DELETE, _REQUEST | _ACK, flow)
                question.recv(_LONGEST)  # that it is done, or was gone already
    except OSError as problem:  # a kernel without nf_conntrack_netlink
        log.debug("lasting flows stay where they are", namespace=repr(namespace), because=str(problem))


def _ask(question: socket.socket, kind: int, flags: int, attributes: bytes = b"") -> None:
    body = _FAMILY.pack(socket.AF_INET, 0, 0) + attributes
    question.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body)


def _lasting(question: socket.socket) -> Iterator[bytes]:
    """The original tuple, as an attribute, of each such flow."""
    _ask(question, _GET, _REQUEST | _DUMP)
    while True:
        answer, at = question.recv(_LONGEST), 0
        while at < len(answer):
            length, kind, *_ = _HEADER.unpack_from(answer, at)
            if kind == _DONE:
                return
            if kind == _ERROR:
                raise OSError(-struct.unpack_from("=i", answer, at + _HEADER.size)[0], "conntrack cannot be asked")
            if kind == _NEW and _RESOLVER in answer[at : at + length]:
                flow = _attributes(answer[at + _HEADER.size + _FAMILY.size : at + length])
                status = flow.get(_STATUS, bytes(4))
                if int.from_bytes(status) & _ASSURED and _asks_docker(flow.get(_ORIGINAL, b"")):
                    yield struct.pack("=HH", 4 + len(flow[_ORIGINAL]), _ORIGINAL | 0x8000) + flow[_ORIGINAL]
            at += (length + 3) & ~3


def _asks_docker(tuple_: bytes) -> bool:
    parts = _attributes(tuple_)
    addresses, protocol = _attributes(parts.get(_IP, b"")), _attributes(parts.get(_PROTOCOL, b""))
    return (
        addresses.get(_DESTINATION) == _RESOLVER
        and protocol.get(_NUMBER) == bytes((socket.IPPROTO_UDP,))
        and protocol.get(_PORT) == (53).to_bytes(2)
    )


def _attributes(data: bytes) -> dict[int, bytes]:
    """Netlink attributes by type: two bytes of length, two of type, and padding to four."""
    found, at = {}, 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found[kind & _ATTRIBUTE] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found
