"""What Compose makes of real files (`docker compose config`) and of real labels, read as the mesh reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from composemesh.config.loaders.labels import load_labels
from composemesh.config.loaders.resolved import Resolved, Unresolved
from composemesh.config.publish import Publisher
from composemesh.model.problem import Problem
from composemesh.model.snapshot import AccessLog, Protocol, ServiceSettings
from composemesh.model.workload import Discovered, Workload
from composemesh.runtime.latest import Latest
from environment.project import Project

pytestmark = pytest.mark.docker


@dataclass
class Folder:
    """Compose files in a folder of their own, resolved by Compose itself."""

    path: Path
    files: tuple[str, ...] = ("compose.yaml",)
    options: tuple[str, ...] = ()

    def write(self, text: str, file: str = "compose.yaml") -> None:
        target = self.path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    async def resolve(self) -> Resolved:
        paths = tuple(self.path / file for file in self.files)
        options = [*self.options, *(word for path in paths for word in ("--file", str(path)))]
        done = await trio.run_process(
            ["docker", "compose", *options, "config"], capture_stdout=True, capture_stderr=True, check=False
        )
        if done.returncode:
            raise Unresolved(done.stderr.decode())
        return Resolved(done.stdout.decode(), paths)

    async def read(self) -> tuple[Publisher, tuple[Problem, ...]]:
        publisher = Publisher("shop", Latest(Discovered()), self.resolve, [self.path / file for file in self.files])
        return publisher, await publisher.load()

    async def services(self) -> dict[str, ServiceSettings]:
        publisher, problems = await self.read()
        assert problems == ()
        return dict(publisher.snapshot.value.services)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


async def test_several_files(folder: Folder) -> None:
    folder.files = ("compose.yaml", "more.yaml")
    folder.write('services: {web: {image: x, x-mesh: {version: v1, ports: {"80": http}}}}')
    folder.write(
        'x-mesh: {access_log: off}\nservices: {web: {x-mesh: {version: v2, ports: {"81": tcp}}}}', "more.yaml"
    )
    ports = {80: Protocol.HTTP, 81: Protocol.TCP}
    assert await folder.services() == {"web": ServiceSettings("", "v2", ports=ports)}


async def test_a_mistake_is_found_in_the_file_that_made_it(folder: Folder) -> None:
    folder.files = ("compose.yaml", "more.yaml")
    folder.write("services:\n  web:\n    image: x\n    x-mesh:\n      verison: v1\n")
    folder.write("services:\n  web:\n    x-mesh:\n      servce: w\n", "more.yaml")
    _, problems = await folder.read()
    places = [(Path(problem.file).name, problem.line, problem.hint) for problem in problems]
    assert sorted(places) == [
        ("compose.yaml", 5, "Did you mean `version`?"),
        ("more.yaml", 4, "Did you mean `service`?"),
    ]


async def test_profiles(folder: Folder) -> None:
    folder.write("services: {web: {image: x}, tool: {image: x, profiles: [tools], x-mesh: {version: v1}}}")
    assert await folder.services() == {}
    folder.options = ("--profile", "*")
    assert await folder.services() == {"tool": ServiceSettings("", "v1")}


async def test_interpolation_from_the_env_file(folder: Folder) -> None:
    folder.write("VERSION=v7\nMESHED=false\nPORT=22\n", ".env")
    folder.write(
        "x-mesh: {access_log: '${LOG:-json}', exclude: {ports: ['${PORT}']}}\n"
        "services:\n"
        "  web: {image: x, x-mesh: {version: '${VERSION}'}, labels: ['x-mesh.service=${VERSION}-web']}\n"
        "  db: {image: x, x-mesh: '${MESHED}'}\n"
    )
    publisher, problems = await folder.read()
    assert problems == ()
    snapshot = publisher.snapshot.value
    assert (snapshot.mesh.sinks, snapshot.mesh.exclude.ports) == ({"access_log": AccessLog.JSON}, (22,))
    assert snapshot.services == {
        "db": ServiceSettings("", meshed=False),
        "web": ServiceSettings("v7-web", "v7"),
    }


async def test_extends(folder: Folder) -> None:
    folder.write("services:\n  web:\n    extends: {file: base/base.yaml, service: base}\n    x-mesh: {service: w}\n")
    folder.write("services:\n  base:\n    image: x\n    x-mesh:\n      version: v1\n", "base/base.yaml")
    assert await folder.services() == {"web": ServiceSettings("w", "v1")}
    folder.write("services:\n  base:\n    image: x\n    x-mesh:\n      version: 1.5\n", "base/base.yaml")
    _, (problem,) = await folder.read()
    assert (Path(problem.file), problem.line) == (folder.path / "base/base.yaml", 5)


async def test_include(folder: Folder) -> None:
    folder.write("include: [inc/compose.yaml]\nservices: {web: {image: x}}")
    folder.write("services:\n  inner:\n    image: x\n    x-mesh: {version: v1}\n", "inc/compose.yaml")
    assert await folder.services() == {"inner": ServiceSettings("", "v1")}
    folder.write("services:\n  inner:\n    image: x\n    x-mesh: {nope: v1}\n", "inc/compose.yaml")
    _, (problem,) = await folder.read()
    assert (Path(problem.file), problem.line) == (folder.path / "inc/compose.yaml", 4)


async def test_reset_and_override(folder: Folder) -> None:
    folder.files = ("compose.yaml", "more.yaml")
    folder.write(
        "services: {web: {image: x, x-mesh: {version: v1}}, api: {image: x, x-mesh: {version: v1, service: a}}}"
    )
    folder.write("services:\n  web: {x-mesh: !reset null}\n  api: {x-mesh: !override {version: 1.5}}\n", "more.yaml")
    _, (problem,) = await folder.read()
    assert (Path(problem.file).name, problem.line, problem.resource) == ("more.yaml", 3, "service api")


@pytest.mark.parametrize(
    "labels",
    [
        "[x-mesh.version=v1, x-mesh.ports.80=http, other=a]",
        "{x-mesh.version: v1, x-mesh.ports.80: http, other: a}",
        "{x-mesh.version: v1, x-mesh.ports.80: http}",
    ],
)
async def test_labels_as_a_list_and_as_a_mapping(folder: Folder, labels: str) -> None:
    folder.write(f"services: {{web: {{image: x, x-mesh: {{version: v0}}, labels: {labels}}}}}")
    assert await folder.services() == {"web": ServiceSettings("", "v1", ports={80: Protocol.HTTP})}


@pytest.mark.parametrize("labels", ["\n      - x-mesh.verison=v1", "\n      x-mesh.verison: v1"])
async def test_a_mistake_in_a_label_has_its_line(folder: Folder, labels: str) -> None:
    folder.write(f"services:\n  web:\n    image: x\n    labels:{labels}\n")
    _, (problem,) = await folder.read()
    assert (problem.code, problem.line, problem.resource) == ("unknown-key", 5, "service web")


@pytest.mark.parametrize("labels", ["[x-mesh.version=v1.10]", "{x-mesh.version: v1.10, other: a}"])
async def test_labels_as_they_reach_a_container(compose_project: Project, labels: str) -> None:
    compose_project.write(f"services: {{web: {{image: '${{PYTHON_IMAGE}}', labels: {labels}}}}}")
    await compose_project.compose("create")
    carried = (await compose_project.container("web"))["Config"]["Labels"]
    loaded = load_labels(Workload("id", "shop-web-1", "web", "2026", 1, labels=carried))
    assert loaded is not None
    assert loaded.problems == ()
    assert {path: said.value for path, said in loaded.said.items()} == {("version",): "v1.10"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("services:\n  web:\n    imge: x\n", 3, "imge"),
        ("services:\n  web:\n    image: x\n   x-mesh: 1\n", 4, "yaml"),
        ("services:\n  web:\n    image: x\n    image: y\n", 4, "image"),
        ("services:\n  web:\n    image: ${NOPE?say it}\n", 3, "say it"),
        ("services:\n  web:\n    image: x\n    x-mesh: {ports: {80: http}}\n", 4, "non-string key"),
        ("services:\n  web:\n    image: x\n    depends_on: [nobody]\n", 2, "nobody"),
        ("- no\n- project\n", 0, "yaml"),
    ],
)
async def test_what_compose_refuses_has_its_words_and_a_line(
    folder: Folder, text: str, line: int, words: str
) -> None:
    folder.write(text)
    _, (problem,) = await folder.read()
    assert (problem.code, problem.file, problem.line) == ("compose-refused", str(folder.path / "compose.yaml"), line)
    assert words in problem.message
    assert "\n" not in problem.message


async def test_an_edit_under_way(folder: Folder) -> None:
    """The whole of it with the real Compose: good, bad, good again."""
    folder.write("services:\n  web:\n    image: x\n    x-mesh: {version: v1}\n")
    publisher, _ = await folder.read()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publisher.run)
        with trio.fail_after(30):
            version = publisher.problems.version
            folder.write("services:\n  web:\n    image: x\n    x-mesh: {verison: v2}\n")
            await publisher.problems.after(version)
            (problem,) = publisher.problems.value
            assert (problem.code, problem.line) == ("unknown-key", 4)
            assert publisher.snapshot.value.services["web"].version == "v1"
            version = publisher.snapshot.version
            folder.write("services:\n  web:\n    image: x\n    x-mesh: {version: v3}\n")
            await publisher.snapshot.after(version)
            assert publisher.snapshot.value.services["web"].version == "v3"
            assert publisher.problems.value == ()
        nursery.cancel_scope.cancel()
