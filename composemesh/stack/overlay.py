"""Network aliases for Compose services that belong to a mesh service of another name, so that callers can say it.

`reviews-v1` and `reviews-v2` with `x-mesh: {service: reviews}` answer to `reviews` on every network they are on.
The user's files stay as they are: the aliases travel in an override file, the last `-f` of `docker compose up`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from composemesh.config.yaml import parse
from composemesh.model.snapshot import Snapshot

HEAD = "# Written by composemesh: what services are called in `x-mesh.service`, as network aliases.\n"


def overlay(resolved: str, snapshot: Snapshot) -> str:
    """The override file for a project, given what `docker compose config` printed; empty where none is needed."""
    changed = {}
    for name, service in _services(resolved).items():
        said = snapshot.services.get(name)
        alias = said.service if said is not None and said.meshed else ""
        networks = service.get("networks")
        # A service in somebody else's namespace has no networks of its own, and so no names there.
        if alias and alias != name and networks and "network_mode" not in service:
            changed[name] = {"networks": {network: {"aliases": [alias]} for network in networks}}
    return HEAD + yaml.safe_dump({"services": changed}, sort_keys=False) if changed else ""


def provider_service(resolved: str) -> str:
    """The service that has Compose start the mesh, as its provider; empty where there is none."""
    for name, service in _services(resolved).items():
        provider = service.get("provider")
        if isinstance(provider, Mapping) and provider.get("type") == "composemesh":
            return name
    return ""


def _services(resolved: str) -> dict[str, dict[str, Any]]:
    documents = parse(resolved).documents
    project = documents[0].value if documents else None
    services = project.get("services") if isinstance(project, dict) else None
    return services or {}
