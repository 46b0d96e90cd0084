"""Questions read by hand, against dnspython as a second opinion; and bytes that are no question at all."""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from composemesh.capture.dns.message import (
    AAAA,
    SERVFAIL,
    A,
    Question,
    answer,
    failure,
    found_in,
    is_truncated,
    query,
    rcode_of,
    read_question,
)

LABEL = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*", min_size=1, max_size=63)
NAMES = st.lists(LABEL, min_size=1, max_size=8).map(".".join).filter(lambda name: len(name) <= 253)
KINDS = st.sampled_from([A, AAAA, 12, 15, 16, 33, 65, 255])
VIRTUAL = ("240.240.7.9",)


def reply_to(message: bytes, *records: dns.rrset.RRset) -> bytes:
    response = dns.message.make_response(dns.message.from_wire(message), recursion_available=True)
    response.answer.extend(records)
    return response.to_wire()


@given(NAMES, KINDS, st.booleans())
def test_what_another_library_asks_is_read(name: str, kind: int, edns: bool) -> None:
    asked = dns.message.make_query(name, dns.rdatatype.RdataType(kind), use_edns=0 if edns else -1)
    assert read_question(asked.to_wire()) == Question(name.lower(), kind)


@given(st.binary(max_size=600))
def test_any_bytes_are_a_question_or_none(data: bytes) -> None:
    read_question(data)
    found_in(data)
    rcode_of(data)
    is_truncated(data)
    if len(data) > 2:
        assert failure(data)[:2] == data[:2]


@given(NAMES, KINDS, st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=8), st.integers(0, 40))
def test_a_spoilt_question_is_read_as_another_library_reads_it_or_not_at_all(
    name: str, kind: int, spoilt: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(query(name, kind))
    for at, value in spoilt:
        if at < len(data):
            data[at] = value
    message = bytes(data[: len(data) - cut])
    question = read_question(message)
    if question is not None:
        labels = [label.decode() for label in dns.name.from_wire(message, 12)[0].labels[:-1]]
        assert question.name == ".".join(labels).lower()
        own = answer(message, VIRTUAL, 10)
        assert own[:2] == message[:2]
        assert own[2] & 0x80


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x00" * 11,
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00",  # no name
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01",  # the root
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01",  # a name that points at itself
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x3fabc\x00\x00\x01\x00\x01",  # a label past the end
        b"\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01",  # a response
        b"\x12\x34\x29\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01",  # an update
        b"\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01",  # two questions
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x03",  # of class CHAOS
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03a.b\x00\x00\x01\x00\x01",  # a dot in a label
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02\xc3\xa9\x00\x00\x01\x00\x01",  # not ASCII
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + b"\x3f" * 64 * 5,  # longer than a name can be
    ],
)
def test_what_is_not_one_plain_question_is_not_ours(message: bytes) -> None:
    assert read_question(message) is None


def test_our_answer_says_what_is_asked_and_nothing_else() -> None:
    asked = dns.message.make_query("Reviews.Default.svc", "A", use_edns=0, id=4711)
    said = dns.message.from_wire(answer(asked.to_wire(), VIRTUAL, 10))
    assert said.id == 4711
    assert said.flags & dns.flags.QR
    assert said.flags & dns.flags.RA
    assert said.flags & dns.flags.RD
    assert said.edns == 0  # RFC 6891, 6.1.1: who asks with it is answered with it
    assert str(said.question[0].name) == "Reviews.Default.svc."  # in the case in which it was asked
    (records,) = said.answer
    assert (records.ttl, [data.address for data in records]) == (10, ["240.240.7.9"])


def test_the_same_question_is_answered_under_each_number() -> None:
    asked = query("reviews.default", A)[2:]
    first, second = (answer(number + asked, VIRTUAL, 10) for number in (b"\x00\x01", b"\xff\xfe"))
    assert (first[:2], second[:2]) == (b"\x00\x01", b"\xff\xfe")
    assert first[2:] == second[2:]
    assert found_in(answer(b"\x00\x02" + asked, ("240.240.1.1",), 10)).addresses == ("240.240.1.1",)


@pytest.mark.parametrize("kind", ["AAAA", "MX", "TXT", "HTTPS", "SRV"])
def test_a_type_that_we_have_not_is_no_error(kind: str) -> None:
    said = dns.message.from_wire(answer(dns.message.make_query("reviews.default", kind).to_wire(), VIRTUAL, 10))
    assert (said.rcode(), said.answer) == (dns.rcode.NOERROR, [])


def test_both_families_are_answered_where_both_are_declared() -> None:
    both = ("10.0.0.1", "fd00::1")
    for kind, wanted in ((A, "10.0.0.1"), (AAAA, "fd00::1")):
        assert found_in(answer(query("api.example.com", kind), both, 30)) == ((wanted,), 30)


def test_addresses_are_found_behind_an_alias() -> None:
    asked = query("api.example.com", A)
    alias = dns.rrset.from_text("api.example.com.", 300, "IN", "CNAME", "edge.example.net.")
    real = dns.rrset.from_text("edge.example.net.", 20, "IN", "A", "192.0.2.1", "192.0.2.2")
    found = found_in(reply_to(asked, alias, real))
    assert (set(found.addresses), found.ttl) == ({"192.0.2.1", "192.0.2.2"}, 20)


def test_compression_that_loops_is_found_to_be_nothing() -> None:
    asked = query("a.example", A)
    looping = asked[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + asked[12:-11] + b"\xc0\x1d" * 40
    assert found_in(looping).addresses == ()


def test_a_failure_is_said_to_whoever_asked() -> None:
    asked = dns.message.make_query("db.internal", "A", id=99)
    said = dns.message.from_wire(failure(asked.to_wire()))
    assert (said.id, said.rcode(), said.question) == (99, dns.rcode.SERVFAIL, asked.question)
    assert rcode_of(failure(b"\x01\x02\x03garbage")) == SERVFAIL
