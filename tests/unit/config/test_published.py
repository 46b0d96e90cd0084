"""`publish: mdns` → a gateway's port, its rules, and what is announced."""

from __future__ import annotations

from pathlib import Path

from composemesh.config.compile import compile_mesh
from composemesh.config.loaders.compose import load_compose
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.loaders.sources import Sources
from composemesh.config.yaml import parse
from composemesh.model.gateway import ServerProtocol
from composemesh.model.problem import Problem
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Kind, Workload


def compiled(text: str, *workloads: Workload) -> tuple[Snapshot, tuple[Problem, ...]]:
    document = load_compose(Resolved(text), Sources({Path("x.yaml"): parse(text, "x.yaml")}))
    return compile_mesh("shop", document, workloads=workloads)


def runs(service: str, *ports: int, kind: Kind = Kind.CONTAINER) -> Workload:
    return Workload(f"id-{service}", service, service, "1", 1, ports=ports, kind=kind)


WEB = "services: {web: {x-mesh: {publish: mdns}}}"


def test_a_published_service_has_a_gateway_of_its_own() -> None:
    snapshot, problems = compiled(WEB, runs("web", 8080, 80))
    (publication,) = snapshot.publications
    assert (publication.service, publication.type, publication.gateway) == ("web", "_http._tcp", "mdns-web")
    (server,) = snapshot.gateways["mdns-web"].servers
    assert (server.port, server.bind, server.protocol) == (publication.port, "", ServerProtocol.HTTP)
    assert 20000 <= publication.port < 30000
    (host,) = snapshot.virtual_hosts
    assert host.http[0].destinations[0].destination.port == 80
    assert problems == ()


def test_the_port_is_the_same_each_time_and_another_for_others() -> None:
    both = "services: {web: {x-mesh: {publish: mdns}}, api: {x-mesh: {publish: mdns}}}"
    first, _ = compiled(both, runs("web", 80), runs("api", 80))
    again, _ = compiled(both, runs("api", 80), runs("web", 80))
    assert first.publications == again.publications
    assert len({each.port for each in first.publications}) == 2


def test_routes_count_for_whoever_comes_in_that_way() -> None:
    text = "services: {web: {x-mesh: {publish: mdns, routes: [{split: {v1: 90, v2: 10}}]}}}"
    snapshot, _ = compiled(text, runs("web", 80))
    gateway = next(host for host in snapshot.virtual_hosts if host.gateways == ("mdns-web",))
    assert [arm.weight for arm in gateway.http[0].destinations] == [90, 10]


def test_the_mesh_publishes_all_its_own_and_nothing_found() -> None:
    snapshot, _ = compiled(
        "x-mesh: {publish: mdns}\nservices: {}",
        runs("web", 80),
        runs("job", 9000, kind=Kind.PROCESS),
        runs("printer", 631, kind=Kind.FOUND),
        runs("silent"),
    )
    assert [each.service for each in snapshot.publications] == ["job", "web"]


def test_interfaces_by_address_are_listened_on_and_no_others() -> None:
    text = "x-mesh: {discovery: {mdns: {interfaces: [127.0.0.1]}}}\n" + WEB
    snapshot, _ = compiled(text, runs("web", 80))
    assert [server.bind for server in snapshot.gateways["mdns-web"].servers] == ["127.0.0.1"]
    assert snapshot.mesh.mdns.interfaces == ("127.0.0.1",)


def test_a_port_that_nobody_knows_is_a_problem_once_the_service_runs() -> None:
    assert compiled(WEB)[1] == ()
    snapshot, (problem,) = compiled(WEB, runs("web"))
    assert (problem.code, problem.line, snapshot.publications) == ("which-port", 1, ())


def test_tcp_needs_a_type() -> None:
    ports = "ports: {'3306': tcp}"
    snapshot, (problem,) = compiled(f"services: {{db: {{x-mesh: {{publish: mdns, {ports}}}}}}}", runs("db", 3306))
    assert (problem.code, problem.line) == ("which-type", 1)
    assert snapshot.publications == ()
    said = f"services: {{db: {{x-mesh: {{publish: {{by: mdns, type: _mysql._tcp}}, {ports}}}}}}}"
    snapshot, problems = compiled(said, runs("db", 3306))
    assert problems == ()
    assert snapshot.gateways["mdns-db"].servers[0].protocol is ServerProtocol.TCP
    assert snapshot.virtual_hosts[0].tcp[0].destinations[0].destination.port == 3306


def test_what_is_browsed_is_a_service_type() -> None:
    _, (problem,) = compiled("x-mesh: {discovery: {mdns: {browse: [http]}}}\nservices: {}")
    assert problem.code == "wrong-value"
    assert "_http._tcp" in problem.message
