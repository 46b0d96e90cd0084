"""The short forms of `x-mesh` → the same model that Istio's documents compile to. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from composemesh.config.loaders.said import Settings
from composemesh.config.short.edges import exposed, externals_of, gateways_of
from composemesh.config.short.filters import filters_of
from composemesh.config.short.policies import policy_of
from composemesh.config.short.routes import rules_of
from composemesh.model.entry import ServiceEntry
from composemesh.model.filter import FilterUse
from composemesh.model.gateway import Gateway
from composemesh.model.policy import DestinationPolicy
from composemesh.model.problem import Problem
from composemesh.model.route import VirtualHost

OF_A_SERVICE = frozenset(
    {"ports", "routes", "timeout", "retries", "load_balancer", "connections", "outlier_detection"}
    | {"expose", "filters", "publish"}
)
"""Words that belong to the mesh service, however many Compose services stand for it: one of them is enough."""


@dataclass(frozen=True, slots=True)
class Short:
    """What the short forms say, as parts of a Snapshot."""

    virtual_hosts: tuple[VirtualHost, ...] = ()
    policies: Mapping[str, DestinationPolicy] = field(default_factory=dict)
    gateways: Mapping[str, Gateway] = field(default_factory=dict)
    entries: tuple[ServiceEntry, ...] = ()
    filters: Mapping[str, tuple[FilterUse, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def compile_short(
    mesh: Settings,
    services: Mapping[str, Settings],
    ports: Mapping[str, Sequence[int]],
    others: Collection[str] = (),
) -> Short:
    """`services` by mesh service; `ports` are those that a service is known to have; `others` are gateways that
    Istio's documents name."""
    hosts: list[VirtualHost] = []
    policies: dict[str, DestinationPolicy] = {}
    problems: list[Problem] = []
    gateways = dict(gateways_of(mesh))
    filters = {name: found for name, said in services.items() if (found := filters_of(name, said))}
    for name, said in services.items():
        rules = rules_of(name, said)
        if rules:
            hosts.append(VirtualHost((name,), http=rules, origin=rules[0].origin))
        policy = policy_of(name, said, rules)
        if policy is not None:
            policies[name] = policy
        expose = said.get(("expose",))
        if expose is not None:
            known = {*gateways, *others}
            hosts += exposed(name, expose, rules, known, ports.get(name, ()), problems)
    return Short(tuple(hosts), policies, gateways, tuple(externals_of(mesh)), filters, tuple(problems))
