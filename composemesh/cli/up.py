"""`composemesh up`: Docker Compose starts the project, and this process, or one in the background, is its mesh."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_project
from composemesh.cli.handing_on import UP_FLAGS, UP_VALUES, handed_on, hands_on
from composemesh.stack.errors import UserError

if TYPE_CHECKING:
    from composemesh.cli.starting import Start
    from composemesh.stack.compose import ComposeProject


@click.command()
@click.argument("services", nargs=-1)
@click.option("-d", "--detach", is_flag=True, help="Leave the mesh running in the background.")
@hands_on(UP_FLAGS, UP_VALUES)
@about_project
def up(project: ComposeProject, services: Sequence[str], detach: bool) -> None:
    """Start the project with Docker Compose, and mesh it.

    In the foreground it shows what happens, and Ctrl-C takes down first the mesh and then the stack.
    """
    gc.disable()  # nothing of a start is garbage; `serve` enables it again
    from composemesh.cli.logs import run

    start = run(_up, project, (*handed_on(), *services), detach)
    if detach:
        print(start.ensure())


async def _up(project: ComposeProject, arguments: Sequence[str], detach: bool) -> Start:
    import trio

    from composemesh.cli.meanwhile import while_importing

    pinned, resolved = await while_importing(project.pinned, "composemesh.cli.serving")

    from composemesh.cli.following import follow
    from composemesh.cli.plugins_here import plugins_here
    from composemesh.cli.serving import serve
    from composemesh.cli.starting import make_start, require_privilege
    from composemesh.stack.configuration import good_configuration
    from composemesh.stack.overlay import overlay, provider_service

    plugins = await plugins_here()
    snapshot = await good_configuration(pinned, resolved, plugins)
    require_privilege(snapshot.mesh.capture)
    start = await make_start(pinned)
    if not detach and (name := provider_service(resolved.text)):
        raise UserError(
            f"Service {name} has Docker Compose start the mesh, in the background: `composemesh up -d`, "
            "or plain `docker compose up`."
        )
    start.require_same_files()
    start.folder.prepare()
    aliases = overlay(resolved.text, snapshot)
    files = [start.folder.replace("overlay.yaml", aliases)] if aliases else []

    async def start_stack() -> None:
        code = await pinned.run("up", "--detach", *arguments, files=files)
        await trio.lowlevel.checkpoint()  # Ctrl-C ends Compose and us: then its exit code is no news
        if code:
            raise UserError(f"Docker Compose did not start project {pinned.name}: it says why above.")

    async def stop_stack() -> None:
        await pinned.run("stop", own_session=True)

    if detach:
        await start_stack()
        return start
    await serve(
        replace(start, plugins=plugins),
        view=follow(start.folder),
        before=start_stack,
        after=stop_stack,
        in_a_hurry=["docker", "compose", *pinned.arguments(), "kill"],
    )
    return start
