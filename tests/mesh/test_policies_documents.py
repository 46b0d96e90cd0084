"""Policies as people write them: Istio's documents in, and callers notice."""

from __future__ import annotations

from collections import Counter

import trio

from composemesh.config.resources import compile_resources, load_documents
from composemesh.model.flag import Flag
from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from mesh.net import GET, OK, PORT, Net, answering, ask, read_until
from mesh.policy import NO, Gate, in_turn

CIRCUIT_BREAKER = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: breaker}
spec:
  host: app.default.svc.cluster.local
  trafficPolicy:
    connectionPool:
      tcp: {maxConnections: 1}
      http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 1}
    outlierDetection:
      consecutive5xxErrors: 1
      interval: 1s
      baseEjectionTime: 3m
      maxEjectionPercent: 100
"""
RETRIES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: patient}
spec:
  hosts: [app]
  http:
  - route: [{destination: {host: app}}]
    retries: {attempts: 3, perTryTimeout: 2s, retryOn: "gateway-error,refused-stream,409", backoff: 1ms}
"""
SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: halves}
spec:
  host: app
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
  subsets:
  - name: v1
    labels: {version: v1}
    trafficPolicy:
      loadBalancer: {consistentHash: {httpCookie: {name: user, ttl: 0s}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: halves}
spec:
  hosts: [app]
  http:
  - match: [{headers: {stick: {exact: "yes"}}}]
    route: [{destination: {host: app, subset: v1}}]
  - route: [{destination: {host: app}}]
"""


def apply(net: Net, *documents: str) -> None:
    resources, problems = load_documents("---".join(documents), "mesh.yaml")
    compiled = compile_resources(resources, "test", {"app"})
    assert not problems
    assert compiled.sound, compiled.problems
    services = {"app": ServiceSettings("app", "v1", ports={PORT: Protocol.HTTP})}
    net.snapshot.publish(
        Snapshot("test", services=services, virtual_hosts=compiled.virtual_hosts, policies=compiled.policies)
    )


async def test_the_circuit_breaker_of_istios_task(net: Net) -> None:
    """One request at a time, one waits, all others are told at once; then a single error trips it for all."""
    app, gate = net.add("app"), Gate(OK)
    apply(net, CIRCUIT_BREAKER)
    await net.serve(app, gate)
    clients = [await net.connect(app) for _ in range(5)]
    for client in clients:
        await client.send_all(GET)
    for number in (1, 2, 3):
        assert (await net.records.next(number)).flag is Flag.UPSTREAM_OVERFLOW
    gate.open.set()
    statuses = [(await read_until(client, b"\r\n\r\n"))[9:12] for client in clients]
    assert Counter(statuses) == {b"200": 2, b"503": 3}

    gate.answer = NO
    caller = await net.connect(app)
    assert b"503 Service Unavailable" in await ask(caller, GET, b"no")
    assert b"left out" in await ask(caller, GET, b"(UH)")


async def test_retries_as_a_virtual_service_has_them(net: Net) -> None:
    app = net.add("app")
    busy = b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno"
    apply(net, RETRIES)
    await net.serve(app, in_turn(b"", NO, busy, OK))
    client = await net.connect(app)
    with trio.fail_after(10):
        assert (await ask(client, GET)).startswith(b"HTTP/1.1 200 ")
    assert (await net.records.next()).attempts == 4


async def test_one_service_two_balancers(net: Net) -> None:
    apps = [net.add("app") for _ in range(2)]
    for app in apps:
        await net.serve(app, answering())
    apply(net, SUBSETS)
    client = await net.connect(apps[0])
    answer = await ask(client, GET[:-2] + b"stick: yes\r\n\r\n")
    cookie = answer.partition(b"set-cookie: ")[2].partition(b";")[0]
    assert cookie.startswith(b"user=")
    first = await net.records.next()
    for number in range(2, 6):
        again = await ask(client, GET[:-2] + b"stick: yes\r\nCookie: %b\r\n\r\n" % cookie)
        assert b"set-cookie" not in again
        assert (await net.records.next(number)).destination is first.destination
    for number in range(6, 10):
        await ask(client, GET)
        await net.records.next(number)
    assert Counter(record.destination.workload for record in net.records.all[5:]) == {app.name: 2 for app in apps}
