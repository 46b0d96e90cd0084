"""Debian packages: installed on the machine, or fetched from a later suite without touching it.

The mirror is whatever the machine's own sources name, read at run time: no host name stands in this repository.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from .folder import HOME, Missing, is_root, say

SOURCES = Path("/etc/apt/sources.list.d")
OLD_SOURCES = Path("/etc/apt/sources.list")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ATTEMPTS = 3
QUIET = {
    **os.environ,
    "DEBIAN_FRONTEND": "noninteractive",
    "RUNLEVEL": "1",
}  # runlevel 1: an installed daemon is not started


def install(*packages: str) -> None:
    """Install what is missing of `packages`, with no recommended extras. Raises Missing."""
    absent = [name for name in packages if not _installed(name)]
    if not absent:
        return
    if not is_root():
        raise Missing(f"{', '.join(absent)}: not installed, and only root can install packages")
    if shutil.which("apt-get") is None:
        raise Missing(f"{', '.join(absent)}: not installed, and this is not Debian (no apt-get)")
    say(f"installing {' '.join(absent)}")
    _run("apt-get", "update", "-q")
    _run("apt-get", "install", "-y", "-q", "--no-install-recommends", *absent)


def fetch(package: str, suite: str, into: Path) -> Path:
    """Unpack `package` of `suite` into the folder `into` and return it. Raises Missing.

    Needs no root: the machine's own apt is left as it is.
    """
    if shutil.which("apt-get") is None:
        raise Missing(f"{package}: this is not Debian (no apt-get)")
    options = _private_apt(suite)
    say(f"fetching {package} from Debian {suite}")
    _run("apt-get", *options, "update", "-q")
    downloads = HOME / "apt" / suite
    _run("apt-get", *options, "download", "-q", f"{package}/{suite}", cwd=downloads)
    newest = max(downloads.glob(f"{package}_*.deb"), key=lambda file: file.stat().st_mtime)
    into.mkdir(parents=True, exist_ok=True)
    _run("dpkg", "-x", str(newest), str(into))
    newest.unlink()
    return into


def _private_apt(suite: str) -> list[str]:
    """Options that give apt-get a world of its own: one source, its own lists and cache."""
    world = HOME / "apt" / suite
    for folder in ("sources", "lists/partial", "cache/archives/partial"):
        (world / folder).mkdir(parents=True, exist_ok=True)
    source = f"Types: deb\nURIs: {_mirror()}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n"
    (world / "sources" / f"{suite}.sources").write_text(source)
    return [
        "-oDir::Etc::sourcelist=/dev/null",
        f"-oDir::Etc::sourceparts={world / 'sources'}",
        f"-oDir::State::Lists={world / 'lists'}",
        f"-oDir::Cache={world / 'cache'}",
        "-oAPT::Sandbox::User=root",  # the checkout may stand where the user _apt cannot read
        "-oAcquire::Languages=none",
        "-oAPT::Update::Error-Mode=any",  # else a mirror out of reach looks like a package that does not exist
    ]


def _mirror() -> str:
    """The address of the Debian archive this machine itself uses (not the security archive: it has no `sid`)."""
    texts = [file.read_text() for file in sorted(SOURCES.glob("*.sources"))]
    addresses: list[str] = [address for text in texts for address in re.findall(r"(?m)^URIs:\s*(\S+)", text)]
    lines = [OLD_SOURCES, *sorted(SOURCES.glob("*.list"))]
    for file in filter(Path.exists, lines):
        addresses += re.findall(r"(?m)^deb\s+(?:\[[^]]*\]\s+)?(\S+)", file.read_text())
    for address in addresses:
        if re.search(r"/debian/?$", address):
            return address
    raise Missing("no Debian archive among this machine's apt sources")


def _installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f=${Status}", package]
    if shutil.which(query[0]) is None:
        return False
    return subprocess.run(query, capture_output=True, text=True).stdout.endswith("ok installed")


def _run(*command: str, cwd: Path | None = None) -> None:
    """Run to the end, again after a passing fault of the mirror. Raises Missing with the last line of the error."""
    for _ in range(ATTEMPTS):
        done = subprocess.run(
            [*command, "-oDPkg::Lock::Timeout=120"] if command[0] == "apt-get" else command,
            cwd=cwd,
            env=QUIET,
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            return
    lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
    raise Missing(f"`{' '.join(command[:1])} … {command[-1]}` failed: {lines[-1]}")
