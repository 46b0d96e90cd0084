"""ServiceEntry: hosts that the project may call, though no container of it stands for them."""

from __future__ import annotations

from composemesh.config.kinds.common import EXPORT_TO, PROTOCOLS, SELECTOR
from composemesh.config.kinds.kind import Context, Draft, Kind
from composemesh.config.kinds.workload_entry import SPEC as WORKLOAD_ENTRY
from composemesh.config.kinds.workload_entry import UNIX, endpoint
from composemesh.config.schema.fields import Field, later, required
from composemesh.config.schema.messages import Message, Repeated, Said
from composemesh.config.schema.network import Host, PortNumber, Subnet
from composemesh.config.schema.reading import dotted, read_address, show
from composemesh.config.schema.scalars import LABEL, Text, Words
from composemesh.model.entry import EntryPort, Location, Resolution, ServiceEntry

PROTOCOL = Words(PROTOCOLS, deprecated={name.lower(): name for name in PROTOCOLS})
PORT = Message(
    {
        "number": required(PortNumber(), "The port that callers use."),
        "name": required(LABEL, "Its name."),
        "protocol": Field(PROTOCOL, "What it speaks; found out by who speaks first if unsaid."),
        "targetPort": Field(PortNumber(zero=True), "The port to dial; the same if unsaid."),
    }
)
SPEC = Message(
    {
        "hosts": required(Repeated(Host(), 1), "Names that callers use; `*.x` is a pattern."),
        "addresses": Field(Repeated(Subnet()), "Virtual addresses or networks that mean these hosts."),
        "ports": Field(Repeated(PORT), "Their ports."),
        "location": Field(
            Words({"MESH_EXTERNAL": Location.EXTERNAL, "MESH_INTERNAL": Location.INTERNAL}),
            "Whether they are part of the mesh.",
        ),
        "resolution": Field(
            Words(
                {
                    "NONE": Resolution.NONE,
                    "STATIC": Resolution.STATIC,
                    "DNS": Resolution.DNS,
                    "DNS_ROUND_ROBIN": Resolution.DNS_ROUND_ROBIN,
                },
                later=("DYNAMIC_DNS",),
            ),
            "How their addresses are found.",
        ),
        "endpoints": Field(Repeated(WORKLOAD_ENTRY), "Where they really are; the hosts themselves if unsaid."),
        "workloadSelector": Field(SELECTOR, "Workloads, of the project or WorkloadEntry, that stand for them."),
        "exportTo": EXPORT_TO,
        "subjectAltNames": later(Repeated(Text()), "Names of which the server's certificate must have one."),
    }
)
_TALKS_TLS = frozenset({"http", "http2", "grpc", "https", "tls"})


def compile_service_entry(context: Context, said: Said, draft: Draft) -> None:
    """Into the draft: the entry, as far as its parts agree."""
    resolution = said.get("resolution", Resolution.NONE)
    _check_hosts(context, said)
    _check_addresses(context, said, resolution)
    _check_endpoints(context, said, resolution)
    ports = _ports(context, said)
    known = [port.protocol in _TALKS_TLS for port in ports if port.protocol]
    if resolution is not Resolution.NONE and len(said["hosts"]) > 1 and not all(known):
        message = "several hosts cannot share a port of plain TCP: nothing in its bytes tells them apart."
        context.refuse(said.at("ports"), "conflicting-fields", message, "Write an entry for each host.")
    selector: Said | None = said.get("workloadSelector")
    entry = ServiceEntry(
        hosts=tuple(context.host(host) for host in said["hosts"]),
        ports=ports,
        addresses=said.get("addresses", ()),
        location=said.get("location", Location.EXTERNAL),
        resolution=resolution,
        endpoints=tuple(endpoint(context, entry) for entry in said.get("endpoints", ())),
        workload_selector=dict(selector.get("labels", {})) if selector is not None else {},
        origin=context.origin(),
    )
    _check_port_names(context, said, entry)
    draft.entries.append((context, entry))


def _check_hosts(context: Context, said: Said) -> None:
    for index, host in enumerate(said["hosts"]):
        if host == "*":
            message = f"{dotted(said.at('hosts', index))} is `*`: a hostname cannot be wildcard alone."
            context.refuse(said.at("hosts", index), "wrong-value", message, "Write `*.example.com`.")
        elif host.startswith("*") and not host.startswith("*."):
            message = f"{dotted(said.at('hosts', index))}: `*` must stand for whole labels."
            context.warn(said.at("hosts", index), "wrong-value", message, f"Write *.{host.lstrip('*-.')}.")


