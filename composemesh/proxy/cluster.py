"""Live counterparts of what runs: endpoints that outlive every plan, and the clusters a plan makes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from composemesh.model.flag import Flag
from composemesh.model.peer import Peer
from composemesh.model.record import unreached
from composemesh.model.snapshot import Protocol
from composemesh.model.workload import HOST, Kind
from composemesh.proxy.balance.least_request import pick
from composemesh.proxy.pool import Pool, Pools
from composemesh.proxy.refuse import Refused
from composemesh.runtime.captured import HostNamespace

if TYPE_CHECKING:
    from composemesh.model.workload import Workload
    from composemesh.proxy.balance.base import Asked
    from composemesh.proxy.chain.hooks import Chain
    from composemesh.proxy.policies import ByPort, Policy
    from composemesh.proxy.rules import Rules
    from composemesh.runtime.captured import Address, Captured, Namespace

UNCHANGED: Final[Mapping[int, int]] = MappingProxyType({})
BEYOND: Final = HostNamespace()
PENALTY: Final = 0.1
"""Seconds an endpoint that refused a connection is passed over while others can serve.

Short on purpose: Docker's events remove what has died, so this only bridges the moment until they arrive, and a
restarted application is back in service at once.
"""


class Endpoint:
    """One life of a workload, as the proxy deals with it. Stable across plans: pools and counters live here."""

    __slots__ = (
        "_failures",
        "active",
        "captured",
        "introduced",
        "networks",
        "peer",
        "pending",
        "pools",
        "ready",
        "service",
        "workload",
    )

    def __init__(self, workload: Workload, peer: Peer) -> None:
        self.workload = workload
        self.peer = peer
        self.service = peer.service
        self.networks = frozenset(place.network for place in workload.attachments)
        self.captured: Captured | None = None
        self.active = 0
        """Requests in flight, over all its addresses."""
        self._failures: dict[int, float] = {}
        self.pending = False
        """Whether it has just begun and is about to be captured: dialled from outside, its sidecar would answer."""
        self.introduced = False
        """Whether a proxy in front of it says in the PROXY protocol whom it speaks for."""
        self.ready = False
        """Whether something in it listens (see `readiness`)."""
        self.pools = Pools()

    def __repr__(self) -> str:
        state = "ready" if self.ready else "not listening yet"
        return f"<Endpoint {self.workload.name} {self.workload.state} {state} active={self.active}>"

    @property
    def namespace(self) -> Namespace | None:
        """Where others dial it from: inside, or from the host what was found beyond it; None: where they are."""
        if self.captured is not None:
            return self.captured.namespace
        return BEYOND if self.workload.kind is Kind.FOUND else None

    def reaches(self, other: Endpoint) -> bool:
        """Whether there is a network from here to there."""
        return HOST in other.networks or not other.networks.isdisjoint(self.networks)

    def failed(self, port: int) -> None:
        """A dial failed: pass the port over for a moment."""
        self._failures[port] = time.monotonic() + PENALTY

    def fails(self, port: int) -> bool:
        """Whether a dial of this port failed a moment ago."""
        if not self._failures:
            return False
        if self._failures.get(port, 0.0) > time.monotonic():
            return True
        self._failures.pop(port, None)
        return False

    def close(self) -> None:
        """Close idle connections; those in use close when their exchange ends."""
        self.pools.close()


class Target:
    """An endpoint as one caller reaches it: at which address, dialled from which namespace, pooled where."""

    __slots__ = ("endpoint", "host", "namespace", "pools", "ports")

    def __init__(self, endpoint: Endpoint, host: str, namespace: Namespace, pools: Pools) -> None:
        self.endpoint = endpoint
        self.host = host
        self.namespace = namespace
        self.pools = pools
        self.ports: Mapping[int, int] = UNCHANGED
        """Ports that are others where it stands."""

    def __repr__(self) -> str:
        return f"<Target {self.host} {self.endpoint!r}>"

    @property
    def active(self) -> int:
        return self.endpoint.active

    @property
    def name(self) -> str:
        return self.endpoint.workload.name

    def address(self, port: int) -> Address:
        """What to dial for a port that the caller asked for."""
        return (self.host, self.ports.get(port, port))

    def pool(self, port: int, policy: Policy | None = None, introduce: Callable[[int], bytes] | None = None) -> Pool:
        """The connections to this address and port, as the policy has them; where each begins with an introduction,
        only those with the one that `introduce` gives."""
        address = self.address(port)
        if policy is None:
            return self.pools[address]
        version = policy.settings.proxy_protocol
        introduction = introduce(version) if version and introduce is not None else b""
        if policy.limits is None and not introduction:
            return self.pools[address]
        return self.pools.within(policy.limits, policy.subset, address, introduction)


class Spoken:
    """What one service's ports were found to speak. Shared by its clusters; forgotten with its last endpoint."""

    __slots__ = ("declared", "learned")

    def __init__(self) -> None:
        self.declared: dict[int, Protocol] = {}
        self.learned: dict[int, Protocol] = {}

    def protocol(self, port: int) -> Protocol:
        """Declared, else learned, else `auto`."""
        said = self.declared.get(port, Protocol.AUTO)
        return self.learned.get(port, Protocol.AUTO) if said is Protocol.AUTO else said


