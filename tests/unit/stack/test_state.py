"""The state folder: private, atomic, and never wrong about who lives."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from composemesh.stack.errors import CallError, UserError
from composemesh.stack.state import (
    AlreadyServed,
    MeshEntry,
    StateFolder,
    age,
    list_meshes,
    process_identity,
    state_root,
)

ENDED = [sys.executable, "-c", ""]


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    folder = StateFolder(tmp_path, "shop")
    folder.prepare()
    return folder


def mine(project: str = "shop", **fields: Any) -> MeshEntry:
    return replace(MeshEntry.of_this_process(project, {"files": ["/x/compose.yaml"]}), **fields)


@pytest.mark.parametrize(
    ("environ", "uid", "root"),
    [
        ({"HOME": "/root", "XDG_STATE_HOME": "/x"}, 0, "/var/lib/composemesh"),
        ({"HOME": "/home/ann"}, 1000, "/home/ann/.local/state/composemesh"),
        ({"HOME": "/home/ann", "XDG_STATE_HOME": "/x"}, 1000, "/x/composemesh"),
        ({"COMPOSEMESH_STATE_DIR": "/y"}, 0, "/y"),
    ],
)
def test_where_the_folders_stand(environ: dict[str, str], uid: int, root: str) -> None:
    assert state_root(environ, uid) == Path(root)


@pytest.mark.parametrize("name", ["", "../etc", "a/b", "Shop", "-x", ".", "a b", "a\n"])
def test_a_name_that_is_no_project_never_becomes_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(CallError, match="project name"):
        StateFolder(tmp_path, name)


def test_the_folder_and_its_files_are_private(folder: StateFolder) -> None:
    folder.write(mine())
    with folder.lock():
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.path.iterdir()}
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert modes == {"mesh.json": 0o600, "lock": 0o600}


@pytest.mark.root
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    os.chown(tmp_path / "shop", 12345, 12345)
    with pytest.raises(UserError, match="belongs to another user"):
        StateFolder(tmp_path, "shop").prepare()


def test_a_file_where_the_folder_should_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("")
    with pytest.raises(UserError, match="Cannot use the state folder"):
        StateFolder(tmp_path, "shop").prepare()


def test_an_entry_comes_back_as_it_was_written(folder: StateFolder) -> None:
    entry = mine(admin_url="http://127.0.0.1:15000")
    folder.write(entry)
    assert folder.entry() == entry
    assert entry.state == "serving"
    assert replace(entry, admin_url="").state == "starting"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"project": "shop"}', "\udcff"])
def test_an_entry_that_makes_no_sense_is_none(folder: StateFolder, text: str) -> None:
    (folder.path / "mesh.json").write_text(text, errors="surrogateescape")
    assert folder.entry() is None
    assert folder.serving() is None


def test_an_entry_of_a_later_version_is_understood(folder: StateFolder) -> None:
    folder.write(mine())
    path = folder.path / "mesh.json"
    path.write_text(path.read_text().replace("{", '{"later": 1,', 1))
    assert folder.serving() is not None


def test_a_pid_that_was_given_to_another_process_is_not_believed(folder: StateFolder) -> None:
    before = f"12@{process_identity(os.getpid()).partition('@')[2]}"
    folder.write(mine(process=before))
    entry = folder.entry()
    assert entry is not None
    assert not entry.alive
    assert entry.state == "dead"
    assert folder.serving() is None


def test_a_pid_from_before_the_last_boot_is_not_believed() -> None:
    ticks = process_identity(os.getpid()).partition("@")[0]
    assert not mine(process=f"{ticks}@another-boot").alive


def test_neither_the_dead_nor_zombies_have_an_identity() -> None:
    with subprocess.Popen(ENDED) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert process_identity(child.pid) == ""  # a zombie: it has ended, and nobody has asked yet
    assert process_identity(child.pid) == ""
    assert age(child.pid) == 0


def test_a_process_is_as_old_as_it_is() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        assert 0 <= age(child.pid) < age(os.getpid())


def test_the_lock_is_one_process_wide_and_goes_with_it(folder: StateFolder) -> None:
    script = (
        "import sys; from pathlib import Path; from composemesh.stack.state import StateFolder\n"
        "with StateFolder(Path(sys.argv[1]), 'shop').lock(): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(folder.path.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyServed, match="already meshes project shop"), folder.lock():
            pass
        holder.kill()
    with folder.lock():
        pass


def test_every_mesh_is_listed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("shop", "blog"):
        folder = StateFolder(tmp_path, name)
        folder.prepare()
        folder.write(mine(name))
    (tmp_path / "empty").mkdir()
    (tmp_path / "crash.log").write_text("")
    assert [entry.project for entry in list_meshes(tmp_path)] == ["blog", "shop"]
    assert list_meshes(tmp_path / "nowhere") == []


def test_clearing_is_for_the_mesh_that_ended_well(folder: StateFolder) -> None:
    folder.write(mine())
    folder.socket.touch()
    folder.clear()
    folder.clear()
    assert list(folder.path.iterdir()) == []
