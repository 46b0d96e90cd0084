"""The command line as users call it: a process, its words and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner
from cryptography import x509

from composemesh import __version__
from composemesh.cli import ca
from composemesh.cli.context import about_project, folder_of, project_options
from composemesh.cli.handing_on import UP_FLAGS, UP_VALUES, handed_on, hands_on
from composemesh.cli.root import COMMANDS, root
from composemesh.stack.compose import ComposeProject
from composemesh.stack.errors import UserError
from composemesh.stack.state import MeshEntry, StateFolder

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Call composemesh in an empty folder, with a PATH without Docker and a state folder of its own."""
    (tmp_path / "here").mkdir()
    environment = {
        "PATH": str(tmp_path),
        "HOME": str(tmp_path),
        "COMPOSEMESH_STATE_DIR": str(tmp_path / "state"),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }

    def call(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "composemesh", *arguments],
            cwd=tmp_path / "here",
            env=environment | extra,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_the_version_loads_nothing(run: Run) -> None:
    answer = run("--version", PYTHONPROFILEIMPORTTIME="1")
    assert answer.stdout == f"composemesh {__version__}\n"
    loaded = {line.rpartition("|")[2].strip() for line in answer.stderr.splitlines()}
    assert "composemesh.cli" in loaded
    assert not loaded & {"click", "trio", "rich", "yaml", "structlog"}
    assert run("-p", "shop", "--version").stdout == answer.stdout


def test_help_names_every_command_and_loads_no_trio(run: Run) -> None:
    answer = run("--help", PYTHONPROFILEIMPORTTIME="1")
    for name, (_, text) in COMMANDS.items():
        assert (f"\n  {name} " in answer.stdout) == bool(text)
    loaded = {line.rpartition("|")[2].strip() for line in answer.stderr.splitlines()}
    assert "click" in loaded
    assert not loaded & {"trio", "rich", "yaml", "structlog"}


def test_who_asks_for_a_mesh_that_is_not_there_waits_for_nothing(run: Run) -> None:
    answer = run("-p", "shop", "status", PYTHONPROFILEIMPORTTIME="1")
    assert answer.returncode == 1
    loaded = {line.rpartition("|")[2].strip() for line in answer.stderr.splitlines()}
    assert "composemesh.stack.compose" in loaded
    assert not loaded & {"rich", "yaml", "structlog", "composemesh.config.schema"}


def test_a_mesh_asks_who_runs_before_it_imports_what_serves_them(run: Run) -> None:
    asked = "import sys, composemesh.cli.serving; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "composemesh.app" in loaded
    assert not loaded & {"composemesh.traffic", "composemesh.admin.api", "hypercorn", "starlette", "h2", "dns"}


def test_without_a_command_it_is_help(run: Run) -> None:
    answer = run()
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == run("--help").stdout


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_every_command_is_where_it_says_and_has_help(name: str) -> None:
    answer = CliRunner().invoke(root, [name, "--help"])
    assert answer.exit_code == 0, answer.output
    assert answer.output.startswith(f"Usage: root {name}")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["stauts"], 2, ["No such command 'stauts'", "Did you mean `status`?"]),
        (["up", "--detatch"], 2, ["--detatch", "`composemesh up --help`"]),
        (["status", "--format", "xml"], 2, ["'xml' is not one of"]),
        (["-p", "../etc", "status"], 2, ["'../etc' is no Compose project name"]),
        (["-p", "shop", "status"], 1, ["No mesh serves project shop", "composemesh up"]),
        (["status", "-p", "shop"], 1, ["No mesh serves project shop"]),
        (["-p", "shop", "graph"], 1, ["No mesh serves project shop"]),
        (["-p", "shop", "dashboard", "--print"], 1, ["No mesh serves project shop", "composemesh up"]),
        (["-p", "shop", "graph", "--window", "soon"], 2, ["--window=soon: window is 1s to 1h, or all"]),
        (["demo", "--seconds", "abc"], 2, ["'abc' is not a valid number of seconds", "`composemesh demo --help`"]),
        (["demo", "--seconds", "nan"], 2, ["'nan' is not a valid number of seconds"]),
        (["demo", "--requests", "few"], 2, ["'few' is not a valid number of requests"]),
        (["status"], 1, ["There is no `docker` command on PATH"]),
        (["up"], 1, ["There is no `docker` command on PATH"]),
        (["attach"], 1, ["There is no `docker` command on PATH"]),
        (["-f", "-", "up"], 2, ["standard input", "name a file"]),
        (["-p", "shop", "down", "--keep-stack", "--volumes"], 2, ["--volumes", "--keep-stack"]),
        (["-p", "shop", "down"], 1, ["There is no `docker` command on PATH"]),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    run: Run, arguments: list[str], code: int, words: list[str]
) -> None:
    answer = run(*arguments)
    assert answer.returncode == code, answer.stderr
    assert answer.stderr.startswith("composemesh: ")
    assert answer.stderr.count("\n") == 1
    for word in words:
        assert word in answer.stderr


