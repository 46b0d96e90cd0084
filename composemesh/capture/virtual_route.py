"""A route for virtual addresses inside a namespace, because a packet without a route never comes to the rules.

A container whose networks are all internal has no default route. Everywhere else the route keeps what the rules do
not redirect (UDP, a ping) from leaving the container for an address that nobody has. It leads to loopback; the
kernel still gives such a connection the container's own address as its source.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from ipaddress import IPv4Network

import structlog

from composemesh.capture.netns import NetworkNamespace
from composemesh.routing.names import VIRTUAL

log = structlog.get_logger()

PROTOCOL = 137
"""Who made a route (rtnetlink(7), `rtm_protocol`). No routing daemon uses this number: it is how ours is known."""

_ADD, _DELETE = 24, 25  # linux/rtnetlink.h: RTM_NEWROUTE, RTM_DELROUTE
_ERROR = 2  # linux/netlink.h: NLMSG_ERROR
_REQUEST_AND_ACK, _CREATE, _EXCLUSIVE = 0x005, 0x400, 0x200
_MAIN, _LINK, _UNICAST = 254, 253, 1  # RT_TABLE_MAIN, RT_SCOPE_LINK, RTN_UNICAST
_DESTINATION, _INTERFACE = 1, 4  # RTA_DST, RTA_OIF
_LOOPBACK = 1  # the index of `lo`, in every namespace

_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ADDRESS = struct.Struct("=HH4s")
_NUMBER = struct.Struct("=HHI")


def add(namespace: NetworkNamespace) -> None:
    """Put the route in place, where it is not. Never raises: most containers have a default route besides."""
    problem = _change(namespace, _ADD, _CREATE | _EXCLUSIVE)
    if problem not in (0, errno.EEXIST):
        log.debug("no route for virtual addresses", namespace=repr(namespace), because=os.strerror(problem))


def remove(namespace: NetworkNamespace) -> None:
    """Take out the route, where there is one. Never raises: it dies with the namespace."""
    problem = _change(namespace, _DELETE, 0)
    if problem not in (0, errno.ESRCH):
        log.debug("route for virtual addresses left", namespace=repr(namespace), because=os.strerror(problem))


def _change(namespace: NetworkNamespace, kind: int, flags: int) -> int:
    """Ask the kernel; its errno."""
    network = IPv4Network(VIRTUAL)
    body = _ROUTE.pack(socket.AF_INET, network.prefixlen, 0, 0, _MAIN, PROTOCOL, _LINK, _UNICAST, 0)
    body += _ADDRESS.pack(_ADDRESS.size, _DESTINATION, network.network_address.packed)
    body += _NUMBER.pack(_NUMBER.size, _INTERFACE, _LOOPBACK)
    try:
        with namespace.netlink(socket.NETLINK_ROUTE) as question:
            question.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_AND_ACK | flags, 0, 0) + body)
            reply = question.recv(4096)
    except OSError as problem:
        return problem.errno or errno.EIO
    if _HEADER.unpack_from(reply)[1] != _ERROR:
        return errno.EPROTO
    return -int(struct.unpack_from("=i", reply, _HEADER.size)[0])
