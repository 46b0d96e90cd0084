"""What holds for a service, a port and a subset, and what of it outlives a plan."""

from __future__ import annotations

import pytest

from composemesh.model.policy import (
    Balance,
    Balancer,
    ConnectionLimits,
    DestinationPolicy,
    OutlierDetection,
    Subset,
    TrafficPolicy,
)
from composemesh.proxy.policies import MOST_PORTS, Policies, Policy

ROUND, RANDOM = Balance(Balancer.ROUND_ROBIN), Balance(Balancer.RANDOM)
FEW, MANY = ConnectionLimits(max_requests=1), ConnectionLimits(max_requests=100)
STRICT = OutlierDetection(consecutive_5xx=1)
RULE = DestinationPolicy(
    "app",
    TrafficPolicy(ROUND, FEW, STRICT, proxy_protocol=1),
    {81: TrafficPolicy(connections=MANY)},
    {
        "plain": Subset(),
        "random": Subset(policy=TrafficPolicy(RANDOM)),
        "ported": Subset(policy=TrafficPolicy(RANDOM), ports={80: TrafficPolicy(outliers=STRICT)}),
    },
)


@pytest.mark.parametrize(
    ("subset", "port", "policy"),
    [
        ("", 80, TrafficPolicy(ROUND, FEW, STRICT, 1)),
        ("", 81, TrafficPolicy(None, MANY)),
        ("plain", 80, TrafficPolicy(ROUND, FEW, STRICT, 1)),
        ("plain", 81, TrafficPolicy(None, MANY)),
        ("random", 80, TrafficPolicy(RANDOM, FEW, STRICT, 1)),
        ("random", 81, TrafficPolicy(RANDOM, MANY)),
        ("ported", 80, TrafficPolicy(outliers=STRICT)),
        ("ported", 81, TrafficPolicy(RANDOM, MANY)),
        ("nobody", 80, TrafficPolicy(ROUND, FEW, STRICT, 1)),
    ],
)
def test_levels(subset: str, port: int, policy: TrafficPolicy) -> None:
    assert RULE.at(port, subset) == policy


def _of(policies: Policies, subset: str = "", port: int = 80) -> Policy:
    found = policies.of("app", subset)
    assert found is not None
    policy = found[port]
    assert policy is not None
    return policy


def test_a_plan_that_says_the_same_gets_the_same_objects() -> None:
    policies = Policies()
    policies.replan({"app": RULE}, ())
    before = _of(policies)
    assert before.limits is not None
    before.limits.begin_request()
    policies.replan({"app": RULE}, ())
    after = _of(policies)
    assert (after, after.picker, after.limits) == (before, before.picker, before.limits)
    assert _of(policies, "plain") is not after
    assert _of(policies, "", 81) is not after


def test_what_changes_changes_under_the_counts() -> None:
    policies = Policies()
    policies.replan({"app": RULE}, ())
    policy = _of(policies)
    limits, picker, outliers = policy.limits, policy.picker, policy.outliers
    assert limits is not None
    assert outliers is not None
    limits.begin_request()
    outliers.answered("gone", 500, 1.0, 2)
    outliers.answered("here", 404, 1.0, 2)
    new = DestinationPolicy("app", TrafficPolicy(ROUND, MANY, OutlierDetection(consecutive_5xx=2)))
    policies.replan({"app": new}, {"here"})
    assert _of(policies) is policy
    assert (policy.limits, policy.picker, policy.outliers) == (limits, picker, outliers)
    assert (limits.settings, limits.requests) == (MANY, 1)
    assert outliers.settings.consecutive_5xx == 2
    assert outliers.until("gone") == 0
    policies.replan({"app": DestinationPolicy("app", TrafficPolicy(RANDOM))}, ())
    assert (policy.limits, policy.outliers) == (None, None)
    assert policy.picker is not picker


def test_nothing_said_is_no_policy() -> None:
    policies = Policies()
    assert policies.of("app") is None
    policies.replan({"app": DestinationPolicy("app", subsets={"v1": Subset({"version": "v1"})})}, ())
    for subset in ("", "v1"):
        ports = policies.of("app", subset)
        assert ports is not None
        assert ports[80] is None
    assert policies.subset("app", "v1") is not None
    assert policies.subset("app", "v2") is None
    assert policies.subset("other", "v1") is None


def test_an_older_plan_cannot_bind_what_a_newer_one_reads() -> None:
    policies = Policies()
    policies.replan({"app": RULE}, ())
    old = policies.of("app")
    assert old is not None
    policies.replan({"app": DestinationPolicy("app", TrafficPolicy(RANDOM))}, ())
    assert old[80] is not None
    assert _of(policies).balance == RANDOM
    assert _of(policies).limits is None


def test_a_caller_that_tries_every_port_is_not_remembered_for_each() -> None:
    policies = Policies()
    policies.replan({"app": RULE}, ())
    ports = policies.of("app")
    assert ports is not None
    bound = {id(ports[port]) for port in range(1000, 5000)}
    assert len(bound) <= MOST_PORTS + 1
    assert ports[81] is not None
    assert ports[81].limits is not None
    assert ports[81].limits.settings == MANY


def test_ejections_are_known_by_service_and_endpoint() -> None:
    policies = Policies()
    policies.replan({"app": RULE}, ())
    outliers = _of(policies).outliers
    assert outliers is not None
    outliers.answered("one", 500, 10.0, 4)
    assert policies.ejected("app", "one", 10.0) == 40.0
    assert policies.ejected("app", "one", 50.0) == 0
    assert policies.ejected("app", "two", 10.0) == 0
    assert policies.ejected("other", "one", 10.0) == 0
