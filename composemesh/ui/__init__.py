"""The page of the admin port: its sources in src/ (TypeScript), what the build made of them in static/.

The package holds files alone, and one function that reads them; admin.page serves them.
"""

from __future__ import annotations

from importlib.resources import files


def read(name: str) -> bytes | None:
    """What the build made under this name, e.g. `index.html` or `assets/index-1a2b.js`; None where there is none.

    `name` must be a relative path without `..`.
    """
    file = files(__name__).joinpath("static", *name.split("/"))
    try:
        return file.read_bytes()
    except OSError:  # a folder, a name that is too long, …
        return None
