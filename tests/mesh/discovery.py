"""A discovery client over h2, as small as it can be, that can also behave badly."""

from __future__ import annotations

from typing import Any

import h2.config
import h2.connection
import h2.events
import trio

from composemesh.xds import protos
from composemesh.xds.grpc import Messages, framed
from mesh.xds import Control

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


def request(url: str, *names: str, node: str = "caller", **fields: Any) -> bytes:
    """A DiscoveryRequest."""
    said = {"type_url": url, "resource_names": names, "node": {"id": node}, **fields}
    return bytes(protos.parse("envoy.service.discovery.v3.DiscoveryRequest", said).SerializeToString())


class Client:
    """One connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.headers: dict[int, dict[str, str]] = {}
        """What was answered, trailers included, by stream."""
        self.ended: set[int] = set()
        self.goodbye: h2.events.ConnectionTerminated | None = None
        self.reads_body = True
        self._heard: dict[int, Messages] = {}
        self._ready: dict[int, list[bytes]] = {}
        self.body: dict[int, bytes] = {}

    async def flush(self) -> None:
        await self.stream.send_all(self.h2.data_to_send())

    async def call(self, path: str = ADS, kind: str = "application/grpc", method: str = "POST", **more: str) -> int:
        """Open a stream; its number."""
        number = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "xds")]
        fields = [("content-type", kind), ("te", "trailers"), *((k.replace("_", "-"), v) for k, v in more.items())]
        self.h2.send_headers(number, head + fields)
        self._heard[number], self._ready[number], self.body[number] = Messages(), [], b""
        await self.flush()
        return number

    async def say(self, number: int, message: bytes, *, end: bool = False) -> None:
        """Send a message, as the windows allow."""
        await self.send(number, framed(message), end=end)

    async def send(self, number: int, data: bytes, *, end: bool = False) -> None:
        while True:
            room = min(self.h2.local_flow_control_window(number), 16384, len(data))
            if room or not data:
                self.h2.send_data(number, data[:room], end_stream=end and room == len(data))
                data = data[room:]
                await self.flush()
            if not data:
                return
            if not room:
                await self._read()

    async def hear(self, number: int) -> Any:
        """The next DiscoveryResponse on a stream."""
        with trio.fail_after(20):
            while not self._ready[number]:
                assert number not in self.ended, self.headers
                await self._read()
        return protos.message("envoy.service.discovery.v3.DiscoveryResponse").FromString(self._ready[number].pop(0))

    async def status(self, number: int) -> dict[str, str]:
        """How a call ended: the headers and trailers of its answer."""
        with trio.fail_after(20):
            while number not in self.ended:
                await self._read()
        return self.headers.get(number, {})

    async def farewell(self) -> h2.events.ConnectionTerminated | None:
        """Read until the server closes; what it said of that."""
        with trio.fail_after(20):
            try:
                while True:
                    await self._read()
            except (EOFError, trio.BrokenResourceError):
                return self.goodbye

    async def _read(self) -> None:
        data = await self.stream.receive_some(65536)
        if not data:
            raise EOFError
        for event in self.h2.receive_data(data):
            number = getattr(event, "stream_id", 0)
            match event:
                case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                    self.headers.setdefault(number, {}).update(event.headers)  # type: ignore[arg-type] # texts: an encoding is set
                case h2.events.DataReceived():
                    if self.reads_body:
                        self.h2.acknowledge_received_data(event.flow_controlled_length, number)
                    self.body[number] += bytes(event.data)
                    if "grpc" in self.headers[number].get("content-type", ""):
                        self._heard[number].feed(bytes(event.data))
                        self._ready[number] += self._heard[number]
                case h2.events.StreamEnded() | h2.events.StreamReset():
                    self.ended.add(number)
                case h2.events.ConnectionTerminated():
                    self.goodbye = event
        await self.flush()


async def discovery(server: Control) -> Client:
    client = Client(await server.connect())
    await client.flush()
    return client
