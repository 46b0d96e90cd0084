"""Istio's documents, from text to model: `load_documents` reads them, `compile_resources` says what they mean.

Both are pure and total: whatever somebody wrote, there is an answer, and a Problem for what is not in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from composemesh.config.kinds import Resource, ResourceKey
from composemesh.config.loaders.documents import load_documents
from composemesh.model.entry import Scope, ServiceEntry
from composemesh.model.gateway import Gateway
from composemesh.model.policy import DestinationPolicy
from composemesh.model.problem import Problem, Severity
from composemesh.model.route import VirtualHost

__all__ = ["Compiled", "Resource", "ResourceKey", "compile_resources", "load_documents"]

OWN_NAMESPACES = ("", "default")
"""Namespaces that mean the project, besides its own name."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What all resources together say: parts of a Snapshot, and what is wrong."""

    virtual_hosts: tuple[VirtualHost, ...] = ()
    policies: Mapping[str, DestinationPolicy] = field(default_factory=dict)
    """By canonical host."""
    entries: tuple[ServiceEntry, ...] = ()
    scopes: tuple[Scope, ...] = ()
    gateways: Mapping[str, Gateway] = field(default_factory=dict)
    """By name."""
    problems: tuple[Problem, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether there is no error: what is not sound must not be applied."""
        return all(problem.severity is not Severity.ERROR for problem in self.problems)


def compile_resources(resources: Iterable[Resource], project: str, services: Collection[str] = ()) -> Compiled:
    """What the resources mean. Never raises.

    `services` are the names of the project's services, for hosts like `reviews.prod` and for findings about unknown
    hosts. `project` is its name, which its resources may have as their namespace; empty: any namespace is taken.
    """
    own = (*OWN_NAMESPACES, project)
    foreign = [_foreign(resource, project) for resource in resources if project and resource.namespace not in own]
    return Compiled(problems=tuple(foreign))


def _foreign(resource: Resource, project: str) -> Problem:
    line, column = resource.place(("metadata", "namespace"))
    message = f"{resource.key}: namespace {resource.namespace} is not this project."
    hint = f"Write {project} or default, or leave the namespace out."
    return Problem(
        Severity.ERROR, "foreign-namespace", message, hint, resource.origin.file, line, column, str(resource.key)
    )
