"""Which files Docker Compose reads. It prints what they come to, and not where it found them.

The rules are compose-go's (cli/options.go): `-f`, else COMPOSE_FILE, else the first default name in the folder or in
the nearest folder above it that has one, with the override file beside it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from composemesh.config.loaders.resolved import OVERRIDES

DEFAULTS = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")


def compose_files(environ: Mapping[str, str], folder: Path) -> tuple[Path, ...]:
    """The files of a project that nobody named with `-f`, absolute, in Compose's order; empty where there is none.

    `environ` is Compose's own view of the environment, which the `.env` file is part of. `folder` is the project's.
    """
    if said := environ.get("COMPOSE_FILE"):
        names = said.split(environ.get("COMPOSE_PATH_SEPARATOR") or os.pathsep)
        return tuple(Path(os.path.abspath(name)) for name in names)
    for place in (folder.absolute(), *folder.absolute().parents):
        if found := _first(place, DEFAULTS):
            override = _first(place, OVERRIDES)
            return (found, override) if override else (found,)
    return ()


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    return next((path for name in names if (path := folder / name).is_file()), None)
