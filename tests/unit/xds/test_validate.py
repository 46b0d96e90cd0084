"""All that can be said, before the real Envoy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from composemesh.config.resources import compile_resources, load_documents
from composemesh.model.snapshot import Egress, MeshSettings, Protocol, ServiceSettings, Snapshot
from composemesh.model.workload import Discovered
from composemesh.xds.bootstrap import Transport, bootstrap, checked, static
from composemesh.xds.resources import CLUSTER, LISTENER, ROUTE, Node, generate
from unit.config.istio import compiled, files
from unit.xds.envoy import validate
from unit.xds.meshes import SHOP, snapshot, workload

PROTOCOLS = {
    "mysql": ServiceSettings("mysql", ports={3306: Protocol.TCP}),
    "web": ServiceSettings("web", ports={8080: Protocol.GRPC_WEB, 8081: Protocol.HTTP}),
}
EVERYTHING = Discovered(
    (
        *SHOP.workloads,
        workload("details", 6),
        workload("mysql", 7, ports=(3306,)),
        workload("web", 8, ports=(8080, 8081)),
    )
)
ADMIN = ("127.0.0.1", 19000)
FOLDERS = ("bookinfo", "config", "validation", "httpbin", "helloworld", "tcp-echo", "websockets")
OWN = Node("sidecar~productpage")
REDIRECTED = Node("sidecar~productpage", metadata={"LISTEN": "original_dst"})


def everything() -> Snapshot:
    said = compiled((Path(__file__).parent / "everything.yaml").read_text(), ("reviews", "ratings", "details"))
    made = snapshot(virtual_hosts=said.virtual_hosts, policies=said.policies, entries=said.entries)
    return replace(made, services={**made.services, **PROTOCOLS})


@pytest.mark.parametrize("node", [OWN, REDIRECTED], ids=["own addresses", "redirected"])
@pytest.mark.parametrize("egress", Egress)
def test_all_that_can_be_said_is_good_to_envoy(node: Node, egress: Egress, tmp_path: Path) -> None:
    said = replace(everything(), mesh=MeshSettings(egress=egress))
    made = generate(said, EVERYTHING, node)
    assert len(made[LISTENER]) >= 8
    assert len(made[ROUTE]) >= 3
    assert len(made[CLUSTER]) >= 15
    whole = static(node, made, ADMIN)
    checked(whole)
    assert validate(whole, tmp_path) == ""


def test_envoys_that_break_a_rule_are_found_out(tmp_path: Path) -> None:
    """The test above can fail."""
    whole = static(OWN, generate(everything(), EVERYTHING, OWN), ADMIN)
    whole["static_resources"]["clusters"][0]["connect_timeout"] = "-1s"
    assert "positive duration" in validate(whole, tmp_path)


@pytest.mark.parametrize("transport", Transport)
def test_envoy_takes_every_bootstrap(transport: Transport, tmp_path: Path) -> None:
    made = bootstrap(OWN, ("127.0.0.1", 15010), transport, ADMIN)
    assert checked(made).node.id == OWN.id
    assert validate(made, tmp_path) == ""


@pytest.mark.slow
@pytest.mark.parametrize("node", [OWN, REDIRECTED], ids=["own addresses", "redirected"])
def test_istios_own_examples_are_good_to_envoy(node: Node, tmp_path: Path) -> None:
    tried = 0
    for file in (file for folder in FOLDERS for file in files(folder)):
        resources, _ = load_documents(file.read_text(), str(file))
        said = compile_resources(resources, "", ("reviews", "ratings", "details", "productpage"))
        if not (said.virtual_hosts or said.policies or said.entries):
            continue
        made = snapshot(virtual_hosts=said.virtual_hosts, policies=said.policies, entries=said.entries)
        answer = validate(static(node, generate(made, EVERYTHING, node), ADMIN), tmp_path)
        assert answer == "", file.name
        tried += 1
    assert tried > 30
