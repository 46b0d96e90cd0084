"""The pair's identities: a root and two leaves with SPIFFE names, as a mesh's authority would issue them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CALLER = "spiffe://cluster.local/ns/bench/sa/caller"
CALLEE = "spiffe://cluster.local/ns/bench/sa/callee"
LIFE = timedelta(days=1)


def issue(folder: Path) -> None:
    """Write `root.pem`, and for `caller` and `callee` each a `.pem` and a `.key` (ECDSA P-256, as Istio's are)."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "bench")])
    root = (
        _draft(root_name, root_name, root_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    _write_certificate(folder / "root.pem", root)
    for name, identity in (("caller", CALLER), ("callee", CALLEE)):
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
        leaf = _draft(x509.Name([]), root_name, key).add_extension(names, critical=True)
        _write_certificate(folder / f"{name}.pem", leaf.sign(root_key, hashes.SHA256()))
        _write_key(folder / f"{name}.key", key)


def issue_edge(folder: Path) -> None:
    """Write `edge.pem`, `edge.key`, and both in `edge-both.pem`: what everybody shows to strangers."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = _draft(name, name, key).add_extension(names, critical=False).sign(key, hashes.SHA256())
    _write_certificate(folder / "edge.pem", certificate)
    _write_key(folder / "edge.key", key)
    both = (folder / "edge.pem").read_bytes() + (folder / "edge.key").read_bytes()
    (folder / "edge-both.pem").write_bytes(both)


def _draft(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=2))
        .not_valid_after(now + LIFE)
    )


def _write_certificate(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
