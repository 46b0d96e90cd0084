"""Whom to believe at the edge. The first table is the six examples of Envoy's documentation (x-forwarded-for)."""

from __future__ import annotations

import hashlib

import pytest

from composemesh.model.flag import Flag
from composemesh.proxy.codec.h1 import parse_request
from composemesh.proxy.codec.parts import LIMITS, RequestHead
from composemesh.proxy.edge import Edge, described, trusted_client, without_port
from composemesh.proxy.refuse import Moved, Refused, refusal

LIST = b"203.0.113.128, 203.0.113.10, 203.0.113.1"
LONGER = LIST + b", 192.0.2.5"


@pytest.mark.parametrize(
    ("edge", "trusted", "peer", "said", "client"),
    [
        (True, 0, b"192.0.2.5", LIST, b"192.0.2.5"),
        (False, 0, b"10.11.12.13", LONGER, b"192.0.2.5"),
        (True, 2, b"192.0.2.5", LIST, b"203.0.113.10"),
        (False, 2, b"10.11.12.13", LONGER, b"203.0.113.10"),
        (False, 0, b"10.20.30.40", None, b"10.20.30.40"),
        (False, 0, b"10.20.30.50", b"10.20.30.40", b"10.20.30.40"),
    ],
    ids=[f"example {number}" for number in range(1, 7)],
)
def test_as_envoy_documents_it(edge: bool, trusted: int, peer: bytes, said: bytes | None, client: bytes) -> None:
    assert trusted_client(said, peer, trusted, edge=edge) == client


@pytest.mark.parametrize(
    ("trusted", "said", "client"),
    [
        (3, LIST, b"203.0.113.128"),
        (4, LIST, b"192.0.2.5"),
        (1, None, b"192.0.2.5"),
        (1, b"", b"192.0.2.5"),
        (1, b"unknown", b"192.0.2.5"),
        (1, b"_hidden, \xff", b"192.0.2.5"),
        (1, b"203.0.113.9,2001:db8::1", b"2001:db8::1"),
        (2, b"203.0.113.9 ,\t10.0.0.1", b"203.0.113.9"),
        (1, b"203.0.113.9:1234", b"192.0.2.5"),
        (1, b"203.0.113.9,", b"192.0.2.5"),
    ],
)
def test_lists_that_are_short_or_odd_leave_the_peer(trusted: int, said: bytes | None, client: bytes) -> None:
    assert trusted_client(said, b"192.0.2.5", trusted) == client


def head(*lines: bytes, target: bytes = b"/path?q=1", host: bytes = b"shop.test") -> RequestHead:
    raw = b"".join(line + b"\r\n" for line in (b"GET " + target + b" HTTP/1.1", b"Host: " + host, *lines))
    return parse_request(raw + b"\r\n", LIMITS)


def sent(edge: Edge, *lines: bytes) -> dict[bytes, list[bytes]]:
    fields, _ = edge.request_fields(head(*lines), b"192.0.2.5")
    found: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        found.setdefault(name.lower(), []).append(value)
    return found


LIES = (
    b"X-Forwarded-For: 1.2.3.4",
    b"X-Forwarded-Proto: https",
    b"X-Envoy-External-Address: 10.0.0.1",
    b"X-Envoy-Internal: true",
    b"X-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/shop/sa/admin",
)


def test_what_strangers_claim_is_replaced_or_taken_away() -> None:
    fields = sent(Edge(b"http"), *LIES)
    assert fields[b"x-forwarded-for"] == [b"1.2.3.4,192.0.2.5"]  # appended to, as proxies do; nothing here trusts it
    assert fields[b"x-forwarded-proto"] == [b"http"]
    assert fields[b"x-envoy-external-address"] == [b"192.0.2.5"]
    assert b"x-envoy-internal" not in fields
    assert b"x-forwarded-client-cert" not in fields


