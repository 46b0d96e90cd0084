"""`composemesh mesh`, hidden: the mesh itself, in the background, started by `up -d`, `attach -d` and Compose."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_project

if TYPE_CHECKING:
    from composemesh.admin.mesh_view import MeshView
    from composemesh.stack.compose import ComposeProject


@click.command(hidden=True)
@click.option("--docker", required=True)
@click.option("--capture", default="")
@click.option("--admin", default="")
@click.option("--ready-fd", type=int, required=True)
@about_project
def mesh(project: ComposeProject, docker: str, capture: str, admin: str, ready_fd: int) -> None:
    """Serve a project until a signal ends it. Standard error is the log."""
    gc.disable()  # nothing of a start is garbage; `serve` enables it again
    import trio

    from composemesh.cli.context import state_folders
    from composemesh.cli.guard import answer_to
    from composemesh.cli.logs import log_to
    from composemesh.cli.serving import serve
    from composemesh.cli.starting import Start
    from composemesh.stack.daemon import Ready
    from composemesh.stack.labelled import LabelledProject
    from composemesh.stack.state import StateFolder

    log_to(sys.stderr)
    folder = StateFolder(state_folders(), project.name)
    labelled = None if project.files else LabelledProject(folder)
    start = Start(project, folder, docker, capture, admin, labelled.resolve if labelled else None)
    told = False

    async def tell(mesh: MeshView) -> None:
        nonlocal told
        told = True
        Ready(admin_url=mesh.admin_url).tell(ready_fd)
        if labelled is not None:
            await labelled.follow(mesh.discovered)
        await trio.sleep_forever()

    async def run() -> None:
        await serve(start, view=tell)

    try:
        trio.run(run)
    except BaseException as problem:
        code, message = answer_to(problem)
        if not told:
            Ready(error=message, exit_code=code).tell(ready_fd)
        raise
