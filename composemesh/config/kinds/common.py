"""Fields that several kinds have: selectors, destinations, ports, header operations, TLS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from composemesh.config.kinds.kind import Context
from composemesh.config.schema.fields import Field, required, without_effect
from composemesh.config.schema.messages import Message, Repeated, Said, Table
from composemesh.config.schema.network import Host, PortNumber
from composemesh.config.schema.scalars import (
    ANY_TEXT,
    HEADER_NAME,
    HEADER_VALUE,
    LABEL_NAME,
    LABEL_VALUE,
    SHARE,
    SUBSET_NAME,
    Flag,
    Text,
    words,
)
from composemesh.model.route import UNCHANGEABLE, Destination, HeaderChange, Headers
from composemesh.routing.operators import OPERATORS, unknown_operators

PROTOCOLS = {
    "HTTP": "http",
    "HTTP2": "http2",
    "GRPC": "grpc",
    "GRPC-WEB": "grpc",
    "HTTPS": "https",
    "TLS": "tls",
    "TCP": "tcp",
    "MONGO": "tcp",
    "REDIS": "tcp",
    "MYSQL": "tcp",
    "UDP": "",
    "HBONE": "",
}
"""Istio's `protocol`, in capitals, and what it is to the mesh; empty: the mesh does not carry it."""

LABELS = Table(LABEL_VALUE, LABEL_NAME)
SELECTOR = Message({"labels": Field(LABELS, "Labels that a workload must all have.")})
MATCH_LABELS = Message({"matchLabels": Field(LABELS, "Labels that a workload must all have.")})
EXPORT_TO = without_effect(
    Repeated(Text()), "Namespaces that see the resource.", "a project is one namespace, and all of it sees it."
)
PERCENTAGE = Message({"value": Field(SHARE, "Percent, with fractions.")})
PORT_SELECTOR = Message({"number": Field(PortNumber(), "The port.")}, wanted="a mapping like {number: 9080}")

DESTINATION = Message(
    {
        "host": required(Host(pattern=False), "The service, or a host of a ServiceEntry."),
        "subset": Field(SUBSET_NAME, "A subset that a DestinationRule of the host names."),
        "port": Field(PORT_SELECTOR, "The port, where the host has several."),
    },
    wanted="a destination: a mapping with its host",
)

_OPERATIONS = Message(
    {
        "set": Field(Table(HEADER_VALUE, Text()), "Overwrites."),
        "add": Field(Table(HEADER_VALUE, Text()), "Appends."),
        "remove": Field(Repeated(Text()), "Takes away."),
    }
)
HEADERS = Message(
    {
        "request": Field(_OPERATIONS, "Before the request goes on."),
        "response": Field(_OPERATIONS, "Before the answer goes back."),
    }
)

_AUTHORITY = frozenset({"host", ":authority"})

CLIENT_TLS = Message(
    {
        "mode": Field(words("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"), "Whether and how TLS is begun."),
        "clientCertificate": Field(ANY_TEXT, "File of the certificate that is shown."),
        "privateKey": Field(ANY_TEXT, "File of its key."),
        "caCertificates": Field(ANY_TEXT, "File of the authorities that are believed."),
        "caCrl": Field(ANY_TEXT, "File of certificates that are not believed any more."),
        "credentialName": Field(ANY_TEXT, "A secret of Kubernetes with all of these."),
        "subjectAltNames": Field(Repeated(Text()), "Names of which the server's certificate must have one."),
        "sni": Field(ANY_TEXT, "The server name that is asked for."),
        "insecureSkipVerify": Field(Flag(), "Whether any certificate will do."),
    }
)


def destination(context: Context, said: Said) -> Destination:
    port = said.get("port", {}).get("number", 0)
    return Destination(context.host(said["host"]), said.get("subset", ""), port)


def headers(context: Context, said: Said | None) -> Headers:
    """Header operations; what may not be touched is refused."""
    if said is None:
        return Headers()
    return Headers(
        _change(context, said.get("request"), authority=True), _change(context, said.get("response"), authority=False)
    )


def _change(context: Context, said: Said | None, *, authority: bool) -> HeaderChange:
    if said is None:
        return HeaderChange()
    kept: dict[str, tuple[tuple[str, str], ...]] = {}
    for verb in ("set", "add"):
        table: Said = said.get(verb, Said(said.at(verb)))
        for name in table:
            _check_name(context, table.at(name), name, authority)
            for operator in unknown_operators(table[name]):
                message = f"%{operator}% in the value of a header is sent as it stands."
                context.warn(table.at(name), "not-carried-out", message, f"There is {', '.join(sorted(OPERATORS))}.")
        kept[verb] = tuple(("host" if name in _AUTHORITY else name, value) for name, value in _lower(table))
    for index, name in enumerate(said.get("remove", ())):
        _check_name(context, said.at("remove", index), name, False)
    remove = tuple(name.lower() for name in said.get("remove", ()))
    return HeaderChange(kept["set"], kept["add"], remove)


def _lower(table: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return ((name.lower(), value) for name, value in table.items())


def _check_name(context: Context, path: Any, name: str, authority: bool) -> None:
    lower = name.lower()
    if lower in _AUTHORITY:
        if not authority:
            message = f"the header {lower} cannot be changed here."
            context.refuse(path, "wrong-value", message, "Rewrite the authority with `rewrite`.")
    elif not HEADER_NAME.pattern or not HEADER_NAME.pattern.fullmatch(name):
        context.refuse(path, "wrong-value", f'"{name[:60]!s}" is not the name of a header that can be changed.')
    elif lower in UNCHANGEABLE:
        message = f"the header {lower} frames the message, and cannot be changed by a rule."
        context.warn(path, "not-carried-out", message)


def percent_of(said: Said | None, default: float = 0.0) -> float:
    """A `percentage`: unsaid, it is the default; said without a value, 0."""
    return said.get("value", 0.0) if said is not None else default
