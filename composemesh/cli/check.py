"""`composemesh check`: can this host run the mesh, and if not, what to do."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_project
from composemesh.cli.output import emit, format_option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from composemesh.stack.check import Finding
    from composemesh.stack.compose import ComposeProject

MARKS = {"ok": ("✔", "green"), "note": ("!", "yellow"), "failed": ("✖", "red"), "skipped": ("-", "dim")}


@click.command()
@format_option
@about_project
@click.pass_context
def check(context: click.Context, project: ComposeProject, form: str) -> None:
    """Check that this host can run the mesh, and the Compose file here. Exits 1 where something fails."""
    from composemesh.cli.logs import run
    from composemesh.cli.plugins_here import plugins_here
    from composemesh.stack.check import Verdict, check_host

    async def look() -> list[Finding]:
        return await check_host(project, os.environ, await plugins_here())

    findings = run(look)
    emit(form, [asdict(finding) for finding in findings], lambda: _lines(findings))
    if any(finding.verdict is Verdict.FAILED for finding in findings):
        context.exit(1)


def _lines(findings: list[Finding]) -> RenderableType:
    from rich.text import Text

    from composemesh.cli.pieces import safe

    text = Text()
    for finding in findings:
        mark, style = MARKS[finding.verdict]
        text.append(f"{mark} ", style).append(safe(f"{finding.name}: {finding.message}"))
        if finding.hint:
            text.append(safe(f" — {finding.hint}", "" if finding.verdict == "failed" else "dim"))
        text.append("\n")
    text.rstrip()
    return text
