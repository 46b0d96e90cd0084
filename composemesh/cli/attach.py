"""`composemesh attach`: mesh a stack that runs already. Nothing is started, stopped or restarted."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_project
from composemesh.stack.errors import UserError

if TYPE_CHECKING:
    from composemesh.cli.starting import Start
    from composemesh.stack.compose import ComposeProject


@click.command()
@click.option("-d", "--detach", is_flag=True, help="Leave the mesh running in the background.")
@about_project
def attach(project: ComposeProject, detach: bool) -> None:
    """Mesh a stack that is already running, without restarting one container.

    Detaching, with Ctrl-C or `composemesh down --keep-stack`, leaves the stack running as it was.
    """
    gc.disable()  # nothing of a start is garbage; `serve` enables it again
    from composemesh.cli.logs import run

    start = run(_attach, project, detach)
    if detach:
        print(start.ensure())


async def _attach(project: ComposeProject, detach: bool) -> Start:
    from composemesh.cli.meanwhile import while_importing

    by_name_only = project.name and not project.files
    resolved = None
    if not by_name_only:
        project, resolved = await while_importing(project.pinned, "composemesh.cli.serving")

    from composemesh.cli.following import follow
    from composemesh.cli.plugins_here import plugins_here
    from composemesh.cli.serving import serve
    from composemesh.cli.starting import make_start, require_privilege
    from composemesh.model.snapshot import Snapshot
    from composemesh.stack.configuration import good_configuration
    from composemesh.stack.engine import look
    from composemesh.stack.labelled import named_by_labels

    start = await make_start(project)
    found = await look(start.docker, project.name)
    if not found.workloads:
        raise UserError(
            f"Nothing runs in project {project.name}: `composemesh up` starts it, `docker compose ls` lists projects."
        )
    if by_name_only:
        # The Compose file of this folder, if there is one, may be another project's.
        start = start.of(named_by_labels(project.name, found.workloads))
        resolved = (await start.project.pinned())[1] if start.project.files else None
    plugins = await plugins_here()
    configured = Snapshot(project.name)
    if resolved is not None:
        configured = await good_configuration(start.project, resolved, plugins)
    require_privilege(configured.mesh.capture)
    if not detach:
        await serve(replace(start, plugins=plugins), view=follow(start.folder))
    return start
