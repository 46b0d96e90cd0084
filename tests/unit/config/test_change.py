"""Resources of files and those applied live: what is in force, what is refused whole, what a restart finds."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from composemesh.config import moment
from composemesh.config.compile import compile_mesh
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.publish import Publisher
from composemesh.config.resources import Resource, ResourceKey, load_documents
from composemesh.model.workload import Discovered
from composemesh.runtime.latest import Latest

API = "networking.istio.io/v1"
GOOD = "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: %s}, spec: {hosts: [%s.example]}}"
BAD = "{apiVersion: networking.istio.io/v1, kind: VirtualServce, metadata: {name: x}, spec: {}}"


def key(name: str) -> ResourceKey:
    return ResourceKey("networking.istio.io", "ServiceEntry", name)


def documents(*names: str) -> tuple[Resource, ...]:
    resources, problems = load_documents("\n---\n".join(GOOD % (name, name) for name in names), "given.yaml")
    assert not problems
    return resources


@pytest.fixture
def fast_clock() -> MockClock:
    return MockClock(rate=50)


@pytest.fixture
def compose_file(tmp_path: Path) -> Path:
    file = tmp_path / "compose.yaml"
    file.write_text("x-mesh: {resources: [mesh]}\nservices: {web: {}}\n")
    (tmp_path / "mesh").mkdir()
    return file


def kept(file: Path) -> set[ResourceKey]:
    """What a restart would find."""
    resources, problems = load_documents((file.parent / "state.yaml").read_bytes())
    assert not problems
    return {resource.key for resource in resources}


def publisher_of(file: Path) -> Publisher:
    async def resolve() -> Resolved:
        return Resolved(file.read_text(), (file,))  # noqa: ASYNC240

    return Publisher("shop", Latest(Discovered()), resolve, [file], file.parent / "state.yaml")


async def test_what_is_applied_is_in_force_and_survives_a_restart(compose_file: Path) -> None:
    first = publisher_of(compose_file)
    await first.load()
    change = await first.change(documents("a", "b"))
    assert (change.accepted, change.created) == (True, (key("a"), key("b")))
    again = await first.change(documents("a"))
    assert (again.unchanged, again.created, again.effects) == ((key("a"),), (), ())

    second = publisher_of(compose_file)
    await second.load()
    assert set(second.resources) == {key("a"), key("b")}
    assert second.is_applied(key("a"))
    change = await second.change(delete=[key("a")])
    assert change.deleted == (key("a"),)
    assert set(second.resources) == {key("b")}
    assert (compose_file.parent / "state.yaml").stat().st_mode & 0o777 == 0o600


async def test_a_trial_changes_nothing(compose_file: Path) -> None:
    publisher = publisher_of(compose_file)
    await publisher.load()
    change = await publisher.change(documents("a"), carry_out=False)
    assert change.created == (key("a"),)
    assert not publisher.resources
    assert not (compose_file.parent / "state.yaml").exists()


async def test_a_state_that_cannot_be_kept_changes_nothing(compose_file: Path) -> None:
    publisher = publisher_of(compose_file)
    await publisher.load()
    (compose_file.parent / "state.yaml").mkdir()
    with pytest.raises(OSError, match=r"state\.yaml"):
        await publisher.change(documents("a"))
    assert not publisher.resources


async def test_a_change_whose_asker_leaves_holds_up_no_other(
    compose_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = publisher_of(compose_file)
    await publisher.load()
    compiling, go_on = trio.Event(), threading.Event()

    def slow(*args: Any) -> Any:
        trio.from_thread.run_sync(compiling.set)
        assert go_on.wait(10)
        return compile_mesh(*args)

    monkeypatch.setattr(moment, "compile_mesh", slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publisher.change, documents("a"))
        await compiling.wait()
        nursery.cancel_scope.cancel()
        go_on.set()
    monkeypatch.undo()
    with trio.fail_after(10):
        change = await publisher.change(documents("b"))
    assert change.created == (key("b"),)
    assert set(publisher.resources) == kept(compose_file)


async def test_changes_asked_for_at_once_are_carried_out_one_after_the_other(compose_file: Path) -> None:
    publisher = publisher_of(compose_file)
    await publisher.load()
    names = [f"n{number}" for number in range(20)]
    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(publisher.change, documents(name))
    assert set(publisher.resources) == {key(name) for name in names}
    assert {host for entry in publisher.snapshot.value.entries for host in entry.hosts} == {
        f"{name}.example" for name in names
    }
    assert len(publisher.steps) == len(names)
    assert kept(compose_file) == {key(name) for name in names}


async def test_applied_stands_in_the_place_of_a_file(compose_file: Path) -> None:
    (compose_file.parent / "mesh" / "a.yaml").write_text(GOOD % ("a", "old"))
    publisher = publisher_of(compose_file)
    await publisher.load()
    assert not publisher.is_applied(key("a"))
    await publisher.change(documents("a"))
    assert publisher.resources[key("a")].document["spec"] == {"hosts": ["a.example"]}
    await publisher.change(delete=[key("a")])
    assert publisher.resources[key("a")].document["spec"] == {"hosts": ["old.example"]}


async def test_files_are_followed_and_a_bad_one_is_rejected_whole(compose_file: Path, fast_clock: MockClock) -> None:
    folder = compose_file.parent / "mesh"
    publisher = publisher_of(compose_file)
    await publisher.load()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publisher.run)

        def holds(names: set[str], codes: tuple[str, ...]) -> bool:
            told = tuple(problem.code for problem in publisher.problems.value)
            return {each.name for each in publisher.resources} == names and told == codes

        async def until(names: set[str], *codes: str) -> None:
            with trio.fail_after(500):
                version = publisher.problems.version
                while not holds(names, codes):
                    version = await publisher.problems.after(version)

        (folder / "a.yaml").write_text(GOOD % ("a", "a"))
        await until({"a"})
        (folder / "b.yaml").write_text(f"{GOOD % ('b', 'b')}\n---\n{BAD}")
        await until({"a"}, "unknown-kind")
        (problem,) = publisher.problems.value
        assert (problem.file, problem.line) == (str(folder / "b.yaml"), 3)
        (folder / "b.yaml").write_text(GOOD % ("b", "b"))
        await until({"a", "b"})
        (folder / "c.yaml").write_text(GOOD % ("b", "c"))
        await until({"a", "b"}, "duplicate-name")
        (folder / "a.yaml").unlink()
        (folder / "c.yaml").unlink()
        await until({"b"})
        nursery.cancel_scope.cancel()


async def test_an_unreadable_state_is_told_and_the_mesh_serves(compose_file: Path) -> None:
    (compose_file.parent / "state.yaml").write_text("{")
    publisher = publisher_of(compose_file)
    problems = await publisher.load()
    assert [problem.code for problem in problems] == ["no-file", "invalid-yaml"]
    assert publisher.rejection == ()
    assert (await publisher.change(documents("a"))).accepted
    assert (compose_file.parent / "state.yaml.unread").read_text() == "{"
