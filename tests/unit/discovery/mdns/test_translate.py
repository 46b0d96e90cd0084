"""What announcements come to, whoever sends them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composemesh.discovery.mdns.translate import MOST_PROBLEMS, Announcement, Found, translate
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import HOST, Kind

LAN = (ip_network("192.168.1.0/24"), ip_network("fd00:1::/64"))
LOOPBACK = (ip_network("127.0.0.0/8"),)


def heard(
    instance: str = "Printer",
    port: int = 80,
    *addresses: str,
    type: str = "_http._tcp",  # noqa: A002
    **txt: str,
) -> Announcement:
    return Announcement(type, instance, port, addresses or ("192.168.1.9",), txt)


def found(
    *announcements: Announcement,
    taken: frozenset[str] = frozenset(),
    networks: Sequence[IPv4Network | IPv6Network] = LAN,
) -> Found:
    return translate(announcements, "ours", taken, networks)


def why(result: Found) -> str:
    (problem,) = result.problems
    assert result.workloads == ()
    assert "\n" not in problem.message
    return problem.message


def test_an_announcement_is_a_workload() -> None:
    (workload,) = found(heard("Kitchen Printer", 8080, "192.168.1.9", version="v2")).workloads
    assert (workload.compose_service, workload.kind, workload.ports) == ("kitchen-printer", Kind.FOUND, (8080,))
    assert workload.attachments[0].network == HOST
    assert workload.addresses == ("192.168.1.9",)
    settings = Snapshot("shop").settings_of(workload)
    assert (settings.service, settings.version) == ("kitchen-printer", "v2")


@pytest.mark.parametrize(
    ("type_", "protocol"),
    [("_http._tcp", "http"), ("_grpc._tcp", "http"), ("_https._tcp", "tcp"), ("_mysql._tcp", "tcp")],
)
def test_the_type_says_what_is_spoken(type_: str, protocol: str) -> None:
    (workload,) = found(heard(type=type_, port=99)).workloads
    assert workload.labels["x-mesh.ports.99"] == protocol


def test_what_we_announce_ourselves_is_nothing_new() -> None:
    assert found(heard(mesh="ours")) == Found()
    assert found(heard(mesh="theirs")).workloads


def test_a_name_of_the_project_is_never_given_away() -> None:
    taken = frozenset({"printer"})
    assert "has a service printer of its own" in why(found(heard("PRINTER"), taken=taken))
    assert "has a service printer of its own" in why(found(heard("x", service="printer"), taken=taken))


def test_two_of_one_name_are_one_service_only_if_both_say_so() -> None:
    same = found(heard("a", service="api", version="v1"), heard("b", service="api", version="v2"))
    assert [each.compose_service for each in same.workloads] == ["api", "api"]
    assert same.problems == ()
    for first, second in (
        (heard("api"), heard("b", service="api")),
        (heard("b", service="api"), heard("API")),
        (heard("a", service="api"), heard("b", service="api", type="_grpc._tcp")),
    ):
        result = found(first, second)
        assert [each.id for each in result.workloads] == [first.id]
        (problem,) = result.problems
        assert f"api is '{first.instance}' already" in problem.message


def test_whoever_was_left_out_keeps_nobody_out() -> None:
    result = found(heard("a", 0, service="api"), heard("b", 80, service="api"))
    assert [each.id for each in result.workloads] == ["mdns:_http._tcp:b"]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("224.0.0.251", "for multicast"),
        ("ff02::fb", "for multicast"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("127.0.0.1", "this host's own loopback"),
        ("::1", "this host's own loopback"),
        ("169.254.169.254", "on no network"),
        ("172.17.0.2", "on no network"),
        ("192.168.1.255", "for broadcast"),
        ("fe80::1", "link-local"),
        ("::ffff:192.168.1.9", "on no network"),
        ("nonsense\n", "is no address"),
    ],
)
def test_an_address_is_where_it_was_heard(address: str, reason: str) -> None:
    assert reason in why(found(heard("x", 80, address)))


def test_of_several_addresses_the_good_ones_count() -> None:
    (workload,) = found(heard("x", 80, "127.0.0.1", "fd00:1::9", "192.168.1.9")).workloads
    assert workload.addresses == ("192.168.1.9", "fd00:1::9")


def test_loopback_counts_where_loopback_is_listened_on() -> None:
    assert found(heard("x", 80, "127.0.0.1"), networks=LOOPBACK).workloads
    assert "on no network" in why(found(heard("x", 80, "192.168.1.9"), networks=LOOPBACK))


@pytest.mark.parametrize(
    "announcement",
    [
        heard("…"),
        heard("127"),
        heard("localhost"),
        heard("x", service="a.b"),
        heard("x", service="a" * 64),
        heard("x", service="-a"),
        heard("x", 0),
        heard("x", 65536),
        heard("x", version="../v1"),
        heard("x", version="v" * 64),
    ],
)
def test_what_makes_no_workload_is_one_line(announcement: Announcement) -> None:
    assert why(found(announcement)).startswith("mDNS: ")


def test_a_flood_of_nonsense_is_a_few_lines() -> None:
    result = found(*(heard(f"…{number}", 0) for number in range(1000)))
    assert len(result.problems) == MOST_PROBLEMS + 1
    assert result.problems[-1].message == f"mDNS: {1000 - MOST_PROBLEMS} more announcements were left out."


ADDRESSES = st.one_of(st.ip_addresses().map(str), st.just("192.168.1.7"), st.text(max_size=20))
TXT = st.dictionaries(st.sampled_from(["service", "version", "mesh"]), st.text(max_size=80), max_size=3)
ANNOUNCEMENTS = st.builds(
    Announcement,
    st.sampled_from(["_http._tcp", "_grpc._tcp", "_x._tcp"]),
    st.text(max_size=63),
    st.integers(-1, 70000),
    st.lists(ADDRESSES, max_size=4).map(tuple),
    TXT,
)


@given(st.lists(ANNOUNCEMENTS, max_size=8))
def test_whatever_is_announced_names_are_labels_and_addresses_are_here(announcements: list[Announcement]) -> None:
    result = found(*announcements, taken=frozenset({"web"}))
    for workload in result.workloads:
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", workload.compose_service)
        assert re.fullmatch(r"[-a-z0-9]{1,63}", workload.name)
        assert workload.compose_service != "web"
        assert all(any(_within(address, network) for network in LAN) for address in workload.addresses)
        assert 0 < workload.ports[0] < 65536
    for problem in result.problems:
        assert problem.message.isascii()
        assert problem.message.isprintable()
        assert len(problem.message) < 600


def _within(address: str, network: IPv4Network | IPv6Network) -> bool:
    return ip_network(address).version == network.version and ip_network(address).subnet_of(network)  # type: ignore[arg-type] # of one version
