"""What a line says, and that nobody outside can write one."""

from __future__ import annotations

import pytest

from composemesh.testing import HOSTILE_TEXTS
from composemesh_statsd.lines import LONGEST_PART, Plain, Tagged, packed
from plugins.statsd.tests.receiver import Metric, parse

PLAIN = Plain("composemesh")
TAGGED = Tagged("composemesh", ("source", "code"), [("env", "staging")])


def test_labels_are_parts_of_a_plain_name() -> None:
    assert PLAIN.line("requests", ("productpage", "200"), "17", "c") == b"composemesh.productpage.200.requests:17|c"
    assert PLAIN.line("duration", (), "1.5", "ms", 0.25) == b"composemesh.duration:1.5|ms|@0.250000"


def test_labels_are_tags_of_dogstatsd() -> None:
    line = TAGGED.line("requests", ("productpage", "200"), "17", "c")
    assert line == b"composemesh.requests:17|c|#source:productpage,code:200,env:staging"
    assert Tagged("shop", ()).line("slowest", (), "3", "g") == b"shop.slowest:3|g"
    line = TAGGED.line("duration", ("a", "200"), "3", "ms", 0.5)
    assert line == b"composemesh.duration:3|ms|@0.500000|#source:a,code:200,env:staging"


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_texts_stay_one_label_of_one_metric(text: str) -> None:
    said = parse(TAGGED.line("requests", (text, text), "1", "c"))
    assert [name for name, _ in said.tags] == ["source", "code", "env"]
    assert all(1 <= len(value) <= LONGEST_PART for _, value in said.tags)
    plain = parse(PLAIN.line("requests", (text, text), "1", "c"))
    assert plain.name.count(".") == 3
    assert plain.name.endswith(".requests")


def test_a_forged_metric_arrives_as_a_strange_name() -> None:
    line = TAGGED.line("requests", ("a\nforged:1|c|#env:live,source:b", "200"), "1", "c")
    expected = (("source", "a_forged_1_c_env_live_source_b"), ("code", "200"), ("env", "staging"))
    assert parse(line) == Metric("composemesh.requests", 1, "c", 1, expected)


def test_names_in_dns_are_readable_in_either_dialect() -> None:
    assert PLAIN.line("requests", ("api.stripe.com",), "1", "c") == b"composemesh.api_stripe_com.requests:1|c"
    assert TAGGED.line("requests", ("api.stripe.com", "0"), "1", "c").startswith(
        b"composemesh.requests:1|c|#source:api.stripe.com,"
    )


def test_lines_are_packed_and_never_cut() -> None:
    lines = [b"%d" % number * 10 for number in range(100)]
    packets = list(packed(lines, 64))
    assert all(len(datagram) <= 64 for datagram, _ in packets)
    assert b"\n".join(datagram for datagram, _ in packets).split(b"\n") == lines
    assert sum(count for _, count in packets) == 100
    assert len(packets) < 40
    assert list(packed([b"x" * 100, b"y"], 64)) == [(b"x" * 100, 1), (b"y", 1)]
    assert list(packed([b"12345", b"67890"], 11)) == [(b"12345\n67890", 2)], "to the last byte"
    assert list(packed([b"12345", b"67890"], 10)) == [(b"12345", 1), (b"67890", 1)]
    assert list(packed([], 64)) == []
