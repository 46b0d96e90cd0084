"""What is said of calls to each destination (DestinationRule), bound to what is live: counts, ejections, rings.

A policy belongs to a service, a subset of it or none, and a port. It outlives plans: a plan that says nothing new
gets the very objects of the one before, and one that changes a number changes it under the counts as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping

from composemesh.model.policy import (
    Balance,
    Balancer,
    ConsistentHash,
    DestinationPolicy,
    Subset,
    TrafficPolicy,
)
from composemesh.proxy.balance import BALANCERS
from composemesh.proxy.balance.making import Balancers, Make
from composemesh.proxy.limits import Limits
from composemesh.proxy.outlier import Outliers

NOTHING_SAID = TrafficPolicy()
MOST_PORTS = 256
"""Ports of one destination that are told apart. The rest share one policy: a caller that tries all there are is
looking for something, and must not be remembered 65,535 times."""


class Policy:
    """One destination's, at one port."""

    __slots__ = ("_make", "asks", "balance", "hash", "limits", "outliers", "picker", "settings", "subset")

    def __init__(self, subset: str, settings: TrafficPolicy, make: Make) -> None:
        self.subset = subset
        self.settings = TrafficPolicy()
        self._make = make
        self.balance = Balance()
        self.picker = make(self.balance)
        self.hash: ConsistentHash | None = None
        """What a request's key is made of, where the balancer asks for one."""
        self.asks = False
        """Whether the balancer wants to know anything of a request."""
        self.limits: Limits | None = None
        self.outliers: Outliers | None = None
        self.change(settings)

    def __repr__(self) -> str:
        return f"<Policy {self.subset} {self.balance.kind} {self.limits!r} {self.outliers!r}>"

    def change(self, settings: TrafficPolicy) -> None:
        """From now on, these hold; what has been counted stays counted."""
        if settings == self.settings:
            return
        self.settings = settings
        balance = settings.balance or Balance()
        if balance != self.balance:
            self.balance, self.picker = balance, self._make(balance)
        self.hash = balance.hash if balance.kind is Balancer.CONSISTENT_HASH else None
        ours = balance.kind in BALANCERS
        self.asks = not ours or balance.kind in (Balancer.CONSISTENT_HASH, Balancer.PASSTHROUGH)
        if settings.connections is None:
            self.limits = None
        elif self.limits is None:
            self.limits = Limits(settings.connections)
        else:
            self.limits.change(settings.connections)
        if settings.outliers is None:
            self.outliers = None
        elif self.outliers is None:
            self.outliers = Outliers(settings.outliers)
        else:
            self.outliers.settings = settings.outliers


class Policies:
    """All of them, by service, subset (or "") and port. Outlives plans."""

    def __init__(self, balancers: Balancers | None = None) -> None:
        self.balancers = balancers or Balancers()
        self._rules: Mapping[str, DestinationPolicy] = {}
        self._known: dict[tuple[str, str], dict[int, Policy]] = {}

    def __repr__(self) -> str:
        return f"<Policies {list(self._rules)}>"

    def replan(self, rules: Mapping[str, DestinationPolicy], alive: Collection[Hashable]) -> None:
        """From now on these rules hold, by host, and these endpoints are there. What is gone is forgotten."""
        self._rules = rules
        known, self._known = self._known, {}
        for (service, subset), ports in known.items():
            rule = rules.get(service)
            if rule is None:
                continue
            self._known[service, subset] = ports.copy()  # what older plans still add was bound to older rules
            for port, policy in ports.items():
                policy.change(rule.at(port, subset))
                if policy.outliers is not None:
                    policy.outliers.keep(alive)

    def subset(self, service: str, name: str) -> Subset | None:
        """A named part of a service."""
        rule = self._rules.get(service)
        return None if rule is None else rule.subsets.get(name)

    def of(self, service: str, subset: str = "") -> ByPort | None:
        """What is said of calls to a service, or to a subset of it; None where that is nothing."""
        rule = self._rules.get(service)
        if rule is None:
            return None
        return ByPort(rule, subset, self._known.setdefault((service, subset), {}), self.balancers.make)

    def ejected(self, service: str, endpoint: Hashable, now: float) -> float:
        """Until when the endpoint is left out, as far as any caller of the service is concerned; 0 if it isn't."""
        detectors = (
            policy.outliers
            for (name, _), ports in self._known.items()
            if name == service
            for policy in ports.values()
            if policy.outliers is not None
        )
        return max((until for each in detectors if (until := each.until(endpoint)) > now), default=0.0)


class ByPort(dict[int, Policy | None]):
    """One plan's view of one destination: the policy of a port, bound when it is first asked for."""

    __slots__ = ("_known", "_make", "_rule", "_subset")

    def __init__(self, rule: DestinationPolicy, subset: str, known: dict[int, Policy], make: Make) -> None:
        super().__init__()
        self._rule = rule
        self._subset = subset
        self._known = known
        self._make = make

    def __missing__(self, port: int) -> Policy | None:
        if len(self) >= MOST_PORTS and port not in self._rule.ports:
            port = 0
            if port in self:
                return self[port]
        settings = self._rule.at(port, self._subset)
        policy = None
        if settings != NOTHING_SAID:
            policy = self._known.get(port)
            if policy is None:
                policy = self._known[port] = Policy(self._subset, settings, self._make)
        self[port] = policy
        return policy
