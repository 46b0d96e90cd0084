"""What a peer may do for nothing, and what it may not."""

from __future__ import annotations

import pytest
import structlog.testing
import trio
import trio.testing

from composemesh.xds.budget import A_SECOND, BURST, Budget, Exhausted
from composemesh.xds.complaints import BURST as LINES
from composemesh.xds.complaints import Complaints


def test_a_burst_and_then_as_time_allows() -> None:
    budget = Budget(0.0)
    for _ in range(BURST):
        budget.spend(1, 0.0)
    with pytest.raises(Exhausted):
        budget.spend(1, 0.0)
    later = Budget(0.0)
    for second in range(100):
        later.spend(A_SECOND, float(second))


def test_work_pays() -> None:
    budget = Budget(0.0)
    for _ in range(10 * BURST):
        budget.earn(2)
        budget.spend(2, 0.0)
    with pytest.raises(Exhausted):  # and saves up no more than a burst
        budget.spend(BURST + 1, 1000.0)


async def test_a_thousand_complaints_are_a_few_lines(autojump_clock: trio.testing.MockClock) -> None:
    complaints = Complaints()
    with structlog.testing.capture_logs() as logs:
        for number in range(1000):
            complaints.say("one", number=str(number))
        complaints.say("another", number="0")
        await trio.sleep(10)
        complaints.say("one", number="later")
    ones = [line for line in logs if line["event"] == "one"]
    assert len(ones) == LINES + 2
    assert (ones[-1]["number"], ones[-1]["more"]) == ("later", 1000 - LINES - 1)
    assert [line["number"] for line in logs if line["event"] == "another"] == ["0"]
