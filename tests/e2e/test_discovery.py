"""Discovery against the real engine: Compose projects, replicas, impostors, and an engine out of sight."""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median
from uuid import uuid4

import pytest
import trio

from composemesh.discovery.docker.client import DEFAULT_ENDPOINT, DockerClient
from composemesh.discovery.docker.source import DockerSource
from composemesh.discovery.registry import Registry
from composemesh.model.workload import Discovered, Health, State, Workload
from e2e.relay import relay
from environment.project import Project, project

pytestmark = pytest.mark.docker

BUSYBOX = Path("/bin/busybox")
COMPOSE = "com.docker.compose."


def import_image(name: str, *changes: str) -> str:
    """An image of busybox alone, made by the engine from this machine's own."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tree:
        tree.add(BUSYBOX, "bin/busybox")
        for applet in ("sh", "sleep"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tree.addfile(link)
    options = [word for change in changes for word in ("--change", change)]
    docker("import", *options, "-", name, stdin=archive.getvalue())
    return name


def docker(*arguments: str, stdin: bytes | None = None) -> str:
    done = subprocess.run(["docker", *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr.decode()}"
    return done.stdout.decode().strip()


async def quietly(*command: str) -> None:
    await trio.run_process(command, capture_stdout=True, capture_stderr=True)


Run = Callable[..., Awaitable[str]]


@pytest.fixture(scope="module")
def busybox_image(docker_engine: str) -> Iterator[str]:
    if not BUSYBOX.exists():
        pytest.skip("needs /bin/busybox: apt-get install busybox-static")
    image = import_image(f"discovery-busybox:{uuid4().hex[:10]}")
    yield image
    docker("rmi", "--force", image)


@pytest.fixture
def stack(busybox_image: str, tmp_path: Path) -> Iterator[Project]:
    with project(tmp_path, busybox_image) as made:
        yield made


@pytest.fixture
def run(stack: Project) -> Iterator[Run]:
    """`docker run -d` with these arguments; the container is gone after the test."""
    started: list[str] = []

    async def start(*arguments: str) -> str:
        done = await trio.run_process(["docker", "run", "-d", *arguments], capture_stdout=True, capture_stderr=True)
        started.append(done.stdout.decode().strip())
        return started[-1]

    yield start
    if started:
        docker("rm", "--force", *started)


class Watch:
    """A registry at work on a project."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.feed = self.registry.discovered

    @property
    def now(self) -> Discovered:
        return self.feed.value

    @property
    def states(self) -> dict[str, State]:
        return {workload.name.split("-", 3)[3]: workload.state for workload in self.now.workloads}

    def named(self, name: str) -> Workload:
        (found,) = (workload for workload in self.now.workloads if workload.name.endswith(name))
        return found

    def is_in(self, state: State) -> bool:
        return self.states == {"web-1": state}

    async def until(self, condition: Callable[[], object], seconds: float = 20) -> None:
        with trio.move_on_after(seconds):
            while not condition():
                await self.feed.after(self.feed.version)
            return
        pytest.fail(f"not within {seconds} s; last known: {self.now}")


@asynccontextmanager
async def watching(stack: Project, endpoint: str = DEFAULT_ENDPOINT) -> AsyncIterator[Watch]:
    watch = Watch()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.registry.run, [DockerSource(DockerClient(endpoint), stack.name)])
        yield watch
        nursery.cancel_scope.cancel()


ONE_SERVICE = """
services:
  web:
    image: ${PYTHON_IMAGE}
    command: [sleep, "1000"]
    stop_grace_period: 1s
    expose: ["9080"]
    labels: {tier: front}
    networks: {default: {aliases: [www]}}
"""