def test_what_a_trusted_proxy_says_is_believed() -> None:
    fields = sent(Edge(b"http", 1), *LIES)
    assert fields[b"x-forwarded-proto"] == [b"https"]
    assert fields[b"x-envoy-external-address"] == [b"1.2.3.4"]
    fields = sent(Edge(b"https", 1), b"X-Forwarded-Proto: gopher")
    assert fields[b"x-forwarded-proto"] == [b"https"]


def to_https(_: bytes) -> int:
    return 443


def test_a_request_in_clear_is_sent_to_https() -> None:
    with pytest.raises(Moved) as moved:
        Edge(b"http", 0, to_https).admit(head())
    answer, _ = refusal(moved.value)
    assert answer.status == 301
    assert dict(answer.fields)[b"location"] == b"https://shop.test/path?q=1"
    assert moved.value.flag is Flag.NONE


@pytest.mark.parametrize(
    ("port", "host", "target", "location"),
    [
        (443, b"shop.test:80", b"/", b"https://shop.test/"),
        (8443, b"shop.test:8080", b"/a?b", b"https://shop.test:8443/a?b"),
        (8443, b"[::1]:8080", b"/", b"https://[::1]:8443/"),
        (443, b"shop.test", b"http://shop.test/absolute", b"https://shop.test/absolute"),
    ],
)
def test_the_redirect_names_the_port_of_https(port: int, host: bytes, target: bytes, location: bytes) -> None:
    with pytest.raises(Moved) as moved:
        Edge(b"http", 0, lambda _: port).admit(head(target=target, host=host))
    assert moved.value.location == location


def test_whoever_came_by_https_is_let_in() -> None:
    Edge(b"https", 0, to_https).admit(head())
    Edge(b"http", 1, to_https).admit(head(b"X-Forwarded-Proto: https"))
    with pytest.raises(Moved):
        Edge(b"http", 0, to_https).admit(head(b"X-Forwarded-Proto: https"))
    Edge(b"http").admit(head())
    Edge(b"http", 0, lambda _: 0).admit(head())


def test_nobody_is_sent_to_no_host() -> None:
    bare = parse_request(b"GET / HTTP/1.0\r\n\r\n", LIMITS)
    with pytest.raises(Refused, match="no host") as refused:
        Edge(b"http", 0, to_https).admit(bare)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("authority", "host"),
    [(b"a", b"a"), (b"a:80", b"a"), (b"a:", b"a"), (b"[::1]", b"[::1]"), (b"[::1]:80", b"[::1]"), (b"", b"")],
)
def test_authorities(authority: bytes, host: bytes) -> None:
    assert without_port(authority) == host


def test_a_clients_certificate_is_described_as_envoy_does() -> None:
    names = {
        "subject": ((("countryName", "US"),), (("organizationName", "Lyft"),), (("commonName", "Test Client"),)),
        "subjectAltName": (("URI", "spiffe://cluster.local/ns/shop/sa/cart"), ("DNS", "cart.test"), ("email", "a@b")),
    }
    assert (
        described(b"der", names)
        == (
            f"Hash={hashlib.sha256(b'der').hexdigest()};"
            'Subject="CN=Test Client,O=Lyft,C=US";URI=spiffe://cluster.local/ns/shop/sa/cart;DNS=cart.test'
        ).encode()
    )


def test_nothing_in_a_certificate_ends_its_description() -> None:
    names = {
        "subject": ((("commonName", 'a";URI=spiffe://evil\\\r\nX-Evil: 1'),),),
        "subjectAltName": (("URI", "spiffe://a;URI=spiffe://b,By=c\r\n"), ("DNS", 'x"y')),
    }
    value = described(b"", names).partition(b";")[2]
    assert value == (
        b'Subject="CN=a\\";URI=spiffe://evil\\\\  X-Evil: 1";URI=spiffe://a%3BURI=spiffe://b%2CBy=c%0D%0A;DNS=x%22y'
    )


def test_only_what_was_shown_is_passed_on() -> None:
    edge = Edge(b"https")
    assert b"x-forwarded-client-cert" not in sent(edge, *LIES)
    edge.certificate = b"Hash=00"
    assert sent(edge, *LIES)[b"x-forwarded-client-cert"] == [b"Hash=00"]
