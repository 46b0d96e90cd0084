"""Which of a cluster's targets gets the next request. One file a balancer, one line here; pure."""

from __future__ import annotations

from collections.abc import Callable

from composemesh.model.policy import Balance, Balancer
from composemesh.proxy.balance.base import Picker
from composemesh.proxy.balance.consistent_hash import Ring
from composemesh.proxy.balance.least_request import LeastRequest
from composemesh.proxy.balance.passthrough import Passthrough
from composemesh.proxy.balance.random import Random
from composemesh.proxy.balance.round_robin import RoundRobin

BALANCERS: dict[Balancer, Callable[[Balance], Picker]] = {
    Balancer.LEAST_REQUEST: LeastRequest,
    Balancer.ROUND_ROBIN: RoundRobin,
    Balancer.RANDOM: Random,
    Balancer.PASSTHROUGH: Passthrough,
    Balancer.CONSISTENT_HASH: Ring,
}


def balancer(settings: Balance) -> Picker:
    """A new balancer, as the settings ask for it."""
    return BALANCERS[settings.kind](settings)
