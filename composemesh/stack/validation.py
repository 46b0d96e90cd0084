"""Documents looked at without a mesh: everything wrong with them that can be told before they are applied.

Compose files are resolved by Compose itself where it is there (its engine need not be), else taken as written.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import trio

from composemesh.config.analysis import analyse
from composemesh.config.compile import compile_mesh
from composemesh.config.extended import Plugins, read_extended
from composemesh.config.kinds import KINDS, Kinds
from composemesh.config.loaders.compose import ComposeDocument, explain
from composemesh.config.loaders.resolved import Resolved, Unresolved
from composemesh.config.loaders.sources import Sources, read_sources
from composemesh.config.resources import Resource, ResourceKey, compile_resources, load_documents
from composemesh.config.written import Written
from composemesh.config.yaml import parse
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import Snapshot
from composemesh.stack.compose import ComposeProject, project_name
from composemesh.stack.errors import CallError, UserError


class Given(NamedTuple):
    """One text that is to be looked at."""

    name: str
    """Its path; `standard input` for what has none."""
    text: bytes


async def validate(
    given: Sequence[Given], project: ComposeProject, plugins: Plugins | None = None
) -> tuple[Problem, ...]:
    """Everything wrong with some files, by file and line. Raises UserError only where Compose itself fails."""
    composes = [one for one in given if is_compose(one.text)]
    problems: list[Problem] = []
    name, written = project.name, Written()
    kinds = KINDS if plugins is None else Kinds(plugins.catalogs.kinds)
    files = (*project.files, *(Path(one.name) for one in composes))
    if files:
        try:
            name, written = await _written(replace(project, files=files), composes, plugins, kinds)
        except Unresolved as refused:
            sources = await trio.to_thread.run_sync(read_sources, files)
            problems.append(explain(str(refused), sources))
    resources: list[Resource] = []
    for one in given:
        if one not in composes:
            found, wrong = load_documents(one.text, one.name, kinds=kinds)
            resources += found
            problems += wrong
    named, others = _besides(written, given)
    problems += (*others, *_together(name, written.document, (*named, *resources), known=bool(files)))
    return tuple(sorted(dict.fromkeys(problems), key=lambda each: (each.file, each.line, each.column)))


def is_compose(text: bytes) -> bool:
    """Whether a text is a Compose file: a mapping with services that names no kind."""
    documents = parse(text).documents
    value = documents[0].value if documents else None
    return isinstance(value, dict) and "kind" not in value and isinstance(value.get("services"), dict)


async def _written(
    project: ComposeProject, composes: Sequence[Given], plugins: Plugins | None, kinds: Kinds
) -> tuple[str, Written]:
    """What Compose files say, and the name of their project. Raises Unresolved."""
    if all([await trio.Path(path).is_file() for path in project.files]):
        sources = await trio.to_thread.run_sync(read_sources, project.files)
        try:
            resolved = await project.resolve()
        except Unresolved:
            raise
        except UserError:  # Compose is not here
            text = await trio.Path(project.files[0]).read_text(encoding="utf-8", errors="replace")
            resolved = Resolved(text, project.files)
            name = project.name
        else:
            name = project.name or project_name(resolved)
        return name, await read_extended(resolved, sources, plugins, kinds)
    if not composes:
        raise CallError(f"There is no file {project.files[0]}.")
    path, text = Path(composes[0].name), composes[0].text.decode("utf-8", "replace")
    sources = Sources({path: parse(text, str(path))})
    return project.name, await read_extended(Resolved(text, (path,)), sources, plugins, kinds)


def _besides(written: Written, given: Iterable[Given]) -> tuple[list[Resource], list[Problem]]:
    """What a Compose file names under `resources`, but for files that are looked at anyway."""
    already = {os.path.abspath(one.name) for one in given}
    return (
        [each for each in written.resources if os.path.abspath(each.origin.file) not in already],
        [each for each in written.problems if os.path.abspath(each.file) not in already],
    )


def _together(
    project: str, document: ComposeDocument, resources: Iterable[Resource], *, known: bool
) -> Iterator[Problem]:
    """What is wrong with each document, and with all of them together; of two with one name the last one counts."""
    last: dict[ResourceKey, Resource] = {}
    for resource in resources:
        first = last.pop(resource.key, None)
        last[resource.key] = resource
        if first is not None:
            yield from compile_resources((first,), project, document.services).problems
            yield _again(first, resource)
    snapshot, problems = compile_mesh(project, document, (), last.values())
    yield from problems
    yield from analyse(snapshot, _services(snapshot, document.services) if known else None)


def _again(first: Resource, second: Resource) -> Problem:
    message = f"{second.key} stands in {first.origin.file}:{first.origin.line} already; the one applied last counts."
    hint = "Keep one of the two, or give them different names."
    place = second.origin
    return Problem(Severity.WARNING, "duplicate-name", message, hint, place.file, place.line, 1, str(second.key))


def _services(snapshot: Snapshot, names: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Every name by which a service can be called, with the ports that were declared."""
    services: dict[str, tuple[int, ...]] = dict.fromkeys(names, ())
    for name, settings in snapshot.services.items():
        ports = tuple(settings.ports)
        services.setdefault(name, ports)
        services[settings.service or name] = tuple(sorted({*services.get(settings.service or name, ()), *ports}))
    return services
