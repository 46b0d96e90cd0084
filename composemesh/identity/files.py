"""Certificates that users bring: read, checked, and what is wrong with them said as Problems."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from composemesh.identity.ca import Credentials
from composemesh.model.problem import Problem, Severity

LARGEST = 1 << 20
"""Bytes of a file that can be a certificate or a key, with room for every root that there is."""


class Bad(Exception):
    """A file that can't be used: what about it, and what to do."""

    def __init__(self, file: Path, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.problem = Problem(Severity.ERROR, code, message, hint, file=str(file))


def load_credentials(certificate: Path, key: Path, now: datetime) -> tuple[Credentials | None, list[Problem]]:
    """A chain and its key out of two files, which may be one; None where there is an error among the problems."""
    try:
        chain = _certificates(certificate)
        private = _private_key(key)
        leaf = chain[0]
        if leaf.public_key() != private.public_key():
            raise Bad(
                key,
                "key-mismatch",
                f"The key is not the one of {certificate}.",
                "Name the key that the certificate was made for; in a chain the server's own comes first.",
            )
    except Bad as bad:
        return None, [bad.problem]
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    credentials = Credentials(
        b"".join(each.public_bytes(pem) for each in chain),
        private.private_bytes(pem, form, serialization.NoEncryption()),
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
    )
    return credentials, _doubts(certificate, [leaf], now)


def load_roots(file: Path, now: datetime) -> tuple[bytes, list[Problem]]:
    """The authorities of a file, PEM; nothing where there is an error among the problems."""
    try:
        roots = _certificates(file)
    except Bad as bad:
        return b"", [bad.problem]
    pem = serialization.Encoding.PEM
    return b"".join(each.public_bytes(pem) for each in roots), _doubts(file, roots, now)


def _read(file: Path) -> bytes:
    try:
        with open(file, "rb") as opened:
            data = opened.read(LARGEST + 1)
    except OSError as problem:
        raise Bad(
            file,
            "unreadable-file",
            f"The file cannot be read ({problem.strerror}).",
            "Check the path, which is taken from the folder of the Compose file, and who may read it.",
        ) from None
    if len(data) > LARGEST:
        raise Bad(file, "not-pem", "The file is too large to be a certificate or a key.", "Name a PEM file.")
    return data


def _certificates(file: Path) -> Sequence[x509.Certificate]:
    data = _read(file)
    try:
        found = x509.load_pem_x509_certificates(data)
    except (ValueError, UnsupportedAlgorithm):
        raise Bad(
            file,
            "not-pem",
            "The file holds no certificate in PEM form.",
            "It must contain -----BEGIN CERTIFICATE-----; "
            "`openssl x509 -inform der -in FILE -out FILE.pem` converts a binary one.",
        ) from None
    return found


def _private_key(file: Path) -> PrivateKeyTypes:
    data = _read(file)
    try:
        return serialization.load_pem_private_key(data, None)
    except TypeError:
        raise Bad(
            file,
            "encrypted-key",
            "The key is protected by a passphrase, which nobody is there to type.",
            "`openssl pkey -in FILE -out FILE.plain` takes it off; keep that file 0600.",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise Bad(
            file,
            "not-pem",
            "The file holds no private key in PEM form.",
            "It must contain -----BEGIN PRIVATE KEY-----.",
        ) from None


def _doubts(file: Path, certificates: Sequence[x509.Certificate], now: datetime) -> list[Problem]:
    """What clients will object to. A mesh that serves with an old certificate is better than none that serves."""
    doubts = []
    for each in certificates:
        if each.not_valid_after_utc <= now:
            message = (
                f"The certificate ended on {each.not_valid_after_utc:%Y-%m-%d %H:%M} UTC: clients will refuse it."
            )
            hint = "Renew it; the file is read again when the configuration changes."
            doubts.append(Problem(Severity.WARNING, "certificate-expired", message, hint, file=str(file)))
        elif each.not_valid_before_utc > now:
            begins = f"{each.not_valid_before_utc:%Y-%m-%d %H:%M}"
            message = f"The certificate begins on {begins} UTC: until then clients will refuse it."
            hint = "Check the clock of this machine, and of the one that made it."
            doubts.append(Problem(Severity.WARNING, "certificate-not-yet-valid", message, hint, file=str(file)))
    return doubts
