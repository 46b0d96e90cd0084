"""An image made from this machine: its own Python and standard library, busybox for a shell. No registry is asked.

A label ties the image to its content: it is made once, and again only when this machine's files change.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import apt
from .folder import say

NAME = "composemesh-test/python"
CONTENT_LABEL = "composemesh-test.content"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
STDLIB = Path("usr/local/lib") / PYTHON
LEFT_OUT = {
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "ensurepip",
    "site-packages",
    "dist-packages",
}
EXTENSIONS_LEFT_OUT = re.compile(r"_tkinter|_test|_xx|xx|_ctypes_test|_sqlite3|_curses|readline")
SETTINGS = ['CMD ["python3"]', "ENV PATH=/usr/local/bin:/bin:/usr/bin:/sbin PYTHONUNBUFFERED=1"]
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    "etc/group": "root:x:0:\napp:x:1000:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
FOLDERS = {"tmp": 0o1777, "root": 0o700, "proc": 0o755, "sys": 0o755, "dev": 0o755, "run": 0o755, "app": 0o755}


def provide() -> str:
    """Make the image if it is not there or no longer this machine's; return its name. Raises Missing."""
    busybox = _busybox()
    tree = dict(_tree(busybox))
    content = _digest(tree)
    if _label() != content:
        say(f"making the image {NAME} from {sys.base_prefix} and {busybox}")
        _import(tree, busybox, content)
    return NAME


def _tree(busybox: Path) -> Iterator[tuple[str, Path]]:
    """Path in the image → file of this machine."""
    interpreter = Path(sys.base_prefix, "bin", PYTHON)
    yield f"usr/local/bin/{PYTHON}", interpreter
    yield "bin/busybox", busybox
    programs = [interpreter, busybox]
    stdlib = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
    for folder, inner, names in os.walk(stdlib):
        inner[:] = [name for name in inner if name not in LEFT_OUT and not name.startswith("config-")]
        for name in names:
            if _wanted(name):
                file = Path(folder, name)
                yield str(STDLIB / file.relative_to(stdlib)), file
                programs += [file] if file.suffix == ".so" else []
    yield from _libraries(programs)


def _wanted(name: str) -> bool:
    """Sources, their compiled form as plain imports want it, and extension modules."""
    if name.endswith(".pyc"):
        return name.endswith(f".{sys.implementation.cache_tag}.pyc")
    if name.endswith(".so"):
        return EXTENSIONS_LEFT_OUT.match(name) is None
    return name.endswith(".py")


def _libraries(programs: list[Path]) -> Iterator[tuple[str, Path]]:
    """The shared libraries of all `programs`, gathered where the loader finds the C library without being told."""
    listing = subprocess.run(["ldd", *programs], capture_output=True, text=True).stdout
    found = {Path(path) for path in re.findall(r"(/\S+\.so\S*) \(0x", listing)}
    libc = next(path for path in found if path.name.startswith("libc.so"))
    for path in sorted(found):
        is_loader = path.name.startswith("ld-")
        yield (str(path) if is_loader else str(libc.parent / path.name)).lstrip("/"), path.resolve()


def _digest(tree: dict[str, Path]) -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name, file in sorted(tree.items()):
        digest.update(name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _import(tree: dict[str, Path], busybox: Path, content: str) -> None:
    changes = [word for setting in [*SETTINGS, f"LABEL {CONTENT_LABEL}={content}"] for word in ("--change", setting)]
    with tempfile.TemporaryFile() as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            _write(tar, tree, busybox)
        archive.seek(0)
        subprocess.run(
            ["docker", "import", *changes, "-", NAME], stdin=archive, stdout=subprocess.DEVNULL, check=True
        )


def _write(tar: tarfile.TarFile, tree: dict[str, Path], busybox: Path) -> None:
    for name, mode in FOLDERS.items():
        _add(tar, name, tarfile.DIRTYPE, mode)
    for name, file in tree.items():  # modification times are kept: compiled modules are checked against them
        tar.add(file.resolve(), name, filter=_of_root)
    for name, text in FILES.items():
        _add(tar, name, tarfile.REGTYPE, 0o644, text.encode())
    for link in ("usr/local/bin/python3", "usr/local/bin/python"):
        _add(tar, link, tarfile.SYMTYPE, 0o777, target=PYTHON)
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in set(applets) - {"busybox"}:
        _add(tar, f"bin/{applet}", tarfile.SYMTYPE, 0o777, target="/bin/busybox")


def _add(tar: tarfile.TarFile, name: str, kind: bytes, mode: int, content: bytes = b"", target: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(content), target
    tar.addfile(entry, io.BytesIO(content))


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def _busybox() -> Path:
    if shutil.which("busybox") is None:
        apt.install("busybox-static")
    return Path(shutil.which("busybox") or "/bin/busybox").resolve()


def _label() -> str | None:
    query = ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{CONTENT_LABEL}"}}}}', NAME]
    done = subprocess.run(query, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None