async def test_a_project_from_up_to_down(stack: Project) -> None:
    stack.write(ONE_SERVICE)
    async with watching(stack) as watch:
        await watch.until(lambda: not watch.now.trouble)
        assert watch.states == {}

        await stack.compose("up", "--detach", "--scale", "web=2")
        await watch.until(lambda: watch.states == {"web-1": State.RUNNING, "web-2": State.RUNNING})
        web = watch.named("web-1")
        truth = await stack.container("web", 1)
        (place,) = web.attachments
        assert (web.id, web.pid, web.started) == (truth["Id"], truth["State"]["Pid"], truth["State"]["StartedAt"])
        assert place.addresses == (await stack.address("web", 1),)
        assert {"web", "www", web.name} == set(place.aliases)
        assert (web.compose_service, web.ports, web.network_mode, web.oneoff) == ("web", (9080,), "own", False)
        assert web.labels["tier"] == "front"
        assert web.labels[COMPOSE + "project.config_files"] == str(stack.folder / "compose.yaml")
        assert web.labels[COMPOSE + "project.working_dir"] == str(stack.folder)

        await stack.compose("up", "--detach", "--scale", "web=1")
        await watch.until(lambda: watch.states == {"web-1": State.RUNNING})
        await stack.compose("pause")
        await watch.until(lambda: watch.states == {"web-1": State.PAUSED})
        await stack.compose("unpause")
        await watch.until(lambda: watch.states == {"web-1": State.RUNNING})
        await stack.compose("restart", "web")
        await watch.until(lambda: watch.now.workloads and watch.now.workloads[0].life != web.life)
        assert watch.named("web-1").id == web.id
        await stack.compose("down")
        await watch.until(lambda: watch.states == {})
        assert watch.now.impostors == ()


async def test_the_drain_begins_before_the_process_is_dead(stack: Project) -> None:
    stack.write(ONE_SERVICE)
    await stack.compose("up", "--detach")
    async with watching(stack) as watch, trio.open_nursery() as nursery:
        await watch.until(lambda: watch.states == {"web-1": State.RUNNING})
        pid = watch.named("web-1").pid
        nursery.start_soon(stack.compose, "stop")
        await watch.until(lambda: watch.states == {"web-1": State.STOPPING})
        assert await trio.Path(f"/proc/{pid}").exists()
        await watch.until(lambda: watch.states == {})


async def test_networks_and_names_change_under_way(stack: Project) -> None:
    stack.write(ONE_SERVICE)
    await stack.compose("up", "--detach")
    async with watching(stack) as watch:
        await watch.until(lambda: watch.states)
        container, network = watch.named("web-1").id, f"{stack.name}_default"
        docker("network", "disconnect", network, container)
        await watch.until(lambda: watch.named("-1").attachments == ())
        docker("network", "connect", "--alias", "other", network, container)
        await watch.until(lambda: watch.named("-1").attachments)
        assert "other" in watch.named("-1").attachments[0].aliases
        docker("rename", container, f"{stack.name}-front-1")
        await watch.until(lambda: watch.now.workloads[0].name == f"{stack.name}-front-1")


async def test_health_as_it_changes(stack: Project) -> None:
    stack.write(
        """
services:
  web:
    image: ${PYTHON_IMAGE}
    command: [sleep, "1000"]
    stop_grace_period: 0s
    healthcheck: {test: [CMD, /bin/busybox, test, -e, /tmp], interval: 1s, retries: 1}
"""
    )
    await stack.compose("up", "--detach")
    async with watching(stack) as watch:
        await watch.until(lambda: watch.states and watch.named("web-1").health is Health.UNHEALTHY)
        await stack.compose("exec", "-T", "web", "/bin/busybox", "mkdir", "/tmp")
        await watch.until(lambda: watch.named("web-1").health is Health.HEALTHY)


