"""PeerAuthentication: whether callers must come with mutual TLS. Its shape is checked; it is not carried out yet."""

from __future__ import annotations

from composemesh.config.kinds.authorization_policy import VERSIONS
from composemesh.config.kinds.common import MATCH_LABELS
from composemesh.config.kinds.kind import Context, Kind
from composemesh.config.schema.fields import Field
from composemesh.config.schema.messages import Message, Said, Table
from composemesh.config.schema.network import PortText
from composemesh.config.schema.scalars import words

MTLS = Message({"mode": Field(words("UNSET", "DISABLE", "PERMISSIVE", "STRICT"), "UNSET if unsaid.")})
SPEC = Message(
    {
        "selector": Field(MATCH_LABELS, "The workloads that it is for; all if unsaid."),
        "mtls": Field(MTLS, "For every port."),
        "portLevelMtls": Field(Table(MTLS, PortText()), "For one port."),
    }
)


def check(context: Context, said: Said) -> None:
    """What the fields' table cannot say."""
    if "portLevelMtls" not in said:
        return
    path = said.at("portLevelMtls")
    if not said["portLevelMtls"]:
        context.refuse(path, "missing-field", "`spec.portLevelMtls` is empty, and should have at least 1 port.")
    if not said.get("selector", {}).get("matchLabels"):
        message = "`spec.portLevelMtls` requires selector: ports are those of some workloads."
        context.refuse(path, "conflicting-fields", message, "Write selector: {matchLabels: {…}}.")


KIND = Kind("PeerAuthentication", "security.istio.io", SPEC, versions=VERSIONS, check=check, spec_required=False)
