"""The Compose files as they were written: where a setting of the resolved project stands, for people to go and look.

Compose merges files, follows `include` and `extends`, and prints one document without a trace of where things were.
Here the same files are read again, only for their line numbers: nothing that is found or missed changes a setting.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from composemesh.config.loaders.resolved import OVERRIDES
from composemesh.config.loaders.said import Place
from composemesh.config.yaml import MAX_BYTES, Document, KeyPath, Parsed, parse
from composemesh.model.problem import Problem

MAX_FILES = 64
_BESIDE = (".env", *OVERRIDES)
"""Files that Compose reads without being told, when they appear beside a Compose file."""


class Sources:
    """Compose files by name: those that were named, then those that they lead to."""

    def __init__(self, parsed: Mapping[Path, Parsed], watched: Iterable[Path] = (), main: Path | None = None) -> None:
        self.parsed = parsed
        self.main = str(main or next(iter(parsed), ""))
        """The file to look into when nothing better is known."""
        self.watched = tuple(dict.fromkeys(watched))
        """Every file that Compose's answer may depend on, there or not."""

    def __repr__(self) -> str:
        return f"<Sources {', '.join(map(str, self.parsed))}>"

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What keeps Compose, too, from reading a file; our limits are tighter than its own, and not meant here."""
        found = (problem for parsed in self.parsed.values() for problem in parsed.problems)
        return tuple(problem for problem in found if problem.code in ("invalid-yaml", "duplicate-key"))

    def find(self, path: KeyPath) -> Place:
        """Where the path stands (the last file wins), or its nearest ancestor, or the main file without a line."""
        best, depth = Place(self.main), 0
        for file, document, inner in self._candidates(path):
            for length in range(len(inner), depth, -1):
                mark = document.place(inner[:length])
                if mark is not None:
                    best, depth = Place(str(file), *mark), length
                    break
            if depth == len(path):
                break
        return best

    def find_label(self, service: str, name: str) -> tuple[Place, Any]:
        """Where a service's label stands, and its value as written (None where it was not found)."""
        for file, document, inner in self._candidates(("services", service, "labels")):
            labels = _get(document.value, inner)
            if isinstance(labels, dict) and name in labels:
                return _place(file, document, (*inner, name)), labels[name]
            for index, item in enumerate(labels if isinstance(labels, list) else ()):
                if isinstance(item, str) and item.partition("=")[0] == name:
                    return _place(file, document, (*inner, index)), item.partition("=")[2]
        return self.find(("services", service, "labels")), None

    def _candidates(self, path: KeyPath) -> Iterator[tuple[Path, Document, KeyPath]]:
        for file in reversed(tuple(self.parsed)):
            yield from self._from(file, path, set())

    def _from(
        self, file: Path, path: KeyPath, seen: set[tuple[Path, str]]
    ) -> Iterator[tuple[Path, Document, KeyPath]]:
        """The path in one file, then where the service `extends` another."""
        documents = self.parsed[file].documents if file in self.parsed else ()
        for document in reversed(documents):
            yield file, document, path
        if len(path) < 2 or path[0] != "services" or (file, str(path[1])) in seen:
            return
        seen.add((file, str(path[1])))
        for document in reversed(documents):
            target = _extended(file, _get(document.value, (*path[:2], "extends")))
            if target is not None:
                yield from self._from(target[0], ("services", target[1], *path[2:]), seen)


def read_sources(files: Iterable[Path]) -> Sources:
    """Read the Compose files and what they include or extend. Blocks. What cannot be read is left to Compose."""
    named = list(dict.fromkeys(files))
    parsed: dict[Path, Parsed] = {}
    watched: list[Path] = []
    led_to: set[Path] = set()
    waiting = list(named)
    while waiting and len(parsed) < MAX_FILES:
        file = waiting.pop(0)
        if file in parsed:
            continue
        watched += [file, *(file.parent / name for name in _BESIDE)]
        content = _content(file)
        if content is None:
            continue
        parsed[file] = parse(content, str(file))
        for document in parsed[file].documents:
            others = _references(file, document.value)
            led_to.update(others)
            waiting += others
            watched += _environment_files(file, document.value)
    # `find` looks from the last to the first, and the files that the user named are to win over what they lead to.
    order = sorted(parsed, key=lambda file: file not in led_to)
    return Sources({file: parsed[file] for file in order}, watched, named[0] if named else None)


def _content(file: Path) -> bytes | None:
    try:
        if file.suffix == ".env" or file.name.startswith(".env") or not file.is_file():
            return None  # variables are not YAML, and a pipe would block
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError:
        return None


def _references(file: Path, value: Any) -> list[Path]:
    """The local files that a Compose file includes or extends, as far as they are named without variables."""
    names: list[Any] = []
    for entry in _items(_get(value, ("include",))):
        names += _items(entry.get("path")) if isinstance(entry, dict) else [entry]
    services = _get(value, ("services",))
    for service in services.values() if isinstance(services, dict) else ():
        names.append(_get(service, ("extends", "file")))
    return [_beside(file, name) for name in names if _local(name)]


def _environment_files(file: Path, value: Any) -> list[Path]:
    entries = [entry for entry in _items(_get(value, ("include",))) if isinstance(entry, dict)]
    return [_beside(file, name) for entry in entries for name in _items(entry.get("env_file")) if _local(name)]


def _extended(file: Path, extends: Any) -> tuple[Path, str] | None:
    if isinstance(extends, str):
        return file, extends
    service, other = _get(extends, ("service",)), _get(extends, ("file",))
    if not isinstance(service, str):
        return None
    return (_beside(file, other) if _local(other) else file), service


def _local(name: Any) -> bool:
    return isinstance(name, str) and bool(name) and "$" not in name and "://" not in name and "\0" not in name


def _beside(file: Path, name: str) -> Path:
    return Path(os.path.normpath(file.parent / name))


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _get(value: Any, path: KeyPath) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _place(file: Path, document: Document, path: KeyPath) -> Place:
    return Place(str(file), *(document.place(path) or (0, 0)))
