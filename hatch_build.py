"""Compiles the request path with mypyc, for wheels that are published: `make wheel`.

Not part of any other build: hatchling asks for it only where HATCH_BUILD_HOOK_ENABLE_CUSTOM is set, and an editable
install is never compiled. So a checkout needs no C compiler and runs what its files say. The wheel holds both: the
extension modules, which Python prefers, and the sources beside them, which tracebacks quote.

The work goes on in a temporary folder, since an extension module left in the tree would shadow the source that
somebody edits next. (That is why this isn't hatch-mypyc, which builds in place and moves pyproject.toml aside.)
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

GROUP = "composemesh"
"""All modules go into one library, so that they call each other without asking Python."""


class CompileHook(BuildHookInterface[Any]):
    """`modules` in pyproject.toml says what is compiled."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """The compiler, and what the modules import: mypyc makes use of its types."""
        return ["mypy[mypyc]>=2.4,<2.5", *self.metadata.core.dependencies]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="composemesh-build-"))
        if version == "editable":
            return
        libraries = self._folder / "libraries"
        with contextlib.chdir(self.root):
            _compile(self.config["modules"], self._folder, libraries)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for library in libraries.rglob("*.so"):
            build_data["force_include"][str(library)] = str(library.relative_to(libraries))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _compile(modules: list[str], folder: Path, libraries: Path) -> None:
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
