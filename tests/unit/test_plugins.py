"""What loading plugins leaves behind: names in catalogs, or one Problem that says what to do."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from composemesh.config.loaders.said import Place
from composemesh.plugin import API
from composemesh.plugins import OURS, Plugins, loading
from composemesh.proxy.balance.random import Random
from composemesh.telemetry.sinks.access_log import AccessLogSink

GOOD = """
from dataclasses import dataclass

API = 1

@dataclass(frozen=True)
class Config:
    header: str = "x-stamp"

class Stamp:
    Config = Config

    def __init__(self, config):
        self.config = config

def register(mesh):
    mesh.filter("stamp", Stamp)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    tmp_path.chmod(0o755)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("composemesh_plugin_"):
            del sys.modules[name]


def written(folder: Path, text: str, name: str = "stamp.py", mode: int = 0o644) -> tuple[Path, Place]:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path, Place("compose.yaml", 7, 5)


async def problem_of(*files: tuple[Path, Place]) -> str:
    """The one Problem that loading these leaves behind."""
    plugins = Plugins()
    assert await plugins.load_files(files)
    (problem,) = plugins.problems.value
    assert plugins.catalogs.incomplete
    assert (problem.file, problem.line) == ("compose.yaml", 7)
    assert problem.hint
    assert "stamp" not in plugins.catalogs.filters
    return f"[{problem.code}] {problem.message} {problem.hint}"


def test_built_ins_come_through_the_same_door() -> None:
    plugins = Plugins()
    assert plugins.catalogs.sinks["access_log"] is AccessLogSink
    assert plugins.catalogs.balancers["random"] is Random
    assert {entry.came_from for entry in plugins.catalogs.entries} == {OURS}
    assert plugins.known[OURS].api == API
    for entry in plugins.catalogs.entries:
        entry.load()


async def test_a_file_is_a_plugin(folder: Path) -> None:
    plugins = Plugins()
    path, place = written(folder, GOOD)
    assert await plugins.load_files([(path, place)])
    stamp: Any = plugins.catalogs.filters["stamp"]
    assert stamp.Config().header == "x-stamp"
    assert plugins.known[str(path)].names == (("filter", "stamp"),)
    assert plugins.problems.value == ()
    assert not plugins.catalogs.incomplete
    assert not await plugins.load_files([(path, place)])  # it is here


async def test_one_for_another_api(folder: Path) -> None:
    said = await problem_of(written(folder, GOOD.replace("API = 1", "API = 2")))
    assert "[plugin-api]" in said
    assert f"was written for API 2 of plugins, and {OURS} has API 1" in said
    assert "Install a newer composemesh, or an older version of it." in said


async def test_one_that_does_not_say_its_api(folder: Path) -> None:
    assert "does not say which API it was written for. Write `API = 1`" in await problem_of(
        written(folder, GOOD.replace("API = 1", ""))
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module' ({path}:1)"),
        ("1 +", "SyntaxError: invalid syntax (stamp.py, line 1)"),
        ("import sys\n\nsys.exit('I am gone')", "SystemExit: I am gone ({path}:3)"),
        ("API = 1\ndef register(mesh):\n    mesh.filtre('x', dict)", "'Recorder' object has no attribute 'filtre'"),
        ("API = 1", "has no function `register`"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt ({path}:1)"),
    ],
)
async def test_one_that_raises(folder: Path, text: str, why: str) -> None:
    path, place = written(folder, text)
    assert why.format(path=path) in await problem_of((path, place))


async def test_one_that_hangs_costs_its_patience_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "PATIENCE", 0.2)
    released = folder / "released"
    hanging = written(
        folder, f"import os, time\nwhile not os.path.exists({str(released)!r}): time.sleep(0.01)", "h.py"
    )
    plugins = Plugins()
    try:
        assert await plugins.load_files([hanging, written(folder, GOOD)])
        (problem,) = plugins.problems.value
        assert problem.code == "plugin-hangs"
        assert "h.py: was not loaded within 0.2 s, and is left out." in problem.message
        assert "stamp" in plugins.catalogs.filters
        assert not await plugins.load_files([hanging])  # its thread is still at it, and must not get company
    finally:
        released.touch()


async def test_one_that_others_may_write_is_not_run(folder: Path) -> None:
    ran = folder / "ran"
    path, place = written(folder, f"open({str(ran)!r}, 'w')", mode=0o664)
    said = await problem_of((path, place))
    assert f"[plugin-writable] plugin {path}: is not loaded, because others may write it (mode 664)." in said
    assert f"Run chmod go-w {path}." in said
    assert not ran.exists()


