"""Everything that files say to the mesh at one moment: the Compose project, and the Istio documents that it names."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from composemesh.catalog import Catalogs
from composemesh.config.kinds import KINDS, Kinds
from composemesh.config.loaders.compose import ComposeDocument, load_compose
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.loaders.said import Place
from composemesh.config.loaders.sources import Sources
from composemesh.config.resources import Resource, ResourceKey, load_documents
from composemesh.model.problem import Problem, Severity

SUFFIXES = (".yaml", ".yml", ".json")
"""What is read of a folder."""
MAX_BYTES = 50 << 20
"""Of one file."""
SILENT = ComposeDocument()


@dataclass(frozen=True, slots=True)
class Written:
    """One edit: it is taken whole, or not at all."""

    document: ComposeDocument = SILENT
    resources: tuple[Resource, ...] = ()
    problems: tuple[Problem, ...] = ()
    """Of the resource files; those of the Compose project are the document's."""
    watched: tuple[Path, ...] = ()
    """Resource files, and the folders in which others may appear."""


NOTHING = Written()


def read_written(
    resolved: Resolved, sources: Sources, catalogs: Catalogs | None = None, kinds: Kinds = KINDS
) -> Written:
    """Read it all. Blocks; never raises for what users write.

    `catalogs`: what can be named in it; `kinds`: what documents may be of.
    """
    document = load_compose(resolved, sources, catalogs)
    said = document.mesh.get(("resources",))
    if said is None or not resolved.files:
        return Written(document)
    base = resolved.files[0].parent
    watched: list[Path] = []
    resources: list[Resource] = []
    problems: list[Problem] = []
    for pattern in said.value:
        files = tuple(matching(base / pattern))
        watched += [*files, *folders(base / pattern)]
        if not files:
            message = f"{said.subject}: no file matches `resources: {pattern}`."
            place = said.place
            problems.append(
                Problem(Severity.WARNING, "no-file", message, "", place.file, place.line, place.column, "mesh")
            )
        found, wrong = load_files(files, kinds)
        resources += found
        problems += wrong
    problems += _duplicates(resources)
    return Written(document, tuple(resources), tuple(problems), tuple(dict.fromkeys(watched)))


def plugins_of(written: Written, resolved: Resolved) -> list[tuple[Path, Place]]:
    """The plugin files that a Compose project names, and where it does."""
    if not resolved.files:
        return []
    base = resolved.files[0].parent
    entries = [said for path, said in written.document.mesh.items() if path[0] == "plugins"]
    return [(Path(os.path.normpath(base / said.value)), said.place) for said in entries if "\0" not in said.value]


def _duplicates(resources: Iterable[Resource]) -> Iterator[Problem]:
    """Two files that configure the same thing: neither may win by chance."""
    first: dict[ResourceKey, Resource] = {}
    for resource in resources:
        other = first.setdefault(resource.key, resource)
        if other is not resource and other.origin.file != resource.origin.file:
            message = f"{resource.key!s} stands in {other.origin.file}:{other.origin.line} already."
            hint = "Keep one of the two, or give them different names."
            place = resource.origin
            yield Problem(
                Severity.ERROR, "duplicate-name", message, hint, place.file, place.line, 0, str(resource.key)
            )


def load_files(files: Sequence[Path], kinds: Kinds = KINDS) -> tuple[list[Resource], list[Problem]]:
    """The resources of some files, and what is wrong with them. Blocks; never raises."""
    resources: list[Resource] = []
    problems: list[Problem] = []
    for file in files:
        try:
            if file.stat().st_size > MAX_BYTES:
                raise OSError(0, f"is larger than {MAX_BYTES >> 20} MiB")
            text = file.read_bytes()
        except OSError as problem:
            message = f"{file}: {problem.strerror}."
            problems.append(Problem(Severity.ERROR, "unreadable", message, "", str(file)))
            continue
        found, wrong = load_documents(text, str(file), kinds=kinds)
        resources += found
        problems += wrong
    return resources, problems


def matching(pattern: Path) -> Iterator[Path]:
    """The files that a name, a folder or a pattern with `*` means, in order."""
    if pattern.is_dir():
        yield from sorted(file for file in pattern.iterdir() if file.suffix in SUFFIXES)
        return
    yield from (Path(name) for name in sorted(glob.glob(str(pattern), recursive=True)) if not Path(name).is_dir())


def folders(pattern: Path) -> Iterator[Path]:
    """The folders whose change may mean another file: all that the pattern reaches, there or not yet."""
    if pattern.is_dir():
        yield pattern
        return
    found = [Path(name) for name in sorted(glob.glob(str(pattern.parent), recursive=True))]
    # Where none is there yet, the nearest one above changes when one is made.
    yield from found or [above for above in pattern.parents if above.is_dir()][:1]