def _check_addresses(context: Context, said: Said, resolution: Resolution) -> None:
    networks = any("/" in address for address in said.get("addresses", ()))
    if networks and resolution not in (Resolution.NONE, Resolution.STATIC):
        message = (
            "`spec.addresses` has a network: CIDR addresses are allowed only for NONE/STATIC resolution types, "
            f"and this is {resolution.upper()}."
        )
        context.refuse(said.at("addresses"), "conflicting-fields", message)


def _check_endpoints(context: Context, said: Said, resolution: Resolution) -> None:
    endpoints: tuple[Said, ...] = said.get("endpoints", ())
    if "workloadSelector" in said and "endpoints" in said:
        message = "only one of `workloadSelector` or `endpoints` can be set."
        context.refuse(said.at("endpoints"), "conflicting-fields", message)
    if "workloadSelector" in said and not said["workloadSelector"].get("labels"):
        message = "`spec.workloadSelector` has no labels, and selects no workload."
        context.warn(said.at("workloadSelector"), "without-effect", message, "Add labels.")
    if resolution is Resolution.NONE and endpoints:
        message = "resolution NONE cannot set endpoints: callers have resolved the host already."
        context.refuse(said.at("endpoints"), "conflicting-fields", message, "Write resolution: STATIC, or DNS.")
    if resolution is Resolution.DNS_ROUND_ROBIN and len(endpoints) > 1:
        message = "resolution DNS_ROUND_ROBIN cannot have multiple endpoints."
        context.refuse(said.at("endpoints"), "conflicting-fields", message, "Write resolution: DNS.")
    if (
        resolution in (Resolution.DNS, Resolution.DNS_ROUND_ROBIN)
        and not endpoints
        and "workloadSelector" not in said
    ):
        for index, host in enumerate(said["hosts"]):
            if host.startswith("*"):
                message = (
                    f"{dotted(said.at('hosts', index))} is a pattern, which cannot be resolved without endpoints."
                )
                context.refuse(said.at("hosts", index), "conflicting-fields", message, "Write resolution: NONE.")
    for entry in endpoints if resolution is Resolution.STATIC else ():
        address: str = entry.get("address", "")
        if address and not address.startswith(UNIX) and read_address(address) is None:
            message = (
                f"{dotted(entry.at('address'))} is {show(address)}, and with resolution STATIC must be an address."
            )
            context.refuse(entry.at("address"), "wrong-value", message, "Write resolution: DNS.")


def _ports(context: Context, said: Said) -> tuple[EntryPort, ...]:
    names: set[str] = set()
    numbers: set[int] = set()
    ports = []
    for port in said.get("ports", ()):
        name, number = port["name"], port["number"]
        if name in names:
            message = f"Duplicate value: {dotted(port.at('name'))} is {name} again."
            context.refuse(port.at("name"), "duplicate-name", message, "Give one of the ports another name.")
        if number in numbers:
            message = f"{dotted(port.at('number'))} is {number} again: a port number cannot be duplicated."
            context.refuse(port.at("number"), "duplicate-name", message)
        names.add(name)
        numbers.add(number)
        protocol = port.get("protocol")
        if protocol == "":
            message = f"{dotted(port.at('protocol'))}: this protocol is not carried out by this version."
            context.warn(port.at("protocol"), "not-carried-out", message)
        ports.append(EntryPort(number, protocol or _by_name(name), name, port.get("targetPort", 0)))
    return tuple(ports)


def _by_name(name: str) -> str:
    """The protocol that a port's name begins with (`http-web`), as Istio has it; empty where it doesn't."""
    return PROTOCOLS.get(name.partition("-")[0].upper(), "")


def _check_port_names(context: Context, said: Said, entry: ServiceEntry) -> None:
    names = {port.name for port in entry.ports}
    for written, made in zip(said.get("endpoints", ()), entry.endpoints, strict=False):
        for name in made.ports:
            if name not in names:
                path = written.at("ports", name)
                context.refuse(
                    path, "wrong-value", f"{dotted(path)} is no port of the entry.", "Name one of `ports`."
                )


KIND = Kind("ServiceEntry", "networking.istio.io", SPEC, compile_service_entry)
