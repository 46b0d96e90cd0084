"""How long the configuration takes: to be compiled as it grows, and from `apply` to the plan of the next request."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import trio

from composemesh.config.publish import Publisher
from composemesh.config.resources import Resource, compile_resources, load_documents
from composemesh.model.workload import Attachment, Discovered, Workload
from composemesh.proxy.planner import Planner
from composemesh.runtime.captured import Captures
from composemesh.runtime.latest import Latest

SIZES = (100, 1000)
"""Services, with three resources each."""
CHANGES = 100

RESOURCES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: s{number}}}
spec:
  hosts: [s{number}]
  http:
  - match: [{{headers: {{end-user: {{exact: jason}}}}, uri: {{prefix: /a}}}}]
    route: [{{destination: {{host: s{number}, subset: v2}}}}]
  - route:
    - {{destination: {{host: s{number}, subset: v1}}, weight: {weight}}}
    - {{destination: {{host: s{number}, subset: v2}}, weight: 10}}
    timeout: 2s
    retries: {{attempts: 3, retryOn: 5xx}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: s{number}}}
spec:
  host: s{number}
  trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: 100}}}}}}
  subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: e{number}}}
spec: {{hosts: [e{number}.example.com], ports: [{{number: 443, name: tls, protocol: TLS}}], resolution: DNS}}
"""


@dataclass(frozen=True, slots=True)
class Figures:
    compile_ms: dict[int, float]
    """By number of services; CPU time."""
    apply_ms: list[float]
    """Each of the changes of one resource with 100 services and 300 resources: from the call to the new plan, before
    the answer, which waits for the disk."""

    @property
    def growth(self) -> float:
        """Compile time a service, of many beside that of few: 1.0 is linear."""
        few, many = SIZES
        return self.compile_ms[many] / self.compile_ms[few] * few / many


def measure() -> Figures:
    compiled = {size: _compile(size) for size in SIZES}
    gc.collect()  # a mesh has no thousand services behind it that it has just forgotten,
    gc.freeze()  # and what its start made is passed over there, too
    return Figures(compiled, trio.run(_apply, SIZES[0]))


def show(figures: Figures) -> None:
    few, many = SIZES
    quantiles = statistics.quantiles(figures.apply_ms, n=100)
    print(f"\nconfiguration: {few} services, {3 * few} resources: compiled in {figures.compile_ms[few]:.0f} ms")
    print(f"               {many} services: {figures.compile_ms[many]:.0f} ms, {figures.growth:.2f}x a service")
    print(f"               apply to the next request's plan: p50 {quantiles[49]:.0f} ms, p99 {quantiles[98]:.0f} ms")


def _resources(number: int, weight: int = 90) -> tuple[Resource, ...]:
    return load_documents(RESOURCES.format(number=number, weight=weight), f"s{number}.yaml")[0]


def _workloads(size: int) -> Discovered:
    return Discovered(
        tuple(
            Workload(f"{number}{version}", f"shop-s{number}-{version}-1", f"s{number}-{version}", "2026", 1, (place,))
            for number in range(size)
            for version in ("v1", "v2")
            for place in (Attachment("n", "n", (f"10.{version[1]}.{number >> 8}.{number & 255}",), (f"s{number}",)),)
        )
    )


def _compile(size: int) -> float:
    resources = [resource for number in range(size) for resource in _resources(number)]
    services = {f"s{number}" for number in range(size)}
    began = time.process_time()
    compiled = compile_resources(resources, "shop", services)
    assert compiled.sound
    assert len(compiled.virtual_hosts) == size
    return (time.process_time() - began) * 1000


async def _apply(size: int) -> list[float]:
    planner, took = Planner(), []
    with tempfile.TemporaryDirectory(prefix="composemesh-bench-") as folder:
        discovered = _workloads(size)
        publisher = Publisher("shop", Latest(discovered), applied=Path(folder, "resources.yaml"))
        await publisher.load()
        await publisher.change([resource for number in range(size) for resource in _resources(number)])
        for number in range(CHANGES):
            changed = _resources(number % size, weight=100 + number)[:1]
            version = publisher.snapshot.version
            async with trio.open_nursery() as nursery:
                began = time.perf_counter()
                nursery.start_soon(publisher.change, changed)
                await publisher.snapshot.after(version)
                planner.replan(discovered, publisher.snapshot.value, Captures({}, {}))
                took.append((time.perf_counter() - began) * 1000)
    return took


if __name__ == "__main__":
    show(measure())
