"""What the routes of Gateway API share: parents, backends and header filters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from composemesh.config.kinds.kind import Context
from composemesh.config.schema.fields import Field, later, required, without_effect
from composemesh.config.schema.messages import Message, Repeated, Said
from composemesh.config.schema.network import Host, PortNumber
from composemesh.config.schema.reading import dotted
from composemesh.config.schema.scalars import ANY_TEXT, COUNT, HEADER_NAME, HEADER_VALUE, LABEL, Number, Text, words
from composemesh.model.route import (
    MESH,
    Destination,
    HeaderChange,
    Headers,
    HttpMatch,
    HttpRule,
    MatchKind,
    Mirror,
    StringMatch,
    VirtualHost,
    WeightedDestination,
)

GROUP = "gateway.networking.k8s.io"
ROUTES = ("HTTPRoute", "GRPCRoute")
VERSIONS = ("v1alpha2", "v1beta1", "v1")
_ONE_NAMESPACE = "a project is one namespace."

PARENT = Message(
    {
        "group": Field(ANY_TEXT, "API group."),
        "kind": Field(words("Gateway", "Service", "ServiceEntry"), "Gateway if unsaid; Service: the sidecars."),
        "namespace": without_effect(LABEL, "Its namespace.", _ONE_NAMESPACE),
        "name": required(Text(), "The Gateway; or the Service whose callers meet the rules."),
        "sectionName": later(Text(), "One listener of the Gateway: the rules hold for all of them."),
        "port": Field(PortNumber(), "One port of it."),
    }
)
BACKEND_FIELDS = {
    "group": Field(ANY_TEXT, "API group."),
    "kind": Field(words("Service", "Hostname"), "Service if unsaid."),
    "name": required(Host(pattern=False), "The service."),
    "namespace": without_effect(LABEL, "Its namespace.", _ONE_NAMESPACE),
    "port": Field(PortNumber(), "Its port."),
}
BACKEND = Message(BACKEND_FIELDS)
_HEADER = Message({"name": required(HEADER_NAME, "Name."), "value": required(HEADER_VALUE, "Value.")})
MODIFIER = Message(
    {
        "set": Field(Repeated(_HEADER), "Overwrites."),
        "add": Field(Repeated(_HEADER), "Appends."),
        "remove": Field(Repeated(HEADER_NAME), "Takes away."),
    }
)
_FRACTION = Message(
    {"numerator": required(COUNT, "Of so many."), "denominator": Field(Number(1, 2**31 - 1), "100 if unsaid.")}
)
MIRROR = Message(
    {
        "backendRef": required(BACKEND, "Where copies go."),
        "percent": Field(Number(0, 100), "Of how many requests; all if unsaid."),
        "fraction": Field(_FRACTION, "Of how many requests."),
    },
    one_of=(("percent", "fraction"),),
)
FILTERS = {
    "requestHeaderModifier": Field(MODIFIER, "Headers of the request."),
    "responseHeaderModifier": Field(MODIFIER, "Headers of the answer."),
    "requestMirror": Field(MIRROR, "Copies of requests."),
    "extensionRef": later(BACKEND, "A filter of somebody else's."),
}


def backend_ref(filters: Message) -> Message:
    """An entry of `backendRefs`, with the filters that its route's kind has."""
    return Message(
        {
            **BACKEND_FIELDS,
            "weight": Field(Number(0, 1_000_000), "The share; 1 if unsaid."),
            "filters": Field(Repeated(filters), "Header filters for this backend only."),
        }
    )


def destination(context: Context, said: Said) -> Destination:
    return Destination(context.host(said["name"]), port=said.get("port", 0))


def arms(context: Context, rule: Said) -> tuple[WeightedDestination, ...]:
    """The backends with their weights: 1 where unsaid, as Gateway API has it."""
    return tuple(
        WeightedDestination(destination(context, said), said.get("weight", 1), headers(said.get("filters", ())))
        for said in rule.get("backendRefs", ())
        if said.get("weight", 1)
    )


