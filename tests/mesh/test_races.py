"""Whatever an exchange is doing when it is cancelled, or the mesh changes under it: nothing is left, nothing lost."""

from __future__ import annotations

import random

import trio
import trio.testing

from composemesh.model.flag import Flag
from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from composemesh.model.workload import Workload
from mesh.net import GET, OK, PORT, Net, ask, read_until

POST = b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 6\r\n\r\nsec"
CHUNKS = b"POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsec\r\n"
ENDINGS = {GET: b"", POST: b"ond", CHUNKS: b"3\r\nond\r\n0\r\n\r\n"}


class CutAt(trio.abc.Instrument):
    """Ends every connection of a sidecar just before a certain step of their tasks."""

    def __init__(self, net: Net, step: int) -> None:
        self.sidecar = net.fleet.sidecars[net.caller.life]
        self.left = step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if not task.name.endswith(("Sidecar._serve", "._pump", "._pump_up")):
            return
        self.left -= 1
        if self.left == 0:
            for connection in self.sidecar.connections:
                connection.end(Flag.OVERLOAD_MANAGER)


async def twice(stream: trio.SocketStream) -> None:
    """An application that answers in two pieces, having seen all of the request."""
    data = b""
    while more := await stream.receive_some():
        data += more
        whole = data.startswith(b"GET") and data.endswith(b"\r\n\r\n")
        if whole or b"second" in data.replace(b"\r\n3\r\n", b"") or data.endswith(b"0\r\n\r\n"):
            data = b""
            await stream.send_all(OK[:-1])
            await trio.sleep(0.002)
            await stream.send_all(OK[-1:])


async def test_cancelled_at_any_step_an_exchange_leaves_nothing_behind(net: Net) -> None:
    """Once with each request, for each step that it has: one record at most, and the pool holds no broken ones."""
    net.snapshot.publish(
        Snapshot("test", services={"app": ServiceSettings("app", "v1", ports={PORT: Protocol.HTTP})})
    )
    app = net.add("app")
    await net.serve(app, twice)
    endpoint = net.fleet.planner.endpoints[app.life]
    for request, ending in ENDINGS.items():
        for step in range(1, 100):
            net.records.all.clear()
            endpoint.pools.prune(float("inf")) if step % 2 else None  # once with a connection that is new, once not
            cut = CutAt(net, step)
            client = await net.connect(app)
            trio.lowlevel.add_instrument(cut)
            try:
                await client.send_all(request)
                if ending:
                    await trio.sleep(0.002)
                    await client.send_all(ending)
                with trio.fail_after(5):
                    answer = b""
                    while not answer.endswith(b"ok") and (more := await client.receive_some()):
                        answer += more
            except trio.BrokenResourceError:
                answer = b""
            finally:
                trio.lowlevel.remove_instrument(cut)
            await client.aclose()
            with trio.fail_after(5):
                while cut.sidecar.connections:
                    await trio.lowlevel.checkpoint()
            assert endpoint.active == 0
            assert len(net.records.all) <= 1
            assert all(up.is_quiet() for pool in endpoint.pools.values() for up in pool._idle)
            assert len(net.fleet._reactor._wires) == sum(len(pool._idle) for pool in endpoint.pools.values())
            again = await net.connect(app)
            await again.send_all(GET)
            await read_until(again, b"\r\n\r\nok")
            await again.aclose()
            if cut.left > 0:
                break
        else:
            raise AssertionError("an exchange has no hundred steps")
        assert step > 3
        assert answer.endswith(b"ok")


async def test_while_replicas_come_and_go_no_request_is_lost_and_each_is_counted(net: Net) -> None:
    async def reply(stream: trio.SocketStream) -> None:
        data = b""
        while more := await stream.receive_some():
            data += more
            while b"\r\n\r\n" in data:
                data = data.partition(b"\r\n\r\n")[2].removeprefix(b"hi")
                await stream.send_all(OK)

    async def life(workload: Workload) -> None:
        application = await net.serve(workload, reply)
        await trio.sleep(0.04)
        net.remove(workload)
        await trio.sleep(0.25)  # what it was asked before is answered, though the machine may stand still meanwhile
        application.cancel()

    async def churn() -> None:
        while True:
            net.nursery.start_soon(life, net.add("app"))
            await trio.sleep(0.01)

    stable = net.add("app")
    await net.serve(stable, reply)
    done = 0
    places = set()

    async def client(chance: random.Random, until: float) -> None:
        nonlocal done
        stream = await net.connect(stable)
        while trio.current_time() < until:
            request = (
                GET if chance.random() < 0.5 else GET.replace(b"GET", b"POST")[:-2] + b"Content-Length: 2\r\n\r\nhi"
            )
            answer = await ask(stream, request)
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            done += 1
            await trio.sleep(0.005)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(churn)
        async with trio.open_nursery() as clients:
            for number in range(4):
                clients.start_soon(client, random.Random(number), trio.current_time() + 2)
        nursery.cancel_scope.cancel()
    await trio.sleep(0.15)
    records = net.records.all
    places = {record.destination.workload for record in records}
    assert done > 300
    assert len(records) == done
    assert {(record.response_code, record.flag) for record in records} == {(200, Flag.NONE)}
    assert len(places) > 20
    counted = sum(sum(series.durations.counts) for series in net.hub.series if series.source.service == "caller")
    assert counted == done
    await read_nothing(net)


async def read_nothing(net: Net) -> None:
    """No connection outlives its endpoint: what is registered is the clients', and what idles at live endpoints."""
    await trio.testing.wait_all_tasks_blocked(0.005)
    idle = sum(
        len(pool._idle) for endpoint in net.fleet.planner.endpoints.values() for pool in endpoint.pools.values()
    )
    held = sum(len(sidecar.connections) for sidecar in net.fleet._alive)
    assert len(net.fleet._reactor._wires) == idle + held