async def test_modes_of_the_network_and_a_one_off_container(stack: Project) -> None:
    stack.write(
        """
x-sleep: &sleep {image: "${PYTHON_IMAGE}", command: [sleep, "1000"], stop_grace_period: 0s}
services:
  own: *sleep
  host: {<<: *sleep, network_mode: host}
  none: {<<: *sleep, network_mode: none}
  guest: {<<: *sleep, network_mode: "service:own"}
"""
    )
    await stack.compose("up", "--detach")
    await stack.compose("run", "--detach", "own")
    async with watching(stack) as watch:
        await watch.until(lambda: not watch.now.trouble)
        own = watch.named("own-1")
        modes = {found.compose_service: found.network_mode for found in watch.now.workloads if not found.oneoff}
        assert modes == {"own": "own", "host": "host", "none": "none", "guest": f"container:{own.id}"}
        (oneoff,) = (found for found in watch.now.workloads if found.oneoff)
        assert oneoff.compose_service == "own"
        assert oneoff.attachments


async def test_an_image_that_poses_as_a_service_is_not_taken_in(stack: Project, run: Run) -> None:
    claim = {"project": stack.name, "service": "reviews", "config-hash": "4c146bb0", "container-number": "1"}
    labels = " ".join(f'{COMPOSE}{key}="{value}"' for key, value in claim.items())
    evil = import_image(f"discovery-evil:{stack.name}", f"LABEL {labels} mesh.route=evil")
    try:
        stack.write(f"services: {{web: {{image: '{evil}', command: [sleep, '1000'], stop_grace_period: 0s}}}}")
        async with watching(stack) as watch:
            await watch.until(lambda: not watch.now.trouble)
            posing = await run(evil, "sleep", "1000")
            await watch.until(lambda: watch.now.impostors)
            (impostor,) = watch.now.impostors
            assert (impostor.id, impostor.image, impostor.claims) == (posing, evil, "reviews")
            assert watch.now.workloads == ()

            # The same image in the hands of Compose is what Compose says it is, and its own labels still say nothing.
            await stack.compose("up", "--detach")
            await watch.until(lambda: watch.states == {"web-1": State.RUNNING})
            assert watch.named("web-1").compose_service == "web"
            assert "mesh.route" not in watch.named("web-1").labels
            docker("rm", "--force", posing)
            await watch.until(lambda: watch.now.impostors == ())
            await stack.compose("down")
    finally:
        stack.end()
        for container in docker("ps", "--all", "--quiet", "--filter", f"ancestor={evil}").split():
            docker("rm", "--force", container)
        docker("rmi", "--force", evil)


async def test_what_is_known_follows_the_event_within_milliseconds(stack: Project) -> None:
    stack.write(ONE_SERVICE)
    await stack.compose("up", "--detach")
    async with watching(stack) as watch, DockerClient() as client:
        await watch.until(lambda: watch.states)
        container, delays = watch.named("web-1").id, []
        filters = {"container": [container], "event": ["pause", "unpause"]}
        async with client.events(filters=filters) as events, trio.open_nursery() as nursery:
            for state in (State.PAUSED, State.RUNNING) * 5:
                action = "pause" if state is State.PAUSED else "unpause"
                nursery.start_soon(quietly, "docker", action, container)
                await watch.until(partial(watch.is_in, state))
                known = time.time_ns()
                delays.append((known - (await anext(events))["timeNano"]) / 1e6)
        print(f"event to publish: median {median(delays):.1f} ms, worst {max(delays):.1f} ms")
        assert median(delays) < 50


async def test_while_the_engine_is_out_of_sight_the_last_known_state_stays(stack: Project, tmp_path: Path) -> None:
    stack.write(ONE_SERVICE)
    await stack.compose("up", "--detach")
    socket = tmp_path / "engine.sock"
    async with watching(stack, f"unix://{socket}") as watch:
        async with relay(socket):
            await watch.until(lambda: watch.states == {"web-1": State.RUNNING})
            before = watch.now.workloads
        await watch.until(lambda: watch.now.trouble)
        assert watch.now.workloads == before
        await stack.compose("up", "--detach", "--scale", "web=2")
        assert watch.now.workloads == before
        async with relay(socket):
            await watch.until(lambda: watch.states == {"web-1": State.RUNNING, "web-2": State.RUNNING}, seconds=5)
            assert watch.now.trouble == ""
            await stack.compose("kill", "web")
            await watch.until(lambda: watch.states == {})
