"""The request path as extension modules, by mypyc.

The wheel holds both: the extension modules, which Python prefers, and the sources beside them, which tracebacks
quote. The work goes on in a temporary folder, since an extension module left in the tree would shadow the source
that somebody edits next. (That is why this isn't hatch-mypyc, which builds in place and moves pyproject.toml aside.)
"""

from __future__ import annotations

from pathlib import Path

REQUIRES = ("mypy[mypyc]>=2.4,<2.5",)
"""And what the modules import: mypyc makes use of its types."""
GROUP = "composemesh"
"""All modules go into one library, so that they call each other without asking Python."""


def run_mypyc(modules: list[str], folder: Path, libraries: Path) -> None:
    """Compiles modules, named relative to the working folder, into `libraries`; `folder` is for what lies around."""
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
