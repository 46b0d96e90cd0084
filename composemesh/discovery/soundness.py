"""Whether the mesh can deal with a workload that a plugin reports. Pure."""

from __future__ import annotations

import ipaddress

from composemesh.model.workload import Workload

LONGEST = 255
"""Letters of a name."""


def wrong_with(workload: object) -> str:
    """What to write instead, as a sentence; empty where it can be dealt with."""
    if not isinstance(workload, Workload):
        return "Make a Workload(…) of it."
    for word in ("id", "name", "compose_service"):
        value = getattr(workload, word)
        if not isinstance(value, str) or not value or not value.isprintable() or len(value) > LONGEST:
            return f"`{word}` must be up to {LONGEST} printable letters: it goes into logs, metrics and lists."
    for address in workload.addresses:
        try:
            plain = str(ipaddress.ip_address(address)) == address
        except ValueError:
            plain = False
        if not plain:
            return f"{address!r:.80} is no address as `ipaddress` prints it: resolve names before you publish."
    if not workload.addresses:
        return "A workload that stands nowhere cannot be called: give it an Attachment with its addresses."
    sound = {port for port in workload.ports if isinstance(port, int) and 0 < port < 65536}
    if list(workload.ports) != sorted(sound):
        return "`ports` must be TCP ports from 1 to 65535, ascending, each once."
    return ""
