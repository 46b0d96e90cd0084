"""What rules look at, whoever asks: a sidecar with a request or a connection in hand, or somebody who wonders."""

from __future__ import annotations

from collections.abc import Mapping

from composemesh.model.route import MESH


class Request:
    """One request, from where it was made. A plain slotted class: one is made for each request that meets rules."""

    __slots__ = ("authority", "gateway", "method", "port", "scheme", "source_labels", "target", "values")

    def __init__(
        self,
        authority: bytes,
        method: bytes,
        target: bytes,
        values: Mapping[bytes, bytes],
        *,
        port: int,
        scheme: bytes = b"http",
        gateway: str = MESH,
        source_labels: Mapping[str, str],
    ) -> None:
        self.authority = authority
        """As the caller wrote it, port included."""
        self.method = method
        self.target = target
        """Path and query."""
        self.values = values
        """Headers by lowercase name; several of one name are joined by a comma (RFC 9110, 5.3)."""
        self.port = port
        """The port that the caller connected to."""
        self.scheme = scheme
        self.gateway = gateway
        """The gateway that it came in by, or MESH for a sidecar."""
        self.source_labels = source_labels
        """Of the calling workload, its `version` included; empty at a gateway."""

    def __repr__(self) -> str:
        return f"<Request {self.method.decode('latin-1')} {self.authority.decode('latin-1')}{self.target!r}>"

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.target.partition(b"?")[0]


class Opening:
    """One connection as it is opened, from where it was made."""

    __slots__ = ("address", "gateway", "port", "sni", "source_labels")

    def __init__(
        self, address: str, port: int, *, sni: str = "", gateway: str = MESH, source_labels: Mapping[str, str]
    ) -> None:
        self.address = address
        """The IP address that the caller connected to, as `ipaddress` prints it."""
        self.port = port
        self.sni = sni
        """The server that a TLS client says it wants, in lowercase; empty where it does not say, or it isn't TLS."""
        self.gateway = gateway
        self.source_labels = source_labels

    def __repr__(self) -> str:
        return f"<Opening {self.address}:{self.port} {self.sni}>"
