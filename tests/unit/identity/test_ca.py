"""The authority's arithmetic: who is certified as what, for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store

from composemesh.identity.ca import BACKDATED, LEAF_LIFE, Authority, new_key, spiffe_id

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def names(chain: bytes) -> list[str]:
    leaf = x509.load_pem_x509_certificate(chain)
    found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in found]


def test_a_leaf_leads_to_the_root_and_proves_its_names() -> None:
    authority = Authority.new("shop", NOW)
    leaf = x509.load_pem_x509_certificate(authority.issue(["web.localhost", "127.0.0.1"], NOW).chain)
    root = x509.load_pem_x509_certificate(authority.root)
    verifier = PolicyBuilder().store(Store([root])).time(NOW).build_server_verifier(x509.DNSName("web.localhost"))
    assert verifier.verify(leaf, []) == [leaf, root]
    other = PolicyBuilder().store(Store([root])).time(NOW).build_server_verifier(x509.DNSName("other.localhost"))
    with pytest.raises(x509.verification.VerificationError):
        other.verify(leaf, [])


def test_names_of_each_kind() -> None:
    identity = spiffe_id("shop", "cart")
    assert identity == "spiffe://cluster.local/ns/shop/sa/cart"
    chain = Authority.new("shop", NOW).issue([identity, "cart", "*.cart.test", "::1", "10.0.0.1"], NOW).chain
    assert names(chain) == [identity, "cart", "*.cart.test", "::1", "10.0.0.1"]


@pytest.mark.parametrize("wrong", [[], ["bücher.localhost"]])
def test_what_is_no_name_is_not_certified(wrong: list[str]) -> None:
    with pytest.raises(ValueError):
        Authority.new("shop", NOW).issue(wrong, NOW)


def test_a_leaf_is_short_lived_and_renewed_in_time() -> None:
    leaf = Authority.new("shop", NOW).issue(["web"], NOW)
    assert leaf.not_before == NOW - BACKDATED
    assert leaf.not_after == NOW + LEAF_LIFE
    assert leaf.not_before + (leaf.not_after - leaf.not_before) * 2 / 3 == leaf.renewal
    assert timedelta(hours=7) < leaf.not_after - leaf.renewal < timedelta(hours=9)


def test_no_leaf_outlives_its_root() -> None:
    authority = Authority.new("shop", NOW)
    late = authority.not_after - timedelta(hours=1)
    assert authority.issue(["web"], late).not_after == authority.not_after


def test_a_root_signs_leaves_and_no_authorities() -> None:
    root = x509.load_pem_x509_certificate(Authority.new("shop", NOW).root)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    usage = root.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature
    leaf = x509.load_pem_x509_certificate(Authority.new("shop", NOW).issue(["web"], NOW).chain)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_what_is_dumped_can_be_loaded() -> None:
    authority = Authority.new("shop", NOW)
    assert Authority.load(authority.dump()).root == authority.root


def test_a_strangers_key_is_refused() -> None:
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    stranger = new_key().private_bytes(pem, form, serialization.NoEncryption())
    with pytest.raises(ValueError, match="do not belong together"):
        Authority.load(stranger + Authority.new("shop", NOW).root)
    with pytest.raises(ValueError):
        Authority.load(b"nonsense")


def test_keys_are_never_printed() -> None:
    authority = Authority.new("shop", NOW)
    leaf = authority.issue(["web"], NOW)
    assert repr(leaf) == "<Credentials until 2026-11-22 09:00>"
    assert repr(authority) == "<Authority CN=composemesh root of shop,O=composemesh>"
