"""The examples are found in a source tree, in an installed package and inside a zip."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import composemesh
from composemesh.stack.errors import UserError
from composemesh.stack.examples import example

PACKAGE = Path(composemesh.__file__).parent
EXAMPLES = PACKAGE.parent / "examples"


def test_beside_the_package() -> None:
    with example("bookinfo") as folder:
        assert folder == EXAMPLES / "bookinfo"


def test_one_that_is_missing_is_named() -> None:
    with pytest.raises(UserError, match="no example 'nothing'"), example("nothing"):
        pass


def test_out_of_a_zip(tmp_path: Path) -> None:
    """As in composemesh.pyz: the package is imported from the zip, the example copied out of it, and removed."""
    archive = tmp_path / "one.pyz"
    with zipfile.ZipFile(archive, "w") as file:
        for source in [*PACKAGE.glob("*.py"), *(PACKAGE / "stack").glob("*.py")]:
            file.write(source, source.relative_to(PACKAGE.parent))
        for source in (EXAMPLES / "bookinfo").rglob("*"):
            if source.is_file():
                file.write(source, Path("composemesh/examples") / source.relative_to(EXAMPLES))
    code = (
        "from composemesh.stack.examples import example\n"
        "with example('bookinfo') as folder: print(folder, (folder / 'src' / 'service.py').is_file())\n"
        "print(folder.exists())"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(archive)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert said[0].startswith("/")
    assert said[0] != str(EXAMPLES / "bookinfo")
    assert said[1:] == ["True", "False"]


def test_inside_an_installed_package(tmp_path: Path) -> None:
    installed = tmp_path / "composemesh"
    shutil.copytree(PACKAGE / "stack", installed / "stack", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PACKAGE / "__init__.py", installed)
    shutil.copytree(EXAMPLES, installed / "examples")
    code = "from composemesh.stack.examples import example\nwith example('helloworld') as folder: print(folder)"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert said == str(installed / "examples" / "helloworld")
