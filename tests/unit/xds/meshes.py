"""Small meshes for tests of what is said about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from composemesh.model.snapshot import ServiceSettings, Snapshot
from composemesh.model.workload import Attachment, Discovered, Health, State, Workload
from composemesh.xds import protos
from composemesh.xds.resources import Generated, Resource


def workload(
    service: str,
    number: int,
    version: str = "",
    *,
    health: Health = Health.NONE,
    state: State = State.RUNNING,
    ports: tuple[int, ...] = (9080,),
    network: str = "net",
    labels: Mapping[str, str] | None = None,
) -> Workload:
    compose = f"{service}-{version}" if version else service
    place = Attachment(network, network, (f"172.18.0.{number}",), (service, compose))
    said = dict(labels or {})
    if version:
        said["version"] = version
    return Workload(f"id{number}", f"shop-{compose}-1", compose, "1", 1, (place,), state, health, ports, said)


REVIEWS = (workload("reviews", 3, "v1"), workload("reviews", 4, "v2"))
SHOP = Discovered((workload("productpage", 2), *REVIEWS, workload("ratings", 5)))


def snapshot(**fields: Any) -> Snapshot:
    services = {
        "reviews-v1": ServiceSettings("reviews", "v1"),
        "reviews-v2": ServiceSettings("reviews", "v2"),
    }
    return Snapshot("shop", **{"services": services, **fields})


def read(resource: Resource) -> Any:
    """The message within a resource."""
    carrier = protos.message("google.protobuf.Any").FromString(resource.any_bytes)
    return protos.message(carrier.type_url.rpartition("/")[2]).FromString(carrier.value)


def told(generated: Generated, url: str, name: str) -> dict[str, Any]:
    """A resource in JSON."""
    return protos.as_dict(read(generated[url][name]))
