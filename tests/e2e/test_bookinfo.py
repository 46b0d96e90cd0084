"""The main job: an ordinary Compose project, meshed by one command, counted to the last request."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from e2e.stacks import graph, rules, status
from environment.project import Project

pytestmark = [pytest.mark.docker, pytest.mark.root]

BOOKINFO = Path(__file__).parents[2] / "examples" / "bookinfo"
SERVICES = ("productpage", "details", "ratings", "reviews-v1", "reviews-v2", "reviews-v3")


@pytest.fixture
def bookinfo(compose_project: Project) -> Project:
    """Bookinfo as it ships, without one `x-mesh`, on a free port."""
    shutil.copytree(BOOKINFO, compose_project.folder, dirs_exist_ok=True)
    compose_project.environment |= {"BOOKINFO_IMAGE": compose_project.image, "BOOKINFO_PORT": "0"}
    assert "x-mesh" not in (compose_project.folder / "compose.yaml").read_text()
    return compose_project


async def page_of(project: Project) -> Callable[[], str]:
    """What a browser on the host asks for; raises for anything but 200."""
    ports = (await project.container("productpage"))["NetworkSettings"]["Ports"]["9080/tcp"]
    url = f"http://127.0.0.1:{ports[0]['HostPort']}/productpage"

    def get() -> str:
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.status == 200
            page: str = answer.read().decode()
            return page

    return get


async def many(count: int, get: Callable[[], str], *, at_once: int = 4) -> list[str]:
    """`count` pages, a few at a time."""
    pages: list[str] = []
    left = iter(range(count))

    async def take() -> None:
        for _ in left:
            page = await trio.to_thread.run_sync(get)
            pages.append(page)

    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(take)
    return pages


async def wait_for_page(get: Callable[[], str]) -> None:
    """The applications have been told to start; wait until they have."""
    with trio.fail_after(20):
        while True:
            try:
                if "Sorry" not in await trio.to_thread.run_sync(get):
                    return
            except OSError:
                pass
            await trio.sleep(0.1)


async def requests_between(project: Project) -> dict[tuple[str, str], int]:
    """Requests so far by caller and called service, all versions together."""
    said = json.loads(await project.mesh("graph", "--window", "all", "--format", "json"))
    counts: dict[tuple[str, str], int] = {}
    for edge in said["edges"]:
        key = (edge["source"].partition("/")[0], edge["destination"].partition("/")[0])
        counts[key] = counts.get(key, 0) + edge["requests"]
    return counts


def difference(after: dict[Any, int], before: dict[Any, int]) -> dict[Any, int]:
    return {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key, 0)}


async def test_every_workload_is_captured_and_every_request_counted(bookinfo: Project) -> None:
    await bookinfo.mesh("up", "-d")
    said = await status(bookinfo)
    assert said["state"] == "serving"
    workloads = {workload["name"]: workload for service in said["services"] for workload in service["workloads"]}
    assert set(workloads) == {f"{bookinfo.name}-{service}-1" for service in SERVICES}
    assert all(workload["captured"] for workload in workloads.values()), workloads
    versions = {service["name"]: service["versions"] for service in said["services"]}
    assert versions["reviews"] == ["v1", "v2", "v3"]

    get = await page_of(bookinfo)
    await wait_for_page(get)
    before = await requests_between(bookinfo)
    pages = await many(200, get)
    counted = difference(await requests_between(bookinfo), before)
    # reviews v1 asks for no ratings: as many pages as have stars, black or red, have asked for them.
    rated = sum("glyphicon-star" in page or "★" in page for page in pages)
    assert 0 < rated < 200
    assert counted == {
        ("unknown", "productpage"): 200,
        ("productpage", "details"): 200,
        ("productpage", "reviews"): 200,
        ("reviews", "ratings"): rated,
    }
    edges = await graph(bookinfo)
    assert {("productpage/v1", f"reviews/v{number}") for number in (1, 2, 3)} <= set(edges)


async def test_attach_touches_no_container_and_detach_leaves_none_touched(bookinfo: Project) -> None:
    await bookinfo.compose("up", "--detach")
    get = await page_of(bookinfo)
    await wait_for_page(get)

    async def lives() -> list[tuple[str, str, str]]:
        found = [await bookinfo.container(service) for service in SERVICES]
        return [(each["Id"], each["State"]["StartedAt"], each["State"]["Pid"]) for each in found]

    untouched = await lives()
    tables = {service: await rules(bookinfo, service) for service in SERVICES}
    await bookinfo.mesh("attach", "-d")
    await many(20, get)
    assert (await requests_between(bookinfo))[("productpage", "details")] == 20
    for service in SERVICES:
        assert "COMPOSEMESH" in await rules(bookinfo, service)

    await bookinfo.mesh("down", "--keep-stack")
    assert await lives() == untouched
    for service in SERVICES:
        assert _lasting(await rules(bookinfo, service)) == _lasting(tables[service])
    await many(5, get)


def _lasting(table: str) -> list[str]:
    """A saved table without what changes by itself: counters and the date."""
    return [line.partition(" [")[0] for line in table.splitlines() if not line.startswith("#")]


async def test_a_killed_mesh_is_replaced_within_seconds_under_traffic(bookinfo: Project) -> None:
    await bookinfo.mesh("up", "-d")
    get = await page_of(bookinfo)
    await wait_for_page(get)
    pid = int(json.loads((bookinfo.state / bookinfo.name / "mesh.json").read_text())["pid"])
    stop = trio.Event()

    async def traffic() -> None:
        while not stop.is_set():
            try:
                await trio.to_thread.run_sync(get)
            except OSError:
                await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(traffic)
        await trio.sleep(0.5)
        await bookinfo.run("kill", "-KILL", str(pid))
        began = trio.current_time()
        await bookinfo.mesh("up", "-d")
        await wait_for_page(get)
        took = trio.current_time() - began
        stop.set()
    assert took < 4, "under 2 s where nothing else runs"
    for service in SERVICES:
        table = await rules(bookinfo, service)
        assert table.count("-j COMPOSEMESH_OUT") == 1
        assert table.count("-j COMPOSEMESH_IN") == 1
        assert str(pid) + ":" not in table


async def test_down_after_a_kill_leaves_no_rule(bookinfo: Project) -> None:
    await bookinfo.mesh("up", "-d")
    pid = int(json.loads((bookinfo.state / bookinfo.name / "mesh.json").read_text())["pid"])
    await bookinfo.run("kill", "-KILL", str(pid))
    await bookinfo.mesh("down", "--keep-stack")
    for service in SERVICES:
        assert "COMPOSEMESH" not in await rules(bookinfo, service)
    await wait_for_page(await page_of(bookinfo))
