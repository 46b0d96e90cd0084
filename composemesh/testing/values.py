"""Values as the mesh makes them, by few words; and such as nobody hopes for, all of which have been seen."""

from __future__ import annotations

from collections.abc import Iterator

from composemesh.model.flag import Flag
from composemesh.model.peer import Peer, PeerKind
from composemesh.model.record import LONGEST_TEXT, Record
from composemesh.model.workload import Attachment, Workload

HOSTILE_TEXTS = (
    "",
    " ",
    "a\r\nset-cookie: b",
    "\x00\x1b[2J\x7f\x9b",
    "quote \" and \\ and ' and `",
    "pipe|c\nforged:1|c|#team:other",
    "<script>alert(1)</script>",
    "${HOME} %s %n {0} {{x}}",
    "../../etc/passwd",
    "\u202egnp.exe\u2028",
    "\ud800",  # a surrogate alone: bytes of a header that are no UTF-8 end up like this
    "\N{PILE OF POO}" * 100,
    "x" * LONGEST_TEXT,
)
"""Texts that callers choose: of a path, a Host, a User-Agent, and so on. All of them may stand in a record."""


def make_peer(service: str = "reviews", version: str = "v1", kind: PeerKind = PeerKind.SERVICE) -> Peer:
    """One end of an exchange: an instance of a service, captured."""
    return Peer(service, version, f"shop-{service}-1", kind, captured=True)


CALLER, CALLEE = make_peer("productpage"), make_peer("reviews", "v2")


def make_record(
    path: str = "/",
    code: int = 200,
    *,
    source: Peer = CALLER,
    destination: Peer = CALLEE,
    duration: float = 0.012,
    protocol: str = "http",
) -> Record:
    """One finished exchange, as telemetry is told of it; set what else matters on it."""
    record = Record(source, destination, protocol)
    record.start, record.duration, record.upstream_duration = 1_763_667_164.25, duration, duration * 0.9
    record.method, record.path, record.authority, record.http_version = "GET", path, "reviews:9080", 11
    record.response_code, record.attempts, record.bytes_sent, record.bytes_received = code, 1, 375, 12
    record.request_id, record.upstream_address = "0f3c2a", "10.0.0.3:9080"
    return record


def hostile_records() -> Iterator[Record]:
    """Records that are possible and that nobody hopes for: each hostile text in each field, and odd numbers."""
    for text in HOSTILE_TEXTS:
        record = make_record(text, source=make_peer(text, text), destination=make_peer(text, text))
        record.method = record.authority = record.request_id = record.route = text
        record.traceparent = record.upstream_address = record.user_agent = record.x_forwarded_for = record.sni = text
        yield record
    for flag in Flag:
        record = make_record(code=0, duration=0.0)
        record.flag, record.attempts, record.http_version = flag, 0, 0
        yield record
    for number in (1 << 31, 1 << 63, 10**20):
        record = make_record(code=999, duration=float(number), protocol="tcp")
        record.bytes_sent = record.bytes_received = record.grpc_status = number
        yield record


def make_workload(
    name: str = "reviews-1",
    service: str = "reviews",
    *addresses: str,
    ports: tuple[int, ...] = (9080,),
    network: str = "host",
) -> Workload:
    """A workload as a source reports it. Without addresses it stands at 127.0.0.1."""
    place = Attachment(network, network, addresses or ("127.0.0.1",))
    return Workload(name, name, service, started="1", pid=0, attachments=(place,), ports=ports)
