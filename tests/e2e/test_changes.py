"""What changes under a running mesh, seen by the callers: recreated containers, networks, health, one-off runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.meshed import ask, counted, edges, inside, listening, mesh_pid, meshed, more, until, workloads
from e2e.stacks import status
from environment.project import Project

pytestmark = [pytest.mark.docker, pytest.mark.root]

TOWN = """
services:
  caller: {<<: *idle, networks: [front]}
  app:
    <<: *server
    networks: [front]
    environment: {EDITION: first}
  sick:
    <<: *server
    networks: [front]
    deploy: {replicas: 2}
    healthcheck: {test: [CMD, test, "!", -e, /tmp/sick], interval: 0.3s, retries: 1, start_period: 0s}
  far: {<<: *server, networks: [back]}
networks: {front: {}, back: {}}
"""


@pytest.fixture(scope="module")
def town(python_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with meshed(tmp_path_factory.mktemp("town"), python_image, TOWN) as project:
        yield project


async def answering(project: Project, host: str) -> str:
    """The container that answers to this name."""
    said = await ask(project, "caller", "get", f"http://{host}:8080/")
    assert said["status"] == 200, said
    return str(said["body"].split()[1])


async def test_a_recreated_container_takes_the_place_of_the_old_one(town: Project) -> None:
    await listening(town, "caller", "http://app:8080/")
    mesh, old = mesh_pid(town), await answering(town, "app")
    original = (town.folder / "compose.yaml").read_text()
    town.write(original.replace("EDITION: first", "EDITION: second"))
    await town.mesh("up", "-d")
    assert mesh_pid(town) == mesh
    await listening(town, "caller", "http://app:8080/")
    new = await answering(town, "app")
    assert new == (await town.container("app"))["Id"][:12] != old

    async def captured() -> bool:
        return bool((await workloads(town))["app"]["captured"])

    await until(captured)
    async with counted(town) as counts:
        await answering(town, "app")
    assert counts == {("caller", "app"): 1}


async def test_an_unhealthy_replica_is_passed_over(town: Project) -> None:
    await listening(town, "caller", "http://sick:8080/")
    both = {(await town.container("sick", number))["Id"][:12] for number in (1, 2)}
    met: set[str] = set()

    async def met_both() -> bool:
        met.add(await answering(town, "sick"))
        return met == both

    await until(met_both)

    async def health(wanted: str) -> bool:
        return bool((await workloads(town))["sick"]["health"] == wanted)

    await inside(town, "sick", "touch", "/tmp/sick")
    await until(lambda: health("unhealthy"))
    well = (await town.container("sick", 2))["Id"][:12]
    assert {await answering(town, "sick") for _ in range(8)} == {well}
    await inside(town, "sick", "rm", "/tmp/sick")
    await until(lambda: health("healthy"))
    met.clear()
    await until(met_both)


async def test_a_network_joined_and_left_under_way(town: Project) -> None:
    far, front = f"{town.name}-far-1", f"{town.name}_front"
    assert (await ask(town, "caller", "try", "http://far:8080/"))["status"] == 0
    await town.run("docker", "network", "connect", "--alias", "far", front, far)
    await listening(town, "caller", "http://far:8080/")
    before = await edges(town)
    assert await answering(town, "far") == (await town.container("far"))["Id"][:12]
    assert more(await edges(town), before) == {("caller", "far"): 1}
    await town.run("docker", "network", "disconnect", front, far)
    assert (await ask(town, "caller", "try", "http://far:8080/"))["status"] == 0


async def test_a_one_off_container_calls_others_and_is_called_by_none(town: Project) -> None:
    await listening(town, "caller", "http://app:8080/")
    oneoff = f"{town.name}-oneoff"
    await town.compose("run", "--detach", "--name", oneoff, "app")
    try:

        async def captured() -> bool:
            return bool((await workloads(town)).get("oneoff", {}).get("captured"))

        await until(captured)
        true = (await town.container("app"))["Id"][:12]
        assert {await answering(town, "app") for _ in range(6)} == {true}
        async with counted(town) as counts:
            await town.run("docker", "exec", oneoff, "python3", "/apps/ask.py", "get", "http://sick:8080/")
        assert counts == {("app", "sick"): 1}
    finally:
        await town.run("docker", "rm", "--force", oneoff)
    assert (await status(town))["state"] == "serving"
