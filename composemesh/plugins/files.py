"""A plugin that is one file: read once, checked, and run."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import BinaryIO
from zlib import crc32

from composemesh.plugins.loading import Unloadable

MAX_BYTES = 1 << 20
"""Of the file."""


def module_of(path: Path, named_in: str = "") -> ModuleType:
    """The module that a file is. Blocks. Raises Unloadable, and whatever its code raises.

    What is checked is what is run: the file is opened once. Whose Compose file is obeyed is trusted with the host
    anyway, as any container that mounts its root shows; so the plugin may be that user's, too.
    """
    trusted = {0, os.geteuid()}
    with suppress(OSError):
        trusted.add(os.stat(named_in).st_uid)
    try:
        with open(path, "rb", opener=_at_once) as file:
            source = _checked(path, file, trusted)
    except OSError as problem:
        hint = "Write its path relative to the first Compose file."
        raise Unloadable("plugin-unreadable", f"can't be read: {problem.strerror}", hint) from None
    module = ModuleType(f"composemesh_plugin_{path.stem}_{crc32(str(path).encode()):x}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and annotations look there for names
    try:
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        sys.modules.pop(module.__name__, None)
        raise
    return module


def _at_once(path: str, flags: int) -> int:
    """Opens files, and also pipes without waiting for their other end."""
    return os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)


def _checked(path: Path, file: BinaryIO, trusted: Collection[int]) -> bytes:
    """What stands in an open file. Raises Unloadable and OSError."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise Unloadable("plugin-unreadable", "is no file", "Name a file of Python.")
    check_writers(path, status, trusted)
    for folder in path.resolve().parents:
        check_writers(folder, folder.stat(), trusted)
    if status.st_size > MAX_BYTES:
        hint = "Make a distribution of it, which has several."
        raise Unloadable("plugin-unreadable", f"is larger than {MAX_BYTES >> 20} MiB", hint)
    return file.read(MAX_BYTES)


def check_writers(path: Path, status: os.stat_result, trusted: Collection[int]) -> None:
    """Raises Unloadable where anybody else may write a file, or put another in its place: it would be their code.

    In a folder with the sticky bit, as /tmp has it, nobody can replace another's file.
    """
    folder = stat.S_ISDIR(status.st_mode)
    what = f"its folder {path}" if folder else "it"
    if status.st_uid not in trusted:
        why = f"is not loaded, because {what} belongs to another user (uid {status.st_uid})"
        raise Unloadable("plugin-writable", why, "Let it belong to root, or to whoever runs the mesh.")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not (folder and status.st_mode & stat.S_ISVTX):
        why = f"is not loaded, because others may write {what} (mode {stat.S_IMODE(status.st_mode):o})"
        raise Unloadable("plugin-writable", why, f"Run chmod go-w {path}.")
