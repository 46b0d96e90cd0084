"""Processes as workloads: told where the others are, described while they live, ended for certain."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from composemesh.capture.loopback import Doors, open_doors, unsupported
from composemesh.model.snapshot import infer_service
from composemesh.model.workload import Discovered
from composemesh.runtime.latest import Latest
from composemesh.stack.processes import Process, Processes

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason=unsupported() or "Linux only")

SERVER = """
import os, signal, socket, sys
host, _, port = sys.argv[1].rpartition(":")
listener = socket.create_server((host, int(port)))
print("environment", sorted(os.environ), os.environ.get("REVIEWS_HOSTNAME"), os.environ["HOSTNAME"], flush=True)
while True:
    connection, _ = listener.accept()
    if connection.recv(1) == b"!":
        sys.exit(3)
    connection.sendall(b"here")
"""
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)" + SERVER


World = tuple[Processes, Mapping[str, Doors], Latest[Discovered]]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two processes of one script, one of which calls the other; their doors; a source; what it publishes."""
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    reviews = Process("reviews-v2", script, 19180, aliases=("reviews",))
    page = Process("page", script, 19180, calls=("reviews",), environment={"COLOR": "red"}, published=19180)
    processes = (page, reviews)
    doors = open_doors([process.member for process in processes])
    source = Processes(processes, doors, tmp_path, {"PATH": "/bin", "STAR_COLOR": "stray"})
    yield source, doors, Latest(Discovered())
    for each in doors.values():
        each.close()


def into(feed: Latest[Discovered]) -> Callable[[Discovered], None]:
    """What a source publishes, for `feed`."""

    def publish(state: Discovered) -> None:
        feed.publish(state)

    return publish


async def until(published: Latest[Discovered], count: int) -> Discovered:
    while len(published.value.workloads) != count:
        await published.after(published.version)
    return published.value


async def connected(address: tuple[str, int]) -> trio.SocketStream:
    """A connection to a process that is starting: it listens a moment after it was published."""
    with trio.fail_after(20):
        while True:
            try:
                return await trio.open_tcp_stream(*address)
            except OSError:
                await trio.sleep(0.01)


async def test_they_live_where_they_were_told_to(world: World, nursery: trio.Nursery, tmp_path: Path) -> None:
    source, doors, published = world
    nursery.start_soon(source.watch, into(published))
    state = await until(published, 2)
    by_name = {workload.name: workload for workload in state.workloads}
    reviews = by_name["reviews-v2"]
    assert infer_service(reviews) == ("reviews", "v2")
    assert (reviews.id, reviews.addresses) == ("process:reviews-v2", (doors[reviews.id].home[0],))
    assert reviews.ports == (doors[reviews.id].home[1],)
    for workload in state.workloads:
        async with await connected(doors[workload.id].home) as stream:
            await stream.send_all(b"?")
            assert await stream.receive_some() == b"here"
    said = (tmp_path / "page.log").read_text()
    host, _ = doors["process:page"].calls["reviews"]
    names = ["COLOR", "HOSTNAME", "PATH", "REVIEWS_HOSTNAME", "REVIEWS_SERVICE_PORT"]
    assert [name for name in eval(said[said.index("[") : said.index("]") + 1]) if name != "LC_CTYPE"] == names
    assert said.endswith(f"{host} page\n")


async def test_one_that_ends_is_another_life(world: World, nursery: trio.Nursery) -> None:
    source, doors, published = world
    nursery.start_soon(source.watch, into(published))
    before = await until(published, 2)
    async with await connected(doors["process:page"].home) as stream:
        await stream.send_all(b"!")
    assert [workload.name for workload in (await until(published, 1)).workloads] == ["reviews-v2"]
    after = await until(published, 2)
    lives = [{workload.life for workload in state.workloads} for state in (before, after)]
    assert len(lives[0] & lives[1]) == 1
    assert {life[0] for life in lives[0]} == {life[0] for life in lives[1]}


async def test_cancelled_they_have_ended(world: World) -> None:
    source, _, published = world
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.watch, into(published))
        pids = [workload.pid for workload in (await until(published, 2)).workloads]
        nursery.cancel_scope.cancel()
    assert source.discovered.value == Discovered()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_one_that_will_not_end_is_killed(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("composemesh.stack.command.GRACE", 0.2)
    script = tmp_path / "stubborn.py"
    script.write_text(STUBBORN)
    process = Process("stubborn", script, 19280)
    doors = open_doors([process.member])
    source = Processes([process], doors, tmp_path, {})
    published = Latest(Discovered())

    async with trio.open_nursery() as inner:
        inner.start_soon(source.watch, into(published))
        pid = (await until(published, 1)).workloads[0].pid
        async with await connected(doors[process.member.id].home):
            pass  # by now it ignores SIGTERM
        inner.cancel_scope.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_nothing_stays_behind_a_killed_mesh(tmp_path: Path) -> None:
    """kill -9 of the process that holds the lifeline: the child ends by itself."""
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    mesh = f"""
import sys, trio
from pathlib import Path
from composemesh.capture.loopback import open_doors
from composemesh.stack.processes import Process, Processes
process = Process("page", Path({str(script)!r}), 19380)
source = Processes([process], open_doors([process.member]), Path({str(tmp_path)!r}), {{}})
trio.run(source.watch, lambda state: print(*(workload.pid for workload in state.workloads), flush=True))
"""
    with subprocess.Popen([sys.executable, "-c", mesh], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        try:
            assert select.select([child], [], [], 10)[0], "it still lives"
        finally:
            os.close(child)


async def test_the_last_words_are_kept(world: World) -> None:
    source, _, _ = world
    (source.logs / "page.log").write_text("one\ntwo\n")
    assert (source.last_words("page"), source.last_words("nobody")) == ("two", "")


def test_a_member_has_all_its_names(tmp_path: Path) -> None:
    process = Process("reviews-v2", tmp_path, 1, aliases=("reviews",))
    assert process.member.names == ("reviews-v2", "reviews")
    assert replace(process, aliases=()).member.names == ("reviews-v2",)
