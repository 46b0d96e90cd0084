"""What plugins do wrong, counted in one way whatever their role."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from composemesh.model.origin import Origin
from composemesh.proxy.chain.fields import FieldView
from composemesh.runtime.failures import Failures, Figures, Mistaken, figures, said
from composemesh.runtime.supervise import keep_running


def raised(problem: BaseException) -> BaseException:
    """The same, with the traceback of somebody else's code."""

    def plugin() -> None:
        raise problem

    try:
        plugin()
    except BaseException as caught:
        return caught
    raise AssertionError


def test_a_failure_is_counted_and_becomes_a_problem() -> None:
    failures = Failures("filter", "stamp")
    assert failures.problem("its requests are refused") is None
    failures.count(raised(ValueError("no\nink")))
    problem = failures.problem("its requests are refused", "of the mesh", Origin("x-mesh", "", "compose.yaml", 7))
    assert problem is not None
    assert (problem.code, problem.resource, problem.line) == ("filter-failed", "filter stamp", 7)
    assert problem.message.startswith(
        "filter stamp of the mesh failed once, and its requests are refused; the last time: ValueError: no ink ("
    )
    failures.count(KeyError())
    again = failures.problem("is started again")
    assert again is not None
    assert again.message == "filter stamp failed 2 times, and is started again; the last time: KeyError."


def test_a_problem_goes_away_after_a_minute_and_the_count_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    failures = Failures("sink", "statsd")
    failures.count(OSError("gone"))
    now += 59
    assert failures.problem("is started again") is not None
    now += 2
    assert failures.problem("is started again") is None
    assert (failures.number, failures.last) == (1, "OSError: gone")


def test_the_log_has_a_line_every_ten_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    failures = Failures("balancer", "last")
    for _ in range(5):
        failures.count(ValueError("no"))
        now += 1
    now += 10
    failures.count(ValueError("no"))
    told = re.findall(r"balancer failed .*times=(?:\x1b\[\d+m)*(\d+)", capsys.readouterr().out)
    assert told == ["1", "5"], "the second line tells of those in between, too"


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (raised(ValueError("no")), rf"ValueError: no \({re.escape(__file__)}:\d+\)"),
        (raised(StopIteration()), rf"StopIteration \({re.escape(__file__)}:\d+\)"),
        (raised(Mistaken("it returned.")), "it returned"),
        (raised(SyntaxError("bad", ("p.py", 3, 1, "x"))), r"SyntaxError: bad \(p.py, line 3\)"),
        (ValueError("x" * 999), "ValueError: x{288}"),
    ],
)
def test_an_exception_is_one_line_that_names_its_place(problem: BaseException, words: str) -> None:
    assert re.fullmatch(words, said(problem)), said(problem)


@pytest.mark.parametrize(
    "fail",
    [
        lambda: json.loads("{"),  # Python's own code raises
        lambda: FieldView([], lambda fields: None).set("a b", "c"),  # ours
        lambda: trio.open_memory_channel("many"),  # type: ignore[arg-type] # trio's
    ],
)
def test_the_place_is_the_plugins_own(fail: Callable[[], object]) -> None:
    with pytest.raises((ValueError, TypeError)) as raised:
        fail()
    assert re.search(rf"\({re.escape(__file__)}:\d+\)$", said(raised.value)), said(raised.value)


def test_figures_are_sums_over_all_places() -> None:
    here, there, other = Failures("filter", "stamp"), Failures("filter", "stamp"), Failures("sink", "stamp")
    here.count(ValueError("first"))
    there.count(ValueError("second"))
    there.count(ValueError("third"))
    assert figures([here, there, other]) == {
        ("filter", "stamp"): Figures(3, "ValueError: third"),
        ("sink", "stamp"): Figures(0, ""),
    }


@pytest.mark.parametrize("problem", [ValueError("no"), SystemExit(3), GeneratorExit()])
async def test_what_runs_is_started_again_whatever_it_raises(
    autojump_clock: MockClock, problem: BaseException
) -> None:
    failures = Failures("source", "nomad")

    async def run() -> None:
        raise problem

    with trio.move_on_after(1):
        await keep_running(failures, run)
    assert failures.number == 4, "after 0, 0.1, 0.3 and 0.7 s"
    assert type(problem).__name__ in failures.last
