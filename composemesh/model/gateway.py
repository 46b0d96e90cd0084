"""Ways into the mesh from outside: ports of the host, who is served on them, and under which certificate."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from composemesh.model.origin import NOWHERE, Origin


class ServerProtocol(enum.StrEnum):
    """What clients of a server speak (Istio's `Port.protocol`). MONGO and its like are TCP here."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    """HTTP within TLS, which this server terminates, or, where its mode says so, passes through."""
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    TLS = "TLS"
    """TLS with something other than HTTP in it."""
    TCP = "TCP"


HTTP_IN_CLEAR = frozenset({ServerProtocol.HTTP, ServerProtocol.HTTP2, ServerProtocol.GRPC})


class TlsMode(enum.StrEnum):
    """What a server does with TLS (Istio's `ServerTLSSettings.mode`)."""

    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    """Clients must have a certificate."""
    OPTIONAL_MUTUAL = "OPTIONAL_MUTUAL"
    """Clients may have one, which then must be right."""
    PASSTHROUGH = "PASSTHROUGH"
    """The server name decides where it goes; nothing is decrypted."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How a server proves who it is (ServerTLSSettings). Files are absolute paths of PEM files."""

    mode: TlsMode = TlsMode.SIMPLE
    certificate: str = ""
    """Empty for one that the mesh's own authority issues (`tls: auto`)."""
    key: str = ""
    ca: str = ""
    """The authorities whose clients are believed; empty for the mesh's own."""
    minimum: str = ""
    """`TLSV1_2` or `TLSV1_3`; empty for the lowest that is safe."""
    maximum: str = ""
    ciphers: tuple[str, ...] = ()
    """OpenSSL's names, for TLS 1.2; empty for those that are safe."""
    https_redirect: bool = False
    """Of a server in clear: whether it answers everything with a 301 to HTTPS."""


@dataclass(frozen=True, slots=True)
class Server:
    """One port, and who is served there (Gateway.servers[])."""

    port: int
    protocol: ServerProtocol = ServerProtocol.HTTP
    hosts: tuple[str, ...] = ("*",)
    """Lowercase names; `*` and `*.x` are patterns. Others get a 404, or, in TLS, no connection."""
    bind: str = ""
    """An IP address of this host; empty for all of them, IPv4 and IPv6."""
    tls: TlsSettings | None = None
    name: str = ""
    origin: Origin = NOWHERE
    introduced: bool = False
    """Whether clients are introduced by a proxy in front, in the PROXY protocol."""

    @property
    def terminates(self) -> bool:
        """Whether TLS ends here."""
        return self.encrypted and self.tls is not None and self.tls.mode is not TlsMode.PASSTHROUGH

    @property
    def encrypted(self) -> bool:
        """Whether clients begin with TLS."""
        return self.protocol in (ServerProtocol.HTTPS, ServerProtocol.TLS)

    @property
    def speaks_http(self) -> bool:
        """Whether requests can be seen here."""
        return self.protocol in HTTP_IN_CLEAR or (self.protocol is ServerProtocol.HTTPS and self.terminates)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A named set of servers. Rules mean it by that name among their gateways."""

    name: str
    servers: tuple[Server, ...] = ()
    trusted_proxies: int = 0
    """How many proxies in front of it are believed in what they say of the client (Istio's `numTrustedProxies`)."""
    origin: Origin = NOWHERE
