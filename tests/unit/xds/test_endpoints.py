from __future__ import annotations

from dataclasses import replace
from time import process_time

from composemesh.model.policy import DestinationPolicy, Subset
from composemesh.model.workload import HOST, Discovered, Health, Kind, State
from composemesh.xds.resources import CLUSTER, ENDPOINT, Generated, Node, generate
from unit.xds.meshes import SHOP, read, snapshot, workload

VERSIONS = DestinationPolicy("reviews", subsets={"v1": Subset({"version": "v1"}), "v2": Subset({"version": "v2"})})
NODE = Node("sidecar~productpage")


def addresses(generated: Generated, cluster: str) -> list[str]:
    return [
        endpoint.endpoint.address.socket_address.address
        for locality in read(generated[ENDPOINT][cluster]).endpoints
        for endpoint in locality.lb_endpoints
    ]


def test_every_subset_has_its_own() -> None:
    made = generate(snapshot(policies={"reviews": VERSIONS}), SHOP, NODE)
    assert addresses(made, "outbound|9080||reviews") == ["172.18.0.3", "172.18.0.4"]
    assert addresses(made, "outbound|9080|v1|reviews") == ["172.18.0.3"]
    assert addresses(made, "outbound|9080|v2|reviews") == ["172.18.0.4"]
    assert made[ENDPOINT].keys() == made[CLUSTER].keys()


def test_proxyless_clients_are_told_a_weight_of_the_locality() -> None:
    made = generate(snapshot(), SHOP, NODE)
    (locality,) = read(made[ENDPOINT]["outbound|9080||reviews"]).endpoints
    assert locality.load_balancing_weight.value == 1
    assert locality.locality.zone


def test_only_those_in_the_best_shape_are_named() -> None:
    sick = replace(SHOP.workloads[1], health=Health.UNHEALTHY)
    paused = replace(SHOP.workloads[1], state=State.PAUSED)
    for worse in (sick, paused):
        now = Discovered((SHOP.workloads[0], worse, *SHOP.workloads[2:]))
        assert addresses(generate(snapshot(), now, NODE), "outbound|9080||reviews") == ["172.18.0.4"]
    alone = Discovered((SHOP.workloads[0], sick))
    assert addresses(generate(snapshot(), alone, NODE), "outbound|9080||reviews") == ["172.18.0.3"]


def test_who_is_on_no_network_of_the_callers_is_not_named() -> None:
    far = Discovered((*SHOP.workloads, workload("reviews", 9, network="other")))
    assert "172.18.0.9" not in addresses(generate(snapshot(), far, NODE), "outbound|9080||reviews")
    host = generate(snapshot(), far, Node("of-nobody"))
    assert "172.18.0.9" in addresses(host, "outbound|9080||reviews")


def test_what_has_no_container_is_reached_by_everybody_at_its_own_port() -> None:
    process = replace(workload("reviews", 9, network=HOST, ports=(3001,)), kind=Kind.PROCESS)
    made = generate(snapshot(), Discovered((*SHOP.workloads, process)), NODE)
    (locality,) = read(made[ENDPOINT]["outbound|9080||reviews"]).endpoints
    found = {each.endpoint.address.socket_address.port_value for each in locality.lb_endpoints}
    assert found == {9080, 3001}
    assert "172.18.0.9" in addresses(made, "outbound|9080||reviews")


def test_what_starts_or_stops_changes_endpoints_alone() -> None:
    said = snapshot()
    before = generate(said, SHOP, NODE)
    after = generate(said, Discovered((*SHOP.workloads, workload("ratings", 6))), NODE, before)
    assert addresses(after, "outbound|9080||ratings") == ["172.18.0.5", "172.18.0.6"]
    assert all(after[url] is before[url] for url in before if url != ENDPOINT)
    same, changed = "outbound|9080||reviews", "outbound|9080||ratings"
    assert after[ENDPOINT][same] is before[ENDPOINT][same]
    assert after[ENDPOINT][changed].version != before[ENDPOINT][changed].version


def test_a_version_is_made_by_content() -> None:
    assert generate(snapshot(), SHOP, NODE) == generate(snapshot(), SHOP, Node("sidecar~productpage", "again"))


def test_a_thousand_clusters_are_made_in_no_time() -> None:
    many = Discovered(tuple(workload(f"s{n}", n) for n in range(1000)))
    said = snapshot()
    generate(said, SHOP, NODE)  # the descriptors are read once
    best = 9.0
    for _ in range(3):
        began = process_time()
        made = generate(said, many, NODE)
        best = min(best, process_time() - began)
    assert len(made[CLUSTER]) == 1000
    assert best < 0.5, f"{best * 1000:.0f} ms"  # 80 on a quiet machine; CPU, so that others do not count
