"""Which records a reader of the tap wants, and which of them it is told when they come too fast. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from composemesh.model.flag import Flag
from composemesh.model.record import Record
from composemesh.telemetry.series import failed

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

MOST_A_SECOND = 1000
"""The highest `limit`; without one, every record is told."""
_FLAGS = frozenset(flag.value for flag in Flag)

Wanted = Callable[[Record], bool]


def wanted(asked: QueryParams) -> Wanted:
    """Which records a query asks for: all that it says must hold. Raises ValueError with a sentence."""
    service, source, flag, text = (asked.get(word) for word in ("service", "source", "flag", "text"))
    conditions: list[Wanted] = []
    if service is not None:
        conditions.append(lambda record: record.destination.service == service)
    if source is not None:
        conditions.append(lambda record: record.source.service == source)
    if status := asked.get("status", ""):
        conditions.append(_status(status))
    if flag:
        if flag not in _FLAGS:
            raise ValueError(f"flag={flag[:20]} is no flag: say one like UF, or - for none.")
        conditions.append(lambda record: record.flag.value == flag)
    if asked.get("failed") == "true":
        conditions.append(has_failed)
    if text:
        conditions.append(_text(text[:200].lower()))
    if not conditions:
        return lambda record: True
    if len(conditions) == 1:
        return conditions[0]
    return lambda record: all(holds(record) for holds in conditions)


def limit(asked: QueryParams) -> int:
    """How many records a second a reader takes; 0: all. Raises ValueError with a sentence."""
    said = asked.get("limit", "0")
    if not (said.isascii() and said.isdigit() and len(said) < 6 and int(said) <= MOST_A_SECOND):
        raise ValueError(f"limit={said[:20]} must be a number of records a second, {MOST_A_SECOND} at most.")
    return int(said)


def sample(records: Sequence[Record], most: int) -> list[Record]:
    """At most so many of the records, in their order: those that failed first, of the others an even choice."""
    if len(records) <= most:
        return list(records)
    bad = [index for index, record in enumerate(records) if has_failed(record)]
    if len(bad) >= most:
        return [records[bad[at * len(bad) // most]] for at in range(most)]
    good = sorted(set(range(len(records))).difference(bad))
    room = most - len(bad)
    return [records[index] for index in sorted([*bad, *(good[at * len(good) // room] for at in range(room))])]


def has_failed(record: Record) -> bool:
    """What counts as an error everywhere: see `failed`."""
    return failed(record.protocol, record.response_code, record.grpc_status, record.flag)


def _status(status: str) -> Wanted:
    family = int(status[0]) if len(status) == 3 and status[0] in "12345" and status[1:] == "xx" else 0
    code = int(status) if status.isascii() and status.isdigit() and len(status) == 3 else 0
    if code:
        return lambda record: record.response_code == code
    if family:
        return lambda record: record.response_code // 100 == family
    raise ValueError(f"status={status[:20]} is no status: say 503, or 5xx.")


def _text(text: str) -> Wanted:
    """Anywhere in what a reader sees of a record, whatever the case."""

    def found(record: Record) -> bool:
        names = (record.method, record.path, record.authority, record.request_id, record.route, record.traceparent)
        ends = (record.source.service, record.destination.service, record.destination.workload)
        return any(text in said.lower() for said in (*names, *ends))

    return found
