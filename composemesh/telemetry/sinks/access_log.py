"""The access log: a line an exchange, in Envoy's default format or as JSON, on standard output.

What callers send ends up in somebody's terminal: control characters are escaped, and secrets are left out, that is,
the query of a path; `Authorization` and `Cookie` never come near a record. A reader that does not keep up costs
lines, never time: records wait in a bounded queue, as those of every sink, and a thread does the writing.
"""

from __future__ import annotations

import json
import os
import re
import select
from datetime import UTC, datetime
from typing import Any

import structlog
import trio

from composemesh.model.peer import Peer
from composemesh.model.record import Record
from composemesh.model.snapshot import AccessLog
from composemesh.telemetry.records import Records

log = structlog.get_logger()

_UNSAFE = re.compile(r"[^ !#-\[\]-~]")


class AccessLogSink:
    """A sink that writes lines."""

    def __init__(self, mode: AccessLog, descriptor: int = 1) -> None:
        self._format = json_line if mode is AccessLog.JSON else text_line
        self._descriptor = descriptor

    def __repr__(self) -> str:
        return f"<AccessLogSink {self._format.__name__} fd={self._descriptor}>"

    async def run(self, records: Records) -> None:
        """Write a line a record, in batches. Cancelled, what was taken may be written in part or not at all."""
        while batch := await records.take():
            try:
                await self._send("".join(map(self._format, batch)).encode())
            except OSError as problem:  # nobody reads any more, or the disk is full: the mesh goes on
                records.lose(len(batch))
                log.warning("access log can't be written", problem=problem.strerror)

    async def _send(self, lines: bytes) -> None:
        """Write all of it. A thread waits for the reader; when time is up it is left behind with what it holds."""
        await trio.to_thread.run_sync(_write_all, self._descriptor, lines, abandon_on_cancel=True)


VERSIONS = {10: "HTTP/1.0", 11: "HTTP/1.1", 20: "HTTP/2"}
"""Envoy's %PROTOCOL%, by `Record.http_version`."""


def text_line(record: Record) -> str:
    """Envoy's default format, with source and destination at the end instead of cluster and listener."""
    upstream = f"{record.upstream_duration * 1000:.0f}" if record.upstream_duration else "-"
    quoted = (record.x_forwarded_for, record.user_agent, record.request_id, record.authority, record.upstream_address)
    return (
        f"[{_start(record)}] "
        f'"{_safe(record.method)} {_safe(_path(record))} {_protocol(record)}" '
        f"{record.response_code} {record.flag.value} {record.bytes_received} {record.bytes_sent} "
        f"{record.duration * 1000:.0f} {upstream} "
        + " ".join(f'"{_safe(value)}"' for value in quoted)
        + f" {_safe(_name(record.source))} {_safe(_name(record.destination))}\n"
    )


def json_line(record: Record) -> str:
    """One JSON object, in the names of Istio's JSON access log; ASCII only, so that nothing can act on a terminal."""
    source, destination = record.source, record.destination
    said: dict[str, Any] = {
        "start_time": _start(record),
        "protocol": _protocol(record),
        "method": record.method,
        "path": _path(record),
        "authority": record.authority,
        "response_code": record.response_code,
        "response_flags": record.flag.value,
        "response_code_details": record.details or None,
        "bytes_received": record.bytes_received,
        "bytes_sent": record.bytes_sent,
        "duration": round(record.duration * 1000, 3),
        "upstream_service_time": round(record.upstream_duration * 1000, 3) or None,
        "upstream_host": record.upstream_address or None,
        "attempts": record.attempts,
        "request_id": record.request_id or None,
        "route_name": record.route or None,
        "traceparent": record.traceparent or None,
        "user_agent": record.user_agent or None,
        "x_forwarded_for": record.x_forwarded_for or None,
        "requested_server_name": record.sni or None,
        "source": {"service": source.service, "version": source.version, "workload": source.workload},
        "destination": {
            "service": destination.service,
            "version": destination.version,
            "workload": destination.workload,
        },
    }
    return json.dumps(said, separators=(",", ":")).replace("\x7f", "\\u007f") + "\n"


def _start(record: Record) -> str:
    return datetime.fromtimestamp(record.start, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _path(record: Record) -> str:
    """Without the query, where secrets travel."""
    return record.path.partition("?")[0]


def _name(peer: Peer) -> str:
    return f"{peer.service}/{peer.version}"


def _safe(value: str) -> str:
    """Printable ASCII without quotes; `-` for nothing, as Envoy prints it."""
    return _UNSAFE.sub(_escape, value) or "-"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # whoever shares this descriptor made it non-blocking
            writable = select.poll()
            writable.register(descriptor, select.POLLOUT)
            writable.poll()


def _protocol(record: Record) -> str:
    return VERSIONS.get(record.http_version, record.protocol.upper())
