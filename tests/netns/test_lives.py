"""Workloads that start, end, share, misbehave and are left behind: what capture does and what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from composemesh.capture import modes
from composemesh.capture.iptables import Iptables, Tool
from composemesh.capture.modes import Capture, sweep
from composemesh.capture.refusal import DIED, NO_PERMISSION
from composemesh.capture.rules import Version
from composemesh.model.snapshot import CaptureMode, Exclude, MeshSettings, ServiceSettings, Snapshot
from composemesh.model.workload import Attachment, Discovered
from composemesh.runtime.latest import Latest
from netns.namespaces import Host, Mesh, accepted, held

pytestmark = pytest.mark.root

USERS_OWN = ("-A OUTPUT -p tcp -m tcp --dport 7 -j RETURN", "-A PREROUTING -s 10.0.0.0/8 -j ACCEPT")


def ours(host: Host) -> list[str]:
    return [rule for rule in host.all_rules() if "COMPOSEMESH" in rule or "composemesh" in rule]


def jumps(host: Host) -> list[str]:
    return [rule for rule in host.all_rules() if " -j COMPOSEMESH_" in rule]


def tools(restore: str = "", save: str = "", version: int = 4) -> Tool:
    found = Tool.find(4 if version == 4 else 6)
    assert found is not None
    return replace(found, restore=restore or found.restore, save=save or found.save)


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


async def test_release_leaves_the_table_as_it_was(app: Host, mesh: Mesh) -> None:
    for rule in USERS_OWN:
        app.run("iptables", "-t", "nat", *rule.split())
    before = app.all_rules()
    told = await mesh(app)
    captured = await told.captured(app)
    assert len(jumps(app)) == 5
    assert set(USERS_OWN) <= set(app.rules())
    await told.capture.release()
    assert app.all_rules() == before
    assert not told.capture.captures.value.captured
    captured.namespace.socket(2).close()  # exchanges in flight may still dial


async def test_after_release_nothing_is_captured_any_more(app: Host, peer: Host, mesh: Mesh) -> None:
    told = await mesh(app)
    await told.captured(app)
    await told.capture.release()
    told.runs(app, peer)
    told.snapshot.publish(Snapshot("shop", MeshSettings(exclude=Exclude(ports=(1,)))))
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert not ours(app)
    assert not ours(peer)


def _open_in_four(port: int, rules: list[str]) -> bool:
    return sum(f"--dport {port} " in rule for rule in rules) == 4


async def test_rules_are_never_doubled(app: Host, mesh: Mesh) -> None:
    told = await mesh(app)
    await told.captured(app)
    for port in (1, 2, 3):
        told.snapshot.publish(Snapshot("shop", MeshSettings(exclude=Exclude(ports=(port,)))))
        await app.until_rules(partial(_open_in_four, port))
    assert len(jumps(app)) == 5
    assert not any("--dport 2 " in rule for rule in ours(app))


KILLED_MESH = """
import sys, trio
from composemesh.capture.modes import Capture
from composemesh.model.snapshot import CaptureMode, Snapshot
from composemesh.model.workload import Discovered, Workload
from composemesh.runtime.latest import Latest

