"""docs/how-to/write-a-plugin.md: every plugin on the page runs, passes its suite, and works in a running mesh."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from composemesh.config.kinds import Kinds
from composemesh.config.loaders.said import Place
from composemesh.model.policy import ConnectionLimits
from composemesh.plugins import Plugins
from composemesh.testing import check_kind, running_mesh

PAGE = (Path(__file__).parents[3] / "docs/how-to/write-a-plugin.md").read_text(encoding="utf-8")
PYTHON = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
COMPOSE = re.findall(r"```yaml\n# compose.yaml\n(.*?)```", PAGE, re.DOTALL)
(DOCUMENT,) = re.findall(r"```yaml\n# busy.yaml\n(.*?)```", PAGE, re.DOTALL)
PLUGINS = ("hosts_file.py", "slow_log.py", "gate.py", "canary.py", "busy.py")
TESTS = re.findall(r"^(?:async )?def (test_\w+)", PYTHON["test_plugins.py"], re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's files, importable by each other; it is not the `tmp_path` of the page's tests."""
    folder = tmp_path / "plugins"
    folder.mkdir(mode=0o700)
    for name, text in PYTHON.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == folder:
            del sys.modules[name]


def test_the_page_has_what_is_tested() -> None:
    assert set(PYTHON) == {*PLUGINS, "test_plugins.py"}
    assert len(COMPOSE) == 4
    assert len(TESTS) == 5


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_is_under_forty_lines(name: str) -> None:
    code = [line for line in PYTHON[name].splitlines() if line.strip()]
    assert len(code) < 40


@pytest.mark.parametrize("name", TESTS)
async def test_the_pages_own_tests_pass(folder: Path, tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    spec = importlib.util.spec_from_file_location("test_plugins", folder / "test_plugins.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    test = getattr(module, name)
    result = test(elsewhere) if inspect.signature(test).parameters else test()
    if inspect.isawaitable(result):
        await result


async def test_a_service_of_the_hosts_file_is_called_by_name_and_follows_the_file(folder: Path) -> None:
    hosts = folder / "hosts.txt"
    hosts.write_text("")
    text = COMPOSE[0].replace("image: example/web", "")
    async with running_mesh(text, folder=folder) as mesh:
        web = next(each for each in mesh.view.discovered.value.workloads if each.compose_service == "web")
        hosts.write_text(f"printer {web.addresses[0]} {web.ports[0]}\n")
        assert (await mesh.get("printer", "/jobs")).status == 200
        hosts.write_text("this is no good line\n")
        (problem,) = await mesh.until(lambda: mesh.problems)
        assert (problem.code, problem.resource) == ("source-failed", "source hosts_file")
        assert (await mesh.get("printer")).status == 200, "what it said last stands"


async def test_slow_requests_are_logged_as_the_page_configures_it(folder: Path) -> None:
    text = COMPOSE[1].replace(
        "image: example/web", "x-mesh: {routes: [{match: {path: /slow}, fault: {delay: 300ms}}]}"
    )
    async with running_mesh(text, folder=folder) as mesh:
        for path in ("/quick", '/slow"\\n', "/slow"):
            await mesh.get("web", path)
    logged = (folder / "slow.jsonl").read_text().splitlines()
    assert [line for line in logged if "/quick" in line] == []
    assert [line for line in logged if '"path": "/slow"' in line]


async def test_the_gate_is_opened_by_the_key_alone(folder: Path) -> None:
    async with running_mesh(COMPOSE[2], folder=folder) as mesh:
        assert (await mesh.get("web", "/public")).status == 200
        shut = await mesh.get("web", "/admin", {"x-key": "sesame"})
        assert (shut.status, shut.text) == (401, "Show your key.\n")
        opened = await mesh.get("web", "/admin", {"x-key": "open sesame"})
        assert opened.status == 200
        assert "x-key" not in json.loads(opened.text)["headers"]
        assert opened.headers["cache-control"] == "no-store"
        assert mesh.problems == ()


async def test_the_canary_gets_a_tenth(folder: Path) -> None:
    text = COMPOSE[3].replace("image: example/web, ", "")
    services = "  web-1: {x-mesh: {service: web}}\n  web-2: {x-mesh: {service: web}}\n"
    async with running_mesh(text + services, folder=folder) as mesh:
        for _ in range(40):
            assert (await mesh.get("web")).status == 200
        (service,) = (each for each in mesh.view.services() if each["name"] == "web")
        assert len(service["workloads"]) == 3
        counts = {one.destination.workload: one.requests for one in mesh.view.hub.series}
        assert counts["test-web-1"] == 4
        assert sum(counts.values()) == 40
        assert mesh.problems == ()


async def test_the_kind_passes_its_suite_and_is_applied(folder: Path) -> None:
    plugins = Plugins()
    await plugins.load_files([(folder / "busy.py", Place())])
    assert plugins.problems.value == ()
    kind = Kinds(plugins.catalogs.kinds)["example.com", "Busy"]
    draft = check_kind(lambda: kind, DOCUMENT)
    assert draft.policies[0][1].policy.connections == ConnectionLimits(max_requests=7)
    (folder / "busy.yaml").write_text(DOCUMENT)
    text = "x-mesh: {plugins: [busy.py], resources: [busy.yaml]}\nservices: {web: {}}\n"
    async with running_mesh(text, folder=folder) as mesh:
        assert mesh.view.snapshot.value.policies["web"].policy.connections == ConnectionLimits(max_requests=7)
        (folder / "busy.yaml").write_text(DOCUMENT.replace("requests: 7", "requests: 0"))
        (problem,) = await mesh.until(lambda: mesh.problems)
        assert (Path(problem.file).name, problem.line) == ("busy.yaml", 4)
        with trio.fail_after(5):
            assert (await mesh.get("web")).status == 200