def test_the_mesh_alone_is_taken_down_without_docker(run: Run) -> None:
    answer = run("-p", "shop", "down", "--keep-stack")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "No mesh serves project shop.\n", "")


def test_ls_of_nothing(run: Run) -> None:
    assert run("ls").stdout == "No mesh runs on this host: `composemesh up` starts one.\n"
    assert json.loads(run("ls", "--format", "json").stdout) == []


def test_ls_tells_the_living_from_the_dead(run: Run, tmp_path: Path) -> None:
    for name, process in (("blog", "1@another-boot"), ("shop", None)):
        folder = StateFolder(tmp_path / "state", name)
        folder.prepare()
        entry = MeshEntry.of_this_process(name, {"files": [f"/srv/{name}/compose.yaml"]}, admin_url="http://mesh")
        folder.write(entry if process is None else MeshEntry(name, entry.pid, process, entry.started))
    listed = yaml.safe_load(run("ls", "--format", "yaml").stdout)
    assert [(each["project"], each["state"]) for each in listed] == [("blog", "dead"), ("shop", "serving")]
    text = run("ls").stdout
    assert "dead (composemesh down cleans up)" in text
    assert f"{os.getpid()}" in text
    assert "/srv/shop/compose.yaml" in text
    assert "was killed" in run("-p", "blog", "status").stderr
    assert "shop" in run("-p", "web", "status").stderr  # what else runs


def test_check_without_docker_fails_line_by_line(run: Run) -> None:
    answer = run("check", DOCKER_HOST="unix:///nowhere")
    assert answer.returncode == 1
    assert "✖ docker: " in answer.stdout
    assert "✖ compose: no Compose plugin" in answer.stdout
    assert answer.stderr == ""
    findings = json.loads(run("check", "--format", "json").stdout)
    assert {"name", "verdict", "message", "hint"} == set(findings[0])


@pytest.mark.parametrize("arguments", ["--help", "ls", "ls --format json", "compose metadata"])
def test_output_that_nobody_reads_is_no_bug(tmp_path: Path, arguments: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = {"COMPOSEMESH_STATE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "composemesh", *arguments.split()]
    answer = subprocess.run(command, env=environment, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert answer.stderr == b""
    assert answer.returncode in (1, 141)


def test_completion_is_clicks(run: Run) -> None:
    answer = run(_COMPOSEMESH_COMPLETE="bash_complete", COMP_WORDS="composemesh st", COMP_CWORD="1")
    assert answer.stdout.split() == ["plain,status"]


def test_metadata_is_json_for_compose(run: Run) -> None:
    assert json.loads(run("compose", "metadata").stdout)["up"]["parameters"]


def test_what_keeps_the_provider_from_it_is_told_to_compose(run: Run) -> None:
    answer = run("compose", "--project-name=shop", "up", "--capture=none", "mesh", DOCKER_HOST="unix:///nowhere")
    assert answer.returncode == 1
    (line,) = answer.stdout.splitlines()
    assert json.loads(line)["type"] == "error"
    assert "/nowhere" in json.loads(line)["message"]


@pytest.mark.parametrize("admin", ["0.0.0.0:15000", "nonsense", "127.0.0.1:0"])
def test_the_provider_takes_no_address_that_the_file_could_not_name(run: Run, admin: str) -> None:
    answer = run("compose", "--project-name=shop", "up", "--capture=none", f"--admin={admin}", "mesh")
    said = json.loads(answer.stdout)
    assert (answer.returncode, said["type"]) == (2, "error")
    assert said["message"].startswith("The option admin: it ")
    assert said["message"].endswith("Write 127.0.0.1:15000.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--project-name=shop", "up", "--capture=netnss", "mesh"],
            "'netnss' is not one of 'auto', 'netns', 'none'.",
        ),
        (["--project-name=shop", "up", "--sidecar=yes", "mesh"], "--sidecar"),
        (["--project-name=../etc", "up", "--capture=none", "mesh"], "'../etc' is no Compose project name"),
        (["--project-name=../etc", "down", "mesh"], "'../etc' is no Compose project name"),
        (["--project-name=shop", "pu"], "No such command 'pu'"),
    ],
)
def test_a_wrong_call_of_the_provider_is_told_to_compose(run: Run, arguments: list[str], words: str) -> None:
    answer = run("compose", *arguments)
    (line,) = answer.stdout.splitlines()
    said = json.loads(line)
    assert (answer.returncode, answer.stderr, said["type"]) == (2, "", "error")
    assert words in said["message"]


