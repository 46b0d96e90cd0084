"""composemesh as a gateway: HTTPS towards clients, and the service behind reached by a rule.

`python -m bench.gateway --listen PORT --origin PORT --certificates FOLDER` serves until it is told to end.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import trio

from composemesh.identity.ca import Authority
from composemesh.identity.issuer import server_contexts
from composemesh.model.gateway import Gateway, Server, ServerProtocol, TlsSettings
from composemesh.model.route import Destination, HttpRule, VirtualHost, WeightedDestination
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Attachment, Discovered, Workload
from composemesh.proxy.fleet import Fleet
from composemesh.runtime.captured import Captured, Captures, HostNamespace
from composemesh.runtime.latest import Latest
from composemesh.telemetry.hub import Hub


def command(port: int, origin: int, folder: Path) -> list[str]:
    options = ["--listen", str(port), "--origin", str(origin), "--certificates", str(folder)]
    return [sys.executable, "-m", "bench.gateway", *options]


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.gateway")
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--origin", type=int, required=True)
    parser.add_argument("--certificates", type=Path, required=True)
    arguments = parser.parse_args()
    trio.run(serve, arguments.listen, arguments.origin, arguments.certificates)


async def serve(port: int, origin: int, folder: Path) -> None:
    """One gateway, one rule, one service on the loopback."""
    service = Workload("service", "service-1", "service", "now", 1, (Attachment("net", "net", ("127.0.0.1",)),))
    captured = Captured(service, HostNamespace(), (), (), lambda sock: None, lambda: frozenset({origin}))
    tls = TlsSettings(certificate=str(folder / "edge.pem"), key=str(folder / "edge.key"))
    web = Gateway("web", (Server(port, ServerProtocol.HTTPS, ("*",), "127.0.0.1", tls),))
    rule = HttpRule(destinations=(WeightedDestination(Destination("service", port=origin)),))
    snapshot = Snapshot("bench", virtual_hosts=(VirtualHost(("*",), ("web",), (rule,)),), gateways={"web": web})
    fleet = Fleet(
        Latest(Discovered((service,))),
        Latest(snapshot),
        Latest(Captures({service.life: captured})),
        Hub(),
        certify=partial(server_contexts, Authority.new("bench", datetime.now(UTC))),
    )
    await fleet.run()


if __name__ == "__main__":
    main()
