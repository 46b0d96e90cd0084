"""The token that a change over TCP must show: made once for a project, and readable by the mesh's owner alone."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def token_in(folder: Path) -> str:
    """What the file `token` of the state folder says; a new one where there is none, or none to trust.

    Raises OSError where the folder cannot be written to.
    """
    path = folder / "token"
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), encoding="ascii") as file:
            mode, token = os.fstat(file.fileno()).st_mode, file.read(100).strip()
        if mode & 0o077 == 0 and _TOKEN.fullmatch(token):
            return token
    except (OSError, UnicodeDecodeError):
        pass
    token = secrets.token_urlsafe(32)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(token + "\n")
    return token
