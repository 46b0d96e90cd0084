"""`explain`: every rule tried, the first condition that failed, the one that matched, and who gets the request."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from composemesh.model.entry import EntryEndpoint, ServiceEntry
from composemesh.model.filter import FilterUse
from composemesh.model.gateway import Gateway, Server
from composemesh.model.origin import Origin
from composemesh.model.policy import Balance, Balancer, DestinationPolicy, Subset, TrafficPolicy
from composemesh.model.route import (
    Delay,
    Destination,
    DirectResponse,
    Fault,
    HttpMatch,
    HttpRule,
    MatchKind,
    StringMatch,
    VirtualHost,
    WeightedDestination,
)
from composemesh.model.snapshot import Egress, MeshSettings, ServiceSettings, Snapshot
from composemesh.model.workload import Attachment, Discovered, Workload
from composemesh.routing.explain import Question, explain


def workload(name: str, number: int, network: str = "net") -> Workload:
    return Workload(name, f"shop-{name}-1", name, "t", 1, (Attachment(network, network, (f"10.0.0.{number}",)),))


DISCOVERED = Discovered((workload("productpage", 1), workload("reviews-v1", 2), workload("reviews-v2", 3)))
SERVICES = {name: ServiceSettings("reviews", name[-2:]) for name in ("reviews-v1", "reviews-v2")}
POLICIES = {
    "reviews": DestinationPolicy(
        "reviews",
        TrafficPolicy(Balance(Balancer.RANDOM)),
        subsets={name: Subset({"version": name}) for name in ("v1", "v2")},
    )
}


def to(subset: str, weight: int = 0) -> WeightedDestination:
    return WeightedDestination(Destination("reviews", subset), weight)


def at(line: int) -> Origin:
    return Origin("VirtualService", "reviews", "reviews.yaml", line)


JASON = HttpRule(
    (HttpMatch(headers={"end-user": StringMatch(MatchKind.EXACT, "jason")}, origin=at(9)),),
    (to("v2"),),
    name="jason",
    fault=Fault(Delay(7.0, 50.0)),
    origin=at(8),
)
REST = HttpRule((), (to("v1", 80), to("v2", 20)), origin=at(20))


def ask(
    *rules: HttpRule,
    url: str = "http://reviews:9080/reviews/0",
    caller: str = "productpage",
    discovered: Discovered = DISCOVERED,
    **headers: str,
) -> dict[str, Any]:
    hosts = (VirtualHost(("reviews",), http=rules, origin=at(1)),) if rules else ()
    snapshot = Snapshot("shop", services=SERVICES, virtual_hosts=hosts, policies=POLICIES)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    said = explain(snapshot, discovered, Question(caller, url, headers=named))
    json.dumps(said)  # it is for the admin API
    return said


def steps(said: dict[str, Any], stage: str) -> list[dict[str, Any]]:
    return [step for step in said["steps"] if step["stage"] == stage]


def test_the_rule_that_matches_and_where_it_is_written() -> None:
    said = ask(JASON, REST, end_user="jason")
    decision = said["decision"]
    assert decision["route"] == "jason"
    assert decision["rule"] == "VirtualService reviews (reviews.yaml:9)"
    assert decision["backend"] == "reviews subset v2"
    assert [each["workload"] for each in decision["endpoints"]] == ["shop-reviews-v2-1"]
    assert decision["endpoints"][0]["address"] == "10.0.0.3"
    assert decision["policies"] == ["balance: kind random"]
    assert decision["actions"] == ["fault: delay 7 s for 50 %"]
    (step,) = steps(said, "route")
    assert (step["matched"], step["file"], step["line"]) == (True, "reviews.yaml", 9)


def test_the_condition_that_failed_first() -> None:
    said = ask(JASON, REST, end_user="daisy")
    first, second = steps(said, "route")
    assert (first["candidate"], first["matched"]) == ("jason", False)
    assert first["because"] == "header end-user exact 'jason' does not hold"
    assert (second["matched"], second["line"]) == (True, 20)
    assert said["decision"]["split"] == [
        {"backend": "reviews subset v1", "share": 0.8},
        {"backend": "reviews subset v2", "share": 0.2},
    ]
    passed_over = [step for step in steps(said, "endpoint") if not step["matched"]]
    assert passed_over[0]["because"] == "not of the subset: version is v2, not v1"


def test_no_rule_at_all_is_the_default_route() -> None:
    decision = ask()["decision"]
    assert (decision["route"], decision["backend"]) == ("default", "reviews")
    assert len(decision["endpoints"]) == 2


def test_rules_that_do_not_match_are_a_404() -> None:
    said = ask(JASON)
    assert said["decision"]["route"] is None
    assert said["decision"]["endpoints"] == []
    assert "404" in steps(said, "route")[-1]["because"]


def test_a_name_that_means_one_version_meets_no_rules_of_the_service() -> None:
    said = ask(JASON, REST, url="http://reviews-v1:9080/")
    assert said["decision"]["route"] == "default"
    assert [each["version"] for each in said["decision"]["endpoints"]] == ["v1"]


def test_who_is_on_no_network_of_the_callers_is_out_of_reach() -> None:
    discovered = Discovered((workload("productpage", 1), workload("reviews-v1", 2, "elsewhere")))
    said = ask(discovered=discovered)
    assert said["decision"]["endpoints"] == []
    assert steps(said, "endpoint")[0]["because"] == "on no network of the caller's"


@pytest.mark.parametrize("url", ["reviews", "http://", "", "http://[::1]:9080/x?y=é", "http://reviews:99999/"])
def test_odd_urls_have_an_answer_too(url: str) -> None:
    assert ask(JASON, url=url)["decision"]


def test_what_is_no_url_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="URL"):
        ask(url="http://[::")


def outside(*rules: HttpRule, url: str = "http://api.example.com/", **snapshot: Any) -> dict[str, Any]:
    hosts = (VirtualHost(("api.example.com",), http=rules),) if rules else ()
    return explain(
        Snapshot("shop", services=SERVICES, virtual_hosts=hosts, policies=POLICIES, **snapshot),
        DISCOVERED,
        Question("productpage", url),
    )


def test_a_host_of_an_entry() -> None:
    origin = Origin("ServiceEntry", "api", "se.yaml", 3)
    endpoints = (EntryEndpoint("192.0.2.1", labels={"version": "v7"}), EntryEndpoint("192.0.2.2"))
    said = outside(entries=(ServiceEntry(("*.example.com",), endpoints=endpoints, origin=origin),))
    assert [(each["address"], each["version"]) for each in said["decision"]["endpoints"]] == [
        ("192.0.2.1", "v7"),
        ("192.0.2.2", "unknown"),
    ]
    (step,) = steps(said, "entry")
    assert (step["matched"], step["file"], step["line"]) == (True, "se.yaml", 3)


def test_a_host_that_nobody_declares() -> None:
    assert outside()["decision"]["endpoints"][0]["address"] == "api.example.com"
    closed = outside(mesh=MeshSettings(egress=Egress.REGISTRY_ONLY))
    assert closed["decision"]["endpoints"] == []
    assert "registry_only" in steps(closed, "egress")[0]["because"]


def test_a_rule_that_leads_to_nobody() -> None:
    said = outside(HttpRule((), (WeightedDestination(Destination("nowhere")),)))
    assert said["decision"]["endpoints"] == []
    assert "NC" in steps(said, "endpoint")[0]["because"]


def test_a_gateway_serves_the_hosts_of_its_servers() -> None:
    def through(url: str, caller: str = "web") -> dict[str, Any]:
        hosts = (VirtualHost(("*",), ("web",), http=(REST,)),)
        gateways = {"web": Gateway("web", (Server(8080, hosts=("shop.localhost",)),))}
        snapshot = Snapshot("shop", services=SERVICES, virtual_hosts=hosts, policies=POLICIES, gateways=gateways)
        return explain(snapshot, DISCOVERED, Question(caller, url, gateway=True))

    served = through("http://shop.localhost:8080/")
    assert len(served["decision"]["endpoints"]) == 2
    for url, caller in (("http://other:8080/", "web"), ("http://shop.localhost:81/", "web"), ("http://a/", "no")):
        said = through(url, caller)
        assert (said["decision"]["route"], said["decision"]["endpoints"]) == (None, [])
        assert "404" in steps(said, "gateway")[0]["because"]


def test_an_alias_that_everybody_has_is_another_name_of_the_service() -> None:
    def running(*aliases: str) -> tuple[Workload, ...]:
        return tuple(
            replace(each, attachments=(replace(each.attachments[0], aliases=aliases),))
            for each in DISCOVERED.workloads[1:]
        )

    discovered = Discovered((DISCOVERED.workloads[0], *running("critics")))
    said = ask(JASON, REST, url="http://critics:9080/", discovered=discovered, end_user="jason")
    assert (said["decision"]["route"], said["decision"]["backend"]) == ("jason", "reviews subset v2")
    assert steps(said, "host")[0]["because"] == "another name of reviews"


def test_https_of_a_workload_is_told_to_be_out_of_reach() -> None:
    (step,) = steps(ask(REST, url="https://reviews:9080/"), "tls")
    assert not step["matched"]
    assert "nothing within TLS is seen" in step["because"]
    assert steps(ask(REST), "tls") == []


# === filters of plugins ===


def used(name: str, line: int, **said: Any) -> FilterUse:
    return FilterUse(name, origin=Origin("x-mesh", "filters", "compose.yaml", line), **said)


def filtered(
    *rules: HttpRule,
    url: str = "http://reviews:9080/",
    mesh: tuple[FilterUse, ...] = (),
    **services: tuple[FilterUse, ...],
) -> dict[str, Any]:
    hosts = (VirtualHost(("reviews",), http=rules, origin=at(1)),) if rules else ()
    snapshot = Snapshot(
        "shop", MeshSettings(filters=mesh), SERVICES, virtual_hosts=hosts, policies=POLICIES, filters=services
    )
    return explain(snapshot, DISCOVERED, Question("productpage", url))


def names(said: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(each["name"], each["service"]) for each in said["decision"]["filters"]]


def test_filters_in_the_order_in_which_they_run() -> None:
    own = (used("c", 9), used("a", 10, fail_open=True))
    said = filtered(REST, mesh=(used("b", 3), used("a", 4)), reviews=own, ratings=(used("d", 20),))
    assert names(said) == [("b", None), ("a", None), ("c", "reviews"), ("a", "reviews")]
    last = said["decision"]["filters"][-1]
    assert (last["fail"], last["file"], last["line"]) == ("open", "compose.yaml", 10)
    stages = [step["stage"] for step in said["steps"]]
    assert stages.index("filter") < stages.index("route") < len(stages) - 1 - stages[::-1].index("filter")


def test_each_service_that_it_may_be_sent_to_has_its_filters_once() -> None:
    ratings = WeightedDestination(Destination("ratings"), 10)
    rule = HttpRule((), (to("v1", 40), to("v2", 50), ratings), origin=at(5))
    assert names(filtered(rule, reviews=(used("a", 3),), ratings=(used("b", 4),))) == [
        ("a", "reviews"),
        ("b", "ratings"),
    ]


def test_a_part_of_a_service_has_the_services_filters() -> None:
    assert names(filtered(url="http://reviews-v1:9080/", reviews=(used("a", 3),))) == [("a", "reviews")]


def test_where_the_mesh_answers_only_its_own_filters_are_met() -> None:
    gone = HttpRule((), direct_response=DirectResponse(410), origin=at(5))
    for rule in (gone, JASON):  # an answer of a rule; and a 404, because no rule matches
        assert names(filtered(rule, mesh=(used("a", 3),), reviews=(used("b", 4),))) == [("a", None)]


def test_a_filter_that_is_not_there_says_what_becomes_of_requests() -> None:
    said = filtered(mesh=(used("lost", 3, missing='there is no filter "lost".'),))
    (step,) = steps(said, "filter")
    assert not step["matched"]
    assert step["because"] == 'of the mesh, before any rule; there is no filter "lost": requests are refused'
