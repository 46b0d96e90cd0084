"""What a build makes that no repository holds: files a checkout lacks, and, where asked, a compiled request path.

| what | where | made when |
|---|---|---|
| descriptors of Envoy's messages | composemesh/xds/protos/envoy.binpb | missing, or older than its step |
| the page of the admin port | composemesh/ui/static/ | missing, or made from other sources |
| the request path as extension modules, by mypyc | the wheel alone | COMPOSEMESH_COMPILE=1 (`make wheel`) |

Files are made in the tree, for editable installs too, and git ignores them. An sdist brings them along, so that
building from one asks for nothing more. A build environment gets only what due steps need: mostly nothing.
The steps are in build_steps/.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.append(str(Path(__file__).parent))  # hatchling loads this file by its path, and nothing beside it

from build_steps import compiled, descriptors, ui
from build_steps.step import CannotMake, Step

STEPS = (descriptors.STEP, ui.STEP)


class BuildHook(BuildHookInterface[Any]):
    """hatchling's way in: before every sdist, wheel and editable install."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the due steps need; to compile also mypyc, and what the modules import: it makes use of types."""
        needed = [name for step in self._due() for name in step.requires]
        if self._compiles():
            needed += [*compiled.REQUIRES, *self.metadata.core.dependencies]
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
        """Adds extension modules of what `modules` in pyproject.toml names."""
        libraries = self._folder / "libraries"
        with contextlib.chdir(self.root):
            compiled.run_mypyc(self.config["modules"], self._folder, libraries)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for library in libraries.rglob("*.so"):
            build_data["force_include"][str(library)] = str(library.relative_to(libraries))
