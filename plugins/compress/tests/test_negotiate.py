"""What callers take, and which answers are meant."""

from __future__ import annotations

import pytest

from composemesh.proxy.chain.fields import FieldView
from composemesh_compress.config import TYPES, CompressConfig
from composemesh_compress.negotiate import accepted, choose
from composemesh_compress.suits import long_enough, may_vary, of_type

ALL = ("zstd", "br", "gzip")


@pytest.mark.parametrize(
    ("field", "coding"),
    [
        ("", "identity"),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, br", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("gzip;q=0.5, br;q=0.501", "br"),
        ("gzip ; q=0.5 , br;Q=0.4", "gzip"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0, *", "zstd"),
        ("*", "zstd"),
        ("*;q=0", "identity"),
        ("*;q=0, gzip", "gzip"),
        ("*;q=0.3, gzip;q=0.2", "zstd"),
        ("identity", "identity"),
        ("identity, gzip", "gzip"),
        ("identity, gzip;q=0.5", "identity"),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("identity;q=0", "identity"),
        ("deflate, compress", "identity"),
        ("gzip;q=1.5", "identity"),
        ("gzip;q=0.1234", "identity"),
        ("gzip;q=-1", "identity"),
        ("gzip;level=9", "identity"),
        ("gzip br", "identity"),
        (",,gzip,,", "gzip"),
        ("a," * 600 + "gzip", "identity"),
    ],
)
def test_the_greatest_weight_wins_and_then_the_order(field: str, coding: str) -> None:
    assert choose(field, ALL) == coding


def test_what_is_not_offered_is_not_chosen() -> None:
    assert choose("zstd, br, gzip;q=0.1", ("gzip",)) == "gzip"
    assert choose("zstd, br", ("gzip",)) == "identity"


def test_weights() -> None:
    assert accepted("a, b;q=0.25, *;q=0, c;q=x") == {"a": 1.0, "b": 0.25, "*": 0.0}


def headers(**fields: str) -> FieldView:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return FieldView(pairs, lambda _: None)


@pytest.mark.parametrize(
    ("status", "fields", "varies"),
    [
        (200, {"content_type": "text/html; charset=utf-8"}, True),
        (404, {"content_type": "Application/JSON"}, True),
        (200, {"content_type": "text/html", "content_encoding": "identity"}, True),
        (200, {"content_type": "image/png"}, False),
        (200, {}, False),
        (200, {"content_type": "text/html", "content_encoding": "gzip"}, False),
        (200, {"content_type": "text/html", "cache_control": "public, No-Transform"}, False),
        (200, {"content_type": "text/html", "repr_digest": "sha-256=:AA==:"}, False),
        (200, {"content_type": "text/html", "content_range": "bytes 0-1/2"}, False),
        (206, {"content_type": "text/html"}, False),
        (304, {"content_type": "text/html"}, False),
        (204, {"content_type": "text/html"}, False),
        (200, {"content_type": "text/event-stream"}, False),
    ],
)
def test_which_answers_are_meant(status: int, fields: dict[str, str], varies: bool) -> None:
    assert may_vary(status, headers(**fields), frozenset(TYPES)) is varies


def test_types_of_one_kind() -> None:
    assert of_type("text/x-anything", {"text/*"})
    assert not of_type("application/x-anything", {"text/*"})


def test_lengths() -> None:
    assert long_enough(headers(), 512)
    assert long_enough(headers(content_length="512"), 512)
    assert not long_enough(headers(content_length="511"), 512)


def test_settings_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="'HTML' is no media type"):
        CompressConfig(types=("HTML",))
    monkeypatch.setattr("composemesh_compress.coders.find_spec", lambda _: None)
    with pytest.raises(ValueError, match="br, which needs the package brotli"):
        CompressConfig(codings=("br",))
    assert CompressConfig().offered == ("gzip",)
