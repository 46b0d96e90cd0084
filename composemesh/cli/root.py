"""The command `composemesh` itself. It knows every other command's name and one line of help, and imports none."""

from __future__ import annotations

import importlib
from typing import Any

import click

from composemesh import __version__
from composemesh.cli.context import project_options

COMMANDS = {
    "up": ("composemesh.cli.up:up", "Start the project with Docker Compose, and mesh it."),
    "attach": ("composemesh.cli.attach:attach", "Mesh a stack that is already running."),
    "down": ("composemesh.cli.down:down", "Stop the mesh, and the project with it."),
    "ls": ("composemesh.cli.ls:ls", "List the meshes on this host."),
    "status": ("composemesh.cli.status:status", "Show services, versions, instances and their health."),
    "graph": ("composemesh.cli.graph:graph", "Show who calls whom."),
    "tap": ("composemesh.cli.tap:tap", "Show requests as they end."),
    "dashboard": (
        "composemesh.cli.dashboard:dashboard",
        "Open the mesh in a browser: graph, services, requests, config.",
    ),
    "apply": ("composemesh.cli.apply:apply", "Change the running mesh by Istio documents."),
    "delete": ("composemesh.cli.delete:delete", "Take out what was applied."),
    "undo": ("composemesh.cli.undo:undo", "Take the last apply or delete back."),
    "get": ("composemesh.cli.get:get", "Show the Istio documents in force."),
    "diff": ("composemesh.cli.diff:diff", "Show what applying documents would change."),
    "explain": ("composemesh.cli.explain:explain", "Say which rule and endpoint a request would meet, and why."),
    "split": ("composemesh.cli.split:split", "Divide a service's requests between its versions."),
    "export": ("composemesh.cli.export:export", "Write the mesh down for others: a bootstrap for Envoy."),
    "plugins": ("composemesh.cli.plugins:plugins", "List what plugins have brought along, and what fails."),
    "schema": ("composemesh.cli.schema:schema", "Print the JSON Schema of x-mesh, for editors."),
    "validate": ("composemesh.cli.validate:validate", "Check files without a mesh: Istio documents and x-mesh."),
    "check": ("composemesh.cli.check:check", "Can this host run the mesh, and if not, what to do."),
    "ca": ("composemesh.cli.ca:ca", "Print the mesh's root certificate, and how to trust it."),
    "run": ("composemesh.cli.run:run", "Run a command of this host as a workload of the mesh."),
    "demo": ("composemesh.cli.demo:demo", "Mesh a small bookstore, without Docker and without root."),
    "compose": ("composemesh.cli.provider:compose", ""),
    "mesh": ("composemesh.cli.mesh:mesh", ""),
}
"""Name → where it is, and its line in `--help`; without one it is for programs, and hidden."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, (_, text) in COMMANDS.items() if text]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items() if text])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as problem:
            raise click.UsageError(f"{problem.message.rstrip('.')}.{_nearest(args[0])}", ctx) from None


def _nearest(word: str) -> str:
    import difflib

    near = difflib.get_close_matches(word, [name for name, (_, text) in COMMANDS.items() if text], 1)
    return f" Did you mean `{near[0]}`?" if near else ""


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@project_options
@click.version_option(__version__, "-V", "--version", prog_name="composemesh", message="%(prog)s %(version)s")
@click.pass_context
def root(context: click.Context, /, **_: Any) -> None:
    """A service mesh for Docker Compose: one process, no sidecar containers, no change to images or applications.

    The options choose the Compose project, as `docker compose` takes them; without them it is the one here.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
