"""`composemesh demo` as its users run it: a process, its output and its exit code."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import composemesh
from composemesh.capture.loopback import unsupported

pytestmark = pytest.mark.skipif(bool(unsupported()), reason=unsupported() or "Linux")

REPOSITORY = Path(composemesh.__file__).parents[1]


class Demo:
    """A demo on a state folder of its own."""

    def __init__(self, state: Path, *arguments: str, source: Path = REPOSITORY) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "composemesh", "demo", *arguments],
            cwd=state.parent,
            env=_environment(state, source),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> tuple[int, str, str]:
        """Its exit code and what it said. One that does not end is killed, so that a failed test leaves nothing."""
        try:
            out, err = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode, out, err


def _environment(state: Path, source: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(source), "COMPOSEMESH_STATE_DIR": str(state), "PATH": "/usr/bin:/bin"}


Start = Callable[..., Demo]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    demos: list[Demo] = []

    def start(*arguments: str, **how: Path) -> Demo:
        demos.append(Demo(tmp_path / "state", *arguments, **how))
        return demos[-1]

    yield start
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.end()


def test_everyone_answers(start: Start) -> None:
    code, out, err = start("--requests", "12").end()
    assert (code, out.splitlines()[-1]) == (
        0,
        "Every service answered through the mesh; 12 of 12 pages were good.",
    ), err
    assert "reviews-v2 is there: captured" in out


def test_it_ends_after_the_seconds(start: Start) -> None:
    code, out, err = start("--seconds", "2").end()
    assert code == 0, err
    asked = re.search(r"(\d+) of \1 pages were good", out)
    assert asked is not None
    assert 10 <= int(asked[1]) <= 21


def test_who_does_not_answer_is_named(start: Start, tmp_path: Path) -> None:
    """A ratings service that answers 500 only: the page still comes, but the demo tells on it."""
    (tmp_path / "composemesh").symlink_to(REPOSITORY / "composemesh")
    shutil.copytree(REPOSITORY / "examples", tmp_path / "examples")
    ratings = tmp_path / "examples" / "bookinfo" / "src" / "ratings.py"
    ratings.write_text(ratings.read_text().replace('"ratings": stars})', '"ratings": stars}, 500)'))
    code, out, err = start("--requests", "6", source=tmp_path).end()
    assert code == 1, out
    assert err.splitlines()[-1] == ("composemesh: did not answer through the mesh: ratings (6 of 6 pages were good).")


def test_ctrl_c_ends_it_and_leaves_nothing(start: Start, tmp_path: Path) -> None:
    demo = start()
    assert demo.process.stdout is not None
    url = demo.process.stdout.readline().removeprefix("Open ").strip()
    with urllib.request.urlopen(url, timeout=10) as page:
        assert page.headers["server"] == "composemesh"
        assert "The Comedy of Errors" in page.read().decode()
    demo.process.send_signal(signal.SIGINT)
    code, out, _ = demo.end()
    assert code == 0
    assert out.splitlines()[-1].startswith("Ended; ")
    assert sorted(path.name for path in (tmp_path / "state" / "demo").iterdir()) == ["lock", "token"]
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=10)


def test_cut_short_it_has_shown_nothing(start: Start) -> None:
    demo = start("--seconds", "60")
    assert demo.process.stdout is not None
    demo.process.stdout.readline()
    demo.process.terminate()
    assert demo.end()[0] == 130


def test_one_at_a_time(start: Start) -> None:
    first = start()
    assert first.process.stdout is not None
    first.process.stdout.readline()
    code, _, err = start("--requests", "1").end()
    assert code == 1
    assert err.startswith("composemesh: ")
    assert "Traceback" not in err


@pytest.mark.parametrize("wrong", [("--seconds", "0"), ("--requests", "none"), ("--secnds", "3")])
def test_a_wrong_call(start: Start, wrong: tuple[str, ...]) -> None:
    code, _, err = start(*wrong).end()
    assert code == 2
    assert err.count("\n") == 1


def test_tap_says_of_whom_nothing_is_known(start: Start, tmp_path: Path) -> None:
    demo = start()
    assert demo.process.stdout is not None
    demo.process.stdout.readline()
    tap = subprocess.Popen(
        [sys.executable, "-m", "composemesh", "-p", "demo", "tap", "reviwes", "--from", "productpage"],
        env=_environment(tmp_path / "state", REPOSITORY),
        stderr=subprocess.PIPE,
        text=True,
    )
    with tap:
        assert tap.stderr is not None
        try:
            assert tap.stderr.readline() == "composemesh: nothing is known of reviwes yet; waiting for it.\n"
        finally:
            demo.process.send_signal(signal.SIGINT)
            demo.end()
        assert tap.wait(timeout=20) in (0, 1)  # with the mesh: in order, or cut off


def test_what_was_applied_to_a_demo_is_not_there_in_the_next(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "demo"
    folder.mkdir(parents=True, mode=0o700)
    fault = "fault: {abort: {percentage: {value: 100}, httpStatus: 500}}, route: [{destination: {host: reviews}}]"
    (folder / "resources.yaml").write_text(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: broken}\n"
        f"spec: {{hosts: [reviews], http: [{{{fault}}}]}}\n"
    )
    (folder / "undo.json").write_text("{}")
    code, out, err = start("--requests", "9").end()
    assert code == 0, (out, err)
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "token"]
