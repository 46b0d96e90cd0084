"""What contexts allow; what they do on the wire is tested with the wire."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime
from typing import Any

import pytest

from composemesh.identity.ca import Authority
from composemesh.identity.contexts import client_context, server_context

NOW = datetime.now(UTC)
AUTHORITY = Authority.new("shop", NOW)
LEAF = AUTHORITY.issue(["shop.test"], NOW)
ROOT = AUTHORITY.root.decode()


def test_nothing_old_is_offered() -> None:
    context = server_context(LEAF)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    for cipher in context.get_ciphers():
        assert cipher["aead"], cipher["name"]
        assert "ECDHE" in cipher["name"] or cipher["protocol"] == "TLSv1.3"
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert not context.options & ssl.OP_IGNORE_UNEXPECTED_EOF


def test_bounds_are_obeyed() -> None:
    context = server_context(LEAF, minimum="TLSV1_3", maximum="TLSV1_3")
    assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        ({"minimum": "TLSV1_0"}, "not offered"),
        ({"maximum": "SSLV3"}, "not offered"),
        ({"minimum": "TLSV1_3", "maximum": "TLSV1_2"}, "above the highest"),
        ({"ciphers": ["ROT13"]}, "none of the cipher suites"),
    ],
)
def test_what_cannot_be_is_said(bounds: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        server_context(LEAF, **bounds)
    with pytest.raises(ValueError, match=reason):
        client_context(ROOT, **bounds)


def test_clients_are_asked_for_a_certificate_where_anybody_is_believed() -> None:
    assert server_context(LEAF).verify_mode == ssl.CERT_NONE
    assert server_context(LEAF, clients=ROOT).verify_mode == ssl.CERT_OPTIONAL
    assert server_context(LEAF, clients=ROOT, required=True).verify_mode == ssl.CERT_REQUIRED


def test_a_client_believes_nobody_by_default() -> None:
    assert client_context(ROOT).verify_mode == ssl.CERT_REQUIRED
    assert client_context(ROOT).check_hostname
    unnamed = client_context(ROOT, names=False, credentials=LEAF)
    assert unnamed.verify_mode == ssl.CERT_REQUIRED
    assert not unnamed.check_hostname


def test_keys_pass_through_no_file_and_leave_nothing_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    server_context(LEAF)
    assert len(os.listdir("/proc/self/fd")) == before
