"""DNS messages. The question is read by hand, because every message passes here; the rest is dnspython's. Pure."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rdtypes.IN.A import A as RecordA
from dns.rdtypes.IN.AAAA import AAAA as RecordAAAA

from composemesh.runtime.captured import Found

A, AAAA = 1, 28
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
LONGEST = 65535
"""Bytes of a message: its length has sixteen bits over TCP (RFC 1035, 4.2.2)."""

USUAL = 512
"""Bytes of a query whose answer is remembered; hostile ones are longer."""

_HEADER = 12
_IN = 1
_LONGEST_NAME = 255
_QR_AND_OPCODE = 0xF8


class Question(NamedTuple):
    """What a query asks for."""

    name: str
    """Lowercase, without the last dot."""
    kind: int
    """`A`, `AAAA` or any other type."""


def read_question(message: bytes) -> Question | None:
    """The one question of an ordinary query; None for every other message, which is not ours to judge.

    Strict: a name is made of plain labels (RFC 1035, 4.1.2; nobody compresses the first name of a message), of
    printable ASCII without a dot inside.
    """
    if len(message) < _HEADER or message[2] & _QR_AND_OPCODE or message[4:6] != b"\x00\x01":
        return None
    labels: list[bytes] = []
    at = _HEADER
    while True:
        if at >= len(message):
            return None
        length = message[at]
        at += 1
        if not length:
            break
        label = message[at : at + length]
        at += length
        if length > 63 or at - _HEADER >= _LONGEST_NAME:
            return None
        if not label.isascii() or b"." in label or not label.decode("ascii").isprintable():
            return None
        labels.append(label)
    if len(message) < at + 4 or not labels:
        return None
    kind, space = int.from_bytes(message[at : at + 2]), int.from_bytes(message[at + 2 : at + 4])
    return Question(b".".join(labels).decode("ascii").lower(), kind) if space == _IN else None


def answer(message: bytes, addresses: tuple[str, ...], ttl: int) -> bytes:
    """The mesh's own answer to a query that `read_question` could read: those of the addresses that it asks for.

    None of them is still no error, so that a client that asks for IPv6 goes on to ask for IPv4 (RFC 4074, 4.2).
    """
    make = _remembered if len(message) <= USUAL else _answer
    return message[:2] + make(message[2:], addresses, ttl)


def _answer(asked_for: bytes, addresses: tuple[str, ...], ttl: int) -> bytes:
    """All but the number of the answer to all but the number of a query."""
    response = _response(bytes(2) + asked_for)
    if response is None:
        return failure(bytes(2) + asked_for)[2:]
    asked = response.question[0]
    wanted = {dns.rdatatype.A: 4, dns.rdatatype.AAAA: 6}.get(asked.rdtype)
    fitting = [address for address in addresses if ip_address(address).version == wanted]
    if fitting:
        response.answer.append(dns.rrset.from_text(asked.name, ttl, asked.rdclass, asked.rdtype, *fitting))
    return response.to_wire()[2:]


_remembered = lru_cache(maxsize=1024)(_answer)
"""The same few questions are asked all day: 5 µs instead of 230."""


def failure(message: bytes) -> bytes:
    """SERVFAIL, for a query that nobody answered (three bytes at least): a header alone, where it can't be read."""
    response = _response(message)
    if response is None:
        return message[:2] + bytes((0x80 | message[2] & 0x79, 0x80 | SERVFAIL)) + bytes(8)
    response.set_rcode(dns.rcode.SERVFAIL)
    return response.to_wire()


def query(name: str, kind: int) -> bytes:
    """A question of our own. Raises ValueError where `name` is none."""
    try:
        return dns.message.make_query(name, dns.rdatatype.RdataType(kind), use_edns=0, payload=4096).to_wire()
    except dns.exception.DNSException as problem:
        raise ValueError(str(problem)) from problem


def rcode_of(reply: bytes) -> int:
    """How a reply says that it went; SERVFAIL for what is no reply."""
    return reply[3] & 15 if len(reply) >= _HEADER and reply[2] & 0x80 else SERVFAIL


def is_truncated(reply: bytes) -> bool:
    return len(reply) > 2 and bool(reply[2] & 2)


def found_in(reply: bytes) -> Found:
    """The addresses of a reply's answer, aliases followed or not; none where it can't be read."""
    message = _parse(reply)
    if message is None:
        return Found((), 0)
    records = [data for each in message.answer for data in each if isinstance(data, (RecordA, RecordAAAA))]
    addresses = dict.fromkeys(str(ip_address(record.address)) for record in records)
    return Found(tuple(addresses), min((each.ttl for each in message.answer), default=0))


def _response(message: bytes) -> dns.message.Message | None:
    """The beginning of a response, EDNS included; None to a message that is no ordinary query."""
    query = _parse(message)
    if query is None or query.flags & dns.flags.QR or query.opcode() or len(query.question) != 1:
        return None
    return dns.message.make_response(query, recursion_available=True)


def _parse(message: bytes) -> dns.message.Message | None:
    try:
        return dns.message.from_wire(message, ignore_trailing=True, raise_on_truncation=False)
    except (dns.exception.DNSException, ValueError):
        return None
