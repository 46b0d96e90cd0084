"""What a kind of resource is: the fields that its documents have, and what they mean to the mesh."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from composemesh.config.kinds.resource import Resource
from composemesh.config.schema.fields import Type
from composemesh.config.schema.messages import Said
from composemesh.config.schema.reading import Finding, Reading
from composemesh.config.yaml import KeyPath
from composemesh.model.entry import EntryEndpoint, Scope, ServiceEntry
from composemesh.model.gateway import Gateway
from composemesh.model.origin import Origin
from composemesh.model.policy import DestinationPolicy
from composemesh.model.problem import Problem, Severity, quotable
from composemesh.model.route import HttpRule, VirtualHost
from composemesh.routing.hosts import canonical

LONGEST = 1000
"""Letters of a message, or of its hint: they repeat what somebody wrote."""
ISTIO = ("v1alpha3", "v1beta1", "v1")
"""Versions of `networking.istio.io`; the fields are the same in all of them."""


@dataclass(slots=True)
class Delegation:
    """A rule that leaves its requests to the rules of another VirtualService."""

    rule: HttpRule
    """Its conditions, and what it says for all of them."""
    to: str
    path: KeyPath


@dataclass(slots=True)
class Draft:
    """The model while the resources are compiled one after the other."""

    hosts: list[tuple[Context, VirtualHost, list[HttpRule | Delegation]]] = field(default_factory=list)
    """A virtual host with its rules of HTTP still beside it: some may lead to another VirtualService."""
    delegates: dict[str, list[HttpRule | Delegation]] = field(default_factory=dict)
    """Rules of VirtualServices without hosts, by name."""
    policies: list[tuple[Context, DestinationPolicy]] = field(default_factory=list)
    entries: list[tuple[Context, ServiceEntry]] = field(default_factory=list)
    workloads: list[EntryEndpoint] = field(default_factory=list)
    """WorkloadEntry: endpoints that a ServiceEntry's selector may pick."""
    scopes: list[Scope] = field(default_factory=list)
    gateways: list[tuple[Context, Gateway]] = field(default_factory=list)

    def absorb(self, other: Draft) -> None:
        """Take over what another draft has."""
        self.hosts += other.hosts
        self.delegates |= other.delegates
        self.policies += other.policies
        self.entries += other.entries
        self.workloads += other.workloads
        self.scopes += other.scopes
        self.gateways += other.gateways


class Context:
    """One resource on its way into the model: whose it is, and what is found wrong with it."""

    def __init__(self, resource: Resource, services: Collection[str], project: str) -> None:
        self.resource = resource
        self.services = services
        self._project = project
        self.reading = Reading()

    def __repr__(self) -> str:
        return f"<Context {self.resource.key}, {len(self.reading.findings)} findings>"

    @property
    def sound(self) -> bool:
        return all(finding.severity is not Severity.ERROR for finding in self.reading.findings)

    def origin(self, path: KeyPath = ()) -> Origin:
        return self.resource.origin_at(path)

    def host(self, name: str) -> str:
        """The name by which the mesh knows a host of the document."""
        return canonical(name, self.services)

    def mark(self) -> int:
        """A point to return to with `forget`."""
        return len(self.reading.findings)

    def forget(self, mark: int) -> None:
        """Drop the findings since a mark: those that depend on other resources."""
        del self.reading.findings[mark:]

    def is_own(self, namespace: str) -> bool:
        """Whether hosts of a namespace are the project's; `*` is every namespace."""
        return namespace in ("", ".", "*", "default", self._project, self.resource.namespace)

    def refuse(self, path: KeyPath, code: str, message: str, hint: str = "") -> None:
        self.reading.refuse(path, code, message, hint)

    def warn(self, path: KeyPath, code: str, message: str, hint: str = "") -> None:
        self.reading.findings.append(Finding(path, code, message, hint, Severity.WARNING))

    def note(self, path: KeyPath, code: str, message: str, hint: str = "") -> None:
        self.reading.findings.append(Finding(path, code, message, hint, Severity.INFO))

    def problems(self) -> tuple[Problem, ...]:
        return tuple(self._problem(finding) for finding in self.reading.findings)

    def _problem(self, finding: Finding) -> Problem:
        line, column = self.resource.place(finding.path)
        subject = str(self.resource.key)
        return Problem(
            finding.severity,
            finding.code,
            quotable(f"{quotable(subject, 300)}: {finding.message}", LONGEST),
            quotable(finding.hint, LONGEST),
            self.resource.origin.file,
            line,
            column,
            quotable(subject, 300),
        )


Compile = Callable[[Context, Any, Draft], None]
"""Is given what the spec's type read: what a Message says, or an instance of a dataclass (`settings`)."""
Check = Callable[[Context, Said], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its name, who speaks of it, and what its `spec` may say."""

    name: str
    group: str
    spec: Type
    compile: Compile | None = None
    """Puts into the draft what a sound spec says, or says what the fields' table could not; None: see `instead`."""
    versions: tuple[str, ...] = ISTIO
    """Those accepted; the last one is what to write today."""
    check: Check | None = None
    """Of a kind that is not carried out: says what the fields' table could not."""
    instead: str = ""
    """Of a kind that is not carried out: what to do."""
    spec_required: bool = True

    @property
    def api_version(self) -> str:
        """The modern one."""
        return f"{self.group}/{self.versions[-1]}"

    def schema(self) -> dict[str, Any]:
        """JSON Schema of a whole document, made of the table that reads it."""
        text = {"type": "object", "additionalProperties": {"type": "string"}}
        metadata = {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}, "labels": text},
        }
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"{self.name} of {self.group}",
            "type": "object",
            "required": ["apiVersion", "kind", "metadata", *(["spec"] if self.spec_required else [])],
            "properties": {
                "apiVersion": {"enum": [f"{self.group}/{version}" for version in self.versions]},
                "kind": {"const": self.name},
                "metadata": metadata,
                "spec": self.spec.schema(),
                "status": {},
            },
            "additionalProperties": False,
        }

    def take(self, context: Context, draft: Draft) -> None:
        """Compile one resource into the draft, where it is sound."""
        spec = context.resource.document.get("spec")
        if spec is None and self.spec_required:
            context.refuse(("spec",), "missing-field", "`spec` is missing.", "Required value: say what it does.")
            return
        said = self.spec.read(("spec",), {} if spec is None else spec, context.reading)
        if self.compile is not None:
            part = Draft()
            if said is not None and context.sound:
                self.compile(context, said, part)
            if context.sound:
                draft.absorb(part)
            return
        if self.check is not None and said is not None and context.sound:
            self.check(context, said)
        message = f"{self.name} is not carried out by this version and changes nothing."
        context.warn((), "not-carried-out", message, self.instead)
