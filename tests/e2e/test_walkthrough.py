"""Istio's Bookinfo walkthrough, task by task, with Istio's own files, on a stack that runs and is never restarted."""

from __future__ import annotations

import json
import shutil
import socket
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
import trio

from environment.project import Project, project

pytestmark = [pytest.mark.docker, pytest.mark.root]

BOOKINFO = Path(__file__).parents[2] / "examples" / "bookinfo"
NO_REVIEWS = "Sorry, product reviews are currently unavailable for this book."
NO_RATINGS = "Ratings service is currently unavailable"
NO_DETAILS = "Sorry, product details are currently unavailable for this book."


class Reader:
    """A browser: it keeps cookies, and so stays logged in."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def _open(self, path: str, data: bytes | None = None) -> str:
        with self._opener.open(self._base + path, data, timeout=20) as answer:
            text: str = answer.read().decode()
            return text

    async def page(self) -> str:
        return await trio.to_thread.run_sync(self._open, "/productpage")

    async def login(self, user: str) -> Reader:
        form = urllib.parse.urlencode({"username": user, "passwd": ""}).encode()
        await trio.to_thread.run_sync(self._open, "/login", form)
        return self

    async def stars(self, count: int) -> Counter[str]:
        """The colours of the stars on so many pages, four at a time."""
        seen: Counter[str] = Counter()
        left = iter(range(count))

        async def read() -> None:
            for _ in left:
                seen[colour(await self.page())] += 1

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(read)
        return seen


def colour(page: str) -> str:
    if NO_REVIEWS in page:
        return "no reviews"
    if NO_RATINGS in page:
        return "no ratings"
    for name in ("red", "black"):
        if f'color="{name}"' in page or f"color: {name}" in page or f"color:{name}" in page:
            return name
    return "none"


def free_port(wanted: int) -> int:
    """The wanted port, unless another test, or another program of this host, has it."""
    for port in (wanted, 0):
        with socket.socket() as sock:
            try:
                sock.bind(("", port))
            except OSError:
                continue
            number: int = sock.getsockname()[1]
            return number
    raise AssertionError("the host has no free port")


@pytest.fixture(scope="module")
def bookinfo(
    tmp_path_factory: pytest.TempPathFactory, python_image: str, shared_data: Callable[[str], Path]
) -> Iterator[Project]:
    """Bookinfo, meshed, with Istio's subsets applied."""
    subsets = shared_data("istio/bookinfo/destination-rule-all.yaml")
    with project(tmp_path_factory.mktemp("walkthrough"), python_image) as made:
        shutil.copytree(BOOKINFO, made.folder, dirs_exist_ok=True)
        made.environment |= {"BOOKINFO_IMAGE": made.image, "BOOKINFO_PORT": "0"}
        trio.run(made.mesh, "up", "-d")
        trio.run(made.mesh, "apply", "-f", str(subsets))
        trio.run(_until_it_answers, made)
        yield made


async def _base(made: Project) -> str:
    ports = (await made.container("productpage"))["NetworkSettings"]["Ports"]["9080/tcp"]
    return f"http://127.0.0.1:{ports[0]['HostPort']}"


async def _until_it_answers(made: Project) -> None:
    reader = Reader(await _base(made))
    with trio.fail_after(30):
        while True:
            try:
                if "Sorry" not in await reader.page():
                    return
            except OSError:
                pass
            await trio.sleep(0.1)


@pytest.fixture
async def reader(bookinfo: Project) -> Reader:
    """Somebody who is not logged in."""
    return Reader(await _base(bookinfo))


@pytest.fixture
async def jason(bookinfo: Project) -> Reader:
    return await Reader(await _base(bookinfo)).login("jason")


Apply = Callable[..., Awaitable[None]]


@pytest.fixture
def apply(bookinfo: Project, shared_data: Callable[[str], Path]) -> Apply:
    """`await apply("virtual-service-all-v1")`: Istio's own files, one after the other."""

    async def run(*names: str) -> None:
        for name in names:
            await bookinfo.mesh("apply", "-f", str(shared_data(f"istio/bookinfo/{name}.yaml")))

    return run


async def test_all_to_v1(apply: Apply, reader: Reader, jason: Reader) -> None:
    await apply("virtual-service-all-v1")
    assert await reader.stars(20) == {"none": 20}
    assert await jason.stars(10) == {"none": 10}


