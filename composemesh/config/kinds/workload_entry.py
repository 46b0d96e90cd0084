"""WorkloadEntry: one endpoint that no container of the project is."""

from __future__ import annotations

from composemesh.config.kinds.common import LABELS
from composemesh.config.kinds.kind import Context, Draft, Kind
from composemesh.config.schema.fields import Field, later, without_effect
from composemesh.config.schema.messages import Message, Said, Table
from composemesh.config.schema.network import Host, PortNumber
from composemesh.config.schema.reading import dotted
from composemesh.config.schema.scalars import LABEL, UNSIGNED, Text
from composemesh.model.entry import EntryEndpoint

UNIX = "unix://"

SPEC = Message(
    {
        "address": Field(Text(), "An IP address, or a name to resolve."),
        "ports": Field(Table(PortNumber(), LABEL), "By the port's name: what to dial instead."),
        "labels": Field(LABELS, "What subsets select."),
        "weight": Field(UNSIGNED, "The share, relative to the others'; 1 if unsaid."),
        "network": without_effect(Text(), "A network of Kubernetes.", "endpoints are dialled as they are written."),
        "locality": later(Text(), "Region, zone and rack."),
        "serviceAccount": later(Text(), "Whose certificate the workload has."),
    }
)


def endpoint(context: Context, said: Said) -> EntryEndpoint:
    """The endpoint; an address that is none is refused."""
    address: str = said.get("address", "")
    path = said.at("address")
    if not address:
        context.refuse(path, "missing-field", f"{dotted(path)} is missing.")
    elif address.startswith(UNIX):
        if not address.startswith(f"{UNIX}/") or said.get("ports"):
            message = f"{dotted(path)} is a Unix socket: its path must be absolute, and it has no ports."
            context.refuse(path, "wrong-value", message)
        else:
            context.warn(
                path, "not-carried-out", f"{dotted(path)}: Unix sockets are not carried out by this version."
            )
    elif Host(pattern=False).read(path, address, context.reading) is None:
        address = ""
    labels = dict(said.get("labels", {}))
    return EntryEndpoint(address.lower(), dict(said.get("ports", {})), labels, said.get("weight", 1))


def compile_workload_entry(context: Context, said: Said, draft: Draft) -> None:
    """Into the draft: an endpoint that the selectors of ServiceEntries may pick."""
    draft.workloads.append(endpoint(context, said))


KIND = Kind("WorkloadEntry", "networking.istio.io", SPEC, compile_workload_entry)
