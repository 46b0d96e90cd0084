"""The examples in containers, where each is process 1: they end well when Docker stops them."""

from __future__ import annotations

import http.client
import json
import shutil

import pytest
import trio

from environment.project import Project

from .conftest import EXAMPLES

pytestmark = [pytest.mark.docker, pytest.mark.root]

SHORT = 30.0


async def listening(project: Project, services: set[str]) -> None:
    with trio.fail_after(SHORT):
        for service in services:
            while "listening" not in await project.compose("logs", service):
                await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("example", "service", "port", "path"),
    [("bookinfo", "productpage", "9080", "/productpage"), ("helloworld", "helloworld-v1", "5000", "/hello")],
)
async def test_every_service_exits_0_when_it_is_stopped(
    compose_project: Project, example: str, service: str, port: str, path: str
) -> None:
    shutil.copytree(EXAMPLES / example, compose_project.folder, dirs_exist_ok=True)
    name = example.upper()
    compose_project.environment |= {f"{name}_IMAGE": compose_project.image, f"{name}_PORT": "0"}
    await compose_project.compose("up", "--detach")
    services = set((await compose_project.compose("config", "--services")).split())
    await listening(compose_project, services - {"caller"})
    host, _, published = (await compose_project.compose("port", service, port)).strip().rpartition(":")
    connection = http.client.HTTPConnection(host, int(published), timeout=SHORT)
    for _ in range(6):  # and all this time the connection is kept
        connection.request("GET", path)
        assert connection.getresponse().read()
    await compose_project.compose("stop")
    connection.close()
    listed = map(json.loads, (await compose_project.compose("ps", "--all", "--format", "json")).splitlines())
    assert {each["Service"]: each["ExitCode"] for each in listed} == dict.fromkeys(services, 0)