async def test_v2_for_jason_alone(apply: Apply, reader: Reader, jason: Reader) -> None:
    await apply("virtual-service-all-v1", "virtual-service-reviews-test-v2")
    assert await reader.stars(20) == {"none": 20}
    assert await jason.stars(20) == {"black": 20}


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("virtual-service-reviews-80-20", {"none": 0.8, "black": 0.2}),
        ("virtual-service-reviews-90-10", {"none": 0.9, "black": 0.1}),
        ("virtual-service-reviews-50-v3", {"none": 0.5, "red": 0.5}),
        ("virtual-service-reviews-v3", {"red": 1.0}),
    ],
)
async def test_shares(apply: Apply, reader: Reader, name: str, shares: dict[str, float]) -> None:
    await apply("virtual-service-all-v1", name)
    seen = await reader.stars(100)
    assert set(seen) == set(shares)
    assert all(abs(seen[stars] - 100 * share) <= 3 for stars, share in shares.items()), seen


async def test_v2_for_jason_and_v3_for_all_others(apply: Apply, reader: Reader, jason: Reader) -> None:
    await apply("virtual-service-all-v1", "virtual-service-reviews-jason-v2-v3")
    assert await reader.stars(20) == {"red": 20}
    assert await jason.stars(20) == {"black": 20}


async def test_a_delay_of_ratings_costs_jason_the_reviews(apply: Apply, reader: Reader, jason: Reader) -> None:
    """Istio's lesson: reviews would wait 10 s for ratings, but productpage waits 3 s for reviews, and tries twice."""
    await apply("virtual-service-all-v1", "virtual-service-reviews-test-v2", "virtual-service-ratings-test-delay")
    assert await reader.stars(5) == {"none": 5}
    began = time.monotonic()
    page = await jason.page()
    assert NO_REVIEWS in page
    assert 5.5 < time.monotonic() - began < 8


async def test_an_abort_of_ratings_costs_jason_the_stars(apply: Apply, reader: Reader, jason: Reader) -> None:
    await apply("virtual-service-all-v1", "virtual-service-reviews-test-v2", "virtual-service-ratings-test-abort")
    assert NO_RATINGS in await jason.page()
    assert await reader.stars(5) == {"none": 5}


async def test_details_fail_with_555(bookinfo: Project, apply: Apply, reader: Reader) -> None:
    await apply("fault-injection-details-v1")
    assert NO_DETAILS in await reader.page()
    said = json.loads(await bookinfo.mesh("graph", "--format", "json"))
    assert any(edge["destination"].startswith("details/") and edge["errors"] for edge in said["edges"])
    await apply("virtual-service-all-v1")
    assert NO_DETAILS not in await reader.page()


async def test_the_gateway(bookinfo: Project, apply: Apply, shared_data: Callable[[str], Path]) -> None:
    await apply("virtual-service-all-v1")
    port = free_port(8080)
    text = shared_data("istio/bookinfo/bookinfo-gateway.yaml").read_text()
    bookinfo.write(text.replace("number: 8080", f"number: {port}"), "gateway.yaml")
    await bookinfo.mesh("apply", "-f", "gateway.yaml")
    front = Reader(f"http://127.0.0.1:{port}")
    with trio.fail_after(10):
        while True:
            try:
                page = await front.page()
                break
            except OSError:
                await trio.sleep(0.05)
    assert "The Comedy of Errors" in page
    said = json.loads(await bookinfo.mesh("graph", "--format", "json"))
    assert ("gateway:bookinfo-gateway", "productpage/v1") in {
        (edge["source"], edge["destination"]) for edge in said["edges"]
    }
    await bookinfo.mesh("delete", "gateway", "bookinfo-gateway")
    with pytest.raises(OSError):
        await front.page()


async def test_a_restart_of_the_mesh_keeps_what_was_applied(bookinfo: Project, apply: Apply, reader: Reader) -> None:
    await apply("virtual-service-all-v1", "virtual-service-reviews-v3")
    await bookinfo.mesh("down", "--keep-stack")
    await bookinfo.mesh("up", "-d")
    assert await reader.stars(20) == {"red": 20}
