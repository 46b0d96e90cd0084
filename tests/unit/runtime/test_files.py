"""Files that are noticed when they are others."""

from __future__ import annotations

import os
from pathlib import Path

from composemesh.runtime.files import replace, stamp


def test_a_file_that_nobody_touched_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "file"
    replace(file, "text")
    assert stamp(file) == stamp(str(file))


def test_another_file_of_the_same_age_and_size_is_another(tmp_path: Path) -> None:
    file = tmp_path / "file"
    replace(file, "text")
    before, times = stamp(file), file.stat()
    replace(file, "next")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert stamp(file) != before


def test_where_no_file_is_or_none_can_be_is_not_the_same(tmp_path: Path) -> None:
    file = tmp_path / "file"
    none = stamp(file)
    replace(file, "text")
    within = stamp(file / "inner")
    assert len({none, within, stamp(file)}) == 3
