"""What the running mesh tells: metrics that Prometheus itself reads, sums that add up, a log switched live."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from e2e.meshed import admin_url, ask, inside, listening, meshed, until
from environment import tools
from environment.project import Project

pytestmark = [pytest.mark.docker, pytest.mark.root]

CHAIN = """
services:
  caller: *idle
  app:
    <<: *app
    command: [python3, /apps/talker.py]
    ports: ["127.0.0.1::8080"]
  alone: {<<: *server, x-mesh: false}
"""


@pytest.fixture(scope="module")
def chain(python_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with meshed(tmp_path_factory.mktemp("chain"), python_image, CHAIN) as project:
        yield project


async def fetch(url: str) -> str:
    def get() -> str:
        with urllib.request.urlopen(url, timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    return await trio.to_thread.run_sync(get)


async def published(project: Project) -> str:
    (port,) = (await project.container("app"))["NetworkSettings"]["Ports"]["8080/tcp"]
    return f"http://127.0.0.1:{port['HostPort']}"


async def counters(project: Project, name: str) -> Counter[tuple[str, str, str, str]]:
    """A counter's sums by reporter, source, destination and response code (TCP: none)."""
    sums: Counter[tuple[str, str, str, str]] = Counter()
    for family in text_string_to_metric_families(await fetch(f"{admin_url(project)}/metrics")):
        for sample in family.samples:
            if sample.name == name:
                labels = sample.labels
                key = (labels["reporter"], labels["source_app"], labels["destination_app"])
                sums[(*key, labels.get("response_code", ""))] += int(sample.value)
    return sums


async def some_traffic(project: Project) -> None:
    """Seven calls inside, one of them answered by nobody; four from outside; three past the mesh's edge; two TCP."""
    await listening(project, "caller", "http://app:8080/", "http://alone:8080/")
    origin = await published(project)
    program = (
        "import urllib.request as r\n"
        "for _ in range(6): r.urlopen('http://app:8080/').read()\n"
        "for _ in range(3): r.urlopen('http://alone:8080/').read()\n"
    )
    await inside(project, "caller", "python3", "-c", program)
    assert (await ask(project, "caller", "get", "http://app:8099/"))["status"] == 503
    for _ in range(4):
        await fetch(f"{origin}/")
    for _ in range(2):
        await ask(project, "caller", "tcp", "app", "2525", "hi")


async def test_the_sums_are_the_requests_made_at_either_reporter(chain: Project) -> None:
    await listening(chain, "caller", "http://app:8080/", "http://alone:8080/")
    before, opened = (
        await counters(chain, "istio_requests_total"),
        await counters(chain, "istio_tcp_connections_opened_total"),
    )
    durations = await counters(chain, "istio_request_duration_milliseconds_count")
    await some_traffic(chain)
    waits = {("source", "caller", "app", "200"): 1, ("destination", "caller", "app", "200"): 1}
    waits |= {("source", "caller", "alone", "200"): 1}  # `some_traffic` itself waits for both to listen
    expected = Counter(waits) + Counter(
        {
            ("source", "caller", "app", "200"): 6,
            ("destination", "caller", "app", "200"): 6,
            ("source", "caller", "alone", "200"): 3,  # left alone: nobody stands there to report
            ("source", "caller", "app", "503"): 1,
            ("destination", "caller", "app", "503"): 1,
            ("destination", "unknown", "app", "200"): 4,
        }
    )
    assert await counters(chain, "istio_requests_total") - before == expected
    assert await counters(chain, "istio_request_duration_milliseconds_count") - durations == expected
    assert await counters(chain, "istio_tcp_connections_opened_total") - opened == Counter(
        {("source", "caller", "app", ""): 2, ("destination", "caller", "app", ""): 2}
    )


