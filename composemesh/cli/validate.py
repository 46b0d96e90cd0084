"""`composemesh validate`: everything wrong with files, before anything is applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_project
from composemesh.cli.documents import contents
from composemesh.cli.output import emit, format_option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from composemesh.model.problem import Problem
    from composemesh.stack.compose import ComposeProject
    from composemesh.stack.validation import Given

STYLES = {"error": "red", "warning": "yellow", "info": "dim"}


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="FILE...")
@format_option
@about_project
@click.pass_context
def validate(context: click.Context, project: ComposeProject, names: tuple[str, ...], form: str) -> None:
    """Check files without a mesh: Istio documents, and x-mesh of Compose files. Exits 1 where there is an error.

    FILE is a file, a folder, or - for standard input. With a Compose file among them (or -f), hosts that no service
    stands for are warned of.
    """
    from composemesh.cli.logs import run
    from composemesh.stack.validation import Given

    given = [Given(name, text) for name, text in contents(names)]
    problems = run(_look, given, project)
    shown = [{**asdict(problem), "severity": problem.severity.value} for problem in problems]
    emit(form, {"problems": shown}, lambda: _lines(problems, len(given)), lines=True)
    if any(problem.severity == "error" for problem in problems):
        context.exit(1)


async def _look(given: Sequence[Given], project: ComposeProject) -> Sequence[Problem]:
    """What is wrong, plugins included: those that are installed, and those that the files name."""
    from composemesh.cli.plugins_here import plugins_here
    from composemesh.stack.validation import validate

    plugins = await plugins_here()
    found = await validate(given, project, plugins)
    return (*found, *plugins.problems.value)


def _lines(problems: Sequence[Problem], files: int) -> RenderableType:
    from rich.text import Text

    from composemesh.cli.pieces import safe

    text = Text()
    for problem in problems:
        column = f":{problem.column}" if problem.column else ""
        place = f"{problem.file}:{problem.line}{column}: " if problem.line else f"{problem.file}: "
        text.append(safe(place if problem.file else ""))
        text.append(safe(problem.severity, STYLES[problem.severity]))
        text.append(safe(f": {problem.message}")).append(safe(f" {problem.hint}" if problem.hint else "", "bold"))
        text.append(safe(f" [{problem.code}]", "dim")).append("\n")
    return text.append(safe(f"{_counted(problems)} in {files} {'file' if files == 1 else 'files'}."))


def _counted(problems: Sequence[Problem]) -> str:
    counts = []
    for severity, word in (("error", "error"), ("warning", "warning"), ("info", "note")):
        number = sum(problem.severity == severity for problem in problems)
        if number:
            counts.append(f"{number} {word}{'s' if number > 1 else ''}")
    return ", ".join(counts) or "Nothing wrong"
