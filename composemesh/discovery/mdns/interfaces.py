"""The interfaces that mDNS is spoken on: what was said (names, addresses) → addresses of this host, and networks."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_interface

from composemesh.discovery.mdns.translate import Network

ELSEWHERE = ("192.0.2.1", 9)
"""An address that is nobody's (RFC 5737): whoever asks the way there is told the interface of the default route."""


class NoInterface(Exception):
    """There is nothing to listen on; the message is one sentence for whoever configured it."""


@dataclass(frozen=True, slots=True)
class Interfaces:
    """Where we listen."""

    addresses: tuple[str, ...]
    """Our own IPv4 addresses there."""
    networks: tuple[Network, ...]


def look_up(said: Sequence[str]) -> Interfaces:
    """What these interfaces are at this moment; of none, the one of the default route. Raises NoInterface.

    To be called in a thread: the kernel is asked for all of them.
    """
    import ifaddr

    wanted = tuple(said) or (_default(),)
    addresses: list[str] = []
    networks: list[Network] = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            own = ip_interface(f"{_text(ip.ip)}/{ip.network_prefix}")
            if adapter.nice_name not in wanted and str(own.ip) not in wanted:
                continue
            networks.append(own.network)
            if own.version == 4:
                addresses.append(str(own.ip))
    if not addresses:
        raise NoInterface(f"This host has no interface {', '.join(wanted)} with an IPv4 address.")
    return Interfaces(tuple(sorted(addresses)), tuple(networks))


def _text(address: str | tuple[str, int, int]) -> str:
    """ifaddr gives IPv6 addresses with their flow and scope."""
    return address if isinstance(address, str) else address[0].partition("%")[0]


def _default() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)  # of a datagram socket: nothing is sent
        except OSError:
            raise NoInterface(
                "This host has no default route that would tell which network mDNS is meant for: name its interface."
            ) from None
        address: str = probe.getsockname()[0]
        return address