@pytest.mark.parametrize("command", ["down", "stop"])
def test_the_provider_says_nothing_when_there_is_nothing_to_end(run: Run, command: str) -> None:
    answer = run("compose", "--project-name=shop", command, "mesh")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_options_before_and_after_the_command_add_up() -> None:
    seen: list[ComposeProject] = []

    @click.group()
    @project_options
    def group(**_: Any) -> None: ...

    @group.command()
    @about_project
    def probe(project: ComposeProject) -> None:
        seen.append(project)

    before = ["-f", "/a.yaml", "-p", "one", "--profile=x", "probe"]
    after = ["-f", "/b.yaml", "--project", "two", "--project-directory=/srv", "--env-file=/e", "--profile=y"]
    for arguments in (before, before + after):
        answer = CliRunner().invoke(group, arguments)
        assert answer.exit_code == 0, answer.output
    files = (Path("/a.yaml"), Path("/b.yaml"))
    assert seen == [
        ComposeProject("one", files[:1], None, ("x",)),
        ComposeProject("two", files, Path("/srv"), ("x", "y"), (Path("/e"),)),
    ]


def test_composes_own_options_are_handed_on() -> None:
    seen: list[tuple[str, ...]] = []

    @click.command()
    @hands_on(UP_FLAGS, UP_VALUES)
    def probe() -> None:
        seen.append(tuple(handed_on()))

    def handed(*arguments: str) -> set[str]:
        answer = CliRunner().invoke(probe, arguments)
        assert answer.exit_code == 0, answer.output
        return set(seen.pop())

    assert handed() == set()
    assert handed("--build", "--wait", "-y", "-V") == {"--build", "--wait", "--yes", "--renew-anon-volumes"}
    assert handed("--scale", "a=3", "--scale=b=2", "-t", "5") == {"--scale=a=3", "--scale=b=2", "--timeout=5"}


def test_a_half_edited_file_does_not_hide_the_mesh_that_runs_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPOSEMESH_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "shop" / "deep").mkdir(parents=True)
    folder = StateFolder(tmp_path / "state", "shop")
    folder.prepare()
    folder.write(MeshEntry.of_this_process("shop", {"files": [str(tmp_path / "shop" / "compose.yaml")]}))
    monkeypatch.chdir(tmp_path / "shop" / "deep")
    assert folder_of(ComposeProject()).project == "shop"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        folder_of(ComposeProject())


def test_the_root_certificate_is_made_once_and_printed(run: Run, tmp_path: Path) -> None:
    answer = run("-p", "shop", "ca")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    certificate = x509.load_pem_x509_certificate(answer.stdout.encode())
    assert certificate.subject.rfc4514_string() == "CN=composemesh root of shop,O=composemesh"
    assert "PRIVATE" not in answer.stdout
    assert run("-p", "shop", "ca").stdout == answer.stdout
    assert run("-p", "other", "ca").stdout != answer.stdout

    written = run("-p", "shop", "ca", "--out", "root.pem")
    assert (written.returncode, written.stdout) == (0, "")
    assert f"curl --cacert {tmp_path}/here/root.pem" in written.stderr
    assert (tmp_path / "here" / "root.pem").read_text() == answer.stdout


def test_somebody_else_is_told_of_roots_authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(ca, "state_root", lambda *_: tmp_path / "roots")
    folder = StateFolder(tmp_path / "mine", "shop")
    assert not ca._is_roots(folder)
    (tmp_path / "roots" / "shop").mkdir(parents=True)
    assert ca._is_roots(folder)
    assert not ca._is_roots(StateFolder(tmp_path / "roots", "shop"))


def test_a_root_key_that_others_may_read_is_one_line(run: Run, tmp_path: Path) -> None:
    run("-p", "shop", "ca")
    key = tmp_path / "state" / "shop" / "ca.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o644)
    answer = run("-p", "shop", "ca")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.startswith("composemesh: Others may read the key of the mesh's authority")
    assert answer.stderr.count("\n") == 1


def test_a_file_that_cannot_be_written_is_one_line(run: Run) -> None:
    answer = run("-p", "shop", "ca", "--out", "/nowhere/root.pem")
    assert answer.returncode == 1
    assert answer.stderr == (
        "composemesh: Cannot write /nowhere/root.pem (No such file or directory): name another file after --out.\n"
    )
