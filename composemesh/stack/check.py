"""Can this host run the mesh? One finding for each thing that must be so, with what to do where it is not."""

from __future__ import annotations

import enum
import errno
import platform
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from composemesh.capture.iptables import Tool
from composemesh.capture.netns import rehearse
from composemesh.capture.refusal import CAPABILITIES, STATUS, lacking
from composemesh.capture.rules import Version
from composemesh.config.extended import Plugins
from composemesh.model.problem import Severity
from composemesh.model.snapshot import MeshSettings
from composemesh.stack.compose import ComposeProject, NoComposeFile, compose_version
from composemesh.stack.configuration import read_configuration
from composemesh.stack.engine import ask_engine, docker_endpoint
from composemesh.stack.errors import UserError

PROVIDERS_SINCE = (2, 36)
"""The Compose version that began to call providers."""


class Verdict(enum.StrEnum):
    OK = "ok"
    NOTE = "note"
    """It works, and there is something to know."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """There was nothing to look at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `composemesh check`."""

    name: str
    verdict: Verdict
    message: str
    hint: str = ""
    """What to do next; empty where nothing is to be done."""


async def check_host(
    project: ComposeProject, environ: Mapping[str, str], plugins: Plugins | None = None
) -> list[Finding]:
    """Look at everything, in the order in which a mesh needs it. Changes nothing, and never raises UserError."""
    findings = [_system(), _privileges(), _namespaces(), *_iptables()]
    findings.append(await _engine(environ))
    findings.append(await _compose())
    settings, said = await _project(project, plugins)
    return [*findings, *said, _admin_port(settings)]


def missing_privilege(status: Path = STATUS) -> str:
    """What to tell somebody who cannot enter network namespaces; empty for who can."""
    missing = " and ".join(lacking(status))
    return f"Meshing containers takes root: run it with sudo (this process lacks {missing})." if missing else ""


def _system() -> Finding:
    name, release = platform.system(), platform.release()
    if name != "Linux":
        return Finding(
            "system",
            Verdict.FAILED,
            f"{name} has no network namespaces",
            "Run composemesh where the containers run, on Linux.",
        )
    return Finding("system", Verdict.OK, f"Linux {release}")


def _privileges() -> Finding:
    missing = missing_privilege()
    if missing:
        return Finding("privileges", Verdict.FAILED, "not root", missing)
    return Finding("privileges", Verdict.OK, ", ".join(CAPABILITIES.values()))


def _namespaces() -> Finding:
    try:
        rehearse()
    except OSError as problem:
        hints = {errno.EPERM: "Run it with sudo.", errno.ENOENT: "Mount /proc."}
        hint = hints.get(problem.errno or 0, "See whether a seccomp profile forbids setns.")
        return Finding("namespaces", Verdict.FAILED, f"setns: {problem.strerror}", hint)
    return Finding("namespaces", Verdict.OK, "setns works")


def _iptables(find: Callable[[Version], Tool | None] = Tool.find) -> Iterator[Finding]:
    """The programs that capture itself would take."""
    programs: tuple[tuple[Version, str, Verdict], ...] = (
        (4, "iptables", Verdict.FAILED),
        (6, "ip6tables", Verdict.NOTE),
    )
    for version, program, without in programs:
        tool = find(version)
        if tool is None:
            hint = "Install it (Debian, Ubuntu: apt-get install iptables)."
            yield Finding(program, without, "not installed", hint)
            continue
        answer = subprocess.run(
            [tool.restore, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        yield Finding(program, Verdict.OK, answer.stdout.strip() or tool.restore)


async def _engine(environ: Mapping[str, str]) -> Finding:
    try:
        endpoint = docker_endpoint(environ)
        version: dict[str, Any] = await ask_engine(endpoint, "version")
        info: dict[str, Any] = await ask_engine(endpoint, "info")
    except UserError as problem:
        return Finding("docker", Verdict.FAILED, "the engine does not answer", str(problem))
    said = f"Docker {version.get('Version')} (API {version.get('ApiVersion')}) at {endpoint}"
    if "Docker Desktop" in str(info.get("OperatingSystem")):
        hint = "Docker Desktop hides its containers' namespaces in a virtual machine: use Docker Engine on Linux."
        return Finding("docker", Verdict.FAILED, said, hint)
    if any("rootless" in option for option in info.get("SecurityOptions") or ()):
        return Finding("docker", Verdict.NOTE, f"{said}, rootless", "Run composemesh as root of the same host.")
    return Finding("docker", Verdict.OK, said)


async def _compose() -> Finding:
    try:
        version = await compose_version()
    except UserError as problem:
        return Finding("compose", Verdict.FAILED, "no Compose plugin", str(problem))
    if _numbers(version) < PROVIDERS_SINCE:
        wanted = ".".join(map(str, PROVIDERS_SINCE))
        hint = f"`provider: {{type: composemesh}}` takes {wanted} or later; `composemesh up` works as it is."
        return Finding("compose", Verdict.NOTE, f"Docker Compose {version}", hint)
    return Finding("compose", Verdict.OK, f"Docker Compose {version}")


def _numbers(version: str) -> tuple[int, ...]:
    """``v2.40.3-desktop.1`` → (2, 40)."""
    parts = version.lstrip("v").split(".")[:2]
    return tuple(int(part) if part.isdigit() else 0 for part in parts)


async def _project(project: ComposeProject, plugins: Plugins | None) -> tuple[MeshSettings, list[Finding]]:
    """The Compose file here, and what it says to the mesh."""
    try:
        pinned, resolved = await project.pinned()
    except NoComposeFile:
        return MeshSettings(), [Finding("compose file", Verdict.SKIPPED, "none here")]
    except UserError as problem:
        return MeshSettings(), [Finding("compose file", Verdict.FAILED, "cannot be used", str(problem))]
    files = ", ".join(str(path) for path in pinned.files)
    findings = [Finding("compose file", Verdict.OK, f"project {pinned.name}: {files}")]
    snapshot, problems = await read_configuration(pinned.name, resolved, plugins)
    for found in problems:
        verdict = Verdict.FAILED if found.severity is Severity.ERROR else Verdict.NOTE
        findings.append(Finding("x-mesh", verdict, found.code, str(found)))
    if not problems:
        findings.append(Finding("x-mesh", Verdict.OK, "says what the mesh understands"))
    return snapshot.mesh, findings


def _admin_port(settings: MeshSettings) -> Finding:
    """Taken is no failure: a mesh that finds its port taken serves on the next free one."""
    where = f"{settings.admin_host}:{settings.admin_port}"
    family = socket.AF_INET6 if ":" in settings.admin_host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.admin_host, settings.admin_port))
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE:
                hint = "Set another address in `x-mesh: {admin: HOST:PORT}`."
                return Finding("admin port", Verdict.FAILED, f"{where}: {problem.strerror}", hint)
            hint = "The mesh takes the next free one; `composemesh ls` shows which."
            return Finding("admin port", Verdict.NOTE, f"{where} is taken", hint)
    return Finding("admin port", Verdict.OK, f"{where} is free")
