"""What `up`, `attach` and the provider share: is this host fit, which project is it, and start its mesh."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from composemesh.cli.context import state_folders
from composemesh.config.schema import read
from composemesh.config.schema.leaves import Address
from composemesh.model.snapshot import CaptureMode
from composemesh.stack.check import missing_privilege
from composemesh.stack.compose import ComposeProject
from composemesh.stack.daemon import spawn, this_command
from composemesh.stack.engine import ask_engine, docker_endpoint
from composemesh.stack.errors import CallError, UserError
from composemesh.stack.state import StateFolder

if TYPE_CHECKING:
    from composemesh.app import MeshOptions
    from composemesh.config.asking import Resolve
    from composemesh.plugins import Plugins


@dataclass(frozen=True, slots=True)
class Start:
    """Everything a mesh is started with."""

    project: ComposeProject
    """Pinned: with a name, and with its files where they are known."""
    folder: StateFolder
    docker: str
    """The engine's endpoint."""
    capture: str = ""
    admin: str = ""
    resolve: Resolve | None = None
    """Asks for the project's configuration where its files are not known at the start."""
    plugins: Plugins | None = None
    """Those that are loaded already."""

    def of(self, project: ComposeProject) -> Start:
        """The same start, for the same project, which is now known better."""
        return replace(self, project=project)

    def options(self) -> MeshOptions:
        from composemesh.app import MeshOptions

        return MeshOptions(
            project=self.project.name,
            state=self.folder.path,
            docker=self.docker,
            resolve=self.resolve or (self.project.resolve if self.project.files else None),
            files=self.project.files,
            initial_check=bool(self.project.files),
            capture=self.capture,
            admin=self.admin,
            plugins=self.plugins,
        )

    def command(self) -> list[str]:
        """The hidden command that runs this mesh in the background."""
        extra = [("--docker", self.docker), ("--capture", self.capture), ("--admin", self.admin)]
        options = [f"{name}={value}" for name, value in extra if value]
        return [*this_command(), *self.project.arguments(), "mesh", *options]

    def require_same_files(self) -> None:
        """Raises UserError where this project's mesh was started with other files: it would never read these."""
        entry = self.folder.serving()
        its = entry.compose.get("files", ()) if entry is not None else ()
        own = str(self.folder.path)  # an overlay of ours is among the files that labels name
        its = [file for file in its if not file.startswith(own)]
        if its and its != self.project.describe()["files"]:
            raise UserError(
                f"The mesh of project {self.project.name} was started with other Compose files ({', '.join(its)}): "
                "`composemesh down --keep-stack` ends it, then say this again."
            )

    def ensure(self) -> str:
        """See that a mesh serves in the background; say where, and what to do next. One that serves is left alone."""
        name = self.project.name
        return (
            f"The mesh of project {name} serves: {self.admin_url()}\n"
            f"See it with `composemesh -p {name} status` or `graph`; end it with `down`, "
            "or with `down --keep-stack`: then the stack runs on."
        )

    def admin_url(self) -> str:
        """Of the mesh in the background, which is started where there is none."""
        with self.folder.starting():
            entry = self.folder.serving()
            if entry is not None and entry.admin_url:
                return entry.admin_url
            return spawn(self.folder, self.command()).admin_url


async def make_start(project: ComposeProject, *, capture: str = "", admin: str = "") -> Start:
    """Raises CallError for an admin address that `x-mesh` would not take, UserError where no engine answers: before
    anything is started."""
    for finding in read(Address(), admin).findings if admin else ():
        raise CallError(f"The option admin: {finding.message} {finding.hint}")
    docker = docker_endpoint(os.environ)
    await ask_engine(docker, "version")
    return Start(project, StateFolder(state_folders(), project.name), docker, capture, admin)


def require_privilege(mode: str) -> None:
    """Raises UserError where this process cannot capture in that mode (`CaptureMode`)."""
    if mode != CaptureMode.NONE and (missing := missing_privilege()):
        raise UserError(missing)
