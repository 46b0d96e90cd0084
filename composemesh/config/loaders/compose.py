"""The Compose project as Compose resolves it: `x-mesh` of the top level and of each service, labels in either form.

What counts is what `docker compose config` prints, so that several files, `extends`, `include`, profiles and `.env`
mean what they mean to Compose. Where it was written is looked up in the files themselves (`sources`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from composemesh.catalog import Catalogs
from composemesh.config.loaders.labels import label_of, mesh_labels, read_labels
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.loaders.said import Locate, Place, Settings, problems_of, settings_of
from composemesh.config.loaders.sources import Sources
from composemesh.config.schema import MESH, SERVICE, Reading, Shape, read
from composemesh.config.yaml import KeyPath, parse
from composemesh.model.problem import Problem, Severity, quotable
from composemesh.model.snapshot import version_by_name


@dataclass(frozen=True, slots=True)
class Block:
    """One `x-mesh` as somebody wrote it: what people are shown of it."""

    service: str
    """The Compose service; empty for the mesh's own."""
    value: Any
    place: Place


@dataclass(frozen=True, slots=True)
class ComposeDocument:
    """What the Compose files say to the mesh, and what is wrong with it."""

    mesh: Settings = field(default_factory=dict)
    blocks: Mapping[str, Settings] = field(default_factory=dict)
    """`x-mesh` of a service, by Compose service."""
    labels: Mapping[str, Settings] = field(default_factory=dict)
    """Labels written in the Compose files, by Compose service."""
    label_names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Their names, by Compose service: a container's copies of them are not read again."""
    services: frozenset[str] = frozenset()
    """Every name by which a service of the project can be called: its own, and its aliases on networks."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Mesh services of the Compose services that are a version of one by name and alias, as `reviews-v2` may be."""
    written: tuple[Block, ...] = ()
    problems: tuple[Problem, ...] = ()


def load_compose(resolved: Resolved, sources: Sources, catalogs: Catalogs | None = None) -> ComposeDocument:
    """Read the resolved project. Never raises: what is wrong is among the document's problems.

    `catalogs`: what can be named in it.
    """
    parsed = parse(resolved.text)
    if parsed.problems:
        problem = parsed.problems[0]
        place = sources.find(())
        message = f"The resolved Compose project cannot be read: {problem.message}"
        return ComposeDocument(problems=(Problem(Severity.ERROR, problem.code, message, problem.hint, place.file),))
    project = _plain(parsed.documents[0].value) if parsed.documents else None
    folder = resolved.files[0].parent if resolved.files else None
    return _Loader(sources, catalogs, folder).load(project if isinstance(project, dict) else {})


def _plain(value: Any) -> Any:
    """Undo what `config` does so that its output can be read by Compose again: `$` is printed as `$$`."""
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


