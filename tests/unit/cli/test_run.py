"""`composemesh run` as its users run it: processes, their output, their signals and their ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import composemesh
from composemesh.capture.loopback import unsupported
from composemesh.stack.command import environment, hosts_of
from composemesh.stack.membership import Door

pytestmark = pytest.mark.skipif(bool(unsupported()), reason=unsupported() or "Linux")

REPOSITORY = Path(composemesh.__file__).parents[1]
PATIENCE = 30.0

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = sys.argv[2].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
ASK = """
import os, sys, time, urllib.request
address = f"http://{os.environ[sys.argv[1] + '_HOSTNAME']}:{os.environ[sys.argv[1] + '_SERVICE_PORT']}/"
until = time.monotonic() + float(sys.argv[2])
while True:
    try:
        print(urllib.request.urlopen(address, timeout=5).read().decode())
        break
    except OSError as problem:
        if time.monotonic() > until:
            sys.exit(f"no answer: {problem}")
        time.sleep(0.02)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Place:
    """A state folder of its own, and everything that was started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []

    def call(self, *arguments: str) -> subprocess.Popen[str]:
        environ = {"PYTHONPATH": str(REPOSITORY), "COMPOSEMESH_STATE_DIR": str(self.folder / "state")}
        process = subprocess.Popen(
            [sys.executable, "-m", "composemesh", *arguments],
            cwd=self.folder,
            env={**environ, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, name: str, *arguments: str, port: int = 0) -> subprocess.Popen[str]:
        """`composemesh run`: options, `--`, and the command."""
        return self.call("run", "--name", name, "--port", str(port or free_port()), *arguments)

    def serve(self, name: str, *options: str, says: str = "") -> tuple[subprocess.Popen[str], int]:
        """A server under the mesh, once it listens; and its port."""
        port = free_port()
        process = self.run(name, *options, "--", sys.executable, "-c", SERVER, str(port), says or name, port=port)
        until(lambda: _listens(port))
        return process, port

    def state(self, project: str) -> dict[str, list[dict[str, object]]]:
        """The workloads of each service, as `status` tells it."""
        said = ended(self.call("-p", project, "status", "--format", "json"))
        return {each["name"]: each["workloads"] for each in json.loads(said[1])["services"]}


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.terminate()
    for process in made.started:
        try:
            process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


# === a command ===


def test_the_exit_code_and_what_is_said_are_the_commands(place: Place) -> None:
    code, out, err = ended(place.run("report", "--", "sh", "-c", "echo hello; exit 7"))
    assert (code, out) == (7, "hello\n")
    assert "report is a workload of project report" in err
    assert "Traceback" not in err
    assert not (place.folder / "state" / "report" / "mesh.json").exists()


def test_a_signal_is_the_commands_to_answer(place: Place) -> None:
    script = 'trap "echo asked; exit 3" TERM; echo ready; while :; do sleep 0.05; done'
    process = place.run("report", "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    code, out, _ = ended(process)
    assert (code, out) == (3, "asked\n")


def test_a_command_that_a_signal_ends_has_the_shells_code(place: Place) -> None:
    assert ended(place.run("report", "--", "sh", "-c", "kill -9 $$"))[0] == 128 + signal.SIGKILL


def test_pipes_break_as_they_do_without_the_mesh(place: Place) -> None:
    """Python ignores SIGPIPE, and what it starts would inherit that."""
    script = "import signal; print(signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL)"
    code, out, _ = ended(place.run("report", "--", "sh", "-c", "grep SigIgn /proc/self/status"))
    assert code == 0
    assert int(out.split()[1], 16) & 1 << (signal.SIGPIPE - 1) == 0, script


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--name", "a", "--port", "1234", "--", "no-such-command"], 127, "no command that is found"),
        (["--name", "a", "--port", "70000", "--", "true"], 2, "70000"),
        (["--name", "A b", "--port", "1234", "-p", "x", "--", "true"], 1, "no name for a service"),
        (["--name", "a", "--port", "1234"], 2, "COMMAND"),
        (["--name", "a", "--port", "1234", "--call", "b", "--", "true"], 2, "NAME:PORT"),
        (["--name", "a", "--port", "1234", "--browse", "http", "--", "true"], 1, "service type"),
    ],
)
def test_a_call_that_is_wrong_is_one_line(place: Place, arguments: list[str], code: int, words: str) -> None:
    found, _, err = ended(place.call("run", *arguments))
    assert found == code
    complaint = [line for line in err.splitlines() if words in line]
    assert len(complaint) == 1, err
    assert "Traceback" not in err


def test_a_port_that_is_taken_is_one_line(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, _, err = ended(place.run("report", "--", "true", port=other.getsockname()[1]))
    assert code == 1
    assert err.startswith("composemesh: Port ")
    assert err.count("\n") == 1


# === several ===


def test_two_processes_of_one_project_call_each_other(place: Place) -> None:
    place.serve("one", "-p", "shop", says="this is one")
    code, out, err = ended(place.run("two", "-p", "shop", "--", sys.executable, "-c", ASK, "ONE", "10"))
    assert (code, out) == (0, "this is one\n"), err
    said = json.loads(ended(place.call("-p", "shop", "graph", "--window", "all", "--format", "json"))[1])
    (edge,) = said["edges"]
    assert (edge["source"].partition("/")[0], edge["destination"].partition("/")[0]) == ("two", "one")
    assert (edge["requests"], edge["errors"]) == (1, 0)
    until(lambda: "two" not in place.state("shop"))


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="a private /etc/hosts is for root")
def test_root_finds_services_by_name(place: Place) -> None:
    before = Path("/etc/hosts").read_text()
    _, port = place.serve("one", "-p", "shop")
    script = f"import urllib.request as u; print(u.urlopen('http://one:{port}/').read().decode())"
    code, out, err = ended(place.run("two", "-p", "shop", "--", sys.executable, "-c", script))
    assert (code, out) == (0, "one\n"), err
    assert Path("/etc/hosts").read_text() == before


def test_a_name_that_is_taken_is_one_line_and_another_version_is_welcome(place: Place) -> None:
    place.serve("one", "-p", "shop", "--version", "v1")
    code, _, err = ended(place.run("one", "-p", "shop", "--version", "v1", "--", "true"))
    assert code == 1
    assert "The name one is taken by process" in err
    assert err.count("\n") == 1
    assert ended(place.run("one", "-p", "shop", "--version", "v2", "--", "true"))[0] == 0


def test_a_killed_run_leaves_no_command_and_no_workload(place: Place) -> None:
    place.serve("one", "-p", "shop")
    process, port = place.serve("two", "-p", "shop")
    assert "two" in place.state("shop")
    process.kill()
    process.communicate()
    until(lambda: not _listens(port))
    until(lambda: "two" not in place.state("shop"))


def test_a_killed_mesh_ends_the_commands_that_joined_it(place: Place) -> None:
    mesh, port = place.serve("one", "-p", "shop")
    other, other_port = place.serve("two", "-p", "shop")
    mesh.kill()
    code, _, err = ended(other)
    assert code == 1
    assert "the mesh of project shop has ended" in err
    until(lambda: not _listens(port) and not _listens(other_port))


# === mDNS ===


def test_two_meshes_find_each_other_by_mdns_and_traffic_passes(place: Place) -> None:
    """Two processes, each with a mesh of its own: found in two seconds, called through both, forgotten in five."""
    name = f"one{os.getpid()}"
    options = ["--interface", "127.0.0.1", "--browse", "_http._tcp", "--call", f"{name}:80"]
    reader, _ = place.serve("reader", *options, "-p", f"reader{os.getpid()}")
    project = f"one{os.getpid()}"
    server, _ = place.serve(name, "--interface", "127.0.0.1", "--publish", says="found you")
    began = time.monotonic()
    until(lambda: name in place.state(f"reader{os.getpid()}"))
    assert time.monotonic() - began < 2.0 + 3.0  # asking takes a process of its own each time
    asking = [
        "-p",
        f"reader{os.getpid()}",
        "--call",
        f"{name}:80",
        "--",
        sys.executable,
        "-c",
        ASK,
        name.upper(),
        "5",
    ]
    code, out, err = ended(place.run("asker", *asking))
    assert (code, out) == (0, "found you\n"), err
    said = json.loads(ended(place.call("-p", project, "graph", "--window", "all", "--format", "json"))[1])
    assert [(edge["source"].partition("/")[0], edge["requests"]) for edge in said["edges"]] == [
        (f"gateway:mdns-{name}", 1)
    ]
    server.terminate()
    ended(server)
    began = time.monotonic()
    until(lambda: name not in place.state(f"reader{os.getpid()}"))
    assert time.monotonic() - began < 5.0
    assert reader.poll() is None


# === what a command is told ===

DOORS = (
    Door("reviews", 9080, "127.80.32.1", 9080),
    Door("reviews", 9090, "127.80.32.1", 9090),
    Door("my-db.v1", 5432, "127.80.32.2", 5433),
)


def test_the_environment_has_every_service() -> None:
    assert environment(DOORS) == {
        "REVIEWS_HOSTNAME": "127.80.32.1",
        "REVIEWS_SERVICE_PORT": "9080",
        "MY_DB_V1_HOSTNAME": "127.80.32.2",
        "MY_DB_V1_SERVICE_PORT": "5433",
    }


def test_the_hosts_file_has_only_those_whose_name_and_port_lead_to_the_mesh() -> None:
    assert hosts_of(DOORS) == "127.80.32.1 reviews\n"
