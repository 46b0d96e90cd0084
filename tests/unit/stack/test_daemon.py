"""A process in the background, started and ended: with real processes that play the mesh."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from composemesh.stack.daemon import Ended, spawn, stop, this_command
from composemesh.stack.errors import UserError
from composemesh.stack.state import MeshEntry, StateFolder

PLAY = """
import os, signal, sys
from pathlib import Path
from composemesh.stack.daemon import Ready
from composemesh.stack.state import MeshEntry, StateFolder

folder = StateFolder(Path(sys.argv[1]), "shop")
fd = int(sys.argv[-1].removeprefix("--ready-fd="))
part = sys.argv[2]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
print("log line", flush=True)
if part == "dies":
    sys.exit("no such thing")
if part == "refuses":
    Ready(error="The port is taken: take another.", exit_code=2).tell(fd)
    sys.exit(2)
if part == "hangs":
    signal.sigwait([signal.SIGTERM])
    sys.exit(0)
folder.write(MeshEntry.of_this_process("shop", {}, admin_url="http://mesh"))
print(os.getsid(0) == os.getpid(), os.readlink("/proc/self/fd/0"), file=sys.stderr, flush=True)
Ready(admin_url="http://mesh").tell(fd)
print(signal.sigwait([signal.SIGTERM, signal.SIGUSR1]).name, flush=True)
if part == "deaf":
    signal.pause()
folder.clear()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StateFolder]:
    folder = StateFolder(tmp_path, "shop")
    yield folder
    if (entry := folder.serving()) is not None:
        os.kill(entry.pid, signal.SIGKILL)
        os.waitpid(entry.pid, 0)


@pytest.fixture
def play(folder: StateFolder) -> Callable[[str], list[str]]:
    return lambda part: [sys.executable, "-c", PLAY, str(folder.path.parent), part]


def reap(folder: StateFolder) -> None:
    """Ask for our child's end as init would, so that it does not stay a zombie."""
    entry = folder.entry()
    assert entry is not None
    threading.Thread(target=os.waitpid, args=(entry.pid, 0)).start()


def test_it_serves_when_spawn_returns_and_ends_when_stop_does(
    folder: StateFolder, play: Callable[[str], list[str]]
) -> None:
    ready = spawn(folder, play("serves"))
    entry = folder.serving()
    assert ready.admin_url == "http://mesh"
    assert entry is not None
    assert entry.state == "serving"
    assert folder.log.read_text() == "log line\nTrue /dev/null\n"
    reap(folder)
    assert stop(folder) is Ended.WELL
    assert folder.log.read_text().endswith("SIGTERM\n")
    assert not entry.alive
    assert stop(folder) is Ended.NOT_RUNNING


def test_it_is_told_to_leave_the_stack_alone(folder: StateFolder, play: Callable[[str], list[str]]) -> None:
    spawn(folder, play("serves"))
    reap(folder)
    assert stop(folder, keep_stack=True) is Ended.WELL
    assert folder.log.read_text().endswith("SIGUSR1\n")


def test_why_it_ended_while_it_started_is_told(folder: StateFolder, play: Callable[[str], list[str]]) -> None:
    with pytest.raises(UserError, match=r"ended while it started \(exit 1\): no such thing .*mesh\.log"):
        spawn(folder, play("dies"))


def test_its_own_refusal_is_passed_on(folder: StateFolder, play: Callable[[str], list[str]]) -> None:
    with pytest.raises(UserError, match=r"^The port is taken: take another\.$") as caught:
        spawn(folder, play("refuses"))
    assert caught.value.exit_code == 2


def test_one_that_takes_too_long_is_ended(folder: StateFolder, play: Callable[[str], list[str]]) -> None:
    with pytest.raises(UserError, match="did not come up within"):
        spawn(folder, play("hangs"), limit=0.3)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_one_that_does_not_end_is_killed(folder: StateFolder, play: Callable[[str], list[str]]) -> None:
    spawn(folder, play("deaf"))
    reap(folder)
    assert stop(folder, limit=0.2) is Ended.KILLED


def test_one_that_was_killed_earlier(folder: StateFolder, play: Callable[[str], list[str]]) -> None:
    spawn(folder, play("serves"))
    entry = folder.entry()
    assert entry is not None
    os.kill(entry.pid, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(entry.pid, 0)[1]) == signal.SIGKILL
    assert stop(folder) is Ended.KILLED


def test_a_process_that_only_has_the_pid_is_let_live(folder: StateFolder) -> None:
    folder.prepare()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bystander:
        folder.write(MeshEntry("shop", bystander.pid, "1@another-boot", "", admin_url="http://mesh"))
        assert stop(folder) is Ended.KILLED
        out, _ = bystander.communicate(b"alive")
    assert out == b"alive"
    assert bystander.returncode == 0


def test_the_log_before_this_one_is_kept(folder: StateFolder, play: Callable[[str], list[str]]) -> None:
    folder.prepare()
    folder.log.write_text("the last words\n")
    with pytest.raises(UserError):
        spawn(folder, play("dies"))
    assert folder.log.with_name("mesh.log.1").read_text() == "the last words\n"


@pytest.mark.parametrize("how", [["-m", "composemesh"], ["-X", "utf8", "-m", "composemesh"]])
def test_this_command_is_how_it_was_called(tmp_path: Path, how: list[str]) -> None:
    package = tmp_path / "composemesh_probe.py"
    package.write_text(
        "import json; from composemesh.stack.daemon import this_command; print(json.dumps(this_command()))"
    )
    call = [sys.executable, *how[:-1], "composemesh_probe"]
    path = os.pathsep.join((str(tmp_path), *filter(None, sys.path)))
    answer = subprocess.run([*call, "up", "-d"], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == repr(call).replace("'", '"')


def test_this_command_of_a_script(tmp_path: Path) -> None:
    script = tmp_path / "composemesh"
    script.write_text("from composemesh.stack.daemon import this_command; print(*this_command())")
    path = os.pathsep.join(filter(None, sys.path))
    call = [sys.executable, str(script)]
    answer = subprocess.run([*call, "-p", "x"], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == call
    assert this_command()[0] == sys.executable
