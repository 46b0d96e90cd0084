"""`composemesh attach`: mesh a stack that runs already. Nothing is started, stopped or restarted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_project
from composemesh.stack.errors import UserError

if TYPE_CHECKING:
    from composemesh.stack.compose import ComposeProject


@click.command()
@click.option("-d", "--detach", is_flag=True, help="Leave the mesh running in the background.")
@about_project
def attach(project: ComposeProject, detach: bool) -> None:
    """Mesh a stack that is already running, without restarting one container.

    Detaching, with Ctrl-C or `composemesh down --keep-stack`, leaves the stack running as it was.
    """
    from composemesh.cli.logs import run

    run(_attach, project, detach)


async def _attach(project: ComposeProject, detach: bool) -> None:
    from composemesh.cli.following import follow
    from composemesh.cli.serving import serve
    from composemesh.cli.starting import make_start
    from composemesh.stack.compose import NoComposeFile
    from composemesh.stack.configuration import good_configuration
    from composemesh.stack.engine import look

    try:
        project, resolved = await project.pinned()
        good_configuration(project.name, resolved)
    except NoComposeFile:
        if not project.name:
            raise
        # Named with -p from somewhere else: what its files say is read from where its containers' labels point.
    start = await make_start(project)
    found = await look(start.docker, project.name)
    if not found.workloads:
        raise UserError(
            f"Nothing runs in project {project.name}: `composemesh up` starts it, `docker compose ls` lists projects."
        )
    if detach:
        print(f"The mesh of project {project.name} serves: {start.ensure()}")
        return
    await serve(start, view=follow(start.folder))
