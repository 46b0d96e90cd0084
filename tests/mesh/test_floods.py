"""What others feel of floods: one proxy bears them all, while somebody who does no harm asks beside them.

Proxy, origin, attacker and bystander have a process each, so that none is slow for what another does in Python. How
long the bystander waits also tells what else the machine does. What the proxy does meanwhile, in processor time, does
not: alone, that is the work for one request; amid floods, for all that was put before it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from bench.processes import await_answer, free_port, resident_bytes, running
from environment.tools import find
from mesh.attacker import told
from mesh.bystander import Bystander, divided, p99
from mesh.test_exhaustion import python_path
from mesh.test_http2_abuse import BODY, MOST_MEMORY, listens
from wire.h2.abuses import ABUSES

TURN = 0.1
"""Seconds of each flood, and of quiet before it."""
ONE_FLOOD = 0.02
"""Seconds of processor time that a flood may cost before it has been ended."""
STALL = 0.01
"""Seconds that a busy machine may add: its kernel lets each program run for some three milliseconds at a time."""
MOST_WORK = 3
"""How many times the work for one request may be done before an answer amid floods."""


@pytest.mark.slow
def test_others_are_served_as_fast_and_memory_stays(
    programs: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programs("nghttpd")
    (tmp_path / "page").write_bytes(BODY)
    port, origin = free_port(), free_port()
    server = [str(find("nghttpd")), "--no-tls", "--address", "127.0.0.1", "--htdocs", str(tmp_path), str(origin)]
    python = ["env", f"PYTHONPATH={python_path()}", sys.executable, "-m"]
    mesh = [*python, "bench.mesh", "--frozen", "--listen", str(port), "--origin", str(origin)]
    with running("nghttpd", server, tmp_path), running("mesh", mesh, tmp_path) as proxy:
        await_answer(port, [proxy], listens)
        pid = proxy.process.pid
        bystander = Bystander(port, pid)
        bystander.ask_for(1.0)  # to warm up
        bystander.waits.clear()
        before = most = resident_bytes(pid)
        with running("attacker", [*python, "mesh.attacker", str(port), str(TURN)], tmp_path) as attacker:
            while attacker.process.poll() is None:
                bystander.ask_for(TURN)
                most = max(most, resident_bytes(pid))
        bystander.ask_for(TURN)
        bystander.close()
    attacks = told(attacker.log.read_text())
    alone, amid = divided(bystander.waits, attacks)
    floods = sum(attack.floods for attack in attacks)
    cost = (sum(wait.work for wait in amid) - len(amid) * median(wait.work for wait in alone)) / floods
    waited, waited_amid = (p99([wait.seconds for wait in waits]) for waits in (alone, amid))
    work, work_amid = (p99([wait.work for wait in waits]) for waits in (alone, amid))
    with capsys.disabled():
        print(f"\n  {floods} floods of {cost * 1e3:.1f} ms, {(most - before) / 1e6:.1f} MB more; p99", end="")
        print(f" {waited * 1e3:.1f} ms without, {waited_amid * 1e3:.1f} ms amid them", end="")
        print(f" ({work * 1e3:.1f} and {work_amid * 1e3:.1f} ms of work)")
    assert [attack.name for attack in attacks] == [*ABUSES]
    assert most - before < MOST_MEMORY
    assert cost < ONE_FLOOD
    assert waited_amid < 2 * waited + STALL
    assert work_amid < MOST_WORK * work
