"""Fixtures and marks that every room's tests share.

A test that needs the real world says so: `@pytest.mark.docker`, `@pytest.mark.root`, or a fixture below. Where the
machine cannot give it, the test is skipped with one line that says what is missing, or fails when
COMPOSEMESH_REQUIRE_DOCKER=1 (as in CI).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from environment import engine, requirements
from environment import python_image as image
from environment.folder import SHARED, Missing
from environment.patience import bounded
from environment.project import Project, project

BEFORE_THE_SIGNAL = 0.75
# The first value drawn reads Unicode's tables, and others may have the processors: neither is a test's fault.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

NEEDS: dict[str, Callable[[], str | None]] = {
    "docker": requirements.docker,
    "interpreted": requirements.interpreted,
    "root": requirements.root,
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark, lacking in NEEDS.items():
        if item.get_closest_marker(mark) and (reason := lacking()):
            _give_up(reason)
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        own_limit = item.get_closest_marker("timeout")
        limit = own_limit.args[0] if own_limit and own_limit.args else item.config.getini("timeout")
        item.obj = bounded(item.obj, float(limit) * BEFORE_THE_SIGNAL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where Docker is required no marked test may slip away by a skip of its own."""
    report = yield
    marked = any(item.get_closest_marker(mark) for mark in NEEDS)
    if requirements.REQUIRED and marked and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def docker_engine() -> str:
    """The version of a Docker engine that answers, with Compose beside it."""
    if reason := requirements.docker():
        _give_up(reason)
    return engine.answering() or ""


@pytest.fixture(scope="session")
def python_image(docker_engine: str) -> str:
    """The name of an image with python3, its standard library and busybox."""
    try:
        return image.provide()
    except Missing as missing:
        _give_up(str(missing))


@pytest.fixture
def compose_project(python_image: str, tmp_path: Path) -> Iterator[Project]:
    """A Compose project in a temporary folder under a name of its own: write its file, run it, forget it."""
    with project(tmp_path, python_image) as made:
        yield made


@pytest.fixture(scope="session")
def programs() -> Callable[..., None]:
    """`programs("nginx", "node")`: skips where one of them is not on this machine, and says which."""

    def need(*names: str) -> None:
        if reason := requirements.programs(*names):
            _give_up(reason)

    return need


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """`shared_data("http1/own.jsonl")`: a file of the collection beside the checkout; skips where that is absent."""

    def path(name: str) -> Path:
        file = SHARED / "data" / name
        if not file.exists():
            pytest.skip(f"{file} is not here: set COMPOSEMESH_SHARED to the folder that holds data/")
        return file

    return path


def _give_up(reason: str) -> NoReturn:
    if requirements.REQUIRED:
        pytest.fail(f"COMPOSEMESH_REQUIRE_DOCKER=1, but {reason}", pytrace=False)
    pytest.skip(reason)
