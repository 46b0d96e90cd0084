"""Istio's documents, from text to model: `load_documents` reads them, `compile_resources` says what they mean.

Both are pure and total: whatever somebody wrote, there is an answer, and a Problem for what is not in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from composemesh.config.kinds.delegation import http_rules
from composemesh.config.kinds.gateway_api.common import joined
from composemesh.config.kinds.kind import Context, Draft
from composemesh.config.kinds.resource import Resource, ResourceKey
from composemesh.config.loaders.documents import load_documents
from composemesh.model.entry import Scope, ServiceEntry
from composemesh.model.gateway import Gateway
from composemesh.model.policy import DestinationPolicy
from composemesh.model.problem import Problem, Severity, quotable
from composemesh.model.route import VirtualHost
from composemesh.routing.hosts import means

__all__ = ["Compiled", "Resource", "ResourceKey", "compile_resources", "load_documents"]

OWN_NAMESPACES = ("", "default")
"""Namespaces that mean the project, besides its own name."""

MOST_MEANINGS = 4
"""Of one resource that are remembered: with and without the services that run, before and after one started."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What all resources together say: parts of a Snapshot, and what is wrong."""

    virtual_hosts: tuple[VirtualHost, ...] = ()
    policies: Mapping[str, DestinationPolicy] = field(default_factory=dict)
    """By canonical host; `*.x` is a pattern."""
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

    `services` are the names of the project's services, for hosts like `reviews.prod`. `project` is its name, which
    its resources may have as their namespace; empty: any namespace is taken. A resource with errors is left out of
    the model. Whether hosts, subsets and gateways exist is another question: see `analysis`.
    """
    draft = Draft()
    contexts: list[Context] = []
    seen: dict[ResourceKey, Resource] = {}
    known = _same(frozenset(services))
    for resource in resources:
        first = seen.setdefault(resource.key, resource)
        if project and resource.namespace not in (*OWN_NAMESPACES, project):
            context = Context(resource, known, project)
            _refuse_namespace(context, project)
        elif project and first is not resource:
            context = Context(resource, known, project)
            _refuse_second(context, first)
        else:
            context, part = _meaning(resource, known, project)
            draft.absorb(part)
        contexts.append(context)
    virtual_hosts = joined(
        replace(host, http=http_rules(context, rules, draft.delegates)) for context, host, rules in draft.hosts
    )
    entries, gateways = _entries(draft), _gateways(draft)
    policies = _spread(_policies(draft), known, _called(virtual_hosts, entries))
    problems = tuple(problem for context in contexts for problem in context.problems())
    return Compiled(virtual_hosts, policies, entries, tuple(draft.scopes), gateways, problems)


@lru_cache(maxsize=16)
def _same(services: frozenset[str]) -> frozenset[str]:
    """The very object that equal services had last time: it is looked up once for each resource."""
    return services


def _meaning(resource: Resource, services: frozenset[str], project: str) -> tuple[Context, Draft]:
    """What one resource means by itself. Remembered with it: most edits change one resource of hundreds."""
    if (services, project) not in resource.memory:
        context, part = Context(resource, services, project), Draft()
        _take(resource, context, part)
        if len(resource.memory) >= MOST_MEANINGS:
            resource.memory.clear()
        resource.memory[services, project] = context, part, context.mark()
    context, part, mark = resource.memory[services, project]
    context.forget(mark)
    return context, part


def _take(resource: Resource, context: Context, part: Draft) -> None:
    """Compile one resource. A plugin's kind may raise: then its document is wrong, and the mesh isn't."""
    if resource.failures is None:
        resource.means.take(context, part)
        return
    try:
        resource.means.take(context, part)
    except (Exception, SystemExit) as problem:
        resource.failures.count(problem, resource.origin)
        message = f"its kind comes from a plugin, which failed: {quotable(resource.failures.last, 300)}."
        context.refuse((), "plugin-broken", message, "Mend the plugin, or take this out.")


def _refuse_second(context: Context, first: Resource) -> None:
    message = f"stands here twice, first in {first.origin.file or 'another document'}:{first.origin.line}."
    context.refuse(("metadata", "name"), "duplicate-name", message, "Give one of them another name.")


def _refuse_namespace(context: Context, project: str) -> None:
    message = f"namespace {context.resource.namespace} is not this project."
    hint = f"Write {project} or default, or leave the namespace out."
    context.refuse(("metadata", "namespace"), "foreign-namespace", message, hint)


def _policies(draft: Draft) -> dict[str, DestinationPolicy]:
    """One policy for each host: of several DestinationRules the first one's counts, and all their subsets do."""
    policies: dict[str, DestinationPolicy] = {}
    for context, policy in draft.policies:
        first = policies.setdefault(policy.host, policy)
        if first is policy:
            continue
        both = sorted(first.subsets.keys() & policy.subsets.keys())
        if both:
            message = f"subset {both[0]} of {policy.host} is named by {first.origin} too, which counts."
            context.refuse(("spec", "subsets"), "duplicate-name", message, "Give one of them another name.")
        if not first.says_policy:
            first = replace(first, policy=policy.policy, ports=policy.ports)
        elif policy.says_policy:
            message = f"{first.origin} has a traffic policy for {policy.host} too, which counts."
            hint = "Put the two into one DestinationRule."
            context.warn(("spec", "trafficPolicy"), "conflicting-settings", message, hint)
        policies[policy.host] = replace(first, subsets={**policy.subsets, **first.subsets})
    return policies


def _called(virtual_hosts: Iterable[VirtualHost], entries: Iterable[ServiceEntry]) -> Iterator[str]:
    """Hosts that are called by name, besides the project's services."""
    for entry in entries:
        yield from entry.hosts
    for virtual in virtual_hosts:
        arms = [rule.destinations for rule in virtual.http]
        arms += [rule.destinations for rule in (*virtual.tls, *virtual.tcp)]
        yield from (arm.destination.host for destinations in arms for arm in destinations)


def _spread(
    policies: Mapping[str, DestinationPolicy], services: Collection[str], others: Iterable[str]
) -> dict[str, DestinationPolicy]:
    """The policy of a pattern (`*.local`) under the name of each host that it means and that has none of its own."""
    spread = dict(policies)
    patterns = sorted((host for host in policies if host.startswith("*")), key=len, reverse=True)
    for pattern in patterns:
        for host in (*services, *others):
            if host not in spread and not host.startswith("*") and means(pattern, host, services):
                spread[host] = replace(policies[pattern], host=host)
    return spread


def _entries(draft: Draft) -> tuple[ServiceEntry, ...]:
    """The entries, with the WorkloadEntries that their selectors pick for endpoints."""
    entries = []
    for _, entry in draft.entries:
        wanted = entry.workload_selector.items()
        picked = tuple(workload for workload in draft.workloads if wanted and wanted <= workload.labels.items())
        entries.append(replace(entry, endpoints=entry.endpoints + picked))
    return tuple(entries)


def _gateways(draft: Draft) -> dict[str, Gateway]:
    """Gateways by name: Istio's and Gateway API's share them."""
    gateways: dict[str, Gateway] = {}
    for context, gateway in draft.gateways:
        first = gateways.setdefault(gateway.name, gateway)
        if first is not gateway:
            message = f"{first.origin} has the same name."
            context.refuse(("metadata", "name"), "duplicate-name", message, "Give one of them another name.")
    return gateways
