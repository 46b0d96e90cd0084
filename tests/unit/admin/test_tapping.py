"""Which records a reader of the tap is told."""

from __future__ import annotations

from itertools import pairwise

import pytest
from starlette.datastructures import QueryParams

from composemesh.admin.tapping import limit, sample, wanted
from composemesh.model.flag import Flag
from composemesh.model.record import Record

from .conftest import peer


def record(destination: str = "reviews/v1", code: int = 200, flag: Flag = Flag.NONE, **more: str) -> Record:
    one = Record(peer("productpage"), peer(destination), "http")
    one.response_code, one.flag = code, flag
    for name, value in more.items():
        setattr(one, name, value)
    return one


@pytest.mark.parametrize(
    ("query", "fitting", "other"),
    [
        ("service=reviews", record(), record("details/v1")),
        ("source=productpage", record(), Record(peer("reviews/v1"), peer("ratings/v1"), "http")),
        ("status=503", record(code=503), record(code=500)),
        ("status=5xx", record(code=503), record(code=404)),
        ("flag=UF", record(flag=Flag.UPSTREAM_CONNECTION_FAILURE), record()),
        ("flag=-", record(), record(flag=Flag.NO_ROUTE_FOUND)),
        ("failed=true", record(code=500), record(code=499)),
        ("failed=true", record(code=0), record(code=200)),
        ("text=/STARS", record(path="/stars/1"), record(path="/reviews/1")),
        ("text=abc", record(request_id="xABCx"), record(request_id="ab")),
        ("service=reviews&status=5xx", record(code=500), record("details/v1", 500)),
        ("service=reviews&status=5xx", record(code=500), record()),
    ],
)
def test_a_query_says_which(query: str, fitting: Record, other: Record) -> None:
    holds = wanted(QueryParams(query))
    assert holds(fitting)
    assert not holds(other)
    assert wanted(QueryParams(""))(other)


@pytest.mark.parametrize("query", ["status=abc", "status=6xx", "status=٥٠٣", "flag=NONSENSE", "flag=<b>"])
def test_what_means_nothing_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        wanted(QueryParams(query))


@pytest.mark.parametrize("said", ["-1", "x", "1001", "99999999", "1.5", "٣"])
def test_a_limit_is_a_bounded_number(said: str) -> None:
    with pytest.raises(ValueError, match="1000 at most"):
        limit(QueryParams(f"limit={said}"))


def test_a_sample_has_the_failed_ones_and_an_even_choice_of_the_others() -> None:
    records = [record(code=503 if number % 100 == 7 else 200, path=str(number)) for number in range(1000)]
    chosen = sample(records, 50)
    assert len(chosen) == 50
    assert [one.path for one in chosen if one.response_code == 503] == [str(at) for at in range(7, 1000, 100)]
    places = [int(one.path) for one in chosen]
    assert places == sorted(places)
    assert max(after - before for before, after in pairwise(places)) <= 30
    assert len(sample(records[7::100], 4)) == 4  # even failures, where there are too many
    assert sample(records[:3], 4) == records[:3]
