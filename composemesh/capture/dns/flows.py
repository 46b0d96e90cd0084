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

from composemesh.capture import netlink
from composemesh.capture.netns import NetworkNamespace
from composemesh.capture.rules import DOCKER_DNS

log = structlog.get_logger()

_NETFILTER = 12  # linux/netlink.h: NETLINK_NETFILTER
_NEW, _GET, _DELETE = 0x100, 0x101, 0x102  # linux/netfilter/nfnetlink_conntrack.h: IPCTNL_MSG_CT_*
_ORIGINAL, _STATUS = 1, 3  # CTA_TUPLE_ORIG, CTA_STATUS
_IP, _PROTOCOL = 1, 2  # CTA_TUPLE_IP, CTA_TUPLE_PROTO
_DESTINATION = 2  # CTA_IP_V4_DST
_NUMBER, _PORT = 1, 3  # CTA_PROTO_NUM, CTA_PROTO_DST_PORT
_ASSURED = 1 << 2  # linux/netfilter/nf_conntrack_common.h: IPS_ASSURED, of UDP after two seconds of exchanges
_ATTRIBUTE = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER

_FAMILY = struct.pack("=BBH", socket.AF_INET, 0, 0)  # linux/netfilter/nfnetlink.h: nfgenmsg
_RESOLVER = socket.inet_aton(DOCKER_DNS)


async def forget(namespace: NetworkNamespace) -> None:
    """Have the kernel consult the rules anew for every lasting flow to Docker's resolver. Never raises.

    In a thread, because a busy container has tens of thousands of flows. If cancelled, it is done all the same.
    """
    await trio.to_thread.run_sync(_forget, namespace)


def _forget(namespace: NetworkNamespace) -> None:
    try:
        with namespace.netlink(_NETFILTER) as question:
            for flow in list(_lasting(question)):
                netlink.send(question, _DELETE, netlink.REQUEST | netlink.ACK, _FAMILY + flow)
                question.recv(netlink.LONGEST)  # that it is done, or was gone already
    except OSError as problem:  # a kernel without nf_conntrack_netlink
        log.debug("lasting flows stay where they are", namespace=repr(namespace), because=str(problem))


def _lasting(question: socket.socket) -> Iterator[bytes]:
    """The original tuple, as an attribute, of each such flow."""
    for kind, body in netlink.listed(question, _GET, _FAMILY):
        if kind == _NEW and _RESOLVER in body:
            flow = _attributes(body[len(_FAMILY) :])
            status = flow.get(_STATUS, bytes(4))
            if int.from_bytes(status) & _ASSURED and _asks_docker(flow.get(_ORIGINAL, b"")):
                yield struct.pack("=HH", 4 + len(flow[_ORIGINAL]), _ORIGINAL | 0x8000) + flow[_ORIGINAL]


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
