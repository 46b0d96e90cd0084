"""The resolver: first match wins, every condition counts, chance is a number that comes in."""

from __future__ import annotations

from collections.abc import Callable

from composemesh.model.route import (
    Destination,
    HttpMatch,
    HttpRule,
    MatchKind,
    StringMatch,
    VirtualHost,
    WeightedDestination,
)
from composemesh.routing.hosts import canonical, matches, most_specific
from composemesh.routing.request import Request
from composemesh.routing.resolve import Decision, Step, candidates, resolve


def request(
    target: bytes = b"/reviews/0",
    *,
    port: int = 9080,
    labels: dict[str, str] | None = None,
    gateway: str = "mesh",
    method: bytes = b"GET",
    **headers: str,
) -> Request:
    values = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Request(b"reviews", method, target, values, port=port, gateway=gateway, source_labels=labels or {})


def to(subset: str, weight: int = 0) -> WeightedDestination:
    return WeightedDestination(Destination("reviews", subset), weight)


JASON = HttpRule((HttpMatch(headers={"end-user": StringMatch(MatchKind.EXACT, "jason")}),), (to("v2"),), name="jason")
SPLIT = HttpRule((), (to("v1", 90), to("v3", 10)), name="split")


def drawn(number: float) -> Callable[[object], float]:
    return lambda chance: number


RULES = candidates([VirtualHost(("reviews",), http=(JASON, SPLIT))])


def subset(decision: Decision[HttpRule, HttpMatch] | None) -> str:
    return decision.arm.destination.subset


def test_the_first_rule_that_matches_decides() -> None:
    assert subset(resolve(RULES, request(end_user="jason"), drawn(0.99))) == "v2"
    assert subset(resolve(RULES, request(end_user="jasons"), drawn(0.0))) == "v1"


def test_a_split_is_exact_for_evenly_spread_draws() -> None:
    picked = [subset(resolve(RULES, request(), drawn(number / 1000))) for number in range(1000)]
    assert picked.count("v1") == 900
    assert picked.count("v3") == 100


def test_steps_say_what_was_tried_and_what_failed() -> None:
    steps: list[Step] = []
    resolve(RULES, request(), drawn(0.0), steps)
    assert [(step.candidate, step.matched) for step in steps] == [("jason", False), ("split", True)]
    assert steps[0].because == "header end-user exact 'jason' does not hold"


def test_rules_of_a_gateway_are_not_the_sidecars() -> None:
    host = VirtualHost(("reviews",), ("web",), http=(SPLIT,))
    assert candidates([host]) == ()
    assert resolve(candidates([host], "web"), request(gateway="web"), drawn(0.0)) is not None


def test_source_labels_and_port_must_hold() -> None:
    match = HttpMatch(port=9080, source_labels={"version": "v2"})
    rules = candidates([VirtualHost(("reviews",), http=(HttpRule((match,), (to("v1"),)),))])
    assert resolve(rules, request(labels={"version": "v2", "app": "x"}), drawn(0.0)) is not None
    assert resolve(rules, request(labels={"version": "v1"}), drawn(0.0)) is None
    assert resolve(rules, request(labels={"version": "v2"}, port=80), drawn(0.0)) is None


def test_no_weight_at_all_leads_nowhere() -> None:
    rules = candidates([VirtualHost(("reviews",), http=(HttpRule((), (to("v1"), to("v2"))),))])
    assert resolve(rules, request(), drawn(0.5)).arm is None


def test_hosts_in_every_form() -> None:
    assert canonical("Reviews.default.svc.cluster.local") == "reviews"
    assert canonical("reviews.prod.svc") == "reviews"
    assert canonical("reviews.prod", {"reviews"}) == "reviews"
    assert canonical("api.stripe.com", {"reviews"}) == "api.stripe.com"
    assert canonical("*.example.com") == "*.example.com"
    assert matches("*.example.com", "a.example.com")
    assert not matches("*.example.com", "example.com")


def test_the_most_specific_virtual_host_counts() -> None:
    every, wide, exact = (VirtualHost((host,)) for host in ("*", "*.x.com", "a.x.com"))
    assert most_specific([every, wide, exact], "a.x.com") == (exact,)
    assert most_specific([every, wide, exact], "b.x.com") == (wide,)
    assert most_specific([every, wide, exact], "reviews") == (every,)
