"""Certificates → `ssl.SSLContext`: what a TLS connection starts from."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence

from composemesh.identity.ca import Credentials

HTTP = ("h2", "http/1.1")
"""What is offered by ALPN (RFC 7301) where HTTP is spoken, best first."""
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3 has no other."""
VERSIONS = {
    "TLSV1_2": ssl.TLSVersion.TLSv1_2,
    "TLSV1_3": ssl.TLSVersion.TLSv1_3,
}
"""Istio's names. What is older has been forbidden since 2021 (RFC 8996), and OpenSSL's default refuses it."""


def server_context(
    credentials: Credentials,
    *,
    protocols: Sequence[str] = HTTP,
    clients: str = "",
    required: bool = False,
    minimum: str = "",
    maximum: str = "",
    ciphers: Sequence[str] = (),
) -> ssl.SSLContext:
    """What a server answers with. `clients`: PEM of the authorities whose clients are believed; `required`: whether
    nobody else is let in. Versions are those of `VERSIONS`; `ciphers` OpenSSL's names, for TLS 1.2.

    Raises ValueError, with a sentence, for ciphers or versions that there are none of.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context, minimum, maximum, ciphers)
    _present(context, credentials)
    if clients:
        context.load_verify_locations(cadata=clients)
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def client_context(
    roots: str,
    *,
    credentials: Credentials | None = None,
    names: bool = True,
    protocols: Sequence[str] = (),
    minimum: str = "",
    maximum: str = "",
    ciphers: Sequence[str] = (),
) -> ssl.SSLContext:
    """What a client begins with. `roots`: PEM of the authorities whose servers are believed; the system's where it is
    empty. `names`: whether the server must prove the name it was asked for; without that, check who it is
    yourself. Raises ValueError as `server_context` does.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = names
    _restrict(context, minimum, maximum, ciphers)
    if credentials is not None:
        _present(context, credentials)
    if roots:
        context.load_verify_locations(cadata=roots)
    else:
        context.load_default_certs()
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def _restrict(context: ssl.SSLContext, minimum: str, maximum: str, ciphers: Sequence[str]) -> None:
    try:
        context.minimum_version = VERSIONS[minimum or "TLSV1_2"]
        context.maximum_version = VERSIONS[maximum or "TLSV1_3"]
    except KeyError as unknown:
        raise ValueError(f"TLS version {unknown} is not offered: use {' or '.join(VERSIONS)}") from None
    if context.minimum_version > context.maximum_version:
        raise ValueError("the lowest TLS version is above the highest")
    try:
        context.set_ciphers(":".join(ciphers) or CIPHERS)
    except ssl.SSLError:
        raise ValueError(f"none of the cipher suites is known here: {', '.join(ciphers)}") from None
    # A renegotiation costs us a handshake, and the client a line. What ends without a close_notify was cut.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF


def _present(context: ssl.SSLContext, credentials: Credentials) -> None:
    """Python reads keys from files only. This one is in memory, has no name, and is gone when it is closed."""
    fd = os.memfd_create("credentials", os.MFD_CLOEXEC)
    with open(fd, "wb") as file:
        file.write(credentials.chain + credentials.key)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{fd}")