async def test_one_that_others_may_replace_is_not_run(folder: Path) -> None:
    path, place = written(folder, GOOD)
    os.chmod(folder, 0o777)
    assert f"because others may write its folder {folder} (mode 777)" in await problem_of((path, place))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_one_of_another_user_is_run_only_where_his_compose_file_is_obeyed(folder: Path) -> None:
    path, _ = written(folder, GOOD)
    os.chown(path, 4711, 4711)
    compose = folder / "compose.yaml"
    compose.write_text("")
    plugins = Plugins()
    await plugins.load_files([(path, Place(str(compose), 1, 1))])
    assert "belongs to another user (uid 4711)" in str(plugins.problems.value[0])
    os.chown(compose, 4711, 4711)
    await plugins.load_files([(path, Place(str(compose), 1, 1))])
    assert plugins.problems.value == ()


async def test_one_that_is_not_there_or_no_file(folder: Path) -> None:
    said = await problem_of((folder / "none.py", Place("compose.yaml", 7)))
    assert "[plugin-unreadable]" in said
    assert "can't be read: No such file or directory. Write its path relative" in said
    assert "can't be read: Is a directory." in await problem_of((folder, Place("compose.yaml", 7)))


async def test_a_pipe_holds_up_nobody(folder: Path) -> None:
    os.mkfifo(folder / "pipe.py", 0o600)
    assert "is no file" in await problem_of((folder / "pipe.py", Place("compose.yaml", 7)))


async def test_one_that_was_mended_is_taken(folder: Path) -> None:
    plugins = Plugins()
    await plugins.load_files([written(folder, "1 +")])
    assert plugins.problems.value
    await plugins.load_files([written(folder, GOOD)])
    assert plugins.problems.value == ()
    assert "stamp" in plugins.catalogs.filters


async def test_of_two_with_one_name_the_first_one_counts(folder: Path) -> None:
    plugins = Plugins()
    first, second = written(folder, GOOD, "a.py"), written(folder, GOOD, "b.py")
    await plugins.load_files([first, second])
    (problem,) = plugins.problems.value
    assert problem.code == "plugin-duplicate"
    assert problem.message == f"plugin {second[0]}: the filter `stamp` is {first[0]}'s already; this one is left out."
    assert plugins.catalogs.filters.entries[-1].came_from == str(first[0])


async def test_no_plugin_takes_a_built_in_name(folder: Path) -> None:
    plugins = Plugins()
    await plugins.load_files([written(folder, GOOD.replace('filter("stamp"', 'sink("access_log"'))])
    assert plugins.problems.value[0].code == "plugin-duplicate"
    assert plugins.catalogs.sinks["access_log"] is AccessLogSink


async def test_distributions_name_their_plugin_by_an_entry_point(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "stamp_plugin.py").write_text(GOOD)
    info = folder / "stamp_plugin-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stamp-plugin\nVersion: 2.1\n")
    (info / "entry_points.txt").write_text("[composemesh.plugins]\nstamp = stamp_plugin\nlost = no_such_module\n")
    monkeypatch.syspath_prepend(str(folder))
    importlib.metadata.MetadataPathFinder().invalidate_caches()
    plugins = Plugins()
    await plugins.load_installed()
    assert plugins.catalogs.filters.entries[-1].came_from == "stamp-plugin 2.1 (stamp)"
    assert plugins.known["stamp-plugin 2.1"].problem is not None
    assert "No module named 'no_such_module'" in plugins.known["stamp-plugin 2.1"].problem.message
    await plugins.load_installed()
    assert sum("stamp-plugin" in name for name in plugins.known) == 2


async def test_several_are_loaded_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that wait for one another: only together can they come to an end."""
    text = "import os, time\nos.mkdir({mine!r})\nwhile not os.path.exists({other!r}): time.sleep(0.01)\n" + (
        "API = 1\ndef register(mesh): pass\n"
    )
    one, two = str(folder / "one"), str(folder / "two")
    plugins = Plugins()
    with trio.fail_after(60):
        await plugins.load_files(
            [
                written(folder, text.format(mine=one, other=two), "1.py"),
                written(folder, text.format(mine=two, other=one), "2.py"),
            ]
        )
    assert plugins.problems.value == ()
