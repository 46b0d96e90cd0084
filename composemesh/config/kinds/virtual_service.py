"""VirtualService: where the requests and connections for some hosts go."""

from __future__ import annotations

from composemesh.config.kinds.common import DESTINATION, EXPORT_TO, LABELS
from composemesh.config.kinds.http_fields import HTTP_DESTINATION, HTTP_ROUTE
from composemesh.config.kinds.http_match import gateway_names
from composemesh.config.kinds.http_route import arms, http_rule
from composemesh.config.kinds.kind import Context, Draft, Kind
from composemesh.config.schema.fields import Field, deprecated, later, required, without_effect
from composemesh.config.schema.messages import Message, Repeated, Said
from composemesh.config.schema.network import Host, PortNumber, Subnet
from composemesh.config.schema.reading import dotted, show
from composemesh.config.schema.scalars import COUNT, LABEL, Text
from composemesh.model.route import MESH, ConnectionMatch, ConnectionRule, VirtualHost, WeightedDestination
from composemesh.routing.hosts import matches as host_matches

_ONE_NAMESPACE = "a project is one namespace."
ROUTE_DESTINATION = Message(
    {
        "destination": required(DESTINATION, "Where connections go."),
        "weight": Field(COUNT, "The share, relative to the sum of all."),
    }
)
_CONNECTION = {
    "destinationSubnets": Field(Repeated(Subnet()), "Networks of the address that the caller connected to."),
    "port": Field(PortNumber(), "The port that the caller connected to."),
    "sourceLabels": Field(LABELS, "Labels of the calling workload."),
    "gateways": Field(Repeated(Text()), "Instead of those of the VirtualService."),
    "sourceNamespace": without_effect(LABEL, "The caller's namespace.", _ONE_NAMESPACE),
}
TLS_MATCH = Message(
    {"sniHosts": required(Repeated(Host(), 1), "Server names that the client asks for."), **_CONNECTION}
)
TCP_MATCH = Message({**_CONNECTION, "sourceSubnet": later(Subnet(), "The network of the caller's address.")})
TLS_ROUTE = Message(
    {
        "match": required(Repeated(TLS_MATCH, 1), "Conditions; one that holds is enough."),
        "route": required(Repeated(ROUTE_DESTINATION, 1), "Where connections go."),
    }
)
TCP_ROUTE = Message(
    {
        "match": Field(Repeated(TCP_MATCH), "Conditions; one that holds is enough. None: every connection."),
        "route": required(Repeated(ROUTE_DESTINATION, 1), "Where connections go."),
    }
)

SPEC = Message(
    {
        "hosts": Field(Repeated(Host()), "Names that callers use; none, if other VirtualServices delegate to it."),
        "gateways": Field(Repeated(Text()), "Gateways, and `mesh` for the sidecars; the sidecars if unsaid."),
        "exportTo": EXPORT_TO,
        "http": Field(Repeated(HTTP_ROUTE), "Rules for requests; the first that matches decides."),
        "tls": Field(Repeated(TLS_ROUTE), "Rules for TLS that is passed through."),
        "tcp": Field(Repeated(TCP_ROUTE), "Rules for other connections."),
        "route": deprecated(
            Repeated(HTTP_DESTINATION),
            "A `route` that stands beside its `http` item.",
            "Write `route` into the item of `http`, two columns to the right.",
        ),
    }
)


def compile_virtual_service(context: Context, said: Said, draft: Draft) -> None:
    """Into the draft: a virtual host, or, without hosts, rules for others to delegate to."""
    gateways = gateway_names(context, said, "gateways") or (MESH,)
    hosts = tuple(dict.fromkeys(context.host(host) for host in said.get("hosts", ())))
    if not {"http", "tls", "tcp"} & said.keys():
        message = "`spec` has no `http`, `tls` or `tcp`."
        context.refuse(said.path, "missing-field", message, "Say where the requests go.")
    _adopt_route(context, said)
    rules = [http_rule(context, rule) for rule in said.get("http", ())]
    if not hosts:
        _check_delegate(context, said)
        draft.delegates[context.resource.name] = rules
        return
    _check_hosts(context, said, hosts, gateways)
    virtual = VirtualHost(
        hosts=hosts,
        gateways=gateways,
        tls=tuple(_connection_rule(context, rule, hosts) for rule in said.get("tls", ())),
        tcp=tuple(_connection_rule(context, rule, ()) for rule in said.get("tcp", ())),
        origin=context.origin(),
    )
    draft.hosts.append((context, virtual, rules))


def _adopt_route(context: Context, said: Said) -> None:
    """A `route` beside `http`: it is that of the last item which has none."""
    if "route" not in said:
        return
    for rule in reversed(said.get("http", ())):
        if not {"route", "redirect", "directResponse", "delegate"} & rule.keys():
            rule["route"] = said["route"]
            return
    message = "`spec.route` belongs to no item of `http`: all have a route."
    context.refuse(said.at("route"), "conflicting-fields", message, "Take one of them out.")


def _check_hosts(context: Context, said: Said, hosts: tuple[str, ...], gateways: tuple[str, ...]) -> None:
    for index, host in enumerate(hosts):
        if host == "*" and MESH in gateways:
            message = "the host `*` can only be served at gateways."
            context.refuse(said.at("hosts"), "wrong-value", message, "Name the services, or add gateways: […].")
        covered = [other for other in hosts[:index] + hosts[index + 1 :] if host_matches(other, host)]
        if covered:
            message = f"the hosts {covered[0]} and {host} are the same to it."
            context.refuse(said.at("hosts"), "conflicting-fields", message, "Keep the wider one.")
            return


def _check_delegate(context: Context, said: Said) -> None:
    for word in ("gateways", "tls", "tcp"):
        if said.get(word):
            message = f"{dotted(said.at(word))} cannot stand in a VirtualService without hosts, a delegate."
            context.refuse(said.at(word), "conflicting-fields", message)
    for rule in said.get("http", ()):
        if "delegate" in rule:
            message = f"{dotted(rule.at('delegate'))}: a delegate cannot delegate in turn."
            context.refuse(rule.at("delegate"), "conflicting-fields", message)


def _connection_rule(context: Context, said: Said, hosts: tuple[str, ...]) -> ConnectionRule:
    """One entry of `tls` or `tcp`; for TLS, `hosts` are those of which its server names must be."""
    matches = tuple(_connection_match(context, match, hosts) for match in said.get("match", ()))
    destinations = tuple(WeightedDestination(arm.destination, arm.weight) for arm in arms(context, said))
    return ConnectionRule(matches, destinations, context.origin(said.path))


def _connection_match(context: Context, said: Said, hosts: tuple[str, ...]) -> ConnectionMatch:
    names = said.get("sniHosts", ())
    for index, name in enumerate(names):
        if not any(host_matches(host, context.host(name)) for host in hosts):
            message = (
                f"{dotted(said.at('sniHosts', index))} is {show(name)}, and is none of the hosts {', '.join(hosts)}."
            )
            context.refuse(said.at("sniHosts", index), "wrong-value", message)
    return ConnectionMatch(
        sni_hosts=names,
        destination_subnets=said.get("destinationSubnets", ()),
        port=said.get("port", 0),
        source_labels=dict(said.get("sourceLabels", {})),
        gateways=gateway_names(context, said, "gateways"),
        origin=context.origin(said.path),
    )


KIND = Kind("VirtualService", "networking.istio.io", SPEC, compile_virtual_service)
