"""AuthorizationPolicy: who may call whom. Its shape is checked; it is not carried out yet."""

from __future__ import annotations

import re

from composemesh.config.kinds.common import MATCH_LABELS
from composemesh.config.kinds.kind import Context, Kind
from composemesh.config.schema.fields import Field, Type, required
from composemesh.config.schema.messages import Message, Repeated, Said
from composemesh.config.schema.network import PortText, Subnet
from composemesh.config.schema.reading import dotted
from composemesh.config.schema.scalars import Text, words

VERSIONS = ("v1beta1", "v1")
STEP = "Until then every caller is allowed."

TARGET = Message(
    {
        "group": Field(Text(empty=True), "API group."),
        "kind": required(Text(), "Kind."),
        "name": required(Text(), "Name."),
        "namespace": Field(Text(), "Namespace."),
    }
)
TARGETS = {
    "selector": Field(MATCH_LABELS, "The workloads that it is for; all if unsaid."),
    "targetRef": Field(TARGET, "The Gateway or Service that it is for."),
    "targetRefs": Field(Repeated(TARGET), "Several of them."),
}
ONE_TARGET = (("selector", "targetRef", "targetRefs"),)


def _with_nots(fields: dict[str, tuple[Type, str]]) -> dict[str, Field]:
    rows = {}
    for name, (type_, doc) in fields.items():
        rows[name] = Field(Repeated(type_), doc)
        rows[f"not{name[0].upper()}{name[1:]}"] = Field(Repeated(type_), f"None of these. {doc}")
    return rows


_KEY = re.compile(
    r"request\.headers\[[^\]]+\]|(source|remote|destination)\.ip|source\.(namespace|principal|serviceAccount|trustDomain)"
    r"|request\.auth\.(principal|audiences|presenter)|request\.auth\.claims(\[[^\]]+\])+|destination\.port"
    r"|connection\.sni|experimental\.envoy\.filters\..+"
)
SOURCE = Message(
    _with_nots(
        {
            "principals": (Text(), "Identities of mutual TLS."),
            "requestPrincipals": (Text(), "Identities of tokens."),
            "namespaces": (Text(), "Namespaces."),
            "serviceAccounts": (Text(), "Service accounts."),
            "ipBlocks": (Subnet(), "Addresses of the connection."),
            "remoteIpBlocks": (Subnet(), "Addresses of X-Forwarded-For."),
            "trustDomains": (Text(), "Trust domains."),
        }
    )
)
OPERATION = Message(
    _with_nots(
        {
            "hosts": (Text(), "Hosts."),
            "ports": (PortText(), "Ports."),
            "methods": (Text(), "Methods."),
            "paths": (Text(), "Paths."),
        }
    )
)
CONDITION = Message(
    {
        "key": required(Text(_KEY, "an attribute of Istio's, like request.headers[x-user]"), "The attribute."),
        "values": Field(Repeated(Text(empty=True)), "Any of these."),
        "notValues": Field(Repeated(Text(empty=True)), "None of these."),
    },
    some_of=("values", "notValues"),
)
RULE = Message(
    {
        "from": Field(Repeated(Message({"source": required(SOURCE, "The caller.")})), "Callers; any if unsaid."),
        "to": Field(Repeated(Message({"operation": required(OPERATION, "The call.")})), "Calls; any if unsaid."),
        "when": Field(Repeated(CONDITION), "Further conditions."),
    }
)
SPEC = Message(
    {
        **TARGETS,
        "action": Field(words("ALLOW", "DENY", "AUDIT", "CUSTOM"), "ALLOW if unsaid."),
        "provider": Field(Message({"name": required(Text(), "Name.")}), "Who decides, for CUSTOM."),
        "rules": Field(Repeated(RULE), "Any that matches. None: nobody is allowed."),
    },
    one_of=ONE_TARGET,
)


def check(context: Context, said: Said) -> None:
    """What the fields' table cannot say."""
    for rule in said.get("rules", ()):
        for source in (entry["source"] for entry in rule.get("from", ()) if "source" in entry):
            if not source:
                context.refuse(source.path, "missing-field", f"{dotted(source.path)} is empty.")
            if "serviceAccounts" in source and {"namespaces", "principals"} & source.keys():
                message = f"{dotted(source.path)}: Cannot set serviceAccounts with namespaces or principals."
                context.refuse(source.at("serviceAccounts"), "conflicting-fields", message)
        for operation in (entry["operation"] for entry in rule.get("to", ()) if "operation" in entry):
            if not operation:
                context.refuse(operation.path, "missing-field", f"{dotted(operation.path)} is empty.")
    custom = said.get("action") == "CUSTOM"
    if custom != ("provider" in said):
        message = "`spec.provider` belongs to the action CUSTOM, and the action CUSTOM to a provider."
        context.refuse(said.at("provider"), "conflicting-fields", message)


KIND = Kind("AuthorizationPolicy", "security.istio.io", SPEC, versions=VERSIONS, check=check, instead=STEP)
