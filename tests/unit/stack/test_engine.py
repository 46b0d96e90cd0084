"""Where the Docker engine answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from composemesh.stack.engine import ask_engine, docker_endpoint, look
from composemesh.stack.errors import UserError
from unit.stack.fake_docker import FakeDocker

DEFAULT = "unix:///var/run/docker.sock"


def home(tmp_path: Path, **config: Any) -> dict[str, str]:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(json.dumps(config))
    return {"HOME": str(tmp_path)}


def test_without_a_word_it_is_the_default(tmp_path: Path, fake_docker: FakeDocker) -> None:
    assert docker_endpoint({"HOME": str(tmp_path)}) == DEFAULT
    assert docker_endpoint(home(tmp_path, currentContext="default")) == DEFAULT
    assert fake_docker.calls == []


def test_docker_host_wins(tmp_path: Path) -> None:
    environ = home(tmp_path, currentContext="colima") | {"DOCKER_HOST": "unix:///x.sock"}
    assert docker_endpoint(environ) == "unix:///x.sock"


@pytest.mark.parametrize("by", ["config", "environment", "folder"])
def test_a_context_is_asked_for(tmp_path: Path, fake_docker: FakeDocker, by: str) -> None:
    fake_docker.answer("context", "inspect", "rootless", out="unix:///run/user/1000/docker.sock\n")
    environ = home(tmp_path, currentContext="rootless" if by != "environment" else "other")
    if by == "environment":
        environ["DOCKER_CONTEXT"] = "rootless"
    if by == "folder":
        environ = {"DOCKER_CONFIG": str(tmp_path / ".docker")}
    assert docker_endpoint(environ) == "unix:///run/user/1000/docker.sock"


def test_a_context_that_is_not_there(fake_docker: FakeDocker) -> None:
    fake_docker.answer("context", err="context not found", code=1)
    with pytest.raises(UserError, match="no Docker context 'x': `docker context ls`"):
        docker_endpoint({"DOCKER_CONTEXT": "x"})


def test_an_engine_on_another_host() -> None:
    with pytest.raises(UserError, match="not on this host"):
        docker_endpoint({"DOCKER_HOST": "ssh://me@there"})


@pytest.mark.parametrize("text", ["", "[]", "{", '{"currentContext": 3}'])
def test_a_config_that_makes_no_sense_says_nothing(tmp_path: Path, text: str) -> None:
    environ = home(tmp_path)
    (tmp_path / ".docker" / "config.json").write_text(text)
    assert docker_endpoint(environ) == DEFAULT


async def test_an_engine_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    endpoint = f"unix://{tmp_path}/docker.sock"
    for asking in (ask_engine(endpoint, "version"), look(endpoint, "shop")):
        with pytest.raises(UserError) as caught:
            await asking
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.docker
async def test_nothing_runs_in_a_project_that_nobody_has() -> None:
    assert (await look(DEFAULT, "stack-nobody-has-this")).workloads == ()
    assert (await ask_engine(DEFAULT, "version"))["ApiVersion"]
