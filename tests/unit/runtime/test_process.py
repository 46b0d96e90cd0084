from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from composemesh.runtime.process import process_start, process_start_in, seconds_since


@pytest.fixture
def folder() -> Iterator[int]:
    fd = os.open(f"/proc/{os.getpid()}", os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_by_pid_and_by_folder_it_is_the_same_moment(folder: int) -> None:
    assert process_start_in(folder) == process_start(os.getpid()) != process_start(1)


def test_a_name_that_looks_like_the_rest_of_the_line_changes_nothing() -> None:
    rename = "open('/proc/self/comm', 'w').write('x) Z 1 2 3 (y'); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", rename], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert Path(f"/proc/{child.pid}/comm").read_text() == "x) Z 1 2 3 (y\n"
        start = process_start(child.pid)
        assert start is not None
        assert seconds_since(start) <= seconds_since(process_start(os.getpid()) or 0)


def test_a_folder_of_one_that_has_ended_is_nobody() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        fd = os.open(f"/proc/{child.pid}", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert process_start_in(fd) is None
    finally:
        os.close(fd)
