"""The messages of `istioctl analyze` that mean something without Kubernetes; how they become Problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from composemesh.model.entry import Scope, ServiceEntry
from composemesh.model.gateway import Gateway
from composemesh.model.origin import Origin
from composemesh.model.policy import DestinationPolicy
from composemesh.model.problem import Problem, Severity, quotable
from composemesh.model.route import VirtualHost


class Rules(Protocol):
    """What is looked at: compiled resources, or a whole Snapshot."""

    @property
    def virtual_hosts(self) -> tuple[VirtualHost, ...]: ...
    @property
    def policies(self) -> Mapping[str, DestinationPolicy]: ...
    @property
    def entries(self) -> tuple[ServiceEntry, ...]: ...
    @property
    def scopes(self) -> tuple[Scope, ...]: ...
    @property
    def gateways(self) -> Mapping[str, Gateway]: ...


class Message(NamedTuple):
    """One of Istio's analysis messages."""

    code: str
    severity: Severity
    text: str
    hint: str


NOT_FOUND = Message("IST0101", Severity.WARNING, 'Referenced {} not found: "{}".', "{}")
NO_SUCH_VERSION = Message(
    "KIA0203", Severity.WARNING, "Nothing of {} is version {}, so requests that are sent there are refused.", "{}"
)
"""Kiali's code: Istio says nothing of subsets whose labels select nothing."""
SAME_HOST = Message(
    "IST0109",
    Severity.ERROR,
    "The VirtualServices {} associated with mesh gateway define the same host {}, and only one of them can be first.",
    "Put their rules into one VirtualService.",
)
SAME_WORKLOADS = Message(
    "IST0110", Severity.ERROR, "The Sidecars {} select the same workloads.", "Put them into one Sidecar."
)
ALL_WORKLOADS = Message(
    "IST0111", Severity.ERROR, "The Sidecars {} have no workload selector.", "Keep one of them for all workloads."
)
PORT_NEEDED = Message(
    "IST0112",
    Severity.WARNING,
    "This rule routes from a gateway to {}, which has several ports {}, and does not say which.",
    "Write port: {{number: {}}} into the destination.",
)
UNREACHED = Message("IST0130", Severity.WARNING, "VirtualService rule {} not used ({}).", "Move it up, or remove it.")
INEFFECTIVE = Message(
    "IST0131",
    Severity.INFO,
    "VirtualService rule {} match {} is not used (duplicate/overlapping match in rule {}).",
    "Move it up, or remove it.",
)
NOT_AT_GATEWAY = Message(
    "IST0132",
    Severity.WARNING,
    "Host {} defined in VirtualService {} not found in Gateway {}.",
    "Add it to the hosts of one of the gateway's servers.",
)
SAME_CERTIFICATE = Message(
    "IST0138",
    Severity.WARNING,
    "The certificate {} is that of several gateways ({}): clients that re-use a connection of HTTP/2 may get a 404.",
    "Put their servers into one Gateway.",
)
SAME_SERVER = Message(
    "IST0145", Severity.ERROR, "Gateways {} serve the same port {} and hosts {}.", "Keep the host in one of them."
)
UNKNOWN_HOST = Message(
    "IST0174", Severity.WARNING, "The host {} defined in the DestinationRule does not match any services.", "{}"
)
OTHER_PROTOCOL = Message(
    "IST0177",
    Severity.WARNING,
    "ServiceEntries ({}) define the same host {} and port {} with conflicting protocols ({}).",
    "Write the same protocol in all of them.",
)


def problem(message: Message, origin: Origin, *values: Any, hint: str = "") -> Problem:
    """One finding, where its rule stands."""
    subject = quotable(f"{origin.kind} {origin.name}".strip(), 300)
    text = message.text.format(*(quotable(str(value), 200) for value in values))
    said = hint if message.hint == "{}" else message.hint.format(hint)
    return Problem(message.severity, message.code, f"{subject}: {text}", said, origin.file, origin.line, 0, subject)
