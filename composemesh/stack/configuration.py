"""What the Compose files say to the mesh, read once before anything is started: a bad file stops `up` at its line."""

from __future__ import annotations

import trio

from composemesh.config.compile import compile_mesh
from composemesh.config.extended import Plugins, read_extended
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.loaders.sources import read_sources
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import Snapshot
from composemesh.stack.compose import ComposeProject
from composemesh.stack.errors import UserError


async def read_configuration(
    project: str, resolved: Resolved, plugins: Plugins | None = None
) -> tuple[Snapshot, tuple[Problem, ...]]:
    """The mesh as the files configure it, and what is wrong with them. Never raises for what users write.

    `plugins` are there, and load what the files name.
    """
    sources = await trio.to_thread.run_sync(read_sources, resolved.files)
    written = await read_extended(resolved, sources, plugins)
    snapshot, problems = compile_mesh(project, written.document, (), written.resources)
    return snapshot, (*problems, *written.problems)


async def good_configuration(project: ComposeProject, resolved: Resolved, plugins: Plugins | None = None) -> Snapshot:
    """The mesh as the files configure it. Raises UserError with the first error, and how many more there are."""
    snapshot, problems = await read_configuration(project.name, resolved, plugins)
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    if errors:
        more = f" ({len(errors) - 1} more: `composemesh check` lists them.)" if errors[1:] else ""
        raise UserError(f"{errors[0]}{more}")
    return snapshot
