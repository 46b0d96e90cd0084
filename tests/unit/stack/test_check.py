"""What `check` finds, one host at a time."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from composemesh.model.snapshot import MeshSettings
from composemesh.stack import check
from composemesh.stack.check import Finding, Verdict, check_host, missing_privilege
from composemesh.stack.compose import ComposeProject
from unit.stack.fake_docker import FakeDocker


def test_what_a_process_lacks_is_named(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("CapEff:\t0000000000200000\n")
    said = missing_privilege(status)
    assert "sudo" in said
    assert "lacks CAP_NET_ADMIN)" in said
    status.write_text("CapEff:\t000001ffffffffff\n")
    assert missing_privilege(status) == ""


async def findings(environ: dict[str, str], project: ComposeProject | None = None) -> dict[str, Finding]:
    return {finding.name: finding for finding in await check_host(project or ComposeProject(), environ)}


async def test_a_host_without_docker_fails_line_by_line(
    monkeypatch: pytest.MonkeyPatch, in_folder: Callable[..., Path]
) -> None:
    here = in_folder(compose__yaml="services: {}\n")
    monkeypatch.setenv("PATH", str(here))
    found = await findings({"DOCKER_HOST": f"unix://{here}/docker.sock"})
    for name in ("docker", "compose", "compose file"):
        assert found[name].verdict is Verdict.FAILED, name
        assert found[name].hint, name


def test_without_iptables_only_ipv4_is_missed() -> None:
    without = {finding.name: finding for finding in check._iptables(lambda version: None)}
    assert without["iptables"].verdict is Verdict.FAILED
    assert without["ip6tables"].verdict is Verdict.NOTE
    assert "apt-get install iptables" in without["iptables"].hint


async def test_no_compose_file_here_is_no_failure(fake_docker: FakeDocker, in_folder: Callable[..., Path]) -> None:
    in_folder()
    fake_docker.answer("version", out="2.40.3\n")
    fake_docker.answer("config", err="no configuration file provided: not found\n", code=14)
    found = await findings({})
    assert found["compose file"].verdict is Verdict.SKIPPED
    assert "x-mesh" not in found


@pytest.mark.parametrize(
    ("version", "verdict"), [("2.40.3-desktop.1", "ok"), ("v2.36.0", "ok"), ("2.35.9", "note"), ("5.0.0", "ok")]
)
async def test_an_old_compose_is_told_what_it_lacks(
    fake_docker: FakeDocker, in_folder: Callable[..., Path], version: str, verdict: str
) -> None:
    in_folder()
    fake_docker.answer("version", out=f"{version}\n")
    assert (await findings({}))["compose"].verdict == verdict


async def test_a_wrong_key_is_found_with_its_line(fake_docker: FakeDocker, in_folder: Callable[..., Path]) -> None:
    text = "name: shop\nservices:\n  web:\n    image: x\n    x-mesh: {versoin: v1}\n"
    here = in_folder(compose__yaml=text)
    fake_docker.answer("--environment")
    fake_docker.answer("config", out=text)
    found = await findings({})
    assert found["compose file"].verdict is Verdict.OK
    assert found["x-mesh"].verdict is Verdict.FAILED
    assert f"{here}/compose.yaml:5" in found["x-mesh"].hint


def test_a_taken_port_is_worth_a_note() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = MeshSettings(admin_port=port)
        assert check._admin_port(settings).verdict is Verdict.NOTE
    assert check._admin_port(MeshSettings(admin_host="192.0.2.1", admin_port=port)).verdict is Verdict.FAILED


@pytest.mark.docker
@pytest.mark.root
async def test_this_host(in_folder: Callable[..., Path]) -> None:
    in_folder(compose__yaml="services: {web: {image: x, x-mesh: {version: v2}}}\n")
    found = await findings({})
    failed = {name: finding for name, finding in found.items() if finding.verdict is Verdict.FAILED}
    assert not failed
    assert list(found)[:3] == ["system", "privileges", "namespaces"]
    json.dumps([finding.message for finding in found.values()])
