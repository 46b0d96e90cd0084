"""The token that a change over TCP must show: made once for a project, and readable by the mesh's owner alone."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from composemesh.runtime.files import private, replace

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def token_in(folder: Path) -> str:
    """What the file `token` of the state folder says; a new one where there is none, or none to trust.

    Raises OSError where the folder cannot be written to.
    """
    path = folder / "token"
    try:
        with open(path, encoding="ascii", opener=private) as file:
            mode, token = os.fstat(file.fileno()).st_mode, file.read(100).strip()
        if mode & 0o077 == 0 and _TOKEN.fullmatch(token):
            return token
    except (OSError, UnicodeDecodeError):
        pass
    token = secrets.token_urlsafe(32)
    replace(path, token + "\n")
    return token
