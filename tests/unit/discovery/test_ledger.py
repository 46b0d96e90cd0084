"""What an event changes before the engine is asked."""

from __future__ import annotations

from typing import Any

import pytest

from composemesh.discovery.docker.ledger import STOP_MARGIN, Heard, Ledger, Seen
from composemesh.discovery.docker.stop import DEFAULT_STOP, Stop
from composemesh.discovery.docker.translate import instant, stop_of, translate
from composemesh.model.workload import Impostor, State, Workload
from unit.discovery.engine import PROJECT, event, identity, inspected

STARTED = instant("2026-11-20T19:16:27.930075686Z") / 1e9


def seen(found: Workload | Impostor | None, stop: Stop = DEFAULT_STOP) -> Seen:
    """What the engine shows of a container that is one of ours, or says so."""
    assert found is not None
    return Seen(found, stop)


def put(ledger: Ledger, inspect: dict[str, Any]) -> None:
    """Ask and answer, as the source does."""
    question = ledger.ask(inspect["Id"])
    ledger.answer(inspect["Id"], question, seen(translate(inspect, {}, PROJECT), stop_of(inspect)))


def state(ledger: Ledger, now: float = 0.0) -> dict[str, State]:
    return {workload.name: workload.state for workload in ledger.discovered(now).workloads}


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(PROJECT)
    put(ledger, inspected(1))
    return ledger


@pytest.mark.parametrize(
    "action", ["start", "pause", "unpause", "rename", "oom", "health_status: healthy", "anything new"]
)
def test_most_events_only_say_where_to_look(ledger: Ledger, action: str) -> None:
    before = ledger.discovered(0.0)
    assert ledger.hear(event(action, 1), 0.0) == Heard(look=identity(1))
    assert ledger.discovered(0.0) == before


@pytest.mark.parametrize("action", ["die", "stop", "destroy"])
def test_an_end_is_believed_at_once(ledger: Ledger, action: str) -> None:
    assert ledger.hear(event(action, 1), 0.0) == Heard(changed=True)
    assert state(ledger) == {}
    assert ledger.hear(event(action, 1), 0.0) == Heard()


def test_the_end_of_an_earlier_life_says_nothing_of_this_one(ledger: Ledger) -> None:
    assert ledger.hear(event("die", 1, at=STARTED - 0.001), 0.0) == Heard(look=identity(1))
    assert ledger.hear(event("kill", 1, at=STARTED - 0.001, signal="15"), 0.0) == Heard(look=identity(1))
    assert state(ledger) == {"shop-web-1": State.RUNNING}
    assert ledger.hear(event("die", 1, at=STARTED + 0.001), 0.0) == Heard(changed=True)


def test_an_answer_from_before_an_end_is_void(ledger: Ledger) -> None:
    question = ledger.ask(identity(1))
    ledger.hear(event("die", 1), 0.0)
    ledger.answer(identity(1), question, seen(translate(inspected(1), {}, PROJECT)))
    assert state(ledger) == {}


def test_an_answer_that_finds_nothing_takes_it_out(ledger: Ledger) -> None:
    ledger.answer(identity(1), ledger.ask(identity(1)), None)
    assert state(ledger) == {}


@pytest.mark.parametrize(
    ("signal", "drains"),
    [*(("15", True), ("9", True), ("2", True), ("3", True)), ("10", True), ("1", False), ("", False)],
)
def test_a_signal_meant_to_end_it_starts_the_drain(ledger: Ledger, signal: str, drains: bool) -> None:
    until = 100.0 + 3 + STOP_MARGIN if drains else 0.0
    assert ledger.hear(event("kill", 1, signal=signal), 100.0) == Heard(changed=drains, until=until)
    assert state(ledger, 100.0) == {"shop-web-1": State.STOPPING if drains else State.RUNNING}


def test_what_does_not_end_in_time_serves_on(ledger: Ledger) -> None:
    until = ledger.hear(event("kill", 1, signal="15"), 100.0).until
    assert state(ledger, until - 0.1) == {"shop-web-1": State.STOPPING}
    assert state(ledger, until) == {"shop-web-1": State.RUNNING}


def test_a_second_signal_prolongs_the_drain(ledger: Ledger) -> None:
    first = ledger.hear(event("kill", 1, signal="15"), 100.0).until
    second = ledger.hear(event("kill", 1, signal="9"), 104.0).until
    assert second == first + 4
    assert state(ledger, first) == {"shop-web-1": State.STOPPING}


def test_an_answer_does_not_end_a_drain_and_a_new_life_does(ledger: Ledger) -> None:
    ledger.hear(event("kill", 1, signal="15"), 0.0)
    put(ledger, inspected(1, state={"Paused": True}))
    assert state(ledger) == {"shop-web-1": State.STOPPING}
    put(ledger, inspected(1, state={"StartedAt": "2026-11-20T19:16:40Z"}))
    assert state(ledger) == {"shop-web-1": State.RUNNING}


def test_others_are_none_of_our_business(ledger: Ledger) -> None:
    foreign = {"com.docker.compose.project": "bank"}
    assert ledger.hear(event("start", 2, at=None, **foreign), 0.0) == Heard()
    assert ledger.hear(event("connect", 2, type="network"), 0.0) == Heard()
    assert ledger.hear(event("kill", 2, signal="9"), 0.0) == Heard()


def test_networks_are_looked_at_for_containers_that_we_know(ledger: Ledger) -> None:
    assert ledger.hear(event("disconnect", 1, type="network"), 0.0) == Heard(look=identity(1))


@pytest.mark.parametrize("odd", ["../../images/x", "", "G" * 64, "ab", "a" * 65, None, 7])
def test_only_an_id_is_looked_at(ledger: Ledger, odd: object) -> None:
    said = event("start", 1)
    said["Actor"]["ID"] = odd
    assert ledger.hear(said, 0.0) == Heard()


def test_impostors_come_and_go_and_never_drain(ledger: Ledger) -> None:
    inspect = inspected(2, service="billing")
    ledger.answer(
        identity(2), ledger.ask(identity(2)), seen(translate(inspect, inspect["Config"]["Labels"], PROJECT))
    )
    assert [impostor.claims for impostor in ledger.discovered(0.0).impostors] == ["billing"]
    assert isinstance(ledger.seen[identity(2)].found, Impostor)
    assert ledger.hear(event("kill", 2, signal="15"), 0.0) == Heard()
    assert ledger.hear(event("die", 2), 0.0) == Heard(changed=True)
    assert ledger.discovered(0.0).impostors == ()


def test_workloads_come_in_the_order_of_their_names(ledger: Ledger) -> None:
    put(ledger, inspected(3, service="api"))
    put(ledger, inspected(2))
    assert list(state(ledger)) == ["shop-api-3", "shop-web-1", "shop-web-2"]
