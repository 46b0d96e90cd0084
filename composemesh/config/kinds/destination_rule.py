"""DestinationRule: how a host is called, and which parts of it there are."""

from __future__ import annotations

from composemesh.config.kinds.common import EXPORT_TO, LABELS, MATCH_LABELS
from composemesh.config.kinds.kind import Context, Draft, Kind
from composemesh.config.kinds.traffic_fields import OUTLIER_DETECTION, TRAFFIC_POLICY
from composemesh.config.kinds.traffic_policy import outlier_detection, port_policies, traffic_policy
from composemesh.config.schema.fields import Field, deprecated, later, required
from composemesh.config.schema.messages import Message, Repeated, Said
from composemesh.config.schema.network import Host
from composemesh.config.schema.reading import dotted
from composemesh.config.schema.scalars import SUBSET_NAME
from composemesh.model.policy import DestinationPolicy, Subset, TrafficPolicy

SUBSET = Message(
    {
        "name": required(SUBSET_NAME, "The name that routes use."),
        "labels": Field(LABELS, "Labels that a workload must all have; `version` is its version."),
        "trafficPolicy": Field(TRAFFIC_POLICY, "What differs for requests that a route sends to the subset."),
    }
)
_OLD_OUTLIER_DETECTION = Message(
    {
        **OUTLIER_DETECTION.fields,
        "http": deprecated(OUTLIER_DETECTION, "A level of Istio 0.8.", "Leave the level out."),
    }
)
SPEC = Message(
    {
        "host": required(Host(), "The service, or a host of a ServiceEntry."),
        "trafficPolicy": Field(TRAFFIC_POLICY, "How the host is called."),
        "subsets": Field(Repeated(SUBSET), "Named parts of its workloads."),
        "exportTo": EXPORT_TO,
        "workloadSelector": later(MATCH_LABELS, "The callers that it is for."),
        "outlierDetection": deprecated(
            _OLD_OUTLIER_DETECTION, "As articles of 2018 print it.", "Write it into `trafficPolicy`."
        ),
    }
)


def compile_destination_rule(context: Context, said: Said, draft: Draft) -> None:
    """Into the draft: the policy of one host."""
    level: Said | None = said.get("trafficPolicy")
    policy = traffic_policy(context, level)
    old: Said | None = said.get("outlierDetection")
    if old is not None and policy.outliers is None:
        outliers = outlier_detection(context, old.get("http", old))
        policy = TrafficPolicy(policy.balance, policy.connections, outliers, policy.proxy_protocol)
    made = DestinationPolicy(
        host=context.host(said["host"]),
        policy=policy,
        ports=port_policies(context, level),
        subsets=_subsets(context, said),
        origin=context.origin(),
    )
    draft.policies.append((context, made))


def _subsets(context: Context, said: Said) -> dict[str, Subset]:
    subsets: dict[str, Subset] = {}
    for subset in said.get("subsets", ()):
        name = subset["name"]
        if name in subsets:
            message = f"{dotted(subset.at('name'))}: there are two subsets {name}."
            context.refuse(subset.at("name"), "duplicate-name", message, "Give one of them another name.")
        level = subset.get("trafficPolicy")
        subsets[name] = Subset(
            dict(subset.get("labels", {})), traffic_policy(context, level), port_policies(context, level)
        )
    return subsets


KIND = Kind("DestinationRule", "networking.istio.io", SPEC, compile_destination_rule)
