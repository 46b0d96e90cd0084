"""Gateway of Gateway API: listeners are servers."""

from __future__ import annotations

from composemesh.config.kinds.gateway_api.common import GROUP, VERSIONS
from composemesh.config.kinds.kind import Context, Draft, Kind
from composemesh.config.schema.fields import Field, later, required, without_effect
from composemesh.config.schema.messages import Anything, Message, Repeated, Said
from composemesh.config.schema.network import Host, PortNumber
from composemesh.config.schema.reading import dotted
from composemesh.config.schema.scalars import Text, Words
from composemesh.model.gateway import Gateway, Server, ServerProtocol, TlsMode, TlsSettings

_OURS = "the mesh serves every Gateway of the project itself."
_MODES = Words({"Terminate": TlsMode.SIMPLE, "Passthrough": TlsMode.PASSTHROUGH})
TLS = Message(
    {
        "mode": Field(
            Words({"Terminate": TlsMode.SIMPLE, "Passthrough": TlsMode.PASSTHROUGH}), "Terminate if unsaid."
        ),
        "certificateRefs": without_effect(
            Repeated(Anything()),
            "Secrets of Kubernetes.",
            "there are no secrets here: the mesh's own authority issues the certificate.",
        ),
        "frontendValidation": later(Anything(), "Certificates of clients."),
        "options": later(Anything(), "Whatever else."),
    }
)
LISTENER = Message(
    {
        "name": required(Text(), "Its name."),
        "hostname": Field(Host(), "Who is served; everybody if unsaid."),
        "port": required(PortNumber(), "The port of this host."),
        "protocol": required(
            Words({name: ServerProtocol(name) for name in ("HTTP", "HTTPS", "TLS", "TCP")}, later=("UDP",)),
            "What it speaks.",
        ),
        "tls": Field(TLS, "How it proves who it is."),
        "allowedRoutes": without_effect(Anything(), "Whose routes count.", "a project is one namespace."),
    }
)
SPEC = Message(
    {
        "gatewayClassName": without_effect(Text(), "Who serves it.", _OURS),
        "listeners": required(Repeated(LISTENER, 1), "Ports, and who is served there."),
        "addresses": later(Repeated(Anything()), "Where it listens."),
        "infrastructure": without_effect(Anything(), "How it is deployed.", _OURS),
        "allowedListeners": without_effect(Anything(), "Who may add listeners.", _OURS),
        "tls": later(Anything(), "TLS of all listeners."),
    }
)


def compile_gateway(context: Context, said: Said, draft: Draft) -> None:
    """Into the draft: the gateway by its name."""
    names = [listener["name"] for listener in said["listeners"]]
    for listener in said["listeners"]:
        if names.count(listener["name"]) > 1:
            message = f"{dotted(listener.at('name'))}: there are several listeners {listener['name']}."
            context.refuse(listener.at("name"), "duplicate-name", message, "Give each its own name.")
    servers = tuple(_server(context, listener) for listener in said["listeners"] if "protocol" in listener)
    draft.gateways.append((context, Gateway(context.resource.name, servers, origin=context.origin())))


def _server(context: Context, said: Said) -> Server:
    protocol: ServerProtocol = said["protocol"]
    encrypted = protocol in (ServerProtocol.HTTPS, ServerProtocol.TLS)
    tls: Said | None = said.get("tls")
    if tls is not None and not encrypted:
        message = f"{dotted(tls.path)}: a listener of {protocol} has no TLS."
        context.refuse(tls.path, "conflicting-fields", message, "Write protocol: HTTPS, or TLS.")
    if tls is None and encrypted:
        message = f"{dotted(said.path)} speaks {protocol}, and has no `tls`."
        context.refuse(said.path, "missing-field", message, "Write tls: {mode: Terminate}, or Passthrough.")
    settings = TlsSettings(mode=tls.get("mode", TlsMode.SIMPLE)) if tls is not None and encrypted else None
    hosts = (said["hostname"],) if "hostname" in said else ("*",)
    return Server(said["port"], protocol, hosts, tls=settings, name=said["name"], origin=context.origin(said.path))


KIND = Kind("Gateway", GROUP, SPEC, compile_gateway, VERSIONS)
