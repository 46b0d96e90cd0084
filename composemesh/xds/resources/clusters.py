"""CDS: everything that a caller may be led to, and how it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from composemesh.model.entry import Resolution
from composemesh.model.policy import Balancer
from composemesh.model.snapshot import Protocol
from composemesh.xds import protos
from composemesh.xds.resources import endpoints
from composemesh.xds.resources.chains import NOWHERE
from composemesh.xds.resources.policy import apply, unspoken
from composemesh.xds.resources.resource import Resource, packed
from composemesh.xds.resources.units import put_seconds
from composemesh.xds.resources.view import Place

if TYPE_CHECKING:
    from composemesh.routing.declared import Declared
    from composemesh.xds.resources.making import Making

PASSTHROUGH = "PassthroughCluster"
"""Where a connection was going anyhow (Istio's name)."""

CONNECT_TIMEOUT = 10.0


def want_all(making: Making) -> None:
    """Ask for the clusters of all services, at all ports, with all subsets, and of all declared hosts."""
    view = making.view
    for service in view.services.values():
        policy = view.snapshot.policies.get(service.name)
        for port in service.ports:
            making.want(Place(service.name, port))
            for subset in policy.subsets if policy is not None else ():
                making.want(Place(service.name, port, subset))
    for host, said in view.declarations():
        policy = view.snapshot.policies.get(host)
        making.want(Place(host, said.number))
        for subset in policy.subsets if policy is not None else ():
            making.want(Place(host, said.number, subset))


def generate(making: Making) -> tuple[dict[str, Resource], dict[str, Place]]:
    """The clusters that are asked for, and those of them that take their endpoints from EDS."""
    found: dict[str, Resource] = {}
    live: dict[str, Place] = {}
    for name, place in making.places.items():
        with making.contained(f"cluster {name}"):
            cluster = _cluster(making, place)
            if cluster is not None:
                found[name] = packed(cluster, name)
                if cluster.type == cluster.EDS:
                    live[name] = place
    if making.redirected:
        found[PASSTHROUGH] = packed(_passthrough(), PASSTHROUGH)
        found[NOWHERE] = packed(_named(NOWHERE, "STATIC"), NOWHERE)
    return found, live


def _cluster(making: Making, place: Place) -> Any:
    """The cluster of a place; None where this client can't have one."""
    policy = making.policy(place)
    balance = policy.balance
    if balance is not None and balance.kind is Balancer.PASSTHROUGH:
        if not making.redirected:
            making.cannot("`loadBalancer.simple: PASSTHROUGH`, where connections are not redirected", place.host)
            return None
        kind = "ORIGINAL_DST"
    elif place.host in making.view.known:
        kind = "EDS"
    else:
        declared = making.view.declared(place.host, place.port)
        kind = "" if declared is None else _kind(making, place, declared)
        if not kind:
            return None
    cluster = _named(place.cluster, kind)
    cluster.alt_stat_name = place.cluster.replace(":", "_")
    service = making.view.services.get(place.host)
    web = service is not None and service.ports.get(place.port) is Protocol.GRPC_WEB
    apply(cluster, policy, proxyless=making.node.proxyless, http2=web)
    if making.node.proxyless:
        for what in unspoken(policy):
            making.cannot(what, f"DestinationRule {place.host}", making.view.snapshot.policies[place.host].origin)
    if kind == "EDS":
        source = cluster.eds_cluster_config.eds_config
        source.ads.SetInParent()
        source.resource_api_version = 2  # V3
    elif kind == "ORIGINAL_DST":
        cluster.lb_policy = cluster.CLUSTER_PROVIDED
    else:
        assert declared is not None, "only what an entry declares is looked up by name"
        targets = endpoints.written(declared, place.port, endpoints.subset_labels(making, place))
        cluster.load_assignment.CopyFrom(endpoints.assignment(place.cluster, targets))
        cluster.dns_lookup_family = cluster.V4_PREFERRED
        cluster.respect_dns_ttl = True
    return cluster


def _kind(making: Making, place: Place, declared: Declared) -> str:
    """How the endpoints of a declared host are found, in Envoy's words; empty where they can't be."""
    entry, resource = declared.entry, f"ServiceEntry {declared.entry.origin.name or declared.host}"
    if entry.resolution is Resolution.STATIC or entry.workload_selector:
        return "EDS"
    if entry.resolution is Resolution.NONE:
        if making.redirected:
            return "ORIGINAL_DST"
        making.cannot("`resolution: NONE`, where connections are not redirected", resource, entry.origin)
        return ""
    if declared.host.startswith("*"):
        making.cannot(f"the pattern {declared.host} with resolution by DNS", resource, entry.origin)
        return ""
    one = len(endpoints.written(declared, place.port, endpoints.subset_labels(making, place))) == 1
    if one and (making.node.proxyless or entry.resolution is Resolution.DNS_ROUND_ROBIN):
        return "LOGICAL_DNS"
    if making.node.proxyless:
        making.cannot("several endpoints that are looked up by DNS", resource, entry.origin)
        return ""
    return "STRICT_DNS"


def _named(name: str, kind: str) -> Any:
    made = protos.message("envoy.config.cluster.v3.Cluster")()
    made.name = name
    made.type = made.DiscoveryType.Value(kind)
    put_seconds(made.connect_timeout, CONNECT_TIMEOUT)
    return made


def _passthrough() -> Any:
    made = _named(PASSTHROUGH, "ORIGINAL_DST")
    made.lb_policy = made.CLUSTER_PROVIDED
    return made
