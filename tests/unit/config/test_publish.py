"""The publisher on files of its own: the last good document stays, every mistake has its line, equal is silence.

Time runs fifty times faster than real; files, threads and Compose's part are real or stand for themselves.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock

from composemesh.config.loaders.resolved import Resolved, Unresolved
from composemesh.config.publish import Publisher
from composemesh.model.problem import Problem
from composemesh.model.snapshot import AccessLog, Snapshot
from composemesh.model.workload import Discovered, Workload
from composemesh.runtime.latest import Latest

PATIENCE = 500.0
"""Seconds of the fast clock, ten of a real one."""

RULES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}
"""


@pytest.fixture
def fast_clock() -> MockClock:
    return MockClock(rate=50)


class Project:
    """A Compose file in a folder, and a resolution that counts how often it was asked."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "compose.yaml"
        self.asked: Latest[int] = Latest(0)
        self.refusal = ""

    def write(self, text: str, file: str = "compose.yaml") -> None:
        (self.file.parent / file).write_text(text)

    async def resolve(self) -> Resolved:
        self.asked.publish(self.asked.value + 1)
        if self.refusal:
            raise Unresolved(self.refusal)
        return Resolved(self.file.read_text(), (self.file,))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.write("services: {web: {x-mesh: {version: v1}}}\n")
    return made


def running(**labels_by_service: dict[str, str]) -> Discovered:
    return Discovered(
        tuple(
            Workload(f"id-{service}", f"shop-{service}-1", service, "2026-01-01", 1, labels=labels)
            for service, labels in labels_by_service.items()
        )
    )


def publisher_of(project: Project, discovered: Discovered = Discovered()) -> Publisher:  # noqa: B008
    return Publisher("shop", Latest(discovered), project.resolve, [project.file])


@asynccontextmanager
async def running_publisher(publisher: Publisher) -> AsyncIterator[Publisher]:
    await publisher.load()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publisher.run)
        yield publisher
        nursery.cancel_scope.cancel()


async def until(feed: Latest[Any], holds: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE):
        version = feed.version
        while not holds():
            version = await feed.after(version)


async def snapshot_when(publisher: Publisher, holds: Callable[[Snapshot], bool]) -> Snapshot:
    await until(publisher.snapshot, lambda: holds(publisher.snapshot.value))
    return publisher.snapshot.value


async def problems_when(publisher: Publisher, *codes: str) -> tuple[Problem, ...]:
    await until(publisher.problems, lambda: [problem.code for problem in publisher.problems.value] == list(codes))
    return publisher.problems.value


def version_of(snapshot: Snapshot, service: str = "web") -> str:
    settings = snapshot.services.get(service)
    return settings.version if settings else ""


async def test_load_reads_once_and_returns_the_problems(project: Project, fast_clock: MockClock) -> None:
    publisher = publisher_of(project)
    assert await publisher.load() == ()
    assert version_of(publisher.snapshot.value) == "v1"
    assert project.asked.value == 1


async def test_a_bad_first_document_is_told_and_not_applied(project: Project, fast_clock: MockClock) -> None:
    project.write("x-mesh: {access_log: json}\nservices:\n  web:\n    x-mesh: {verison: v1}\n")
    publisher = publisher_of(project)
    (problem,) = await publisher.load()
    assert (problem.code, problem.file, problem.line) == ("unknown-key", str(project.file), 4)
    assert problem.hint == "Did you mean `version`?"
    assert publisher.rejection == (problem,)
    assert publisher.snapshot.value == Snapshot("shop")  # not half of it either: the access log stays off


async def test_an_edit_is_applied(project: Project, fast_clock: MockClock) -> None:
    async with running_publisher(publisher_of(project)) as publisher:
        project.write("services: {web: {x-mesh: {version: v2}}}\n")
        await snapshot_when(publisher, lambda snapshot: version_of(snapshot) == "v2")
        assert publisher.problems.value == ()


async def test_a_bad_edit_is_rejected_whole_and_the_next_good_one_taken(
    project: Project, fast_clock: MockClock
) -> None:
    async with running_publisher(publisher_of(project)) as publisher:
        before = publisher.snapshot.value
        project.write("x-mesh: {access_log: json}\nservices:\n  web:\n    x-mesh: {version: 1.5}\n")
        (problem,) = await problems_when(publisher, "wrong-type")
        assert (problem.file, problem.line) == (str(project.file), 4)
        assert publisher.snapshot.value is before

        project.write("x-mesh: {access_log: json}\nservices:\n  web:\n    x-mesh: {version: '1.5'}\n")
        after = await snapshot_when(publisher, lambda snapshot: version_of(snapshot) == "1.5")
        assert after.mesh.sinks == {"access_log": AccessLog.JSON}
        assert publisher.problems.value == ()


async def test_what_compose_refuses_is_a_problem_and_the_last_good_document_stays(
    project: Project, fast_clock: MockClock
) -> None:
    async with running_publisher(publisher_of(project)) as publisher:
        before = publisher.snapshot.value
        project.refusal = "services.web additional properties 'imge' not allowed\n"
        project.write("services:\n  web:\n    imge: x\n")
        (problem,) = await problems_when(publisher, "compose-refused")
        assert (problem.file, problem.line) == (str(project.file), 3)
        assert publisher.snapshot.value is before


async def test_compose_is_asked_again_when_it_could_not_answer(project: Project, fast_clock: MockClock) -> None:
    project.refusal = "cannot connect"
    async with running_publisher(publisher_of(project)) as publisher:
        assert [problem.code for problem in publisher.problems.value] == ["compose-refused"]
        project.refusal = ""  # nothing was edited
        await snapshot_when(publisher, lambda snapshot: version_of(snapshot) == "v1")
        await problems_when(publisher)


async def test_any_failure_of_the_resolution_is_a_problem(project: Project, fast_clock: MockClock) -> None:
    async def resolve() -> Resolved:
        raise OSError(2, "No such file or directory", "docker")

    publisher = Publisher("shop", Latest(Discovered()), resolve, [project.file])
    (problem,) = await publisher.load()
    assert problem.code == "compose-refused"
    assert "docker" in problem.message


async def test_an_edit_that_changes_nothing_is_silence(project: Project, fast_clock: MockClock) -> None:
    async with running_publisher(publisher_of(project)) as publisher:
        versions = publisher.snapshot.version, publisher.problems.version
        asked = project.asked.version
        project.write("# a comment\nservices: {web: {x-mesh: {version: v1}}}\n")
        with trio.fail_after(PATIENCE):
            await project.asked.after(asked)
        project.write("services: {web: {x-mesh: {version: v2}}}\n")
        await snapshot_when(publisher, lambda snapshot: version_of(snapshot) == "v2")
        assert (publisher.snapshot.version, publisher.problems.version) == (versions[0] + 1, versions[1])


@pytest.mark.parametrize("name", [".env", "compose.override.yaml", "other.yaml"])
async def test_files_that_compose_reads_unasked_are_watched(
    project: Project, fast_clock: MockClock, name: str
) -> None:
    project.write("include: [other.yaml]\nservices: {web: {x-mesh: {version: v1}}}\n")
    async with running_publisher(publisher_of(project)):
        with trio.fail_after(PATIENCE):
            await trio.sleep(5)  # of the fast clock: what the first reading led to has been read again
            asked = project.asked.version
            project.write("x", name)
            await project.asked.after(asked)


@pytest.mark.parametrize("pattern", ["mesh/*.yaml", "deep/mesh/*.yaml", "deep/*/rules.yaml", "mesh"])
async def test_resources_in_a_folder_that_comes_later(project: Project, fast_clock: MockClock, pattern: str) -> None:
    project.write(f"x-mesh: {{resources: [{pattern}]}}\nservices: {{web: {{}}}}\n")
    async with running_publisher(publisher_of(project)) as publisher:
        await problems_when(publisher, "no-file")
        folder = project.file.parent / ("deep/mesh" if pattern.startswith("deep") else "mesh")
        folder.mkdir(parents=True)
        project.write(RULES, str(folder.relative_to(project.file.parent) / "rules.yaml"))
        await snapshot_when(publisher, lambda snapshot: bool(snapshot.virtual_hosts))


async def test_a_file_that_stays_as_it_is_is_read_no_more(project: Project, fast_clock: MockClock) -> None:
    async with running_publisher(publisher_of(project)):
        await trio.sleep(5)
        asked = project.asked.version
        await trio.sleep(30)
        assert project.asked.version == asked <= 2


async def test_a_replaced_file_is_noticed_whatever_its_time(project: Project, fast_clock: MockClock) -> None:
    async with running_publisher(publisher_of(project)) as publisher:
        status = project.file.stat()
        replacement = project.file.with_name("new.yaml")
        replacement.write_text("services: {web: {x-mesh: {version: v2}}}\n")
        os.utime(replacement, ns=(status.st_atime_ns, status.st_mtime_ns))
        replacement.rename(project.file)
        await snapshot_when(publisher, lambda snapshot: version_of(snapshot) == "v2")


async def test_labels_alone_configure_where_there_is_no_compose_file(fast_clock: MockClock) -> None:
    discovered = Latest(running(web={"x-mesh.version": "v1"}))
    publisher = Publisher("shop", discovered)
    async with running_publisher(publisher):
        assert version_of(publisher.snapshot.value) == "v1"
        discovered.publish(running(web={"x-mesh.version": "v2"}, db={"x-mesh": "false"}))
        snapshot = await snapshot_when(publisher, lambda snapshot: version_of(snapshot) == "v2")
        assert snapshot.services["db"].meshed is False


async def test_containers_that_come_and_go_recompile_nothing(project: Project, fast_clock: MockClock) -> None:
    publisher = publisher_of(project)
    async with running_publisher(publisher):
        versions = publisher.snapshot.version, publisher.problems.version
        publisher._discovered.publish(running(api={}, web={"com.example": "x"}))
        await trio.testing.wait_all_tasks_blocked()
        assert (publisher.snapshot.version, publisher.problems.version) == versions


async def test_a_container_with_other_ports_counts(project: Project, fast_clock: MockClock) -> None:
    project.write("x-mesh: {gateways: {front: 8080}}\nservices: {web: {x-mesh: {expose: {gateway: front}}}}\n")
    publisher = publisher_of(project, running(web={}))
    async with running_publisher(publisher):
        (problem,) = publisher.problems.value
        assert problem.code == "which-port"
        (workload,) = running(web={}).workloads
        publisher._discovered.publish(Discovered((replace(workload, ports=(8000,)),)))
        snapshot = await snapshot_when(publisher, lambda snapshot: bool(snapshot.virtual_hosts))
        assert snapshot.virtual_hosts[0].http[0].destinations[0].destination.port == 8000


async def test_one_containers_bad_label_leaves_the_others_in_force(project: Project, fast_clock: MockClock) -> None:
    discovered = running(web={"x-mesh.verison": "v9"}, api={"x-mesh.version": "v3"})
    publisher = publisher_of(project, discovered)
    (problem,) = await publisher.load()
    assert problem.resource == "container shop-web-1"
    assert publisher.rejection == ()
    assert (version_of(publisher.snapshot.value), version_of(publisher.snapshot.value, "api")) == ("v1", "v3")


async def test_labels_go_on_to_count_while_the_file_is_wrong(project: Project, fast_clock: MockClock) -> None:
    publisher = publisher_of(project)
    async with running_publisher(publisher):
        project.write("services:\n  web:\n    x-mesh: {nope: 1}\n")
        await problems_when(publisher, "unknown-key")
        publisher._discovered.publish(running(api={"x-mesh.version": "v3"}, db={"x-mesh.nope": "1"}))
        snapshot = await snapshot_when(publisher, lambda snapshot: version_of(snapshot, "api") == "v3")
        assert version_of(snapshot) == "v1"
        assert [problem.resource for problem in publisher.problems.value] == ["service web", "container shop-db-1"]


async def test_a_mistake_in_a_label_of_the_file_is_told_once(project: Project, fast_clock: MockClock) -> None:
    project.write("services:\n  web:\n    labels: {x-mesh.jwt: '3', x-mesh.version: v1}\n")
    publisher = publisher_of(project, running(web={"x-mesh.jwt": "3", "x-mesh.version": "v1"}))
    (problem,) = await publisher.load()
    assert (problem.code, problem.line) == ("not-carried-out", 3)


async def test_cancelled_while_compose_answers_nothing_is_published(project: Project, fast_clock: MockClock) -> None:
    async def never() -> Resolved:
        await trio.sleep_forever()
        raise AssertionError

    publisher = Publisher("shop", Latest(running(web={"x-mesh.version": "v1"})), never, [project.file])
    with trio.move_on_after(5):
        await publisher.load()
    assert (publisher.snapshot.version, publisher.problems.version) == (0, 0)


async def test_an_edit_that_waits_for_the_next_start_is_told_until_it_is_taken_back(
    project: Project, fast_clock: MockClock
) -> None:
    before = project.file.read_text()
    publisher = publisher_of(project)
    await publisher.load()
    publisher.hold("capture", "admin")
    with structlog.testing.capture_logs() as logged:
        async with running_publisher(publisher):
            project.write(f"x-mesh:\n  capture: netns\n  admin: 127.0.0.1:15999\n  access_log: text\n{before}")
            (problem,) = await problems_when(publisher, "next-start")  # capture: auto came to the same
            assert (problem.severity, problem.file, problem.line) == ("warning", str(project.file), 3)
            assert "127.0.0.1:15000" in problem.message
            assert "127.0.0.1:15999" in problem.message
            assert problem.hint.startswith("Restart the mesh: ")
            assert publisher.snapshot.value.mesh.sinks == {"access_log": AccessLog.TEXT}

            project.write(f"\nx-mesh: {{admin: 127.0.0.1:15999, capture: none}}\n{before}")
            await problems_when(publisher, "next-start", "next-start")
            project.write(before)
            await problems_when(publisher)
    told = [each["problem"] for each in logged if "next start" in each["event"]]
    assert len(told) == 2
    assert "`admin`" in told[0]
    assert "`capture`" in told[1]


async def test_what_the_start_was_told_otherwise_waits_for_nothing(project: Project, fast_clock: MockClock) -> None:
    publisher = publisher_of(project)
    await publisher.load()
    publisher.hold("capture")
    async with running_publisher(publisher):
        project.write("x-mesh: {admin: 127.0.0.1:15999, capture: none}\n" + project.file.read_text())
        (problem,) = await problems_when(publisher, "next-start")
    assert "`capture`" in problem.message


async def test_only_errors_are_logged_as_rejections(project: Project, fast_clock: MockClock) -> None:
    project.write("x-mesh: {mtls: strict}\nservices:\n  web:\n    x-mesh: {verison: v1}\n")
    publisher = publisher_of(project)
    with structlog.testing.capture_logs() as logged:
        problems = await publisher.load()
    assert {problem.code for problem in problems} == {"not-carried-out", "unknown-key"}
    assert [(each["event"], each["code"]) for each in logged] == [("configuration rejected", "unknown-key")]


async def test_who_runs_is_heard_when_what_its_labels_say_is_in_force(
    project: Project, fast_clock: MockClock
) -> None:
    """Capture follows `heard`: it must not enter a container whose label says to leave it alone."""
    discovered = Latest(running(web={}))
    publisher = Publisher("shop", discovered, project.resolve, [project.file])
    async with running_publisher(publisher):
        for version in ("v2", "v3"):
            seen = publisher.heard.version
            discovered.publish(running(web={}, other={"x-mesh.version": version}))
            with trio.fail_after(PATIENCE):
                while publisher.heard.value is not discovered.value:
                    assert version_of(publisher.snapshot.value, "other") != version
                    seen = await publisher.heard.after(seen)
            assert version_of(publisher.snapshot.value, "other") == version
        # Who says nothing waits for no compilation, not even for one that is under way.
        async with publisher._changing:
            discovered.publish(Discovered((*discovered.value.workloads, *running(third={}).workloads)))
            await until(publisher.heard, lambda: publisher.heard.value is discovered.value)
        stopped = replace(discovered.value.workloads[0], started="2027-01-01")
        discovered.publish(Discovered((stopped, *discovered.value.workloads[1:])))
        await until(publisher.heard, lambda: publisher.heard.value is discovered.value)
