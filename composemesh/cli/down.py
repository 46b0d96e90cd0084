"""`composemesh down`: the mesh ends first, then the stack. Works as well when one of them, or both, are gone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_project
from composemesh.cli.handing_on import DOWN_FLAGS, DOWN_VALUES, handed_on, hands_on
from composemesh.stack.errors import CallError, UserError

if TYPE_CHECKING:
    from composemesh.stack.compose import ComposeProject
    from composemesh.stack.state import StateFolder


@click.command()
@click.option("--keep-stack", is_flag=True, help="Stop only the mesh; the containers stay as they are.")
@hands_on(DOWN_FLAGS, DOWN_VALUES)
@about_project
def down(project: ComposeProject, keep_stack: bool) -> None:
    """Stop the mesh, and then the project with `docker compose down`.

    It waits until the mesh has ended, and cleans up behind one that was killed.
    """
    from composemesh.cli.context import folder_of
    from composemesh.cli.logs import run
    from composemesh.stack.compose import ComposeProject

    if keep_stack and handed_on():
        raise CallError(f"{handed_on()[0]} is for the stack, and --keep-stack leaves that alone: say one of them.")
    folder = folder_of(project)
    entry = folder.entry()
    print(end_mesh(folder, keep_stack=keep_stack))
    if keep_stack:
        return
    if entry is not None and not project.files:
        project = ComposeProject.remembered(folder.project, entry.compose)
    code = run(_take_down, project, *handed_on())
    if code:
        raise UserError(f"Docker Compose did not take down project {folder.project}: it says why above.")


async def _take_down(project: ComposeProject, *arguments: str) -> int:
    """`docker compose down`; its exit code. Raises UserError, which Compose would say at greater length."""
    from composemesh.stack.compose import compose_version
    from composemesh.stack.engine import ask_engine, docker_endpoint

    await compose_version()
    await ask_engine(docker_endpoint(os.environ), "version")
    return await project.run("down", *arguments)


def end_mesh(folder: StateFolder, *, keep_stack: bool) -> str:
    """Stop the mesh of a project and see that nothing of it is left; say in one line what was done."""
    from composemesh.stack.daemon import Ended, stop

    with folder.starting():
        match stop(folder, keep_stack=keep_stack):
            case Ended.NOT_RUNNING:
                return f"No mesh serves project {folder.project}."
            case Ended.WELL:
                return f"The mesh of project {folder.project} has ended."
            case Ended.KILLED:
                cleaned = clean_up(folder.project)
                folder.clear()
                return f"The mesh of project {folder.project} had been killed: cleaned up in {cleaned} containers."


def clean_up(project: str) -> int:
    """Take what a killed mesh left out of the project's containers; how many had something. Raises UserError."""
    from composemesh.capture.modes import sweep
    from composemesh.cli.logs import run
    from composemesh.stack.engine import docker_endpoint, look

    async def look_and_sweep() -> int:
        found = await look(docker_endpoint(os.environ), project)
        return await sweep(found.workloads)

    return run(look_and_sweep)
