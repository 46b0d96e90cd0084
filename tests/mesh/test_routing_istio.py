"""Istio's Bookinfo walk-through with Istio's own files, from the text to the socket, without containers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from composemesh.config.resources import compile_resources, load_documents
from composemesh.model.flag import Flag
from composemesh.model.route import Delay, HttpRule, VirtualHost
from mesh.net import Net
from mesh.routes import Client, add_versions, applied, connect, telling, version
from unit.config.istio import BOOKINFO, text_of

JASON = {"end-user": "jason"}


async def bookinfo(net: Net, *files: str) -> tuple[dict[str, Client], float]:
    """Clients of Bookinfo's services under Istio's files, and the delay that they ask for, which is cut to 50 ms."""
    reviews = await add_versions(net, "v1", "v2", "v3")
    clients = {"reviews": await connect(net, reviews["v1"])}
    for name in ("ratings", "details"):
        services = {**net.snapshot.value.services, name: version("v1", name)}
        net.snapshot.publish(replace(net.snapshot.value, services=services))
        workload = net.add(name)
        await net.serve(workload, telling(name.encode()))
        clients[name] = await connect(net, workload)
    text = "\n---\n".join(text_of(f"bookinfo/{name}.yaml") for name in ("destination-rule-all", *files))
    resources, problems = load_documents(text, "bookinfo.yaml")
    latest = {resource.key: resource for resource in resources}  # as `apply` of one file after the other
    made = compile_resources(latest.values(), "", BOOKINFO)
    assert made.sound, (problems, made.problems)
    delays = [
        rule.fault.delay.seconds
        for host in made.virtual_hosts
        for rule in host.http
        if rule.fault is not None and rule.fault.delay is not None
    ]
    net.snapshot.publish(
        replace(net.snapshot.value, virtual_hosts=tuple(map(impatient, made.virtual_hosts)), policies=made.policies)
    )
    await applied(net)
    return clients, max(delays, default=0.0)


def impatient(host: VirtualHost) -> VirtualHost:
    """The same rules, with faults that hold a request back for 50 ms."""

    def rule(each: HttpRule) -> HttpRule:
        if each.fault is None or each.fault.delay is None:
            return each
        return replace(each, fault=replace(each.fault, delay=Delay(0.05, each.fault.delay.percent)))

    return replace(host, http=tuple(map(rule, host.http)))


async def versions_of(client: Client, count: int, **how: Any) -> Counter[str]:
    return Counter([(await client.ask("/reviews/0", **how)).body.decode() for _ in range(count)])


async def test_all_v1_and_v3(net: Net) -> None:
    clients, _ = await bookinfo(net, "virtual-service-all-v1")
    assert await versions_of(clients["reviews"], 6) == {"v1": 6}
    assert await versions_of(clients["reviews"], 6, fields=JASON) == {"v1": 6}


@pytest.mark.parametrize(
    ("file", "others", "jasons"),
    [
        ("virtual-service-reviews-test-v2", {"v1": 100}, {"v2": 100}),
        ("virtual-service-reviews-80-20", {"v1": 80, "v2": 20}, None),
        ("virtual-service-reviews-90-10", {"v1": 90, "v2": 10}, None),
        ("virtual-service-reviews-50-v3", {"v1": 50, "v3": 50}, None),
        ("virtual-service-reviews-v2-v3", {"v2": 50, "v3": 50}, None),
        ("virtual-service-reviews-v3", {"v3": 100}, {"v3": 100}),
        ("virtual-service-reviews-jason-v2-v3", {"v3": 100}, {"v2": 100}),
    ],
)
async def test_where_reviews_go(net: Net, file: str, others: dict[str, int], jasons: dict[str, int] | None) -> None:
    clients, _ = await bookinfo(net, file)
    found = await versions_of(clients["reviews"], 100)
    assert set(found) == set(others)
    assert all(abs(found[name] - share) <= 2 for name, share in others.items())
    if jasons is not None:
        assert await versions_of(clients["reviews"], 100, fields=JASON) == jasons


async def test_ratings_are_delayed_for_jason(net: Net) -> None:
    clients, delay = await bookinfo(net, "virtual-service-ratings-test-delay")
    assert delay == 7.0
    await clients["ratings"].ask(fields=JASON)
    await clients["ratings"].ask()
    await net.records.next(2)
    assert [record.flag for record in net.records.all] == [Flag.DELAY_INJECTED, Flag.NONE]
    assert net.records.all[0].duration >= 0.05


async def test_ratings_are_aborted_for_jason(net: Net) -> None:
    clients, _ = await bookinfo(net, "virtual-service-ratings-test-abort")
    assert (await clients["ratings"].ask(fields=JASON)).status == 500
    assert (await clients["ratings"].ask()).status == 200


async def test_details_fail_with_555(net: Net) -> None:
    clients, _ = await bookinfo(net, "fault-injection-details-v1")
    assert {(await clients["details"].ask()).status for _ in range(5)} == {555}
