"""Whether a request is sent again: every condition against every way in which a try can end."""

from __future__ import annotations

import pytest

from composemesh.model.policy import RETRY_ON, Retry
from composemesh.proxy.retry import (
    LONGEST_WAIT,
    ON_ANSWER,
    ON_NO_ANSWER,
    RATE_LIMITED,
    Answered,
    Unanswered,
    back_off,
    wants_another,
)

ENDS: dict[str, Answered | Unanswered] = {
    "200": Answered(200),
    "404": Answered(404),
    "409": Answered(409),
    "429": Answered(429),
    "500": Answered(500),
    "501": Answered(501),
    "502": Answered(502),
    "503": Answered(503),
    "504": Answered(504),
    "503, limited": Answered(503, rate_limited=True),
    "429, limited": Answered(429, rate_limited=True),
    "grpc ok": Answered(200, 0),
    "grpc cancelled": Answered(200, 1),
    "grpc deadline": Answered(200, 4),
    "grpc exhausted": Answered(200, 8),
    "grpc internal": Answered(200, 13),
    "grpc unavailable": Answered(200, 14),
    "refused": Unanswered(connected=False),
    "unsent": Unanswered(connected=True, unsent=True),
    "broken": Unanswered(connected=True),
}
NO_ANSWER = {"refused", "unsent", "broken"}
WANTED = {
    "5xx": {"500", "501", "502", "503", "504", *NO_ANSWER},
    "gateway-error": {"502", "503", "504", *NO_ANSWER},
    "retriable-4xx": {"409"},
    "reset": NO_ANSWER,
    "reset-before-request": {"refused", "unsent"},
    "refused-stream": {"unsent"},
    "connect-failure": {"refused"},
    "envoy-ratelimited": {"503, limited", "429, limited"},
    "cancelled": {"grpc cancelled"},
    "deadline-exceeded": {"grpc deadline"},
    "resource-exhausted": {"grpc exhausted"},
    "internal": {"grpc internal"},
    "unavailable": {"grpc unavailable"},
    "http3-post-connect-failure": set(),
    "retriable-status-codes": set(),
}
"""Envoy's documentation of x-envoy-retry-on and x-envoy-retry-grpc-on, as a table."""


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("word", WANTED)
def test_each_condition_holds_for_what_it_names_and_nothing_else(word: str, end: str) -> None:
    assert wants_another(Retry(on=frozenset({word})), ENDS[end]) is (end in WANTED[word])


def test_every_condition_there_is_is_in_the_table() -> None:
    assert {*ON_ANSWER, *ON_NO_ANSWER, RATE_LIMITED} <= set(WANTED)
    assert set(WANTED) >= RETRY_ON


def test_conditions_add_up_and_statuses_are_conditions() -> None:
    retry = Retry(on=frozenset({"connect-failure", "unavailable"}), statuses=frozenset({418, 500}))
    wanted = {end for end in ENDS if wants_another(retry, ENDS[end])}
    assert wanted == {"refused", "grpc unavailable", "500"}
    assert wants_another(retry, Answered(418))
    assert not wants_another(retry, Answered(418, rate_limited=True))


def test_nothing_is_wanted_where_nothing_is_named() -> None:
    assert not any(wants_another(Retry(on=frozenset()), end) for end in ENDS.values())


def test_back_off_grows_to_a_bound_and_any_part_of_it_may_be_waited() -> None:
    retry = Retry(back_off=0.025)
    longest = [round(back_off(retry, number, 1.0) / 0.025) for number in range(1, 7)]
    assert longest == [1, 3, 7, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]
    assert back_off(retry, 3, 0.0) == 0
    assert back_off(retry, 2, 0.5) == pytest.approx(0.0375)
    assert back_off(retry, 10_000, 0.999) < 0.25
