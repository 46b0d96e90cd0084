"""What callers may reach outside, and who was refused what (Istio's outboundTrafficPolicy, and egress of Sidecar)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import Egress as Mode
from composemesh.routing.labels import labels_of
from composemesh.routing.scopes import includes, scope_of

if TYPE_CHECKING:
    from composemesh.model.entry import Scope
    from composemesh.model.snapshot import Snapshot
    from composemesh.proxy.cluster import Endpoint

log = structlog.get_logger()

MOST_BLOCKED = 100
"""Pairs of caller and host that are remembered; the one that was seen longest ago is forgotten first."""
REMEMBERED = 600.0
"""Seconds after the last attempt in which a refusal is shown among the problems."""


class Egress:
    """The rules about going outside. Survives every change, and so does what was refused."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._mode = Mode.ALLOW
        self._scopes: tuple[Scope, ...] = ()
        self._blocked: dict[tuple[str, str], tuple[float, int, int]] = {}
        """Caller and host → when last, at which port, how often. The latest at the end."""

    def __repr__(self) -> str:
        return f"<Egress {self._mode} {len(self._scopes)} scopes, {len(self._blocked)} blocked>"

    def update(self, snapshot: Snapshot) -> None:
        """Take what is configured now."""
        self._mode, self._scopes = snapshot.mesh.egress, snapshot.scopes

    def registry_only(self, source: Endpoint) -> bool:
        """Whether a caller may reach nothing but what is declared."""
        scope = self._scope(source)
        if scope is not None and scope.registry_only is not None:
            return scope.registry_only
        return self._mode is Mode.REGISTRY_ONLY

    @property
    def strict(self) -> bool:
        """Whether there is a caller whose hosts are listed, so that others count as undeclared: services, too."""
        return any(scope.egress for scope in self._scopes)

    def includes(self, source: Endpoint, host: str, port: int) -> bool:
        """Whether a declared host is among those of a caller."""
        return includes(self._scope(source), host, port)

    def _scope(self, source: Endpoint) -> Scope | None:
        """The one that speaks of this workload, before one that speaks of all."""
        if not self._scopes:
            return None
        return scope_of(self._scopes, labels_of(source.workload, source.service, source.peer.version))

    # === what was refused ===

    def note(self, caller: str, host: str, port: int) -> None:
        """A call was refused. Said in the log once, until it is forgotten."""
        key, now = (caller, host), self._clock()
        last, _, count = self._blocked.pop(key, (0.0, 0, 0))
        if not count or now - last > REMEMBERED:
            count = 0
            self._forget(now)
            if len(self._blocked) < MOST_BLOCKED:  # whoever tries one host after another must not fill the log
                log.warning("egress blocked", caller=caller, host=host, port=port)
            else:
                del self._blocked[next(iter(self._blocked))]
        self._blocked[key] = (now, port, count + 1)

    def _forget(self, now: float) -> None:
        for key, (last, _, _) in tuple(self._blocked.items()):
            if now - last <= REMEMBERED:
                return  # the others are later
            del self._blocked[key]

    def problems(self) -> tuple[Problem, ...]:
        """A warning for each pair of caller and host that was refused lately."""
        now = self._clock()
        return tuple(
            Problem(
                Severity.WARNING,
                "egress-blocked",
                f"{caller} was refused {host}:{port}, which nothing declares ({_times(count)}).",
                "Declare it with a ServiceEntry or `x-mesh.external`, or allow all with `egress: allow`.",
                resource=f"service {caller}",
            )
            for (caller, host), (last, port, count) in self._blocked.items()
            if now - last <= REMEMBERED
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