def headers(filters: Iterable[Said]) -> Headers:
    """All header filters of a list."""
    request = response = HeaderChange()
    for said in filters:
        request = _more(request, said.get("requestHeaderModifier"))
        response = _more(response, said.get("responseHeaderModifier"))
    return Headers(request, response)


def _more(change: HeaderChange, said: Said | None) -> HeaderChange:
    if said is None:
        return change

    def pairs(word: str) -> tuple[tuple[str, str], ...]:
        return tuple((entry["name"].lower(), entry["value"]) for entry in said.get(word, ()))

    removed = tuple(name.lower() for name in said.get("remove", ()))
    return HeaderChange(change.set + pairs("set"), change.add + pairs("add"), change.remove + removed)


def mirrors(context: Context, filters: Iterable[Said]) -> tuple[Mirror, ...]:
    found = []
    for said in (said["requestMirror"] for said in filters if "requestMirror" in said):
        share = float(said.get("percent", 100))
        if "fraction" in said:
            share = 100.0 * said["fraction"]["numerator"] / said["fraction"].get("denominator", 100)
            if share > 100:
                message = f"{dotted(said.at('fraction'))} is more than all requests."
                context.refuse(said.at("fraction"), "wrong-value", message)
        found.append(Mirror(destination(context, said["backendRef"]), share))
    return tuple(found)


def check_filters(context: Context, filters: Iterable[Said], fields: dict[str, str]) -> None:
    """Each filter's `type` has its own field beside it."""
    for said in filters:
        wanted = fields[said["type"]]
        if wanted != "extensionRef" and wanted not in said:
            message = f"{dotted(said.path)} is of the type {said['type']}, and has no `{wanted}`."
            context.refuse(said.path, "missing-field", message)


def virtual_hosts(
    context: Context, spec: Said, rules: tuple[HttpRule, ...]
) -> Iterator[tuple[VirtualHost, tuple[HttpRule, ...]]]:
    """The rules where their parents are: at Gateways for the hostnames, at the sidecars for the Service itself."""
    hostnames = tuple(dict.fromkeys(context.host(host) for host in spec.get("hostnames", ()))) or ("*",)
    for parent in spec.get("parentRefs", ()):
        where = parent.get("kind", "Gateway")
        gateway = where == "Gateway"
        hosts = hostnames if gateway else (context.host(parent["name"]),)
        virtual = VirtualHost(hosts, (parent["name"] if gateway else MESH,), origin=context.origin())
        yield virtual, tuple(_at_port(rule, parent.get("port", 0)) for rule in rules)
    if not spec.get("parentRefs"):
        message = "`spec.parentRefs` names nobody: the rules are in force nowhere."
        context.warn(spec.at("parentRefs"), "without-effect", message, "Name a Gateway, or kind: Service.")


def joined(virtual_hosts: Iterable[VirtualHost]) -> tuple[VirtualHost, ...]:
    """Routes for the same hosts at the same place as one: among all their matches the most specific decides."""
    places: dict[object, VirtualHost] = {}
    for number, virtual in enumerate(virtual_hosts):
        place = (virtual.hosts, virtual.gateways) if virtual.origin.kind in ROUTES else number
        first = places.setdefault(place, virtual)
        if first is not virtual:
            rules = sorted((*first.http, *virtual.http), key=lambda rule: precedence(rule.matches[0]), reverse=True)
            places[place] = replace(first, http=tuple(rules))
    return tuple(places.values())


def precedence(match: HttpMatch) -> tuple[int, ...]:
    """Gateway API's order: exact path, longest path, method, most headers, most parameters; then as written."""
    uri = match.uri or StringMatch(MatchKind.SEGMENTS, "/")
    kinds = {MatchKind.EXACT: 3, MatchKind.SEGMENTS: 2, MatchKind.PREFIX: 2}
    length = len(uri.value)
    return (kinds.get(uri.kind, 1), length, match.method is not None, len(match.headers), len(match.query_params))


def _at_port(rule: HttpRule, port: int) -> HttpRule:
    if not port:
        return rule
    matches = rule.matches or (HttpMatch(origin=rule.origin),)
    return replace(rule, matches=tuple(replace(match, port=port) for match in matches))
