"""The state folder: one for each project, private, and the only thing that two commands share.

mesh.json    who serves this project: written by that mesh, gone when it ends well
lock         held (flock) by the mesh that serves; the kernel lets go of it however the mesh ends
admin.sock   the mesh's own admin API
mesh.log     what a mesh in the background says
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from composemesh import __version__
from composemesh.runtime import files
from composemesh.runtime.files import private
from composemesh.runtime.process import process_start, seconds_since
from composemesh.stack.errors import CallError, UserError

_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]*")


def state_root(environ: Mapping[str, str], uid: int) -> Path:
    """Where the state folders of this user stand; `COMPOSEMESH_STATE_DIR` overrides."""
    if said := environ.get("COMPOSEMESH_STATE_DIR"):
        return Path(said)
    if uid == 0:
        return Path("/var/lib/composemesh")
    home = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME", "/"), ".local", "state")
    return Path(home, "composemesh")


def process_identity(pid: int) -> str:
    """`<start in clock ticks>@<boot id>`: with the pid it names one process, also in a file that outlives the boot.

    Empty where no such process lives.
    """
    start = process_start(pid)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    return "" if start is None else f"{start}@{boot}"


APPLIED = "resources.yaml"
"""What was applied, in a project's folder: kept while no mesh runs."""
UNDONE = "undo.json"
"""What it takes to undo that."""


@dataclass(frozen=True, slots=True)
class MeshEntry:
    """`mesh.json`: one mesh process, as it describes itself."""

    project: str
    pid: int
    process: str
    """`process_identity` of `pid`."""
    started: str
    """ISO 8601, UTC."""
    version: str = __version__
    admin_url: str = ""
    """Empty while the mesh starts."""
    xds_url: str = ""
    """Empty where the configuration is served to nobody."""
    compose: Mapping[str, Any] = field(default_factory=dict)
    """How Compose was called: `files`, `project_directory`, `profiles`, `env_files`."""

    @classmethod
    def of_this_process(
        cls, project: str, compose: Mapping[str, Any], *, admin_url: str = "", xds_url: str = ""
    ) -> MeshEntry:
        started = datetime.fromtimestamp(time.time() - age(os.getpid()), UTC)
        return cls(
            project,
            os.getpid(),
            process_identity(os.getpid()),
            started.isoformat(timespec="seconds"),
            admin_url=admin_url,
            xds_url=xds_url,
            compose=compose,
        )

    def called_with(self, compose: Mapping[str, Any]) -> MeshEntry:
        """The same mesh, with what was learned of how Compose was called."""
        return replace(self, compose=compose)

    @property
    def alive(self) -> bool:
        return bool(self.process) and process_identity(self.pid) == self.process

    @property
    def state(self) -> str:
        """`serving`, `starting`, or `dead`: a mesh that was killed and could not clean up."""
        if not self.alive:
            return "dead"
        return "serving" if self.admin_url else "starting"


def age(pid: int) -> float:
    """Seconds since the process started; 0 where it does not live."""
    start = process_start(pid)
    return 0.0 if start is None else seconds_since(start)


class StateFolder:
    """The state of one project, for the mesh that serves it and for the commands that ask about it."""

    def __init__(self, root: Path, project: str) -> None:
        if not _PROJECT.fullmatch(project):
            raise CallError(
                f"{project!r} is no Compose project name: use lowercase letters, digits, dashes and underscores, "
                "beginning with a letter or digit."
            )
        self.project = project
        self.path = root / project
        self.socket = self.path / "admin.sock"
        self.log = self.path / "mesh.log"

    def __repr__(self) -> str:
        return f"<StateFolder {self.path}>"

    def prepare(self) -> None:
        """Create the folder, for its owner alone; refuse one that somebody else could write to."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.stat().st_uid != os.geteuid():
                raise UserError(
                    f"The state folder {self.path} belongs to another user: remove it, or set COMPOSEMESH_STATE_DIR."
                )
            self.path.chmod(0o700)
        except OSError as problem:
            raise UserError(
                f"Cannot use the state folder {self.path} ({problem.strerror}): set COMPOSEMESH_STATE_DIR to a "
                "folder of yours."
            ) from problem

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one mesh of this project. Raises UserError where another one already is."""
        with self._locked("lock", blocking=False):
            yield

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Wait until no other command is starting a mesh for this project, then keep others waiting."""
        with self._locked("starting", blocking=True):
            yield

    @contextlib.contextmanager
    def _locked(self, name: str, *, blocking: bool) -> Iterator[None]:
        self.prepare()
        fd = private(self.path / name, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(fd)
            raise AlreadyServed(self) from None
        try:
            yield
        finally:
            os.close(fd)

    def write(self, entry: MeshEntry) -> None:
        """Replace mesh.json in one step: a reader sees the old entry or the new one, never a part."""
        self.replace("mesh.json", json.dumps(asdict(entry), indent=2) + "\n")

    def replace(self, name: str, text: str) -> Path:
        """Write a file of the folder whole, 0600, and return its path."""
        path = self.path / name
        files.replace(path, text)
        return path

    def clear(self) -> None:
        """Forget the mesh: it ended, and left nothing behind."""
        (self.path / "mesh.json").unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)

    def forget_changes(self) -> None:
        """Begin anew: what was applied to earlier meshes of the project is no longer kept. Of no effect while one
        lives."""
        if self.serving() is None:
            for name in APPLIED, UNDONE:
                (self.path / name).unlink(missing_ok=True)

    def entry(self) -> MeshEntry | None:
        """What mesh.json says, whether or not that process still lives; None where there is none to understand."""
        try:
            said = json.loads((self.path / "mesh.json").read_text(encoding="utf-8"))
            return MeshEntry(**{name: said[name] for name in MeshEntry.__slots__ if name in said})
        except (OSError, ValueError, TypeError):
            return None

    def serving(self) -> MeshEntry | None:
        """The mesh that lives, starting or serving."""
        entry = self.entry()
        return entry if entry is not None and entry.alive else None


class AlreadyServed(UserError):
    """Another process is this project's mesh."""

    def __init__(self, folder: StateFolder) -> None:
        entry = folder.entry()
        who = f"process {entry.pid}" if entry is not None else "another process"
        super().__init__(
            f"{who.capitalize()} already meshes project {folder.project}: `composemesh status` shows it, "
            "`composemesh down --keep-stack` ends it."
        )


def list_meshes(root: Path) -> list[MeshEntry]:
    """Every mesh with a state folder under `root`, dead ones included, by project."""
    try:
        names = sorted(path.name for path in root.iterdir() if _PROJECT.fullmatch(path.name))
    except OSError:
        return []
    entries = (StateFolder(root, name).entry() for name in names)
    return [entry for entry in entries if entry is not None]
