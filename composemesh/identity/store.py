"""The authority on disk: one file, 0600, made once, and whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from datetime import datetime
from pathlib import Path

from composemesh.identity.ca import Authority

FILE = "ca.pem"
"""In the project's state folder: the root's key, then its certificate."""


class Unusable(Exception):
    """There is an authority and it must not be used. The message is one line that says what to do."""


def load_or_create(folder: Path, project: str, now: datetime) -> Authority:
    """The project's authority; a new one where there is none yet, or where the old one has ended.

    Raises Unusable where others may read the key, where the file makes no sense, and where the disk refuses.
    """
    path = folder / FILE
    try:
        authority = _load(path)
        if authority is not None and authority.not_after > now:
            return authority
        if authority is not None:
            path.unlink(missing_ok=True)
        made = Authority.new(project, now)
        if _create(path, made.dump()):
            return made
        authority = _load(path)  # another command of this project was faster: its authority is the one
    except OSError as problem:
        raise Unusable(f"The mesh's authority {path} cannot be read or made ({problem.strerror}).") from None
    if authority is None:
        raise Unusable(f"The mesh's authority {path} comes and goes: run one command at a time.")
    return authority


def _load(path: Path) -> Authority | None:
    """Out of an open file: what is checked is what is read, whatever happens to the name meanwhile."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        if found.st_uid != os.geteuid():
            raise Unusable(f"The mesh's authority {path} belongs to another user: remove it, and a new one is made.")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise Unusable(
                f"Others may read the key of the mesh's authority {path}: `chmod 600` it if nobody has, or remove "
                "it, and a new one is made."
            )
        pem = file.read()
    try:
        return Authority.load(pem)
    except ValueError as problem:
        raise Unusable(
            f"{path} is not the key and certificate of an authority ({problem}): remove it, and a new one is made."
        ) from None


def _create(path: Path, content: bytes) -> bool:
    """Write a file that nobody but its owner ever could read, under its name only once it is on the disk.

    Returns false where somebody else made it meanwhile. Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(fd, "wb") as file:
            os.fchmod(fd, 0o600)
            file.write(content)
            file.flush()
            os.fsync(fd)
        os.link(draft, path)  # unlike a rename, this never takes the place of another
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True
