"""Whom a connection's silence tells that it is over."""

from __future__ import annotations

from composemesh.xds.attention import FIRST_CALL, IDLE, NO_ANSWER, SILENCE, Attention, Verdict

BEGIN = 1000.0


def test_who_makes_no_call_is_left() -> None:
    attention = Attention(BEGIN)
    assert attention.look(BEGIN + FIRST_CALL, busy=False) is Verdict.STAY
    assert attention.look(BEGIN + FIRST_CALL + 1, busy=False) is Verdict.LEAVE_UNUSED


def test_who_made_one_may_stay_for_another() -> None:
    attention = Attention(BEGIN)
    attention.called()
    attention.ended(BEGIN + 5)
    attention.heard(BEGIN + 5 + IDLE)
    assert attention.look(BEGIN + 5 + IDLE, busy=False) is Verdict.STAY
    assert attention.look(BEGIN + 6 + IDLE, busy=False) is Verdict.LEAVE


def test_who_is_silent_is_asked_once_and_then_left() -> None:
    attention = Attention(BEGIN)
    attention.called()
    assert attention.look(BEGIN + SILENCE, busy=True) is Verdict.STAY
    asked = BEGIN + SILENCE + 1
    assert attention.look(asked, busy=True) is Verdict.ASK
    assert attention.look(asked + NO_ANSWER, busy=True) is Verdict.STAY
    assert attention.look(asked + NO_ANSWER + 1, busy=True) is Verdict.LEAVE_DEAD


def test_a_sign_of_life_is_any_byte() -> None:
    attention = Attention(BEGIN)
    attention.called()
    assert attention.look(BEGIN + SILENCE + 1, busy=True) is Verdict.ASK
    attention.heard(BEGIN + SILENCE + 2)
    assert attention.look(BEGIN + SILENCE + NO_ANSWER + 3, busy=True) is Verdict.STAY
