"""Who listens where, for each kind of client."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from composemesh.model.entry import EntryEndpoint, EntryPort, Resolution, Scope, ServiceEntry
from composemesh.model.route import Destination, HttpRule, VirtualHost, WeightedDestination
from composemesh.model.snapshot import Egress, MeshSettings, Protocol, ServiceSettings
from composemesh.model.workload import Discovered
from composemesh.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE, Generated, Node, generate
from composemesh.xds.resources.listeners import OwnAddresses
from composemesh.xds.resources.node import OWN_ADDRESSES
from unit.xds.meshes import SHOP, read, snapshot, told, workload

OWN = Node("sidecar~productpage")
REDIRECTED = Node("sidecar~productpage", metadata={"LISTEN": "original_dst"})
GRPC = Node("sidecar~productpage", user_agent="gRPC Python")
DATABASE = Discovered((*SHOP.workloads, workload("db", 7, ports=(5432,))))
SERVICES = {**snapshot().services, "db": ServiceSettings("db", ports={5432: Protocol.TCP})}
ENTRY = ServiceEntry(("api.example.com",), (EntryPort(443, "tls"), EntryPort(80, "http")), resolution=Resolution.DNS)


def listener_of(said: Generated, name: str) -> dict[str, object]:
    return told(said, LISTENER, name)


# === addresses of its own ===


def test_every_callee_has_an_address_at_its_own_port() -> None:
    said = generate(snapshot(), SHOP, OWN)
    assert set(said[LISTENER]) == {"productpage:9080", "reviews:9080", "ratings:9080"}
    places = {
        (each.address.socket_address.address, each.address.socket_address.port_value)
        for each in map(read, said[LISTENER].values())
    }
    assert len(places) == 3
    assert {port for _, port in places} == {9080}
    assert all(IPv4Address(address) in IPv4Network(OWN_ADDRESSES) for address, _ in places)


def test_an_address_is_made_of_two_names_and_nothing_else() -> None:
    first = OwnAddresses(Node("sidecar~a")).of("reviews")
    assert first == OwnAddresses(Node("other-id", metadata={"WORKLOAD": "a"})).of("reviews")
    assert first != OwnAddresses(Node("sidecar~b")).of("reviews")
    assert first != OwnAddresses(Node("sidecar~a")).of("ratings")


@pytest.mark.parametrize("network", ["10.0.0.0/30", "10.0.0.0/31", "10.0.0.7/32"])
def test_small_networks_have_addresses_too(network: str) -> None:
    own = OwnAddresses(Node("x", metadata={"LISTEN": network}))
    assert all(IPv4Address(own.of(str(n))) in IPv4Network(network) for n in range(50))


def test_two_callees_at_one_address_are_told_apart_or_named() -> None:
    tight = Node("sidecar~productpage", metadata={"LISTEN": "10.0.0.7/32"})
    said = generate(snapshot(services=SERVICES), DATABASE, tight)
    assert len(said[LISTENER]) == 2  # ports 9080 and 5432
    assert len(said.problems) == 2
    assert all("10.0.0.7" in each.message and "--listen" in each.hint for each in said.problems)


def test_what_nobody_declared_is_found_out_and_tcp_is_passed_on() -> None:
    said = generate(snapshot(services=SERVICES), DATABASE, OWN)
    reviews, db = read(said[LISTENER]["reviews:9080"]), read(said[LISTENER]["db:5432"])
    assert [each.name for each in reviews.listener_filters] == ["envoy.filters.listener.http_inspector"]
    assert list(reviews.filter_chains[0].filter_chain_match.application_protocols) == ["http/1.0", "http/1.1", "h2c"]
    assert not db.listener_filters
    assert not db.filter_chains
    assert [each.name for each in db.default_filter_chain.filters] == ["envoy.filters.network.tcp_proxy"]
    assert "db:5432" not in said[ROUTE]


def test_a_service_whose_ports_nobody_names_is_a_problem() -> None:
    silent = Discovered((SHOP.workloads[0], workload("silent", 9, ports=())))
    said = generate(snapshot(), silent, OWN)
    assert [(each.code, each.resource) for each in said.problems] == [("xds-not-expressed", "service silent")]
    assert generate(snapshot(), silent, REDIRECTED).problems == ()


def test_hosts_that_only_rules_know_have_a_listener() -> None:
    rule = HttpRule((), (WeightedDestination(Destination("reviews", port=9080)),))
    said = generate(snapshot(virtual_hosts=(VirtualHost(("front.example",), http=(rule,)),)), SHOP, OWN)
    assert "front.example:9080" in said[LISTENER]
    route = told(said, ROUTE, "front.example:9080")["virtual_hosts"][0]["routes"][0]
    assert route["route"]["cluster"] == "outbound|9080||reviews"


# === declared hosts ===


def test_declared_hosts_are_looked_up_by_envoy() -> None:
    said = generate(snapshot(entries=(ENTRY,)), SHOP, OWN)
    cluster = told(said, CLUSTER, "outbound|443||api.example.com")
    assert cluster["type"] == "STRICT_DNS"
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": "api.example.com", "port_value": 443}
    assert told(generate(snapshot(entries=(ENTRY,)), SHOP, GRPC), CLUSTER, "outbound|80||api.example.com")[
        "type"
    ] == ("LOGICAL_DNS")


def test_endpoints_of_entries_have_their_own_ports_and_weights() -> None:
    endpoints = (EntryEndpoint("10.1.0.1", {"web": 8081}, weight=3), EntryEndpoint("10.1.0.2"))
    entry = ServiceEntry(
        ("db.example",), (EntryPort(80, "http", "web", 8080),), resolution=Resolution.STATIC, endpoints=endpoints
    )
    said = generate(snapshot(entries=(entry,)), SHOP, OWN)
    assignment = read(said[ENDPOINT]["outbound|80||db.example"])
    assert [
        (
            each.endpoint.address.socket_address.address,
            each.endpoint.address.socket_address.port_value,
            each.load_balancing_weight.value,
        )
        for each in assignment.endpoints[0].lb_endpoints
    ] == [("10.1.0.1", 8081, 3), ("10.1.0.2", 8080, 1)]


def test_where_a_connection_was_going_is_known_only_if_it_was_redirected() -> None:
    anywhere = ServiceEntry(("*.wild.example",), (EntryPort(80, "http"),), resolution=Resolution.NONE)
    said = generate(snapshot(entries=(anywhere,)), SHOP, OWN)
    assert {each.resource for each in said.problems} == {"ServiceEntry *.wild.example", "*.wild.example:80"}
    redirected = generate(snapshot(entries=(anywhere,)), SHOP, REDIRECTED)
    assert redirected.problems == ()
    assert told(redirected, CLUSTER, "outbound|80||*.wild.example")["type"] == "ORIGINAL_DST"


# === redirected ===


def test_one_entrance_and_a_listener_a_port() -> None:
    said = generate(snapshot(services=SERVICES), DATABASE, REDIRECTED)
    assert set(said[LISTENER]) == {"virtualOutbound", "0.0.0.0_9080", "0.0.0.0_5432"}
    assert read(said[LISTENER]["virtualOutbound"]).use_original_dst.value
    assert not read(said[LISTENER]["0.0.0.0_9080"]).bind_to_port.value
    hosts = {each["name"]: each["domains"] for each in told(said, ROUTE, "9080")["virtual_hosts"]}
    assert hosts["reviews:9080"][:2] == ["reviews", "reviews.default"]
    assert hosts["reviews-v1:9080"][0] == "reviews-v1"
    assert hosts["allow_any"] == ["*"]
    tcp = read(said[LISTENER]["0.0.0.0_5432"]).filter_chains[0]
    assert [each.address_prefix for each in tcp.filter_chain_match.prefix_ranges] == ["172.18.0.7"]


def test_what_nobody_declares_is_refused_where_egress_says_so() -> None:
    said = generate(snapshot(mesh=MeshSettings(egress=Egress.REGISTRY_ONLY)), SHOP, REDIRECTED)
    hosts = {each["name"]: each for each in told(said, ROUTE, "9080")["virtual_hosts"]}
    assert hosts["block_all"]["routes"][0]["direct_response"]["status"] == 502


def test_rules_for_patterns_are_for_hosts_that_nobody_declares() -> None:
    rule = HttpRule((), (WeightedDestination(Destination("reviews", port=9080)),))
    hosts = tuple(VirtualHost((host,), http=(rule,)) for host in ("*.wild.example", "*"))
    said = generate(snapshot(virtual_hosts=hosts), SHOP, REDIRECTED)
    found = {each["name"]: each for each in told(said, ROUTE, "9080")["virtual_hosts"]}
    for name, domain in (("*.wild.example:9080", "*.wild.example"), ("*:9080", "*")):
        assert found[name]["domains"] == [domain]
        assert found[name]["routes"][0]["route"]["cluster"] == "outbound|9080||reviews"
    assert said.problems == ()
    for node in (OWN, GRPC):
        problems = generate(snapshot(virtual_hosts=hosts), SHOP, node).problems
        assert ["*.wild.example" in each.message for each in problems] == [True]


def test_a_sidecar_says_what_its_workload_may_call() -> None:
    scope = Scope({"app": "productpage"}, ((0, ("reviews",)),), registry_only=True)
    assert set(generate(snapshot(scopes=(scope,)), SHOP, OWN)[LISTENER]) == {"reviews:9080"}
    assert "ratings:9080" in generate(snapshot(scopes=(scope,)), SHOP, Node("sidecar~reviews-v1"))[LISTENER]


# === proxyless ===


def test_a_listener_is_named_like_the_target() -> None:
    two = replace(SHOP.workloads[3], ports=(9080, 9081))
    said = generate(snapshot(), Discovered((*SHOP.workloads[:3], two)), GRPC)
    assert {"reviews", "reviews:9080", "reviews-v1:9080", "ratings:9080", "ratings:9081"} <= set(said[LISTENER])
    assert "ratings" not in said[LISTENER]  # which port would that be?
    listener = told(said, LISTENER, "reviews")
    assert set(listener) == {"name", "api_listener"}
    manager = listener["api_listener"]["api_listener"]
    assert manager["rds"]["route_config_name"] == "reviews:9080"
    assert [each["name"] for each in manager["http_filters"]] == [
        "envoy.filters.http.fault",
        "envoy.filters.http.router",
    ]


def test_who_asks_is_read_from_several_places() -> None:
    by_service = generate(snapshot(), SHOP, Node("anything", cluster="productpage"))
    by_id = generate(snapshot(), SHOP, OWN)
    assert [by_service[url] == by_id[url] for url in (CLUSTER, ENDPOINT, ROUTE, LISTENER)] == [
        True,
        True,
        True,
        False,
    ]
    assert Node("sidecar~a~more").stands_for == ("a",)
    assert Node("x", metadata={"GENERATOR": "grpc"}).proxyless
    assert Node("x", metadata={"LISTEN": "nonsense"}).listen == OWN_ADDRESSES