class _Loader:
    """One pass over a resolved project."""

    def __init__(self, sources: Sources, catalogs: Catalogs | None, folder: Path | None) -> None:
        self._sources = sources
        self._catalogs = catalogs
        self._folder = folder
        self._problems: list[Problem] = []

    def load(self, project: Mapping[str, Any]) -> ComposeDocument:
        mesh = self._block(MESH, project.get("x-mesh"), "mesh", "x-mesh", ("x-mesh",))
        blocks, labels, names = {}, {}, {}
        services = project.get("services")
        services = services if isinstance(services, dict) else {}
        for name, service in services.items():
            if not isinstance(service, dict):
                continue
            resource = f"service {quotable(name)}"
            if "x-mesh" in service:
                path = ("services", name, "x-mesh")
                blocks[name] = self._block(SERVICE, service["x-mesh"], resource, f"x-mesh of {resource}", path)
            if written := self._written_labels(name, service.get("labels")):
                labels[name], names[name] = self._labels(name, written, resource), frozenset(written)
        aliases = {name: frozenset(_aliases(service)) for name, service in services.items()}
        called = frozenset({*aliases, *(alias for each in aliases.values() for alias in each)})
        versions = {name: of[0] for name, each in aliases.items() if (of := version_by_name(name, each)) is not None}
        shown = tuple(self._shown(project, services))
        return ComposeDocument(mesh, blocks, labels, names, called, versions, shown, tuple(self._problems))

    def _shown(self, project: Mapping[str, Any], services: Mapping[str, Any]) -> Iterator[Block]:
        if "x-mesh" in project:
            yield Block("", project["x-mesh"], self._sources.find(("x-mesh",)))
        for name, service in services.items():
            if isinstance(service, dict) and "x-mesh" in service:
                yield Block(name, service["x-mesh"], self._sources.find(("services", name, "x-mesh")))

    def _block(self, shape: Shape, value: Any, resource: str, subject: str, at: KeyPath) -> Settings:
        def locate(path: KeyPath) -> Place:
            # `meshed` is the block itself: `x-mesh: false`.
            return self._sources.find(at if path == ("meshed",) else (*at, *path))

        return self._keep(read(shape, value, self._catalogs, self._folder), resource, subject, locate)

    def _labels(self, name: str, written: Mapping[str, Any], resource: str) -> Settings:
        def locate(path: KeyPath) -> Place:
            return self._sources.find_label(name, label_of(path, written))[0]

        return self._keep(
            read_labels(written, self._catalogs, self._folder), resource, f"labels of {resource}", locate
        )

    def _keep(self, reading: Reading, resource: str, subject: str, locate: Locate) -> Settings:
        self._problems += problems_of(reading.findings, subject, resource, locate)
        return settings_of(reading, subject, locate)

    def _written_labels(self, name: str, labels: Any) -> dict[str, Any]:
        """The labels that speak to the mesh: what Compose printed, but for numbers that it printed differently."""
        written: dict[str, Any] = {**mesh_labels(_texts(labels))}
        for label in written:
            # An unquoted 1.10 has become 1.1 on the way. The file still knows that it was a number.
            raw = self._sources.find_label(name, label)[1]
            if isinstance(raw, float):
                written[label] = raw
        return written


def _aliases(service: Any) -> Iterator[str]:
    networks = service.get("networks") if isinstance(service, dict) else None
    for network in networks.values() if isinstance(networks, dict) else ():
        aliases = network.get("aliases") if isinstance(network, dict) else None
        yield from map(str, aliases if isinstance(aliases, list) else ())


def _texts(labels: Any) -> dict[str, str]:
    """Labels of either form; Compose prints the mapping form whatever was written."""
    if isinstance(labels, list):
        labels = dict(item.partition("=")[::2] for item in labels if isinstance(item, str))
    return {name: text for name, text in labels.items() if isinstance(text, str)} if isinstance(labels, dict) else {}


# === what Compose itself refuses ===

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_NOISE = re.compile(r'time=".*" level=(?:warning|info|debug) ')
_PATH = re.compile(r"\b(?:services|x-mesh)(?:\.[\w-]+)*")
_SERVICE = re.compile(r'\bservice "([\w.-]+)"')
_DETAIL = re.compile(r"non-string key in \S+: (\S+)|additional properties '([\w.-]+)'")
_SYNTAX = re.compile(r"yaml|pars|already defined", re.IGNORECASE)
MAX_MESSAGE = 500


def explain(error: str, sources: Sources) -> Problem:
    """The Problem of a project that Compose refuses: its own message on one line, and the best place to look at."""
    lines = [_ESCAPES.sub("", line).strip() for line in error.splitlines()]
    message = " ".join(line for line in lines if line and not _NOISE.match(line))[:MAX_MESSAGE]
    place = _blamed(message, sources)
    hint = "Put the key in quotes: to Compose, a key is text." if "non-string key" in message else ""
    message = f"{message.rstrip('.') or 'Docker Compose gave no answer and no reason'}."
    return Problem(Severity.ERROR, "compose-refused", message, hint, place.file, place.line, place.column)


def _blamed(message: str, sources: Sources) -> Place:
    """Where Compose's complaint points to: its own line numbers count from odd places, so the files are asked."""
    if _SYNTAX.search(message):
        for problem in sources.problems:
            return Place(problem.file, problem.line, problem.column)
    if named := _PATH.search(message):
        detail = _DETAIL.search(message)
        return sources.find(
            (*named[0].split("."), *(group for group in (detail.groups() if detail else ()) if group))
        )
    if service := _SERVICE.search(message):
        return sources.find(("services", service[1]))
    return sources.find(())