def reached(endpoint: Endpoint, address: str, source: Endpoint) -> Target:
    """An endpoint at an address: dialled from inside where it is a captured workload, else from where `source` is."""
    namespace = endpoint.namespace
    if namespace is not None:
        return Target(endpoint, address, namespace, endpoint.pools)
    assert source.captured is not None, "only a captured workload has an outbound listener"
    return Target(endpoint, address, source.captured.namespace, source.pools)


class Cluster:
    """The targets of one service that one caller can reach, best ones only, and what is known of its ports."""

    __slots__ = (
        *("asked", "filters", "narrow", "policies", "rules", "service", "spoken", "targets", "turn", "unreached"),
    )

    def __init__(
        self,
        service: str,
        targets: tuple[Target, ...],
        spoken: Spoken,
        policies: ByPort | None = None,
        asked: str = "",
    ) -> None:
        self.service = service
        self.targets = targets
        self.spoken = spoken
        self.policies = policies
        """What a DestinationRule says of these calls; None where there is none: the usual case."""
        self.asked = asked
        """The address that the caller connected to."""
        self.turn = 0
        self.unreached = unreached(service)
        self.filters: Chain | None = None
        """What a request goes through that is sent here; None where that is nothing: the usual case."""
        self.rules: Rules | None = None
        """What may become of a request that is sent here; None where no rule speaks of it."""
        self.narrow: dict[bytes, Cluster] = {}
        """Lowercase Host without port → the part of the service that this name means, where it means a part."""

    def __repr__(self) -> str:
        return f"<Cluster {self.service} {list(self.targets)}>"

    def pick(self, port: int, tried: Collection[Target] = ()) -> Target | None:
        """The target for the next request; None where there is none that was not tried."""
        self.turn += 1
        if len(self.targets) == 1:  # passing it over for a moment would leave nobody
            (only,) = self.targets
            return None if only in tried else only
        failing = [target for target in self.targets if target.endpoint.fails(port)]
        best = pick(self.targets, self.turn, [*failing, *tried]) if failing else None
        return best or pick(self.targets, self.turn, tried)

    def nobody(self) -> Refused:
        """What a request is told that nobody can answer."""
        return Refused(Flag.NO_HEALTHY_UPSTREAM, f"{self.service} has no running endpoint")

    def policy(self, port: int) -> Policy | None:
        """What is said of calls to this port."""
        return None if self.policies is None else self.policies[port]

    def choose(self, policy: Policy | None, port: int, tried: Collection[Target], asked: Asked) -> Target | None:
        """The same as `pick`, as the policy has it: by its balancer, and nobody who is ejected."""
        if policy is None:
            return self.pick(port, tried)
        out = [*self.ejected(policy), *tried] if policy.outliers is not None else tried
        failing = [target for target in self.targets if target.endpoint.fails(port)]
        best = policy.picker.pick(self.targets, [*failing, *out], asked) if failing else None
        return best or policy.picker.pick(self.targets, out, asked)

    def ejected(self, policy: Policy) -> list[Target]:
        """The targets that are left out, for now, because of what they have answered."""
        outliers = policy.outliers
        if outliers is None or not outliers.any_ejected(now := time.monotonic()):
            return []
        found = [target for target in self.targets if outliers.ejected(target.endpoint.workload.life, now)]
        return [] if outliers.panics(len(self.targets) - len(found), len(self.targets)) else found

    @property
    def ambiguous(self) -> bool:
        """Whether only the name of a host tells where a connection goes that came to this address."""
        return False

    def named(self, authority: bytes) -> Cluster:
        """The part of this cluster that the authority names: the whole, unless it names a version or an instance."""
        if not self.narrow:
            return self
        host, colon, port = authority.rpartition(b":")
        return self.narrow.get((host if colon and port.isdigit() else authority).lower(), self)
