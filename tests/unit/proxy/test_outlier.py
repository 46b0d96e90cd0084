"""Who is ejected, and until when: the detector against a clock of our own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composemesh.model.policy import OutlierDetection
from composemesh.proxy.outlier import LONGEST, Ejection, Outliers

RULE = OutlierDetection(consecutive_5xx=3, base_ejection_time=30.0, interval=10.0, max_ejection_percent=50)
SPLIT = replace(RULE, split_external_local_origin_errors=True, consecutive_local_origin_failures=2)
GATEWAY = replace(RULE, consecutive_5xx=0, consecutive_gateway_errors=2)
FAILED = 0


def play(rule: OutlierDetection, results: list[int], total: int = 4) -> list[Ejection | None]:
    """What comes of one endpoint's answers, one a second; 0 for none."""
    outliers = Outliers(rule)
    return [_tell(outliers, "a", status, second, total) for second, status in enumerate(results, 1)]


def _tell(outliers: Outliers, host: str, status: int, now: float, total: int) -> Ejection | None:
    return outliers.answered(host, status, now, total) if status else outliers.failed(host, now, total)


@pytest.mark.parametrize(
    ("rule", "results", "ejected"),
    [
        (RULE, [500, 503, 599], [False, False, True]),
        (RULE, [500, 500, 404, 500, 500, 500], [False] * 5 + [True]),
        (RULE, [500, FAILED, 500], [False, False, True]),
        (RULE, [FAILED, FAILED, 200, FAILED], [False] * 4),
        (GATEWAY, [500, 501, 500, 500], [False] * 4),
        (GATEWAY, [502, 500, 503, 504], [False, False, False, True]),
        (GATEWAY, [FAILED, FAILED], [False, True]),
        (SPLIT, [FAILED, FAILED], [False, True]),
        (SPLIT, [FAILED, 500, FAILED, 500, FAILED, 500], [False] * 5 + [True]),
        (SPLIT, [500, FAILED, 500, 200, 500], [False] * 5),
        (replace(SPLIT, consecutive_local_origin_failures=0), [FAILED] * 20, [False] * 20),
        (replace(RULE, consecutive_5xx=0), [500] * 20, [False] * 20),
    ],
)
def test_errors_in_a_row_eject(rule: OutlierDetection, results: list[int], ejected: list[bool]) -> None:
    assert [one is not None for one in play(rule, results)] == ejected


def test_an_ejection_ends_on_time_and_the_next_is_longer() -> None:
    outliers = Outliers(replace(RULE, consecutive_5xx=1))
    first = outliers.answered("a", 500, 100.0, 4)
    assert first == Ejection("1 errors in a row", 30.0, 1)
    assert outliers.ejected("a", 129.9)
    assert outliers.any_ejected(129.9)
    assert not outliers.ejected("a", 130.0)
    assert not outliers.any_ejected(130.0)
    second = outliers.answered("a", 500, 135.0, 4)
    assert second is not None
    assert (second.seconds, second.times) == (60.0, 2)
    assert outliers.ejected("a", 194.9)
    assert not outliers.ejected("a", 195.0)


@pytest.mark.parametrize("rule", [RULE, SPLIT])
def test_what_arrives_late_neither_lengthens_an_ejection_nor_counts_for_the_next(rule: OutlierDetection) -> None:
    outliers = Outliers(rule)
    for second in (1, 2, 3):
        outliers.answered("a", 500, second, 4)
    for second in (4, 5, 6):
        assert outliers.answered("a", 500, second, 4) is None
        assert outliers.failed("a", second, 4) is None
    assert outliers.until("a") == 33.0
    assert outliers.answered("a", 500, 34.0, 4) is None
    assert outliers.failed("a", 35.0, 4) is None


def test_each_interval_without_an_ejection_forgives_one() -> None:
    outliers = Outliers(replace(RULE, consecutive_5xx=1))
    now = 0.0
    for _ in range(3):
        now = outliers.until("a") + 1
        outliers.answered("a", 500, now, 4)
    assert outliers.until("a") == now + 90
    again = outliers.answered("a", 500, outliers.until("a") + 25, 4)  # two whole intervals without
    assert again is not None
    assert again.times == 2


def test_no_ejection_is_longer_than_five_minutes_unless_its_base_is() -> None:
    for base, longest in ((30.0, LONGEST), (1000.0, 1000.0)):
        outliers = Outliers(replace(RULE, consecutive_5xx=1, base_ejection_time=base))
        now = 0.0
        for _ in range(20):
            now = outliers.until("a") + 1
            outliers.answered("a", 500, now, 4)
        assert outliers.until("a") == now + longest


@pytest.mark.parametrize(("percent", "total", "most"), [(0, 4, 1), (10, 4, 1), (10, 30, 3), (50, 4, 2), (100, 4, 4)])
def test_only_so_many_are_ejected_but_one_always_may_be(percent: int, total: int, most: int) -> None:
    outliers = Outliers(replace(RULE, consecutive_5xx=1, max_ejection_percent=percent))
    ejected = [host for host in range(total) if outliers.answered(host, 500, 1.0, total)]
    assert len(ejected) == most
    assert outliers.answered(total - 1, 500, 40.0, total) is not None or percent == 100  # they are back by now


def test_panic() -> None:
    outliers = Outliers(replace(RULE, min_health_percent=50))
    assert [outliers.panics(healthy, 4) for healthy in range(5)] == [True, True, False, False, False]
    assert not Outliers(RULE).panics(0, 4)


def test_who_has_gone_is_forgotten_and_does_not_count() -> None:
    outliers = Outliers(replace(RULE, consecutive_5xx=1, max_ejection_percent=50))
    for host in "ab":
        outliers.answered(host, 500, 1.0, 4)
    assert outliers.answered("c", 500, 1.0, 4) is None
    outliers.keep({"b", "c", "d"})
    assert outliers.until("a") == 0
    assert outliers.answered("c", 500, 2.0, 4) is not None


def test_nothing_is_remembered_of_those_who_behave() -> None:
    outliers = Outliers(RULE)
    for host in range(1000):
        outliers.answered(host, 200, 1.0, 1000)
    assert "0 endpoints" in repr(outliers)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([0, 200, 404, 500, 503]), st.floats(0, 20))))
def test_whatever_happens_no_more_are_out_than_may_be(steps: list[tuple[str, int, float]]) -> None:
    outliers = Outliers(replace(RULE, consecutive_5xx=1, max_ejection_percent=50))
    now = 1.0
    for host, status, pause in steps:
        now += pause
        was = outliers.ejected(host, now)
        ejection = _tell(outliers, host, status, now, 4)
        assert (ejection is None) or not was
        assert sum(outliers.ejected(each, now) for each in "abcd") <= 2
        if ejection is not None:
            assert outliers.until(host) == now + ejection.seconds
