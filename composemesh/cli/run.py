"""`composemesh run`: a command as a workload of the project's mesh, or of a small mesh of its own."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from composemesh.cli.context import about_project, folder_of, state_folders
from composemesh.cli.guard import complain, exit_with
from composemesh.runtime.addresses import host_and_port
from composemesh.stack.errors import CallError, UserError
from composemesh.stack.files import compose_files
from composemesh.stack.state import StateFolder

if TYPE_CHECKING:
    from composemesh.admin.mesh_view import MeshView
    from composemesh.config.loaders.resolved import Resolved
    from composemesh.stack.compose import ComposeProject
    from composemesh.stack.membership import Joining


class Call(click.ParamType[Any]):
    name = "NAME:PORT"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        try:
            return host_and_port(value)
        except ValueError:
            self.fail(f"{value!r} is not NAME:PORT.", param, ctx)


@click.command()
@click.option("--name", required=True, metavar="NAME", help="What callers call it.")
@click.option("--port", required=True, type=click.IntRange(1, 65535), metavar="PORT", help="Where COMMAND listens.")
@click.option("--version", "version_", default="", metavar="VERSION", help="Its version, for routes and splits.")
@click.option("--call", "calls", multiple=True, type=Call(), help="A service that it calls, found or not yet.")
@click.option("--browse", multiple=True, metavar="TYPE", help="Without a Compose file: find such services by mDNS.")
@click.option("--interface", "interfaces", multiple=True, metavar="NAME", help="Speak mDNS there.")
@click.option("--publish", is_flag=True, help="Without a Compose file: announce it by mDNS.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@about_project
def run(
    project: ComposeProject,
    name: str,
    port: int,
    version_: str,
    calls: Sequence[tuple[str, int]],
    browse: Sequence[str],
    interfaces: Sequence[str],
    publish: bool,
    command: Sequence[str],
) -> None:
    """Run COMMAND as a workload: others call it by NAME, and it calls them.

    It joins the project's mesh; where none runs, it has a small one of its own. COMMAND listens on 127.0.0.1:PORT.
    Signals go to COMMAND, and its exit code is the exit code.
    """
    import trio

    from composemesh.capture.loopback import unsupported
    from composemesh.stack.alone import written_out
    from composemesh.stack.membership import Joining

    if reason := unsupported():
        raise UserError(reason)
    _require_command(command[0])
    _require_port(port)
    joining = Joining(name, port, version_, os.getpid(), dict(calls))
    said = written_out(browse, interfaces, publish=publish) if browse or interfaces or publish else None
    folder = _folder(project, name)
    entry = folder.serving()
    if entry is None:
        exit_with(trio.run(_alone, replace(project, name=folder.project), folder, said, joining, command))
    if said is not None:
        raise CallError(f"The mesh of project {folder.project} runs already: what it finds is for its x-mesh to say.")
    exit_with(trio.run(_joined, folder, joining, command))


def _require_command(name: str) -> None:
    if shutil.which(name) is None:
        exit_with(complain(f"{name} is no command that is found on PATH: name it with its path.", 127))


def _require_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise UserError(f"Port {port} is for root: choose one from 1024 on.") from None
        except OSError:
            raise UserError(
                f"Port {port} is taken (`ss -ltnp sport = :{port}` names by whom): stop that, or choose another."
            ) from None


def _folder(project: ComposeProject, name: str) -> StateFolder:
    """The folder of the project that is meant; where nothing says which, the process is a project of its own."""
    here = project.files or project.project_directory or compose_files(os.environ, Path.cwd())
    if project.name or not here:
        return StateFolder(state_folders(), project.name or name)
    return folder_of(project)


async def _joined(folder: StateFolder, joining: Joining, command: Sequence[str]) -> int:
    """Be a workload of the mesh that serves, for as long as the command runs; its exit code."""
    import trio

    from composemesh.stack.command import Hosts, ended, environment, passing_on_signals, running
    from composemesh.stack.membership import connected

    with ExitStack() as stack:
        hosts = None
        if os.geteuid() == 0:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="composemesh-"))
            os.chmod(place, 0o711)  # the command may run as somebody else by then
            hosts = Hosts(Path(place, "hosts"))
        async with connected(folder.socket) as membership:
            doors = await membership.ask(joining)
            if hosts is not None:
                hosts.write(doors)
            print(
                f"composemesh: {joining.name} is a workload of project {folder.project}.", file=sys.stderr, flush=True
            )
            environ = {**os.environ, **environment(doors)}
            lost = False
            async with (
                running(command, environ, hosts.path if hosts else None) as process,
                trio.open_nursery() as nursery,
            ):

                async def stay() -> None:
                    nonlocal lost
                    while (doors := await membership.other_doors()) is not None:
                        if hosts is not None:
                            hosts.write(doors)
                    lost = True
                    nursery.cancel_scope.cancel()

                async with passing_on_signals(process):
                    nursery.start_soon(stay)
                    code = await ended(process)
                    nursery.cancel_scope.cancel()
    if lost:
        return complain(f"the mesh of project {folder.project} has ended, and {command[0]} with it.", 1)
    return code


async def _alone(
    project: ComposeProject, folder: StateFolder, said: Resolved | None, joining: Joining, command: Sequence[str]
) -> int:
    """Be the mesh as well."""
    from composemesh import app
    from composemesh.cli.logs import log_to
    from composemesh.cli.plugins_here import plugins_here
    from composemesh.cli.serving import serve
    from composemesh.cli.starting import Start
    from composemesh.model.snapshot import CaptureMode
    from composemesh.runtime.files import private
    from composemesh.stack.alone import resolve_alone
    from composemesh.stack.configuration import good_configuration

    plugins = None
    files = project.files or compose_files(os.environ, project.project_directory or Path.cwd())
    if files and said is not None:
        raise CallError(f"There is a Compose file here ({files[0]}): say it in its x-mesh, under `discovery`.")
    project = replace(project, files=files)

    async def resolve() -> Resolved:
        return said if said is not None else await resolve_alone(project)

    if files or said is not None:
        plugins = await plugins_here()
        await good_configuration(project, await resolve(), plugins)
    folder.prepare()
    log_to(open(folder.log, "a", encoding="utf-8", opener=private, buffering=1))  # noqa: SIM115, ASYNC230
    code = 1

    async def view(mesh: MeshView) -> None:
        nonlocal code
        print(f"composemesh: a mesh of its own serves: {mesh.admin_url}", file=sys.stderr, flush=True)
        code = await _joined(folder, joining, command)

    start = Start(
        project,
        folder,
        docker="",
        capture=CaptureMode.LOOPBACK,
        resolve=resolve if files or said is not None else None,
        plugins=plugins,
    )
    await serve(start, view=view, run=partial(app.run, sources=()))
    return code
