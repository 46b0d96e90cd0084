"""`running_mesh`: a whole mesh in a test, followed live; what a plugin's source finds is called by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from composemesh.app import Rejected
from composemesh.testing import Request, Response, running_mesh

PLUGIN = """
from dataclasses import dataclass
import trio
from composemesh.plugin import API, Attachment, Discovered, Port, Workload, setting

class Hosts:
    @dataclass(frozen=True)
    class Config:
        name: str = setting("Of the service.")
        port: Port = setting("Where it listens, on 127.0.0.1.")

    def __init__(self, config):
        self.config = config

    async def watch(self, publish):
        place = Attachment("lan", "lan", ("127.0.0.1",))
        name, ports = self.config.name, (self.config.port,)
        publish(Discovered((Workload(name, name, name, "1", 0, (place,), ports=ports),)))
        await trio.sleep_forever()

class First:
    def __init__(self, settings):
        pass

    def pick(self, targets, passed_over, asked):
        return next((target for target in targets if target not in passed_over), None)

def register(mesh):
    mesh.source("hosts", Hosts)
    mesh.balancer("first", First)
"""


async def test_services_are_called_through_the_mesh_and_edits_take_effect(tmp_path: Path) -> None:
    async def ratings(request: Request) -> Response:
        return Response(201, request.body.upper(), {"x-kind": "ratings"})

    text = "services: {reviews: {image: x}, ratings: {image: x}}\n"
    async with running_mesh(text, folder=tmp_path, applications={"ratings": ratings}) as mesh:
        said = json.loads((await mesh.get("reviews", "/1", {"x-a": "b"})).text)
        assert (said["path"], said["headers"]["x-a"]) == ("/1", "b")
        answer = await mesh.request("ratings", method="POST", body=b"five stars")
        assert (answer.status, answer.text, answer.headers["x-kind"]) == (201, "FIVE STARS", "ratings")
        edges = {(edge["source"], edge["destination"]) for edge in mesh.view.graph(None)["edges"]}
        assert edges == {("caller/latest", "reviews/latest"), ("caller/latest", "ratings/latest")}
        mesh.file.write_text("services: {reviews: {x-mesh: {routes: [{respond: {status: 418}}]}}, ratings: {}}\n")
        await mesh.until(lambda: mesh.view.snapshot.value.virtual_hosts)
        assert (await mesh.get("reviews")).status == 418
        assert mesh.problems == ()


async def test_what_a_plugins_source_finds_is_called_by_its_name_and_goes_with_its_line(tmp_path: Path) -> None:
    """The found service is the test's own `reviews`, at its own address, under another name."""
    (tmp_path / "hosts.py").write_text(PLUGIN)
    (tmp_path / "hosts.py").chmod(0o600)
    plain = "services: {reviews: {image: x}}\n"
    async with running_mesh(plain, folder=tmp_path) as mesh:
        (reviews,) = (each for each in mesh.view.discovered.value.workloads if each.name == "test-reviews-1")
        plugin = PLUGIN.replace('"127.0.0.1",))', f'"{reviews.addresses[0]}",))')
        (tmp_path / "hosts.py").write_text(plugin)
        found = (
            f"x-mesh: {{plugins: [hosts.py], discovery: {{hosts: {{name: printer, port: {reviews.ports[0]}}}}}}}\n"
        )
        mesh.file.write_text(found + plain)
        said = json.loads((await mesh.get("printer", "/jobs")).text)
        assert said["path"] == "/jobs"
        services = {service["name"] for service in mesh.view.services()}
        assert "printer" in services
        mesh.file.write_text(plain)
        await mesh.until(lambda: "printer" not in {service["name"] for service in mesh.view.services()})


async def test_a_plugins_balancer_picks(tmp_path: Path) -> None:
    (tmp_path / "hosts.py").write_text(PLUGIN)
    (tmp_path / "hosts.py").chmod(0o600)
    text = """
x-mesh: {plugins: [hosts.py]}
services:
  reviews-v1: {x-mesh: {service: reviews, load_balancer: first}}
  reviews-v2: {x-mesh: {service: reviews}}
"""

    async def first(_: object) -> Response:
        return Response(200, b"v1")

    async def second(_: object) -> Response:
        return Response(200, b"v2")

    applications = {"reviews-v1": first, "reviews-v2": second}
    async with running_mesh(text, folder=tmp_path, applications=applications) as mesh:
        assert {(await mesh.get("reviews")).text for _ in range(6)} == {"v1"}
        assert mesh.problems == ()
        mesh.file.write_text(text.replace(", load_balancer: first", ""))
        await mesh.until(lambda: not mesh.view.snapshot.value.policies)
        assert {(await mesh.get("reviews")).text for _ in range(6)} == {"v1", "v2"}


async def test_an_error_in_the_compose_file_is_told_at_its_line(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"compose\.yaml:2: .*unknown key"):
        async with running_mesh("x-mesh:\n  sink: {}\nservices: {a: {image: x}}\n", folder=tmp_path):
            pass
