"""Who is not captured, and the one sentence that says why (admin API, `reason`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from composemesh.model.snapshot import CaptureMode, ServiceSettings
from composemesh.model.workload import Kind, Workload

CAPABILITIES = {12: "CAP_NET_ADMIN", 21: "CAP_SYS_ADMIN"}
"""By bit (capabilities(7)): to put rules into a network namespace, and to enter it."""
STATUS = Path("/proc/self/status")
NO_PERMISSION = (
    "The mesh may not enter network namespaces: run composemesh as root, with CAP_NET_ADMIN and CAP_SYS_ADMIN."
)
FOUND = "It was found on the network: calls to it go through the mesh, its own are no business of this host."
PROCESS = "It is a process of this host, which shares its network."
DIED = "It ended while it was being captured."


class Refused(Exception):
    """A workload whose traffic cannot come to the mesh; the message is one sentence for its owner."""


def refusal(workload: Workload, settings: ServiceSettings, mode: CaptureMode, names: Mapping[str, str]) -> str:
    """Why this workload is not to be captured, judged without touching it; empty where it is.

    `names` gives the name of each workload by its id.
    """
    if workload.kind is Kind.FOUND:
        return FOUND
    if mode is CaptureMode.NONE:
        return "Capture is off: the mesh runs with `capture: none`."
    if mode is CaptureMode.LOOPBACK:
        return "The mesh runs with `capture: loopback`, which takes host processes only."
    if not settings.meshed:
        return "It is left alone, as its configuration says: `x-mesh: false`."
    return unreachable(workload, names)


def unreachable(workload: Workload, names: Mapping[str, str]) -> str:
    """Why there is no namespace of the workload's own to enter; empty where there is one."""
    if workload.kind is Kind.FOUND:
        return FOUND
    if workload.kind is Kind.PROCESS:
        return PROCESS
    network = workload.network_mode
    if network == "host":
        return "`network_mode: host` puts it on the host's own network, where its traffic cannot be told apart."
    if network == "none":
        return "`network_mode: none` leaves it no network, so there is no traffic to capture."
    if network.startswith("container:"):
        return _shares(network.removeprefix("container:"), names)
    if network != "own":
        return f"Its network mode `{network}` is not one that the mesh can enter."
    if workload.pid <= 0:
        return "Its processes cannot be seen from here: the engine runs on another machine or in a virtual one."
    return ""


def shares_with(name: str) -> str:
    """Why a workload is not captured that lives in the network namespace of another, which is."""
    return f"It shares the network of {name}, whose capture carries its traffic."


def _shares(other: str, names: Mapping[str, str]) -> str:
    name = names.get(other) or next((named for key, named in names.items() if other and key.startswith(other)), "")
    if name:
        return shares_with(name)
    return f"It shares the network of container {other[:12]}, which is not a workload of this project."


def lacking(status: Path = STATUS) -> list[str]:
    """Those of the `CAPABILITIES` that this process does not hold; all of them off Linux."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        lines = []
    held = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
    return [name for bit, name in CAPABILITIES.items() if not held >> bit & 1]