async def test_promtool_finds_nothing_to_say(chain: Project) -> None:
    promtool = tools.find("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    await some_traffic(chain)
    text = await fetch(f"{admin_url(chain)}/metrics")
    done = await trio.run_process(
        [promtool, "check", "metrics"], stdin=text.encode(), capture_stdout=True, capture_stderr=True, check=False
    )
    # 3 is "valid, but I have an opinion": on the unit in the name that Istio gave this metric, and on nothing else.
    assert done.returncode == 3
    assert (done.stdout + done.stderr).decode().splitlines() == [
        'istio_request_duration_milliseconds use base unit "seconds" instead of "milliseconds"'
    ]


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[str]:
    """A Prometheus that scrapes the mesh, by its URL."""
    program = tools.find("prometheus")
    if program is None:
        pytest.skip("Prometheus is not installed (Debian package prometheus)")
    job = {"job_name": "mesh", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [job]}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = (f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data")
    server = await trio.lowlevel.open_process(
        [program, *options, f"--web.listen-address={address}", "--log.level=error"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://{address}"
    finally:
        server.terminate()
        with trio.CancelScope(shield=True):
            await server.wait()


async def test_prometheus_scrapes_it_and_answers(chain: Project, tmp_path: Path) -> None:
    await some_traffic(chain)
    counted = await counters(chain, "istio_requests_total")
    async with prometheus(tmp_path, admin_url(chain).removeprefix("http://")) as url:

        async def result(query: str) -> list[dict[str, Any]]:
            try:
                said = json.loads(await fetch(f"{url}/api/v1/query?{urlencode({'query': query})}"))
            except urllib.error.HTTPError as early:
                early.close()
                return []
            except urllib.error.URLError:
                return []
            found: list[dict[str, Any]] = said["data"]["result"]
            return found

        await until(lambda: result("istio_requests_total"))
        (up,) = await result("up")
        assert up["value"][1] == "1"
        query = 'sum(istio_requests_total{reporter="destination",destination_service_name="app"}) by (source_app)'
        sums = {one["metric"]["source_app"]: int(one["value"][1]) for one in await result(query)}
        for caller in ("caller", "unknown"):
            keys = [key for key in counted if key[:3] == ("destination", caller, "app")]
            assert sums[caller] == sum(counted[key] for key in keys)
        (quantile,) = await result(
            "histogram_quantile(0.5, sum(istio_request_duration_milliseconds_bucket) by (le)) > 0"
        )
        assert 0 < float(quantile["value"][1]) < 1000


async def test_the_access_log_is_switched_live(chain: Project) -> None:
    await listening(chain, "caller", "http://app:8080/")
    original = (chain.folder / "compose.yaml").read_text()
    log = chain.state / chain.name / "mesh.log"
    numbers = iter(range(1000))

    async def logged() -> str:
        """The line about a request made now; empty where there is none. A later request's line comes later."""
        path = f"/request-{next(numbers)}"
        assert (await ask(chain, "caller", "get", f"http://app:8080{path}?token=secret"))["status"] == 200
        await trio.sleep(0.1)
        return next((line for line in log.read_text().splitlines() if path in line), "")

    async def switch(mode: str, has_effect: Callable[[str], object]) -> str:
        chain.write(f"x-mesh: {{access_log: {mode}}}\n" + original)
        line = ""

        async def switched() -> bool:
            nonlocal line
            line = await logged()
            return bool(has_effect(line))

        await until(switched)
        return line

    assert await logged() == ""
    text = await switch("text", bool)
    assert re.match(r'\[\d{4}-\S+Z\] "GET /request-\d+ HTTP/1.1" 200 - 0 \d+ \d+ \d+ "', text)
    assert text.endswith(" caller/latest app/latest")
    said = json.loads(await switch("json", lambda line: line.startswith("{")))
    assert (said["method"], said["response_code"], said["response_flags"]) == ("GET", 200, "-")
    assert (said["source"]["service"], said["destination"]["service"]) == ("caller", "app")
    assert "secret" not in log.read_text()
    await switch("off", lambda line: not line)
    chain.write(original)


async def test_health_has_an_address_of_its_own(chain: Project) -> None:
    assert json.loads(await fetch(f"{admin_url(chain)}/healthz/live")) == {"status": "live"}
    assert json.loads(await fetch(f"{admin_url(chain)}/healthz/ready")) == {"status": "ready"}
