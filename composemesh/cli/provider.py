"""`composemesh compose`: Docker Compose's provider protocol. Compose calls it, not people."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from composemesh.cli.context import state_folders
from composemesh.cli.guard import answer_to
from composemesh.stack.provider import OPTIONS, metadata, say
from composemesh.stack.state import StateFolder

if TYPE_CHECKING:
    from composemesh.cli.starting import Start


class Provider(click.Group):
    """Says whatever goes wrong in Compose's own words: it ends its command there, and prints nothing else of ours."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, BrokenPipeError):
            raise
        except BaseException as problem:
            code, message = answer_to(problem)
            say("error", message or "interrupted", sys.stdout)
            ctx.exit(code)


@click.group(cls=Provider, hidden=True)
@click.option("--project-name", default="")
def compose(project_name: str) -> None:
    """Speak with Docker Compose, one JSON object a line."""


@compose.command("metadata")
def metadata_() -> None:
    """What Compose may pass on."""
    print(json.dumps(metadata()))


@compose.command()
@click.argument("service", nargs=-1)
@click.option("--capture", type=click.Choice(OPTIONS["capture"][1].split(",")))
@click.option("--admin", default="")
@click.pass_context
def up(context: click.Context, service: Sequence[str], capture: str | None, admin: str) -> None:
    """Start the mesh of the project in the background, or find it there, and say where its admin API is."""
    from composemesh.cli.logs import run
    from composemesh.cli.starting import make_start, require_privilege
    from composemesh.stack.compose import ComposeProject

    async def start() -> Start:
        require_privilege(capture or "")
        return await make_start(ComposeProject(_project(context)), capture=capture or "", admin=admin)

    say("setenv", f"URL={run(start).admin_url()}", sys.stdout)


def _stop(context: click.Context, service: Sequence[str]) -> None:
    """Stop the mesh of the project, and only that: Compose removes or stops the containers itself."""
    from composemesh.cli.down import end_mesh

    end_mesh(StateFolder(state_folders(), _project(context)), keep_stack=True)


for _name in ("down", "stop"):
    compose.command(_name)(click.argument("service", nargs=-1)(click.pass_context(_stop)))


def _project(context: click.Context) -> str:
    assert context.parent is not None
    return str(context.parent.params["project_name"] or "")
