"""Which Sidecar speaks of a caller, and which hosts it lets count as declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from composemesh.routing.hosts import matches
from composemesh.routing.labels import has

if TYPE_CHECKING:
    from composemesh.model.entry import Scope


def scope_of(scopes: Sequence[Scope], labels: Mapping[str, str]) -> Scope | None:
    """The one that speaks of a workload with these labels, before one that speaks of all."""
    fitting = [scope for scope in scopes if has(labels, scope.selector)]
    return next((scope for scope in fitting if scope.selector), fitting[0] if fitting else None)


def includes(scope: Scope | None, host: str, port: int) -> bool:
    """Whether a declared host is among those of a caller: all are, where none are listed."""
    if scope is None or not scope.egress:
        return True
    return any(said in (0, port) and any(matches(pattern, host) for pattern in hosts) for said, hosts in scope.egress)
