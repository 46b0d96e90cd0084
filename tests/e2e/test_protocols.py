"""Everything that applications say to each other passes as it was said, and in a steady amount of memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from e2e.meshed import SOON, ask, counted, inside, listening, mesh_pid, meshed
from environment.project import Project

pytestmark = [pytest.mark.docker, pytest.mark.root]

TALKERS = """
services:
  caller: *idle
  talker:
    <<: *app
    command: [python3, /apps/talker.py]
    stop_grace_period: 5s
  pair:
    <<: *app
    command: [python3, /apps/talker.py]
    stop_grace_period: 8s
    deploy: {replicas: 2}
"""
MIB = 1 << 20


@pytest.fixture(scope="module")
def talkers(python_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with meshed(tmp_path_factory.mktemp("talkers"), python_image, TALKERS) as project:
        yield project


async def ready(project: Project) -> None:
    await listening(project, "caller", "http://talker:8080/", "http://pair:8080/")


class Memory:
    """The most memory that the mesh held at any moment since this was made, above what it held then, in bytes."""

    def __init__(self, pid: int) -> None:
        self.proc = Path("/proc", str(pid))
        (self.proc / "clear_refs").write_text("5")  # proc(5): the peak starts anew
        self.before = self.read("VmRSS")

    def read(self, field: str) -> int:
        lines = (self.proc / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) * 1024

    @property
    def growth(self) -> int:
        return self.read("VmHWM") - self.before


async def test_a_server_that_speaks_first_is_heard_at_once(talkers: Project) -> None:
    await ready(talkers)
    async with counted(talkers) as counts:
        for _ in range(2):  # the second time the mesh has learned what the port speaks
            said = await ask(talkers, "caller", "tcp", "talker", "2525", "HELO you")
            assert (said["banner"], said["said"]) == ("220 talker\r\n", "250 HELO you\n")
            assert said["seconds"] < 0.5
    assert counts == {("caller", "talker"): 2}


async def test_an_upgraded_connection_is_a_tunnel(talkers: Project) -> None:
    await ready(talkers)
    said = await ask(talkers, "caller", "upgrade", "http://talker:8080/upgrade", "hear me")
    assert said["head"].startswith("HTTP/1.1 101 ")
    assert "upgrade: shout" in said["head"].lower()
    assert said["said"] == "HEAR ME"


@pytest.mark.parametrize("how", [[], ["chunked"]], ids=["length", "chunked"])
async def test_twenty_mib_both_ways_at_once_in_steady_memory(talkers: Project, how: list[str]) -> None:
    await ready(talkers)
    memory = Memory(mesh_pid(talkers))
    async with counted(talkers) as counts:
        said = await ask(talkers, "caller", "echo", "http://talker:8080/echo", "20", *how)
    assert said == {"status": 200, "length": 20 * MIB, "whole": True}
    assert counts == {("caller", "talker"): 1}
    assert memory.growth < 16 * MIB


async def test_a_reader_that_waits_is_waited_for(talkers: Project) -> None:
    await ready(talkers)
    memory = Memory(mesh_pid(talkers))
    said = await ask(talkers, "caller", "pause", f"http://talker:8080/bytes/{40 * MIB}")
    assert (said["status"], said["length"]) == (200, 40 * MIB)
    assert said["seconds"] > 1
    assert memory.growth < 16 * MIB


async def test_chunks_arrive_whole(talkers: Project) -> None:
    await ready(talkers)
    said = await ask(talkers, "caller", "get", "http://talker:8080/chunks/300")
    assert said["body"].splitlines() == [str(number) for number in range(300)]
    assert said["headers"]["transfer-encoding"] == "chunked"
    assert "content-length" not in said["headers"]


async def test_head_is_answered_with_a_length_and_no_body(talkers: Project) -> None:
    await ready(talkers)
    said = await ask(talkers, "caller", "head", "http://talker:8080/bytes/1234567")
    assert (said["status"], said["length"], said["headers"]["content-length"]) == (200, 0, "1234567")
    assert said["headers"]["server"] == "composemesh"
    assert said["headers"]["x-envoy-upstream-service-time"].isdigit()


async def test_curl_waits_for_100_continue_and_gets_it(talkers: Project, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    await ready(talkers)
    body = tmp_path / "body"
    body.write_bytes(bytes(2 * MIB))
    caller = (await talkers.container("caller"))["State"]["Pid"]
    url = f"http://{await talkers.address('talker')}:8080/"
    # The host's own curl, in the caller's network: it asks first for any body over 1 MiB, and waits at most 30 s.
    curl = ["curl", "-sv", "--expect100-timeout", "30", "--max-time", "20", "-T", str(body), url]
    done = await trio.run_process(
        ["nsenter", "--net", "--target", str(caller), *curl], capture_stdout=True, capture_stderr=True
    )
    assert done.stdout.decode() == str(2 * MIB)
    heard = done.stderr.decode()
    assert "> Expect: 100-continue" in heard
    assert heard.index("< HTTP/1.1 100 Continue") < heard.index("< HTTP/1.1 200 OK")
    assert "< server: composemesh" in heard.lower()


async def test_a_request_in_flight_survives_docker_stop_and_new_ones_go_elsewhere(talkers: Project) -> None:
    await ready(talkers)
    slow: dict[str, object] = {}

    async def wait() -> None:
        slow.update(await ask(talkers, "caller", "get", "http://pair:8080/slow/2.5"))

    async def asked() -> str:
        """The container that the slow request has reached."""
        while True:
            for number in (1, 2):
                if await talkers.run("docker", "logs", f"{talkers.name}-pair-{number}"):
                    return f"{talkers.name}-pair-{number}"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        with trio.fail_after(SOON):
            stopping = await asked()
        nursery.start_soon(talkers.run, "docker", "stop", stopping)
        await trio.sleep(0.3)
        again = [await ask(talkers, "caller", "get", "http://pair:8080/slow/0") for _ in range(4)]
        assert not slow, "the slow request was to be in flight while the others were made"
    hosts = {each["body"] for each in again}
    assert {each["status"] for each in again} == {200}
    assert slow["status"] == 200
    assert slow["body"] not in hosts
    assert len(hosts) == 1
    await talkers.run("docker", "start", stopping)


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_body_that_a_killed_container_cut_is_never_taken_for_whole(talkers: Project, framing: str) -> None:
    await ready(talkers)
    told: dict[str, Any] = {}

    async def read() -> None:
        told.update(await ask(talkers, "caller", "get", f"http://talker:8080/endless/{framing}"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.sleep(0.7)
        assert not told
        await talkers.run("docker", "kill", f"{talkers.name}-talker-1")
    assert told["status"] == 0
    assert "IncompleteRead" in told["reason"] or "ConnectionReset" in told["reason"]
    assert told["seconds"] < 5
    await talkers.run("docker", "start", f"{talkers.name}-talker-1")


async def test_what_is_no_http_is_refused_and_the_connection_closed(talkers: Project) -> None:
    await ready(talkers)  # the port is known to speak HTTP
    head = "GET / HTTP/1.1\\r\\nHost: talker\\r\\nContent-Length: 1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
    for bad in (head, "GET / HTTP/1.1\\r\\nno colon\\r\\n\\r\\n"):
        said = (await ask(talkers, "caller", "raw", "talker", "8080", bad))["said"]
        assert said.startswith("HTTP/1.1 400 ")
        assert said.count("HTTP/1.1") == 1
        assert "connection: close" in said.lower()
    assert (await ask(talkers, "caller", "get", "http://talker:8080/"))["status"] == 200


async def test_udp_and_names_go_past_the_mesh(talkers: Project) -> None:
    caller, talker = await talkers.address("caller"), await talkers.address("talker")
    said = await ask(talkers, "caller", "udp", "talker", "5353", "hello")
    assert said == {"said": f"hello from {caller}", "from": talker}
    looked_up = await inside(talkers, "caller", "nslookup", "talker", "127.0.0.11")
    assert talker in looked_up


async def test_a_service_may_call_itself(talkers: Project) -> None:
    await ready(talkers)
    async with counted(talkers) as counts:
        by_name = await ask(talkers, "talker", "get", "http://talker:8080/")
        by_loopback = await ask(talkers, "talker", "get", "http://127.0.0.1:8080/")
    assert (by_name["status"], by_loopback["status"]) == (200, 200)
    # A container that calls its own address never leaves its loopback device, where nothing is redirected.
    assert counts == {}


async def test_a_replica_may_call_another_of_its_service(talkers: Project) -> None:
    await ready(talkers)
    other = (await talkers.container("pair", 2))["Id"][:12]
    async with counted(talkers) as counts:
        hosts = {
            (await ask(talkers, "pair", "get", f"http://{talkers.name}-pair-2:8080/slow/0"))["body"] for _ in range(3)
        }
    assert hosts == {f"waited at {other}"}
    assert counts == {("pair", "pair"): 3}
