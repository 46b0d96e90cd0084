"""Nothing that we accept is refused by two other parsers, and nobody reads another message in it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire import fuzz

POOL = fuzz.seeds()


@settings(max_examples=400)
@given(st.randoms(use_true_random=False), st.sampled_from(POOL))
def test_mutants(dice: random.Random, seed: tuple[str, bytes]) -> None:
    kind, raw = seed
    mutant = fuzz.mutate(raw, dice, POOL)
    assert fuzz.disagreement(kind, mutant) == "", mutant


@pytest.mark.slow
def test_a_long_walk_of_mutants() -> None:
    dice = random.Random(9112)
    for _ in range(50_000):
        kind, raw = dice.choice(POOL)
        mutant = fuzz.mutate(raw, dice, POOL)
        assert fuzz.disagreement(kind, mutant) == "", mutant


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("request", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0_1\r\n\r\n5"),
        ("request", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0_5\r\nhello\r\n0\r\n\r\n"),
    ],
)
@pytest.mark.interpreted
def test_the_hunt_would_see_a_lenient_int(kind: str, raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    from composemesh.proxy.codec import grammar, h1

    lax = re.compile(grammar.FIRST_CHUNK.pattern.replace(b"[0-9A-Fa-f]{1,16}", b"[0-9A-Fa-f_]{1,16}"))
    assert fuzz.disagreement(kind, raw) == ""
    monkeypatch.setattr(h1, "is_length", re.compile(rb"[0-9_]+").fullmatch)
    monkeypatch.setattr(grammar, "FIRST_CHUNK", lax)
    assert fuzz.disagreement(kind, raw) != ""
