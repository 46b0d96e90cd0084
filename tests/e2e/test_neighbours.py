"""Who is captured and who is not; that both go on to work, and reach each other as they did without a mesh."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import trio

from e2e.meshed import ask, counted, listening, meshed, until, workloads
from e2e.stacks import APPS, rules, status
from environment.project import Project

pytestmark = [pytest.mark.docker, pytest.mark.root]

TOWN = """
services:
  caller: {<<: *idle, networks: [front]}
  app:
    <<: *app
    command: [python3, /apps/talker.py]
    networks: [front]
    ports: ["127.0.0.1::8080"]
  alone: {<<: *server, networks: [front], x-mesh: false}
  host:
    <<: *app
    network_mode: host
    command: [python3, -m, http.server, "18974", --bind, 127.0.0.1]
  none: {<<: *idle, network_mode: none}
  guest:
    <<: *app
    network_mode: "service:app"
    command: [python3, -m, http.server, "8081", --directory, /etc]
  lodger: {<<: *idle, network_mode: "container:${OUTSIDER}"}
  hidden: {<<: *server, networks: [back]}
  both:
    <<: *app
    command: [python3, /apps/talker.py]
    networks: [front, back]
  insider: {<<: *idle, networks: [back]}
  six:
    <<: *app
    command: [python3, /apps/talker.py]
    networks: [sixes]
  sixer: {<<: *idle, networks: [sixes]}
networks:
  front: {}
  back: {}
  sixes:
    enable_ipv6: true
    ipam: {config: [{subnet: "${SIXES}"}]}
"""


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run_outside(name: str, image: str, *options: str, command: tuple[str, ...]) -> str:
    """A container that no Compose project has."""
    return docker("run", "--detach", "--init", "--name", name, f"--volume={APPS}:/apps:ro", *options, image, *command)


SERVE = ("python3", "/apps/talker.py")


@pytest.fixture(scope="module")
def outsider(python_image: str) -> Iterator[str]:
    """A server outside the mesh, by its name; it joins the project's network when that exists."""
    name = f"mesh-test-outside-{uuid4().hex[:8]}"
    run_outside(name, python_image, command=SERVE)
    yield name
    docker("rm", "--force", name)