async def main():
    workload = Workload(sys.argv[1], sys.argv[2], "app", sys.argv[3], int(sys.argv[4]))
    capture = Capture(Latest(Discovered((workload,))), Latest(Snapshot("shop")), CaptureMode.AUTO)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(capture.run)
        while not capture.captures.value.captured:
            await capture.captures.after(capture.captures.version)
        print("captured", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def another_mesh(app: Host) -> subprocess.Popen[str]:
    told = [app.workload.id, app.workload.name, app.workload.started, str(app.pid)]
    mesh = subprocess.Popen([sys.executable, "-c", KILLED_MESH, *told], stdout=subprocess.PIPE, text=True)
    assert mesh.stdout is not None
    while mesh.stdout.readline().strip() != "captured":
        assert mesh.poll() is None
    return mesh


def kill(mesh: subprocess.Popen[str]) -> None:
    with mesh:
        mesh.send_signal(signal.SIGKILL)


async def test_what_a_killed_mesh_left_is_replaced(app: Host, mesh: Mesh) -> None:
    before = app.all_rules()
    kill(another_mesh(app))
    assert len(jumps(app)) == 5
    told = await mesh(app)
    await told.captured(app)
    assert len(jumps(app)) == 5
    assert all(f"composemesh:{os.getpid()}:" in jump for jump in jumps(app))
    await told.capture.release()
    assert app.all_rules() == before


async def test_what_a_killed_mesh_left_is_swept(app: Host, peer: Host) -> None:
    for rule in USERS_OWN:
        app.run("iptables", "-t", "nat", *rule.split())
    before = app.all_rules()
    kill(another_mesh(app))
    gone = replace(app.workload, id="gone", pid=2**22)
    assert await sweep([app.workload, peer.workload, gone]) == 1
    assert app.all_rules() == before
    assert await sweep([app.workload]) == 0


async def test_what_a_killed_mesh_left_goes_from_a_workload_that_is_meshed_no_more(app: Host, mesh: Mesh) -> None:
    kill(another_mesh(app))
    await mesh(app, snapshot=Snapshot("shop", services={"app": ServiceSettings("app", meshed=False)}))
    await app.until_rules(lambda rules: not any("COMPOSEMESH" in rule for rule in rules))


async def test_a_living_mesh_keeps_what_it_captured(app: Host, mesh: Mesh) -> None:
    other = another_mesh(app)
    try:
        before = app.all_rules()
        assert await sweep([app.workload]) == 0
        assert f"process {other.pid}" in await (await mesh(app)).refused(app)
        assert app.all_rules() == before
    finally:
        kill(other)


async def test_meshed_is_switched_off_and_on(app: Host, mesh: Mesh) -> None:
    told = await mesh(app)
    before = await told.captured(app)
    told.snapshot.publish(Snapshot("shop", services={"app": ServiceSettings("app", meshed=False)}))
    await told.until(lambda: not told.capture.captures.value.captured)
    assert "x-mesh: false" in await told.refused(app)
    assert not ours(app)
    told.snapshot.publish(Snapshot("shop"))
    assert await told.captured(app) is not before
    assert len(jumps(app)) == 5


async def test_a_change_of_networks_keeps_the_listeners(app: Host, mesh: Mesh) -> None:
    told = await mesh(app)
    before = await told.captured(app)
    app.workload = replace(app.workload, attachments=(Attachment("n", "front", ("10.0.0.9",)),))
    told.runs(app)
    await told.until(lambda: told.capture.captures.value.captured[app.workload.life].workload == app.workload)
    after = told.capture.captures.value.captured[app.workload.life]
    assert after.inbound is before.inbound
    assert after.namespace is before.namespace
    version = told.capture.captures.version
    told.discovered.publish(Discovered((app.workload,), trouble="the same again"))
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert told.capture.captures.version == version


async def test_the_end_of_a_workload_lets_its_namespace_go(app: Host, mesh: Mesh) -> None:
    told = await mesh(app)
    captured = await told.captured(app)
    app.end()
    told.runs()
    await told.until(lambda: not told.capture.captures.value.captured)
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(OSError):
        captured.namespace.socket(2)
    assert captured.listening() == frozenset()


async def test_one_that_is_dead_already_hinders_nobody(app: Host, mesh: Mesh) -> None:
    with held("shop-dead-1") as dead:
        dead.end()
        told = await mesh(dead, app)
        await told.captured(app)
        assert await told.refused(dead) == DIED


async def test_one_that_dies_in_the_middle_hinders_nobody(app: Host, mesh: Mesh, tmp_path: Path) -> None:
    with held("shop-dying-1") as dying:
        murder = f'kill -9 {dying.pid} 2>/dev/null; exec {tools().restore} "$@"'
        deadly = Iptables({4: tools(script(tmp_path / "restore", murder)), 6: tools(version=6)})
        told = await mesh(dying, app, iptables=deadly)
        await told.captured(app)
        await told.until(lambda: len(told.capture.latencies) == 2)
        told.runs(app)
        await told.until(lambda: list(told.capture.captures.value.captured) == [app.workload.life])


async def test_a_pid_that_belongs_to_somebody_else_by_now_is_not_entered(app: Host, mesh: Mesh) -> None:
    app.workload = replace(app.workload, started="2020-01-01T00:00:00Z")
    assert await (await mesh(app)).refused(app) == DIED
    assert not ours(app)


async def test_the_hosts_own_network_is_never_entered(app: Host, mesh: Mesh) -> None:
    app.workload = replace(app.workload, pid=os.getpid(), started="")
    assert "host's own network" in await (await mesh(app)).refused(app)


async def test_a_shared_network_has_one_sidecar(app: Host, mesh: Mesh) -> None:
    told = await mesh(app)
    await told.captured(app)
    second = replace(app.workload, id="second", name="shop-second-1")
    told.discovered.publish(Discovered((app.workload, second)))
    await told.until(lambda: "second" in told.capture.captures.value.refused)
    assert "shop-app-1" in told.capture.captures.value.refused["second"]
    assert len(jumps(app)) == 5


async def test_iptables_missing(app: Host, mesh: Mesh) -> None:
    told = await mesh(app, iptables=Iptables({4: None, 6: None}))
    assert "iptables is missing" in await told.refused(app)


async def test_iptables_failing_is_said_in_its_own_words_and_tried_again(
    app: Host, mesh: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modes, "FIRST_RETRY", 0.05)
    mended = tmp_path / "mended"
    text = f'[ -e {mended} ] || {{ echo "no chain by that name" >&2; echo second >&2; exit 1; }}\n'
    broken = Iptables({4: tools(script(tmp_path / "r", text + f'exec {tools().restore} "$@"')), 6: tools(version=6)})
    told = await mesh(app, iptables=broken)
    assert await told.refused(app) == "The rules could not be put in place: no chain by that name"
    await app.until_rules(lambda rules: not any("COMPOSEMESH" in rule for rule in rules))  # IPv6 neither
    mended.touch()
    await told.captured(app)
    assert not told.capture.captures.value.refused


async def test_a_kernel_without_ipv6_nat_is_captured_in_ipv4_and_said_once(
    app: Host, peer: Host, mesh: Mesh, tmp_path: Path
) -> None:
    none = script(tmp_path / "none", 'echo "ip6tables: can\'t initialize table nat" >&2; exit 3')
    before = app.all_rules()
    with capture_logs() as logs:
        told = await mesh(app, peer, iptables=Iptables({4: tools(), 6: tools(none, none, 6)}))
        await told.captured(app)
        await told.captured(peer)
        await told.capture.release()
    assert [log["because"] for log in logs if "IPv6" in log["event"]] == ["ip6tables: can't initialize table nat"]
    assert app.all_rules() == before


async def test_the_older_kind_of_iptables(app: Host, peer: Host, mesh: Mesh) -> None:
    legacy: dict[Version, Tool | None] = {4: Tool(4, "iptables-legacy-restore", "iptables-legacy-save")}
    app.run("iptables-legacy", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "7", "-j", "RETURN")
    before = app.rules("iptables-legacy-save")
    told = await mesh(app, iptables=Iptables({**legacy, 6: None}))
    captured = await told.captured(app)
    await app.connect(peer.addresses[2], 80)
    await accepted(captured.outbound, 2)
    told.snapshot.publish(Snapshot("shop", MeshSettings(exclude=Exclude(ports=(9,)))))
    with trio.fail_after(10):
        while not any("--dport 9 " in rule for rule in app.rules("iptables-legacy-save")):  # noqa: ASYNC110
            await trio.sleep(0.02)
    await told.capture.release()
    assert [rule for rule in app.rules("iptables-legacy-save") if rule[0] == "-"] == [
        r for r in before if r[0] == "-"
    ]


async def test_capture_off(app: Host, mesh: Mesh) -> None:
    assert "capture: none" in await (await mesh(app, mode=CaptureMode.NONE)).refused(app)


async def test_without_permission(app: Host, mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modes, "lacking", lambda: ["CAP_SYS_ADMIN"])
    assert await (await mesh(app)).refused(app) == NO_PERMISSION


async def test_a_cancelled_run_goes_on_where_it_was(app: Host, mesh: Mesh, nursery: trio.Nursery) -> None:
    capture = Capture(Latest(Discovered((app.workload,))), Latest(Snapshot("shop")), CaptureMode.AUTO)
    for _ in range(2):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as inner:
                inner.start_soon(capture.run)
                while not capture.captures.value.captured:
                    await capture.captures.after(capture.captures.version)
                scope.cancel()
        assert len(jumps(app)) == 5
    for listener in [
        one for each in capture.captures.value.captured.values() for one in each.inbound + each.outbound
    ]:
        listener.close()
    await capture.release()
    assert not ours(app)


async def test_twenty_at_once(mesh: Mesh) -> None:
    with ExitStack() as stack:
        hosts = [stack.enter_context(held(f"shop-many{number}-1")) for number in range(20)]
        told = await mesh(*hosts)
        await told.until(lambda: len(told.capture.captures.value.captured) == 20)
        assert max(latency.capturing for latency in told.capture.latencies) < 2.0  # 0.05 on a quiet machine
        await told.capture.release()
        assert not any(ours(host) for host in hosts)


def test_a_thread_that_cannot_come_back_ends_the_process(app: Host) -> None:
    program = (
        "import sys\n"
        "from composemesh.capture import netns\n"
        "from composemesh.model.workload import Workload\n"
        "namespace = netns.NetworkNamespace.of(Workload('i', 'n', 's', '', int(sys.argv[1])))\n"
        "netns._home = lambda: -1\n"
        "namespace.socket(2)\n"
        "print('alive')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(app.pid)], capture_output=True, text=True)
    assert done.returncode == 70
    assert "cannot come back" in done.stdout
    assert "alive" not in done.stdout
