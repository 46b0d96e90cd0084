"""Who is not captured, in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from composemesh.capture.refusal import lacking, refusal
from composemesh.model.snapshot import CaptureMode, ServiceSettings
from composemesh.model.workload import Workload

DATABASE = "0123456789abcdef" * 4
NAMES = {DATABASE: "shop-db-1"}
MESHED = ServiceSettings("app", "v1")


def app(network: str = "own", pid: int = 4711) -> Workload:
    return Workload("a" * 64, "shop-app-1", "app", "2026-11-20T10:00:00Z", pid, network_mode=network)


@pytest.mark.parametrize(
    ("workload", "settings", "mode", "said"),
    [
        (app(), MESHED, CaptureMode.AUTO, ""),
        (app(), MESHED, CaptureMode.NETNS, ""),
        (app(), MESHED, CaptureMode.NONE, "capture: none"),
        (app(), MESHED, CaptureMode.LOOPBACK, "host processes only"),
        (app(), ServiceSettings("app", meshed=False), CaptureMode.AUTO, "x-mesh: false"),
        (app("host"), MESHED, CaptureMode.AUTO, "network_mode: host"),
        (app("none"), MESHED, CaptureMode.AUTO, "network_mode: none"),
        (app(f"container:{DATABASE}"), MESHED, CaptureMode.AUTO, "shop-db-1, whose capture carries its traffic"),
        (app(f"container:{DATABASE[:12]}"), MESHED, CaptureMode.AUTO, "shares the network of shop-db-1"),
        (app("container:" + "f" * 64), MESHED, CaptureMode.AUTO, "container ffffffffffff, which is not a workload"),
        (app("container:"), MESHED, CaptureMode.AUTO, "not a workload of this project"),
        (app("ns:/run/netns/x"), MESHED, CaptureMode.AUTO, "ns:/run/netns/x"),
        (app(pid=0), MESHED, CaptureMode.AUTO, "cannot be seen from here"),
    ],
)
def test_sentences(workload: Workload, settings: ServiceSettings, mode: CaptureMode, said: str) -> None:
    sentence = refusal(workload, settings, mode, NAMES)
    assert bool(sentence) == bool(said)
    assert said in sentence
    assert "\n" not in sentence
    assert not sentence or sentence.endswith(".")


@pytest.mark.parametrize(
    ("held", "missing"),
    [
        ("000001ffffffffff", []),
        ("0000000000201000", []),
        ("0000000000001000", ["CAP_SYS_ADMIN"]),
        ("0000000000200000", ["CAP_NET_ADMIN"]),
        ("0000000000000000", ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]),
    ],
)
def test_capabilities(tmp_path: Path, held: str, missing: list[str]) -> None:
    status = tmp_path / "status"
    status.write_text(f"Name:\tpython\nCapPrm:\t0000000000000000\nCapEff:\t{held}\n")
    assert lacking(status) == missing


def test_where_there_is_no_proc(tmp_path: Path) -> None:
    assert lacking(tmp_path / "status") == ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]
