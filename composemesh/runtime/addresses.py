"""Addresses and `HOST:PORT`, as people write them. Apart from `ports`, which listens: pure modules read them, too."""

from __future__ import annotations

from ipaddress import ip_address


def host_and_port(said: str, *, to_listen: bool = False) -> tuple[str, int]:
    """The host, without the brackets of an IPv6 address, and the port. Raises ValueError where it is not that.

    Of what is `to_listen` the host may be empty (everywhere), and the port 0 (any).
    """
    name, _, number = said.rpartition(":")
    host = name.strip("[]")
    port = int(number) if number.isdecimal() and len(number) <= 5 else -1
    if not (0 if to_listen else 1) <= port <= 65535 or not (host or to_listen):
        raise ValueError(f"{said!r} is not HOST:PORT")
    return host, port


def is_address(text: str) -> bool:
    """Whether it is an IP address, and no name."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
