"""Contexts that stay current: names, renewal, files that change, and what stays when they change for the worse."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from composemesh.identity import issuer
from composemesh.identity.ca import LEAF_LIFE, Authority, spiffe_id
from composemesh.identity.contexts import client_context
from composemesh.identity.issuer import LOCAL, Issued, Loaded, identity, server_contexts
from composemesh.model.gateway import Server, ServerProtocol, TlsMode, TlsSettings

NOW = datetime.now(UTC)
AUTHORITY = Authority.new("shop", NOW)


def server(settings: TlsSettings, protocol: ServerProtocol = ServerProtocol.HTTPS) -> Server:
    return Server(443, protocol, ("*",), tls=settings)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def served(context: ssl.SSLContext | None, name: str = "any.localhost") -> x509.Certificate:
    """The certificate that a client would see: a handshake in memory."""
    assert context is not None
    trusting = client_context(AUTHORITY.root.decode(), names=False)
    trusting.verify_mode = ssl.CERT_NONE
    ways = [ssl.MemoryBIO(), ssl.MemoryBIO()]
    client = trusting.wrap_bio(ways[0], ways[1], server_hostname=name)
    server = context.wrap_bio(ways[1], ways[0], server_side=True)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
    der = client.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def names(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in found]


@pytest.mark.parametrize(
    ("hosts", "asked", "certified"),
    [
        (["*"], "reviews.localhost", ["reviews.localhost"]),
        (["*"], "REVIEWS.localhost.", ["reviews.localhost"]),
        (["*.localhost"], "a.b.localhost", ["a.b.localhost"]),
        (["shop.test"], "shop.test", ["shop.test"]),
        (["*.shop.test"], "www.shop.test", ["www.shop.test"]),
        (["*"], "", list(LOCAL)),
        (["*"], "localhost", list(LOCAL)),
        (["*"], "bank.example", list(LOCAL)),
        (["*.shop.test"], "bank.example", list(LOCAL)),
        (["*.shop.test"], "evil.localhost", list(LOCAL)),
        (["shop.test", "*.x.test"], "", [*LOCAL, "shop.test"]),
        (["*"], "127.0.0.1", list(LOCAL)),
        (["*"], "a..localhost", list(LOCAL)),
        (["*"], "a b.localhost", list(LOCAL)),
        (["*"], "ä.localhost", list(LOCAL)),
        (["*"], f"{'a' * 64}.localhost", list(LOCAL)),
        (["*"], f"{'a.' * 130}localhost", list(LOCAL)),
    ],
)
def test_only_names_that_are_its_own_are_certified(
    clock: Clock, hosts: list[str], asked: str, certified: list[str]
) -> None:
    made = Issued(AUTHORITY, TlsSettings(), hosts, clock)
    assert names(served(made.of(asked))) == certified


def test_a_name_is_certified_once_and_again_two_thirds_through(clock: Clock) -> None:
    made = Issued(AUTHORITY, TlsSettings(), ["*"], clock)
    first = made.of("web.localhost")
    clock.now += LEAF_LIFE * 0.6
    assert made.of("web.localhost") is first
    clock.now += LEAF_LIFE * 0.1
    second = made.of("web.localhost")
    assert second is not first
    assert served(second).not_valid_after_utc == (clock.now + LEAF_LIFE).replace(microsecond=0)


def test_a_clock_that_was_set_back_makes_a_new_one(clock: Clock) -> None:
    made = Issued(AUTHORITY, TlsSettings(), ["*"], clock)
    first = made.of("web.localhost")
    clock.now -= timedelta(hours=1)
    assert made.of("web.localhost") is not first


def test_strangers_cannot_fill_the_memory(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer, "MOST_NAMES", 3)
    made = Issued(AUTHORITY, TlsSettings(), ["*"], clock)
    kept = made.of("0.localhost")
    for number in range(5):
        made.of(f"{number}.localhost")
        assert made.of("0.localhost") is kept, "what is in use stays"
    assert "3 names" in repr(made)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (TlsSettings(ciphers=("ROT13",)), "none of the cipher suites"),
        (TlsSettings(minimum="TLSV1_1"), "not offered"),
        (TlsSettings(mode=TlsMode.MUTUAL, ca="/nowhere/ca.pem"), "cannot be read"),
    ],
)
def test_settings_that_cannot_be_are_problems_at_once(settings: TlsSettings, reason: str) -> None:
    made = server_contexts(AUTHORITY, server(settings))
    assert made.of("web.localhost") is None
    assert len(made.problems) == 1
    assert reason in made.problems[0].message


def write(folder: Path, now: datetime, name: str = "shop.test") -> TlsSettings:
    leaf = AUTHORITY.issue([name], now)
    (folder / "tls.pem").write_bytes(leaf.chain)
    (folder / "tls.key").write_bytes(leaf.key)
    return TlsSettings(certificate=str(folder / "tls.pem"), key=str(folder / "tls.key"))


def test_files_are_served_as_they_are_and_read_again_when_they_change(tmp_path: Path, clock: Clock) -> None:
    made = Loaded(AUTHORITY, write(tmp_path, NOW), clock)
    first = made.of("anything")
    assert names(served(first)) == ["shop.test"]
    write(tmp_path, NOW, "new.test")
    assert made.of("") is first, "not looked at for every connection"
    clock.now += issuer.LOOK
    assert names(served(made.of(""))) == ["new.test"]


def test_what_gets_worse_leaves_the_last_good_one_in_service(tmp_path: Path, clock: Clock) -> None:
    settings = write(tmp_path, NOW)
    made = Loaded(AUTHORITY, settings, clock)
    good = made.of("")
    os.unlink(settings.key)
    clock.now += issuer.LOOK
    assert made.of("") is good
    assert [problem.code for problem in made.problems] == ["unreadable-file"]
    write(tmp_path, NOW)
    clock.now += issuer.LOOK
    assert made.of("") is not good
    assert made.problems == ()


def test_what_was_never_good_is_no_context(tmp_path: Path) -> None:
    made = server_contexts(AUTHORITY, server(TlsSettings(certificate=str(tmp_path / "none.pem"))))
    assert made.of("") is None
    assert [problem.code for problem in made.problems] == ["unreadable-file"]


@pytest.mark.parametrize(
    ("mode", "verify"),
    [
        (TlsMode.SIMPLE, ssl.CERT_NONE),
        (TlsMode.OPTIONAL_MUTUAL, ssl.CERT_OPTIONAL),
        (TlsMode.MUTUAL, ssl.CERT_REQUIRED),
    ],
)
def test_modes(mode: TlsMode, verify: ssl.VerifyMode) -> None:
    context = server_contexts(AUTHORITY, server(TlsSettings(mode))).of("")
    assert context is not None
    assert context.verify_mode == verify


def peer(side: ssl.SSLObject) -> list[str]:
    der = side.getpeercert(binary_form=True)
    assert der is not None
    return names(x509.load_der_x509_certificate(der))


def shake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    ways = [ssl.MemoryBIO(), ssl.MemoryBIO()]
    there = client.wrap_bio(ways[0], ways[1])
    here = server.wrap_bio(ways[1], ways[0], server_side=True)
    for side in (there, here, there, here):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
    return here, there


def test_identities_know_each_other_and_change_while_they_talk(clock: Clock) -> None:
    clock.now -= LEAF_LIFE * 0.7  # OpenSSL looks at the clock on the wall
    cart, _ = identity(AUTHORITY, spiffe_id("shop", "cart"), clock)
    _, front = identity(AUTHORITY, spiffe_id("shop", "front"), clock)
    here, there = shake(cart.current, front.current)
    assert peer(here) == ["spiffe://cluster.local/ns/shop/sa/front"]
    assert peer(there) == ["spiffe://cluster.local/ns/shop/sa/cart"]

    before = cart.current, front.current
    clock.now += LEAF_LIFE * 0.7
    assert cart.current is not before[0]
    assert front.current is not before[1]
    there.write(b"still here")
    assert here.read() == b"still here"
    shake(cart.current, front.current)


def test_an_identity_shakes_hands_with_its_own_authoritys_only(clock: Clock) -> None:
    cart, _ = identity(AUTHORITY, spiffe_id("shop", "cart"), clock)
    _, stranger = identity(Authority.new("else", NOW), spiffe_id("shop", "front"), clock)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(cart.current, stranger.current)
    with pytest.raises(ssl.SSLError):
        shake(cart.current, client_context(AUTHORITY.root.decode(), names=False))
