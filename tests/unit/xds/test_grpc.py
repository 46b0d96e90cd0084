"""gRPC's framing: what comes in pieces, and what is no gRPC."""

from __future__ import annotations

import pytest

from composemesh.xds.grpc import MOST_BYTES, Messages, RpcError, Status, deadline, framed, is_grpc, trailers


def test_messages_come_out_however_their_bytes_are_cut() -> None:
    said = [b"", b"a", b"x" * 300]
    wire = b"".join(map(framed, said))
    for size in (1, 2, 7, len(wire)):
        messages = Messages()
        heard: list[bytes] = []
        for start in range(0, len(wire), size):
            messages.feed(wire[start : start + size])
            heard += messages
        assert heard == said
        assert len(messages) == 0


def test_what_is_missing_is_known() -> None:
    messages = Messages()
    assert messages.missing == 5
    messages.feed(framed(b"abc")[:6])
    assert list(messages) == []
    assert messages.missing == 2
    assert len(messages) == 6


@pytest.mark.parametrize(
    ("prefix", "status"),
    [
        (b"\x01" + (3).to_bytes(4, "big"), Status.UNIMPLEMENTED),
        (b"\xff" * 5, Status.UNIMPLEMENTED),
        (b"\x00" + (MOST_BYTES + 1).to_bytes(4, "big"), Status.RESOURCE_EXHAUSTED),
        (b"\x00\xff\xff\xff\xff", Status.RESOURCE_EXHAUSTED),
    ],
)
def test_what_is_not_taken_is_known_by_its_first_bytes(prefix: bytes, status: Status) -> None:
    messages = Messages()
    messages.feed(prefix)
    with pytest.raises(RpcError) as refused:
        list(messages)
    assert refused.value.status is status


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"application/grpc-web", False),
        (b"application/json", False),
    ],
)
def test_a_call_is_known_by_its_content_type(kind: bytes, expected: bool) -> None:
    assert is_grpc([(b"te", b"trailers"), (b"content-type", kind)]) is expected
    assert not is_grpc([])


@pytest.mark.parametrize(
    ("said", "seconds"), [(b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"250m", 0.25), (b"5u", 5e-6), (b"9n", 9e-9)]
)
def test_deadlines(said: bytes, seconds: float) -> None:
    assert deadline([(b"grpc-timeout", said)]) == pytest.approx(seconds)


@pytest.mark.parametrize("said", [b"", b"S", b"1", b"-1S", b"123456789S", b"1 S", b"\xff"])
def test_deadlines_that_are_none(said: bytes) -> None:
    with pytest.raises(RpcError):
        deadline([(b"grpc-timeout", said)])
    assert deadline([]) is None


def test_what_a_status_says_is_escaped() -> None:
    assert trailers(Status.OK) == [(b"grpc-status", b"0")]
    assert trailers(Status.INTERNAL, "50 % ä\n")[1] == (b"grpc-message", b"50 %25 %C3%A4%0A")
