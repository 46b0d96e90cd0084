"""Learning the Compose files from what runs."""

from __future__ import annotations

from pathlib import Path

import trio
from trio.testing import wait_all_tasks_blocked

from composemesh.model.workload import Discovered, Workload
from composemesh.runtime.latest import Latest
from composemesh.stack.compose import ComposeProject
from composemesh.stack.labelled import LabelledProject, named_by_labels
from composemesh.stack.state import MeshEntry, StateFolder
from unit.stack.fake_docker import FakeDocker

PREFIX = "com.docker.compose.project"


def workload(started: str, **labels: str) -> Workload:
    said = {f"{PREFIX}.{name}": value for name, value in labels.items()}
    return Workload(started, f"shop-web-{started}", "web", started, 1, labels=said)


def test_the_newest_container_knows_best(tmp_path: Path) -> None:
    old, new, env = tmp_path / "old.yaml", tmp_path / "new.yaml", tmp_path / ".env"
    for path in (old, new, env):
        path.touch()
    workloads = (
        workload("2", config_files=f"{new},{old}", working_dir=str(tmp_path), environment_file=str(env)),
        workload("1", config_files=str(old)),
    )
    assert named_by_labels("shop", workloads) == ComposeProject("shop", (new, old), tmp_path, env_files=(env,))


def test_files_that_are_gone_or_strange_are_left_out(tmp_path: Path) -> None:
    there = tmp_path / "there.yaml"
    there.touch()
    workloads = (
        workload("3"),
        workload("2", config_files=f"{tmp_path}/gone.yaml,-,compose.yaml,{tmp_path}"),
        workload("1", config_files=f"{tmp_path}/gone.yaml,{there}"),
    )
    assert named_by_labels("shop", workloads) == ComposeProject("shop", (there,))
    assert named_by_labels("shop", workloads[:2]) == ComposeProject("shop")
    assert named_by_labels("shop", ()) == ComposeProject("shop")


async def test_the_files_become_known_while_the_mesh_runs(
    tmp_path: Path, fake_docker: FakeDocker, nursery: trio.Nursery
) -> None:
    fake_docker.answer("config", out="name: shop\nservices: {}\n")
    file = tmp_path / "compose.yaml"
    file.touch()
    folder = StateFolder(tmp_path / "state", "shop")
    folder.prepare()
    folder.write(MeshEntry.of_this_process("shop", {}, admin_url="http://mesh"))
    labelled = LabelledProject(folder)
    empty = await labelled.resolve()
    assert empty.text == ""
    (watched,) = empty.files
    before = watched.stat()

    discovered: Latest[Discovered] = Latest(Discovered())
    nursery.start_soon(labelled.follow, discovered)
    discovered.publish(Discovered((workload("1", config_files=str(file)),)))
    await wait_all_tasks_blocked()

    assert watched.stat().st_ino != before.st_ino  # what the configuration is watched by has changed
    resolved = await labelled.resolve()
    assert resolved.text == "name: shop\nservices: {}\n"
    assert resolved.files == (file, watched)
    entry = folder.entry()
    assert entry is not None
    assert entry.compose["files"] == [str(file)]
    assert entry.admin_url == "http://mesh"

    discovered.publish(Discovered())
    await wait_all_tasks_blocked()
    assert labelled.project.files == (file,)
