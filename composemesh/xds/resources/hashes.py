"""What of a request a consistent hash is made of. Envoy asks it of routes, where our policies belong to clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from composemesh.model.policy import Balancer, HashKey
from composemesh.xds.resources.units import seconds

if TYPE_CHECKING:
    from composemesh.model.policy import ConsistentHash
    from composemesh.xds.resources.making import Making

Json = dict[str, Any]


def hash_policy(making: Making, clusters: Sequence[str]) -> list[Json]:
    """What a consistent hash is made of. Envoy asks it of a route, not of a cluster: the first arm's counts."""
    found: list[ConsistentHash] = []
    for name in clusters:
        place = making.places.get(name)
        said = None if place is None else making.policy(place).balance
        if said is not None and said.kind is Balancer.CONSISTENT_HASH and said.hash is not None:
            found.append(said.hash)
    if any(_hash(each) != _hash(found[0]) for each in found):
        making.cannot("a split whose arms are hashed differently", " and ".join(clusters))
    return [_hash(each) for each in found[:1]]


def _hash(said: ConsistentHash) -> Json:
    if said.key is HashKey.HEADER:
        return {"header": {"header_name": said.name}}
    if said.key is HashKey.QUERY:
        return {"query_parameter": {"name": said.name}}
    if said.key is HashKey.SOURCE_IP:
        return {"connection_properties": {"source_ip": True}}
    cookie: Json = {"name": said.name}
    if said.cookie_ttl is not None:
        cookie["ttl"] = seconds(said.cookie_ttl)
    if said.cookie_path:
        cookie["path"] = said.cookie_path
    return {"cookie": cookie}
