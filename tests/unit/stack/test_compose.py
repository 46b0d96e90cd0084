"""How Docker Compose is called, and what becomes of its complaints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from composemesh.config.loaders.resolved import Resolved, Unresolved
from composemesh.stack.compose import ComposeProject, NoComposeFile, compose_version, project_name
from composemesh.stack.errors import CallError, UserError
from unit.stack.fake_docker import FakeDocker

RESOLVED = "name: shop\nservices:\n  web:\n    image: x\n"
WHOLE = ComposeProject("shop", (Path("/a.yaml"), Path("/b.yaml")), Path("/x"), ("dev",), (Path("/.env"),))


def test_the_options_are_composes_own() -> None:
    assert WHOLE.arguments(Path("/overlay.yaml")) == [
        "--project-name=shop",
        "--project-directory=/x",
        "--file=/a.yaml",
        "--file=/b.yaml",
        "--file=/overlay.yaml",
        "--profile=dev",
        "--env-file=/.env",
    ]
    assert ComposeProject().arguments() == []


def test_what_mesh_json_remembers_is_the_same_project() -> None:
    assert ComposeProject.remembered("shop", WHOLE.describe()) == WHOLE
    assert ComposeProject.remembered("shop", {}) == ComposeProject("shop")


@pytest.mark.parametrize("text", ["name: shop\n", 'name: "shop"\nservices: {}\n', "services: {}\nname: shop\n"])
def test_compose_names_the_project(text: str) -> None:
    assert project_name(Resolved(text)) == "shop"


def test_a_service_called_name_is_not_the_project() -> None:
    with pytest.raises(UserError, match="name it with -p"):
        project_name(Resolved("services:\n  x:\n    name: shop\n"))


async def test_services_of_every_profile_are_resolved(fake_docker: FakeDocker) -> None:
    fake_docker.answer("config", out=RESOLVED)
    resolved = await ComposeProject("shop", (Path("/a.yaml"),), profiles=("dev",)).resolve()
    assert resolved == Resolved(RESOLVED, (Path("/a.yaml"),))
    assert fake_docker.calls == [["compose", "--project-name=shop", "--file=/a.yaml", "--profile=*", "config"]]


async def test_a_broken_profile_that_nobody_asked_for_stays_out(fake_docker: FakeDocker) -> None:
    fake_docker.answer("--profile=*", "config", err="service old refers to undefined volume", code=15)
    fake_docker.answer("--profile=dev", "config", out=RESOLVED)
    resolved = await ComposeProject("shop", (Path("/a.yaml"),), profiles=("dev",)).resolve()
    assert resolved.text == RESOLVED


async def test_what_compose_refuses_is_told_in_its_words(fake_docker: FakeDocker) -> None:
    fake_docker.answer("config", err="yaml: did not find expected node content\n", code=1)
    with pytest.raises(Unresolved, match="did not find expected node content"):
        await ComposeProject("shop", (Path("/a.yaml"),)).resolve()


async def test_what_compose_refuses_is_one_line_with_its_place(
    fake_docker: FakeDocker, in_folder: Callable[..., Path]
) -> None:
    here = in_folder(compose__yaml="services: {a: {image: [}\n")
    fake_docker.answer("--environment", code=1)
    fake_docker.answer("config", err="time=x level=warning msg=y\nyaml: did not find expected node content\n", code=1)
    with pytest.raises(UserError) as caught:
        await ComposeProject().pinned()
    assert str(caught.value).startswith(f"{here}/compose.yaml:1: ")
    assert "did not find expected node content" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_pinned_says_all_that_compose_would_look_for(
    fake_docker: FakeDocker, in_folder: Callable[..., Path]
) -> None:
    here = in_folder(compose__yaml="services: {}\n", compose__override__yaml="services: {}\n")
    fake_docker.answer("--environment", out="HOME=/root\n")
    fake_docker.answer("config", out=RESOLVED)
    pinned, resolved = await ComposeProject(profiles=("dev",)).pinned()
    files = (here / "compose.yaml", here / "compose.override.yaml")
    assert pinned == ComposeProject("shop", files, profiles=("dev",))
    assert resolved.files == files


async def test_dot_env_may_name_the_files(fake_docker: FakeDocker, in_folder: Callable[..., Path]) -> None:
    here = in_folder()
    fake_docker.answer("--environment", out="COMPOSE_FILE=deploy/a.yaml:b.yaml\n")
    fake_docker.answer("config", out=RESOLVED)
    pinned, _ = await ComposeProject().pinned()
    assert pinned.files == (here / "deploy/a.yaml", here / "b.yaml")


async def test_no_compose_file_is_the_calls_fault(fake_docker: FakeDocker, in_folder: Callable[..., Path]) -> None:
    in_folder()
    fake_docker.answer("config", err="no configuration file provided: not found\n", code=1)
    with pytest.raises(NoComposeFile, match="go to its folder, name it with -f") as caught:
        await ComposeProject().pinned()
    assert caught.value.exit_code == 2
    with pytest.raises(NoComposeFile, match="no Compose file of project nosuch here") as caught:
        await ComposeProject("nosuch").pinned()
    assert "-p" not in str(caught.value)
    assert "attach" in str(caught.value)


async def test_a_name_that_compose_refuses(fake_docker: FakeDocker, in_folder: Callable[..., Path]) -> None:
    in_folder(compose__yaml="services: {}\n")
    fake_docker.answer("config", err='invalid project name "Bad": must consist only of lowercase\n', code=1)
    with pytest.raises(CallError, match="invalid project name"):
        await ComposeProject("Bad").pinned()


@pytest.mark.parametrize(
    "complaint",
    [
        "docker: unknown command: docker compose\n\nRun 'docker --help' for more information\n",
        "unknown flag: --project-name\n",
    ],
)
async def test_docker_without_compose(
    fake_docker: FakeDocker, in_folder: Callable[..., Path], complaint: str
) -> None:
    in_folder(compose__yaml="services: {}\n")
    fake_docker.answer("compose", err=complaint, code=125)
    with pytest.raises(UserError, match="no Compose plugin: install it"):
        await ComposeProject("shop").pinned()
    with pytest.raises(UserError, match="no Compose plugin"):
        await compose_version()


async def test_no_docker_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no `docker` command on PATH: install"):
        await ComposeProject("shop", (Path("/a.yaml"),)).pinned()


async def test_a_command_runs_with_the_overlay_last(fake_docker: FakeDocker) -> None:
    fake_docker.answer("up", code=17)
    project = ComposeProject("shop", (Path("/a.yaml"),))
    code = await project.run("up", "--detach", "--scale=web=3", "web", files=[Path("/overlay.yaml")])
    assert code == 17
    (call,) = fake_docker.calls
    assert call[:4] == ["compose", "--project-name=shop", "--file=/a.yaml", "--file=/overlay.yaml"]
    assert call[4:] == ["up", "--detach", "--scale=web=3", "web"]


async def test_the_version_is_short(fake_docker: FakeDocker) -> None:
    fake_docker.answer("version", "--short", out="2.40.3\n")
    assert await compose_version() == "2.40.3"


@pytest.mark.docker
async def test_compose_itself(in_folder: Callable[..., Path]) -> None:
    """Files from `.env`, include, extends, an override and profiles: Compose answers, and we agree on the files."""
    here = in_folder(
        __env="COMPOSE_FILE=a.yaml:b.yaml\nTAG=7\n",
        a__yaml="include: [more.yaml]\nservices:\n  web: {extends: {file: base.yaml, service: web}}\n",
        b__yaml="services:\n  web: {x-mesh: {version: v2}}\n  tool: {image: y, profiles: [tools]}\n",
        base__yaml="services:\n  web: {image: 'x:${TAG}'}\n",
        more__yaml="services:\n  db: {image: z, x-mesh: false}\n",
    )
    pinned, resolved = await ComposeProject("shop").pinned()
    assert pinned.files == (here / "a.yaml", here / "b.yaml")
    for part in ("image: x:7", "version: v2", "tool:", "db:", "x-mesh: false"):
        assert part in resolved.text
    (here / "sub").mkdir()
    with trio.fail_after(20):
        assert (await ComposeProject(files=pinned.files).pinned())[0].name == here.name.lower().replace(".", "")
