"""Which project a command is about: the options that Docker Compose has for it, and the mesh that serves it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from composemesh.stack.errors import CallError, UserError
from composemesh.stack.state import MeshEntry, StateFolder, list_meshes, state_root

if TYPE_CHECKING:
    from composemesh.stack.compose import ComposeProject

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("-p", "--project-name", "--project", metavar="NAME", help="The Compose project."),
    click.option("-f", "--file", "files", multiple=True, metavar="FILE", help="A Compose file; may be repeated."),
    click.option("--profile", "profiles", multiple=True, metavar="NAME", help="A Compose profile to switch on."),
    click.option("--env-file", "env_files", multiple=True, metavar="FILE", help="Instead of `.env`."),
    click.option("--project-directory", metavar="FOLDER", help="What relative paths are relative to."),
)


def project_options(command: F) -> F:
    """Add Compose's generic options. They stand before the command or after it, as the user likes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def about_project(function: Callable[..., Any]) -> Callable[..., Any]:
    """Take the generic options and call the command with one `ComposeProject` in their place."""

    @project_options
    @click.pass_context
    @wraps(function)
    def command(context: click.Context, /, **arguments: Any) -> Any:
        return function(chosen(context, arguments), **arguments)

    return command


def about_mesh(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for commands whose own `-f` names other files: a Compose file stands before the command."""

    @click.option("-p", "--project-name", "--project", metavar="NAME", help="The Compose project.")
    @click.pass_context
    @wraps(function)
    def command(context: click.Context, /, **arguments: Any) -> Any:
        own = {name: arguments.pop(name) for name in ("files",) if name in arguments}
        return function(chosen(context, arguments), **arguments, **own)

    return command


def chosen(context: click.Context, arguments: dict[str, Any]) -> ComposeProject:
    """The project that the options before and after the command choose; takes them out of `arguments`."""
    from composemesh.stack.compose import ComposeProject

    before = context.find_root().params if context.parent is not None else {}

    def one(name: str) -> str:
        return arguments.pop(name, None) or before.get(name) or ""

    def many(name: str) -> tuple[str, ...]:
        return (*before.get(name, ()), *arguments.pop(name, ()))

    files, directory = many("files"), one("project_directory")
    if "-" in files:
        raise CallError("A Compose file cannot come from standard input here, it is read many times: name a file.")
    return ComposeProject(
        one("project_name"),
        tuple(Path(os.path.abspath(name)) for name in files),
        Path(os.path.abspath(directory)) if directory else None,
        many("profiles"),
        tuple(Path(os.path.abspath(name)) for name in many("env_files")),
    )


def state_folders() -> Path:
    """The root of this user's state folders."""
    return state_root(os.environ, os.geteuid())


def folder_of(project: ComposeProject) -> StateFolder:
    """The state folder of the project chosen, or of the Compose file here. Raises UserError, CallError."""
    if project.name:
        return StateFolder(state_folders(), project.name)
    from composemesh.cli.logs import run
    from composemesh.stack.compose import NoComposeFile

    try:
        name = run(project.pinned)[0].name
    except UserError as problem:
        # The file may just be half edited: whoever already meshes it knows its name.
        served = _served_from(Path.cwd()) if not project.files and project.project_directory is None else ""
        if not served:
            running = [entry.project for entry in list_meshes(state_folders()) if entry.alive]
            if running and isinstance(problem, NoComposeFile):
                raise CallError(f"{problem} Running: {', '.join(running)}.") from None
            raise
        name = served
    return StateFolder(state_folders(), name)


def _served_from(here: Path) -> str:
    """The one project whose first Compose file stands in this folder or, failing that, in the nearest above it."""
    for folder in (here, *here.parents):
        names = {entry.project for entry in list_meshes(state_folders()) if _home(entry) == folder}
        if names:
            return names.pop() if len(names) == 1 else ""
    return ""


def _home(entry: MeshEntry) -> Path | None:
    files = entry.compose.get("files")
    return Path(files[0]).parent if files else None


def serving(project: ComposeProject) -> tuple[StateFolder, MeshEntry]:
    """The mesh that serves the project. Raises UserError where there is none."""
    folder = folder_of(project)
    entry = folder.entry()
    if entry is None:
        raise UserError(f"No mesh serves project {folder.project}: {_next_step(folder.project)}")
    if not entry.alive:
        raise UserError(
            f"The mesh of project {folder.project} was killed: `composemesh up -d` or `composemesh attach -d` starts "
            "another, `composemesh down --keep-stack` only cleans up."
        )
    if not entry.admin_url:
        raise UserError(f"The mesh of project {folder.project} is still starting: ask again in a moment.")
    return folder, entry


def _next_step(project: str) -> str:
    others = [entry.project for entry in list_meshes(state_folders()) if entry.alive and entry.project != project]
    if others:
        return f"-p picks another (running: {', '.join(others)}), `composemesh up` starts this one."
    if os.geteuid():
        return "`composemesh up` starts one; a mesh that root started is shown to root (`sudo composemesh status`)."
    return "`composemesh up` starts one, `composemesh attach` meshes a stack that runs already."
