"""Sidecar: what the sidecars of some workloads may reach."""

from __future__ import annotations

from composemesh.config.kinds.common import DESTINATION, SELECTOR
from composemesh.config.kinds.gateway import TLS
from composemesh.config.kinds.kind import Context, Draft, Kind
from composemesh.config.kinds.service_entry import PROTOCOL
from composemesh.config.kinds.traffic_fields import CONNECTION_POOL
from composemesh.config.schema.fields import Field, later, refused, required, without_effect
from composemesh.config.schema.messages import ANY, Message, Repeated, Said
from composemesh.config.schema.network import Host, PortNumber
from composemesh.config.schema.reading import dotted
from composemesh.config.schema.scalars import UNSIGNED, Text, Words, words
from composemesh.model.entry import Scope

PORT = Message(
    {
        "number": Field(PortNumber(zero=True), "The port."),
        "protocol": Field(PROTOCOL, "What it speaks."),
        "name": Field(Text(), "Its name."),
        "targetPort": refused(UNSIGNED, "Has never meant anything.", "Istio refuses it too."),
    }
)
_MODES = words("DEFAULT", "IPTABLES", "NONE")
_OWN_LISTENERS = "the mesh captures traffic itself, and listens where it must."
INGRESS = Message(
    {
        "port": required(PORT, "The port."),
        "bind": Field(Text(), "The address."),
        "captureMode": Field(_MODES, "How traffic reaches it."),
        "defaultEndpoint": Field(Text(), "Where it goes."),
        "tls": Field(TLS, "TLS of the caller."),
        "connectionPool": Field(CONNECTION_POOL, "Limits."),
    }
)
EGRESS = Message(
    {
        "port": Field(PORT, "The port that the hosts are for; any if unsaid."),
        "bind": without_effect(Text(), "The address.", _OWN_LISTENERS),
        "captureMode": without_effect(_MODES, "How traffic reaches it.", _OWN_LISTENERS),
        "hosts": required(Repeated(Host(namespaced=True), 1), "`namespace/host`; `*` for all."),
    }
)
OUTBOUND = Message(
    {
        "mode": Field(
            Words({"REGISTRY_ONLY": True, "ALLOW_ANY": False}), "Whether hosts that nobody declared may be called."
        ),
        "egressProxy": later(DESTINATION, "Through which they are called."),
    }
)
SPEC = Message(
    {
        "workloadSelector": Field(SELECTOR, "The workloads that it is for; all if unsaid."),
        "egress": Field(Repeated(EGRESS), "What they may call; everything if unsaid."),
        "outboundTrafficPolicy": Field(OUTBOUND, "Hosts that nobody declared."),
        "ingress": later(Repeated(INGRESS), "Listeners of their own."),
        "inboundConnectionPool": later(CONNECTION_POOL, "Limits of what reaches them."),
    },
    some_of=ANY,
)


def compile_sidecar(context: Context, said: Said, draft: Draft) -> None:
    """Into the draft: a scope. Every namespace is the project's, so only the host counts."""
    egress: tuple[Said, ...] = said.get("egress", ())
    entries, ports = [], set()
    for index, entry in enumerate(egress):
        port = entry.get("port", {}).get("number", 0)
        if port in ports:
            message = f"{dotted(entry.path)}: an entry for the same port stands before it."
            context.refuse(entry.path, "conflicting-fields", message, "Put its hosts together.")
        if "port" not in entry and index < len(egress) - 1:
            message = f"{dotted(entry.path)} has no port, and must be the last one."
            context.refuse(entry.path, "conflicting-fields", message)
        ports.add(port)
        entries.append((port, _hosts(context, entry)))
    selector: Said | None = said.get("workloadSelector")
    if selector is not None and not selector.get("labels"):
        message = "`spec.workloadSelector` has no labels, and selects all workloads."
        context.warn(selector.path, "without-effect", message, "Add labels, or leave it out.")
    draft.scopes.append(
        Scope(
            selector=dict(selector.get("labels", {})) if selector is not None else {},
            egress=tuple(entries),
            registry_only=said.get("outboundTrafficPolicy", {}).get("mode"),
            origin=context.origin(),
        )
    )


def _hosts(context: Context, said: Said) -> tuple[str, ...]:
    """The hosts of one entry. `~` is nobody, and all hosts of another namespace are none: it is not here."""
    hosts = []
    for index, host in enumerate(said["hosts"]):
        path = said.at("hosts", index)
        namespace = str(context.resource.value(path)).rpartition("/")[0]
        if namespace == "~":
            continue
        if host == "*" and not context.is_own(namespace):
            message = f"{dotted(path)}: there is no namespace {namespace} here, and nothing in it."
            context.note(path, "without-effect", message, "Write ./* for all hosts of the project.")
            continue
        hosts.append(host if host.startswith("*") else context.host(host))
    return tuple(dict.fromkeys(hosts))


KIND = Kind("Sidecar", "networking.istio.io", SPEC, compile_sidecar)
