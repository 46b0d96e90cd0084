"""Files of plugins in a whole mesh: at its start, live, and where they are no good. The mesh serves on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from composemesh.app import Rejected
from composemesh.plugins import loading
from composemesh.testing import running_mesh

STAMP = """
from dataclasses import dataclass
from composemesh.plugin import HeaderName, setting

API = 1


class Stamp:
    @dataclass(frozen=True)
    class Config:
        header: HeaderName = setting("Its name.", "x-stamp")

    def __init__(self, config: Config) -> None:
        self.config = config

    def on_response(self, x):
        x.response_headers.set(self.config.header, x.destination.service)


def register(mesh):
    mesh.filter("stamp", Stamp)
"""
PLAIN = "services: {web: {}, other: {}}\n"
STAMPED = "x-mesh: {plugins: [stamp.py]}\nservices: {web: {x-mesh: {filters: [stamp]}}, other: {}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("composemesh_plugin_"):
            del sys.modules[name]


def write(folder: Path, text: str, name: str = "stamp.py", mode: int = 0o600) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(mode)


async def test_a_filter_of_a_file_is_in_the_path(folder: Path) -> None:
    write(folder, STAMP)
    async with running_mesh(STAMPED, folder=folder) as mesh:
        assert (await mesh.get("web")).headers["x-stamp"] == "web"
        assert "x-stamp" not in (await mesh.get("other")).headers
        assert mesh.problems == ()


async def test_one_that_is_named_while_the_mesh_runs_is_loaded_and_its_settings_change_live(folder: Path) -> None:
    async with running_mesh(PLAIN, folder=folder) as mesh:
        assert "x-stamp" not in (await mesh.get("web")).headers
        write(folder, STAMP)
        mesh.file.write_text(STAMPED)
        await mesh.until(lambda: mesh.view.snapshot.value.filters)
        assert (await mesh.get("web")).headers["x-stamp"] == "web"
        mesh.file.write_text(STAMPED.replace("[stamp]", "[{stamp: {header: x-other}}]"))
        await mesh.until(lambda: mesh.view.snapshot.value.filters["web"][0].config.header == "x-other")
        assert (await mesh.get("web")).headers["x-other"] == "web"
        mesh.file.write_text(PLAIN)
        await mesh.until(lambda: not mesh.view.snapshot.value.filters)
        assert "x-other" not in (await mesh.get("web")).headers


async def test_an_edit_of_a_loaded_file_waits_and_says_so(folder: Path) -> None:
    write(folder, STAMP)
    async with running_mesh(STAMPED, folder=folder) as mesh:
        write(folder, STAMP.replace("x.destination.service", "'edited'"))
        (problem,) = await mesh.until(lambda: mesh.problems)
        assert (problem.code, problem.file) == ("next-start", str(folder / "stamp.py"))
        assert (await mesh.get("web")).headers["x-stamp"] == "web"


async def test_an_edit_with_wrong_settings_is_rejected_at_its_line_and_the_last_good_one_stands(folder: Path) -> None:
    write(folder, STAMP)
    async with running_mesh(STAMPED, folder=folder) as mesh:
        mesh.file.write_text(STAMPED.replace("[stamp]", "[{stamp: {heder: x}}]"))
        (problem,) = await mesh.until(lambda: mesh.problems)
        assert (problem.code, problem.line, problem.hint) == ("unknown-field", 2, "Did you mean `header`?")
        assert (await mesh.get("web")).headers["x-stamp"] == "web"


BAD = {
    "for another API": (STAMP.replace("API = 1", "API = 7"), 0o600, "plugin-api", "was written for API 7"),
    "not to be imported": ("import no_such_module", 0o600, "plugin-not-loaded", "No module named 'no_such_module'"),
    "written by anybody": (STAMP, 0o666, "plugin-writable", "others may write it (mode 666)"),
    "hanging": ("import threading; threading.Event().wait(2)\n" + STAMP, 0o600, "plugin-hangs", "within 0.3 s"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_one_is_one_clear_line_and_the_mesh_serves_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    text, mode, code, why = BAD[case]
    monkeypatch.setattr(loading, "PATIENCE", 0.3)
    write(folder, text, mode=mode)
    async with running_mesh(STAMPED, folder=folder) as mesh:
        told = [problem for problem in mesh.problems if problem.code == code]
        assert len(told) == 1
        assert why in told[0].message
        assert (Path(told[0].file).name, told[0].line) == ("compose.yaml", 1)
        assert told[0].hint
        assert {problem.code for problem in mesh.problems} == {code, "unknown-name", "filter-unusable"}
        refused = await mesh.get("web")  # it may have been there to keep somebody out
        assert (refused.status, refused.body) == (500, b"filter failed: stamp (FF)\n")
        assert (await mesh.get("other")).status == 200


async def test_requests_do_without_a_missing_one_where_they_may(folder: Path) -> None:
    text = STAMPED.replace("[stamp]", "[{stamp: , fail: open}]")
    async with running_mesh(text, folder=folder) as mesh:
        assert (await mesh.get("web")).status == 200


async def test_a_name_that_nobody_could_have_meant_rejects_a_start(folder: Path) -> None:
    with pytest.raises(Rejected, match='there is no filter "stmap"'):
        async with running_mesh("services: {web: {x-mesh: {filters: [stmap]}}}\n", folder=folder):
            pass


async def test_a_mended_file_is_taken_with_the_next_edit(folder: Path) -> None:
    write(folder, "1 +")
    async with running_mesh(STAMPED, folder=folder) as mesh:
        assert (await mesh.get("web")).status == 500
        write(folder, STAMP)
        with trio.fail_after(20):
            await mesh.until(lambda: not mesh.view.snapshot.value.filters["web"][0].missing)
        assert (await mesh.get("web")).headers["x-stamp"] == "web"
        assert mesh.problems == ()
