"""An authority as arithmetic: keys, names and a moment in, certificates out. No disk, no clock.

Keys are ECDSA on P-256, as Istio's and SPIRE's are: every client takes them, and signing costs a tenth of RSA's time.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey
ROOT_LIFE = timedelta(days=3650)
"""Users trust a root by hand, so it should stay. Whoever doubts it removes the file: the next start makes another."""
LEAF_LIFE = timedelta(hours=24)
"""Istio's. What is stolen is worthless tomorrow."""
BACKDATED = timedelta(minutes=5)
"""How far the clock of whoever checks a new certificate may lag behind ours."""
TRUST_DOMAIN = "cluster.local"
"""Istio's default, so that policies written for it read the same here."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate with its key: what a server, or a client with an identity, needs to have."""

    chain: bytes
    """PEM: the certificate, then those that lead to a root, without the root."""
    key: bytes
    """PEM, PKCS #8."""
    not_before: datetime
    not_after: datetime

    def __repr__(self) -> str:
        return f"<Credentials until {self.not_after:%Y-%m-%d %H:%M}>"  # never the key

    @property
    def renewal(self) -> datetime:
        """When a successor should take over: two thirds through, so that there is time to try again."""
        return self.not_before + (self.not_after - self.not_before) * 2 / 3


class Authority:
    """A root certificate with its key."""

    def __init__(self, certificate: x509.Certificate, key: PrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    def __repr__(self) -> str:
        return f"<Authority {self._certificate.subject.rfc4514_string()}>"

    @classmethod
    def new(cls, project: str, now: datetime) -> Authority:
        """A new root, which signs leaves and no other authorities."""
        key = new_key()
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "composemesh"),
                x509.NameAttribute(NameOID.COMMON_NAME, f"composemesh root of {project}"[:64]),
            ]
        )
        certificate = (
            _draft(name, name, key, now, ROOT_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, pem: bytes) -> Authority:
        """Out of what `dump` made. Raises ValueError."""
        key = serialization.load_pem_private_key(pem, None)
        certificate = x509.load_pem_x509_certificate(pem)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
            raise ValueError("the certificate and the key do not belong together")
        return cls(certificate, key)

    def dump(self) -> bytes:
        """Key and certificate, PEM. A secret."""
        return _pem(self._key) + self.root

    @property
    def root(self) -> bytes:
        """The certificate, PEM: what others trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def not_after(self) -> datetime:
        return self._certificate.not_valid_after_utc

    def issue(
        self,
        names: Iterable[str],
        now: datetime,
        *,
        life: timedelta = LEAF_LIFE,
        key: PrivateKey | None = None,
    ) -> Credentials:
        """A certificate for servers and clients of these names: DNS names, IP addresses, `spiffe://` URIs.

        `key`: one of an earlier certificate, where making a new one would cost too much. Raises ValueError where a
        name is none, or there is none at all.
        """
        alternatives = [_general_name(name) for name in names]
        if not alternatives:
            raise ValueError("a certificate without a name proves nothing")
        key = key or new_key()
        life = min(life, self.not_after - now)
        certificate = (
            _draft(x509.Name([]), self._certificate.subject, key, now, life)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=True)  # RFC 5280, 4.2.1.6
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        chain = certificate.public_bytes(serialization.Encoding.PEM)
        return Credentials(chain, _pem(key), certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def spiffe_id(project: str, service: str, trust_domain: str = TRUST_DOMAIN) -> str:
    """A service's identity in Istio's form, with the project for the namespace."""
    return f"spiffe://{trust_domain}/ns/{project}/sa/{service}"


def new_key() -> PrivateKey:
    """A key of the kind that all certificates here have; 20 µs."""
    return ec.generate_private_key(ec.SECP256R1())


def _general_name(name: str) -> x509.GeneralName:
    if name.startswith("spiffe://"):
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _draft(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
