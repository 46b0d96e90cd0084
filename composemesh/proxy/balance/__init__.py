"""Which of a cluster's targets gets the next request. One file a balancer, one line here; pure.

`base` what a balancer is · `making` one by its name, and what is done about a plugin's that fails ·
`key` what of a request a consistent hash is made of.
"""

from __future__ import annotations

from collections.abc import Mapping

from composemesh.model.policy import Balancer

BALANCERS: Mapping[str, str] = {
    Balancer.LEAST_REQUEST: "composemesh.proxy.balance.least_request:LeastRequest",
    Balancer.ROUND_ROBIN: "composemesh.proxy.balance.round_robin:RoundRobin",
    Balancer.RANDOM: "composemesh.proxy.balance.random:Random",
    Balancer.PASSTHROUGH: "composemesh.proxy.balance.passthrough:Passthrough",
    Balancer.CONSISTENT_HASH: "composemesh.proxy.balance.consistent_hash:Ring",
}
"""Our own, by their names in the configuration; `builtin` registers them."""