@pytest.fixture(scope="module")
def town(outsider: str, python_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    sixes = f"fd{uuid4().hex[:2]}:{uuid4().hex[:4]}:{uuid4().hex[:4]}::/64"
    text = TOWN.replace("${OUTSIDER}", outsider).replace("${SIXES}", sixes)
    with meshed(tmp_path_factory.mktemp("town"), python_image, text) as project:
        docker("network", "connect", f"{project.name}_front", outsider)
        try:
            yield project
        finally:
            docker("network", "disconnect", f"{project.name}_front", outsider)


async def told(project: Project, service: str, url: str, *fields: str) -> dict[str, Any]:
    """What talker.py says of a request that a service makes."""
    answer = await ask(project, service, "get", url, *fields)
    assert answer["status"] == 200, answer
    said: dict[str, Any] = json.loads(answer["body"])
    return said


async def outside_asks(outsider: str, url: str) -> dict[str, Any]:
    said = await trio.run_process(
        ["docker", "exec", outsider, "python3", "/apps/ask.py", "get", url], capture_stdout=True
    )
    answer: dict[str, Any] = json.loads(said.stdout)
    return answer


def from_the_host(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        said: dict[str, Any] = json.loads(answer.read())
        return said


def calls_of(counts: dict[tuple[str, str], int], called: str) -> dict[str, int]:
    """By caller. What an earlier test gave up dialling may end, and be counted, at any time."""
    return {source: count for (source, destination), count in counts.items() if destination == called}


async def test_who_is_not_captured_is_named_and_why(town: Project, outsider: str) -> None:
    said = await workloads(town)
    captured = {name for name, workload in said.items() if workload["captured"]}
    assert captured == {"caller", "app", "hidden", "both", "insider", "six", "sixer"}
    reasons = {name: workload["reason"] for name, workload in said.items() if not workload["captured"]}
    assert reasons.keys() == {"alone", "host", "none", "guest", "lodger"}
    assert "`x-mesh: false`" in reasons["alone"]
    assert "`network_mode: host`" in reasons["host"]
    assert "`network_mode: none`" in reasons["none"]
    assert f"shares the network of {town.name}-app-1" in reasons["guest"]
    assert "not a workload of this project" in reasons["lodger"]
    assert (await status(town))["state"] == "serving"


async def test_who_is_not_captured_works_as_before(town: Project) -> None:
    await listening(town, "caller", "http://app:8080/", "http://alone:8080/", "http://app:8081/passwd")
    # Left alone: called by a meshed service, it is an endpoint like any other, but nothing in it is redirected.
    assert "COMPOSEMESH" not in await rules(town, "alone")
    async with counted(town) as counts:
        assert (await ask(town, "caller", "get", "http://alone:8080/"))["status"] == 200
        assert (await ask(town, "alone", "get", "http://app:8080/"))["status"] == 200
    assert counts == {("caller", "alone"): 1, ("unknown", "app"): 1}
    # In the namespace of another service it is reached through that one's sidecar, and calls through it.
    async with counted(town) as counts:
        assert "root:x:0:0" in (await ask(town, "caller", "get", "http://app:8081/passwd"))["body"]
        assert (await ask(town, "guest", "get", "http://alone:8080/"))["status"] == 200
    assert counts == {("caller", "app"): 1, ("app", "alone"): 1}
    async with counted(town) as counts:
        assert (await ask(town, "host", "get", "http://127.0.0.1:18974/"))["status"] == 200
        app = await town.address("app")
        assert (await ask(town, "host", "get", f"http://{app}:8080/"))["status"] == 200
        assert (await ask(town, "none", "get", "http://127.0.0.1:1/"))["status"] == 0
        assert (await ask(town, "lodger", "get", "http://127.0.0.1:8080/"))["status"] == 200
    assert counts == {("unknown", "app"): 1}


async def test_an_outsider_calls_in_and_is_called(town: Project, outsider: str) -> None:
    await listening(town, "caller", "http://app:8080/", f"http://{outsider}:8080/")
    networks = json.loads(docker("inspect", outsider))[0]["NetworkSettings"]["Networks"]
    address = networks[f"{town.name}_front"]["IPAddress"]
    async with counted(town) as counts:
        answer = await outside_asks(outsider, f"http://{town.name}-app-1:8080/")
        assert answer["headers"]["server"] == "composemesh"
        assert json.loads(answer["body"])["headers"]["x-forwarded-for"] == address
    assert counts == {("unknown", "app"): 1}
    async with counted(town) as counts:
        said = await told(town, "caller", f"http://{outsider}:8080/")
        assert said["peer"] == await town.address("caller")
        banner = await ask(town, "caller", "tcp", outsider, "2525", "hi")
        assert banner["said"] == "250 hi\n"
    assert counts == {("caller", f"external:{address}"): 2}
    graph = json.loads(await town.mesh("graph", "--window", "all", "--format", "json"))
    kinds = {node["service"]: node["kind"] for node in graph["nodes"]}
    assert (kinds["unknown"], kinds[address], kinds["app"]) == ("unknown", "external", "service")


async def test_a_published_port_is_served_through_the_mesh(town: Project) -> None:
    await listening(town, "caller", "http://app:8080/")
    (published,) = (await town.container("app"))["NetworkSettings"]["Ports"]["8080/tcp"]
    async with counted(town) as counts:
        said = await trio.to_thread.run_sync(from_the_host, f"http://127.0.0.1:{published['HostPort']}/")
    assert said["headers"]["x-forwarded-proto"] == "http"
    assert counts == {("unknown", "app"): 1}


async def test_networks_are_kept_apart(town: Project) -> None:
    """A service that Docker keeps out of reach stays so; one on both networks is reached on the one in common."""
    await listening(town, "caller", "http://both:8080/")
    await listening(town, "insider", "http://hidden:8080/", "http://both:8080/")
    places = (await town.container("both"))["NetworkSettings"]["Networks"]
    front, back = (places[f"{town.name}_{name}"]["IPAddress"] for name in ("front", "back"))
    hidden = await town.address("hidden")
    async with counted(town) as counts:
        assert (await told(town, "caller", "http://both:8080/"))["here"] == front
        assert (await told(town, "insider", "http://both:8080/"))["here"] == back
    assert counts == {("caller", "both"): 1, ("insider", "both"): 1}
    # By name there is no such host. By address Docker drops the packets, so the mesh may not carry the request
    # either, whatever Host it names.
    by_name = await ask(town, "caller", "get", "http://hidden:8080/")
    assert (by_name["status"], "gaierror" in by_name["reason"]) == (0, True)
    said: dict[str, dict[str, Any]] = {}

    async def attempt(host: str, claimed: str) -> None:
        said[host] = await ask(town, "caller", "try", f"http://{host}:8080/", f"Host:{claimed}")

    async with counted(town) as counts, trio.open_nursery() as nursery:
        nursery.start_soon(attempt, hidden, "hidden")
        nursery.start_soon(attempt, back, "both")
        nursery.start_soon(attempt, "both", "hidden")
    assert {said[hidden]["status"], said[back]["status"]} <= {0, 503}
    assert json.loads(said["both"]["body"])["here"] == front
    assert counts[("caller", "both")] == 1
    assert ("caller", "hidden") not in counts


async def test_ipv6_is_captured_as_ipv4_is(town: Project) -> None:
    (place,) = (await town.container("six"))["NetworkSettings"]["Networks"].values()
    address = place["GlobalIPv6Address"]
    if not address:
        pytest.skip("this engine gave the container no IPv6 address")
    await listening(town, "sixer", f"http://[{address}]:8080/")
    async with counted(town) as counts:
        said = await told(town, "sixer", f"http://[{address}]:8080/")
        assert said["here"] == address
    assert counts == {("sixer", "six"): 1}
    # From the host, which is outside the mesh:
    inbound = await trio.to_thread.run_sync(from_the_host, f"http://[{address}]:8080/")
    assert (
        inbound["headers"]["x-forwarded-for"] == place["IPv6Gateway"] or ":" in inbound["headers"]["x-forwarded-for"]
    )


@pytest.fixture
def impostor(town: Project) -> Iterator[str]:
    """An image whose LABELs say that it is the project's service `app`, all that Compose would say."""
    claim = {"project": town.name, "service": "app", "container-number": "2", "config-hash": "f00", "oneoff": "False"}
    labels = " ".join(f'com.docker.compose.{key}="{value}"' for key, value in claim.items())
    image = f"mesh-test-impostor:{town.name}"
    content = subprocess.run(["docker", "export", f"{town.name}-caller-1"], capture_output=True, check=True).stdout
    changes = ["--change", f"LABEL {labels}", "--change", "ENV PATH=/usr/local/bin:/bin"]
    subprocess.run(["docker", "import", *changes, "-", image], input=content, capture_output=True, check=True)
    yield image
    docker("rm", "--force", f"{town.name}-app-2")
    docker("rmi", "--force", image)


async def test_an_impostor_gets_no_traffic_and_is_named_once(town: Project, impostor: str) -> None:
    """`docker run` of such an image, on the project's own network."""
    await listening(town, "caller", "http://app:8080/")
    name = f"{town.name}-app-2"

    async def problems() -> list[dict[str, Any]]:
        return [each for each in (await status(town))["problems"] if name in each["message"]]

    run_outside(name, impostor, f"--network={town.name}_front", command=SERVE)
    await until(problems)
    (problem,) = await problems()
    assert (problem["code"], problem["severity"]) == ("impostor", "warning")
    assert impostor in problem["message"]
    assert problem["hint"]
    assert name not in json.dumps((await status(town))["services"])

    true = (await town.container("app"))["Id"][:12]
    async with counted(town) as counts:
        hosts = {(await told(town, "caller", "http://app:8080/"))["host"] for _ in range(8)}
    assert hosts == {true}
    assert calls_of(counts, "app") == {"caller": 8}
    docker("rm", "--force", name)

    async def forgotten() -> bool:
        return not await problems()

    await until(forgotten)


async def test_exclusions_change_live(town: Project) -> None:
    await listening(town, "caller", "http://app:8080/")
    original = (town.folder / "compose.yaml").read_text()
    (config,) = json.loads(docker("network", "inspect", f"{town.name}_front"))[0]["IPAM"]["Config"]
    port, network = "--dport 8080 -j RETURN", f"{config['Subnet']} -j RETURN"

    async def in_force(**exclusions: set[str]) -> None:
        async def are() -> bool:
            tables = {service: await rules(town, service) for service in exclusions}
            return all(
                {rule for rule in (port, network) if rule in tables[name]} == exclusions[name] for name in tables
            )

        await until(are)

    # The caller's own exclusion of a port: its calls go straight, and it is left to the callee to report them.
    caller = "  caller: {<<: *idle, networks: [front]"
    town.write(original.replace(caller, caller + ", x-mesh: {exclude: {ports: [8080]}}"))
    await in_force(caller={port}, app=set())
    async with counted(town) as counts:
        await told(town, "caller", "http://app:8080/")
        assert (await ask(town, "caller", "tcp", "app", "2525", "x"))["said"] == "250 x\n"
    assert calls_of(counts, "app") == {"unknown": 1, "caller": 1}
    # The whole mesh's exclusion of a network: past the mesh on both sides, so that nobody reports.
    town.write(f"x-mesh: {{exclude: {{cidrs: [{config['Subnet']}]}}}}\n" + original)
    await in_force(caller={network}, app={network})
    async with counted(town) as counts:
        said = await told(town, "caller", "http://app:8080/")
    assert "x-request-id" not in said["headers"]
    assert calls_of(counts, "app") == {}
    town.write(original)
    await in_force(caller=set(), app=set())
    async with counted(town) as counts:
        await told(town, "caller", "http://app:8080/")
    assert calls_of(counts, "app") == {"caller": 1}
