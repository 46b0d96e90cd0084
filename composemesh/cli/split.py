"""`composemesh split`: the short way to divide a service's requests between its versions."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import click

from composemesh.cli.context import about_mesh, serving
from composemesh.cli.documents import tell_change
from composemesh.stack.errors import CallError, UserError

if TYPE_CHECKING:
    from composemesh.stack.compose import ComposeProject

Document = dict[str, Any]
_ARM = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=([0-9]{1,9})%?")
_API = "networking.istio.io/v1"


@click.command()
@click.argument("service")
@click.argument("arms", nargs=-1, required=True, metavar="VERSION=WEIGHT...")
@about_mesh
def split(project: ComposeProject, service: str, arms: tuple[str, ...]) -> None:
    """Divide the requests to SERVICE: `composemesh split reviews v1=90 v2=10`.

    Rules with conditions stay as they are, and come first; only what they leave is divided.
    """
    import yaml

    from composemesh.stack.client import MeshClient

    weights = weights_of(arms)
    folder, _ = serving(project)
    client = MeshClient(folder.socket)
    known = {one["name"]: one["versions"] for one in client.status()["services"]}
    if service not in known:
        raise UserError(f"No service {service} in the mesh: there are {', '.join(known) or 'none'}.")
    for version in weights:
        if version not in known[service]:
            versions = ", ".join(known[service])
            raise UserError(f"No workload of service {service} has version {version}: there are {versions}.")
    found = [one["document"] for one in client.resources()]
    documents = [subsets(service, weights, found), routes(service, weights, found)]
    tell_change(client.change([("composemesh split", yaml.safe_dump_all(documents, sort_keys=False))]))


def weights_of(arms: tuple[str, ...]) -> dict[str, int]:
    """Version → weight. Raises CallError."""
    weights: dict[str, int] = {}
    for arm in arms:
        said = _ARM.fullmatch(arm)
        if said is None or said[1] in weights:
            raise CallError(f"{arm!r}: say each version once with its weight, like v1=90 v2=10.")
        weights[said[1]] = int(said[2])
    if not any(weights.values()):
        raise CallError("At least one version must have a weight above 0.")
    return weights


def subsets(service: str, weights: dict[str, int], found: list[Document]) -> Document:
    """The service's DestinationRule, with a subset for each version."""
    rule = _about(service, "DestinationRule", found) or _document("DestinationRule", service, {"host": service})
    said = rule["spec"].setdefault("subsets", [])
    names = {subset.get("name") for subset in said}
    said += [{"name": version, "labels": {"version": version}} for version in weights if version not in names]
    return rule


def routes(service: str, weights: dict[str, int], found: list[Document]) -> Document:
    """The service's VirtualService, whose last rule, the one without conditions, divides by these weights."""
    virtual = _about(service, "VirtualService", found) or _document("VirtualService", service, {"hosts": [service]})
    rules = virtual["spec"].setdefault("http", [])
    if not rules or rules[-1].get("match"):
        rules.append({})
    rules[-1]["route"] = [
        {"destination": {"host": service, "subset": version}, "weight": weight} for version, weight in weights.items()
    ]
    return virtual


def _about(service: str, kind: str, found: list[Document]) -> Document | None:
    """A copy of the document that is about the service alone; None where there is none."""
    for document in found:
        spec = document.get("spec") or {}
        hosts = spec.get("hosts", [spec.get("host")])
        if document.get("kind") == kind and [str(host).partition(".")[0] for host in hosts] == [service]:
            return copy.deepcopy(document)
    return None


def _document(kind: str, name: str, spec: Document) -> Document:
    return {"apiVersion": _API, "kind": kind, "metadata": {"name": name}, "spec": spec}
