"""WorkloadGroup: a pattern for WorkloadEntries that register themselves. Its shape is checked; nothing registers."""

from __future__ import annotations

from composemesh.config.kinds.common import LABELS
from composemesh.config.kinds.kind import Kind
from composemesh.config.kinds.workload_entry import SPEC as WORKLOAD_ENTRY
from composemesh.config.schema.fields import Field, required
from composemesh.config.schema.messages import Message, Repeated, Table
from composemesh.config.schema.network import PortNumber
from composemesh.config.schema.scalars import ANY_TEXT, COUNT, Text

_HEADER = Message({"name": required(Text(), "Name."), "value": Field(ANY_TEXT, "Value.")})
_HTTP = Message(
    {
        "path": Field(Text(), "Path."),
        "port": required(PortNumber(), "Port."),
        "host": Field(Text(), "Host."),
        "scheme": Field(Text(), "Scheme."),
        "httpHeaders": Field(Repeated(_HEADER), "Headers."),
    }
)
PROBE = Message(
    {
        "initialDelaySeconds": Field(COUNT, "Before the first probe."),
        "timeoutSeconds": Field(COUNT, "For the answer."),
        "periodSeconds": Field(COUNT, "Between probes."),
        "successThreshold": Field(COUNT, "Successes until it is well."),
        "failureThreshold": Field(COUNT, "Failures until it is not."),
        "httpGet": Field(_HTTP, "A request."),
        "tcpSocket": Field(
            Message({"host": Field(Text(), "Host."), "port": required(PortNumber(), "Port.")}), "A connection."
        ),
        "exec": Field(Message({"command": required(Repeated(Text(), 1), "Command.")}), "A command."),
        "grpc": Field(
            Message({"port": Field(PortNumber(), "Port."), "service": Field(ANY_TEXT, "Service.")}), "A call of gRPC."
        ),
    },
    one_of=(("httpGet", "tcpSocket", "exec", "grpc"),),
)
_METADATA = Message({"labels": Field(LABELS, "Labels."), "annotations": Field(Table(ANY_TEXT), "Annotations.")})
SPEC = Message(
    {
        "metadata": Field(_METADATA, "Of the entries."),
        "template": required(WORKLOAD_ENTRY, "What the entries have in common."),
        "probe": Field(PROBE, "Whether a workload is ready."),
    }
)

KIND = Kind("WorkloadGroup", "networking.istio.io", SPEC, instead="Write a WorkloadEntry for each workload.")
